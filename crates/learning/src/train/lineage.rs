//! What a manifest says of a training: settings, window, measurements, where it comes from. It must not know artefacts.

use std::collections::BTreeMap;

use ranking::features::schema_hash;
use releases::{Meta, Window};
use shared_models::Timestamp;

use super::{Config, TrainReport, table::Table};

/// All of it but the parent, which only the store knows, and what is chosen later.
pub(super) fn meta(report: &TrainReport, table: &Table, config: &Config) -> Meta {
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
    let s = &config.segments;
    entry(
        &mut lineage,
        "segments",
        format!(
            "half_life {} market_prior {} quarter_prior {}",
            humantime_serde::re::humantime::format_duration(s.half_life),
            s.market_prior,
            s.quarter_prior
        ),
    );
    entry(&mut lineage, "measured_before", report.cut.to_string());
    if let Some(source) = report.scorer_source {
        entry(&mut lineage, "scorer_rows", source.as_str().to_owned());
    }
    if let Some(sample) = report.scorer_listeners {
        entry(&mut lineage, "scorer_listeners", format!("a share of {:.4}, by the hash of their ids", sample.share()));
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
