//! `setlist evaluate policy`: reads the log that is named, and says what it says.

use std::{fmt::Write as _, path::Path};

use anyhow::Context;
use learning::{
    archive::{Archive, Span},
    offpolicy::{
        Intervals, answers, coverage, open_bandit,
        otherwise::Otherwise,
        report::{self, Evaluated, Report},
        reward::Model,
        single, slates,
    },
    progress::{Bars, Progress, Unit},
};
use shared_models::{Clock, Seed, SystemClock, TenantId, event::EventKind, plan::Objective};

use super::{policy_table, usage};
use crate::{
    cli::policy::{Policy, RewardModel},
    config::{self, Loaded},
    draw, plot,
};

pub(super) fn evaluate(args: &Policy) -> anyhow::Result<()> {
    let wrong = |name: &str, given: f64| usage(format!("--{name} is {given}; give a number above 0"));
    for (name, given) in [("clip", args.clip), ("switch", Some(args.switch))] {
        if let Some(given) = given.filter(|given| given.is_nan() || *given <= 0.0) {
            return Err(wrong(name, given));
        }
    }
    let intervals = match args.bootstrap {
        Some(0) => return Err(usage("--bootstrap 0 draws nothing; give some hundreds")),
        Some(rounds) => Intervals::Bootstrap { rounds, seed: Seed(args.seed) },
        None => Intervals::Normal,
    };
    if args.world {
        return world(args, intervals);
    }
    let report = match (&args.dataset, &args.data) {
        (Some(folder), _) => open_bandit(args, folder, intervals)?,
        (None, Some(folder)) => archive(args, folder, intervals)?,
        (None, None) => return Err(usage("give --dataset, --data or --world")),
    };
    draw::print(&policy_table::report(&report));
    write(args, &report)?;
    if let Some(folder) = &args.plot {
        for path in plot::write(folder, &plot::policy::pictures(&report)?)? {
            println!("drawn: {path}");
        }
    }
    Ok(())
}

fn write(args: &Policy, report: &impl serde::Serialize) -> anyhow::Result<()> {
    let Some(path) = &args.json else { return Ok(()) };
    let json = serde_json::to_vec_pretty(report)?;
    std::fs::write(path, json).with_context(|| format!("{} cannot be written", path.display()))
}

fn world(args: &Policy, intervals: Intervals) -> anyhow::Result<()> {
    let settings = coverage::Settings { seed: Seed(args.seed), runs: args.runs, rounds: args.rounds, intervals };
    let covered = coverage::measure(&settings, &Bars::new())?;
    draw::print(&policy_table::coverage(&settings, &covered));
    write(
        args,
        &serde_json::json!({ "seed": args.seed, "runs": args.runs, "rounds": args.rounds, "estimators": covered }),
    )?;
    if let Some(folder) = &args.dump {
        dump_lists(folder, &coverage::sample(&settings, &Bars::new())?, &settings)?;
    }
    if let Some(folder) = &args.plot {
        for path in plot::write(folder, &[plot::policy::coverage(&settings, &covered)?])? {
            println!("drawn: {path}");
        }
    }
    Ok(())
}

fn open_bandit(args: &Policy, folder: &Path, intervals: Intervals) -> anyhow::Result<Report> {
    let [first, second] = args.policies.as_slice() else {
        return Err(usage(format!("--policies names {}; give two, such as random,bts", args.policies.len())));
    };
    let known = open_bandit::campaigns(folder, [first, second])?;
    if let Some(unknown) = args.campaign.iter().find(|name| !known.contains(name)) {
        return Err(usage(format!("there is no campaign {unknown:?}; there are {}", known.join(", "))));
    }
    let campaigns = if args.campaign.is_empty() { &known } else { &args.campaign };
    let seed = Seed(args.seed);
    let model = match args.model {
        RewardModel::Rates => Model::rates(),
        RewardModel::Trees => Model::trees(seed),
    };
    let settings = single::Settings { clip: args.clip, switch: args.switch, intervals };
    let mut comparisons = Vec::new();
    let stage = Bars::new().stage("campaigns", Unit::Steps, Some(2 * campaigns.len() as u64));
    for campaign in campaigns {
        let logs = [open_bandit::read(folder, first, campaign)?, open_bandit::read(folder, second, campaign)?];
        for (own, other) in [(1, 0), (0, 1)] {
            let names = [args.policies[own].as_str(), args.policies[other].as_str()];
            let logged = [&logs[own], &logs[other]];
            let evaluated = report::open_bandit(campaign, names, logged, &model, args.folds, seed, &settings)?;
            if let Some(folder) = &args.dump {
                dump(folder, &evaluated, &logs[other].log)?;
            }
            comparisons.push(evaluated.comparison);
            stage.advance(1);
        }
    }
    stage.finish(&format!("{} campaigns, both ways", campaigns.len()));
    Ok(Report {
        about: "Open Bandit: each policy by the other's log".to_owned(),
        reward: "click".to_owned(),
        seed: args.seed,
        comparisons,
    })
}

/// Rounds, policy and expected rewards as CSV.
fn dump(folder: &Path, evaluated: &Evaluated, log: &single::Log) -> anyhow::Result<()> {
    let comparison = &evaluated.comparison;
    let folder = folder.join(format!("{}-of-{}-by-{}", comparison.of, comparison.policy, comparison.log));
    let mut rounds = "action,position,reward,propensity\n".to_owned();
    for round in &log.rounds {
        let _ = writeln!(rounds, "{},{},{},{}", round.action, round.position, round.reward, round.propensity);
    }
    // As they are calculated with: a shortest f32 is another f64.
    let wide = |at| evaluated.rewards.of(at).iter().map(|reward| f64::from(*reward)).collect();
    let expected: Vec<Vec<f64>> = (0..log.rounds.len()).map(wide).collect();
    let files = [
        ("rounds.csv", rounds),
        ("expected.csv", lines(&expected)),
        ("policy.csv", lines(&evaluated.policy.rows.chunks(log.actions).collect::<Vec<_>>())),
        ("estimates.json", serde_json::to_string_pretty(comparison)?),
    ];
    write_all(&folder, files)
}

/// A log of lists as CSV.
fn dump_lists(folder: &Path, lists: &coverage::Lists, settings: &coverage::Settings) -> anyhow::Result<()> {
    let mut rows = "list,position,action,reward,logged,policy,logged_at_position,policy_at_position\n".to_owned();
    for (at, (list, order)) in lists.lists.iter().zip(&lists.orders).enumerate() {
        for (position, (slot, action)) in list.slots.iter().zip(order).enumerate() {
            let (logged, policy) = slot.marginals.unwrap_or_default();
            let own = format!("{},{},{}", slot.reward, slot.logged, slot.policy);
            let _ = writeln!(rows, "{at},{position},{action},{own},{logged},{policy}");
        }
    }
    let estimates = slates::evaluate(&lists.lists, None, settings.intervals)?;
    let files = [
        ("lists.csv", rows),
        ("expected.csv", lines(&lists.expected)),
        ("chances.csv", lines(&lists.chances)),
        ("estimates.json", serde_json::to_string_pretty(&serde_json::json!({ "estimates": estimates }))?),
    ];
    write_all(&folder.join("lists"), files)
}

/// Rows of numbers as lines.
fn lines(rows: &[impl AsRef<[f64]>]) -> String {
    let line = |row: &[f64]| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(",") + "\n";
    rows.iter().map(|row| line(row.as_ref())).collect()
}

fn write_all(folder: &Path, files: [(&str, String); 4]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn archive(args: &Policy, folder: &Path, intervals: Intervals) -> anyhow::Result<Report> {
    let config = match config::load(&args.configuration, folder) {
        Loaded::Run(config) => config,
        Loaded::Exit(_) => return Err(usage("the configuration is not good; see above")),
    };
    let now = SystemClock.now();
    let path = &config.archive.path;
    if config.archive.url.is_empty() && !path.exists() {
        return Err(usage(format!("there is no archive at {}: name the data folder with --data", path.display())));
    }
    let archive = Archive::connect(&config.archive, now)?;
    let span = args.last.map_or(Span::ALL, |last| Span { from: now.before(last), ..Span::ALL });
    let asked = answers::Asked {
        span,
        reward: args.reward.iter().map(|text| worth(text)).collect::<anyhow::Result<_>>()?,
        otherwise: args
            .objective
            .as_deref()
            .map(objective)
            .transpose()?
            .map(|objective| Otherwise { objective: Some(objective), explores: true }),
        places: args.places,
        releases: Some(config.ranking.releases.path.clone()),
        window: args.window,
        clip: args.clip,
        intervals,
    };
    let tenant = TenantId::new(&args.tenant)?;
    Ok(Report { seed: args.seed, ..answers::evaluate(&archive, &tenant, &asked, &Bars::new())? })
}

/// What cards are worth, of `action=worth,…`.
fn objective(words: &[String]) -> anyhow::Result<Objective> {
    let mut objective = Objective::default();
    for word in words {
        let expected = || usage(format!("--objective {word:?} is not ACTION=WORTH with play, complete, like or skip"));
        let (action, worth) = word.split_once('=').ok_or_else(expected)?;
        let worth: f32 = worth.trim().parse().ok().filter(|worth: &f32| worth.is_finite()).ok_or_else(expected)?;
        match action.trim() {
            "play" => objective.play = worth,
            "complete" => objective.complete = worth,
            "like" => objective.like = worth,
            "skip" => objective.skip = worth,
            _ => return Err(expected()),
        }
    }
    if objective.weights().iter().all(|weight| *weight == 0.0) {
        return Err(usage("--objective is worth nothing; give at least one ACTION=WORTH that is not 0"));
    }
    Ok(objective)
}

/// Kind and worth of `kind=worth`.
fn worth(text: &str) -> anyhow::Result<(EventKind, f64)> {
    let expected = || usage(format!("--reward {text:?} is not KIND=WORTH, such as play=1"));
    let (kind, worth) = text.split_once('=').ok_or_else(expected)?;
    let worth: f64 = worth.trim().parse().ok().filter(|worth: &f64| worth.is_finite()).ok_or_else(expected)?;
    let known = EventKind::KNOWN.into_iter().find(|known| known.as_str() == kind.trim());
    Ok((known.unwrap_or_else(|| EventKind::Other(kind.trim().to_owned())), worth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_names_actions() {
        let words = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let given = objective(&words("play=1, skip = -1.5")).unwrap();
        assert_eq!(given, Objective { play: 1.0, skip: -1.5, ..Objective::default() });
        for wrong in ["play", "hide=1", "play=much", "play=0"] {
            assert!(objective(&words(wrong)).unwrap_err().to_string().contains("--objective"), "{wrong}");
        }
    }

    #[test]
    fn a_reward_is_what_kinds_are_worth() {
        assert_eq!(worth("play=1").unwrap(), (EventKind::Play, 1.0));
        assert_eq!(worth(" skip = -0.5 ").unwrap(), (EventKind::Skip, -0.5));
        assert_eq!(worth("bought=10").unwrap(), (EventKind::Other("bought".to_owned()), 10.0));
        for wrong in ["play", "play=much", "play=inf"] {
            assert!(worth(wrong).unwrap_err().to_string().contains("is not KIND=WORTH"), "{wrong}");
        }
    }
}
