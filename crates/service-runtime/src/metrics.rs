//! The process's one registry of metrics, in OpenMetrics text.
//!
//! This file must not know any metric: each crate describes its own in its `metrics.rs`, under a name like
//! `setlist_<service>_<thing>_<unit>`. Counters get their `_total` from the encoder, so it is not part of the name.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

use prometheus_client::{
    collector::Collector,
    encoding::text,
    registry::{Metric, Registry},
};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process's registry of metrics. Clones share it.
#[derive(Clone, Default)]
pub struct Metrics(Arc<RwLock<Inner>>);

#[derive(Default)]
struct Inner {
    registry: Registry,
    /// A clone of every metric by its name, so that two parts of a process can share one.
    known: HashMap<String, Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `metric` to the registry.
    ///
    /// A name can stand for one metric only: a second one under the same name is refused and reported, because it
    /// would make the whole page unreadable for a scraper. Parts that may be built twice use [`Metrics::shared`].
    pub fn register(&self, name: impl Into<String>, help: impl Into<String>, metric: impl Metric) {
        let name = name.into();
        let mut inner = self.write();
        if inner.known.contains_key(&name) {
            tracing::error!(metric = name, "metric is registered twice; the second one is not shown");
            return;
        }
        inner.known.insert(name.clone(), Box::new(()));
        inner.registry.register(name, help, metric);
    }

    /// The metric under `name`, made and registered on first use.
    ///
    /// Two callers that give the same name and type get the same metric.
    pub fn shared<M: Metric + Clone>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        make: impl FnOnce() -> M,
    ) -> M {
        let name = name.into();
        let mut inner = self.write();
        match inner.known.get(&name).map(|known| known.downcast_ref::<M>().cloned()) {
            Some(Some(metric)) => metric,
            Some(None) => {
                tracing::error!(
                    metric = name,
                    "metric is registered twice with different types; the second one is not shown"
                );
                make()
            }
            None => {
                let metric = make();
                inner.known.insert(name.clone(), Box::new(metric.clone()));
                inner.registry.register(name, help, metric.clone());
                metric
            }
        }
    }

    /// Adds metrics that are read when the page is asked for.
    pub(crate) fn collect(&self, collector: impl Collector) {
        self.write().registry.register_collector(Box::new(collector));
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        match text::encode(&mut page, &inner.registry) {
            Ok(()) => page,
            Err(error) => {
                tracing::error!(%error, "metrics could not be encoded");
                String::from("# EOF\n")
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bucket bounds for durations in seconds, from 0.25 ms to 10 s: fine where the budgets lie (1 to 250 ms).
pub fn seconds_buckets() -> impl Iterator<Item = f64> {
    [
        0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25,
        0.5, 1.0, 2.5, 5.0, 10.0,
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

    use super::*;

    #[test]
    fn a_second_metric_of_the_same_name_is_not_shown() {
        let metrics = Metrics::new();
        let counter: Counter = Counter::default();
        metrics.register("setlist_test_things", "Things", counter.clone());
        metrics.register("setlist_test_things", "Other things", Counter::<u64>::default());
        counter.inc();
        assert_eq!(metrics.encode().matches("setlist_test_things_total 1").count(), 1);
        assert_eq!(metrics.encode().matches("# TYPE setlist_test_things counter").count(), 1);
    }

    #[test]
    fn two_parts_share_one_metric() {
        let metrics = Metrics::new();
        let first: Counter = metrics.shared("setlist_test_things", "Things", Counter::default);
        let second: Counter = metrics.shared("setlist_test_things", "Things", Counter::default);
        first.inc();
        second.inc();
        assert!(metrics.encode().contains("setlist_test_things_total 2"));
    }

    #[test]
    fn the_page_ends_as_open_metrics_asks() {
        let metrics = Metrics::new();
        metrics.register("setlist_test_wait_seconds", "Wait", Histogram::new(seconds_buckets()));
        assert!(metrics.encode().ends_with("# EOF\n"));
    }
}
