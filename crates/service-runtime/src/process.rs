//! The one shape of every process: parse, load, telemetry, build, serve, drain, flush.
//!
//! A service's own `main` names its configuration and how it is built; everything else is here. This file must not
//! know which service runs.
//!
//! ```text
//! const ABOUT: About = About { name: "ranking", summary: "Ranks candidates", defaults: DEFAULTS, env_prefix: "SETLIST" };
//!
//! fn main() -> ExitCode {
//!     process::run(&ABOUT, |config: Config, runtime: Runtime| async move {
//!         let listener = listen::bind(config.listen)?;
//!         let listening = Listening { what: "grpc", address: listen::address_of(&listener)? };
//!         let app = App::build(config, &runtime)?;
//!         let server = grpc::Server::new("ranking", listener, app.grpc_services(), limits, &runtime);
//!         let work = &runtime.tasks.work;
//!         work.spawn("grpc", OnFailure::Stop, server.serve_until(work.token()));
//!         anyhow::Ok(vec![listening])
//!     })
//! }
//! ```
//!
//! | ends with | when |
//! |---|---|
//! | 0 | it was asked to stop and did, only looked at its configuration, or found another process well |
//! | 1 | it could not be built, a task it cannot do without failed, or another process is not well |
//! | 64 | its configuration or command line is wrong; nothing was bound |

use std::{error::Error as StdError, future::Future, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args as _, FromArgMatches as _};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared_models::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    OnFailure, Runtime, cli,
    config::{self, Problem, Validate},
    listen, ops,
    reload::{Again, Reloader},
    tasks, telemetry,
};

/// What a service says about itself at the start.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name of the process: of its command and of its telemetry.
    pub name: &'static str,
    /// What it is for, in one line.
    pub summary: &'static str,
    /// The text of its `config.default.toml`.
    pub defaults: &'static str,
    /// The prefix of its environment variables.
    pub env_prefix: &'static str,
}

/// The sections that every service's configuration holds.
pub trait Settings: DeserializeOwned + Serialize + Validate + Send + Sync + 'static {
    /// Where logs and traces go.
    fn telemetry(&self) -> &telemetry::Config;
    /// Where the operators' listener is.
    fn ops(&self) -> &ops::Config;
    /// How the process stops.
    fn stop(&self) -> &StopConfig;
    /// The sections that take effect when the configuration is read again (`SIGHUP`), such as `auth`; every other
    /// key needs a restart.
    #[must_use]
    fn reloadable() -> &'static [&'static str] {
        &[]
    }
}

/// How a process stops.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StopConfig {
    /// How often the readiness probe looks: the process waits this long, not ready, before it refuses connections.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
    /// How long everything in hand may take to finish.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

impl Default for StopConfig {
    fn default() -> Self {
        Self { probe_interval: Duration::from_secs(1), grace: Duration::from_secs(20) }
    }
}

impl Validate for StopConfig {
    fn problems(&self) -> Vec<Problem> {
        if self.grace.is_zero() {
            vec![Problem::new("grace", "0s", "more than nothing, such as \"20s\"")]
        } else {
            Vec::new()
        }
    }
}

/// An address the process serves on.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// What is served there: `http`, `grpc`, `ops`.
    pub what: &'static str,
    /// The address that was really bound.
    pub address: SocketAddr,
}

type Failure = Box<dyn StdError + Send + Sync>;

/// The whole of a service's `main`: reads the command line, then [`start`]s.
///
/// `build` binds every port, connects, starts its tasks in the runtime's groups and says where it listens.
pub fn run<C, F, Building, E>(about: &About, build: F) -> ExitCode
where
    C: Settings,
    F: FnOnce(C, Runtime) -> Building,
    Building: Future<Output = Result<Vec<Listening>, E>>,
    E: Into<Failure>,
{
    let command = cli::Options::augment_args(
        clap::Command::new(about.name).about(about.summary).version(env!("CARGO_PKG_VERSION")),
    );
    let options = match command.try_get_matches().and_then(|matches| cli::Options::from_arg_matches(&matches)) {
        Ok(options) => options,
        Err(error) => {
            // Help and version are no mistakes; clap knows which stream they belong on.
            let code = if error.use_stderr() { cli::BAD_CONFIGURATION } else { 0 };
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    serve(*about, &options, build)
}

/// [`run`] with options that are read already. At `SIGHUP` the configuration is read again, from the same places.
pub fn serve<C, F, Building, E>(about: About, options: &cli::Options, build: F) -> ExitCode
where
    C: Settings,
    F: FnOnce(C, Runtime) -> Building,
    Building: Future<Output = Result<Vec<Listening>, E>>,
    E: Into<Failure>,
{
    match cli::load::<C>(options, about.defaults, about.env_prefix) {
        cli::Loaded::Run(config) => {
            let options = options.clone();
            let again = move || config::load(about.defaults, options.config.as_deref(), about.env_prefix, &options.set);
            start_with(about.name, config, Some(Box::new(again)), build)
        }
        cli::Loaded::Exit(code) => code,
    }
}

/// Runs a process with a configuration that is loaded: telemetry, build, serve, drain, flush.
pub fn start<C, F, Building, E>(name: &'static str, config: C, build: F) -> ExitCode
where
    C: Settings,
    F: FnOnce(C, Runtime) -> Building,
    Building: Future<Output = Result<Vec<Listening>, E>>,
    E: Into<Failure>,
{
    start_with(name, config, None, build)
}

fn start_with<C, F, Building, E>(name: &'static str, config: C, again: Option<Again<C>>, build: F) -> ExitCode
where
    C: Settings,
    F: FnOnce(C, Runtime) -> Building,
    Building: Future<Output = Result<Vec<Listening>, E>>,
    E: Into<Failure>,
{
    let executor = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(executor) => executor,
        Err(error) => {
            eprintln!("the async runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = executor.block_on(async {
        let telemetry = match telemetry::init(config.telemetry(), name) {
            Ok(telemetry) => telemetry,
            Err(error) => {
                eprintln!("{}", tasks::chain(&error));
                return ExitCode::FAILURE;
            }
        };
        let code = match live(name, config, again, telemetry.recent(), build).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(service = name, error = tasks::chain(error.as_ref()), "process failed");
                ExitCode::FAILURE
            }
        };
        telemetry.shutdown().await;
        code
    });
    // What is still on the blocking pool must not keep the process.
    executor.shutdown_background();
    code
}

async fn live<C, F, Building, E>(
    name: &'static str,
    config: C,
    again: Option<Again<C>>,
    recent: Option<telemetry::Recent>,
    build: F,
) -> Result<(), Failure>
where
    C: Settings,
    F: FnOnce(C, Runtime) -> Building,
    Building: Future<Output = Result<Vec<Listening>, E>>,
    E: Into<Failure>,
{
    let mut signals = Signals::new()?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let runtime = Runtime::new(Arc::new(SystemClock));
    let stop = config.stop().clone();
    let mut reloader = Reloader::new(&config, again, &runtime.metrics);
    let started = runtime.health.component("process");
    let ops = listen::bind(config.ops().listen)?;
    let ops_address = listen::address_of(&ops)?;
    serve_ops(ops, recent, &runtime);
    let listening = tokio::select! {
        built = build(config, runtime.clone()) => built.map_err(Into::into)?,
        signal = signals.next() => {
            tracing::info!(service = name, signal, "stopped before it was built");
            return Ok(());
        }
    };
    // Whoever reads the lines below may call at once.
    started.ready();
    for Listening { what, address } in listening.iter().chain([&Listening { what: "ops", address: ops_address }]) {
        tracing::info!(service = name, what, %address, "listening");
    }
    let signal = loop {
        tokio::select! {
            signal = signals.next() => break signal,
            _ = hang_up.recv() => reloader.reload(&runtime),
            () = runtime.stop_signal().stopped() => break "none: a task asked for it",
        }
    };
    runtime.health.drain();
    tracing::info!(service = name, signal, "stopping");
    tokio::select! {
        () = leave(&runtime, &stop) => tracing::info!(service = name, "stopped"),
        signal = signals.next() => tracing::warn!(service = name, signal, "second signal, leaving at once"),
    }
    match runtime.stop_signal().failure() {
        Some(reason) => Err(reason.into()),
        None => Ok(()),
    }
}

/// One probe after it said that it is not ready, the process stops its groups in their order.
async fn leave(runtime: &Runtime, stop: &StopConfig) {
    tokio::time::sleep(stop.probe_interval).await;
    runtime.drain(stop.grace).await;
}

/// The operators' listener is an observer: the last group to stop, so that probes see the process leave.
fn serve_ops(listener: std::net::TcpListener, recent: Option<telemetry::Recent>, runtime: &Runtime) {
    let stop = runtime.tasks.observers.token();
    let served = runtime.clone();
    runtime
        .tasks
        .observers
        .spawn("ops", OnFailure::Stop, async move { ops::serve_until(listener, &served, recent, stop).await });
}

/// The two signals that ask a process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
