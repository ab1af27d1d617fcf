//! The laws of the candidate runner.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::spans::Caught;

struct Fixed(&'static str, StageResult<Vec<Found<u32>>>);

#[async_trait]
impl Source<(), u32> for Fixed {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn retrieve(&self, (): &(), _limit: usize) -> StageResult<Vec<Found<u32>>> {
        self.1.clone()
    }
    fn data_age(&self, (): &()) -> Option<Duration> {
        (self.0 == "a").then_some(Duration::from_secs(90))
    }
}

struct Never;

#[async_trait]
impl Source<(), u32> for Never {
    fn name(&self) -> &'static str {
        "never"
    }
    async fn retrieve(&self, (): &(), _limit: usize) -> StageResult<Vec<Found<u32>>> {
        std::future::pending().await
    }
}

struct DropOdd;

impl Filter<(), u32> for DropOdd {
    fn judge(&self, (): &(), key: u32) -> Verdict {
        if key % 2 == 1 { Verdict::Drop(DropReason::ItemHidden) } else { Verdict::Keep }
    }
}

fn found(key: u32, score: f32) -> Found<u32> {
    Found { key, score, seed: None }
}

fn step<'a>(source: &'a dyn Source<(), u32>, limit: usize) -> SourceStep<'a, (), u32> {
    SourceStep { source, limit, budget: Duration::from_millis(50), need: Need::BestEffort }
}

async fn run(steps: &[SourceStep<'_, (), u32>], groups: &[Group<'_, (), u32>]) -> Result<Run<u32, ()>, Failure> {
    let pipeline =
        CandidatePipeline::new(Vec::new(), StageMetrics::register(&service_runtime::metrics::Metrics::new(), "test"));
    pipeline.run(&(), steps, groups, |_| (), Deadline::within(Duration::from_secs(5))).await
}

#[tokio::test]
async fn slow_source_degrades_and_the_rest_answers() {
    let good = Fixed("good", Ok(vec![found(2, 1.0)]));
    let group = Group { sources: vec![(0, 10), (1, 10)], filters: Vec::new(), limit: 10 };
    let run = run(&[step(&Never, 10), step(&good, 10)], &[group]).await.unwrap();
    assert_eq!(run.merged.keys, [2]);
    assert_eq!(run.degraded, [DegradedStage::new("source.never", DegradedCause::Timeout)]);
}

#[tokio::test]
async fn required_source_fails_the_run() {
    let group = Group { sources: vec![(0, 10)], filters: Vec::new(), limit: 10 };
    let steps = [SourceStep { source: &Never, limit: 10, budget: Duration::from_millis(5), need: Need::Required }];
    assert_eq!(run(&steps, &[group]).await.unwrap_err().cause, DegradedCause::Timeout);
}

#[tokio::test]
async fn groups_see_only_their_sources_up_to_their_limit() {
    let a = Fixed("a", Ok(vec![found(1, 3.0), found(2, 2.0), found(3, 1.0)]));
    let b = Fixed("b", Ok(vec![found(3, 9.0), found(4, 8.0)]));
    let groups = [
        Group { sources: vec![(0, 2)], filters: Vec::new(), limit: 10 },
        Group { sources: vec![(1, 10), (0, 10)], filters: Vec::new(), limit: 10 },
    ];
    let run = run(&[step(&a, 10), step(&b, 10)], &groups).await.unwrap();
    let keys = |rows: &[u32]| rows.iter().map(|row| run.merged.keys[*row as usize]).collect::<Vec<_>>();
    assert_eq!(keys(&run.groups[0].kept), [1, 2]);
    assert_eq!(keys(&run.groups[1].kept), [3, 1, 4, 2], "by best rank, then by the order of the group's sources");
    assert_eq!(run.merged.evidence_of(2).len(), 2, "item 3 keeps the word of both sources");
}

#[tokio::test]
async fn of_each_source_it_is_counted_what_some_group_kept() {
    let a = Fixed("a", Ok(vec![found(2, 3.0), found(3, 2.0), found(4, 1.0)]));
    let b = Fixed("b", Ok(vec![found(4, 9.0), found(6, 8.0)]));
    let group = |limit| Group { sources: vec![(0, 10), (1, 10)], filters: vec![Box::new(DropOdd) as Box<_>], limit };
    let caught = Caught::start();
    let metrics = service_runtime::metrics::Metrics::new();
    let pipeline = CandidatePipeline::<(), u32, ()>::new(Vec::new(), StageMetrics::register(&metrics, "test"));
    let deadline = Deadline::within(Duration::from_secs(5));
    let steps = [step(&a, 10), step(&b, 10)];
    let run = pipeline.run(&(), &steps, &[group(2), group(3)], |_| (), deadline).await.unwrap();
    // 2, 4 and 6 are kept, each once however many groups keep it; 4 was given by both.
    assert_eq!(run.sources.iter().map(|source| (source.returned, source.kept)).collect::<Vec<_>>(), [(3, 2), (2, 2)]);
    assert_eq!(caught.field("pipeline.filter", "stage.kept"), "a=2 b=2");
    let told = metrics.encode();
    for line in [
        "setlist_test_pipeline_candidates_kept_total{kind=\"source\",stage=\"a\"} 2",
        "setlist_test_pipeline_data_age_seconds{kind=\"source\",stage=\"a\"} 90",
    ] {
        assert!(told.lines().any(|told| told.starts_with(line)), "{line} is not in {told}");
    }
    assert!(!told.contains("age_seconds{kind=\"source\",stage=\"b\"}"), "b does not say");
}

#[tokio::test]
async fn a_number_that_is_not_finite_is_no_candidate() {
    let a = Fixed("a", Ok(vec![found(1, f32::NAN), found(2, f32::INFINITY), found(4, 0.5)]));
    let run = run(&[step(&a, 10)], &[]).await.unwrap();
    assert_eq!(run.merged.keys, [4]);
}

struct Facts(StageResult<()>);

#[async_trait]
impl Hydrator<(), u32, ()> for Facts {
    fn name(&self) -> &'static str {
        "facts"
    }
    async fn hydrate(&self, (): &(), _: &[u32]) -> StageResult<Patch<()>> {
        self.0.clone().map(|()| Box::new(|(): &mut ()| ()) as Patch<()>)
    }
}

#[tokio::test]
async fn hydrating_says_how_many_went_in_and_came_out() {
    let failed = || Err(Failure::of(DegradedCause::Failed));
    for (need, facts, out, outcome) in [
        (Need::BestEffort, Ok(()), "2", "ok"),
        (Need::BestEffort, failed(), "2", "failed"),
        (Need::Required, failed(), "0", "failed"),
    ] {
        let caught = Caught::start();
        let hydrator = Step { need, budget: Duration::from_millis(50), stage: Box::new(Facts(facts)) as Box<_> };
        let metrics = StageMetrics::register(&service_runtime::metrics::Metrics::new(), "test");
        let good = Fixed("good", Ok(vec![found(2, 1.0), found(4, 0.5)]));
        let run = CandidatePipeline::new(vec![hydrator], metrics)
            .run(&(), &[step(&good, 10)], &[], |_| (), Deadline::within(Duration::from_secs(5)))
            .await;
        assert_eq!(run.is_ok(), out == "2");
        assert_eq!(caught.stage("pipeline.hydrate"), ("2".to_owned(), out.to_owned(), outcome.to_owned()));
    }
}

proptest! {
    #[test]
    fn nothing_is_lost(lists in prop::collection::vec(prop::collection::vec(0_u32..40, 0..30), 1..5), limit in 0_usize..20) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let sources: Vec<Fixed> = lists.iter().map(|keys| Fixed("list", Ok(keys.iter().map(|key| found(*key, 1.0)).collect()))).collect();
        let steps: Vec<_> = sources.iter().map(|source| step(source, 25)).collect();
        let group = || Group { sources: (0..lists.len()).map(|index| (index, 25)).collect(), filters: vec![Box::new(DropOdd) as Box<dyn Filter<(), u32>>], limit };
        let first = runtime.block_on(run(&steps, &[group()])).unwrap();
        let second = runtime.block_on(run(&steps, &[group()])).unwrap();

        let given: BTreeSet<u32> = lists.iter().flat_map(|keys| keys.iter().take(25)).copied().collect();
        let kept = &first.groups[0].kept;
        let dropped: u32 = first.groups[0].dropped.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(given.len(), kept.len() + dropped as usize);
        prop_assert_eq!(kept.iter().collect::<BTreeSet<_>>().len(), kept.len());
        prop_assert_eq!(first.merged.keys.iter().copied().collect::<BTreeSet<_>>(), given);
        prop_assert_eq!(&first.merged, &second.merged);
        prop_assert_eq!(&first.groups, &second.groups);
    }
}
