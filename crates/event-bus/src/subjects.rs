//! Every subject, in one place: nothing else formats one. What keeps and reads them stands in `streams.toml`.
//!
//! | stream | subjects |
//! |---|---|
//! | EVENTS | `events.{tenant}.{partition}.batch` |
//! | RECOMMENDATIONS | `recommendations.{tenant}.{partition}` |
//! | CATALOG | `catalog.{tenant}.{partition}` |
//! | CONTROL | `control.{kind}` |
//! | DEAD | `dead.{stream}.{consumer}` |

use std::{borrow::Cow, fmt};

use shared_models::TenantId;

pub use crate::{consumers::*, streams::*};

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

    /// The dead letters from one stream.
    #[must_use]
    pub fn dead(stream: StreamName) -> Self {
        Self(format!("{}.{}.*", StreamName::Dead.token(), stream.token()).into())
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
            assert!(Filter(stream.spec().subjects.clone().into()).matches(text));
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
}
