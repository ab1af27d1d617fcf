//! A private nats-server: on free ports, with its store in a folder of its own, syncing every message to disk.
//! Killed when the test lets go of it. This file must not know streams.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::Instant};

use crate::{folder::Folder, tools};

/// The oldest version that knows `sync_interval: always`.
const OLDEST: (u32, u32) = (2, 10);
/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The environment variable that names the program.
pub const VARIABLE: &str = "SETLIST_NATS_SERVER";

/// How the server treats the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Every message is on disk before it is acknowledged.
    #[default]
    Always,
    /// The server's default: every two minutes.
    Default,
}

/// A running nats-server.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    folder: Folder,
    sync: Sync,
    process: Option<Child>,
    port: u16,
    monitor_port: u16,
}

impl NatsServer {
    /// Starts a server that syncs every message.
    ///
    /// # Errors
    /// When there is no nats-server of a version that will do, with how to get one; or when it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(Sync::Always).await
    }

    /// Starts a server.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn start_with(sync: Sync) -> Result<Self> {
        let program = program()?;
        let folder = Folder::new()?;
        let mut server = Self { program, folder, sync, process: None, port: 0, monitor_port: 0 };
        server.run().await?;
        Ok(server)
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where the server tells about itself.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// Kills the server, as a crash would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().context("nats-server could not be killed")?;
            process.wait().context("nats-server did not end")?;
        }
        Ok(())
    }

    /// Starts it again after [`NatsServer::kill`]: same ports, same store.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.run().await
    }

    async fn run(&mut self) -> Result<()> {
        let store = self.folder.join("store");
        let ports = self.folder.join("ports");
        let log = self.folder.join("nats.log");
        let configuration = self.folder.join("nats.conf");
        // Old ports files would be taken for this start's.
        if ports.exists() {
            fs::remove_dir_all(&ports)?;
        }
        fs::create_dir_all(&ports)?;
        let sync = match self.sync {
            Sync::Always => "sync_interval: always",
            Sync::Default => "",
        };
        // Port -1 lets the server pick a free one and say which, so that two tests never race for a port.
        let choose = |port: u16| if port == 0 { -1 } else { i32::from(port) };
        fs::write(
            &configuration,
            format!(
                "listen: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\nports_file_dir: {:?}\nlog_file: {:?}\n\
                 jetstream {{\n  store_dir: {:?}\n  max_file_store: 16GB\n  max_memory_store: 64MB\n  {sync}\n}}\n",
                choose(self.port),
                choose(self.monitor_port),
                ports,
                log,
                store,
            ),
        )?;
        let process = Command::new(&self.program)
            .arg("--config")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} could not be started", self.program.display()))?;
        let id = process.id();
        self.process = Some(process);
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some((port, monitor_port)) = read_ports(&ports, id)
                && greets(port).await
            {
                (self.port, self.monitor_port) = (port, monitor_port);
                return Ok(());
            }
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > end {
                let log = fs::read_to_string(&log).unwrap_or_default();
                bail!("nats-server did not start ({ended:?}); its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // Nothing is left to tell of a failure; the folder vanishes with the server.
        let _killed = self.kill();
    }
}

/// The ports the server wrote down: client, monitoring.
fn read_ports(folder: &Path, id: u32) -> Option<(u16, u16)> {
    let file = fs::read_dir(folder)
        .ok()?
        .flatten()
        .find(|file| file.file_name().to_string_lossy().ends_with(&format!("_{id}.ports")))?;
    let text = fs::read_to_string(file.path()).ok()?;
    let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
    let port = |kind: &str| ports.get(kind)?.get(0)?.as_str()?.rsplit(':').next()?.parse().ok();
    Some((port("nats")?, port("monitoring")?))
}

/// Whether a server introduces itself at the port.
pub(crate) async fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut start = [0; 4];
    stream.read_exact(&mut start).await.is_ok() && &start == b"INFO"
}

/// A nats-server that will do.
pub(crate) fn program() -> Result<PathBuf> {
    let mut seen = Vec::new();
    for candidate in tools::find("nats-server", VARIABLE) {
        match version(&candidate) {
            Some((major, minor, _)) if (major, minor) >= OLDEST => return Ok(candidate),
            Some((major, minor, patch)) => seen.push(format!("{} is {major}.{minor}.{patch}", candidate.display())),
            None => seen.push(format!("{} does not run", candidate.display())),
        }
    }
    let seen = if seen.is_empty() { "none was found".to_owned() } else { seen.join("; ") };
    bail!(
        "a nats-server of version {}.{} or later is needed ({seen}): run scripts/nats-server, which puts one at \
         target/tools/nats-server, or set {VARIABLE}",
        OLDEST.0,
        OLDEST.1,
    )
}

/// The version a program says it has: `nats-server: v2.15.1`.
fn version(program: &Path) -> Option<(u32, u32, u32)> {
    let said = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&said.stdout))
}

fn parse_version(said: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = said.trim().rsplit('v').next()?.split(['.', '-']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15, 1)));
        assert_eq!(parse_version("nats-server: v2.12.0-RC.3\n"), Some((2, 12, 0)));
        assert_eq!(parse_version("bash: not found"), None);
    }

    #[tokio::test]
    async fn a_killed_server_comes_back_at_the_same_place() {
        let mut server = NatsServer::start().await.unwrap();
        let url = server.url();
        assert!(greets(server.port).await);
        server.kill().unwrap();
        assert!(!greets(server.port).await);
        server.restart().await.unwrap();
        assert_eq!(server.url(), url);
        assert!(greets(server.port).await);
    }
}
