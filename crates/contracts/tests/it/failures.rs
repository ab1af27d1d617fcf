//! What a caller learns when a call cannot succeed.

use std::{sync::Arc, time::Duration};

use contracts::{Deadline, Failure, grpc::DEFAULT_DEADLINE};
use shared_models::{ErrorCode, ItemId, ItemKey};
use tokio::net::TcpListener;

use crate::{
    fake::Answer,
    sample::Draw,
    server::{Sandbox, clients},
};

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(30))
}

fn told(failure: &Failure) -> (ErrorCode, &str) {
    (failure.code, failure.reason.as_ref())
}

#[tokio::test]
async fn a_deadline_ends_the_call_here_and_the_work_there() {
    let sandbox = Sandbox::start().await;
    // The first call connects: how long that takes is no part of this.
    sandbox.fake.will(Answer::Fails(Failure::internal("warm", "connected")));
    sandbox.far.candidates.generate(Draw(0).candidate_query(1), soon()).await.unwrap_err();
    sandbox.fake.asked();

    sandbox.fake.will(Answer::Never);
    let deadline = Deadline::within(Duration::from_secs(1));
    let answered = sandbox.far.candidates.generate(Draw(1).candidate_query(1), deadline).await;
    assert_eq!(answered, Err(Failure::deadline_exceeded()));
    sandbox.fake.dropped().await;
    let asked = sandbox.fake.asked();
    let known = asked[0].1;
    assert!(
        known.at() < deadline.at() + Duration::from_secs(5),
        "without the caller's it would be {DEFAULT_DEADLINE:?}"
    );
}

#[tokio::test]
async fn a_deadline_that_has_passed_asks_nobody() {
    let sandbox = Sandbox::start().await;
    let answered = sandbox.far.ranking.rank(Draw(2).rank_query(5, 1), Deadline::within(Duration::ZERO)).await;
    assert_eq!(answered, Err(Failure::deadline_exceeded()));
    assert!(sandbox.fake.asked().is_empty());
}

#[tokio::test]
async fn a_service_that_is_away_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let away = clients(&format!("http://{address}"));
    let failure = away.candidates.generate(Draw(3).candidate_query(1), soon()).await.unwrap_err();
    assert_eq!(told(&failure), (ErrorCode::Unavailable, "unreachable"));
}

#[tokio::test]
async fn a_service_that_goes_away_during_a_call_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let goes = clients(&format!("http://{address}"));
    let hang_up = async {
        let (connection, _) = listener.accept().await.unwrap();
        drop((connection, listener));
    };
    let (answered, ()) = tokio::join!(goes.candidates.generate(Draw(3).candidate_query(1), soon()), hang_up);
    assert_eq!(told(&answered.unwrap_err()), (ErrorCode::Unavailable, "unreachable"));
}

#[tokio::test]
async fn a_table_that_contradicts_itself_is_refused_with_the_field() {
    let sandbox = Sandbox::start().await;
    let check = async |query, expected: &str| {
        let failure = sandbox.far.ranking.rank(query, soon()).await.unwrap_err();
        assert_eq!(told(&failure), (ErrorCode::InvalidArgument, "malformed_request"));
        assert_eq!(failure.message, expected);
        assert!(sandbox.fake.asked().is_empty(), "the service was never asked");
    };
    let sound = || {
        let mut query = Draw(4).rank_query(10, 2);
        query.shelves[1].rows = vec![0];
        query
    };

    let mut query = sound();
    Arc::make_mut(&mut query.table).artists.pop();
    check(query, "table: artists has 9 rows, items has 10").await;

    let mut query = sound();
    query.shelves[1].rows = vec![3, 10];
    check(query, "shelves[1].rows: 10 is no row of a table of 10").await;

    let mut query = sound();
    query.shelves[0].sources = vec![9];
    let known = query.table.sources.len();
    check(query, &format!("shelves[0].sources: 9 is none of the table's {known} sources")).await;

    let mut query = sound();
    query.context.local_hour = 24;
    check(query, "context.local_hour: 24 is not below 24").await;
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_our_defect() {
    let sandbox = Sandbox::start().await;
    let mut page = Draw(5).ranked_page(50, 3);
    assert!(page.slates.iter().any(|slate| !slate.cards.is_empty()));
    for card in page.slates.iter_mut().flat_map(|slate| &mut slate.cards) {
        card.row = 50;
    }
    sandbox.fake.will(Answer::Page(page));
    let failure = sandbox.far.ranking.rank(Draw(6).rank_query(50, 3), soon()).await.unwrap_err();
    assert_eq!(told(&failure), (ErrorCode::Internal, "malformed_answer"));
}

#[tokio::test]
async fn a_message_past_the_limit_is_refused() {
    let sandbox = Sandbox::start().await;
    let keys = vec![ItemKey(7); contracts::grpc::MAX_MESSAGE_BYTES / 8 + 1];
    let failure = sandbox.far.catalogue.display(&Draw(7).tenant(), &keys, soon()).await.unwrap_err();
    assert_eq!(told(&failure), (ErrorCode::InvalidArgument, "message_too_large"));
    assert!(sandbox.fake.asked().is_empty());
}

#[tokio::test]
async fn not_found_comes_back_as_the_service_said_it() {
    let sandbox = Sandbox::start().await;
    let missing = Failure::not_found("item_not_found", "there is no item \"träck-9\"");
    sandbox.fake.will(Answer::Fails(missing.clone()));
    let id = ItemId::new("träck-9").unwrap();
    let answered = sandbox.far.catalogue.item(&Draw(8).tenant(), &id, soon()).await;
    assert_eq!(answered, Err(missing));
}
