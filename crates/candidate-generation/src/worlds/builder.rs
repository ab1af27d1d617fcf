//! Makes a release ready to serve: its indexes, and the golden requests that it must answer before it may.
//!
//! It must not know which release serves. While pages are served it takes one processor, so that a swap
//! costs them no more than that; before, all of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use releases::Release;
use shared_models::ReleaseId;

use crate::{
    catalog::Snapshot,
    golden,
    index::{EmbeddingIndex, Serving, embedding},
};

/// Builds for one tenant.
#[derive(Debug)]
pub(super) struct Builder {
    config: embedding::Config,
    /// Whether pages are served meanwhile.
    is_serving: Arc<AtomicBool>,
    /// The index of the release that was looked at last, so that it is built once.
    looked_at: Mutex<Option<(ReleaseId, EmbeddingIndex)>>,
}

impl Builder {
    pub(super) fn new(config: embedding::Config, is_serving: Arc<AtomicBool>) -> Self {
        Self { config, is_serving, looked_at: Mutex::default() }
    }

    /// This process's last word on a release: it answers golden requests. Says what is wrong otherwise.
    pub(super) fn look(&self, release: &Release) -> Result<(), String> {
        let index = self.index(release);
        golden::check(release, index.as_ref())?;
        *self.looked_at.lock() = index.map(|index| (release.id().clone(), index));
        Ok(())
    }

    /// The release with its indexes.
    pub(super) fn build(&self, release: Arc<Release>, catalogue: &Snapshot) -> Serving {
        let looked_at = self.looked_at.lock().take().filter(|(id, _)| id == release.id());
        let index = looked_at.map(|(_, index)| index).or_else(|| self.index(&release));
        Serving::with_embedding(release, index, catalogue)
    }

    fn index(&self, release: &Release) -> Option<EmbeddingIndex> {
        self.at_work(|| EmbeddingIndex::of(release, &self.config))
    }

    fn at_work<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if !self.is_serving.load(Ordering::Relaxed) {
            return work();
        }
        match rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "build-indexes".to_owned()).build() {
            Ok(pool) => pool.install(work),
            Err(error) => {
                tracing::warn!(%error, "no thread to build indexes on; they take all processors");
                work()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use releases::{Factors, Meta, Neighbours, Parts};
    use shared_models::{ItemKey, TenantId};

    use super::*;

    fn release(alpha: f32, values: &[f32], neighbours: Option<Neighbours>) -> Arc<Release> {
        let parts = Parts {
            items: (1..=values.len() as u64 / 2).map(ItemKey).collect(),
            factors: Some(Factors::new(2, values, alpha, 0.1, 0.0).unwrap()),
            neighbours,
            ..Parts::default()
        };
        Arc::new(Release::in_memory(TenantId::new("demo").unwrap(), Meta::default(), parts).unwrap())
    }

    fn builder() -> (Arc<AtomicBool>, Builder) {
        let is_serving = Arc::new(AtomicBool::new(false));
        (Arc::clone(&is_serving), Builder::new(embedding::Config::default(), is_serving))
    }

    #[test]
    fn a_release_that_cannot_answer_is_refused_with_what_is_wrong() {
        let (_, builder) = builder();
        let sound = [1.0, 0.5, 0.5, 1.0, 1.0, 1.0];
        let neighbours = |items: Vec<u32>| {
            let end = items.len() as u32;
            Some(Neighbours { offsets: vec![0, end, end, end], scores: vec![0.5; items.len()], items })
        };
        assert_eq!(builder.look(&release(10.0, &sound, None)), Ok(()));
        assert_eq!(builder.look(&release(10.0, &sound, neighbours(vec![1]))), Ok(()));
        let silent = builder.look(&release(10.0, &sound, neighbours(Vec::new()))).unwrap_err();
        assert_eq!(silent, "none of its items has a neighbour");
        let blank = builder.look(&release(0.0, &sound, None)).unwrap_err();
        assert_eq!(blank, "a search finds nothing near a listener of 3 of its items");
        let few = [0.0, 0.0, 0.0, 0.0, 1.0, 0.5];
        assert_eq!(builder.look(&release(10.0, &few, None)), Ok(()), "items that nobody played have no factors");
    }

    #[test]
    fn what_was_looked_at_is_built_once() {
        let (_, builder) = builder();
        let looked_at = release(10.0, &[1.0, 0.5, 0.5, 1.0], None);
        builder.look(&looked_at).unwrap();
        assert!(builder.looked_at.lock().is_some());
        assert!(builder.build(looked_at, &Snapshot::default()).embedding.is_some());
        assert!(builder.looked_at.lock().is_none());
    }

    #[test]
    fn a_swap_takes_one_processor_and_a_start_takes_all() {
        let (is_serving, builder) = builder();
        assert_eq!(builder.at_work(rayon::current_num_threads), rayon::current_num_threads());
        is_serving.store(true, Ordering::Relaxed);
        assert_eq!(builder.at_work(rayon::current_num_threads), 1);
    }
}
