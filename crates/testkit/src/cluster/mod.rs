//! A whole cluster as separate processes on this machine: nats-servers, PostgreSQL, and the services from the built
//! `setlist` binary. Each part can be killed, stopped, frozen and started again as it was; nothing is left running when
//! the cluster's value goes, also when a test panics.
//!
//! It knows services as programs with a command line; what they do is none of its business.

mod clocks;
mod files;
mod shape;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use self::{
    clocks::Clocks,
    files::{Addresses, Key},
};
pub use self::{
    files::{DATABASE, TENANT},
    shape::{Kind, Part, Shape},
};
use crate::{Folder, Postgres, Process, nats, tools};

/// How long a part may take to become ready on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What a service ends with when its configuration is wrong.
const BAD_CONFIGURATION: i32 = 64;
/// How long one look at a part may take.
const LOOK: Duration = Duration::from_secs(1);
/// How often a part is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    // The processes end before the folder that they write into goes.
    processes: Vec<(Part, Process)>,
    postgres: Postgres,
    clocks: Option<Clocks>,
    shape: Shape,
    at: Addresses,
    key: Key,
    folder: Folder,
}

impl Cluster {
    /// Starts everything and waits until all of it is ready.
    ///
    /// # Errors
    /// When a program is missing, with how to get it; or when a part does not become ready, with what it said.
    pub async fn start(shape: Shape) -> Result<Self> {
        let mut cluster = Self::prepare(shape).await?;
        cluster.start_rest().await?;
        Ok(cluster)
    }

    /// Starts every part that does not run, and waits until all are ready.
    ///
    /// # Errors
    /// When a part does not become ready, with what it said.
    pub async fn start_rest(&mut self) -> Result<()> {
        // Streams and database first: what needs them then finds them.
        for first in [true, false] {
            let parts: Vec<Part> = self.parts().into_iter().filter(|part| part.kind.is_service() != first).collect();
            for part in &parts {
                self.start_part(*part).await?;
            }
            for part in &parts {
                self.ready(*part, PATIENCE).await?;
            }
        }
        Ok(())
    }

    /// A cluster of which only PostgreSQL runs: its parts are started one by one.
    ///
    /// # Errors
    /// When a program is missing, with how to get it.
    pub async fn prepare(shape: Shape) -> Result<Self> {
        ensure!(shape.nats == 1 || shape.nats == 3, "{} nats-servers; 1, or 3 that agree", shape.nats);
        ensure!(shape.edges > 0 && shape.candidates > 0 && shape.ranking > 0, "a cluster has one of each service");
        let setlist = tools::setlist()?;
        let nats_server = nats::program()?;
        let folder = Folder::new()?;
        let at = Addresses::of(&shape)?;
        let key = Key::make(&setlist)?;
        let postgres = match &shape.database {
            Some(folder) => Postgres::start_on(folder).await?,
            None => Postgres::start().await?,
        };
        postgres.make_database(DATABASE).await?;
        std::fs::create_dir(folder.join(files::RELEASES))?;
        let database = postgres.url(DATABASE);

        let clocks = if shape.clocks.is_empty() { None } else { Some(Clocks::new(folder.path())?) };
        let mut processes = Vec::new();
        for part in shape.parts().into_iter().filter(|part| part.kind != Kind::Postgres) {
            let (program, ending, text) = if part.kind == Kind::Nats {
                let store = shape.streams.as_deref().unwrap_or_else(|| folder.path()).join(format!("{part}.store"));
                (&nats_server, "conf", files::nats(part, &shape, &at, &store))
            } else {
                (&setlist, "toml", files::service(part, &shape, &at, &database, folder.path(), &key))
            };
            let configuration = folder.join(&format!("{part}.{ending}"));
            files::write(&configuration, &text)?;
            let mut arguments = vec!["--config".to_owned(), configuration.display().to_string()];
            if part.kind.is_service() {
                arguments.insert(0, part.kind.as_str().to_owned());
            }
            let log = folder.join(&format!("{part}.log"));
            let mut process = Process::new(program, arguments, folder.path(), &log);
            if let Some(clocks) = clocks.as_ref().filter(|_| part.kind.is_service()) {
                let ahead = shape.clocks.get(part.number % shape.clocks.len()).copied().unwrap_or_default();
                clocks.set(part, ahead)?;
                process = process.with_environment(clocks.environment(part));
            }
            processes.push((part, process));
        }
        Ok(Self { processes, postgres, clocks, shape, at, key, folder })
    }

    /// Every part, in the order in which they are started.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.shape.parts()
    }

    /// What it is made of.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Where clients of a part connect: HTTP of an edge, gRPC of a service, the protocol of nats and PostgreSQL.
    #[must_use]
    pub fn url(&self, part: Part) -> String {
        let scheme = match part.kind {
            Kind::Nats => "nats",
            Kind::Postgres => return self.postgres.url(DATABASE),
            Kind::Edge | Kind::Candidates | Kind::Ranking | Kind::Learning => "http",
        };
        format!("{scheme}://127.0.0.1:{}", self.at.main(part))
    }

    /// Where a part tells of itself: the operators' listener of a service, nats-server's monitoring.
    #[must_use]
    pub fn ops_url(&self, part: Part) -> String {
        format!("http://127.0.0.1:{}", self.at.ops(part))
    }

    /// The edges' addresses.
    #[must_use]
    pub fn edges(&self) -> Vec<String> {
        (0..self.shape.edges).map(|number| self.url(Part::edge(number))).collect()
    }

    /// The nats-servers' addresses, joined with commas.
    #[must_use]
    pub fn nats(&self) -> String {
        self.at.list(Kind::Nats, "nats", 0)
    }

    /// The database.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// An API key for everything.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key.secret
    }

    /// Where configurations, logs and stores are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the services look for releases.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.folder.join(files::RELEASES)
    }

    /// Kills a part, as a crash would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self, part: Part) -> Result<()> {
        match part.kind {
            Kind::Postgres => self.postgres.kill(),
            _ => self.process(part)?.kill(),
        }
    }

    /// Asks a part to stop (SIGTERM), and waits for its orderly end.
    ///
    /// # Errors
    /// When it does not end, or says that it failed.
    pub async fn stop(&mut self, part: Part) -> Result<()> {
        if part.kind == Kind::Postgres {
            return self.postgres.kill();
        }
        let ended = self.process(part)?.stop(PATIENCE).await?;
        let orderly = part.kind == Kind::Nats || ended.is_none_or(|status| status.success());
        ensure!(orderly, "{part} ended with {ended:?}; it said:\n{}", self.said(part));
        Ok(())
    }

    /// Stops a part where it stands (SIGSTOP): its connections stay open, and it does not answer.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn freeze(&mut self, part: Part) -> Result<()> {
        match part.kind {
            Kind::Postgres => self.postgres.freeze(),
            _ => self.process(part)?.freeze(),
        }
        Ok(())
    }

    /// Lets a frozen part go on (SIGCONT).
    ///
    /// # Errors
    /// When there is no such part.
    pub fn thaw(&mut self, part: Part) -> Result<()> {
        match part.kind {
            Kind::Postgres => self.postgres.thaw(),
            _ => self.process(part)?.thaw(),
        }
        Ok(())
    }

    /// Sets the wall clock of a service so many seconds ahead of the machine's, or behind it. The service reads it within
    /// a second; its monotonic clock goes on.
    ///
    /// # Errors
    /// When the services of this cluster have no clocks of their own ([`Shape::clocks`]).
    pub fn set_clock(&self, part: Part, ahead: i64) -> Result<()> {
        self.clocks.as_ref().context("this cluster's services read the machine's clock")?.set(part, ahead)
    }

    /// Starts a part that does not run, with the configuration it had. PostgreSQL is ready after it; a service is when
    /// [`Cluster::ready`] says so.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_part(&mut self, part: Part) -> Result<()> {
        match part.kind {
            Kind::Postgres if self.postgres.is_alive() => Ok(()),
            Kind::Postgres => self.postgres.restart().await,
            _ => self.process(part)?.start(),
        }
    }

    /// A service runs another release's program from its next start on, with the configuration it had.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn replace(&mut self, service: Part, program: &Path) -> Result<()> {
        ensure!(service.kind.is_service(), "{service} is none of our services");
        self.process(service)?.replace(program);
        Ok(())
    }

    /// Whether a part runs, frozen or not.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn is_alive(&mut self, part: Part) -> Result<bool> {
        match part.kind {
            Kind::Postgres => Ok(self.postgres.is_alive()),
            _ => Ok(self.process(part)?.is_alive()),
        }
    }

    /// Waits until a part says that it is ready. One that ends meanwhile is started again, as a supervisor does.
    ///
    /// # Errors
    /// When it does not within `patience`, with what it said.
    pub async fn ready(&mut self, part: Part, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        while !self.is_ready(part).await {
            if !self.is_alive(part)? {
                let ended = self.process(part).ok().and_then(|process| process.ended());
                // To start it again would not make its configuration right.
                ensure!(ended != Some(BAD_CONFIGURATION), "{part} is told wrong; it said:\n{}", self.said(part));
                self.start_part(part).await?;
            }
            if Instant::now() > end {
                bail!("{part} is not ready after {patience:?}; it said:\n{}", self.said(part));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Whether a part says that it is ready.
    pub async fn is_ready(&self, part: Part) -> bool {
        let path = match part.kind {
            Kind::Postgres => return self.postgres.execute(DATABASE, "SELECT 1").await.is_ok(),
            Kind::Nats => return self.has_leader(part).await,
            Kind::Edge | Kind::Candidates | Kind::Ranking | Kind::Learning => "/readyz",
        };
        timeout(LOOK, get(self.at.ops(part), path)).await.is_ok_and(|answer| answer.is_some())
    }

    /// Whether a nats-server is healthy and, where it is one of several, knows who leads them: before, no stream can be
    /// declared.
    async fn has_leader(&self, part: Part) -> bool {
        let ask = |path| async move { timeout(LOOK, get(self.at.ops(part), path)).await.ok().flatten() };
        let leads = |told: String| told.contains("\"leader\": \"nats-") && told.contains("\"cluster_size\": 3");
        ask("/healthz").await.is_some() && (self.shape.nats == 1 || ask("/jsz").await.is_some_and(leads))
    }

    /// The last lines a part said.
    #[must_use]
    pub fn said(&self, part: Part) -> String {
        self.processes
            .iter()
            .find(|(known, _)| *known == part)
            .map_or_else(String::new, |(_, process)| process.said(30))
    }

    /// Asks every service to stop, edges first, then stops the rest.
    ///
    /// # Errors
    /// When a service does not stop in order.
    pub async fn shut_down(mut self) -> Result<()> {
        for part in self.parts().into_iter().rev() {
            // A frozen process does not hear that it should stop.
            self.thaw(part)?;
            if part.kind != Kind::Postgres {
                self.stop(part).await?;
            }
        }
        Ok(())
    }

    fn process(&mut self, part: Part) -> Result<&mut Process> {
        let found = self.processes.iter_mut().find(|(known, _)| *known == part);
        found.map(|(_, process)| process).with_context(|| format!("the cluster has no {part}"))
    }
}

/// What something at the port answers to a GET, when it answers 200.
async fn get(port: u16, path: &str) -> Option<String> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.ok().filter(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_its_parts_in_the_order_in_which_they_start() {
        let names: Vec<String> = Shape::default().parts().iter().map(Part::to_string).collect();
        let expected =
            "nats-1 nats-2 nats-3 postgres-1 candidates-1 candidates-2 ranking-1 ranking-2 learning-1 edge-1 edge-2";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn nats_servers_sync_always_unless_a_test_wants_their_default() {
        let said =
            |shape: &Shape| files::nats(Part::nats(0), shape, &Addresses::of(shape).unwrap(), Path::new("/streams"));
        assert!(said(&Shape::default()).contains("  sync_interval: always\n}\n"));
        let default = Shape { sync: nats::Sync::Default, ..Shape::default() };
        assert!(!said(&default).contains("sync_interval"));
    }

    #[test]
    fn a_setting_of_a_test_replaces_the_clusters_own() {
        let shape = Shape::default().set(Kind::Ranking, "stop.grace", "\"1s\"");
        let at = Addresses::of(&shape).unwrap();
        let key = Key { secret: String::new(), entry: String::new() };
        let text = files::service(Part::ranking(1), &shape, &at, "", Path::new("/releases"), &key);
        assert_eq!(text.matches("stop.grace").count(), 1, "{text}");
        assert!(text.contains("stop.grace = \"1s\""), "{text}");
    }
}
