//! The gate of calibration: probabilities are no further from what happens than the live release's, as far as chance can
//! tell. A shelf's objective adds up probabilities of several actions: it needs them to mean what they say.
//!
//! For each action the expected calibration error of both releases is compared (`play_calibration_error` with `_low` and
//! `_high`): on the same rows where the trainer measured the live scorer beside the new one (`…_of_live`), else each as its
//! own manifest says. A release fails where the whole interval of its error lies above the live release's.

use releases::{Error, Manifest, error::chain};
use shared_models::component::Action;

use super::{
    Found,
    quality::{OF_LIVE, named},
};

/// How the measurement of an action is named, after its name.
pub(super) const ERROR: &str = "_calibration_error";
/// Who is off by less is right enough, whatever the live release is off by.
const SMALL: f64 = 0.01;

pub(super) fn compare(manifest: &Manifest, live: Option<&Result<Manifest, Error>>) -> Found {
    let live = match live {
        None => return Found::Nothing("there is no other live release to be held against".to_owned()),
        Some(Err(error)) => return Found::Nothing(format!("the live release cannot be read: {}", chain(error))),
        Some(Ok(live)) => live,
    };
    let (mut told, mut worse) = (Vec::new(), Vec::new());
    for action in Action::ALL {
        let name = format!("{action}{ERROR}");
        let before = named(manifest, &format!("{name}{OF_LIVE}")).or_else(|| named(live, &name));
        let (Some(new), Some(live)) = (named(manifest, &name), before) else { continue };
        let line = format!(
            "{action} off by {:.4} [{:.4}, {:.4}] against {:.4} [{:.4}, {:.4}]",
            new.mean, new.low, new.high, live.mean, live.low, live.high
        );
        // Not `new.low > live.high`: what is no number must not pass.
        if new.mean < SMALL || new.low <= live.high { told.push(line) } else { worse.push(line) }
    }
    if !worse.is_empty() {
        Found::No(format!("further off than the live release: {}", worse.join(", ")))
    } else if told.is_empty() {
        Found::Nothing("one of the two was not measured".to_owned())
    } else {
        Found::Yes(told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use releases::{Meta, Parts, Release};
    use shared_models::{ItemKey, TenantId};

    use super::*;

    fn manifest(errors: &[(&str, f64)]) -> Manifest {
        let metrics = errors.iter().flat_map(|(name, mean)| {
            [("", 0.0), ("_low", -0.005), ("_high", 0.005)].map(|(end, by)| (format!("{name}{end}"), mean + by))
        });
        let parts = Parts { items: vec![ItemKey(1)], ..Parts::default() };
        let meta = Meta { metrics: metrics.collect(), ..Meta::default() };
        Release::in_memory(TenantId::new("demo").unwrap(), meta, parts).unwrap().manifest
    }

    fn check(new: &[(&str, f64)], live: &[(&str, f64)]) -> Result<String, String> {
        match compare(&manifest(new), Some(&Ok(manifest(live)))) {
            Found::Yes(detail) => Ok(detail),
            Found::No(detail) => Err(detail),
            Found::Nothing(detail) => Ok(format!("nothing: {detail}")),
        }
    }

    #[test]
    fn what_is_further_off_than_chance_explains_fails() {
        let play = |error: f64| [("play_calibration_error", error)];
        let near = check(&play(0.03), &play(0.025)).unwrap();
        assert_eq!(near, "play off by 0.0300 [0.0250, 0.0350] against 0.0250 [0.0200, 0.0300]");
        let far = check(&play(0.05), &play(0.025)).unwrap_err();
        assert!(far.starts_with("further off than the live release: play off by 0.0500"), "{far}");
        assert!(check(&play(0.009), &play(0.001)).is_ok(), "a hundredth is right enough");
        assert!(check(&[], &play(0.001)).unwrap().starts_with("nothing"));
    }

    #[test]
    fn the_live_scorer_on_the_same_rows_counts_where_it_was_measured() {
        let new = [("skip_calibration_error", 0.05), ("skip_calibration_error_of_live", 0.06)];
        assert!(check(&new, &[("skip_calibration_error", 0.01)]).unwrap().contains("against 0.0600"));
    }
}
