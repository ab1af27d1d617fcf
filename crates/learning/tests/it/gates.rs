//! The gates from outside: a trained release passes them, a bad one is held back by the gate that is meant for it, and
//! learning again and again goes through them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use learning::{
    archive::Archive,
    config::Learn,
    gates::{self, Diff, Gate, Limits, Outcome, Verdict},
    learner::{Items, Learner, Learnt},
    metrics::LearningMetrics,
    progress::Silent,
    train::{self, train},
    world::{self, World, generate},
};
use ranking::scorers::LinearModel;
use releases::{Factors, Manifest, Meta, Parts, Release, Store, golden, promotions::Act};
use service_runtime::Runtime;
use shared_models::{Clock, ReleaseId, Seed, SystemClock, TenantId, Timestamp, item::Item};

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn small(seed: u64) -> World {
    generate(&world::Config::small(Seed(seed), NOW), &Silent).unwrap()
}

/// A store with a trained release that is live.
struct Stand {
    _folder: tempfile::TempDir,
    store: Store,
    live: Release,
}

impl Stand {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let world = small(seed);
        let mut config = train::Config::new(NOW);
        config.factors.epochs = 4;
        config.factors.dimensions = 16;
        // Of what was shown alone, which is too little for trees: the tests below change the weights of a linear model.
        config.scorer.pages = 0;
        let report = train(&tenant(), &world.items, &world.events, &store, &config, &Silent).unwrap();
        let verdict = report.verdict.clone().unwrap();
        println!("{verdict}");
        assert!(report.promoted && verdict.passed(), "{verdict}");
        let live = store.load(&tenant(), report.release.as_ref().unwrap()).unwrap();
        Self { _folder: folder, store, live }
    }

    /// Another release, made of the live one.
    fn other(&self, change: impl FnOnce(&mut Parts, &mut Meta)) -> ReleaseId {
        let (mut parts, mut meta) = (parts_of(&self.live), meta_of(&self.live.manifest));
        meta.notes = "another one".to_owned();
        change(&mut parts, &mut meta);
        self.store.write(&tenant(), &parts, meta).unwrap()
    }

    fn judge(&self, id: &ReleaseId, limits: &Limits) -> Verdict {
        gates::judge(&self.store, &tenant(), id, limits).unwrap()
    }

    fn promote(&self, id: &ReleaseId, force: Option<&str>) -> Verdict {
        gates::promote(&self.store, &tenant(), id, &Limits::default(), Act::now("ada", "a test"), force).unwrap()
    }

    fn is_live(&self, id: &ReleaseId) -> bool {
        self.store.live(&tenant()).unwrap().as_ref() == Some(id)
    }
}

fn parts_of(release: &Release) -> Parts {
    Parts {
        items: release.items.to_vec(),
        factors: release.factors.clone(),
        // They are those of the factors that the release had; without, the service makes its own.
        lists: None,
        content: release.content.clone(),
        neighbours: release.neighbours.clone(),
        popularity: release.popularity.clone(),
        rates: release.rates.clone(),
        segments: release.segments.clone(),
        scorer: release.scorer.clone(),
        blobs: release.blobs.clone(),
    }
}

fn change(factors: &mut Factors, change: impl FnOnce(&mut [f32])) {
    let mut values = factors.values.to_vec();
    change(&mut values);
    factors.values = values.into();
}

fn meta_of(manifest: &Manifest) -> Meta {
    Meta {
        created_at: manifest.created_at,
        feature_schema: manifest.schema.feature_schema,
        metrics: manifest.metrics.clone(),
        window: manifest.window,
        counts: manifest.counts.clone(),
        lineage: manifest.lineage.clone(),
        code_version: manifest.code_version.clone(),
        notes: manifest.notes.clone(),
    }
}

fn flat_scorer(bytes: &[u8]) -> Vec<u8> {
    let mut model = LinearModel::from_json(bytes).unwrap();
    model.actions.iter_mut().for_each(|action| action.weights.fill(0.0));
    model.to_json().unwrap()
}

type Change = fn(&mut Parts, &mut Meta);

/// Releases that are whole and bad all the same, each with the gate that holds it back.
const BAD: &[(&str, Gate, Change)] = &[
    ("features of another schema", Gate::FeatureSchema, |_, meta| meta.feature_schema ^= 1),
    ("no feature schema", Gate::FeatureSchema, |_, meta| meta.feature_schema = 0),
    ("a scorer of another form", Gate::Ranking, |parts, _| parts.scorer = Some(b"{\"form\": 2}".to_vec())),
    ("a scorer of another schema", Gate::Ranking, |parts, _| {
        let text = String::from_utf8(parts.scorer.take().unwrap()).unwrap();
        parts.scorer = Some(text.replacen("\"feature_schema\": \"", "\"feature_schema\": \"0", 1).into_bytes());
    }),
    ("constant scores", Gate::Ranking, |parts, _| parts.scorer = parts.scorer.as_deref().map(flat_scorer)),
    ("a scorer that is not the golden cards' one", Gate::Ranking, |parts, _| {
        let mut model = LinearModel::from_json(parts.scorer.as_ref().unwrap()).unwrap();
        model.actions.iter_mut().for_each(|action| action.weights.reverse());
        parts.scorer = Some(model.to_json().unwrap());
    }),
    ("items that are all alike", Gate::Candidates, |parts, _| {
        let values = vec![0.25; parts.items.len() * 8];
        parts.factors = Some(Factors::new(8, &values, 2.0, 0.01, 1.0).unwrap());
        parts.content = None;
    }),
    ("factors of other items", Gate::Candidates, |parts, _| {
        let factors = parts.factors.as_mut().unwrap();
        let stride = factors.stride();
        change(factors, |values| values.rotate_left(stride));
    }),
    ("factors with another sign", Gate::Candidates, |parts, _| {
        let turn = |values: &mut [f32]| values.iter_mut().step_by(3).for_each(|value| *value = -*value);
        change(parts.factors.as_mut().unwrap(), turn);
    }),
    ("another regularisation", Gate::Candidates, |parts, _| parts.factors.as_mut().unwrap().regularisation *= 40.0),
    ("another alpha", Gate::Candidates, |parts, _| parts.factors.as_mut().unwrap().alpha *= 40.0),
    ("no neighbours but of nothing", Gate::Candidates, |parts, _| {
        let neighbours = parts.neighbours.as_mut().unwrap();
        neighbours.items.clear();
        neighbours.scores.clear();
        neighbours.offsets.fill(0);
    }),
    ("neighbours of other items", Gate::Candidates, |parts, _| {
        let (rows, neighbours) = (parts.items.len() as u32, parts.neighbours.as_mut().unwrap());
        neighbours.items.iter_mut().for_each(|item| *item = (*item + 1) % rows);
    }),
    ("golden requests that cannot be read", Gate::Candidates, |parts, _| {
        parts.blobs.insert(golden::FILE.to_owned(), b"{\"form\": 1}".to_vec());
    }),
    ("no golden requests", Gate::Golden, |parts, _| drop(parts.blobs.remove(golden::FILE))),
    ("golden requests for nothing", Gate::Golden, |parts, _| {
        let nothing = golden::Golden { form: golden::FORM, ..golden::Golden::default() };
        parts.blobs.insert(golden::FILE.to_owned(), nothing.encode().unwrap());
    }),
    ("a recall below the live interval", Gate::Quality, |_, meta| {
        let low = meta.metrics["recall@20_low"];
        meta.metrics.insert("recall@20".to_owned(), low * 0.9);
    }),
    ("probabilities further off than the live ones", Gate::Calibration, |_, meta| {
        for end in ["", "_low", "_high"] {
            meta.metrics.insert(format!("play_calibration_error{end}"), 0.6);
        }
    }),
    ("no measurement", Gate::Quality, |_, meta| meta.metrics.clear()),
];

#[test]
fn bad_releases_are_held_back_each_by_the_gate_that_is_meant_for_it() {
    let stand = Stand::new(21);
    assert!(stand.promote(&stand.other(|_, _| {}), None).promoted, "the same with other notes passes");
    let live = stand.store.live(&tenant()).unwrap().unwrap();
    for (name, gate, change) in BAD {
        let bad = stand.other(*change);
        let verdict = stand.promote(&bad, None);
        let failed: Vec<&str> = verdict.failed().map(|finding| finding.gate.as_str()).collect();
        println!("{name}: {}", verdict.reasons());
        assert!(failed.contains(&gate.as_str()) && !verdict.promoted, "{name}: {verdict}");
        assert!(stand.is_live(&live), "{name} is live");
    }
}

#[test]
fn what_is_too_large_or_too_slow_is_held_back() {
    let stand = Stand::new(22);
    let other = stand.other(|_, _| {});
    let outcome = |limits: Limits, gate: Gate| {
        let verdict = stand.judge(&other, &limits);
        println!("{verdict}");
        verdict.findings.iter().find(|finding| finding.gate == gate).unwrap().outcome
    };
    let limits = Limits::default();
    assert_eq!(outcome(Limits { max_bytes: 1_000, ..limits }, Gate::Size), Outcome::Failed);
    assert_eq!(outcome(Limits { load_within: Duration::from_nanos(1), ..limits }, Gate::Latency), Outcome::Failed);
    assert_eq!(outcome(Limits { answer_within: Duration::from_nanos(1), ..limits }, Gate::Latency), Outcome::Failed);
    // Ten times as large: a blob that nobody reads.
    let large = stand.other(|parts, _| drop(parts.blobs.insert("ballast.bin".to_owned(), vec![7; 70 << 20])));
    let verdict = stand.promote(&large, None);
    assert_eq!(verdict.failed().map(|finding| finding.gate).collect::<Vec<_>>(), [Gate::Size], "{verdict}");
}

#[test]
fn a_judgement_can_be_overridden_with_a_reason_and_the_log_says_so() {
    let stand = Stand::new(23);
    let worse = stand.other(|_, meta| {
        meta.metrics.insert("recall@20".to_owned(), 0.0);
    });
    assert!(!stand.promote(&worse, None).promoted);
    assert!(stand.promote(&worse, Some("the hold-out was a holiday")).promoted);
    assert!(stand.is_live(&worse));
    let log = stand.store.promotions(&tenant()).unwrap();
    let line = log.last().unwrap();
    assert_eq!((line.by.as_str(), line.why.as_str()), ("ada", "the hold-out was a holiday"));
    assert_eq!((&line.to, line.from.as_ref()), (&worse, Some(stand.live.id())));
    assert!(line.overridden[0].starts_with("quality: worse than the live release: recall@20 0.0000"), "{line:?}");
    assert!(line.gates.ends_with("failed: quality"), "{line:?}");

    let broken = stand.other(|parts, _| parts.scorer = parts.scorer.as_deref().map(flat_scorer));
    assert!(!stand.promote(&broken, Some("now")).promoted, "what services refuse cannot be forced");
    assert!(stand.is_live(&worse));
}

#[test]
fn damage_on_disk_is_the_first_gate_s_word_and_the_last() {
    let stand = Stand::new(24);
    let other = stand.other(|_, _| {});
    let path = stand.store.root().join("demo").join(other.as_str()).join("factors.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let verdict = stand.promote(&other, Some("no matter"));
    assert_eq!(verdict.findings[0].outcome, Outcome::Failed);
    assert!(verdict.findings[0].detail.contains("wrong_hash"), "{verdict}");
    assert!(verdict.findings[1..].iter().all(|finding| finding.outcome == Outcome::NotAsked));
    assert!(!verdict.promoted && stand.is_live(stand.live.id()));
    let nobody = ReleaseId::new("0".repeat(32)).unwrap();
    assert!(gates::judge(&stand.store, &tenant(), &nobody, &Limits::default()).is_err());
}

#[test]
fn a_diff_tells_what_changed_for_golden_listeners() {
    let stand = Stand::new(25);
    let same = stand.store.load(&tenant(), &stand.other(|_, _| {})).unwrap();
    let diff = Diff::between(&stand.live, &same);
    assert_eq!(diff.items, [stand.live.items.len(), 0, 0]);
    assert_eq!(diff.listeners.unwrap().overlap(), 1.0);
    let turned = stand.other(|parts, _| {
        let factors = parts.factors.as_mut().unwrap();
        let stride = factors.stride();
        change(factors, |values| values.rotate_left(stride * 7));
    });
    let diff = Diff::between(&stand.live, &stand.store.load(&tenant(), &turned).unwrap());
    println!("{diff}");
    assert!(diff.listeners.unwrap().overlap() < 0.8);
    assert!(diff.to_string().contains("recall@20"));
}

struct OfWorld(Vec<Item>);

#[async_trait]
impl Items for OfWorld {
    async fn of(&self, _: &TenantId) -> anyhow::Result<Vec<Item>> {
        anyhow::ensure!(!self.0.is_empty(), "the catalogue is away");
        Ok(self.0.clone())
    }
}

fn learner(folder: &std::path::Path, items: Vec<Item>, limits: Limits) -> Learner {
    let runtime = Runtime::new(Arc::new(SystemClock));
    let health = runtime.health.component("learning");
    health.ready();
    Learner {
        archive: Arc::new(Archive::open(folder.join("archive"), SystemClock.now()).unwrap()),
        items: Arc::new(OfWorld(items)),
        store: Store::open(folder.join("releases")).unwrap(),
        config: Learn {
            every: Duration::from_secs(3_600),
            jitter: 0.1,
            retry: Duration::from_millis(5),
            checkpoint_every: 2,
            popularity_half_life: Duration::from_secs(7 * 86_400),
            keep: 2,
        },
        limits,
        only: None,
        metrics: LearningMetrics::new(&runtime.metrics),
        health,
        runtime,
        progress: Arc::new(Silent),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn learning_again_promotes_through_the_gates_and_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let world = small(26);
    let learner = learner(folder.path(), world.items, Limits::default());
    assert!(learner.learn_all().await.is_empty(), "nobody is in the archive yet");
    learner.archive.keep(&tenant(), &world.events, NOW).unwrap();
    let mut releases = Vec::new();
    for round in 0..4 {
        let learnt = learner.learn_all().await;
        let [(_, Learnt::Promoted(report))] = &learnt[..] else { panic!("round {round}: {learnt:?}") };
        releases.push(report.release.clone().unwrap());
    }
    let kept: Vec<ReleaseId> = learner.store.list(&tenant()).unwrap().into_iter().map(|m| m.id).collect();
    assert_eq!(kept, [releases[3].clone(), releases[2].clone()], "two are kept: the live one and the one before");
    let manifest = learner.store.manifest(&tenant(), &releases[3]).unwrap();
    assert_eq!(manifest.lineage["parent"], releases[2].as_str());
    assert_eq!(learner.store.promotions(&tenant()).unwrap().len(), 4);
    let page = learner.runtime.metrics.encode();
    assert!(page.contains("setlist_learning_trainings_total{outcome=\"done\"} 4"), "{page}");
    assert!(page.contains("setlist_learning_pruned_releases_total 2"), "{page}");
    let detail = learner.runtime.health.report().components["learning"].detail.clone().unwrap();
    assert!(detail.contains(releases[3].as_str()), "{detail}");

    let strict = Learner { limits: Limits { max_bytes: 1, ..Limits::default() }, ..learner };
    let learnt = strict.learn_all().await;
    assert!(matches!(&learnt[..], [(_, Learnt::HeldBack(_))]), "{learnt:?}");
    assert_eq!(strict.store.live(&tenant()).unwrap(), Some(releases[3].clone()));
    assert!(strict.runtime.metrics.encode().contains("setlist_learning_held_back_total{gate=\"size\"} 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_and_the_live_release_stays() {
    let folder = tempfile::tempdir().unwrap();
    let world = small(27);
    let learner = learner(folder.path(), Vec::new(), Limits::default());
    learner.archive.keep(&tenant(), &world.events, NOW).unwrap();
    let runtime = learner.runtime.clone();
    runtime.tasks.intake.spawn("learning", service_runtime::OnFailure::Stop, Arc::new(learner).run());
    let end = std::time::Instant::now() + Duration::from_secs(30);
    let failures = || {
        let page = runtime.metrics.encode();
        let line = page.lines().find_map(|line| line.strip_prefix("setlist_learning_failures_in_a_row "));
        line.and_then(|number| number.trim().parse::<u32>().ok()).unwrap_or(0)
    };
    while failures() < 3 {
        assert!(std::time::Instant::now() < end, "{}", runtime.metrics.encode());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let detail = runtime.health.report().components["learning"].detail.clone().unwrap();
    assert!(detail.contains("the catalogue is away"), "{detail}");
    assert_eq!(runtime.drain(Duration::from_secs(5)).await, 0);
}
