//! Every stream, subject and consumer, in one place. Nothing else formats a subject.
//!
//! | stream | subjects |
//! |---|---|
//! | EVENTS | `events.{tenant}.{partition}.batch` |
//! | RECOMMENDATIONS | `recommendations.{tenant}.{partition}` |
//! | CATALOG | `catalog.{tenant}.{partition}` |
//! | CONTROL | `control.{kind}` |
//! | DEAD | `dead.{stream}.{consumer}` |

use std::{borrow::Cow, fmt, time::Duration};

use shared_models::TenantId;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A stream: an ordered, durable log of messages, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamName {
    /// What listeners did.
    Events,
    /// What was answered to them.
    Recommendations,
    /// What changed in the catalogues.
    Catalog,
    /// What operators and learning tell the services.
    Control,
    /// What no consumer could take.
    Dead,
}

impl StreamName {
    /// All streams.
    pub const ALL: [Self; 5] = [Self::Events, Self::Recommendations, Self::Catalog, Self::Control, Self::Dead];

    /// The name, as it stands on servers, in metrics and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "EVENTS",
            Self::Recommendations => "RECOMMENDATIONS",
            Self::Catalog => "CATALOG",
            Self::Control => "CONTROL",
            Self::Dead => "DEAD",
        }
    }

    /// The first token of its subjects.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Recommendations => "recommendations",
            Self::Catalog => "catalog",
            Self::Control => "control",
            Self::Dead => "dead",
        }
    }

    /// How it is kept.
    #[must_use]
    pub const fn spec(self) -> StreamSpec {
        let (subjects, max_age, share_percent) = match self {
            Self::Events => ("events.>", DAY.saturating_mul(7), 50),
            Self::Recommendations => ("recommendations.>", DAY.saturating_mul(7), 30),
            Self::Catalog => ("catalog.>", DAY.saturating_mul(30), 10),
            Self::Control => ("control.>", DAY.saturating_mul(30), 2),
            Self::Dead => ("dead.>", DAY.saturating_mul(30), 8),
        };
        StreamSpec { name: self, subjects, max_age, share_percent, dedup_window: MINUTE.saturating_mul(2) }
    }

    /// The number that stands for it in the embedded log. It never changes.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Events => 1,
            Self::Recommendations => 2,
            Self::Catalog => 3,
            Self::Control => 4,
            Self::Dead => 5,
        }
    }

    fn of_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.token() == token)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// Which stream.
    pub name: StreamName,
    /// The pattern of its subjects.
    pub subjects: &'static str,
    /// How long messages are kept.
    pub max_age: Duration,
    /// Its share of the configured bytes; past it the oldest messages are forgotten.
    pub share_percent: u64,
    /// How long an envelope's id is remembered: within it, the same id is kept once.
    pub dedup_window: Duration,
}

impl StreamSpec {
    /// How many of `total` bytes the stream may keep.
    #[must_use]
    pub const fn max_bytes(&self, total: u64) -> u64 {
        total / 100 * self.share_percent
    }
}

/// Where a message goes: dot-separated tokens. Built by this file only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    stream: StreamName,
    text: String,
}

impl Subject {
    /// The subject as it stands on the server.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The stream that keeps it.
    #[must_use]
    pub fn stream(&self) -> StreamName {
        self.stream
    }

    /// The subject with its varying tokens left open: for names of spans and labels of metrics.
    #[must_use]
    pub fn template(&self) -> &'static str {
        template(self.stream)
    }

    /// The tenant it belongs to, where it belongs to one.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        match self.stream {
            StreamName::Events | StreamName::Recommendations | StreamName::Catalog => self.text.split('.').nth(1),
            StreamName::Control | StreamName::Dead => None,
        }
    }

    /// Reads a subject that came back from a server.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let stream = StreamName::of_token(text.split('.').next()?)?;
        Some(Self { stream, text: text.to_owned() })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The subjects of a stream with their varying tokens left open.
#[must_use]
pub const fn template(stream: StreamName) -> &'static str {
    match stream {
        StreamName::Events => "events.{tenant}",
        StreamName::Recommendations => "recommendations.{tenant}",
        StreamName::Catalog => "catalog.{tenant}",
        StreamName::Control => "control.{kind}",
        StreamName::Dead => "dead.{stream}",
    }
}

/// Batches of events of a tenant's users in one partition.
#[must_use]
pub fn events(tenant: &TenantId, partition: u16) -> Subject {
    Subject { stream: StreamName::Events, text: format!("events.{tenant}.{partition}.batch") }
}

/// Decision records of a tenant's users in one partition.
#[must_use]
pub fn recommendations(tenant: &TenantId, partition: u16) -> Subject {
    Subject { stream: StreamName::Recommendations, text: format!("recommendations.{tenant}.{partition}") }
}

/// Changes of a tenant's catalogue in one partition of its items.
#[must_use]
pub fn catalog(tenant: &TenantId, partition: u16) -> Subject {
    Subject { stream: StreamName::Catalog, text: format!("catalog.{tenant}.{partition}") }
}

/// What a control message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlKind {
    /// A tenant's release went live.
    ReleasePromoted,
    /// A version of a surface went live.
    SurfaceActivated,
    /// Everything of a user is to be forgotten.
    Erasure,
}

impl ControlKind {
    /// The token of the subject.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReleasePromoted => "release_promoted",
            Self::SurfaceActivated => "surface_activated",
            Self::Erasure => "erasure",
        }
    }
}

/// Control messages of one kind.
#[must_use]
pub fn control(kind: ControlKind) -> Subject {
    Subject { stream: StreamName::Control, text: format!("control.{}", kind.as_str()) }
}

/// What `consumer` could not take from `stream`.
#[must_use]
pub fn dead(stream: StreamName, consumer: &str) -> Subject {
    Subject { stream: StreamName::Dead, text: format!("dead.{}.{consumer}", stream.token()) }
}

/// Which subjects of a stream a consumer sees: tokens as in a subject, `*` for any one token, `>` for any rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter(Cow<'static, str>);

impl Filter {
    /// One partition of every tenant.
    #[must_use]
    pub fn partition(stream: StreamName, partition: u16) -> Self {
        let rest = if stream == StreamName::Events { ".batch" } else { "" };
        Self(format!("{}.*.{partition}{rest}", stream.token()).into())
    }

    /// Everything of one tenant.
    #[must_use]
    pub fn tenant(stream: StreamName, tenant: &TenantId) -> Self {
        Self(format!("{}.{tenant}.>", stream.token()).into())
    }

    /// One kind of control message.
    #[must_use]
    pub fn control(kind: ControlKind) -> Self {
        Self(control(kind).text.into())
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a subject is seen.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

/// Where a consumer begins when it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// At the oldest message that is kept.
    Oldest,
    /// After the newest message.
    Newest,
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
    /// Whether one seat at a time is meant to sit here: whoever sits down takes the seat from its last holder, and
    /// is given what that one left unanswered at once and in order, at the cost of one delivery each. Who may sit
    /// is decided elsewhere, by a lease.
    pub exclusive: bool,
}

impl ConsumerSpec {
    const fn new(stream: StreamName, name: &'static str) -> Self {
        Self {
            stream,
            name: Cow::Borrowed(name),
            filter: None,
            start: Start::Oldest,
            ack_wait: Duration::from_secs(30),
            max_deliver: 8,
            max_batch: 64,
            max_unanswered: 256,
            exclusive: false,
        }
    }

    const fn newest(mut self) -> Self {
        self.start = Start::Newest;
        self
    }

    const fn batch(mut self, max_batch: usize) -> Self {
        self.max_batch = max_batch;
        self.max_unanswered = max_batch * 4;
        self
    }

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

/// candidate-generation folds events into profiles.
pub const CANDIDATES_INTAKE: ConsumerSpec = ConsumerSpec::new(StreamName::Events, "candidates-intake").batch(64);
/// candidate-generation hears of releases and erasures. One for each replica.
pub const CANDIDATES_CONTROL: ConsumerSpec = ConsumerSpec::new(StreamName::Control, "candidates-control").newest();
/// candidate-generation's replicas follow the catalogue. One for each replica.
pub const CANDIDATES_CATALOG: ConsumerSpec = ConsumerSpec::new(StreamName::Catalog, "candidates-catalog").newest();
/// ranking folds events into the posteriors of exploration.
pub const RANKING_INTAKE: ConsumerSpec = ConsumerSpec::new(StreamName::Events, "ranking-intake").batch(64);
/// ranking hears of releases. One for each replica.
pub const RANKING_CONTROL: ConsumerSpec = ConsumerSpec::new(StreamName::Control, "ranking-control").newest();
/// ranking follows the catalogue. One for each replica.
pub const RANKING_CATALOG: ConsumerSpec = ConsumerSpec::new(StreamName::Catalog, "ranking-catalog").newest();
/// learning archives events.
pub const LEARNING_ARCHIVE: ConsumerSpec = ConsumerSpec::new(StreamName::Events, "learning-archive").batch(256);
/// learning archives recommendations.
pub const LEARNING_RECOMMENDATIONS: ConsumerSpec =
    ConsumerSpec::new(StreamName::Recommendations, "learning-recommendations").batch(256);
/// edge-api keeps decision records for later questions.
pub const EDGE_RECORDER: ConsumerSpec = ConsumerSpec::new(StreamName::Recommendations, "edge-recorder").batch(128);
/// edge-api hears of surfaces and erasures. One for each replica.
pub const EDGE_CONTROL: ConsumerSpec = ConsumerSpec::new(StreamName::Control, "edge-control").newest();
/// Operators read dead letters.
pub const DEAD_LETTERS: ConsumerSpec = ConsumerSpec::new(StreamName::Dead, "operators");

/// All consumers that are declared here.
pub const CONSUMERS: [&ConsumerSpec; 11] = [
    &CANDIDATES_INTAKE,
    &CANDIDATES_CONTROL,
    &CANDIDATES_CATALOG,
    &RANKING_INTAKE,
    &RANKING_CONTROL,
    &RANKING_CATALOG,
    &LEARNING_ARCHIVE,
    &LEARNING_RECOMMENDATIONS,
    &EDGE_RECORDER,
    &EDGE_CONTROL,
    &DEAD_LETTERS,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> TenantId {
        TenantId::new("demo").unwrap()
    }

    #[test]
    fn subjects_are_what_the_streams_keep() {
        let check = |subject: Subject, text: &str, stream: StreamName| {
            assert_eq!(subject.as_str(), text);
            assert_eq!(subject.stream(), stream);
            assert!(Filter(stream.spec().subjects.into()).matches(text));
            assert_eq!(Subject::parse(text), Some(subject));
        };
        check(events(&demo(), 3), "events.demo.3.batch", StreamName::Events);
        check(recommendations(&demo(), 3), "recommendations.demo.3", StreamName::Recommendations);
        check(catalog(&demo(), 0), "catalog.demo.0", StreamName::Catalog);
        check(control(ControlKind::ReleasePromoted), "control.release_promoted", StreamName::Control);
        check(dead(StreamName::Events, "candidates-intake"), "dead.events.candidates-intake", StreamName::Dead);
    }

    #[test]
    fn filters_match_token_by_token() {
        let check = |filter: &str, subject: &str, expected: bool| {
            assert_eq!(Filter(filter.to_owned().into()).matches(subject), expected, "{filter} {subject}");
        };
        check("events.>", "events.demo.3.batch", true);
        check("events.>", "events", false);
        check("events.*.3.batch", "events.demo.3.batch", true);
        check("events.*.3.batch", "events.demo.4.batch", false);
        check("events.*.3", "events.demo.3.batch", false);
        check("events.demo.>", "events.demo2.3.batch", false);
        check("control.erasure", "control.erasure", true);
        check("control.erasure.more", "control.erasure", false);
        assert!(Filter::partition(StreamName::Events, 3).matches(events(&demo(), 3).as_str()));
        assert!(Filter::partition(StreamName::Recommendations, 3).matches(recommendations(&demo(), 3).as_str()));
    }

    #[test]
    fn no_two_consumers_of_a_stream_share_a_name() {
        let mut names: Vec<_> = CONSUMERS.iter().map(|spec| (spec.stream, spec.name.as_ref())).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CONSUMERS.len());
    }

    #[test]
    fn shares_of_the_disk_sum_to_all_of_it() {
        assert_eq!(StreamName::ALL.iter().map(|stream| stream.spec().share_percent).sum::<u64>(), 100);
    }
}
