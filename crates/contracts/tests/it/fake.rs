//! A service that answers from a list and remembers what it was asked.

use std::{collections::VecDeque, sync::Mutex};

use async_trait::async_trait;
use contracts::{Candidates, Catalogue, Deadline, Failure, Profiles, Put, Ranking, ReleaseControl, ServingRelease};
use shared_models::{
    ItemId, ItemKey, ReleaseId, TenantId, UserId,
    candidates::CandidateSet,
    item::{DisplayItem, Item, Market},
    listener::{UserAttributes, UserSummary},
    plan::{CandidateQuery, RankQuery},
    slate::{ExplainQuery, Explanation, RankedPage},
};

/// A call as a service sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Generate(CandidateQuery),
    Rank(RankQuery),
    Explain(ExplainQuery),
    PutItems(TenantId, Vec<Item>),
    Item(TenantId, ItemId),
    DeleteItem(TenantId, ItemId),
    Display(TenantId, Vec<ItemKey>),
    ListItems(TenantId, Option<ItemId>, usize),
    Popular(TenantId, Market, usize),
    User(TenantId, UserId),
    PutUser(TenantId, UserAttributes),
    Status(TenantId),
    Activate(TenantId, ReleaseId),
}

/// What to answer next.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Set(CandidateSet),
    Page(RankedPage),
    Explanation(Explanation),
    Puts(Vec<Result<Put, Failure>>),
    Item(Item),
    Existed(bool),
    Displays(Vec<DisplayItem>),
    Items(Vec<Item>),
    Summary(UserSummary),
    Done,
    Serving(ServingRelease),
    Fails(Failure),
    Never,
}

/// All services in one.
#[derive(Default)]
pub(crate) struct Fake {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<(Asked, Deadline)>>,
    dropped: tokio::sync::Notify,
}

impl Fake {
    pub(crate) fn will(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// What it was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<(Asked, Deadline)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Waits until a call that is never answered has been dropped.
    pub(crate) async fn dropped(&self) {
        self.dropped.notified().await;
    }

    async fn answer(&self, asked: Asked, deadline: Deadline) -> Result<Answer, Failure> {
        struct OnDrop<'a>(&'a tokio::sync::Notify);
        impl Drop for OnDrop<'_> {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }

        self.asked.lock().unwrap().push((asked, deadline));
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(Answer::Fails(failure)) => Err(failure),
            Some(Answer::Never) => {
                let _guard = OnDrop(&self.dropped);
                std::future::pending().await
            }
            Some(answer) => Ok(answer),
            None => Err(Failure::internal("no_answer", "the fake was told no answer")),
        }
    }
}

macro_rules! expect {
    ($self:ident, $asked:expr, $deadline:ident, $pattern:pat => $value:expr) => {
        match $self.answer($asked, $deadline).await? {
            $pattern => Ok($value),
            other => Err(Failure::internal("wrong_answer", format!("the fake was told {other:?}"))),
        }
    };
}

#[async_trait]
impl Candidates for Fake {
    async fn generate(&self, query: CandidateQuery, deadline: Deadline) -> Result<CandidateSet, Failure> {
        expect!(self, Asked::Generate(query), deadline, Answer::Set(set) => set)
    }
}

#[async_trait]
impl Ranking for Fake {
    async fn rank(&self, query: RankQuery, deadline: Deadline) -> Result<RankedPage, Failure> {
        expect!(self, Asked::Rank(query), deadline, Answer::Page(page) => page)
    }

    async fn explain(&self, query: ExplainQuery, deadline: Deadline) -> Result<Explanation, Failure> {
        expect!(self, Asked::Explain(query), deadline, Answer::Explanation(explanation) => explanation)
    }
}

#[async_trait]
impl Catalogue for Fake {
    async fn put_items(
        &self,
        tenant: &TenantId,
        items: Vec<Item>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Put, Failure>>, Failure> {
        expect!(self, Asked::PutItems(tenant.clone(), items), deadline, Answer::Puts(puts) => puts)
    }

    async fn item(&self, tenant: &TenantId, id: &ItemId, deadline: Deadline) -> Result<Item, Failure> {
        expect!(self, Asked::Item(tenant.clone(), id.clone()), deadline, Answer::Item(item) => item)
    }

    async fn delete_item(&self, tenant: &TenantId, id: &ItemId, deadline: Deadline) -> Result<bool, Failure> {
        expect!(self, Asked::DeleteItem(tenant.clone(), id.clone()), deadline, Answer::Existed(existed) => existed)
    }

    async fn display(
        &self,
        tenant: &TenantId,
        keys: &[ItemKey],
        deadline: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure> {
        expect!(self, Asked::Display(tenant.clone(), keys.to_vec()), deadline, Answer::Displays(items) => items)
    }

    async fn list_items(
        &self,
        tenant: &TenantId,
        after: Option<ItemId>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Item>, Failure> {
        expect!(self, Asked::ListItems(tenant.clone(), after, limit), deadline, Answer::Items(items) => items)
    }

    async fn popular(
        &self,
        tenant: &TenantId,
        market: Market,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure> {
        expect!(self, Asked::Popular(tenant.clone(), market, limit), deadline, Answer::Displays(items) => items)
    }
}

#[async_trait]
impl Profiles for Fake {
    async fn user(&self, tenant: &TenantId, id: &UserId, deadline: Deadline) -> Result<UserSummary, Failure> {
        expect!(self, Asked::User(tenant.clone(), id.clone()), deadline, Answer::Summary(summary) => summary)
    }

    async fn put_user(&self, tenant: &TenantId, attributes: UserAttributes, deadline: Deadline) -> Result<(), Failure> {
        expect!(self, Asked::PutUser(tenant.clone(), attributes), deadline, Answer::Done => ())
    }
}

#[async_trait]
impl ReleaseControl for Fake {
    async fn status(&self, tenant: &TenantId, deadline: Deadline) -> Result<ServingRelease, Failure> {
        expect!(self, Asked::Status(tenant.clone()), deadline, Answer::Serving(serving) => serving)
    }

    async fn activate(&self, tenant: &TenantId, id: &ReleaseId, deadline: Deadline) -> Result<(), Failure> {
        expect!(self, Asked::Activate(tenant.clone(), id.clone()), deadline, Answer::Done => ())
    }
}
