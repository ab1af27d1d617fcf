//! The gate of quality: what was held out is found no worse than by the live release, as far as chance can tell.
//!
//! Every measurement that both manifests hold with the ends of its interval is compared: `recall@20` with
//! `recall@20_low` and `recall@20_high`. A release fails where its mean lies below the live release's interval: then it
//! is not by the luck of which listeners were measured. Each release was measured on listeners' events after those that
//! the measured model had seen, by the same procedure. Where its trainer measured the live release beside it, on the same
//! pages (`…_of_live`), that is what it is compared with.

use releases::{Error, Manifest, error::chain};

use super::Found;

/// How the ends of an interval are named.
const ENDS: [&str; 2] = ["_low", "_high"];
/// Measurements of the baseline, and not of the release.
const BASELINE: &str = "popularity_";
/// Measurements of the release that was live, made beside those of this one.
pub(super) const OF_LIVE: &str = "_of_live";

/// A mean with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

pub(super) fn compare(manifest: &Manifest, live: Option<&Result<Manifest, Error>>) -> Found {
    let live = match live {
        None => return Found::Nothing("there is no other live release to be held against".to_owned()),
        Some(Err(error)) => return Found::Nothing(format!("the live release cannot be read: {}", chain(error))),
        Some(Ok(live)) => live,
    };
    let (ours, theirs) = (measurements(manifest), measurements(live));
    if theirs.is_empty() {
        return Found::Nothing("the live release was not measured".to_owned());
    }
    let (mut told, mut worse, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (name, live) in &theirs {
        let Some((_, new)) = ours.iter().find(|(other, _)| other == name) else {
            missing.push(name.clone());
            continue;
        };
        let live = &named(manifest, &format!("{name}{OF_LIVE}")).unwrap_or(*live);
        let line = format!("{name} {:.4} against {:.4} [{:.4}, {:.4}]", new.mean, live.mean, live.low, live.high);
        // Not `new < live.low`: what is no number must not pass.
        if new.mean >= live.low { told.push(line) } else { worse.push(line) }
    }
    if !worse.is_empty() {
        Found::No(format!("worse than the live release: {}", worse.join(", ")))
    } else if told.is_empty() {
        Found::No(format!("it was not measured by {}, as the live release was", missing.join(", ")))
    } else {
        Found::Yes(told.join(", "))
    }
}

/// The measurements of which more is better that have an interval, by name.
pub(super) fn measurements(manifest: &Manifest) -> Vec<(String, Measured)> {
    let is_compared = |name: &str| {
        !name.starts_with(BASELINE) && !name.ends_with(OF_LIVE) && !name.ends_with(super::calibration::ERROR)
    };
    let names = manifest.metrics.keys().filter(|name| is_compared(name));
    names.filter_map(|name| Some((name.clone(), named(manifest, name)?))).collect()
}

/// The measurement of a name, when it has an interval.
pub(super) fn named(manifest: &Manifest, name: &str) -> Option<Measured> {
    let end = |end: &str| manifest.metrics.get(&format!("{name}{end}")).copied();
    Some(Measured { mean: end("")?, low: end(ENDS[0])?, high: end(ENDS[1])? })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use releases::{Meta, Parts, Release};
    use shared_models::{ItemKey, TenantId};

    use super::*;

    fn manifest(metrics: &[(&str, f64)]) -> Manifest {
        let metrics: BTreeMap<String, f64> = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let parts = Parts { items: vec![ItemKey(1)], ..Parts::default() };
        let meta = Meta { metrics, ..Meta::default() };
        Release::in_memory(TenantId::new("demo").unwrap(), meta, parts).unwrap().manifest
    }

    fn recall(mean: f64) -> Manifest {
        manifest(&[("recall@20", mean), ("recall@20_low", mean - 0.01), ("recall@20_high", mean + 0.01)])
    }

    fn check(new: &Manifest, live: Manifest) -> Result<String, String> {
        match compare(new, Some(&Ok(live))) {
            Found::Yes(detail) => Ok(detail),
            Found::No(detail) => Err(detail),
            Found::Nothing(detail) => Ok(format!("nothing: {detail}")),
        }
    }

    #[test]
    fn what_chance_explains_passes_and_what_it_does_not_fails() {
        assert_eq!(check(&recall(0.195), recall(0.2)).unwrap(), "recall@20 0.1950 against 0.2000 [0.1900, 0.2100]");
        assert!(check(&recall(0.3), recall(0.2)).is_ok());
        let worse = check(&recall(0.18), recall(0.2)).unwrap_err();
        assert!(worse.starts_with("worse than the live release: recall@20 0.1800"), "{worse}");
    }

    #[test]
    fn a_release_that_was_not_measured_as_the_live_one_was_fails() {
        assert!(check(&manifest(&[]), recall(0.2)).unwrap_err().contains("not measured by recall@20"));
        assert!(check(&recall(0.2), manifest(&[("auc", 0.7)])).unwrap().starts_with("nothing"));
        let popular =
            [("popularity_recall@20", 0.1), ("popularity_recall@20_low", 0.1), ("popularity_recall@20_high", 0.1)];
        assert!(check(&recall(0.2), manifest(&popular)).unwrap().starts_with("nothing"));
    }

    #[test]
    fn what_was_measured_side_by_side_counts_and_errors_are_another_gates() {
        let mut beside = recall(0.15);
        let more = [("recall@20_of_live", 0.14), ("recall@20_of_live_low", 0.13), ("recall@20_of_live_high", 0.15)];
        beside.metrics.extend(more.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(check(&beside, recall(0.2)).unwrap(), "recall@20 0.1500 against 0.1400 [0.1300, 0.1500]");
        let error = [
            ("play_calibration_error", 0.1),
            ("play_calibration_error_low", 0.1),
            ("play_calibration_error_high", 0.1),
        ];
        assert!(check(&recall(0.2), manifest(&error)).unwrap().starts_with("nothing"));
        assert_eq!(measurements(&beside).len(), 1);
    }
}
