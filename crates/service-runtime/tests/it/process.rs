//! A whole process, started as a child: its addresses, its signals, its ordered end.
//!
//! The child is this test binary itself, asked to run one of the `child_` functions.

use std::{
    convert::Infallible,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStderr, Command, ExitCode, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use service_runtime::{
    OnFailure, Runtime,
    cli::{self, Loaded, Options},
    config::{Problem, Validate},
    listen, ops,
    probe::Question,
    process::{self, Listening, Settings, StopConfig},
    telemetry,
};

const DEFAULTS: &str = r#"
[telemetry]
otlp_endpoint = ""
sample_ratio = 1.0
recent_traces = 0
log = "info"
log_format = "json"

[ops]
listen = "127.0.0.1:0"

[stop]
probe_interval = "1s"
grace = "5s"
"#;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Config {
    telemetry: telemetry::Config,
    ops: ops::Config,
    stop: StopConfig,
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        service_runtime::config::within("telemetry", &self.telemetry).collect()
    }
}

impl Settings for Config {
    fn telemetry(&self) -> &telemetry::Config {
        &self.telemetry
    }

    fn ops(&self) -> &ops::Config {
        &self.ops
    }

    fn stop(&self) -> &StopConfig {
        &self.stop
    }

    fn reloadable() -> &'static [&'static str] {
        &["stop.grace"]
    }
}

const CONFIG_FILE: &str = "SERVICE_RUNTIME_TEST_CONFIG";
const IS_CHILD: &str = "SERVICE_RUNTIME_TEST_CHILD";

fn config() -> Config {
    match cli::load(&Options::default(), DEFAULTS, "SETLIST_TEST") {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => panic!("the defaults are good, not {code:?}"),
    }
}

async fn build(_: Config, runtime: Runtime) -> Result<Vec<Listening>, listen::Error> {
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listen::address_of(&listener)?;
    for group in [&runtime.tasks.observers, &runtime.tasks.intake, &runtime.tasks.work] {
        let (token, name) = (group.token(), group.name());
        group.spawn("member", OnFailure::Stop, async move {
            token.cancelled().await;
            tracing::info!(group = name, "member finished");
            Ok::<(), Infallible>(())
        });
    }
    drop(listener);
    Ok(vec![Listening { what: "grpc", address }])
}

#[test]
fn child_serves_until_it_is_asked_to_stop() -> ExitCode {
    if std::env::var_os(IS_CHILD).is_none() {
        return ExitCode::SUCCESS;
    }
    process::start("probe", config(), build)
}

#[test]
fn child_cannot_be_built() -> ExitCode {
    if std::env::var_os(IS_CHILD).is_none() {
        return ExitCode::SUCCESS;
    }
    process::start("probe", config(), |_, _| async { Err::<Vec<Listening>, _>("the store is gone") })
}

#[test]
fn child_is_deaf_to_the_first_signal() -> ExitCode {
    if std::env::var_os(IS_CHILD).is_none() {
        return ExitCode::SUCCESS;
    }
    let config = Config { stop: StopConfig { grace: Duration::from_secs(600), ..config().stop }, ..config() };
    process::start("probe", config, |_, runtime: Runtime| async move {
        runtime.tasks.work.spawn("deaf", OnFailure::Log, std::future::pending::<Result<(), Infallible>>());
        Ok::<_, Infallible>(Vec::new())
    })
}

#[test]
fn child_has_a_dead_collector() -> ExitCode {
    if std::env::var_os(IS_CHILD).is_none() {
        return ExitCode::SUCCESS;
    }
    // The discard port: nobody listens there.
    let telemetry = telemetry::Config { otlp_endpoint: "http://127.0.0.1:9".into(), ..config().telemetry };
    process::start("probe", Config { telemetry, ..config() }, |_, runtime: Runtime| async move {
        for _ in 0..10_000 {
            tracing::info_span!("work").in_scope(|| {});
        }
        runtime.stop_signal().stop();
        Ok::<_, Infallible>(Vec::new())
    })
}

#[test]
fn child_reads_its_configuration_again() -> ExitCode {
    let Some(file) = std::env::var_os(CONFIG_FILE) else { return ExitCode::SUCCESS };
    let options = Options { config: Some(file.into()), ..Options::default() };
    let about = process::About { name: "probe", summary: "", defaults: DEFAULTS, env_prefix: "SETLIST_TEST" };
    process::serve(about, &options, |config: Config, runtime: Runtime| async move {
        let mut follow = runtime.reloads.follow::<Config>();
        runtime.tasks.work.spawn("follow", OnFailure::Stop, async move {
            while let Some(config) = follow.next().await {
                tracing::info!(grace = config.stop.grace.as_secs(), "taken over");
            }
            Ok::<(), Infallible>(())
        });
        tracing::info!(grace = config.stop.grace.as_secs(), "begun with");
        Ok::<_, Infallible>(Vec::new())
    })
}

/// A running child and the lines of its log.
struct Run {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Run {
    fn start(name: &str) -> Self {
        Self::start_with(name, (IS_CHILD, "1".as_ref()))
    }

    fn start_with(name: &str, (variable, value): (&str, &std::ffi::OsStr)) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", &format!("process::{name}"), "--nocapture"])
            .env(variable, value)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, log }
    }

    /// Reads the log until a line with this message.
    fn until(&mut self, message: &str) -> serde_json::Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).expect("readable"), 0, "the log ended before {message:?}");
            if let Ok(line) = serde_json::from_str::<serde_json::Value>(&line)
                && line["message"] == message
            {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    fn ended(mut self) -> (bool, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("readable");
        (self.child.wait().expect("it ends").success(), rest)
    }
}

fn status_of(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("connected");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

/// What the health check of an image ends with.
fn health(ops: &str, question: Option<Question>) -> ExitCode {
    let options = Options { health: question, set: vec![("ops.listen".into(), ops.into())], ..Options::default() };
    match cli::load::<Config>(&options, DEFAULTS, "SETLIST_TEST") {
        Loaded::Exit(code) => code,
        Loaded::Run(_) => panic!("a health check runs nothing"),
    }
}

#[test]
fn a_process_leaves_in_order() {
    let mut run = Run::start("child_serves_until_it_is_asked_to_stop");
    assert_eq!(run.until("listening")["what"], "grpc");
    let ops = run.until("listening");
    assert_eq!(ops["what"], "ops");
    let ops = ops["address"].as_str().expect("an address").to_owned();
    assert_eq!(status_of(&ops, "/readyz"), "HTTP/1.1 200 OK");
    let (live, ready) = (Some(Question::Live), Some(Question::Ready));
    assert_eq!((health(&ops, live), health(&ops, ready)), (ExitCode::SUCCESS, ExitCode::SUCCESS));
    run.signal("TERM");
    assert_eq!(run.until("stopping")["signal"], "SIGTERM");
    // Within the probe interval the process still answers, and says that it is going.
    assert_eq!(status_of(&ops, "/readyz"), "HTTP/1.1 503 Service Unavailable");
    assert_eq!((health(&ops, live), health(&ops, ready)), (ExitCode::SUCCESS, ExitCode::FAILURE));
    let order: Vec<_> = (0..3).map(|_| run.until("member finished")["group"].clone()).collect();
    assert_eq!(order, ["work", "intake", "observers"]);
    run.until("stopped");
    assert!(run.ended().0, "an orderly stop is a success");
    assert_eq!(health(&ops, live), ExitCode::FAILURE, "nobody is there any more");
}

#[test]
fn a_process_that_cannot_be_built_fails_and_says_why() {
    let run = Run::start("child_cannot_be_built");
    let (success, log) = run.ended();
    assert!(!success);
    assert!(log.contains("\"message\":\"process failed\"") && log.contains("the store is gone"), "{log}");
}

#[test]
fn a_dead_collector_keeps_nobody_from_leaving() {
    let (success, log) = Run::start("child_has_a_dead_collector").ended();
    assert!(success, "{log}");
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let mut run = Run::start("child_is_deaf_to_the_first_signal");
    run.until("listening");
    run.signal("INT");
    run.until("stopping");
    run.signal("TERM");
    run.until("second signal, leaving at once");
    run.ended();
}

#[test]
fn a_bad_configuration_ends_with_64_before_anything_is_bound() {
    let options = |key: &str, value: &str| Options { set: vec![(key.into(), value.into())], ..Options::default() };
    for wrong in [options("ops.lisen", "x"), options("telemetry.sample_ratio", "3")] {
        let Loaded::Exit(code) = cli::load::<Config>(&wrong, DEFAULTS, "SETLIST_TEST") else { panic!("refused") };
        assert_eq!(code, ExitCode::from(64));
    }
    let check = Options { check_config: true, ..Options::default() };
    let Loaded::Exit(code) = cli::load::<Config>(&check, DEFAULTS, "SETLIST_TEST") else { panic!("only checked") };
    assert_eq!(code, ExitCode::SUCCESS);
}

#[test]
fn a_configuration_that_is_read_again_is_taken_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("probe.toml");
    std::fs::write(&file, "[stop]\ngrace = \"7s\"\n").expect("written");
    let mut run = Run::start_with("child_reads_its_configuration_again", (CONFIG_FILE, file.as_os_str()));
    assert_eq!(run.until("begun with")["grace"], 7);
    let ops = run.until("listening")["address"].as_str().expect("an address").to_owned();

    std::fs::write(&file, "[stop]\ngrace = \"8s\"\n[telemetry]\nlog = \"debug\"\n").expect("written");
    run.signal("HUP");
    assert_eq!(run.until("these keys take effect at the next start")["keys"], "telemetry.log");
    assert_eq!(run.until("configuration was read again")["keys"], "stop.grace");
    assert_eq!(run.until("taken over")["grace"], 8);

    std::fs::write(&file, "[stop]\ngrace = \"9s\"\n[telemetry]\nsample_ratio = 3\n").expect("written");
    run.signal("HUP");
    let refused = run.until("configuration is refused; the process goes on with the one it has");
    let error = refused["error"].as_str().expect("a text").to_owned();
    assert!(error.contains("probe.toml:4") && error.contains("sample_ratio"), "{error}");
    assert_eq!(status_of(&ops, "/readyz"), "HTTP/1.1 200 OK");

    run.signal("TERM");
    let (success, log) = run.ended();
    assert!(success && !log.contains("taken over"), "{log}");
}
