//! The gates that a release passes before it is promoted: whole, of this code's features, answering as it was trained
//! to, no worse than the live release, no larger and no slower than is allowed.
//!
//! It must not know who asks. **Invariant:** what a service would refuse cannot be forced; what is a judgement can, by
//! somebody who says why.

pub mod budgets;
mod calibration;
pub mod diff;
pub mod golden;
mod quality;

use std::{fmt, time::Instant};

use candidate_generation::index::{EmbeddingIndex, embedding};
use ranking::features::schema_hash;
use releases::{Error, Manifest, Release, Store, error::chain, golden::Golden, promotions::Act};
use shared_models::{ReleaseId, TenantId};

pub use budgets::Limits;
pub use diff::Diff;

/// One gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Every hash, length, order and number is sound.
    Files,
    /// The scorer was trained on the features that this code computes.
    FeatureSchema,
    /// candidate-generation gets sound answers, and those of the golden requests.
    Candidates,
    /// Ranking gets sound answers, and those of the golden requests.
    Ranking,
    /// It has golden requests.
    Golden,
    /// Held-out listening is found no worse than by the live release.
    Quality,
    /// Its probabilities are no further from what happens than the live release's.
    Calibration,
    /// It is not larger than is allowed.
    Size,
    /// It loads and answers as fast as is wanted.
    Latency,
}

impl Gate {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 9] = [
        Self::Files,
        Self::FeatureSchema,
        Self::Candidates,
        Self::Ranking,
        Self::Golden,
        Self::Quality,
        Self::Calibration,
        Self::Size,
        Self::Latency,
    ];

    /// The name, as tables and metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::FeatureSchema => "feature_schema",
            Self::Candidates => "candidates",
            Self::Ranking => "ranking",
            Self::Golden => "golden",
            Self::Quality => "quality",
            Self::Calibration => "calibration",
            Self::Size => "size",
            Self::Latency => "latency",
        }
    }

    /// Whether somebody may override it. What services check for themselves they would refuse all the same.
    #[must_use]
    pub fn can_be_forced(self) -> bool {
        match self {
            Self::Files | Self::FeatureSchema | Self::Candidates | Self::Ranking => false,
            Self::Golden | Self::Quality | Self::Calibration | Self::Size | Self::Latency => true,
        }
    }
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Passed,
    /// No.
    Failed,
    /// There is nothing to ask.
    NotAsked,
}

impl Outcome {
    /// The outcome in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotAsked => "not asked",
        }
    }
}

/// What one gate said, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which gate.
    pub gate: Gate,
    /// What it said.
    pub outcome: Outcome,
    /// Why, in words.
    pub detail: String,
}

/// What all gates said of a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which release.
    pub release: ReleaseId,
    /// The live one that it was held against.
    pub live: Option<ReleaseId>,
    /// One finding of each gate, in order.
    pub findings: Vec<Finding>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether the release was promoted.
    pub promoted: bool,
    /// Why it was promoted against a gate, where somebody forced it.
    pub forced: Option<String>,
}

impl Verdict {
    /// Whether no gate says no.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// The gates that say no.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.outcome == Outcome::Failed)
    }

    /// How many passed and which failed, on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let passed = self.findings.iter().filter(|finding| finding.outcome == Outcome::Passed).count();
        let failed: Vec<&str> = self.failed().map(|finding| finding.gate.as_str()).collect();
        if failed.is_empty() {
            format!("{passed} passed")
        } else {
            format!("{passed} passed, failed: {}", failed.join(", "))
        }
    }

    /// What the gates that say no say, on one line.
    #[must_use]
    pub fn reasons(&self) -> String {
        self.failed().map(|f| format!("{}: {}", f.gate.as_str(), f.detail)).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { gate, outcome, detail } in &self.findings {
            writeln!(f, "  {:<15} {:<10} {detail}", gate.as_str(), outcome.as_str())?;
        }
        Ok(())
    }
}

/// Asks every gate; nothing changes.
///
/// # Errors
/// When there is no such release, or the disk says no: that says nothing of the release.
pub fn judge(store: &Store, tenant: &TenantId, id: &ReleaseId, limits: &Limits) -> Result<Verdict, Error> {
    examine(store, tenant, id, limits).map(|(verdict, _)| verdict)
}

/// Asks every gate, and promotes the release when none says no; or, with a reason to force it, when none says no that
/// services would not override. The act goes into the log of promotions with what the gates said.
///
/// # Errors
/// As [`judge`].
pub fn promote(
    store: &Store,
    tenant: &TenantId,
    id: &ReleaseId,
    limits: &Limits,
    act: Act,
    force: Option<&str>,
) -> Result<Verdict, Error> {
    let (mut verdict, release) = examine(store, tenant, id, limits)?;
    let may = verdict.passed() || (force.is_some() && verdict.failed().all(|finding| finding.gate.can_be_forced()));
    if let Some(release) = release.filter(|_| may) {
        let overridden = verdict.failed().map(|f| format!("{}: {}", f.gate.as_str(), f.detail)).collect::<Vec<_>>();
        verdict.forced = force.filter(|_| !overridden.is_empty()).map(str::to_owned);
        let why = verdict.forced.clone().unwrap_or(act.why);
        store.promote_loaded(&release, &Act { why, gates: verdict.summary(), overridden, ..act })?;
        verdict.promoted = true;
    }
    Ok(verdict)
}

fn examine(
    store: &Store,
    tenant: &TenantId,
    id: &ReleaseId,
    limits: &Limits,
) -> Result<(Verdict, Option<Release>), Error> {
    let started = Instant::now();
    let live = store.live(tenant).ok().flatten();
    let loaded = store.load(tenant, id);
    let load = started.elapsed();
    let (release, findings) = match loaded {
        Ok(release) => {
            // The live release is one that passed: its manifest says all that the gates want to know of it.
            let against = live.as_ref().filter(|live| *live != id).map(|live| store.manifest(tenant, live));
            let findings = ask(&release, against.as_ref(), load, limits);
            (Some(release), findings)
        }
        Err(error @ Error::Refused { .. }) => (None, refused(&error)),
        Err(error) => return Err(error),
    };
    let seconds = started.elapsed().as_secs_f64();
    Ok((Verdict { release: id.clone(), live, findings, seconds, promoted: false, forced: None }, release))
}

/// A release that does not load is asked nothing else.
fn refused(error: &Error) -> Vec<Finding> {
    let of = |gate: Gate| match gate {
        Gate::Files => {
            Finding { gate, outcome: Outcome::Failed, detail: format!("{} ({})", chain(error), error.reason()) }
        }
        _ => Finding { gate, outcome: Outcome::NotAsked, detail: "it does not load".to_owned() },
    };
    Gate::ALL.map(of).to_vec()
}

/// What a gate found: a yes or a no, or that there is nothing to ask.
pub(crate) enum Found {
    Yes(String),
    No(String),
    Nothing(String),
}

impl From<Result<String, String>> for Found {
    fn from(found: Result<String, String>) -> Self {
        found.map_or_else(Self::No, Self::Yes)
    }
}

fn ask(
    release: &Release,
    live: Option<&Result<Manifest, Error>>,
    load: std::time::Duration,
    limits: &Limits,
) -> Vec<Finding> {
    let indexed = Instant::now();
    let index = release.factors.as_ref().map(|factors| EmbeddingIndex::build(factors, &embedding::Config::default()));
    let indexed = indexed.elapsed();
    // Unreadable ones are the services' to refuse.
    let golden = Golden::of(release).ok().flatten();
    let of = |gate: Gate| {
        let found = match gate {
            Gate::Files => {
                let bytes: u64 = release.manifest.files.values().map(|file| file.bytes).sum();
                let files = release.manifest.files.len();
                Found::Yes(format!(
                    "{files} files, {}: every hash, length and number is sound",
                    budgets::mebibytes(bytes)
                ))
            }
            Gate::FeatureSchema => feature_schema(release),
            Gate::Candidates => {
                let checked = candidate_generation::golden::check(release, index.as_ref());
                checked.map(|()| answered(golden.as_ref(), release, index.as_ref())).into()
            }
            Gate::Ranking if release.scorer.is_none() => {
                Found::Nothing("it has no scorer: ranking serves its cold model".to_owned())
            }
            Gate::Ranking => {
                let cards = golden.as_ref().map_or(0, |golden| golden.cards.len());
                ranking::golden::check(release).map(|()| format!("{cards} golden cards answered")).into()
            }
            Gate::Golden => has_golden(release, golden.as_ref()),
            Gate::Quality => quality::compare(&release.manifest, live),
            Gate::Calibration => calibration::compare(&release.manifest, live),
            Gate::Size => budgets::size(&release.manifest, live, limits),
            Gate::Latency => budgets::latency(release, index.as_ref(), golden.as_ref(), load, indexed, limits),
        };
        let (outcome, detail) = match found {
            Found::Yes(detail) => (Outcome::Passed, detail),
            Found::No(detail) => (Outcome::Failed, detail),
            Found::Nothing(detail) => (Outcome::NotAsked, detail),
        };
        Finding { gate, outcome, detail }
    };
    Gate::ALL.map(of).to_vec()
}

fn feature_schema(release: &Release) -> Found {
    let (found, expected) = (release.manifest.schema.feature_schema, schema_hash());
    if release.scorer.is_none() {
        Found::Nothing("it has no scorer".to_owned())
    } else if found == expected {
        Found::Yes(format!("{found:016x}"))
    } else {
        Found::No(format!("trained on {found:016x}, this code computes {expected:016x}"))
    }
}

fn answered(golden: Option<&Golden>, release: &Release, index: Option<&EmbeddingIndex>) -> String {
    let Some(golden) = golden else { return "sound answers".to_owned() };
    let compared = candidate_generation::golden::compare(golden, release, index);
    format!(
        "{} golden listeners answered, {:.0} % of the expected items; {} golden items, {:.0} %",
        golden.listeners.len(),
        compared.listeners.overlap() * 100.0,
        golden.similar.len(),
        compared.similar.overlap() * 100.0
    )
}

fn has_golden(release: &Release, golden: Option<&Golden>) -> Found {
    match golden {
        None => Found::No("it has no golden requests, or none that can be read".to_owned()),
        Some(golden) if golden.listeners.is_empty() && release.factors.is_some() => {
            Found::No("it has factors and no golden listener".to_owned())
        }
        Some(golden) if golden.cards.is_empty() && release.scorer.is_some() => {
            Found::No("it has a scorer and no golden card".to_owned())
        }
        Some(golden) => Found::Yes(format!(
            "{} listeners, {} items, {} cards",
            golden.listeners.len(),
            golden.similar.len(),
            golden.cards.len()
        )),
    }
}
