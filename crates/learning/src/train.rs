//! Training, from events to a live release: factors, neighbours, popularity and scorer, measured on
//! what happened after a moment, then fitted again to everything, written, read back and promoted.
//!
//! It must not know where events and items come from, nor what the artefacts are used for.

mod matrix;
mod rates;
mod report;
mod similar;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use candidate_generation::index;
use ranking::features::{Distribution, distribution, schema_hash};
use releases::{Meta, Parts, Release, Store, Window, promotions::Act};
use shared_models::{ErrorCode, Seed, TenantId, Timestamp, event::Event, item::Item};

use crate::{
    ease,
    evaluate::{self, FactorScorer, PopularityScorer, bootstrap},
    factors,
    gates::{self, Limits},
    neighbours,
    progress::{Progress, Unit},
    ranker::{self, facts::Catalogue, replay},
};

pub use report::{Evaluation, TrainReport};

use matrix::Table;

/// How long the lists are that recommendations are measured on.
const LENGTH: usize = 20;
/// How often users are drawn again for the intervals.
const BOOTSTRAP: usize = 1_000;
/// The most items of a market's top list.
const TOP_OF_MARKET: usize = 1_000;
/// The most items whose rates are told of one market.
const RATES_OF_MARKET: usize = 4_000;

/// How a release is trained.
#[derive(Clone, Debug)]
pub struct Config {
    /// The moment of the training; the release says so.
    pub now: Timestamp,
    /// The share of events, the latest, that the measured artefacts are not trained on.
    pub hold_out_share: f64,
    /// The factors.
    pub factors: factors::Settings,
    /// The item-to-item neighbours.
    pub neighbours: neighbours::Settings,
    /// The other way to neighbours, taken where it finds more of what was held out and the data are small enough.
    pub closed_form: ease::Settings,
    /// The scorer.
    pub scorer: ranker::Settings,
    /// Whether the release goes live, if every gate lets it through.
    pub promote: bool,
    /// What the gates allow.
    pub limits: Limits,
    /// Who trains, for the log of promotions.
    pub by: String,
    /// The version of this code.
    pub code_version: String,
    /// Where the data come from; it goes into the manifest's lineage.
    pub lineage: BTreeMap<String, String>,
    /// The source of every draw.
    pub seed: Seed,
}

impl Config {
    /// The settings for a catalogue of tens of thousands of items.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            hold_out_share: 0.2,
            // The plain form: what damping and spreading bring was measured on Gowalla alone.
            factors: factors::Settings {
                alpha: 2.0,
                epochs: 10,
                regularisation: 0.003,
                item_damping: 0.0,
                user_damping: 0.0,
                spread: false,
                ..factors::Settings::default()
            },
            neighbours: neighbours::Settings::default(),
            // Damped by the exponents that served best on Last.fm; 4,096 of the shorter side take some ten seconds.
            closed_form: ease::Settings {
                regularisation: 200.0,
                item_exponent: 0.2,
                largest: 4_096,
                ..ease::Settings::default()
            },
            scorer: ranker::Settings::default(),
            promote: true,
            limits: Limits::default(),
            by: "setlist train".to_owned(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            lineage: BTreeMap::new(),
            seed: Seed(1),
        }
    }
}

/// Why there is no release.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to train on.
    #[error("there are {items} items and {interactions} interactions with them; import a catalogue and events first")]
    Nothing {
        /// Items of the catalogue.
        items: usize,
        /// Interactions with one of them.
        interactions: usize,
    },
    /// The factors could not be trained.
    #[error("factors could not be trained")]
    Factors(#[source] factors::Error),
    /// The scorer could not be trained.
    #[error("the scorer could not be trained")]
    Scorer(#[source] ranker::Error),
    /// The scorer could not be written as JSON.
    #[error("the scorer could not be written")]
    ScorerForm(#[source] ranking::scorers::linear::Error),
    /// The spread of the features could not be written as JSON.
    #[error("the spread of the features could not be written")]
    Spread(#[source] serde_json::Error),
    /// The release could not be made, written, read back or promoted.
    #[error("the release could not be {action}")]
    Release {
        /// What was being done, as a participle.
        action: &'static str,
        /// Why.
        #[source]
        source: releases::Error,
    },
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing { .. } => ErrorCode::InvalidArgument,
            Self::Factors(source) => source.code(),
            Self::Scorer(source) => source.code(),
            Self::ScorerForm(source) => source.code(),
            Self::Spread(_) => ErrorCode::Internal,
            Self::Release { source, .. } => source.code(),
        }
    }
}

/// Trains a release of a tenant from its catalogue and its events, which need be in no order.
///
/// # Errors
/// When there is nothing to train on, a solver fails, or the store says no.
pub fn train(
    tenant: &TenantId,
    items: &[Item],
    events: &[Event],
    store: &Store,
    config: &Config,
    progress: &dyn Progress,
) -> Result<TrainReport, Error> {
    let started = Instant::now();
    let mut seconds: Vec<(&'static str, f64)> = Vec::new();
    let mut timed = |name: &'static str, since: Instant| seconds.push((name, since.elapsed().as_secs_f64()));
    let at = Instant::now();
    let table = Table::of(items, events);
    if table.touches.is_empty() {
        return Err(Error::Nothing { items: items.len(), interactions: 0 });
    }
    timed("index", at);

    // What was known before the hold-out is measured on what came after.
    let at = Instant::now();
    let cut = table.moment_for_share(config.hold_out_share);
    let seen = table.matrix(Some(cut)).map_err(Error::Factors)?;
    let (measured, evaluation) = if seen.is_empty() {
        (None, None)
    } else {
        let model = train_factors(&seen, config, "factors, to measure", progress)?;
        let evaluation = evaluate(&table, &seen, &model, cut, config, progress)?;
        (Some(model), Some(evaluation))
    };
    timed("measure", at);

    // The scorer learns from pages after the cut, with factors and popularity of before.
    let at = Instant::now();
    let (scorer, rows) = match &measured {
        Some(model) => train_scorer(tenant, items, events, &table, &seen, model, cut, config, progress)?,
        None => (None, None),
    };
    timed("scorer", at);

    let at = Instant::now();
    let all = table.matrix(None).map_err(Error::Factors)?;
    let model = train_factors(&all, config, "factors, of everything", progress)?;
    timed("factors", at);

    let at = Instant::now();
    let similar = similar::nearest(&table, &all, cut, config, progress)?;
    timed("neighbours", at);

    let at = Instant::now();
    let factors = model.to_factors().map_err(Error::Factors)?;
    let lists = index::build::lists(&factors, index::embedding::Config::default().exact_below);
    timed("lists", at);

    let at = Instant::now();
    let of = |action: &'static str| move |source| Error::Release { action, source };
    // Held-out listeners as they were before; where nothing could be held out, listeners as they are.
    let (histories, held_out) = match &measured {
        Some(_) => (&seen, Some(table.held_out(&seen, cut).map_err(Error::Factors)?)),
        None => (&all, None),
    };
    let golden = gates::golden::make(&gates::golden::Input {
        items: &table.items,
        histories,
        held_out: held_out.as_ref().filter(|held_out| !held_out.is_empty()),
        factors: Some(&factors),
        neighbours: Some(&similar.neighbours),
        scorer: scorer.as_ref().map(|trained| &trained.model).zip(rows.as_ref()),
    });
    let golden = golden.map_err(of("given golden requests"))?;
    let mut blobs = BTreeMap::from([(releases::golden::FILE.to_owned(), golden)]);
    if let Some(rows) = rows.as_ref().filter(|_| scorer.is_some()) {
        let spread = Distribution::of_rows(&rows.features).encode().map_err(Error::Spread)?;
        blobs.insert(distribution::FILE.to_owned(), spread);
    }
    let parts = Parts {
        items: table.items.clone(),
        factors: Some(factors),
        lists: Some(lists),
        neighbours: Some(similar.neighbours),
        popularity: Some(table.popularity(None, TOP_OF_MARKET)),
        rates: Some(rates::of(&table.items, events, &all, None, RATES_OF_MARKET)),
        scorer: scorer.as_ref().map(|trained| trained.model.to_json()).transpose().map_err(Error::ScorerForm)?,
        blobs,
    };
    let mut report = TrainReport::new(&table, evaluation, scorer, rows.as_ref(), cut);
    let mut meta = meta(&report, &table, config);
    if let Some(parent) = store.live(tenant).map_err(of("held against the live one"))? {
        meta.lineage.insert("parent".to_owned(), parent.to_string());
    }
    meta.lineage.insert("neighbours".to_owned(), similar.told);
    report.release = Some(store.write(tenant, &parts, meta).map_err(of("written"))?);
    if let Some(id) = &report.release {
        // Read back with every check that a service makes: what would be refused never goes live.
        let act = Act { at: config.now, by: config.by.clone(), why: "trained".to_owned(), ..Act::default() };
        let verdict = if config.promote {
            gates::promote(store, tenant, id, &config.limits, act, None).map_err(of("promoted"))?
        } else {
            gates::judge(store, tenant, id, &config.limits).map_err(of("judged"))?
        };
        report.promoted = verdict.promoted;
        report.verdict = Some(verdict);
    }
    timed("write", at);
    seconds.push(("all", started.elapsed().as_secs_f64()));
    report.seconds = seconds;
    Ok(report)
}

fn train_factors(
    matrix: &factors::Interactions,
    config: &Config,
    name: &str,
    progress: &dyn Progress,
) -> Result<factors::Model, Error> {
    let stage = progress.stage(name, Unit::Steps, Some(config.factors.epochs as u64));
    let settings = factors::Settings { seed: config.seed, ..config.factors.clone() };
    let model = factors::train(matrix, &settings, &mut |_| stage.advance(1)).map_err(Error::Factors)?;
    stage.finish(&format!("{} users, {} items, {} pairs", matrix.rows(), matrix.columns(), matrix.len()));
    Ok(model)
}

fn evaluate(
    table: &Table,
    seen: &factors::Interactions,
    model: &factors::Model,
    cut: Timestamp,
    config: &Config,
    progress: &dyn Progress,
) -> Result<Evaluation, Error> {
    let stage = progress.stage("measure", Unit::Steps, Some(2));
    let held_out = table.held_out(seen, cut).map_err(Error::Factors)?;
    let measure = |scorer: &dyn evaluate::Scorer| {
        let mut at = evaluate::measure(scorer, seen, &held_out, &[LENGTH]);
        stage.advance(1);
        at.pop()
    };
    let (trained, popular) = (measure(&FactorScorer(model)), measure(&PopularityScorer::new(seen)));
    let interval = |values: Option<&Vec<f32>>| bootstrap(values.map_or(&[][..], Vec::as_slice), BOOTSTRAP, config.seed);
    let evaluation = Evaluation {
        k: LENGTH,
        users: trained.as_ref().map_or(0, |at| at.recall.len()),
        held_out: held_out.len(),
        recall: interval(trained.as_ref().map(|at| &at.recall)),
        ndcg: interval(trained.as_ref().map(|at| &at.ndcg)),
        coverage: trained.as_ref().map_or(0.0, |at| at.coverage),
        popularity_recall: interval(popular.as_ref().map(|at| &at.recall)),
        popularity_ndcg: interval(popular.as_ref().map(|at| &at.ndcg)),
    };
    stage.finish(&evaluation.to_string());
    Ok(evaluation)
}

type ScorerAndRows = (Option<ranker::Trained>, Option<replay::Rows>);

#[expect(clippy::too_many_arguments, reason = "one call site; a struct would name the same nine things twice")]
fn train_scorer(
    tenant: &TenantId,
    items: &[Item],
    events: &[Event],
    table: &Table,
    seen: &factors::Interactions,
    model: &factors::Model,
    cut: Timestamp,
    config: &Config,
    progress: &dyn Progress,
) -> Result<ScorerAndRows, Error> {
    let parts = Parts {
        items: table.items.clone(),
        factors: Some(model.to_factors().map_err(Error::Factors)?),
        popularity: Some(table.popularity(Some(cut), TOP_OF_MARKET)),
        neighbours: Some(neighbours::nearest(seen, &config.neighbours)),
        rates: Some(rates::of(&table.items, events, seen, Some(cut), RATES_OF_MARKET)),
        ..Parts::default()
    };
    let release = Release::in_memory(tenant.clone(), Meta::default(), parts)
        .map_err(|source| Error::Release { action: "made", source })?;
    let release = Arc::new(release);
    let catalogue = Catalogue::of(items);
    let settings = ranker::Settings { seed: config.seed, ..config.scorer.clone() };
    let ordered = in_time_order(events);
    let stage = progress.stage("replay", Unit::Rows, Some(events.len() as u64));
    let input = replay::Input {
        tenant,
        events: ordered.as_deref().unwrap_or(events),
        catalogue: &catalogue,
        release: &release,
        from: cut,
    };
    let rows = replay::replay(input, &settings, stage.as_ref());
    {
        let paged = ranker::pages::Settings::default();
        let at = std::time::Instant::now();
        let input = ranker::pages::Input {
            tenant,
            items,
            events: ordered.as_deref().unwrap_or(events),
            release: &release,
            from: cut,
        };
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
    stage.finish(&format!("{} rows of {} pages, from {}", rows.len(), rows.pages, rows.source.as_str()));
    let stage = progress.stage("scorer", Unit::Steps, None);
    match ranker::fit(&rows, &settings) {
        // Nothing that it was shown told one card from another: the cold model does better.
        Ok(trained) if ranking::golden::is_constant(&trained.model) => {
            stage.finish("no feature tells cards apart: the release has no scorer");
            Ok((None, Some(rows)))
        }
        Ok(trained) => {
            stage.finish(&format!("{} rows", rows.len()));
            Ok((Some(trained), Some(rows)))
        }
        // A release without scorer serves: ranking falls back to its cold model and says so.
        Err(ranker::Error::TooFew { .. }) => {
            stage.finish("too few rows: the release has no scorer");
            Ok((None, Some(rows)))
        }
        Err(error) => Err(Error::Scorer(error)),
    }
}

/// The events in time order, copied only when they are not.
fn in_time_order(events: &[Event]) -> Option<Vec<Event>> {
    let in_order = events.is_sorted_by(|a, b| a.occurred_at <= b.occurred_at);
    (!in_order).then(|| {
        let mut events = events.to_vec();
        events.sort_by(|a, b| a.occurred_at.cmp(&b.occurred_at).then_with(|| a.id.cmp(&b.id)));
        events
    })
}

fn meta(report: &TrainReport, table: &Table, config: &Config) -> Meta {
    let mut lineage = config.lineage.clone();
    let entry =
        |lineage: &mut BTreeMap<String, String>, key: &str, value: String| lineage.insert(key.to_owned(), value);
    let f = &config.factors;
    entry(&mut lineage, "seed", config.seed.0.to_string());
    entry(
        &mut lineage,
        "factors",
        format!(
            "dimensions {} epochs {} alpha {} regularisation {} exponent {}",
            f.dimensions, f.epochs, f.alpha, f.regularisation, f.regularisation_exponent
        ),
    );
    entry(&mut lineage, "measured_before", report.cut.to_string());
    if let Some(source) = report.scorer_source {
        entry(&mut lineage, "scorer_rows", source.as_str().to_owned());
    }
    Meta {
        created_at: config.now,
        feature_schema: if report.scorer.is_some() { schema_hash() } else { 0 },
        metrics: report.metrics(),
        window: Window { from: table.first, to: Timestamp(table.last.0.saturating_add(1)) },
        counts: report.counts.clone(),
        lineage,
        code_version: config.code_version.clone(),
        notes: report.notes.join("; "),
    }
}
