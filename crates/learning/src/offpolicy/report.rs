//! What an evaluation of policies says, as data: for tables, JSON and pictures.

use rustc_hash::FxHashSet;
use serde::Serialize;

use super::{
    Error,
    estimate::{Estimate, Intervals},
    open_bandit::{self, Logged},
    reward::{Model, Rewards, cross_fit},
    single::{self, ByPosition, Positions, Settings},
    slates::{self, List},
};
use shared_models::Seed;

/// One policy by one log.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// What it is of: a campaign, or a shelf.
    pub of: String,
    /// The policy that is evaluated.
    pub policy: String,
    /// Whose log it is evaluated by.
    pub log: String,
    /// Decisions in the log.
    pub rounds: usize,
    /// Listeners in the log, where it knows them.
    pub listeners: Option<usize>,
    /// What the log's own policy brought.
    pub logged: Estimate,
    /// What the policy brought where it served itself, or what is true; `None` where nobody knows.
    pub truth: Option<Estimate>,
    /// What the log says of the policy.
    pub estimates: Vec<Estimate>,
    /// What to know before believing it.
    pub notes: Vec<String>,
}

impl Comparison {
    /// Of lists that the live policy showed; estimates and notes are still to come.
    pub(super) fn by_live(of: &str, policy: String, lists: &[List], intervals: Intervals) -> Self {
        let listeners: FxHashSet<u32> = lists.iter().map(|list| list.unit).collect();
        Self {
            of: of.to_owned(),
            policy,
            log: "live".to_owned(),
            rounds: lists.len(),
            listeners: Some(listeners.len()),
            logged: slates::on_policy(lists, intervals),
            ..Self::default()
        }
    }

    /// How far an estimate is from the truth, in units of it.
    #[must_use]
    pub fn relative_error(&self, estimate: &Estimate) -> Option<f64> {
        let truth = self.truth.as_ref()?.value;
        (truth != 0.0).then(|| (estimate.value - truth).abs() / truth.abs())
    }
}

/// An evaluation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What was evaluated, in a line.
    pub about: String,
    /// What a reward is.
    pub reward: String,
    /// The seed of every draw.
    pub seed: u64,
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
}

/// A campaign evaluated: the comparison, and what it was made from.
pub struct Evaluated {
    /// The comparison.
    pub comparison: Comparison,
    /// The policy.
    pub policy: ByPosition,
    /// What the model expects.
    pub rewards: Rewards,
}

/// Evaluates one policy of an Open Bandit campaign by the log of the other. `names` are those of the evaluated policy and
/// of the log's.
///
/// # Errors
/// When a log cannot be used.
pub fn open_bandit(
    campaign: &str,
    names: [&str; 2],
    [own, other]: [&Logged; 2],
    model: &Model,
    folds: u64,
    seed: Seed,
    settings: &Settings,
) -> Result<Evaluated, Error> {
    let (policy, logged) = (open_bandit::policy(&own.log), open_bandit::policy(&other.log));
    if own.log.actions != other.log.actions {
        let what = "the number of items of both policies";
        let expected = "the same for both";
        return Err(Error::Setting {
            name: what,
            given: format!("{} and {}", own.log.actions, other.log.actions),
            expected,
        });
    }
    let rewards = cross_fit(&other.log, &other.context, model, folds, seed)?;
    let examined = open_bandit::examined(&other.log);
    let positions = Positions { policy: &policy, logged: &logged, examined: &examined };
    let estimates = {
        let on = policy.on(&other.log);
        single::evaluate(&other.log, &on, Some(&rewards), Some(&positions), settings)?
    };
    let comparison = Comparison {
        of: campaign.to_owned(),
        policy: names[0].to_owned(),
        log: names[1].to_owned(),
        rounds: other.log.rounds.len(),
        listeners: None,
        logged: other.log.on_policy(settings.intervals),
        truth: Some(own.log.on_policy(settings.intervals)),
        estimates,
        notes: Vec::new(),
    };
    Ok(Evaluated { comparison, policy, rewards })
}
