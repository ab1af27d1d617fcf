//! Many answers made again: what changes on the whole.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::{Context, ensure};
use comfy_table::{ContentArrangement, Table, presets};
use learning::progress::{Bars, Progress as _, Unit};
use serde::Serialize;
use serde_json::Value;
use shared_models::{Clock as _, SystemClock, Timestamp};

use crate::{
    cli,
    client::{self, Client},
    plot,
};

/// How many are asked for in one list.
const PAGE: usize = 1_000;

/// What many answers made again show.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// How many were made again.
    pub answers: usize,
    /// How many could not be, by reason.
    pub refused: BTreeMap<String, usize>,
    /// How many came out the same, bit for bit.
    pub same: usize,
    /// How many were made from their own candidates.
    pub from_recorded: usize,
    /// How many were degraded when they were answered.
    pub degraded: usize,
    /// What was missing from them then and ran in full now, by stage: for that alone they may differ.
    pub run_in_full: BTreeMap<String, usize>,
    /// The share of cards that are on both pages, of each answer.
    pub overlaps: Vec<f64>,
    /// How many positions cards moved on average, of each answer.
    pub shifts: Vec<f64>,
    /// How long each took on the edge, in milliseconds.
    pub elapsed_ms: Vec<f64>,
    /// Cards of each shelf over all answers, before and after.
    pub fill: BTreeMap<String, [u64; 2]>,
    /// Each segment's share of the exposure, before and after: means over the answers.
    pub exposure: BTreeMap<String, [f64; 2]>,
}

pub(super) async fn replay(client: &Client, args: &cli::Replay, body: &Value) -> anyhow::Result<String> {
    let ids = ids(client, args).await?;
    ensure!(!ids.is_empty(), "no answer of that time is recorded");
    let bar = Bars::new().stage("answers made again", Unit::Steps, Some(ids.len() as u64));
    let mut summary = Summary::default();
    for id in &ids {
        match client.replay(id, body).await {
            Ok(answer) => summary.add(&answer),
            // One that nobody ranked says so; the others go on.
            Err(error) => *summary.refused.entry(error.root_cause().to_string()).or_default() += 1,
        }
        bar.advance(1);
    }
    bar.finish("");
    ensure!(summary.answers > 0, "none of {} answers could be made again: {:?}", ids.len(), summary.refused);
    for shares in summary.exposure.values_mut().flatten() {
        *shares /= summary.answers as f64;
    }
    let mut written = Vec::new();
    if let Some(folder) = &args.plot {
        written = plot::write(folder, &plot::replay::pictures(&summary)?)?;
    }
    if args.json {
        return Ok(serde_json::to_string_pretty(&summary)?);
    }
    let files = if written.is_empty() { String::new() } else { format!("\n{}", written.join("\n")) };
    Ok(format!("{summary}{files}"))
}

/// The answers that are meant, newest first.
async fn ids(client: &Client, args: &cli::Replay) -> anyhow::Result<Vec<String>> {
    let back = args.since.unwrap_or(Duration::from_secs(3_600)).as_millis();
    let since = Timestamp(SystemClock.now().0 - i64::try_from(back).unwrap_or(i64::MAX));
    let mut filter = format!("since={}", client::escaped(&since.to_string()));
    for (key, value) in [("user_id", &args.user), ("surface", &args.surface)] {
        if let Some(value) = value {
            filter += &format!("&{key}={}", client::escaped(value));
        }
    }
    if args.whole {
        filter += "&whole=true";
    }
    let mut ids: Vec<String> = Vec::new();
    while ids.len() < args.limit {
        let limit = (args.limit - ids.len()).min(PAGE);
        let before = ids.last().map_or_else(String::new, |id| format!("&before={id}"));
        let answer = client.get(&format!("/v1/recommendations?{filter}&limit={limit}{before}")).await?;
        let found = answer.get("recommendations").and_then(Value::as_array).context("the list has another form")?;
        ids.extend(found.iter().filter_map(|one| one.get("recommendation_id")?.as_str().map(str::to_owned)));
        if found.len() < limit {
            break;
        }
    }
    Ok(ids)
}

impl Summary {
    fn add(&mut self, answer: &Value) {
        let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64).unwrap_or_default();
        self.answers += 1;
        self.same += usize::from(answer.get("same").and_then(Value::as_bool) == Some(true));
        self.from_recorded += usize::from(answer.get("candidates").and_then(Value::as_str) == Some("recorded"));
        let missing = answer.get("missing_then").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.degraded += usize::from(!missing.is_empty());
        for stage in missing.iter().filter(|stage| stage.get("now").and_then(Value::as_str) == Some("run_in_full")) {
            let name = stage.get("stage").and_then(Value::as_str).unwrap_or_default();
            *self.run_in_full.entry(name.to_owned()).or_default() += 1;
        }
        self.overlaps.push(number(answer, "overlap"));
        self.shifts.push(number(answer, "mean_shift"));
        self.elapsed_ms.push(number(answer, "elapsed_ms"));
        for shelf in answer.get("shelves").and_then(Value::as_array).into_iter().flatten() {
            let id = shelf.get("id").and_then(Value::as_str).unwrap_or_default();
            let cards = |key: &str| shelf.get(key).and_then(Value::as_u64).unwrap_or_default();
            let [before, after] = self.fill.entry(id.to_owned()).or_default();
            *before += cards("cards_before");
            *after += cards("cards_after");
        }
        for (segment, shares) in answer.get("exposure").and_then(Value::as_object).into_iter().flatten() {
            let [before, after] = self.exposure.entry(segment.clone()).or_default();
            *before += number(shares, "before");
            *after += number(shares, "after");
        }
    }
}

/// A quantile of some numbers; NaN of none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        writeln!(
            f,
            "{} answers made again, {} from their own candidates; {} came out the same, bit for bit.",
            self.answers, self.from_recorded, self.same
        )?;
        for (reason, count) in &self.refused {
            writeln!(f, "{count} could not be: {reason}")?;
        }
        if self.degraded > 0 {
            write!(f, "{} were degraded when they were answered", self.degraded)?;
            let full = self.run_in_full.iter().map(|(stage, count)| format!("{stage} of {count}"));
            let full = full.collect::<Vec<_>>().join(", ");
            writeln!(f, "{}", if full.is_empty() { ".".to_owned() } else { format!("; this time in full: {full}.") })?;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["", "mean", "p10", "p50", "p90", "p99"]);
        for (name, values) in
            [("overlap", &self.overlaps), ("shift, positions", &self.shifts), ("elapsed, ms", &self.elapsed_ms)]
        {
            let mut row = vec![name.to_owned(), format!("{:.3}", mean(values))];
            row.extend([0.1, 0.5, 0.9, 0.99].map(|share| format!("{:.3}", quantile(values, share))));
            table.add_row(row);
        }
        writeln!(f, "\n{table}\n")?;
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["shelf", "cards before", "cards now"]);
        for (shelf, [before, after]) in &self.fill {
            table.add_row([shelf.clone(), before.to_string(), after.to_string()]);
        }
        writeln!(f, "{table}\n")?;
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["exposure of", "before", "now"]);
        for (segment, [before, after]) in &self.exposure {
            table.add_row([segment.clone(), format!("{:.1} %", before * 100.0), format!("{:.1} %", after * 100.0)]);
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_add_up() {
        let mut summary = Summary::default();
        for (same, overlap) in [(true, 1.0), (false, 0.5)] {
            summary.add(&json!({
                "same": same, "candidates": "recorded", "overlap": overlap, "mean_shift": 0.0, "elapsed_ms": 3.0,
                "missing_then": [{"stage": "source.trending", "cause": "timeout", "now": "run_in_full"}],
                "shelves": [{"id": "s", "cards_before": 20, "cards_after": 18}],
                "exposure": {"rare": {"before": 0.25, "after": 0.5}},
            }));
        }
        assert_eq!((summary.answers, summary.same, summary.from_recorded), (2, 1, 2));
        assert_eq!(summary.fill["s"], [40, 36]);
        assert_eq!((summary.degraded, summary.run_in_full["source.trending"]), (2, 2));
        assert_eq!(summary.exposure["rare"], [0.5, 1.0]);
        assert_eq!(quantile(&summary.overlaps, 0.5), 0.5);
        assert!(quantile(&[], 0.5).is_nan());
        let drawn = summary.to_string();
        for holds in
            ["2 answers made again", "2 were degraded when they were answered", "in full: source.trending of 2"]
        {
            assert!(drawn.contains(holds), "{holds}: {drawn}");
        }
    }
}
