//! Kills parts of a cluster in a drawn order, and brings them back. The same seed draws the same order. This file must
//! not know what the cluster is used for meanwhile.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use rand::RngExt as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use shared_models::Seed;
use testkit::cluster::{Cluster, PATIENCE, Part};

/// Draws parts and kills them.
pub struct Nemesis {
    random: Xoshiro256PlusPlus,
    parts: Vec<Part>,
    killed: BTreeMap<Part, u32>,
}

impl Nemesis {
    /// A nemesis of some parts.
    #[must_use]
    pub fn new(parts: Vec<Part>, seed: u64) -> Self {
        Self { random: Seed(seed).stream("nemesis"), parts, killed: BTreeMap::new() }
    }

    /// Kills a part (one time in ten two at once), leaves it down for a moment, and starts it again. It waits until the
    /// part says that it is ready one time in two: the next kill may come before.
    ///
    /// # Errors
    /// When a part cannot be killed or does not come back.
    pub async fn strike(&mut self, cluster: &mut Cluster) -> Result<Vec<Part>> {
        let mut victims = vec![self.draw()?];
        if self.random.random_bool(0.1) {
            let other = self.draw()?;
            if other != victims[0] {
                victims.push(other);
            }
        }
        for victim in &victims {
            cluster.kill(*victim)?;
            *self.killed.entry(*victim).or_default() += 1;
        }
        tokio::time::sleep(Duration::from_millis(self.random.random_range(50..500))).await;
        // The victims, and who ended because one of them was away: a supervisor starts both again.
        for part in cluster.parts() {
            cluster.start_part(part).await?;
        }
        if self.random.random_bool(0.5) {
            for victim in &victims {
                // Others may still be down, and with them what it needs: the next strike does not wait for ever.
                let _ready = cluster.ready(*victim, PATIENCE / 6).await;
            }
        }
        Ok(victims)
    }

    /// How often each part was killed, as a line of text.
    #[must_use]
    pub fn text(&self) -> String {
        self.killed.iter().map(|(part, count)| format!("{part} {count}")).collect::<Vec<_>>().join(", ")
    }

    fn draw(&mut self) -> Result<Part> {
        let at = self.random.random_range(0..self.parts.len().max(1));
        self.parts.get(at).copied().context("a nemesis of nobody")
    }
}
