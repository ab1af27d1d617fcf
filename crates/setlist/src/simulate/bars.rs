//! Bars that a simulation is held to, so that it can serve as a check.

use std::process::ExitCode;

use clap::ValueEnum as _;

use super::report::{ArmReport, Report};
use crate::cli::simulate::{Arm, Simulate};

/// One bar and whether it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    /// What was wanted and what was found.
    pub(super) said: String,
    /// Whether it is kept.
    pub(super) kept: bool,
}

/// Holds what was found against what is asked; nothing where no bar is given.
pub(super) fn judge(args: &Simulate, report: &Report) -> Vec<Verdict> {
    let is_full = |arm: &&ArmReport| Arm::value_variants().iter().any(|of| of.name() == arm.arm && of.is_full());
    let popular = report.arms.iter().find(|arm| arm.arm == Arm::Popular.name()).map(|arm| arm.reward.mean);
    let mut verdicts = Vec::new();
    for arm in report.arms.iter().filter(is_full) {
        let name = &arm.arm;
        if let Some(factor) = args.at_least {
            let times = arm.over_popular.zip(popular).map(|(over, popular)| (popular + over.low) / popular);
            let found = times.map_or_else(|| "not compared".to_owned(), |times| format!("{times:.2}"));
            let said = format!("{name} brings at least {factor} times what popular does: {found} at the lower end");
            verdicts.push(Verdict { said, kept: times.is_some_and(|times| times >= factor) });
        }
        if let Some(wanted) = args.learns_within {
            let change = arm.change.as_ref();
            // What fitted nobody in particular has nothing to learn.
            let kept = change.is_some_and(|change| !change.hurt() || change.most.is_some_and(|plays| plays <= wanted));
            let found = match change.map(|change| (change.hurt(), change.most)) {
                Some((true, Some(plays))) => format!("{plays}"),
                Some((true, None)) => "not yet".to_owned(),
                Some((false, _)) => "nothing was lost".to_owned(),
                None => "nobody changed".to_owned(),
            };
            let said = format!("{name} follows a change of taste to four fifths within {wanted} plays: {found}");
            verdicts.push(Verdict { said, kept });
        }
        if let Some(wanted) = args.finds {
            let found = arm.found_by_round.last().copied().unwrap_or(0);
            let said = format!("{name} finds {wanted} of {} new tracks: {found}", report.planted);
            verdicts.push(Verdict { said, kept: found >= wanted });
        }
    }
    if let Some(wanted) = args.fresh_within {
        let p95 = report.freshness_ms.map(|[_, p95, _]| p95);
        let found = p95.map_or_else(|| "not measured".to_owned(), |p95| format!("{p95:.1} ms"));
        let said = format!("a play shows within {}, p95: {found}", humantime::format_duration(wanted));
        verdicts.push(Verdict { said, kept: p95.is_some_and(|p95| p95 <= wanted.as_secs_f64() * 1e3) });
    }
    verdicts
}

/// Says what was judged, and whether all is kept.
pub(super) fn told(verdicts: &[Verdict]) -> ExitCode {
    for verdict in verdicts {
        println!("{} {}", if verdict.kept { "kept  " } else { "MISSED" }, verdict.said);
    }
    if verdicts.iter().all(|verdict| verdict.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;
    use crate::simulate::report::{Change, Summary};

    fn asked(words: &[&str]) -> Simulate {
        let command = Simulate::augment_args(clap::Command::new("simulate"));
        Simulate::from_arg_matches(&command.get_matches_from([&["simulate"][..], words].concat())).unwrap()
    }

    fn arm(name: &str, mean: f64, most: Option<u32>, found: usize) -> ArmReport {
        let over = Summary { mean: mean - 1.0, low: mean - 1.2, high: mean - 0.8 };
        ArmReport {
            arm: name.to_owned(),
            reward: Summary { mean, low: mean - 0.2, high: mean + 0.2 },
            plays: 1.0,
            over_popular: (name != "popular").then_some(over),
            margin: None,
            by_round: vec![],
            found_by_round: vec![0, found],
            shown_new: 0.0,
            played_new: 0,
            change: Some(Change { before: 0.4, at: 0.1, by_plays: vec![], half: Some(3), most }),
            seconds: 1.0,
            requests: 1,
        }
    }

    #[test]
    fn each_bar_is_held_against_every_arm_of_the_full_system() {
        let report = Report {
            listeners: 1,
            rounds: 2,
            half_time: 1,
            changed: 1,
            planted: 20,
            seed: 1,
            arms: vec![
                arm("popular", 1.0, None, 0),
                arm("ials", 1.0, None, 0),
                arm("ranker", 4.0, Some(20), 18),
                arm("softmax", 3.0, None, 9),
            ],
            freshness_ms: Some([3.0, 9.0, 20.0]),
        };
        let kept = |words: &[&str]| -> Vec<bool> {
            judge(&asked(words), &report).iter().map(|verdict| verdict.kept).collect()
        };
        assert_eq!(kept(&[]), [] as [bool; 0]);
        // The lower ends are 3.8 and 2.8 times what popular brings.
        assert_eq!(kept(&["--at-least", "2.8"]), [true, true]);
        assert_eq!(kept(&["--at-least", "3"]), [true, false]);
        assert_eq!(kept(&["--learns-within", "20"]), [true, false]);
        assert_eq!(kept(&["--finds", "9"]), [true, true]);
        assert_eq!(kept(&["--finds", "10"]), [true, false]);
        assert_eq!(kept(&["--fresh-within", "9ms"]), [true]);
        assert_eq!(kept(&["--fresh-within", "8ms"]), [false]);
        let said = &judge(&asked(&["--at-least", "3"]), &report)[1].said;
        assert!(said.contains("softmax") && said.contains("2.80"), "{said}");
        assert_eq!(told(&judge(&asked(&["--finds", "10"]), &report)), ExitCode::FAILURE);
    }
}
