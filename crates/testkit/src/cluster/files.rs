//! The files that tell the parts of a cluster what to do: configurations of the services and of nats-servers, and a
//! key. This file must not know how a part is run.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{Kind, Part, Shape};
use crate::{nats::Sync, ports};

/// Whose data the key opens.
pub const TENANT: &str = "demo";
/// What the database is called.
pub const DATABASE: &str = "setlist";
/// The folder of releases, in the cluster's.
pub(super) const RELEASES: &str = "releases";

/// Where everything listens. It stays so for as long as the cluster lives.
#[derive(Clone, Debug)]
pub(super) struct Addresses(Vec<(Part, [u16; 3])>);

impl Addresses {
    pub(super) fn of(shape: &Shape) -> Result<Self> {
        shape.parts().into_iter().map(|part| Ok((part, ports::kept_free()?))).collect::<Result<_>>().map(Self)
    }

    /// The port where a part's clients connect.
    pub(super) fn main(&self, part: Part) -> u16 {
        self.port(part, 0)
    }

    /// The port where a part tells of itself.
    pub(super) fn ops(&self, part: Part) -> u16 {
        self.port(part, 1)
    }

    fn port(&self, part: Part, which: usize) -> u16 {
        self.0.iter().find(|(known, _)| *known == part).map_or(0, |(_, ports)| ports[which])
    }

    /// The parts of a kind as addresses, joined with commas.
    pub(super) fn list(&self, kind: Kind, scheme: &str, which: usize) -> String {
        let of_kind = self.0.iter().filter(|(part, _)| part.kind == kind);
        let urls: Vec<String> = of_kind.map(|(_, ports)| format!("{scheme}://127.0.0.1:{}", ports[which])).collect();
        urls.join(",")
    }
}

/// A key for everything: as a client holds it, and the entry of the edges' configuration.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) secret: String,
    pub(super) entry: String,
}

impl Key {
    /// Made by the binary itself.
    pub(super) fn make(setlist: &Path) -> Result<Self> {
        let said = Command::new(setlist)
            .args(["key", "--tenant", TENANT, "--scopes", "serve,events,catalog,explain,admin"])
            .output()
            .with_context(|| format!("{} does not start", setlist.display()))?;
        ensure!(said.status.success(), "setlist key failed: {}", String::from_utf8_lossy(&said.stderr));
        let text = String::from_utf8(said.stdout)?;
        let secret =
            text.lines().map(str::trim).find(|line| line.starts_with("setlist_")).context("no key was shown")?;
        let entry = text.find("[[auth.keys]]").and_then(|at| text.get(at..)).context("no entry was shown")?;
        Ok(Self { secret: secret.to_owned(), entry: entry.to_owned() })
    }
}

/// The configuration of one service.
pub(super) fn service(part: Part, shape: &Shape, at: &Addresses, database: &str, folder: &Path, key: &Key) -> String {
    let text = |text: &str| format!("{text:?}");
    let address = |port: u16| format!("\"127.0.0.1:{port}\"");
    let releases = text(&folder.join(RELEASES).display().to_string());
    let mut settings = vec![
        ("ops.listen", address(at.ops(part))),
        ("telemetry.otlp_endpoint", text(&shape.otlp)),
        // What sends pages here looks every 100 ms whether the process is ready.
        ("stop.probe_interval", text("300ms")),
        ("stop.grace", text("10s")),
    ];
    if part.kind.reads_streams() {
        settings.extend([
            ("bus.kind", text("nats")),
            ("bus.url", text(&at.list(Kind::Nats, "nats", 0))),
            ("bus.synced_always", "true".to_owned()),
            ("bus.replicas", shape.nats.to_string()),
        ]);
    }
    match part.kind {
        Kind::Edge => settings.extend([
            ("http.listen", address(at.main(part))),
            // Every edge takes the cursors of every other: a cluster for tests has no secret to keep.
            ("cursors.secret", text("cursors of a cluster for tests")),
            ("services.candidates", text(&at.list(Kind::Candidates, "http", 0))),
            ("services.ranking", text(&at.list(Kind::Ranking, "http", 0))),
            ("store.url", text(database)),
        ]),
        Kind::Candidates => settings.extend([
            ("grpc.listen", address(at.main(part))),
            ("releases.path", releases),
            ("store.url", text(database)),
        ]),
        Kind::Ranking => settings.extend([("grpc.listen", address(at.main(part))), ("releases.path", releases)]),
        Kind::Learning => settings.extend([
            ("services.candidates", text(&at.list(Kind::Candidates, "http", 0))),
            ("archive.path", text(&folder.join("archive").display().to_string())),
            ("archive.history", text(&folder.join("history").display().to_string())),
            ("releases.path", releases),
        ]),
        Kind::Nats | Kind::Postgres => {}
    }
    let mut toml = String::new();
    let own = shape.settings.iter().filter(|(kind, ..)| *kind == part.kind);
    let own: Vec<(&str, &String)> = own.map(|(_, key, value)| (key.as_str(), value)).collect();
    for (key, value) in settings.iter().filter(|(key, _)| own.iter().all(|(own, _)| own != key)) {
        // Writing to a text does not fail.
        let _written = writeln!(toml, "{key} = {value}");
    }
    for (key, value) in own {
        let _written = writeln!(toml, "{key} = {value}");
    }
    if part.kind == Kind::Edge {
        toml.push_str(&key.entry);
    }
    toml
}

/// The configuration of one nats-server: on its own, or one of a cluster.
pub(super) fn nats(part: Part, shape: &Shape, at: &Addresses, store: &Path) -> String {
    let cluster = if shape.nats > 1 {
        format!(
            "cluster {{\n  name: setlist\n  listen: \"127.0.0.1:{}\"\n  routes: [{}]\n}}\n",
            at.port(part, 2),
            at.list(Kind::Nats, "nats-route", 2),
        )
    } else {
        String::new()
    };
    let sync = match shape.sync {
        Sync::Always => "  sync_interval: always\n",
        Sync::Default => "",
    };
    format!(
        "server_name: \"{part}\"\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\n\
         jetstream {{\n  store_dir: {:?}\n  max_file_store: 16GB\n  max_memory_store: 64MB\n{sync}}}\n\
         {cluster}",
        at.main(part),
        at.ops(part),
        store,
    )
}

/// Writes a file that only we may read.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(|| format!("{} is not written", path.display()))
}
