//! What a cluster is made of, and what its parts are called. This file must not know how they are run.

use std::{fmt, path::PathBuf};

use crate::nats::Sync;

/// How many of each part, and what is told to them.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Edges.
    pub edges: usize,
    /// Replicas of candidate generation.
    pub candidates: usize,
    /// Replicas of ranking.
    pub ranking: usize,
    /// Services that learn beside the others: none or one.
    pub learning: usize,
    /// nats-servers: 1, or 3 that keep everything three times.
    pub nats: usize,
    /// Where traces go; empty for nowhere.
    pub otlp: String,
    /// Where nats-servers keep their streams; in the cluster's folder when left out.
    pub streams: Option<PathBuf>,
    /// When nats-servers sync what they were told.
    pub sync: Sync,
    /// Where PostgreSQL keeps its data; in a folder of its own when left out.
    pub database: Option<PathBuf>,
    /// By how many seconds the wall clocks of services are ahead when they are first started, in turn by their number;
    /// negative for behind. They can be set then ([`super::Cluster::set_clock`]). Empty for the machine's clock.
    pub clocks: Vec<i64>,
    /// Further settings of one kind of service: which, the key, and the value as it reads in TOML.
    pub settings: Vec<(Kind, String, String)>,
}

impl Default for Shape {
    /// Two of each service on a page's way, one that learns, three nats-servers, one PostgreSQL.
    fn default() -> Self {
        Self {
            edges: 2,
            candidates: 2,
            ranking: 2,
            learning: 1,
            nats: 3,
            otlp: String::new(),
            streams: None,
            sync: Sync::Always,
            database: None,
            clocks: Vec::new(),
            settings: Vec::new(),
        }
    }
}

impl Shape {
    /// With one more setting of a kind of service.
    #[must_use]
    pub fn set(mut self, kind: Kind, key: &str, value: impl Into<String>) -> Self {
        self.settings.push((kind, key.to_owned(), value.into()));
        self
    }

    /// Every part, in the order in which they are started.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let all = |kind, count| (0..count).map(move |number| Part { kind, number });
        all(Kind::Nats, self.nats)
            .chain(all(Kind::Postgres, 1))
            .chain(all(Kind::Candidates, self.candidates))
            .chain(all(Kind::Ranking, self.ranking))
            .chain(all(Kind::Learning, self.learning))
            .chain(all(Kind::Edge, self.edges))
            .collect()
    }
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// HTTP in, gRPC out.
    Edge,
    /// Catalogue, profiles and intake.
    Candidates,
    /// Models.
    Ranking,
    /// Archive and training.
    Learning,
    /// The streams.
    Nats,
    /// The database.
    Postgres,
}

impl Kind {
    /// The name: of the command, where it is a service.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Candidates => "candidates",
            Self::Ranking => "ranking",
            Self::Learning => "learning",
            Self::Nats => "nats",
            Self::Postgres => "postgres",
        }
    }

    /// Whether it is one of our services.
    #[must_use]
    pub const fn is_service(self) -> bool {
        !matches!(self, Self::Nats | Self::Postgres)
    }

    /// Whether it speaks to the streams.
    pub(super) const fn reads_streams(self) -> bool {
        matches!(self, Self::Edge | Self::Candidates | Self::Learning)
    }
}

/// One process of a cluster (PostgreSQL's count as one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// Which of its kind, from 0.
    pub number: usize,
}

impl Part {
    /// An edge.
    #[must_use]
    pub const fn edge(number: usize) -> Self {
        Self { kind: Kind::Edge, number }
    }

    /// A replica of candidate generation.
    #[must_use]
    pub const fn candidates(number: usize) -> Self {
        Self { kind: Kind::Candidates, number }
    }

    /// A replica of ranking.
    #[must_use]
    pub const fn ranking(number: usize) -> Self {
        Self { kind: Kind::Ranking, number }
    }

    /// A nats-server.
    #[must_use]
    pub const fn nats(number: usize) -> Self {
        Self { kind: Kind::Nats, number }
    }

    /// The database.
    #[must_use]
    pub const fn postgres() -> Self {
        Self { kind: Kind::Postgres, number: 0 }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.kind.as_str(), self.number + 1))
    }
}
