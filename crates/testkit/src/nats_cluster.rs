//! Three nats-servers that keep every stream together: on ports of their own, each syncing every message to disk.
//! Killed when the test lets go of them. This file must not know streams.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::time::Instant;

use crate::{Folder, nats, ports};

/// How many servers there are.
pub const SERVERS: usize = 3;
/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One server.
#[derive(Debug)]
struct Server {
    port: u16,
    monitor_port: u16,
    route_port: u16,
    process: Option<Child>,
}

/// A cluster of three nats-servers.
#[derive(Debug)]
pub struct NatsCluster {
    program: PathBuf,
    folder: Folder,
    servers: Vec<Server>,
}

impl NatsCluster {
    /// Starts all three.
    ///
    /// # Errors
    /// When there is no nats-server that will do, or one does not start.
    pub async fn start() -> Result<Self> {
        let mut cluster = Self { program: nats::program()?, folder: Folder::new()?, servers: Vec::new() };
        // Held together, so that no port is found twice.
        let free = (0..SERVERS * 3).map(|_| ports::listener()).collect::<Result<Vec<_>>>()?;
        let mut numbers = Vec::with_capacity(free.len());
        for listener in &free {
            numbers.push(listener.local_addr()?.port());
        }
        drop(free);
        for own in numbers.chunks_exact(3) {
            let [port, monitor_port, route_port] = *own else { bail!("ports come in threes") };
            cluster.servers.push(Server { port, monitor_port, route_port, process: None });
        }
        for index in 0..SERVERS {
            cluster.spawn(index)?;
        }
        for index in 0..SERVERS {
            cluster.until_up(index).await?;
        }
        Ok(cluster)
    }

    /// Where clients connect: all servers, joined with commas.
    #[must_use]
    pub fn url(&self) -> String {
        let all: Vec<String> = self.servers.iter().map(|server| format!("nats://127.0.0.1:{}", server.port)).collect();
        all.join(",")
    }

    /// Kills a server, as a crash would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        if let Some(mut process) = self.servers.get_mut(index).and_then(|server| server.process.take()) {
            process.kill().context("nats-server could not be killed")?;
            process.wait().context("nats-server did not end")?;
        }
        Ok(())
    }

    /// Starts a server again after [`NatsCluster::kill`], and waits until it answers: same ports, same store. It may
    /// still be catching up.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        self.kill(index)?;
        self.spawn(index)?;
        self.until_up(index).await
    }

    fn spawn(&mut self, index: usize) -> Result<()> {
        let routes: Vec<String> =
            self.servers.iter().map(|server| format!("\"nats://127.0.0.1:{}\"", server.route_port)).collect();
        let server = self.servers.get(index).context("there are three servers")?;
        let configuration = self.folder.join(&format!("nats-{index}.conf"));
        fs::write(
            &configuration,
            format!(
                "server_name: \"nats-{index}\"\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\nlog_file: {:?}\n\
                 jetstream {{\n  store_dir: {:?}\n  max_file_store: 16GB\n  max_memory_store: 64MB\n  \
                 sync_interval: always\n}}\n\
                 cluster {{\n  name: \"test\"\n  listen: \"127.0.0.1:{}\"\n  routes: [{}]\n}}\n",
                server.port,
                server.monitor_port,
                self.folder.join(&format!("nats-{index}.log")),
                self.folder.join(&format!("store-{index}")),
                server.route_port,
                routes.join(", "),
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
        if let Some(server) = self.servers.get_mut(index) {
            server.process = Some(process);
        }
        Ok(())
    }

    async fn until_up(&mut self, index: usize) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let port = self.servers.get(index).context("there are three servers")?.port;
        while !nats::greets(port).await {
            if Instant::now() > end {
                let log = fs::read_to_string(self.folder.join(&format!("nats-{index}.log"))).unwrap_or_default();
                bail!("nats-server {index} did not start; its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        for index in 0..self.servers.len() {
            // Nothing is left to tell of a failure; the folder vanishes with the servers.
            let _killed = self.kill(index);
        }
    }
}
