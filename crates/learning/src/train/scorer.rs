//! The scorer of a release: of which listeners it learns, and what it is given. It must not know how rows are made or
//! fitted.

use std::sync::Arc;

use ranking::{golden::is_constant, scorers::Model};
use releases::{Meta, Neighbours, Parts, Release};
use rustc_hash::FxHashSet;
use shared_models::{ItemKey, TenantId, Timestamp, event::Event, item::Item, plan::Objective};

use super::{Config, Error, RATES_OF_MARKET, TOP_OF_MARKET, content, rates, table::Table};
use crate::{
    events::{Events, Sample},
    factors,
    progress::{Progress, Silent, Unit},
    ranker::{
        self, Rows, Source,
        effect::{self, Effect},
        facts::Catalogue,
        pages::Page,
        replay,
        trend::Trends,
    },
};

/// How many cards are at hand for each one that the scorer learns from: listeners are drawn until there are so many.
pub(super) const AT_HAND: f64 = 1.5;
/// Cards beside those that were played that a page of the past teaches by.
const OTHERS: usize = 50;
/// Plays from longer before are forgotten by what is trending.
pub(super) const REMEMBERED_MS: i64 = 30 * 86_400_000;

/// A scorer and what it was trained on.
#[derive(Default)]
pub(super) struct Scored {
    pub(super) scorer: Option<ranker::Trained>,
    pub(super) rows: Option<Rows>,
    /// Whose pages the rows are of.
    pub(super) listeners: Option<Sample>,
    /// What the scorer does to pages that nothing was fitted to.
    pub(super) effect: Option<Effect>,
}

/// What was known at the cut.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    pub(super) table: &'a Table,
    pub(super) seen: &'a factors::Interactions,
    pub(super) model: &'a factors::Model,
    pub(super) cosines: &'a Neighbours,
    pub(super) cut: Timestamp,
}

/// Trains a scorer on what was shown from the cut on, with a model of what was known before.
pub(super) fn train(
    tenant: &TenantId,
    items: &[Item],
    events: &dyn Events,
    past: Past<'_>,
    config: &Config,
    progress: &dyn Progress,
) -> Result<Scored, Error> {
    let Past { table, seen, model, cosines, cut } = past;
    let factors = model.to_factors().map_err(Error::Factors)?;
    let parts = Parts {
        items: table.items.clone(),
        content: content::learn(items, &table.items, &factors, seen, &Silent).map(|learnt| learnt.mapping),
        factors: Some(factors),
        popularity: Some(table.popularity(Some(cut), TOP_OF_MARKET)),
        segments: Some(table.segments(Some(cut), &config.segments)).filter(|segments| !segments.is_empty()),
        rates: Some(rates::of(table, seen, Some(cut), RATES_OF_MARKET)),
        neighbours: Some(cosines.clone()),
        ..Parts::default()
    };
    let release = Release::in_memory(tenant.clone(), Meta::default(), parts)
        .map_err(|source| Error::Release { action: "made", source })?;
    let release = Arc::new(release);
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
    let paged = ranker::pages::Settings {
        pages: settings.pages,
        trend_half_life: settings.trend_half_life,
        seed: config.seed,
        ..ranker::pages::Settings::default()
    };
    let stage = progress.stage("pages of the past", Unit::Steps, Some(paged.pages as u64));
    let plays = table.plays_since(Timestamp(cut.0.saturating_sub(REMEMBERED_MS)));
    let input = ranker::pages::Input { tenant, items, events: &events, plays: &plays, release: &release, from: cut };
    let pages = ranker::pages::pages(input, &paged, stage.as_ref());
    stage.finish(&format!("{} pages", pages.len()));
    drop((plays, events));

    let stage = progress.stage("scorer", Unit::Steps, None);
    let chosen = choose(&rows, &pages, &settings, None)?;
    stage.finish(&chosen.as_ref().map_or_else(
        || "too few rows, or no feature tells cards apart: the release has no scorer".to_owned(),
        |chosen| format!("{}, learnt from {}", chosen.trained.model.kind(), chosen.source.as_str()),
    ));
    Ok(match chosen {
        Some(Chosen { trained, source, effect, .. }) => {
            Scored { scorer: Some(trained), rows: Some(Rows { source, ..rows }), listeners: Some(sample), effect }
        }
        // A release without scorer serves: ranking falls back to its cold model and says so.
        None => Scored { scorer: None, rows: Some(rows), listeners: Some(sample), effect: None },
    })
}

/// A scorer that was chosen among others.
pub(super) struct Chosen {
    pub(super) trained: ranker::Trained,
    pub(super) source: Source,
    /// What it does to pages that nothing was fitted to.
    pub(super) effect: Option<Effect>,
    /// What another scorer does to the same pages.
    pub(super) effect_of_other: Option<Effect>,
}

/// Fits a scorer to cards that were shown and one to pages of the past, and takes the one that orders later pages
/// better. Both say how often what happens by the cards that were shown, where any were. `other`, calibrated anew, is
/// kept unless the best of them is better page by page beyond its interval: a few pages more or less must not cost what
/// the live scorer knows. It is measured beside what is chosen.
pub(super) fn choose(
    shown: &Rows,
    pages: &[Page],
    settings: &ranker::Settings,
    other: Option<&Model>,
) -> Result<Option<Chosen>, Error> {
    let (earlier, tested) = pages.split_at(pages.len() * 4 / 5);
    let (learnt, judged) = earlier.split_at(earlier.len() * 4 / 5);
    let mut fitted: Vec<(ranker::Trained, Source)> = Vec::new();
    if let Some(trained) = fit(shown, settings)? {
        fitted.push((trained, shown.source));
    }
    if let Some(trained) = fit(&ranker::pages::rows(learnt, OTHERS, settings.seed), settings)? {
        let trained = match shown.source {
            Source::Impressions | Source::Records => {
                ranker::recalibrated(&trained, shown, settings).or_else(too_few(trained))?
            }
            Source::SampledNegatives | Source::Pages | Source::Kept => trained,
        };
        fitted.push((trained, Source::Pages));
    }
    let by_plays = Objective { play: 1.0, ..Objective::default() };
    let effect_on = |pages: &[Page], model: &Model| effect::measure(pages, model, by_plays, settings.seed);
    let order = |trained: &ranker::Trained| effect_on(judged, &trained.model).map_or(0.0, |effect| effect.after.mean);
    let best = fitted.into_iter().max_by(|(a, _), (b, _)| order(a).total_cmp(&order(b)));
    let kept = other.and_then(|other| ranker::kept(other, shown, settings)).filter(|kept| {
        let ahead = best
            .as_ref()
            .and_then(|(best, _)| effect::ahead(judged, &best.model, &kept.model, by_plays, settings.seed));
        ahead.is_none_or(|ahead| ahead.low <= 0.0)
    });
    let best = kept.map(|kept| (kept, Source::Kept)).or(best);
    Ok(best.map(|(trained, source)| Chosen {
        effect: effect_on(tested, &trained.model),
        effect_of_other: other.and_then(|other| effect_on(tested, other)),
        trained,
        source,
    }))
}

/// A scorer of these rows; `None` where there are too few, or nothing that it was shown told one card from another: then
/// the cold model does better.
fn fit(rows: &Rows, settings: &ranker::Settings) -> Result<Option<ranker::Trained>, Error> {
    match ranker::fit(rows, settings) {
        Ok(trained) => Ok(Some(trained).filter(|trained| !is_constant(&trained.model))),
        Err(ranker::Error::TooFew { .. }) => Ok(None),
        Err(error) => Err(Error::Scorer(error)),
    }
}

/// What was trained, where there were too few rows to fit its probabilities to.
fn too_few(trained: ranker::Trained) -> impl FnOnce(ranker::Error) -> Result<ranker::Trained, Error> {
    move |error| match error {
        ranker::Error::TooFew { .. } => Ok(trained),
        error => Err(Error::Scorer(error)),
    }
}

/// About how many cards there are to learn from: those that were shown from the cut on; where none ever was, the later
/// plays with the cards that are made up for each.
pub(super) fn cards(table: &Table, cut: Timestamp, settings: &ranker::Settings) -> usize {
    match table.shown_from(cut) {
        0 => table.plays_from(cut) * (1 + settings.negatives),
        shown => shown,
    }
}
