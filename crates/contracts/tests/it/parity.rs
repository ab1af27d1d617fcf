//! A service's answer in process equals its answer over gRPC, and it is asked the same.

use std::{future::Future, time::Duration};

use contracts::{Deadline, Failure, Put, ServingRelease};
use proptest::prelude::*;
use shared_models::{ItemKey, Timestamp};

use crate::{
    fake::Answer,
    sample::Draw,
    server::{Sandbox, Services},
};

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(30))
}

/// Asks both ways, and demands the same answer, the same question and the same deadline, give or take
/// the way there.
async fn same<'a, T, F>(sandbox: &'a Sandbox, answer: Answer, ask: impl Fn(&'a Services) -> F) -> Result<T, Failure>
where
    T: PartialEq + std::fmt::Debug,
    F: Future<Output = Result<T, Failure>>,
{
    sandbox.fake.will(answer.clone());
    let near = ask(&sandbox.near).await;
    let near_asked = sandbox.fake.asked();
    sandbox.fake.will(answer);
    let far = ask(&sandbox.far).await;
    let far_asked = sandbox.fake.asked();
    assert_eq!(near, far);
    assert_eq!(near_asked.len(), 1);
    assert_eq!(far_asked.len(), 1);
    assert_eq!(near_asked[0].0, far_asked[0].0);
    let deadlines = [near_asked[0].1, far_asked[0].1].map(Deadline::remaining);
    assert!(
        deadlines.iter().all(|left| *left > Duration::from_secs(20) && *left <= Duration::from_secs(30)),
        "{deadlines:?}"
    );
    far
}

#[test]
fn pages_are_the_same_in_process_and_over_grpc() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = runtime.block_on(Sandbox::start());
    let sandbox = &sandbox;
    proptest!(ProptestConfig::with_cases(64), |(seed: u64, rows in 0..120_usize, shelves in 0..6_usize)| {
        let mut draw = Draw(seed);
        let query = draw.candidate_query(shelves);
        let set = draw.candidate_set(rows, shelves);
        runtime.block_on(same(sandbox, Answer::Set(set), |services| services.candidates.generate(query.clone(), soon()))).unwrap();

        let query = draw.rank_query(rows, shelves);
        let page = draw.ranked_page(rows, if rows == 0 { 0 } else { shelves });
        runtime.block_on(same(sandbox, Answer::Page(page), |services| services.ranking.rank(query.clone(), soon()))).unwrap();

        let query = draw.explain_query(rows, shelves);
        let explanation = draw.explanation(rows, if rows == 0 { 0 } else { shelves });
        runtime.block_on(same(sandbox, Answer::Explanation(explanation), |services| services.ranking.explain(query.clone(), soon()))).unwrap();
    });
}

#[test]
fn everything_else_is_the_same_in_process_and_over_grpc() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = runtime.block_on(Sandbox::start());
    let sandbox = &sandbox;
    proptest!(ProptestConfig::with_cases(32), |(seed: u64, count in 0..8_usize, yes: bool)| {
        let draw = &mut Draw(seed);
        let tenant = &draw.tenant();
        let items: Vec<_> = (0..count).map(|_| draw.item()).collect();
        let item = draw.item();
        let displays: Vec<_> = (0..count).map(|_| draw.display()).collect();
        let keys: &[ItemKey] = &displays.iter().map(|item| item.key).collect::<Vec<_>>();
        let puts = (0..count)
            .map(|index| match index % 4 {
                0 => Ok(Put::Created),
                1 => Ok(Put::Updated),
                2 => Ok(Put::Unchanged),
                _ => Err(draw.failure()),
            })
            .collect();
        let summary = draw.summary();
        let attributes = draw.attributes();
        let release = &draw.release();
        let serving = ServingRelease { live: Some(draw.release()), previous: yes.then(|| draw.release()), since: Some(Timestamp(-7)) };
        let market = displays.len();
        let market = shared_models::item::Market::parse(if market % 2 == 0 { "SE" } else { "ZZ" }).unwrap();
        let after = yes.then(|| item.id.clone());

        runtime.block_on(async {
            same(sandbox, Answer::Puts(puts), |on| on.catalogue.put_items(tenant, items.clone(), soon())).await.unwrap();
            same(sandbox, Answer::Item(item.clone()), |on| on.catalogue.item(tenant, &item.id, soon())).await.unwrap();
            same(sandbox, Answer::Existed(yes), |on| on.catalogue.delete_item(tenant, &item.id, soon())).await.unwrap();
            same(sandbox, Answer::Displays(displays.clone()), |on| on.catalogue.display(tenant, keys, soon())).await.unwrap();
            same(sandbox, Answer::Items(items.clone()), |on| on.catalogue.list_items(tenant, after.clone(), count, soon())).await.unwrap();
            same(sandbox, Answer::Displays(displays.clone()), |on| on.catalogue.popular(tenant, market, count, soon())).await.unwrap();
            same(sandbox, Answer::Summary(summary.clone()), |on| on.profiles.user(tenant, &attributes.id, soon())).await.unwrap();
            same(sandbox, Answer::Done, |on| on.profiles.put_user(tenant, attributes.clone(), soon())).await.unwrap();
            same(sandbox, Answer::Serving(serving), |on| on.releases.status(tenant, soon())).await.unwrap();
            same(sandbox, Answer::Serving(ServingRelease::default()), |on| on.releases.status(tenant, soon())).await.unwrap();
            same(sandbox, Answer::Done, |on| on.releases.activate(tenant, release, soon())).await.unwrap();
        });
    });
}

#[tokio::test]
async fn failures_are_the_same_in_process_and_over_grpc() {
    let sandbox = Sandbox::start().await;
    for seed in 0..100 {
        let mut draw = Draw(seed);
        let failure = draw.failure();
        let query = draw.candidate_query(1);
        let answered =
            same(&sandbox, Answer::Fails(failure.clone()), |on| on.candidates.generate(query.clone(), soon())).await;
        assert_eq!(answered, Err(failure));
    }
}
