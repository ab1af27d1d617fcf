//! The scorer of a release: of which listeners it learns, and what it is given. It must not know how rows are made or
//! fitted.

use ranking::golden::is_constant;
use releases::{Meta, Parts, Release};
use rustc_hash::FxHashSet;
use shared_models::{ItemKey, TenantId, Timestamp, event::Event, item::Item};

use super::{Config, Error, RATES_OF_MARKET, TOP_OF_MARKET, rates, table::Table};
use crate::{
    events::{Events, Sample},
    factors, neighbours,
    progress::{Progress, Unit},
    ranker::{self, facts::Catalogue, replay, trend::Trends},
};

/// How many cards are at hand for each one that the scorer learns from: listeners are drawn until there are so many.
const AT_HAND: f64 = 1.5;

/// A scorer and what it was trained on.
#[derive(Default)]
pub(super) struct Scored {
    pub(super) scorer: Option<ranker::Trained>,
    pub(super) rows: Option<replay::Rows>,
    /// Whose pages the rows are of.
    pub(super) listeners: Option<Sample>,
}

/// Trains a scorer on what was shown from the cut on, with a model of what was known before.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would name the same nine things twice")]
pub(super) fn train(
    tenant: &TenantId,
    items: &[Item],
    events: &dyn Events,
    table: &Table,
    seen: &factors::Interactions,
    model: &factors::Model,
    cut: Timestamp,
    config: &Config,
    progress: &dyn Progress,
) -> Result<Scored, Error> {
    let parts = Parts {
        items: table.items.clone(),
        factors: Some(model.to_factors().map_err(Error::Factors)?),
        popularity: Some(table.popularity(Some(cut), TOP_OF_MARKET)),
        rates: Some(rates::of(table, seen, Some(cut), RATES_OF_MARKET)),
        neighbours: Some(neighbours::nearest(seen, &config.neighbours)),
        ..Parts::default()
    };
    let release = Release::in_memory(tenant.clone(), Meta::default(), parts)
        .map_err(|source| Error::Release { action: "made", source })?;
    let release = std::sync::Arc::new(release);
    let catalogue = Catalogue::of(items);
    let settings = ranker::Settings { seed: config.seed, ..config.scorer.clone() };
    // Whole lives of some listeners, as many as rows are wanted of; their plays are not all that make a trend.
    let sample = Sample::of(settings.rows as f64 * AT_HAND / cards(table, cut, &settings).max(1) as f64);
    let events = events.of(sample, progress).map_err(Error::Events)?;
    let wanted: FxHashSet<ItemKey> = events.iter().map(Event::item_key).collect();
    let trends = Trends::of(table.plays_of(&wanted), settings.trend_half_life);
    drop(wanted);
    let stage = progress.stage("replay", Unit::Rows, Some(events.len() as u64));
    let input =
        replay::Input { tenant, events: &events, trends: &trends, catalogue: &catalogue, release: &release, from: cut };
    let rows = replay::replay(input, &settings, stage.as_ref());
    stage.finish(&format!("{} rows of {} pages, from {}", rows.len(), rows.pages, rows.source.as_str()));
    {
        let paged = ranker::pages::Settings::default();
        let at = std::time::Instant::now();
        let plays = table.plays_since(Timestamp(cut.0 - 30 * 86_400_000));
        let input =
            ranker::pages::Input { tenant, items, events: &events, plays: &plays, release: &release, from: cut };
        let all = ranker::pages::pages(input, &paged, stage.as_ref());
        println!(
            "PAGES {} in {:?}, {} candidates",
            all.len(),
            at.elapsed(),
            all.iter().map(|p| p.items.len()).sum::<usize>() / all.len().max(1)
        );
        let (learnt, judged) = all.split_at(all.len() * 4 / 5);
        let objective = shared_models::plan::Objective { play: 1.0, ..Default::default() };
        if let Ok(t) = ranker::fit(&rows, &settings) {
            println!(
                "SHOWN {:?}",
                ranker::effect::measure(judged, &t.model, objective, config.seed).map(|e| (e.to_string(), e.found))
            );
        }
        for others in [10, 50] {
            let rows = ranker::pages::rows(learnt, others, config.seed);
            match ranker::fit(&rows, &settings) {
                Ok(t) => println!(
                    "PAGED {others} {:?}",
                    ranker::effect::measure(judged, &t.model, objective, config.seed).map(|e| (e.to_string(), e.found))
                ),
                Err(e) => println!("{e}"),
            }
        }
        println!(
            "COLD {:?}",
            ranker::effect::measure(judged, ranking::scorers::cold::model(), objective, config.seed)
                .map(|e| (e.to_string(), e.found))
        );
    }
    let stage = progress.stage("scorer", Unit::Steps, None);
    let scored = |scorer| Scored { scorer, rows: None, listeners: Some(sample) };
    let scored = match ranker::fit(&rows, &settings) {
        // Nothing that it was shown told one card from another: the cold model does better.
        Ok(trained) if is_constant(&trained.model) => {
            stage.finish("no feature tells cards apart: the release has no scorer");
            scored(None)
        }
        Ok(trained) => {
            stage.finish(&format!("{} rows", rows.len()));
            scored(Some(trained))
        }
        // A release without scorer serves: ranking falls back to its cold model and says so.
        Err(ranker::Error::TooFew { .. }) => {
            stage.finish("too few rows: the release has no scorer");
            scored(None)
        }
        Err(error) => return Err(Error::Scorer(error)),
    };
    Ok(Scored { rows: Some(rows), ..scored })
}

/// About how many cards there are to learn from: those that were shown from the cut on; where none ever was, the later
/// plays with the cards that are made up for each.
fn cards(table: &Table, cut: Timestamp, settings: &ranker::Settings) -> usize {
    match table.shown_from(cut) {
        0 => table.plays_from(cut) * (1 + settings.negatives),
        shown => shown,
    }
}
