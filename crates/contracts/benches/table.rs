//! What a page of 700 candidates costs on the wire: a record of it in memory, and a call over a socket.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up should stop at once")]

#[path = "../tests/it/sample.rs"]
#[expect(dead_code, reason = "the tests draw more")]
mod sample;

use std::{hint::black_box, sync::Arc, time::Duration};

use async_trait::async_trait;
use contracts::{
    Candidates, Deadline, Failure,
    grpc::{CandidatesClient, CandidatesServer},
    records,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use service_runtime::{CancellationToken, OnFailure, Runtime, grpc, listen};
use shared_models::{SystemClock, candidates::CandidateSet, plan::CandidateQuery};

const CANDIDATES: usize = 700;
const SHELVES: usize = 5;

struct Same(CandidateSet);

#[async_trait]
impl Candidates for Same {
    async fn generate(&self, _: CandidateQuery, _: Deadline) -> Result<CandidateSet, Failure> {
        Ok(self.0.clone())
    }
}

fn record(criterion: &mut Criterion) {
    let record = sample::Draw(1).record(CANDIDATES, SHELVES);
    let payload = records::encode(&record);
    let name = format!("record of {CANDIDATES} candidates, {} bytes", payload.len());
    criterion
        .bench_function(&format!("{name}: encode"), |bencher| bencher.iter(|| records::encode(black_box(&record))));
    let plan = records::EncodedPlan::of(&record.candidate_plan);
    for (what, record) in [("all of it", record.clone()), ("what was shown", record.clone().shown_only())] {
        criterion.bench_function(&format!("{name}: encode {what}, its plan known"), |bencher| {
            bencher.iter_batched(
                || record.clone(),
                |record| records::encode_with(record, black_box(&plan)),
                BatchSize::SmallInput,
            );
        });
    }
    criterion.bench_function(&format!("{name}: decode"), |bencher| {
        bencher.iter(|| records::decode(records::KIND, records::VERSION, black_box(&payload)));
    });
}

fn call(criterion: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return };
    let mut draw = sample::Draw(1);
    let set = draw.candidate_set(CANDIDATES, SHELVES);
    let query = draw.candidate_query(SHELVES);
    let (client, _platform) = runtime.block_on(async {
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let services = grpc::Services::new().add(CandidatesServer::new(Arc::new(Same(set))));
        let platform = Runtime::new(Arc::new(SystemClock));
        let server = grpc::Server::new("bench", listener, services, grpc::Limits::default(), &platform);
        let serve = server.serve_until(CancellationToken::new());
        platform.tasks.work.spawn("server", OnFailure::Log, serve);
        (CandidatesClient::new(grpc::channel(&format!("http://{address}")).unwrap()), platform)
    });
    criterion.bench_function(&format!("generate {CANDIDATES} candidates over loopback"), |bencher| {
        bencher.iter(|| {
            let deadline = Deadline::within(Duration::from_secs(5));
            runtime.block_on(client.generate(query.clone(), deadline)).unwrap()
        });
    });
}

criterion_group!(benches, record, call);
criterion_main!(benches);
