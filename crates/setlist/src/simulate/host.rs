//! A platform of an arm: a `setlist serve` of its own on a copy of the past, gone when it is dropped.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};

use crate::{client::Client, demo, devkey};

/// How long a platform may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the archive is given to catch up.
const LANDING: Duration = Duration::from_secs(5);

/// A running platform.
pub(super) struct Host {
    child: Child,
    /// Where it is called.
    pub(super) url: String,
    /// What calls it.
    pub(super) client: Client,
}

impl Host {
    /// Starts a platform on a data folder, with surfaces of its own, and waits until it is ready.
    ///
    /// `whole` is the share of answers that are recorded whole; the default's where `None`.
    pub(super) async fn start(data: &Path, surfaces: &Path, whole: Option<f64>) -> anyhow::Result<Self> {
        let (api, ops) = (demo::free_address()?, demo::free_address()?);
        let log = std::fs::File::create(data.join("serve.log"))?;
        let executable = std::env::current_exe().context("this program does not know its own file")?;
        let set = |key: &str, value: String| ["--set".to_owned(), format!("{key}={value}")];
        let child = Command::new(executable)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(set("edge.http.listen", api.clone()))
            .args(set("ops.listen", ops.clone()))
            .args(set("edge.surfaces.folder", surfaces.display().to_string()))
            .args(whole.into_iter().flat_map(|share| set("edge.records.complete_share", share.to_string())))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("setlist serve cannot be started")?;
        let url = format!("http://{api}");
        let client = Client::new(&url, devkey::read(data)?.trim())?;
        let mut host = Self { child, url, client };
        host.ready(&ops, data).await?;
        Ok(host)
    }

    async fn ready(&mut self, ops: &str, data: &Path) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = reqwest::get(format!("http://{ops}/readyz")).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            let log = data.join("serve.log");
            if let Some(status) = self.child.try_wait()? {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("setlist serve ended with {status}: {}", said.trim());
            }
            ensure!(Instant::now() < end, "setlist serve is not ready after {PATIENCE:?}; see {}", log.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends it once the archive has what the streams have: that follows answers by a second or two.
    pub(super) async fn finish(mut self) -> anyhow::Result<()> {
        tokio::time::sleep(LANDING).await;
        let id = self.child.id().context("setlist serve has ended by itself")?;
        let told = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        ensure!(told.is_ok_and(|status| status.success()), "setlist serve cannot be told to stop");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.context("setlist serve does not stop")?.context("setlist serve cannot be waited for").map(|_| ())
    }

    /// Ends it. Its copy of the past is thrown away, so nothing has to be kept.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("setlist serve cannot be stopped")
    }
}
