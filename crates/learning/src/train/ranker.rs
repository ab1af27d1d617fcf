//! Training the ranker alone: scorer, calibrations and what they need, from recommendation records and what came of them.
//! The release that comes of it has the live one's candidate models, file by file, and goes through the same gates.
//!
//! It must not know where events, records and items come from. **Invariant:** it learns from what happened after the live
//! release's data end: the factors and popularity that features are made of know nothing of it.

mod report;

use std::{collections::BTreeMap, sync::Arc};

use ranking::{
    features::{Distribution, distribution, schema_hash},
    scorers::Model,
};
use releases::{Manifest, Meta, Release, Store, golden, promotions::Act, release::SCORER};
use rustc_hash::FxHashSet;
use shared_models::{ItemKey, ReleaseId, TenantId, Timestamp, UserKey, event::Event, item::Item};

use super::{
    Config, Error,
    scorer::{self, AT_HAND, Chosen, REMEMBERED_MS},
    stages::Stages,
    table::Table,
};
use crate::{
    events::{Events, Sample},
    gates,
    progress::{Progress, Unit},
    ranker::{
        self, FEWEST, Rows, Source,
        facts::Catalogue,
        position,
        records::{self, Record},
        replay,
        trend::Trends,
    },
};

pub use report::RankerReport;

/// What a ranker is trained on.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// The catalogue.
    pub items: &'a [Item],
    /// The events.
    pub events: &'a dyn Events,
    /// The answers that listeners got.
    pub records: &'a [Record],
}

/// The moment from which on a live release's ranker can be trained: the end of the data that its candidate models know.
///
/// # Errors
/// When there is no live release, or the store says no.
pub fn since(store: &Store, tenant: &TenantId) -> Result<Timestamp, Error> {
    Ok(live(store, tenant)?.1.window.to)
}

fn live(store: &Store, tenant: &TenantId) -> Result<(ReleaseId, Manifest), Error> {
    let of = |action: &'static str| move |source| Error::Release { action, source };
    let id = store.live(tenant).map_err(of("found"))?.ok_or_else(|| Error::NoLive { tenant: tenant.clone() })?;
    let manifest = store.manifest(tenant, &id).map_err(of("read"))?;
    Ok((id, manifest))
}

/// Trains the ranker of a tenant's live release.
///
/// # Errors
/// When there is no live release or too little to learn from, the events cannot be read, or the store says no.
pub fn train(input: Input<'_>, store: &Store, config: &Config, progress: &dyn Progress) -> Result<RankerReport, Error> {
    let mut stages = Stages::begin();
    let of = |action: &'static str| move |source| Error::Release { action, source };
    let (parent, manifest) = live(store, input.tenant)?;
    let from = manifest.window.to;
    let release = Arc::new(store.load(input.tenant, &parent).map_err(of("read"))?);
    let before = Model::of(&release).map_err(Error::ScorerForm)?;
    stages.over("read");

    let mut report = RankerReport::new(parent, from);
    let settings = ranker::Settings { seed: config.seed, ..config.scorer.clone() };
    let (rows, pages) = examples(input, &release, from, &settings, &mut report, progress)?;
    stages.over("examples");

    let stage = progress.stage("scorer", Unit::Steps, None);
    let chosen = scorer::choose(&rows, &pages, &settings, before.as_ref())?;
    let Some(Chosen { trained, source, effect, effect_of_other }) = chosen else {
        return Err(Error::TooFew { rows: rows.len(), needed: FEWEST, from });
    };
    stage.finish(&format!("{}, learnt from {}", trained.model.kind(), source.as_str()));
    if let Some(before) = &before {
        // The same rows by the live scorer, which has not seen them either: they are later than what it was fitted to.
        report.live = ranker::tested(before, &rows, &settings).unwrap_or_default();
    }
    report.examination = examined(&trained.model, &rows);
    (report.source, report.effect, report.effect_of_live) = (Some(source), effect, effect_of_other);
    stages.over("scorer");

    let meta = meta(&report, &trained, &manifest, config);
    let golden_requests = golden::Golden::of(&release).ok().flatten();
    let made = [
        (SCORER, trained.model.to_json().map_err(Error::ScorerForm)?),
        (
            golden::FILE,
            gates::golden::with_cards(golden_requests, &trained.model, &rows).map_err(of("given golden requests"))?,
        ),
        (distribution::FILE, Distribution::of_rows(&rows.features).encode().map_err(Error::Spread)?),
    ];
    report.scorer = Some(trained);
    let mut writer = store.writer(input.tenant).map_err(of("written"))?;
    for name in manifest.files.keys().filter(|name| !made.iter().any(|(made, _)| made == name)) {
        writer.add_from(&manifest, name).map_err(of("written"))?;
    }
    for (name, bytes) in &made {
        writer.add_file(name, bytes).map_err(of("written"))?;
    }
    let id = writer.commit(meta).map_err(of("written"))?;
    stages.over("write");

    let act = Act { at: config.now, by: config.by.clone(), why: "its ranker was trained".to_owned(), ..Act::default() };
    let verdict = if config.promote {
        gates::promote(store, input.tenant, &id, &config.limits, act, None).map_err(of("promoted"))?
    } else {
        gates::judge(store, input.tenant, &id, &config.limits).map_err(of("judged"))?
    };
    (report.promoted, report.verdict, report.release) = (verdict.promoted, Some(verdict), Some(id));
    stages.over("gates");
    stages.end();
    report.seconds = stages.seconds;
    Ok(report)
}

/// The rows of cards that were seen, and pages of the past. Where nothing was recorded, the cards are those of impressions.
fn examples(
    input: Input<'_>,
    release: &Arc<Release>,
    from: Timestamp,
    settings: &ranker::Settings,
    report: &mut RankerReport,
    progress: &dyn Progress,
) -> Result<(Rows, Vec<ranker::pages::Page>), Error> {
    let table = Table::of(input.items, input.events, progress).map_err(Error::Events)?;
    let catalogue = Catalogue::of(input.items);
    let recorded: usize = input.records.iter().map(|record| record.cards.len()).sum();
    let shown = if recorded > 0 { recorded } else { scorer::cards(&table, from, settings) };
    let sample = Sample::of(settings.rows as f64 * AT_HAND / shown.max(1) as f64);
    let events = input.events.of(sample, progress).map_err(Error::Events)?;
    let wanted: FxHashSet<ItemKey> = events.iter().map(Event::item_key).collect();
    let trends = Trends::of(table.plays_of(&wanted), settings.trend_half_life);
    let is_asked = |record: &&Record| record.at >= from && sample.holds(UserKey::of(&record.user));
    let records: Vec<Record> = input.records.iter().filter(is_asked).cloned().collect();
    report.window = (from, records.last().map_or(from, |record| record.at).max(table.last));

    let stage = progress.stage("join records", Unit::Steps, Some(records.len() as u64));
    let tenant = input.tenant;
    let joining =
        records::Input { tenant, records: &records, events: &events, trends: &trends, catalogue: &catalogue, release };
    let (mut rows, joined) = records::join(joining, settings, stage.as_ref());
    stage.finish(&format!("{} of {} cards of {} answers were seen", joined.seen, joined.cards, joined.answers));
    report.joined = joined;
    if rows.len() < FEWEST {
        let stage = progress.stage("replay", Unit::Rows, Some(events.len() as u64));
        let input = replay::Input { tenant, events: &events, trends: &trends, catalogue: &catalogue, release, from };
        let replayed = replay::replay(input, settings, stage.as_ref());
        stage.finish(&format!("{} rows, from {}", replayed.len(), replayed.source.as_str()));
        if replayed.source == Source::Impressions && replayed.len() > rows.len() {
            report
                .notes
                .push("too few of the cards that were seen are recorded: the rows are of impressions".to_owned());
            rows = replayed;
        }
    }
    report.rows = Some((rows.len(), rows.source));

    let paged = ranker::pages::Settings {
        pages: settings.pages,
        trend_half_life: settings.trend_half_life,
        seed: settings.seed,
        ..ranker::pages::Settings::default()
    };
    let stage = progress.stage("pages of the past", Unit::Steps, Some(paged.pages as u64));
    let plays = table.plays_since(Timestamp(from.0.saturating_sub(REMEMBERED_MS)));
    let asked = ranker::pages::Input { tenant, items: input.items, events: &events, plays: &plays, release, from };
    let pages = ranker::pages::pages(asked, &paged, stage.as_ref());
    stage.finish(&format!("{} pages", pages.len()));
    Ok((rows, pages))
}

/// How likely cards were looked at by their place, as far as the records tell.
fn examined(model: &Model, rows: &Rows) -> Vec<(f64, usize)> {
    use ranking::scorers::Scorer as _;
    if rows.places.len() != rows.len() {
        return Vec::new();
    }
    let play = shared_models::component::Action::Play as usize;
    let scores: Vec<f32> = model.predict(&rows.matrix(0..rows.len())).iter().map(|told| told[play]).collect();
    let played: Vec<bool> = rows.labels.iter().map(|labels| labels[play]).collect();
    let found = position::examination(&rows.places, &scores, &played);
    found.by_place.into_iter().zip(found.cards).collect()
}

/// The parent's manifest with what the ranker's training changed. Its window stays: it is that of the candidate models,
/// and the next training of a ranker begins there, too.
fn meta(report: &RankerReport, trained: &ranker::Trained, parent: &Manifest, config: &Config) -> Meta {
    let mut metrics = parent.metrics.clone();
    let is_old = |name: &str| {
        let of_action = shared_models::component::Action::ALL
            .iter()
            .any(|action| name.strip_prefix(action.as_str()).is_some_and(|rest| rest.starts_with('_')));
        of_action || name.starts_with("page_")
    };
    metrics.retain(|name, _| !is_old(name));
    metrics.extend(report.metrics(trained));
    let mut lineage: BTreeMap<String, String> = parent.lineage.clone();
    lineage.extend(config.lineage.clone());
    let root = parent.lineage.get("candidates_of").cloned().unwrap_or_else(|| parent.id.to_string());
    lineage.insert("candidates_of".to_owned(), root);
    lineage.insert("parent".to_owned(), parent.id.to_string());
    lineage.insert("scorer_rows".to_owned(), report.source.map_or("none", Source::as_str).to_owned());
    lineage.insert("scorer_window".to_owned(), format!("{} to {}", report.window.0, report.window.1));
    let mut counts = parent.counts.clone();
    counts.insert("scorer_rows".to_owned(), report.rows.map_or(0, |(rows, _)| rows as u64));
    counts.insert("recorded_answers".to_owned(), report.joined.answers as u64);
    counts.insert("seen_cards".to_owned(), report.joined.seen as u64);
    Meta {
        created_at: config.now,
        feature_schema: schema_hash(),
        metrics,
        window: parent.window,
        counts,
        lineage,
        code_version: config.code_version.clone(),
        notes: report.notes.join("; "),
    }
}
