//! A tenant's own answers as a log: the archive's recommendations, with the probability of every card, joined with what
//! listeners did with them.
//!
//! What the live policy brought is a mean. What it would have brought without exploring is in the records too: a record
//! says of each card whether it was the best one or drawn, and with which probability, given those before it. Where that is
//! not enough, and for another objective, answers are read that were recorded whole ([`super::otherwise`]).

use std::{path::PathBuf, time::Duration};

use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{ItemKey, TenantId, Timestamp, event::EventKind};
use uuid::Uuid;

use super::{
    Error,
    estimate::{self, Intervals},
    otherwise::{Otherwise, ShownCard, ShownShelf, ShownShelves, Whole},
    report::{Comparison, Report},
    slates::{self, List, Slot},
};
use crate::{
    archive::{Archive, ShownRow, Span},
    progress::Progress,
};

/// What is asked of an archive.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Answers asked for within this span.
    pub span: Span,
    /// What a card brings: the sum of what each kind of event is worth, each kind once.
    pub reward: Vec<(EventKind, f64)>,
    /// The other policy, which whole records alone can tell of; nothing but "without exploration" where `None`.
    pub otherwise: Option<Otherwise>,
    /// Of the lists of whole records, so many places from the top alone.
    pub places: Option<usize>,
    /// Where releases lie, for shelves that ask for difference between cards.
    pub releases: Option<PathBuf>,
    /// Events up to so long after the answer.
    pub window: Duration,
    /// Weights above it count as much as this.
    pub clip: Option<f64>,
    /// How intervals are made.
    pub intervals: Intervals,
}

/// An answer's cards of a shelf, and what came of them.
#[derive(Clone, Debug, Default)]
struct Shown {
    unit: u32,
    answer: u32,
    version: String,
    cards: Vec<(f64, f64, bool)>,
}

/// What is said where neither cards nor whole records tell the best card.
const UNTOLD: &str = "draws that were not even, or of more than a half: cards alone do not tell the best one, and no answer of \
                      this shelf was recorded whole (`records.complete_share`)";
/// What is needed for another objective.
const WHOLE: &str = "another objective needs answers that were recorded whole: set `records.complete_share` above 0, or ask \
                     for pages with `record_whole`";

/// Evaluates policies on the answers of an archive.
///
/// # Errors
/// When the archive cannot be read, or has no answers within the span.
pub fn evaluate(archive: &Archive, tenant: &TenantId, asked: &Asked, progress: &dyn Progress) -> Result<Report, Error> {
    let mut rows = archive.read_recommendations(tenant, asked.span, progress)?;
    rows.sort_by_key(|row| row.origin.sequence);
    let brought = brought(archive, tenant, asked, progress)?;
    let (mut answers, mut units) = (FxHashMap::<&str, u32>::default(), FxHashMap::<&str, u32>::default());
    let mut whose = Vec::new();
    let mut shelves: Vec<(String, Vec<Shown>)> = Vec::new();
    let mut totals: Vec<f64> = Vec::new();
    let mut by_shelf = ShownShelves::default();
    let mut on_page: (u32, FxHashSet<ItemKey>) = (u32::MAX, FxHashSet::default());
    for row in &rows {
        let Some(card) = &row.card else { continue };
        let known = answers.len() as u32;
        let answer = *answers.entry(&row.answer.recommendation).or_insert(known);
        let next = units.len() as u32;
        // Somebody unknown is a listener of their own in every answer.
        let name = row.answer.user.as_deref().unwrap_or(&row.answer.recommendation);
        let unit = *units.entry(name).or_insert(next);
        if answer == known {
            totals.push(0.0);
            whose.push(unit);
        }
        let reward = reward(row, card.item, &brought, asked);
        totals[answer as usize] += reward;
        if on_page.0 != answer {
            on_page = (answer, FxHashSet::default());
        }
        // Cards come shelf by shelf, as the page shows them.
        let key = (row.answer.recommendation.clone(), card.shelf.clone());
        let of_shelf = by_shelf.entry(key).or_insert_with(|| ShownShelf {
            unit,
            above: on_page.1.clone(),
            ..ShownShelf::default()
        });
        of_shelf.cards.push(ShownCard { item: card.item, reward, propensity: f64::from(card.propensity) });
        on_page.1.insert(card.item);
        let name = format!("{}/{}", row.answer.surface, card.shelf);
        let at = shelves.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            shelves.push((name, Vec::new()));
            shelves.len() - 1
        });
        let lists = &mut shelves[at].1;
        if lists.last().is_none_or(|list| list.answer != answer) {
            lists.push(Shown { unit, answer, version: row.answer.surface_version.clone(), cards: Vec::new() });
        }
        if let Some(list) = lists.last_mut() {
            list.cards.push((reward, f64::from(card.propensity), card.explored));
        }
    }
    if totals.is_empty() {
        let what = format!("the archive's recommendations of {tenant}");
        return Err(Error::Empty { what, expected: "serve pages and send their events first, or give another span" });
    }
    let mut comparisons = vec![Comparison {
        of: "whole answers".to_owned(),
        policy: "live".to_owned(),
        log: "live".to_owned(),
        rounds: totals.len(),
        listeners: Some(units.len()),
        logged: estimate::mean("on-policy", &totals, &whose, asked.intervals),
        ..Comparison::default()
    }];
    shelves.sort_by(|a, b| a.0.cmp(&b.0));
    let whole = Whole::read(archive, tenant, asked, progress)?;
    for (name, shown) in &shelves {
        let (mut comparison, tells) = shelf(name, shown, asked)?;
        if !tells {
            let best = Otherwise { objective: None, explores: false };
            match whole.shelf(name, best, &by_shelf, tenant, asked)? {
                Some(told) => comparison = told,
                None => comparison.notes.push(UNTOLD.to_owned()),
            }
        }
        comparisons.push(comparison);
    }
    if let Some(other) = asked.otherwise {
        if whole.is_empty() {
            let what = format!("the archive's table of candidates of {tenant}");
            return Err(Error::Empty { what, expected: WHOLE });
        }
        for name in whole.names() {
            comparisons.extend(whole.shelf(name, other, &by_shelf, tenant, asked)?);
        }
    }
    let reward = asked.reward.iter().map(|(kind, worth)| format!("{}={worth}", kind.as_str())).collect::<Vec<_>>();
    Ok(Report { about: format!("answers of {tenant}"), reward: reward.join(","), seed: 0, comparisons })
}

/// What the events say of each card.
type Brought = FxHashMap<(Uuid, ItemKey), Vec<(EventKind, Timestamp)>>;

fn brought(archive: &Archive, tenant: &TenantId, asked: &Asked, progress: &dyn Progress) -> Result<Brought, Error> {
    let until = Timestamp(asked.span.to.0.saturating_add(asked.window.as_millis() as i64));
    let mut brought = Brought::default();
    for event in archive.read(tenant, Span { from: asked.span.from, to: until }, progress)? {
        if let Some(recommendation) = event.recommendation
            && asked.reward.iter().any(|(kind, _)| *kind == event.kind)
        {
            brought.entry((recommendation, event.item_key())).or_default().push((event.kind, event.occurred_at));
        }
    }
    Ok(brought)
}

fn reward(row: &ShownRow, item: ItemKey, brought: &Brought, asked: &Asked) -> f64 {
    let Ok(recommendation) = Uuid::parse_str(&row.answer.recommendation) else { return 0.0 };
    let Some(events) = brought.get(&(recommendation, item)) else { return 0.0 };
    let end = row.answer.requested_at.after(asked.window);
    let has = |kind: &EventKind| events.iter().any(|(of, at)| of == kind && *at <= end);
    asked.reward.iter().filter(|(kind, _)| has(kind)).map(|(_, worth)| worth).sum()
}

/// A shelf without exploration, by its cards alone; and whether they tell of it.
fn shelf(name: &str, shown: &[Shown], asked: &Asked) -> Result<(Comparison, bool), Error> {
    let mut notes = Vec::new();
    let versions: std::collections::BTreeSet<&str> = shown.iter().map(|list| list.version.as_str()).collect();
    if versions.len() > 1 {
        notes.push(format!("answers of {} versions of the surface are taken together", versions.len()));
    }
    // With even draws of probability ε up to a half, the best card has more than a half, any other at most a quarter.
    let is_best = |propensity: f64| propensity > 0.5;
    let cards = || shown.iter().flat_map(|list| &list.cards);
    // Where most are drawn they were not drawn so.
    let drawn = cards().filter(|(_, _, explored)| *explored).count();
    let tells =
        2 * drawn <= cards().count() && cards().all(|(_, propensity, explored)| *explored || is_best(*propensity));
    let explores = cards().any(|(_, propensity, _)| *propensity < 1.0 - 1e-6);
    let lists: Vec<List> = shown
        .iter()
        .map(|list| List {
            unit: list.unit,
            slots: list
                .cards
                .iter()
                .map(|(reward, propensity, _)| Slot {
                    reward: *reward,
                    logged: *propensity,
                    policy: if !explores || is_best(*propensity) { 1.0 } else { 0.0 },
                    ..Slot::default()
                })
                .collect(),
        })
        .collect();
    let estimates = if !explores {
        notes.push("nothing explored here: what was shown is what would be shown without exploration".to_owned());
        Vec::new()
    } else if tells {
        slates::evaluate(&lists, asked.clip, asked.intervals)?
    } else {
        Vec::new()
    };
    let live = Comparison::by_live(name, "without exploration".to_owned(), &lists, asked.intervals);
    let comparison = Comparison { estimates, notes, ..live };
    Ok((comparison, tells || !explores))
}
