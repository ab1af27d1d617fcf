//! Training, from events to a live release: factors, neighbours, popularity and scorer, measured on
//! what happened after a moment, then fitted again to everything, written, read back and promoted.
//!
//! It must not know where events and items come from, nor what the artefacts are used for.

mod content;
mod lineage;
mod matrix;
pub mod ranker;
mod rates;
mod report;
mod scorer;
mod similar;
mod stages;
mod table;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use candidate_generation::index;
use ranking::features::{Distribution, distribution};
use releases::{Parts, Store, promotions::Act};
use shared_models::{ErrorCode, Seed, TenantId, Timestamp, event::Event, item::Item};

use crate::{
    archive,
    checkpoint::Checkpoints,
    ease,
    evaluate::{self, FactorScorer, PopularityScorer, bootstrap},
    events::{Events, InMemory},
    factors,
    gates::{self, Limits},
    neighbours,
    progress::{Progress, Unit},
    segments,
};

pub use content::Told;
pub use report::{Evaluation, TrainReport};

use scorer::Scored;
use stages::Stages;
use table::Table;

/// How long the lists are that recommendations are measured on.
const LENGTH: usize = 20;
/// How often users are drawn again for the intervals.
const BOOTSTRAP: usize = 1_000;
/// The most items of a market's top list.
const TOP_OF_MARKET: usize = 1_000;
/// The most items whose rates are told of one market.
const RATES_OF_MARKET: usize = 4_000;
/// The most listeners that recommendations are measured on, and the most scores that are computed for it: each listener
/// asks for one of every item. A thousand are measured in any case.
const MEASURED: usize = 10_000;
const SCORES: usize = 2_500_000_000;
/// An archive of at least so many bytes of events, some two million of them, is not read into memory.
const STREAM_ABOVE: u64 = 64 << 20;

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
    /// What is popular in segments.
    pub segments: segments::Settings,
    /// The scorer.
    pub scorer: crate::ranker::Settings,
    /// The folder where a training writes down where it stands, so that one that is cut short goes on from there;
    /// nobody else may write into it.
    pub work: Option<PathBuf>,
    /// After how many epochs it does so; 0 is never.
    pub checkpoint_every: usize,
    /// From how many bytes of archived events on they are read file by file instead of into memory. The release is the
    /// same.
    pub stream_above: u64,
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
            segments: segments::Settings::default(),
            scorer: crate::ranker::Settings::default(),
            work: None,
            checkpoint_every: 2,
            stream_above: STREAM_ABOVE,
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
    /// There is no release whose ranker could be trained.
    #[error("there is no live release of {tenant} whose ranker could be trained; train one with `setlist train`")]
    NoLive {
        /// Whose.
        tenant: TenantId,
    },
    /// There is too little to train a ranker on.
    #[error(
        "{rows} cards were seen since {from}, up to when the live release knows everything; its ranker needs at least \
         {needed}, or as many on pages of the past"
    )]
    TooFew {
        /// How many there are.
        rows: usize,
        /// How many it takes.
        needed: usize,
        /// From when on.
        from: Timestamp,
    },
    /// The events could not be read.
    #[error("the events could not be read")]
    Events(#[source] archive::Error),
    /// The factors could not be trained.
    #[error("factors could not be trained")]
    Factors(#[source] factors::Error),
    /// The scorer could not be trained.
    #[error("the scorer could not be trained")]
    Scorer(#[source] crate::ranker::Error),
    /// The scorer could not be written as JSON.
    #[error("the scorer could not be written")]
    ScorerForm(#[source] ranking::scorers::document::Error),
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
            Self::Nothing { .. } | Self::TooFew { .. } => ErrorCode::InvalidArgument,
            Self::NoLive { .. } => ErrorCode::NotFound,
            Self::Events(source) => source.code(),
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
/// As [`train_on`].
pub fn train(
    tenant: &TenantId,
    items: &[Item],
    events: &[Event],
    store: &Store,
    config: &Config,
    progress: &dyn Progress,
) -> Result<TrainReport, Error> {
    train_on(tenant, items, &InMemory(events), store, config, progress)
}

/// Trains a release of a tenant from its catalogue and its events, wherever they are.
///
/// # Errors
/// When there is nothing to train on, the events cannot be read, a solver fails, or the store says no.
pub fn train_on(
    tenant: &TenantId,
    items: &[Item],
    events: &dyn Events,
    store: &Store,
    config: &Config,
    progress: &dyn Progress,
) -> Result<TrainReport, Error> {
    let mut stages = Stages::begin();
    let table = Table::of(items, events, progress).map_err(Error::Events)?;
    if table.len() == 0 {
        return Err(Error::Nothing { items: items.len(), interactions: 0 });
    }
    stages.over("index");

    // What was known before the hold-out is measured on what came after.
    let cut = table.moment_for_share(config.hold_out_share);
    let seen = table.matrix(Some(cut)).map_err(Error::Factors)?;
    let held_out = if seen.is_empty() {
        seen.clone()
    } else {
        table.held_out(&seen, cut, measured_of(table.items.len())).map_err(Error::Factors)?
    };
    let (measured, evaluation) = if seen.is_empty() {
        (None, None)
    } else {
        let model = train_factors(&seen, config, "factors, to measure", progress)?;
        let evaluation = evaluate(&seen, &held_out, &model, config, progress);
        (Some(model), Some(evaluation))
    };
    stages.over("measure");

    // Of what was seen they are both measured and what pages of the past are made with.
    let cosines = Arc::new(neighbours::nearest(&seen, &config.neighbours));
    // The scorer learns from pages after the cut, with factors and popularity of before.
    let scored = match &measured {
        Some(model) => {
            let past = scorer::Past { table: &table, seen: &seen, model, cosines: &cosines, cut };
            scorer::train(tenant, items, events, past, config, progress)?
        }
        None => Scored::default(),
    };
    let was_measured = measured.is_some();
    drop(measured);
    stages.over("scorer");

    let all = table.matrix(None).map_err(Error::Factors)?;
    let factors = train_factors(&all, config, "factors, of everything", progress)?;
    let factors = factors.to_factors().map_err(Error::Factors)?;
    stages.over("factors");

    let popularity = table.popularity(None, TOP_OF_MARKET);
    let segments = table.segments(None, &config.segments);
    let rates = rates::of(&table, &all, None, RATES_OF_MARKET);
    let content = content::learn(items, &table.items, &factors, &all, progress);
    let mut report = TrainReport::new(&table, evaluation, &scored, cut);
    report.content = content.as_ref().map(content::Told::of);
    let mut meta = lineage::meta(&report, &table, config);
    // The largest thing in memory has said all it knows.
    let items = table.into_items();
    stages.over("content");
    let similar = similar::nearest(similar::Past { seen: &seen, held_out: &held_out, cosines }, &all, config, progress);
    stages.over("neighbours");

    let lists = index::build::lists(&factors, index::embedding::Config::default().exact_below);
    stages.over("lists");

    let of = |action: &'static str| move |source| Error::Release { action, source };
    // Held-out listeners as they were before; where nothing could be held out, listeners as they are.
    let (histories, held_out) = if was_measured { (&seen, Some(&held_out)) } else { (&all, None) };
    let Scored { scorer, rows, .. } = scored;
    let golden = gates::golden::make(&gates::golden::Input {
        items: &items,
        histories,
        held_out: held_out.filter(|held_out| !held_out.is_empty()),
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
        items,
        factors: Some(factors),
        lists: Some(lists),
        content: content.map(|learnt| learnt.mapping),
        neighbours: Some(similar.neighbours),
        popularity: Some(popularity),
        rates: Some(rates),
        segments: Some(segments).filter(|segments| !segments.is_empty()),
        scorer: scorer.as_ref().map(|trained| trained.model.to_json()).transpose().map_err(Error::ScorerForm)?,
        blobs,
    };
    report.scorer = scorer;
    if let Some(parent) = store.live(tenant).map_err(of("held against the live one"))? {
        meta.lineage.insert("parent".to_owned(), parent.to_string());
    }
    meta.lineage.insert("neighbours".to_owned(), similar.told);
    report.release = Some(store.write(tenant, &parts, meta).map_err(of("written"))?);
    drop(parts);
    stages.over("write");
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
    stages.over("gates");
    if let Some(Err(error)) = checkpoints(config).map(|checkpoints| checkpoints.clear()) {
        tracing::warn!(error = error.to_string(), "checkpoints of a training that is over could not be removed");
    }
    stages.end();
    (report.seconds, report.peaks) = (stages.seconds, stages.peaks);
    Ok(report)
}

/// How many listeners are measured on a catalogue of so many items.
fn measured_of(items: usize) -> usize {
    (SCORES / items.max(1)).clamp(MEASURED / 10, MEASURED)
}

fn checkpoints(config: &Config) -> Option<Checkpoints> {
    config.work.clone().map(|folder| Checkpoints { folder, every: config.checkpoint_every })
}

fn train_factors(
    matrix: &factors::Interactions,
    config: &Config,
    name: &str,
    progress: &dyn Progress,
) -> Result<factors::Model, Error> {
    let stage = progress.stage(name, Unit::Steps, Some(config.factors.epochs as u64));
    let settings = factors::Settings { seed: config.seed, ..config.factors.clone() };
    let mut resumed = String::new();
    let model = factors::train_resumable(matrix, &settings, checkpoints(config).as_ref(), &mut |epoch| {
        stage.advance(1);
        if epoch.resumed {
            resumed = format!(", resumed after epoch {}", epoch.number);
        }
    });
    let model = model.map_err(Error::Factors)?;
    stage.finish(&format!("{} users, {} items, {} pairs{resumed}", matrix.rows(), matrix.columns(), matrix.len()));
    Ok(model)
}

fn evaluate(
    seen: &factors::Interactions,
    held_out: &factors::Interactions,
    model: &factors::Model,
    config: &Config,
    progress: &dyn Progress,
) -> Evaluation {
    let stage = progress.stage("measure", Unit::Steps, Some(2));
    let measure = |scorer: &dyn evaluate::Scorer| {
        let mut at = evaluate::measure(scorer, seen, held_out, &[LENGTH]);
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
    evaluation
}
