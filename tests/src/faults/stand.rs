//! What every fault is tried on: a running cluster with a world in it. This file must not know any fault.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use testkit::{
    Collector,
    cluster::{Cluster, Kind, Part, Shape},
};

use super::{
    balancer::Balancer,
    load::{Asking, Load},
    proxy::Proxy,
};
use crate::stock::Stock;

/// How many of the world's events go into a cluster: enough for pages that know their listeners.
const EVENTS: usize = 10_000;

/// How long a scenario goes on, and how strictly it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// In seconds, for every change.
    Short,
    /// As docs/faults.md tells it.
    Long,
}

impl Size {
    /// One of two, by size.
    #[must_use]
    pub fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }

    /// How many pages are asked for in a second.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.of(20.0, 50.0)
    }

    /// How long a page may take, for 99 of 100: the surface's own budget and what a client on the same two cores takes
    /// to see it. A build without optimisation beside compilers has more.
    #[must_use]
    pub fn budget(self) -> Duration {
        if cfg!(debug_assertions) { Duration::from_secs(2) } else { Duration::from_millis(200) }
    }

    /// The share of pages that may miss their budget, and so fall further than the outage makes them. A build without
    /// optimisation beside compilers misses many: a quarter must still say what is out.
    #[must_use]
    pub fn noise(self) -> f64 {
        if cfg!(debug_assertions) { 0.75 } else { 0.02 }
    }
}

/// A cluster that serves.
pub struct Stand {
    /// The cluster.
    pub cluster: Cluster,
    /// What it serves.
    pub stock: Arc<Stock>,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// How long each scenario goes on.
    pub size: Size,
    /// Where its traces go, when they are looked at, and what stands before it.
    collecting: Option<(Collector, Proxy)>,
    listeners: Arc<Vec<String>>,
}

impl Stand {
    /// Starts a cluster and puts the world into it.
    ///
    /// # Errors
    /// When it does not start, or does not take the world.
    pub async fn start(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<Self> {
        let collector = Collector::start().await?;
        let address = collector.endpoint().trim_start_matches("http://").parse()?;
        let proxy = Proxy::start(address).await?;
        let shape = Shape { otlp: format!("http://{}", proxy.address()), ..shape };
        // A build without optimisation beside compilers is overloaded by a page, and would refuse the next: what is
        // tried here are faults.
        let busy = cfg!(debug_assertions);
        let shape = if busy { shape.set(Kind::Edge, "limits.least_concurrency", "64") } else { shape };
        let cluster = Cluster::start(shape).await?;
        let mut stand = Self::around(cluster, stock, seed, size);
        stand.collecting = Some((collector, proxy));
        stand.fill().await?;
        Ok(stand)
    }

    /// A stand around a cluster that holds nothing yet.
    #[must_use]
    pub fn around(cluster: Cluster, stock: Arc<Stock>, seed: u64, size: Size) -> Self {
        let listeners = Arc::new(stock.listeners());
        Self { cluster, stock, seed, size, collecting: None, listeners }
    }

    /// Puts release and world into the cluster.
    ///
    /// # Errors
    /// When it does not take them.
    pub async fn fill(&self) -> Result<()> {
        self.stock.put_release(&self.cluster.releases())?;
        // Every edge has made a page before anything is broken.
        for edge in self.cluster.edges() {
            let events = if edge == self.cluster.url(Part::edge(0)) { EVENTS } else { 0 };
            self.stock.put_through(&edge, self.cluster.key(), events).await?;
        }
        Ok(())
    }

    /// Asks for pages of all listeners in turn.
    #[must_use]
    pub fn pages(&self) -> Load {
        Load::start(Asking {
            balancer: Balancer::start(self.cluster.edges()),
            key: self.cluster.key().to_owned(),
            listeners: Arc::clone(&self.listeners),
            rate: self.size.rate(),
        })
    }

    /// Brings every part back: thaws what is frozen, starts what is down, waits until all are ready.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn mend(&mut self) -> Result<()> {
        for part in self.cluster.parts() {
            self.cluster.thaw(part)?;
        }
        self.cluster.start_rest().await
    }

    /// The world's tracks, for events.
    ///
    /// # Errors
    /// When the world has none.
    pub fn tracks(&self) -> Result<Vec<String>> {
        let tracks: Vec<String> = self
            .stock
            .world
            .items
            .iter()
            .filter(|item| item.kind.as_str() == "track")
            .map(|item| item.id.to_string())
            .collect();
        ensure!(!tracks.is_empty(), "a world without tracks");
        Ok(tracks)
    }

    /// The collector.
    ///
    /// # Errors
    /// When the cluster's traces go elsewhere.
    pub fn collector(&self) -> Result<&Collector> {
        self.collecting.as_ref().map(|(collector, _)| collector).context("nobody collects this cluster's traces")
    }

    /// What stands before the collector.
    ///
    /// # Errors
    /// As [`Stand::collector`].
    pub fn proxy(&self) -> Result<&Proxy> {
        self.collecting.as_ref().map(|(_, proxy)| proxy).context("nobody collects this cluster's traces")
    }
}
