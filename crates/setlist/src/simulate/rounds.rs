//! The rounds of one arm: pages, answers, events.

use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use learning::{
    progress::Stage,
    world::{Audience, Did},
};
use rand::seq::IndexedRandom;
use rustc_hash::FxHashSet;
use shared_models::{ItemId, ItemKey, Seed};

use super::{arms, report::Seen};
use crate::{
    cli::simulate::{Arm, Simulate},
    client::{Client, Told},
};

/// The longest wait between two tries of a request that is refused as one too many.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who takes part in the rounds, and what they may be shown.
pub(super) struct Scene<'a> {
    pub(super) args: &'a Simulate,
    pub(super) audience: Audience<'a>,
    /// Names and markets of the listeners.
    pub(super) listeners: Vec<(String, Option<String>)>,
    /// Every track, planted ones included.
    pub(super) tracks: Vec<ItemId>,
    pub(super) planted: FxHashSet<ItemKey>,
}

/// A page as it was shown.
struct Shown {
    recommendation: Option<String>,
    shelf: Option<String>,
    items: Vec<String>,
}

impl Scene<'_> {
    /// Whether a listener is one of those who change their taste.
    pub(super) fn changes(&self, listener: usize) -> bool {
        // Evenly over all: the n-th is one when n × share passes a whole number.
        let share = self.args.change.clamp(0.0, 1.0);
        ((listener + 1) as f64 * share).floor() > (listener as f64 * share).floor()
    }

    /// The round at which they do.
    pub(super) fn half_time(&self) -> u32 {
        self.args.rounds / 2
    }

    /// All rounds of an arm.
    pub(super) async fn run(&self, arm: Arm, client: &Client, stage: &dyn Stage) -> anyhow::Result<Vec<Seen>> {
        let mut seen = Vec::with_capacity(self.listeners.len() * self.args.rounds as usize);
        for round in 0..self.args.rounds {
            if round == self.half_time() {
                (0..self.listeners.len()).filter(|n| self.changes(*n)).for_each(|n| self.audience.change_taste(n));
            }
            let turns = (0..self.listeners.len()).map(|listener| async move {
                let seen = self.turn(arm, client, listener, round).await;
                stage.advance(1);
                seen.with_context(|| format!("round {round} of {}", self.listeners[listener].0))
            });
            let turns = stream::iter(turns).buffered(self.args.at_once.max(1));
            seen.extend(turns.try_collect::<Vec<Seen>>().await?);
        }
        Ok(seen)
    }

    async fn turn(&self, arm: Arm, client: &Client, listener: usize, round: u32) -> anyhow::Result<Seen> {
        let shown = self.page(arm, client, listener, round).await?;
        let cards = shown.items.iter().map(|item| Ok(ItemKey::of(&ItemId::new(item)?)));
        let cards: Vec<ItemKey> = cards.collect::<anyhow::Result<_>>()?;
        let fit = self.audience.fit(listener, &cards);
        let answers = self.audience.answer(listener, round, &cards);
        let own = self.audience.own(listener, round, self.args.own);
        self.tell(client, (listener, round), &shown, &answers, &own).await?;
        let is_new = |card: &&ItemKey| self.planted.contains(card);
        Ok(Seen {
            listener: listener as u32,
            round,
            reward: answers.iter().map(worth).sum(),
            plays: answers.iter().filter(|did| did.played).count() as u32,
            own: own.len() as u32,
            fit,
            shown_new: cards.iter().filter(is_new).copied().collect(),
            played_new: cards
                .iter()
                .zip(&answers)
                .filter(|(card, did)| did.played && is_new(card))
                .map(|(card, _)| *card)
                .collect(),
        })
    }

    async fn page(&self, arm: Arm, client: &Client, listener: usize, round: u32) -> anyhow::Result<Shown> {
        if arm == Arm::Random {
            let mut random = Seed(self.args.seed).stream(&format!("random/{listener}/{round}"));
            let items = self.tracks.sample(&mut random, arms::CARDS).map(ToString::to_string).collect();
            return Ok(Shown { recommendation: None, shelf: None, items });
        }
        let (user, market) = &self.listeners[listener];
        let surface = arms::name(arm);
        let (page, _) = patiently(|| client.page(&surface, user, market.as_deref())).await?;
        let shelf = page.shelves.into_iter().next().context("the page has no shelf")?;
        Ok(Shown {
            recommendation: Some(page.recommendation_id),
            shelf: Some(shelf.id),
            items: shelf.cards.into_iter().map(|card| card.item_id).collect(),
        })
    }

    async fn tell(
        &self,
        client: &Client,
        (listener, round): (usize, u32),
        shown: &Shown,
        answers: &[Did],
        own: &[(ItemId, Did)],
    ) -> anyhow::Result<()> {
        let (user, _) = &self.listeners[listener];
        let mut told = Vec::new();
        for ((position, item), did) in (0..).zip(&shown.items).zip(answers) {
            let of = Told {
                user_id: user,
                item_id: item,
                recommendation_id: shown.recommendation.as_deref(),
                shelf: shown.shelf.as_deref(),
                position: shown.shelf.is_some().then_some(position),
                ..Told::default()
            };
            told.push(Told { kind: "impression", ..of.clone() });
            told.extend(done(*did, &of));
        }
        for (item, did) in own {
            told.extend(done(*did, &Told { user_id: user, item_id: item.as_str(), ..Told::default() }));
        }
        // Told again after a refusal, they are the same events.
        for (n, event) in told.iter_mut().enumerate() {
            event.event_id = Some(format!("simulated-{listener}-{round}-{n}"));
        }
        patiently(|| client.events(&told)).await.map(|_| ())
    }
}

/// Asks again, later and later, while the edge says that there are too many requests at once.
async fn patiently<T, F: Future<Output = anyhow::Result<T>>>(ask: impl Fn() -> F) -> anyhow::Result<T> {
    let mut wait = Duration::from_millis(25);
    loop {
        match ask().await {
            Err(error) if wait < PATIENCE && error.to_string().contains(" 429 ") => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            answered => return answered,
        }
    }
}

/// The events of what was done.
fn done<'a>(did: Did, of: &Told<'a>) -> Vec<Told<'a>> {
    let kinds = [("play", did.played), ("complete", did.completed), ("skip", did.skipped), ("like", did.liked)];
    let happened = kinds.into_iter().filter(|(_, happened)| *happened);
    happened.map(|(kind, _)| Told { kind, ms_played: (kind == "play").then_some(did.ms), ..of.clone() }).collect()
}

/// What an answer is worth, by the objective of the surfaces.
fn worth(did: &Did) -> f64 {
    let of = |happened: bool, worth: f64| if happened { worth } else { 0.0 };
    of(did.played, 1.0) + of(did.completed, 2.0) + of(did.liked, 4.0) + of(did.skipped, -1.5)
}
