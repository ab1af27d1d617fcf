//! What the server layers cost one request: without telemetry, with ids only, and with every span recorded.

use std::{convert::Infallible, future::Future, hint::black_box, task::Poll, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use service_runtime::{Metrics, layers::GrpcServerTrace};
use tonic::body::Body;
use tower::{Layer as _, Service, service_fn};
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt as _};

#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    fn export(&self, _: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        std::future::ready(Ok(()))
    }
}

fn request() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/setlist.ranking.v1.RankingService/Rank");
    let headers = request.headers_mut();
    headers.insert(
        "traceparent",
        http::HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    );
    headers.insert("grpc-timeout", http::HeaderValue::from_static("60m"));
    request
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

fn layers(criterion: &mut Criterion) {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().ok();
    let Some(executor) = executor else { return };
    let mut group = criterion.benchmark_group("one call");
    group.measurement_time(Duration::from_secs(3));

    let mut bare = service_fn(answer);
    group.bench_function("bare", |bencher| {
        bencher.iter(|| executor.block_on(async { black_box(bare.call(request()).await) }));
    });

    let mut traced = GrpcServerTrace::new("ranking").with_metrics(&Metrics::new()).layer(service_fn(answer));
    let mut measure = |name: &str| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                executor.block_on(async {
                    let ready = std::future::poll_fn(|cx| match traced.poll_ready(cx) {
                        Poll::Ready(_) => Poll::Ready(()),
                        Poll::Pending => Poll::Pending,
                    });
                    ready.await;
                    black_box(traced.call(request()).await)
                })
            });
        });
    };
    measure("layer, no subscriber");
    for (name, sampler, recorded) in [
        ("layer, ids only", Sampler::AlwaysOff, false),
        ("layer, recorded", Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), true),
    ] {
        let builder = SdkTracerProvider::builder().with_sampler(sampler);
        let provider = if recorded { builder.with_batch_exporter(Nowhere).build() } else { builder.build() };
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("bench"))
            .with_threads(false)
            .with_location(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(LevelFilter::INFO);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || measure(name));
    }
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
