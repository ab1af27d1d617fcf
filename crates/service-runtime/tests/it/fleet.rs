//! Replicas of a service, each on a thread of its own, so that one can be killed, frozen or restarted like a process.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, AtomicUsize, Ordering},
        mpsc as blocking,
    },
    task::{Context, Poll},
    thread::JoinHandle,
    time::Duration,
};

use service_runtime::{
    Deadline, OnFailure, Runtime,
    client::{self, Config},
    grpc::{Limits, Server, Services, TracedChannel, repeatable, with_deadline},
    listen,
};
use shared_models::SystemClock;
use tokio::sync::mpsc;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::http::uri::PathAndQuery,
    server::{NamedService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower::Service;

/// A deadline that is no matter.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What all replicas of a test have seen: how often each message was worked on.
pub(crate) type Worked = Arc<Mutex<HashMap<String, usize>>>;

/// What a replica does, seen and set from outside.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    pub(crate) calls: Arc<AtomicUsize>,
    /// The status it answers with; 0 is well.
    pub(crate) status: Arc<AtomicI32>,
    pub(crate) worked: Worked,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.v1.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut server = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
        let handler = self.clone();
        Box::pin(async move { Ok(server.unary(handler, request).await) })
    }
}

impl UnaryService<String> for Echo {
    type Response = String;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Status>> + Send>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let message = request.into_inner();
        *self.worked.lock().expect("not poisoned").entry(message.clone()).or_default() += 1;
        let status = self.status.load(Ordering::Relaxed);
        Box::pin(async move {
            match message.split_once(':') {
                Some(("wait", milliseconds)) => {
                    tokio::time::sleep(Duration::from_millis(milliseconds.parse().expect("a number"))).await;
                }
                _ if status != 0 => return Err(Status::new(status.into(), "told to fail")),
                _ => {}
            }
            Ok(Response::new(message))
        })
    }
}

enum Command {
    Freeze(blocking::Receiver<()>),
    Stop,
    Kill,
}

/// A replica.
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    pub(crate) echo: Echo,
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    thaw: Option<blocking::Sender<()>>,
}

impl Replica {
    pub(crate) fn start() -> Self {
        Self::start_with(SocketAddr::from(([127, 0, 0, 1], 0)), Echo::default(), Limits::default())
    }

    pub(crate) fn start_with(address: SocketAddr, echo: Echo, limits: Limits) -> Self {
        let listener = listen::bind(address).expect("a free port");
        let address = listen::address_of(&listener).expect("bound");
        let (commands, mut asked) = mpsc::unbounded_channel();
        let served = echo.clone();
        let thread = std::thread::spawn(move || {
            let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
            executor.block_on(async move {
                let runtime = Runtime::new(Arc::new(SystemClock));
                let server = Server::new("echo", listener, Services::new().add(served), limits, &runtime);
                runtime.tasks.work.spawn("grpc", OnFailure::Log, server.serve_until(runtime.tasks.work.token()));
                while let Some(command) = asked.recv().await {
                    match command {
                        // Nothing at all runs on this thread meanwhile, as in a process that got SIGSTOP.
                        Command::Freeze(thawed) => drop(thawed.recv()),
                        Command::Stop => {
                            assert_eq!(runtime.drain(Duration::from_secs(10)).await, 0, "a call is stuck");
                            return;
                        }
                        Command::Kill => return,
                    }
                }
            });
        });
        Self { address, echo, commands, thread: Some(thread), thaw: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn calls(&self) -> usize {
        self.echo.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn freeze(&mut self) {
        let (thaw, thawed) = blocking::channel();
        self.thaw = Some(thaw);
        self.commands.send(Command::Freeze(thawed)).expect("it lives");
    }

    pub(crate) fn thaw(&mut self) {
        self.thaw = None;
    }

    /// Ends it in good order: what is in hand is finished.
    pub(crate) async fn stop(mut self) -> SocketAddr {
        self.end(Command::Stop).await
    }

    /// Ends it at once: its connections break.
    pub(crate) async fn kill(mut self) -> SocketAddr {
        self.end(Command::Kill).await
    }

    async fn end(&mut self, command: Command) -> SocketAddr {
        self.commands.send(command).expect("it lives");
        let thread = self.thread.take().expect("it ends once");
        tokio::task::spawn_blocking(|| thread.join().expect("it ends well")).await.expect("it ends");
        self.address
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.thaw = None;
        if let Some(thread) = self.thread.take() {
            let _gone_already = self.commands.send(Command::Kill);
            let _panicked = thread.join();
        }
    }
}

/// Settings under which things happen within the patience of a test.
pub(crate) fn quick() -> Config {
    Config {
        health_interval: Duration::from_millis(50),
        resolve_interval: Duration::from_millis(100),
        eject_base: Duration::from_millis(300),
        ..Config::default()
    }
}

/// A call that only reads.
pub(crate) fn read(message: &str, budget: Duration) -> Request<String> {
    repeatable(message.to_owned(), Deadline::within(budget))
}

/// A call that writes.
pub(crate) fn write(message: &str, budget: Duration) -> Request<String> {
    with_deadline(message.to_owned(), Deadline::within(budget))
}

pub(crate) async fn ask(channel: &TracedChannel, request: Request<String>) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("ready");
    let path = PathAndQuery::from_static("/test.v1.Echo/Ask");
    client.unary(request, path, ProstCodec::<String, String>::default()).await.map(Response::into_inner)
}

/// The value of one line of the metrics, with its labels; 0 where there is none.
pub(crate) fn metric(runtime: &Runtime, line: &str) -> f64 {
    let page = runtime.metrics.encode();
    let value = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

/// How many endpoints are in `state`.
pub(crate) fn endpoints(runtime: &Runtime, state: &str) -> usize {
    metric(runtime, &format!("setlist_client_endpoints{{dependency=\"echo\",state=\"{state}\"}}")) as usize
}

/// Waits until `is` so.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(std::time::Instant::now() < end, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client of what is at `places`.
pub(crate) async fn connect(places: &str, config: Config) -> (TracedChannel, Runtime) {
    let runtime = Runtime::new(Arc::new(SystemClock));
    let channel = client::connect("echo", places, &config, &runtime).await.expect("good places");
    (channel, runtime)
}

/// A client of `replicas` that knows them all to serve.
pub(crate) async fn client_of(replicas: &[Replica]) -> (TracedChannel, Runtime) {
    let places: Vec<String> = replicas.iter().map(Replica::url).collect();
    let (channel, runtime) = connect(&places.join(","), quick()).await;
    until("all to serve", || endpoints(&runtime, "usable") == replicas.len()).await;
    (channel, runtime)
}
