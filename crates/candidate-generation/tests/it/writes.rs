//! A write and its effect in memory are one: whoever asked may be gone in between, and what the store
//! holds is served all the same.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use candidate_generation::{
    index::trending::StoredTrend,
    metrics::CandidatesMetrics,
    profiles::memory::ProfileMemory,
    server::{Parts, Service},
    store::{Error, Folding, Lease, Store, StoredUser, Written, sqlite::SqliteStore},
    worlds::Worlds,
};
use contracts::{Catalogue as _, Deadline, Failure, Profiles as _};
use service_runtime::{Metrics, TaskGroup};
use shared_models::{
    ErrorCode, ItemId, ItemKey, TenantId, Timestamp, UserId, UserKey,
    clock::ManualClock,
    item::{Item, Market},
    listener::UserAttributes,
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::{
    intake::config,
    store::fresh,
    world::{NOW, id, key, tenant, track},
};

/// A store that answers a write only when it is let, long after the commit.
struct Late {
    inner: SqliteStore,
    /// One permit for each write that has been committed.
    committed: Semaphore,
    /// One permit for each answer that is let.
    answers: Semaphore,
}

impl Late {
    async fn answer<T>(&self, written: T) -> T {
        self.committed.add_permits(1);
        self.answers.acquire().await.unwrap().forget();
        written
    }
}

#[async_trait]
impl Store for Late {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        self.inner.tenants().await
    }

    async fn put_items(&self, tenant: &TenantId, items: &[Arc<Item>], now: Timestamp) -> Result<Vec<Written>, Error> {
        let written = self.inner.put_items(tenant, items, now).await;
        self.answer(written).await
    }

    async fn delete_item(&self, tenant: &TenantId, id: &ItemId) -> Result<bool, Error> {
        let deleted = self.inner.delete_item(tenant, id).await;
        self.answer(deleted).await
    }

    async fn items_after(&self, tenant: &TenantId, after: Option<&ItemId>, limit: usize) -> Result<Vec<Item>, Error> {
        self.inner.items_after(tenant, after, limit).await
    }

    async fn put_user(&self, tenant: &TenantId, attributes: &UserAttributes) -> Result<(), Error> {
        let written = self.inner.put_user(tenant, attributes).await;
        self.answer(written).await
    }

    async fn user(&self, tenant: &TenantId, user: UserKey) -> Result<StoredUser, Error> {
        self.inner.user(tenant, user).await
    }

    async fn users_after(
        &self,
        tenant: &TenantId,
        after: Option<UserKey>,
        limit: usize,
    ) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error> {
        self.inner.users_after(tenant, after, limit).await
    }

    async fn begin(&self, lease: Option<&Lease>) -> Result<Box<dyn Folding>, Error> {
        self.inner.begin(lease).await
    }

    async fn save_trends(
        &self,
        tenant: &TenantId,
        counted: &[StoredTrend],
        forgotten: &[ItemKey],
    ) -> Result<(), Error> {
        self.inner.save_trends(tenant, counted, forgotten).await
    }

    async fn trends(&self, tenant: &TenantId) -> Result<Vec<StoredTrend>, Error> {
        self.inner.trends(tenant).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        self.inner.prune(before).await
    }
}

struct Running {
    _folder: TempDir,
    store: Arc<Late>,
    tasks: TaskGroup,
    service: Service,
}

/// A service over a store that answers as many writes as are let beforehand.
async fn running(answers: usize) -> Running {
    let (folder, inner) = fresh().await;
    let store = Arc::new(Late { inner, committed: Semaphore::new(0), answers: Semaphore::new(answers) });
    let metrics = CandidatesMetrics::register(&Metrics::new());
    let (clock, tasks) = (Arc::new(ManualClock::at(NOW)), TaskGroup::new("intake"));
    let service = Service::new(Parts {
        worlds: Arc::new(Worlds::open(&config(&folder), clock.clone(), metrics.clone()).unwrap()),
        store: store.clone(),
        memory: ProfileMemory::new(1 << 20),
        guard: None,
        pipeline: crate::world::pipeline(),
        read_budget: Duration::from_secs(5),
        clock,
        tasks: tasks.clone(),
        metrics,
    });
    Running { _folder: folder, store, tasks, service }
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

impl Running {
    /// Asks for a write and goes away when it is committed and not yet answered; then the answer comes.
    async fn gone_after_the_commit<T>(&self, write: impl Future<Output = Result<T, Failure>>) {
        tokio::select! {
            _ = write => panic!("the store has not answered yet"),
            committed = self.store.committed.acquire() => committed.unwrap().forget(),
        }
        self.store.answers.add_permits(1);
        assert_eq!(self.tasks.drain(Duration::from_secs(10)).await, 0);
    }
}

#[tokio::test]
async fn an_item_is_served_though_its_caller_went_away_after_the_commit() {
    let running = running(0).await;
    running.gone_after_the_commit(running.service.put_items(&tenant(), vec![track("t", "a")], soon())).await;
    assert_eq!(running.service.item(&tenant(), &id("t"), soon()).await.unwrap(), track("t", "a"));
}

#[tokio::test]
async fn an_item_is_gone_though_its_caller_went_away_after_the_commit() {
    let running = running(1).await;
    running.service.put_items(&tenant(), vec![track("t", "a")], soon()).await.unwrap();
    running.store.committed.acquire().await.unwrap().forget();
    running.gone_after_the_commit(running.service.delete_item(&tenant(), &id("t"), soon())).await;
    assert_eq!(running.service.item(&tenant(), &id("t"), soon()).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn what_a_tenant_told_counts_though_it_went_away_after_the_commit() {
    let running = running(0).await;
    let user = UserId::new("u").unwrap();
    let told = UserAttributes { id: user.clone(), market: None, explicit_allowed: false, updated_at: NOW };
    running.gone_after_the_commit(running.service.put_user(&tenant(), told.clone(), soon())).await;
    assert_eq!(running.service.user(&tenant(), &user, soon()).await.unwrap().attributes, told);
}

#[tokio::test]
async fn a_delete_of_what_the_store_no_longer_has_hides_it_all_the_same() {
    let running = running(2).await;
    running.service.put_items(&tenant(), vec![track("t", "a"), track("other", "a")], soon()).await.unwrap();
    // As an earlier delete leaves it that was cut off.
    running.store.inner.delete_item(&tenant(), &id("t")).await.unwrap();
    assert!(!running.service.delete_item(&tenant(), &id("t"), soon()).await.unwrap());
    assert_eq!(running.service.item(&tenant(), &id("t"), soon()).await.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(running.service.display(&tenant(), &[key("t"), key("other")], soon()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_caller_whose_turn_does_not_come_in_time_has_written_nothing() {
    let running = running(0).await;
    let whose = tenant();
    let first = running.service.put_items(&whose, vec![track("t", "a")], soon());
    tokio::select! {
        _ = first => panic!("the store has not answered yet"),
        committed = running.store.committed.acquire() => committed.unwrap().forget(),
    }
    let late = Deadline::within(Duration::from_millis(20));
    let failure = running.service.put_items(&tenant(), vec![track("late", "a")], late).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::DeadlineExceeded);
    running.store.answers.add_permits(2);
    running.tasks.drain(Duration::from_secs(10)).await;
    assert_eq!(running.service.list_items(&tenant(), None, 9, soon()).await.unwrap(), [track("t", "a")]);
}

#[tokio::test]
async fn many_items_at_once_are_served() {
    let running = running(1).await;
    let items: Vec<Item> = (0..500).map(|n| track(&format!("t{n}"), "a")).collect();
    let put = running.service.put_items(&tenant(), items, soon()).await.unwrap();
    assert!(put.len() == 500 && put.iter().all(Result::is_ok));
    assert_eq!(running.service.popular(&tenant(), Market::UNKNOWN, 1_000, soon()).await.unwrap().len(), 500);
}
