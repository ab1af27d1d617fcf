//! `setlist doctor`: checks a configuration, its ports, stores, stream and release, and says what to
//! mend. It changes nothing: what it opens for reading it leaves as it was.

use std::{
    fmt,
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use comfy_table::{Cell, Color, Table, presets};
use shared_models::TenantId;

use crate::{
    cli,
    config::{self, Config, Loaded},
    draw,
};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How one thing fares.
enum State {
    Good,
    Note,
    Bad,
}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    state: State,
    found: String,
    /// What to do; empty when nothing is.
    mend: String,
}

impl Finding {
    fn good(what: &'static str, found: impl fmt::Display) -> Self {
        Self { what, state: State::Good, found: found.to_string(), mend: String::new() }
    }

    fn note(what: &'static str, found: impl fmt::Display, mend: impl Into<String>) -> Self {
        Self { what, state: State::Note, found: found.to_string(), mend: mend.into() }
    }

    fn bad(what: &'static str, found: impl fmt::Display, mend: impl Into<String>) -> Self {
        Self { what, state: State::Bad, found: found.to_string(), mend: mend.into() }
    }
}

/// Looks at everything, prints a table, and fails when something has to be mended.
#[must_use]
pub fn run(args: &cli::Doctor) -> ExitCode {
    let config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    let mut findings = vec![Finding::good("configuration", "every key is known and every value in range")];
    findings.push(port("edge port", config.edge.http.listen));
    findings.push(port("ops port", config.ops.listen));
    findings.push(folder(&args.data.data));
    findings.push(keys(&config));
    findings.push(surfaces(&config));
    findings.push(store(&config));
    findings.push(stream(&config));
    findings.push(match TenantId::new(&args.data.tenant) {
        Ok(tenant) => release(&config, &tenant),
        Err(error) => Finding::bad("release", error, "give another --tenant"),
    });
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for Finding { what, state, found, mend } in &findings {
        let state = match state {
            State::Good => Cell::new("good").fg(Color::Green),
            State::Note => Cell::new("note").fg(Color::Yellow),
            State::Bad => Cell::new("mend").fg(Color::Red),
        };
        table.add_row([
            Cell::new(what),
            state,
            Cell::new(if mend.is_empty() { found.clone() } else { format!("{found}\n→ {mend}") }),
        ]);
    }
    draw::print(&table);
    let bad = findings.iter().filter(|finding| matches!(finding.state, State::Bad)).count();
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn port(what: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(what, format!("{address} is free")),
        Err(error) => Finding::bad(
            what,
            format!("{address}: {error}"),
            "stop what listens there (a running setlist, perhaps), or set another address",
        ),
    }
}

fn folder(path: &Path) -> Finding {
    let probe = path.join(".doctor");
    if !path.exists() {
        return Finding::note(
            "data folder",
            format!("{} is not there yet", path.display()),
            "setlist import, or setlist demo, makes it",
        );
    }
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Finding::good("data folder", format!("{} can be written", path.display())),
        Err(error) => Finding::bad(
            "data folder",
            format!("{}: {error}", path.display()),
            "give a folder that this user may write, with --data",
        ),
    }
}

fn keys(config: &Config) -> Finding {
    match config.edge.auth.keys.len() {
        0 => Finding::note(
            "API keys",
            "none, so every call is refused",
            "setlist serve makes one for this machine; others with setlist key, whose entry goes into the configuration",
        ),
        count => Finding::good("API keys", format!("{count}")),
    }
}

fn surfaces(config: &Config) -> Finding {
    let folder = &config.edge.surfaces.folder;
    let folder = (!folder.as_os_str().is_empty()).then_some(folder.as_path());
    match edge_api::surfaces::Surfaces::load(folder) {
        Ok(surfaces) => Finding::good(
            "surfaces",
            surfaces.all().map(|one| one.surface.surface.to_string()).collect::<Vec<_>>().join(", "),
        ),
        Err(error) => Finding::bad("surfaces", error, "mend the file at the line it names"),
    }
}

/// Whether the store of catalogue and profiles is one, and can be written; by its first bytes, so that nothing changes.
fn store(config: &Config) -> Finding {
    use std::io::Read as _;
    const WHAT: &str = "catalogue and profiles";
    let url = &config.candidates.store.url;
    if url.starts_with("postgres") {
        return reach(WHAT, url, 5432, "start PostgreSQL, or set candidates.store.url");
    }
    let Some(path) = url.strip_prefix("sqlite://").map(Path::new) else {
        return Finding::bad(
            WHAT,
            format!("{url} is no store of this version"),
            "set candidates.store.url to sqlite:// and a path, or postgres://user@host:port/database",
        );
    };
    let mut head = [0_u8; 16];
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(path);
    match opened.and_then(|mut file| file.read_exact(&mut head)) {
        Ok(()) if head == *b"SQLite format 3\0" => {
            Finding::good(WHAT, format!("{} is a database and can be written", path.display()))
        }
        Ok(()) => Finding::bad(
            WHAT,
            format!("{} is no SQLite database", path.display()),
            "restore it from a backup, or move it away to begin anew",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::note(WHAT, format!("{} is not there yet", path.display()), "the first start makes it")
        }
        Err(error) => {
            Finding::bad(WHAT, format!("{}: {error}", path.display()), "let this user read and write it, or restore it")
        }
    }
}

fn stream(config: &Config) -> Finding {
    match config.bus.kind {
        event_bus::config::Kind::Embedded if config.bus.path.exists() => {
            Finding::good("event stream", format!("embedded log at {}", config.bus.path.display()))
        }
        event_bus::config::Kind::Embedded => Finding::note(
            "event stream",
            format!("embedded log at {} is not there yet", config.bus.path.display()),
            "the first start makes it",
        ),
        event_bus::config::Kind::Nats => {
            reach("event stream", &config.bus.url, 4222, "start nats-server with JetStream, or set bus.url")
        }
    }
}

/// Whether something answers at the address of a server.
fn reach(what: &'static str, url: &str, port: u16, hint: &'static str) -> Finding {
    // Of the first server; a user and a password before the host are nobody's business here.
    let first = url.split(',').next().unwrap_or(url);
    let address = first.rsplit_once("://").map_or(first, |(_, rest)| rest);
    let address = address.rsplit_once('@').map_or(address, |(_, host)| host);
    let address = address.split('/').next().unwrap_or(address);
    let address = if address.contains(':') { address.to_owned() } else { format!("{address}:{port}") };
    let reached = address
        .to_socket_addrs()
        .and_then(|mut found| found.next().ok_or_else(|| std::io::Error::other("no such host")))
        .and_then(|found| TcpStream::connect_timeout(&found, PATIENCE));
    match reached {
        Ok(_) => Finding::good(what, format!("{address} answers")),
        Err(error) => Finding::bad(what, format!("{address}: {error}"), hint),
    }
}

fn release(config: &Config, tenant: &TenantId) -> Finding {
    let what = "release";
    let path = &config.ranking.releases.path;
    if !path.exists() {
        return Finding::note(what, "none yet: pages are cold", "setlist train makes one");
    }
    let looked = releases::Store::open(path).and_then(|store| match store.live(tenant)? {
        Some(id) => store.load(tenant, &id).map(Some),
        None => Ok(None),
    });
    match looked {
        Ok(Some(release)) => Finding::good(
            what,
            format!("{} is live and every hash is right ({} items)", release.manifest.id, release.items.len()),
        ),
        Ok(None) => Finding::note(what, format!("{tenant} has none: its pages are cold"), "setlist train makes one"),
        Err(error) => {
            Finding::bad(what, service_runtime::tasks::chain(&error), "roll back, or train again: setlist train")
        }
    }
}
