//! The configuration read again while the process runs: at `SIGHUP`, and only if all of it is good.
//!
//! What a service says may change takes effect; the rest is told to need a restart. What cannot be used is refused as a
//! whole, and the process goes on with what it has. This file must not know what any key means.

use std::{any::Any, fmt, marker::PhantomData, sync::Arc};

use prometheus_client::{encoding::EncodeLabelSet, metrics::counter::Counter, metrics::family::Family};
use tokio::sync::watch;

use crate::{Runtime, config, metrics::Metrics, process::Settings, tasks};

type Shared = Arc<dyn Any + Send + Sync>;

/// Where a configuration that was read again is handed on.
#[derive(Clone)]
pub struct Reloads(watch::Sender<Option<Shared>>);

impl Default for Reloads {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloads").finish_non_exhaustive()
    }
}

impl Reloads {
    /// Hands a configuration to everybody who follows its type.
    pub fn send<C: Send + Sync + 'static>(&self, config: C) {
        let config: Shared = Arc::new(config);
        self.0.send_replace(Some(config));
    }

    /// The configurations of a type that are read from now on.
    #[must_use]
    pub fn follow<C: Send + Sync + 'static>(&self) -> Follow<C> {
        Follow { latest: self.0.subscribe(), of: PhantomData }
    }
}

/// The configurations that are read from now on.
#[derive(Debug)]
pub struct Follow<C> {
    latest: watch::Receiver<Option<Shared>>,
    of: PhantomData<fn() -> C>,
}

impl<C: Send + Sync + 'static> Follow<C> {
    /// The next one; those in between are skipped. `None` when there can be no more.
    pub async fn next(&mut self) -> Option<Arc<C>> {
        loop {
            self.latest.changed().await.ok()?;
            let latest = self.latest.borrow_and_update().clone();
            if let Some(config) = latest.and_then(|latest| latest.downcast::<C>().ok()) {
                return Some(config);
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// How a configuration is read again.
pub(crate) type Again<C> = Box<dyn Fn() -> Result<C, config::Error> + Send>;

/// Reads the configuration again when it is asked to.
pub(crate) struct Reloader<C> {
    again: Option<Again<C>>,
    current: String,
    reloads: Family<OfOutcome, Counter>,
}

impl<C: Settings> Reloader<C> {
    pub(crate) fn new(current: &C, again: Option<Again<C>>, metrics: &Metrics) -> Self {
        let reloads = Family::default();
        metrics.register(
            "setlist_config_reloads",
            "Times the configuration was read again, by outcome",
            reloads.clone(),
        );
        Self { again, current: config::dump(current), reloads }
    }

    /// Reads, and hands on what may change.
    pub(crate) fn reload(&mut self, runtime: &Runtime) {
        let Some(again) = &self.again else {
            tracing::warn!("this process reads its configuration at the start only; restart it");
            return self.count("ignored");
        };
        let read = match again() {
            Ok(read) => read,
            Err(error) => {
                let error = tasks::chain(&error);
                tracing::error!(error, "configuration is refused; the process goes on with the one it has");
                return self.count("refused");
            }
        };
        let next = config::dump(&read);
        let (applied, waiting): (Vec<String>, Vec<String>) =
            changed(&self.current, &next).into_iter().partition(|key| takes_effect::<C>(key));
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these keys take effect at the next start");
        }
        tracing::info!(keys = applied.join(", "), "configuration was read again");
        self.current = next;
        runtime.reloads.send(read);
        self.count("applied");
    }

    fn count(&self, outcome: &'static str) {
        self.reloads.get_or_create(&OfOutcome { outcome }).inc();
    }
}

fn takes_effect<C: Settings>(key: &str) -> bool {
    C::reloadable()
        .iter()
        .any(|section| key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The keys whose values differ between two dumps.
fn changed(before: &str, after: &str) -> Vec<String> {
    let read = |text: &str| text.parse::<toml::Table>().unwrap_or_default();
    let mut keys = Vec::new();
    differ("", &toml::Value::Table(read(before)), &toml::Value::Table(read(after)), &mut keys);
    keys
}

fn differ(key: &str, before: &toml::Value, after: &toml::Value, keys: &mut Vec<String>) {
    match (before, after) {
        (toml::Value::Table(before), toml::Value::Table(after)) => {
            let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                match (before.get(name), after.get(name)) {
                    (Some(before), Some(after)) => differ(&inner, before, after, keys),
                    _ => keys.push(inner),
                }
            }
        }
        (before, after) if before != after => keys.push(key.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_by_its_key() {
        let before = "a = 1\n[b]\nc = [1]\nd = 2\n[e.f]\ng = 1\n";
        let after = "a = 1\n[b]\nc = [1, 2]\nd = 2\nx = 1\n[e.f]\ng = 2\n";
        assert_eq!(changed(before, after), ["b.c", "b.x", "e.f.g"]);
        assert!(changed(before, before).is_empty());
    }

    #[tokio::test]
    async fn whoever_follows_gets_the_latest_of_its_type() {
        let reloads = Reloads::default();
        let mut follow = reloads.follow::<String>();
        reloads.send(1_u8);
        reloads.send("first".to_owned());
        reloads.send("latest".to_owned());
        assert_eq!(*follow.next().await.unwrap(), "latest");
        drop(reloads);
        assert!(follow.next().await.is_none());
    }
}
