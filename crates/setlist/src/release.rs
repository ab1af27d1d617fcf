//! `setlist release`: releases on disk, as an operator handles them. Running services follow the pointer that promote
//! and rollback move.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use learning::gates::{self, Diff, Limits, Verdict};
use releases::{Manifest, Store, promotions::Act};
use serde_json::{Value, json};
use shared_models::{ReleaseId, TenantId};

use crate::{
    cli::release::{Place, Release, ReleaseAction, Who},
    config::{self, Config, Loaded},
    streams::age,
};

/// Does what is asked, and prints what came of it.
#[must_use]
pub fn run(args: &Release) -> ExitCode {
    match &args.action {
        ReleaseAction::List { place, log } => at(place, |stand| stand.list(*log)),
        ReleaseAction::Show { release, place } => at(place, |stand| stand.show(release.as_deref())),
        ReleaseAction::Verify { release, place } => at(place, |stand| stand.verify(release.as_deref())),
        ReleaseAction::Promote { release, force, who, place } => {
            at(place, |stand| stand.promote(release.as_deref(), force.as_deref(), who))
        }
        ReleaseAction::Rollback { who, place } => at(place, |stand| stand.roll_back(who)),
        ReleaseAction::Diff { from, to, place } => at(place, |stand| stand.diff(from, to.as_deref())),
    }
}

/// What is said, and whether all is well.
struct Said {
    text: String,
    is_well: bool,
}

impl Said {
    fn well(text: String) -> Self {
        Self { text, is_well: true }
    }
}

/// Releases of one tenant.
struct Stand {
    store: Store,
    tenant: TenantId,
    limits: Limits,
    as_json: bool,
}

fn at(place: &Place, work: impl FnOnce(&Stand) -> anyhow::Result<Said>) -> ExitCode {
    let config = match config::load(&place.configuration, &place.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    match Stand::open(place, &config).and_then(|stand| work(&stand)) {
        Ok(said) => {
            println!("{}", said.text.trim_end());
            if said.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Stand {
    fn open(place: &Place, config: &Config) -> anyhow::Result<Self> {
        let path = &config.ranking.releases.path;
        anyhow::ensure!(path.exists(), "there are no releases at {}: setlist train makes one", path.display());
        let (store, tenant) = (Store::open(path)?, TenantId::new(&place.data.tenant)?);
        Ok(Self { store, tenant, limits: config.gates.clone(), as_json: place.json })
    }

    fn live(&self) -> anyhow::Result<ReleaseId> {
        self.store.live(&self.tenant)?.with_context(|| format!("{} has no live release", self.tenant))
    }

    /// The release that a word names: its id, or the beginning of one.
    fn find(&self, word: &str) -> anyhow::Result<ReleaseId> {
        // An id is taken as it is, so that one whose manifest cannot be read can be asked about.
        if word.len() == 32 {
            return Ok(ReleaseId::new(word)?);
        }
        let all = self.store.list(&self.tenant)?;
        let mut found = all.iter().map(|manifest| &manifest.id).filter(|id| id.as_str().starts_with(word));
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id.clone()),
            (None, _) => bail!("{} has no release {word}; setlist release list shows them", self.tenant),
            (Some(_), Some(_)) => bail!("{word} begins the ids of several releases; give more of it"),
        }
    }

    fn list(&self, lines: usize) -> anyhow::Result<Said> {
        let all = self.store.list(&self.tenant)?;
        let (live, previous) = (self.store.live(&self.tenant)?, self.store.previous(&self.tenant)?);
        let log = self.store.promotions(&self.tenant)?;
        let log = &log[log.len().saturating_sub(lines)..];
        if self.as_json {
            let releases: Vec<Value> = all.iter().map(document).collect();
            let document = json!({ "live": live, "previous": previous, "releases": releases, "promotions": log });
            return Ok(Said::well(document.to_string()));
        }
        let mut table = framed(["release", "", "age", "MiB", "items", "recall@20", "ndcg@20", "events to", "parent"]);
        for manifest in &all {
            let standing = match &manifest.id {
                id if Some(id) == live.as_ref() => "live",
                id if Some(id) == previous.as_ref() => "previous",
                _ => "",
            };
            table.add_row([
                manifest.id.to_string(),
                standing.to_owned(),
                age(manifest.created_at),
                mebibytes(manifest),
                manifest.counts.get("items").map_or_else(|| "-".to_owned(), u64::to_string),
                measured(manifest, "recall@20"),
                measured(manifest, "ndcg@20"),
                manifest.window.to.to_string(),
                manifest.lineage.get("parent").map_or_else(|| "-".to_owned(), |id| short(id)),
            ]);
        }
        let mut text = table.to_string();
        if !log.is_empty() {
            let mut table = framed(["at", "what", "to", "from", "by", "why", "gates", "overridden"]);
            for line in log {
                table.add_row([
                    line.at.to_string(),
                    line.what.as_str().to_owned(),
                    short(line.to.as_str()),
                    line.from.as_ref().map_or_else(|| "-".to_owned(), |id| short(id.as_str())),
                    line.by.clone(),
                    line.why.clone(),
                    line.gates.clone(),
                    line.overridden.join("; "),
                ]);
            }
            write!(text, "\n{table}")?;
        }
        Ok(Said::well(text))
    }

    fn show(&self, release: Option<&str>) -> anyhow::Result<Said> {
        let id = release.map_or_else(|| self.live(), |word| self.find(word))?;
        let manifest = self.store.manifest(&self.tenant, &id)?;
        if self.as_json {
            return Ok(Said::well(document(&manifest).to_string()));
        }
        let mut text = format!(
            "release {id}\ntrained {} by code {}, format {}, feature schema {:016x}\nevents from {} to {}\n",
            manifest.created_at,
            manifest.code_version,
            manifest.schema.format,
            manifest.schema.feature_schema,
            manifest.window.from,
            manifest.window.to
        );
        for (name, value) in &manifest.lineage {
            writeln!(text, "{name}: {value}")?;
        }
        if !manifest.notes.is_empty() {
            writeln!(text, "notes: {}", manifest.notes)?;
        }
        let mut files = framed(["file", "bytes", "BLAKE3"]);
        for (name, file) in &manifest.files {
            files.add_row([name.clone(), file.bytes.to_string(), file.blake3.clone()]);
        }
        let mut numbers = framed(["measurement or count", "value", "interval"]);
        let ends = |name: &str| {
            let end = |end: &str| manifest.metrics.get(&format!("{name}{end}"));
            Some(format!("{:.4} to {:.4}", end("_low")?, end("_high")?))
        };
        for (name, value) in
            manifest.metrics.iter().filter(|(name, _)| !name.ends_with("_low") && !name.ends_with("_high"))
        {
            numbers.add_row([name.clone(), format!("{value:.4}"), ends(name).unwrap_or_default()]);
        }
        for (name, count) in &manifest.counts {
            numbers.add_row([name.clone(), count.to_string(), String::new()]);
        }
        write!(text, "{files}\n{numbers}")?;
        Ok(Said::well(text))
    }

    fn verify(&self, release: Option<&str>) -> anyhow::Result<Said> {
        let id = release.map_or_else(|| self.live(), |word| self.find(word))?;
        let verdict = gates::judge(&self.store, &self.tenant, &id, &self.limits)?;
        let word = if verdict.passed() { "would be promoted" } else { "would not be promoted" };
        Ok(Said { text: self.told(&verdict, word), is_well: verdict.passed() })
    }

    fn promote(&self, release: Option<&str>, force: Option<&str>, who: &Who) -> anyhow::Result<Said> {
        anyhow::ensure!(force.is_none_or(|reason| !reason.trim().is_empty()), "--force wants a reason");
        let id = match release {
            Some(word) => self.find(word)?,
            None => {
                let newest = self.store.list(&self.tenant)?.into_iter().next();
                newest.with_context(|| format!("{} has no release: setlist train makes one", self.tenant))?.id
            }
        };
        let act = Act::now(&who.by, &who.why);
        let verdict = gates::promote(&self.store, &self.tenant, &id, &self.limits, act, force)?;
        let word = match (verdict.promoted, &verdict.forced) {
            (true, None) => "is live".to_owned(),
            (true, Some(reason)) => format!("is live, forced: {reason}"),
            (false, _) => {
                let can_be_forced = verdict.failed().all(|finding| finding.gate.can_be_forced());
                let hint = if can_be_forced { " (--force REASON overrides what failed)" } else { "" };
                format!("is not promoted{hint}")
            }
        };
        Ok(Said { text: self.told(&verdict, &word), is_well: verdict.promoted })
    }

    fn roll_back(&self, who: &Who) -> anyhow::Result<Said> {
        let started = std::time::Instant::now();
        let before = self.store.live(&self.tenant).ok().flatten();
        let id = self.store.roll_back_as(&self.tenant, &Act::now(&who.by, &who.why))?;
        let took = started.elapsed();
        Ok(Said::well(if self.as_json {
            json!({ "live": id, "before": before, "milliseconds": took.as_millis() as u64 }).to_string()
        } else {
            let before = before.map_or_else(|| "none".to_owned(), |id| id.to_string());
            format!("release {id} is live again after {} ms; before it {before} was", took.as_millis())
        }))
    }

    fn diff(&self, from: &str, to: Option<&str>) -> anyhow::Result<Said> {
        let (from, to) = (self.find(from)?, to.map_or_else(|| self.live(), |word| self.find(word))?);
        let load = |id: &ReleaseId| self.store.load(&self.tenant, id);
        let diff = Diff::between(&load(&from)?, &load(&to)?);
        Ok(Said::well(if self.as_json { differences(&diff).to_string() } else { diff.to_string() }))
    }

    fn told(&self, verdict: &Verdict, word: &str) -> String {
        if self.as_json {
            let findings = verdict.findings.iter().map(|finding| {
                json!({ "gate": finding.gate.as_str(), "outcome": finding.outcome.as_str(), "detail": finding.detail })
            });
            return json!({
                "release": verdict.release, "live_before": verdict.live, "passed": verdict.passed(),
                "promoted": verdict.promoted, "forced": verdict.forced, "gates": findings.collect::<Vec<_>>(),
                "seconds": verdict.seconds,
            })
            .to_string();
        }
        let mut table = framed(["gate", "", "why"]);
        for finding in &verdict.findings {
            table.add_row([finding.gate.as_str(), finding.outcome.as_str(), finding.detail.as_str()]);
        }
        format!("{table}\nrelease {} {word}", verdict.release)
    }
}

fn framed<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    table
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

fn mebibytes(manifest: &Manifest) -> String {
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn measured(manifest: &Manifest, name: &str) -> String {
    manifest.metrics.get(name).map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn document(manifest: &Manifest) -> Value {
    json!({
        "id": manifest.id, "tenant": manifest.tenant, "created_at_ms": manifest.created_at, "files": manifest.files,
        "schema": manifest.schema, "metrics": manifest.metrics, "window": manifest.window, "counts": manifest.counts,
        "lineage": manifest.lineage, "code_version": manifest.code_version, "notes": manifest.notes,
    })
}

fn differences(diff: &Diff) -> Value {
    let [both, gone, new] = diff.items;
    let share = |compared: &Option<releases::golden::Comparison>| compared.map(|compared| compared.overlap());
    json!({
        "from": diff.from.id, "to": diff.to.id,
        "items": { "both": both, "gone": gone, "new": new },
        "golden_listeners_same": share(&diff.listeners), "golden_items_same": share(&diff.similar),
        "metrics": diff.metrics.iter().map(|c| json!({ "name": c.name, "from": c.from, "to": c.to })).collect::<Vec<_>>(),
        "counts": diff.counts.iter().map(|c| json!({ "name": c.name, "from": c.from, "to": c.to })).collect::<Vec<_>>(),
        "files": diff.files.iter().map(|c| json!({ "name": c.name, "from": c.from, "to": c.to })).collect::<Vec<_>>(),
    })
}
