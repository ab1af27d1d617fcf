//! Every metric that a rule or a dashboard names is there in a running platform, with the labels that are asked for. A panel
//! that can show nothing, and an alert that can never tell, fail here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use edge_api::auth::{Key, Scope};
use learning::{
    datasets::{Import, Report},
    progress::Silent,
    world,
};
use service_runtime::{Runtime, cli::Options};
use setlist::{
    client::{Client, Told},
    config::{self, Config, Loaded},
    platform::Platform,
};
use shared_models::{Clock, Seed, SystemClock, TenantId};
use testkit::folder::Folder;

use crate::{promql, queries};

/// How long anything may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What other programs show, and who they are. They do not run in this test.
const FOREIGN: [(&str, &str); 5] = [
    ("up", "Prometheus itself"),
    ("gnatsd_varz_jetstream_stats_storage", "prometheus-nats-exporter -varz"),
    ("gnatsd_varz_jetstream_config_max_storage", "prometheus-nats-exporter -varz"),
    ("otelcol_receiver_refused_spans(_total)?", "the OpenTelemetry Collector"),
    ("otelcol_exporter_send_failed_spans(_total)?", "the OpenTelemetry Collector"),
];

/// The labels that Prometheus adds to every series.
const ADDED: [&str; 2] = ["job", "instance"];

/// Labels whose values are few and all there: one that is asked for and is not among them is a mistake.
const WHOLE: [&str; 3] = ["le", "route", "kind"];

/// The series of a page of metrics by name: every label that any of them has, with its values.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn series(page: &str) -> Series {
    let mut found = Series::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, mut rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
        let labels = found.entry(name.to_owned()).or_default();
        // Values may hold braces, commas and quotes that are escaped.
        while let Some((before, after)) = rest.split_once("=\"") {
            let end = after.char_indices().scan(false, |escaped, (index, letter)| {
                let ends = letter == '"' && !*escaped;
                *escaped = letter == '\\' && !*escaped;
                Some((index, ends))
            });
            let Some((end, _)) = end.into_iter().find(|(_, ends)| *ends) else { break };
            let label = before.trim_start_matches(['{', ',']).to_owned();
            labels.entry(label).or_default().insert(after[..end].to_owned());
            rest = &after[end + 1..];
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_asked_for_is_there_with_its_labels() -> Result<()> {
    let mut there = series(&driven().await?);
    for (name, labels) in queries::recorded() {
        there.entry(name).or_default().extend(labels.into_iter().map(|label| (label, BTreeSet::new())));
    }
    let mut wrong = Vec::new();
    let mut foreign_seen = BTreeSet::new();
    let all = queries::of_rules().into_iter().chain(queries::dashboards()).collect::<Vec<_>>();
    ensure!(all.len() > 100, "only {} queries are found", all.len());
    for query in all {
        let asked = promql::read(&query.expression);
        let mut known: BTreeSet<String> = ADDED.map(str::to_owned).into();
        let mut foreign = false;
        for selector in &asked.selectors {
            if let Some((name, _)) = FOREIGN.iter().find(|(name, _)| *name == selector.name) {
                foreign = true;
                foreign_seen.insert(*name);
                continue;
            }
            let Some(labels) = there.get(&selector.name) else {
                wrong.push(format!("{}: {} is shown by nobody", query.place, selector.name));
                continue;
            };
            known.extend(labels.keys().cloned());
            for (label, value) in &selector.labels {
                if !known.contains(label) {
                    wrong.push(format!("{}: {} has no label {label}", query.place, selector.name));
                }
                if let Some(value) = value.as_ref().filter(|_| WHOLE.contains(&label.as_str()))
                    && !labels.get(label).is_some_and(|values| values.contains(value))
                {
                    wrong.push(format!("{}: {} never has {label}={value:?}", query.place, selector.name));
                }
            }
        }
        for label in asked.groupings.iter().chain(&query.shown).filter(|label| !foreign && !known.contains(*label)) {
            wrong.push(format!("{}: no metric has the label {label}", query.place));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(foreign_seen.len() == FOREIGN.len(), "of the foreign metrics only {foreign_seen:?} are asked for");
    Ok(())
}

#[test]
fn a_page_of_metrics_is_read_as_it_is_written() {
    let page = "# HELP a b\na_total{x=\"1\",route=\"/v1/{y}:z,w=\\\"\"} 3\nb 4\nc_bucket{le=\"0.1\"} 5\n# EOF\n";
    let read = series(page);
    let values = |name: &str, label: &str| read[name][label].iter().cloned().collect::<Vec<_>>();
    assert_eq!(read["a_total"].keys().collect::<Vec<_>>(), ["route", "x"]);
    assert_eq!((values("a_total", "x"), values("c_bucket", "le")), (vec!["1".to_owned()], vec!["0.1".to_owned()]));
    assert_eq!(values("a_total", "route"), ["/v1/{y}:z,w=\\\""]);
    assert!(read["b"].is_empty());
}

/// The metrics of a platform that has seen everything once: a page without a release, pages, plays, refusals, a release.
async fn driven() -> Result<String> {
    let folder = Folder::new()?;
    let (settings, key, bare) = configure(&folder)?;
    let runtime = Runtime::new(Arc::new(SystemClock));
    let tenant = TenantId::new("demo")?;
    let (listener, address) = Platform::bind(&settings)?;
    let platform = Platform::build(&settings, &runtime, true).await?;
    let world = world::generate(&world::Config::small(Seed(11), SystemClock.now()), &Silent)?;
    let user = world.users.first().context("an empty world")?.id.to_string();
    let item = world.items.first().context("no item")?.id.to_string();
    let import = Import { items: world.items, users: world.users, events: world.events, report: Report::default() };
    setlist::import::load(&platform.core, &tenant, import, &Silent).await?;
    setlist::train::learn(&platform.core, &settings, &tenant, &runtime, Arc::new(Silent)).await?;
    let kept = platform.serve(listener, &runtime);

    let base = format!("http://{address}");
    let client = Client::new(&base, key.expose())?;
    // The services find the release by looking for it, as they do in a cluster.
    let end = Instant::now() + PATIENCE;
    while client.page("home", &user, Some("SE")).await?.0.degraded.level != "none" {
        ensure!(Instant::now() < end, "no page is whole");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    client.page("home", "nobody-has-heard-of", None).await?;
    let play = Told { user_id: &user, kind: "play", item_id: &item, ms_played: Some(180_000), ..Told::default() };
    client.events(&[play]).await?;
    // Another tenant has no release: what needs one is degraded.
    let bare = Client::new(&base, bare.expose())?;
    bare.page("home", "somebody", None).await?;
    provoke(&base, key.expose()).await?;

    // The last to show: what is published after the answers, and what the intake makes of the play.
    let end = Instant::now() + PATIENCE;
    let wanted = [
        "setlist_edge_records_total{",
        "setlist_candidates_intake_freshness_seconds_count",
        "setlist_bus_lag_seconds{",
    ];
    let page = loop {
        let page = runtime.metrics.encode();
        if wanted.iter().all(|metric| page.contains(metric)) || Instant::now() > end {
            break page;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    drop(kept);
    runtime.drain(Duration::from_secs(10)).await;
    Ok(page)
}

/// Refusals of each kind: a body too large, more at once than one tenant may have in hand, more than its quota.
async fn provoke(base: &str, key: &str) -> Result<()> {
    // On a connection of its own: the edge closes one whose body it will not read.
    let large = reqwest::Client::new().post(format!("{base}/v1/events")).bearer_auth(key);
    let large = large.body(vec![b' '; 100_500]).send().await?;
    ensure!(large.status() == 413, "a body that is too large is answered {}", large.status());
    let http = reqwest::Client::new();
    let (mut shed, mut spent) = (false, false);
    let end = Instant::now() + PATIENCE;
    while !(shed && spent) {
        ensure!(Instant::now() < end, "never refused: shed {shed}, quota {spent}");
        let mut burst = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let body = serde_json::json!({ "user_id": "user-00001" });
            let page = http.post(format!("{base}/v1/surfaces/home:page")).bearer_auth(key).json(&body).send();
            burst.spawn(async move { anyhow::Ok(page.await?.text().await?) });
        }
        while let Some(answer) = burst.join_next().await {
            let answer = answer??;
            shed |= answer.contains("\"overloaded\"");
            spent |= answer.contains("\"quota_exceeded\"");
        }
    }
    Ok(())
}

/// A platform in `folder` on free ports, with small limits, a key for everything, and one of a tenant without anything.
fn configure(folder: &Folder) -> Result<(Config, Key, Key)> {
    let mut options = Options::default();
    for (key, value) in [
        ("edge.http.listen", "127.0.0.1:0"),
        ("ops.listen", "127.0.0.1:0"),
        ("edge.limits.body_bytes", "100000"),
        ("edge.limits.tenant_concurrency", "1"),
        ("edge.quota.key_requests_per_second", "1"),
        ("edge.quota.key_burst", "400"),
        ("ranking.pages.sampled_one_in", "1"),
    ] {
        options.set.push((key.to_owned(), value.to_owned()));
    }
    let Loaded::Run(mut config) = config::load(&options, folder.path()) else {
        anyhow::bail!("the configuration is refused")
    };
    let everything = Scope::ALL;
    let (key, entry) = Key::generate(&TenantId::new("demo")?, &everything);
    let (bare, bare_entry) = Key::generate(&TenantId::new("bare")?, &everything);
    config.edge.auth.keys.extend([entry, bare_entry]);
    Ok((*config, key, bare))
}
