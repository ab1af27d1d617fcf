//! A call within one process: its place in a trace, and its deadline.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use contracts::{Candidates, Deadline, Failure, Ranking, in_process::Traced};
use shared_models::ErrorCode;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};

use crate::{
    fake::{Answer, Fake},
    sample::Draw,
};

type Fields = BTreeMap<&'static str, String>;

/// The fields of every span, in the order of their beginning.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>);

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        span.record(&mut Into(&mut fields));
        let mut spans = self.0.lock().unwrap();
        spans.push(fields);
        Id::from_u64(spans.len() as u64)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Into(&mut self.0.lock().unwrap()[span.into_u64() as usize - 1]));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Spans {
    /// Hears this thread for as long as the guard lives.
    fn listen(&self) -> DefaultGuard {
        // Without a subscriber of the whole process, a thread that listens to nothing and is the first to come by a span
        // switches it off for all: `tracing` then asks only the thread at hand.
        let _ = tracing::subscriber::set_global_default(Self::default());
        tracing::subscriber::set_default(self.clone())
    }

    /// The fields of the only span.
    fn only(&self) -> Fields {
        let spans = self.0.lock().unwrap();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans[0].clone()
    }
}

fn check(fields: &Fields, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        assert_eq!(fields.get(name).map(String::as_str), *value, "{name} of {fields:?}");
    }
}

#[tokio::test]
async fn a_call_has_the_name_and_attributes_of_the_remote_one() {
    let spans = Spans::default();
    let _listening = spans.listen();
    let fake = Arc::new(Fake::default());
    let mut draw = Draw(1);
    let page = draw.ranked_page(5, 1);
    fake.will(Answer::Page(page.clone()));
    let ranking = Traced(Arc::clone(&fake) as Arc<dyn Ranking>);
    let answer = ranking.rank(draw.rank_query(5, 1), Deadline::within(Duration::from_secs(1))).await;
    assert_eq!(answer, Ok(page));
    let fields = spans.only();
    check(
        &fields,
        &[
            ("otel.name", Some("setlist.ranking.v1.RankingService/Rank")),
            ("rpc.method", Some("setlist.ranking.v1.RankingService/Rank")),
            ("rpc.system.name", Some("in_process")),
            ("setlist.component", Some("ranking")),
            ("error.type", None),
            ("otel.status_code", None),
        ],
    );
    assert!(fields.contains_key("setlist.deadline.remaining_ms"), "{fields:?}");
}

#[tokio::test]
async fn a_failed_call_is_an_error_in_its_span() {
    let deadline = || Deadline::within(Duration::from_millis(50));
    for (answer, code) in [
        (Answer::Fails(Failure::new(ErrorCode::Unavailable, "away", "not now")), ErrorCode::Unavailable),
        (Answer::Never, ErrorCode::DeadlineExceeded),
    ] {
        let spans = Spans::default();
        let _listening = spans.listen();
        let fake = Arc::new(Fake::default());
        fake.will(answer);
        let candidates = Traced(fake as Arc<dyn Candidates>);
        let failure = candidates.generate(Draw(2).candidate_query(1), deadline()).await.unwrap_err();
        assert_eq!(failure.code, code);
        check(
            &spans.only(),
            &[
                ("rpc.method", Some("setlist.candidates.v1.CandidatesService/Generate")),
                ("setlist.component", Some("candidate-generation")),
                ("error.type", Some(code.as_str())),
                ("otel.status_code", Some("ERROR")),
            ],
        );
    }
}
