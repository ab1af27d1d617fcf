//! The commands of operators against real buses: streams and dead letters, and learning beside NATS.

use std::{path::Path, sync::Arc, time::Duration};

use event_bus::{Config, DeadLetter, Envelope, EventBus, Kind, StreamName, subjects};
use service_runtime::Runtime;
use shared_models::{
    EventId, ItemId, SystemClock, TenantId, Timestamp, UserId,
    event::{Event, EventKind},
};
use testkit::NatsServer;

use crate::{check, setlist, words};

fn event() -> Event {
    Event {
        id: EventId::new("event-1").unwrap(),
        user: UserId::new("user-1").unwrap(),
        kind: EventKind::Play,
        item: ItemId::new("item-1").unwrap(),
        occurred_at: Timestamp(1_780_000_000_000),
        received_at: Timestamp(1_780_000_000_000),
        ms_played: None,
        recommendation: None,
        shelf: None,
        position: None,
        session: None,
        device: None,
        market: None,
    }
}

fn batch() -> Envelope {
    let tenant = TenantId::new("demo").unwrap();
    let payload = contracts::events::encode(&tenant, &[event()]);
    Envelope::new(contracts::events::KIND, contracts::events::VERSION, Timestamp(1), payload)
}

async fn open(config: &Config) -> Arc<dyn EventBus> {
    event_bus::open(config, &Runtime::new(Arc::new(SystemClock))).await.unwrap()
}

/// Two letters of one message each.
async fn bury(bus: &dyn EventBus) {
    for sequence in 1..=2 {
        let letter = DeadLetter {
            stream: "EVENTS".to_owned(),
            consumer: "candidates-intake-p3".to_owned(),
            sequence,
            subject: "events.demo.3.batch".to_owned(),
            deliveries: 8,
            reason: "the store is older than the event".to_owned(),
            message: batch().encode(),
        };
        let subject = subjects::dead(StreamName::Events, "candidates-intake-p3");
        bus.publish(&subject, letter.into_envelope(Timestamp(1))).await.unwrap();
    }
}

/// What an operator does with two letters.
fn work_through(access: &[&'static str]) {
    let with = |arguments: &[&'static str]| [arguments, access].concat();
    check(&with(&["streams"]), 0, &["durability: ", "EVENTS", "DEAD", "refuse"]);
    check(&with(&["streams", "--json"]), 0, &["\"name\":\"EVENTS\"", "\"consumers\""]);
    check(&with(&["dead", "list"]), 0, &["candidates-intake-p3", "older than the event", "demo"]);
    check(&with(&["dead", "list", "--consumer", "candidates-intake", "--json"]), 0, &["\"id\":1", "\"id\":2"]);
    check(&with(&["dead", "list", "--tenant", "other"]), 0, &["no dead letters"]);
    check(&with(&["dead", "list", "--stream", "EVENT"]), 1, &["EVENT", "EVENTS, RECOMMENDATIONS"]);
    check(&with(&["dead", "show", "1"]), 0, &["\"deliveries\": 8", "event-1", "user-1", "item-1"]);
    check(&with(&["dead", "show", "9"]), 1, &["there is no letter 9"]);
    check(&with(&["dead", "redrive", "--all", "--dry-run"]), 0, &["2 of 2 letters would be sent again"]);
    check(&with(&["dead", "redrive", "1"]), 0, &["1 of 1 letters sent again"]);
    check(&with(&["dead", "drop", "2"]), 0, &["1 of 1 letters dropped"]);
    check(&with(&["dead", "list"]), 0, &["no dead letters"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_on_an_embedded_log() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { path: folder.path().join("events.db"), ..Config::default() };
    let bus = open(&config).await;
    bury(bus.as_ref()).await;
    // As long as the test binary: the command lines of a test are few.
    let access = ["--data", &*folder.path().to_str().unwrap().to_owned().leak()];
    check(&[&["streams"], &access[..]].concat(), 1, &["stop `setlist serve`", "is open in another process"]);
    drop(bus);
    work_through(&access);
    let mut seat = open(&config).await.subscribe(&subjects::CANDIDATES_INTAKE.for_partition(3)).await.unwrap();
    let again = seat.next_batch(10).await.unwrap();
    assert_eq!((again.len(), again[0].envelope.payload.clone()), (1, batch().payload));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_on_nats_while_services_run() {
    let server = NatsServer::start().await.unwrap();
    let config = Config { kind: Kind::Nats, url: server.url(), ..Config::default() };
    let bus = open(&config).await;
    bury(bus.as_ref()).await;
    let url = format!("bus.url={}", server.url());
    work_through(&["--set", "bus.kind=nats", "--set", url.leak()]);
    let mut seat = bus.subscribe(&subjects::CANDIDATES_INTAKE.for_partition(3)).await.unwrap();
    assert_eq!(seat.next_batch(10).await.unwrap().len(), 1);
}

#[test]
fn a_bus_that_is_away_is_said_so() {
    let url = format!("bus.url=nats://{}", testkit::ports::unused().unwrap());
    check(&["streams", "--set", "bus.kind=nats", "--set", &url], 1, &["cannot be looked at", "does not answer"]);
    check(&["streams", "--data", "nowhere"], 1, &["nowhere", "--data"]);
}

fn parquet_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| entry.path())
        .map(|path| if path.is_dir() { parquet_files(&path) } else { usize::from(path.extension().is_some()) })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn learning_archives_what_is_on_nats_and_trains_now_and_then() {
    let server = NatsServer::start().await.unwrap();
    let config = Config { kind: Kind::Nats, url: server.url(), ..Config::default() };
    let bus = open(&config).await;
    bus.publish(&subjects::events(&TenantId::new("demo").unwrap(), 3), batch()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let ops = testkit::ports::unused().unwrap();
    let set = [
        "bus.kind=nats".to_owned(),
        format!("bus.url={}", server.url()),
        format!("archive.path={}", archive.display()),
        format!("releases.path={}", folder.path().join("releases").display()),
        format!("ops.listen={ops}"),
        // Nobody is there: a training that fails is told, and the archive goes on.
        format!("services.candidates=http://{}", testkit::ports::unused().unwrap()),
        "learn.every=1s".to_owned(),
    ];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_setlist"));
    command.arg("learning").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    for setting in &set {
        command.args(["--set", setting]);
    }
    let mut learning = command.spawn().unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let page = reqwest::get(format!("http://{ops}/metrics")).await;
            let page = match page {
                Ok(page) => page.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if parquet_files(&archive) == 1
                && page.contains("setlist_learning_trainings_total{outcome=\"failed\"}")
                && bus.lag(&subjects::LEARNING_ARCHIVE).await.unwrap().pending == 0
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    learning.kill().unwrap();
    learning.wait().unwrap();
    seen.expect("the archive has the event, and a training was tried");
    // Beside a shared bus, training needs the catalogue and no bus.
    let data = folder.path().to_str().unwrap();
    let output =
        setlist(&["train", "--data", data, "--candidates", "http://127.0.0.1:9", "--set", "ops.listen=127.0.0.1:0"]);
    assert_ne!(output.status.code(), Some(0), "{}", words(&output));
    check(
        &["import", "lastfm", "nowhere", "--data", data, "--set", "bus.kind=nats", "--set", "ops.listen=127.0.0.1:0"],
        1,
        &["nowhere"],
    );
}
