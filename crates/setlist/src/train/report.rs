//! The report of a training on disk: what the release says of itself, the scorer in numbers, and pictures. It must not know
//! how anything was trained.

use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::Told;
use crate::plot;

/// Whether a report is asked for as one file.
pub(super) fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Writes the report of a release that stands in `folder`, and says where.
pub(super) fn write(path: &Path, folder: &Path, told: &Told) -> anyhow::Result<String> {
    // The manifest is the report that stays with the release.
    let manifest = folder.join("manifest.json");
    let copied =
        |to: &Path| std::fs::copy(&manifest, to).with_context(|| format!("{} cannot be written", to.display()));
    if is_file(path) {
        copied(path)?;
        return Ok(format!("report: {}", path.display()));
    }
    let pictures = match &told.scorer {
        Some(trained) => plot::training::of_ranker(trained, &told.examination)?,
        None => Vec::new(),
    };
    let mut paths = plot::write(path, &pictures)?;
    copied(&path.join("manifest.json"))?;
    if let Some(trained) = &told.scorer {
        let reports: serde_json::Map<String, serde_json::Value> = trained
            .reports
            .iter()
            .map(|(action, report)| Ok((action.to_string(), serde_json::to_value(report)?)))
            .collect::<Result<_, serde_json::Error>>()?;
        let training = json!({
            "release": told.release.as_str(),
            "scorer": trained.model.kind(),
            "rows": { "learnt": trained.rows[0], "calibrated": trained.rows[1], "tested": trained.rows[2] },
            "actions": trained.actions,
            "looked_at_by_place": told.examination.iter().map(|(looked, _)| looked).collect::<Vec<_>>(),
            "trees": reports,
        });
        let file = path.join("training.json");
        std::fs::write(&file, serde_json::to_vec_pretty(&training)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        paths.push(file.display().to_string());
    }
    Ok(format!("report: {} pictures and numbers in {}", paths.len(), path.display()))
}
