//! The consumers by name. How each is set stands in `streams.toml`; this file must not know buses.

use std::{borrow::Cow, fmt, sync::LazyLock, time::Duration};

use serde::Deserialize;

use crate::{declared, streams::StreamName, subjects::Filter};

/// Where a consumer begins when it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the oldest message that is kept.
    Oldest,
    /// After the newest message.
    Newest,
}

/// For whom a consumer keeps a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One place: its workers share the messages.
    Shared,
    /// One place for each partition.
    Partition,
    /// One place for each replica of a service.
    Replica,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Partition => "partition",
            Self::Replica => "replica",
        })
    }
}

/// A consumer that `streams.toml` declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsumerName {
    /// candidate-generation folds events into profiles.
    CandidatesIntake,
    /// candidate-generation hears of releases and erasures.
    CandidatesControl,
    /// candidate-generation's replicas follow the catalogue.
    CandidatesCatalog,
    /// ranking folds events into the posteriors of exploration.
    RankingIntake,
    /// ranking hears of releases.
    RankingControl,
    /// ranking follows the catalogue.
    RankingCatalog,
    /// learning archives events.
    LearningArchive,
    /// learning archives recommendations.
    LearningRecommendations,
    /// edge-api keeps decision records for later questions.
    EdgeRecorder,
    /// edge-api hears of surfaces and erasures.
    EdgeControl,
    /// Operators read dead letters.
    Operators,
}

impl ConsumerName {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::CandidatesIntake,
        Self::CandidatesControl,
        Self::CandidatesCatalog,
        Self::RankingIntake,
        Self::RankingControl,
        Self::RankingCatalog,
        Self::LearningArchive,
        Self::LearningRecommendations,
        Self::EdgeRecorder,
        Self::EdgeControl,
        Self::Operators,
    ];

    /// The name, as it stands on servers, in metrics and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CandidatesIntake => "candidates-intake",
            Self::CandidatesControl => "candidates-control",
            Self::CandidatesCatalog => "candidates-catalog",
            Self::RankingIntake => "ranking-intake",
            Self::RankingControl => "ranking-control",
            Self::RankingCatalog => "ranking-catalog",
            Self::LearningArchive => "learning-archive",
            Self::LearningRecommendations => "learning-recommendations",
            Self::EdgeRecorder => "edge-recorder",
            Self::EdgeControl => "edge-control",
            Self::Operators => "operators",
        }
    }

    /// How it is set.
    #[must_use]
    pub fn spec(self) -> &'static ConsumerSpec {
        declared::consumer(self)
    }
}

/// A durable consumer: a place in a stream that outlives its subscribers. Several subscribers of one consumer
/// share its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// What it reads.
    pub stream: StreamName,
    /// Its name on the stream: a-z, 0-9 and `-`.
    pub name: Cow<'static, str>,
    /// Which subjects it sees; `None` is all.
    pub filter: Option<Filter>,
    /// Where it begins when it is new.
    pub start: Start,
    /// How long a delivered message may stay unanswered before it is delivered again.
    pub ack_wait: Duration,
    /// How many deliveries a message gets before it goes to the dead letters.
    pub max_deliver: u32,
    /// The most messages of one batch.
    pub max_batch: usize,
    /// The most messages that may be delivered and unanswered.
    pub max_unanswered: usize,
    /// For whom it is declared to keep a place.
    pub scope: Scope,
    /// Whether one seat at a time is meant to sit here: whoever sits down takes the seat from its last holder, and
    /// is given what that one left unanswered at once and in order, at the cost of one delivery each. Who may sit
    /// is decided elsewhere, by a lease.
    pub exclusive: bool,
}

impl ConsumerSpec {
    /// The same for one partition only, under a name of its own, for one worker at a time.
    #[must_use]
    pub fn for_partition(&self, partition: u16) -> Self {
        Self {
            name: format!("{}-p{partition}", self.name).into(),
            filter: Some(Filter::partition(self.stream, partition)),
            exclusive: true,
            ..self.clone()
        }
    }

    /// The same for one replica of a service, under a name of its own, so that every replica sees every message.
    #[must_use]
    pub fn for_replica(&self, replica: &str) -> Self {
        Self { name: format!("{}-{replica}", self.name).into(), ..self.clone() }
    }

    /// The same for some subjects only. The name stays: give it one of its own where both are used.
    #[must_use]
    pub fn filtered(&self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self.clone() }
    }

    /// Whether it sees a subject.
    #[must_use]
    pub fn sees(&self, subject: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(subject))
    }
}

/// Up to which number every consumer of a stream has dealt with its messages, from their names and how far each is.
/// `None` when nobody reads it. Those that are replaced by others do not count, nor those of single replicas: a replica
/// that is gone leaves one behind, and a new one begins at the newest message.
pub(crate) fn read_by_all<'a>(all: impl Iterator<Item = (&'a str, u64)> + Clone) -> Option<u64> {
    let names = all.clone().map(|(name, _)| name);
    all.filter(|(name, _)| !is_superseded(name, names.clone()) && !is_of_a_replica(name)).map(|(_, floor)| floor).min()
}

fn is_of_a_replica(name: &str) -> bool {
    ConsumerName::ALL.into_iter().any(|known| known.spec().scope == Scope::Replica && name.starts_with(known.as_str()))
}

/// Whether a consumer of all partitions was replaced by one for each: nobody reads from it any more, although it is
/// still there.
fn is_superseded<'a>(name: &str, mut all: impl Iterator<Item = &'a str>) -> bool {
    let partitioned = |other: &str| {
        let rest = other.strip_prefix(name).and_then(|rest| rest.strip_prefix("-p"));
        rest.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    all.any(partitioned)
}

macro_rules! specs {
    ($($constant:ident = $name:ident),+ $(,)?) => {
        $(
            #[doc = concat!("The setting of [`ConsumerName::", stringify!($name), "`].")]
            pub static $constant: LazyLock<ConsumerSpec> = LazyLock::new(|| ConsumerName::$name.spec().clone());
        )+
    };
}

specs!(
    CANDIDATES_INTAKE = CandidatesIntake,
    CANDIDATES_CONTROL = CandidatesControl,
    CANDIDATES_CATALOG = CandidatesCatalog,
    RANKING_INTAKE = RankingIntake,
    RANKING_CONTROL = RankingControl,
    RANKING_CATALOG = RankingCatalog,
    LEARNING_ARCHIVE = LearningArchive,
    LEARNING_RECOMMENDATIONS = LearningRecommendations,
    EDGE_RECORDER = EdgeRecorder,
    EDGE_CONTROL = EdgeControl,
    DEAD_LETTERS = Operators,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_of_all_partitions_gives_way_to_those_of_each() {
        let check = |name: &str, others: &[&str], expected: bool| {
            assert_eq!(is_superseded(name, others.iter().copied()), expected, "{name} among {others:?}");
        };
        check("intake", &["intake", "intake-p0", "intake-p12"], true);
        check("intake", &["intake", "intake-pod-1", "intake-p", "other-p0"], false);
        check("intake-p0", &["intake", "intake-p0"], false);
    }

    #[test]
    fn what_counts_as_read_is_read_by_everybody_who_reads() {
        let check = |all: &[(&str, u64)], expected: Option<u64>| {
            assert_eq!(read_by_all(all.iter().copied()), expected, "{all:?}");
        };
        check(&[], None);
        check(&[("candidates-intake", 7), ("learning-archive", 5)], Some(5));
        check(&[("candidates-intake", 1), ("candidates-intake-p0", 9), ("candidates-intake-p1", 8)], Some(8));
        check(&[("candidates-control-pod-7", 1)], None);
    }
}
