//! One process that can be killed, stopped, frozen and started again as it was. It ends with its value, also when a
//! test panics. This file must not know what it runs.

use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::time::Instant;

use crate::signals;

/// How often the end of a process is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// A process, running or not.
#[derive(Debug)]
pub struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// A process that is not started yet: its program, what it is told, where it works, and where its words go.
    #[must_use]
    pub fn new(program: &Path, arguments: Vec<String>, folder: &Path, log: &Path) -> Self {
        let (program, folder, log) = (program.to_owned(), folder.to_owned(), log.to_owned());
        Self { program, arguments, environment: Vec::new(), folder, log, child: None }
    }

    /// With variables beside those of this process.
    #[must_use]
    pub fn with_environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment = environment;
        self
    }

    /// Runs another program from its next start on, with the same arguments.
    pub fn replace(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Starts it; nothing happens where it runs.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.is_alive() {
            return Ok(());
        }
        // One log for all its lives: what it said before it was killed stays.
        let mut log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        writeln!(log, "--- started")?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in a terminal is for the one who started it.
            .process_group(0)
            .spawn();
        self.child = Some(child.with_context(|| format!("{} could not be started", self.program.display()))?);
        Ok(())
    }

    /// Kills it, as a crash would, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().with_context(|| format!("{} could not be killed", self.program.display()))?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop, and waits for its end.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub async fn stop(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        signals::send("TERM", &[child.id()]);
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(Some(status));
            }
            tokio::time::sleep(LOOK).await;
        }
        let said = self.said(20);
        self.kill()?;
        bail!("{} did not stop within {patience:?} and was killed; it said:\n{said}", self.program.display())
    }

    /// Stops it where it stands: its connections stay open, and it does not answer.
    pub fn freeze(&self) {
        signals::send("STOP", &self.id());
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signals::send("CONT", &self.id());
    }

    /// Whether it runs, frozen or not.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What it ended with, when it ended by itself.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.as_mut()?.try_wait().ok()??.code()
    }

    /// The last lines it said.
    #[must_use]
    pub fn said(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    fn id(&self) -> Vec<u32> {
        self.child.iter().map(Child::id).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is left to tell of a failure; a process that is gone is no matter.
        let _killed = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Folder;

    fn sleeper(folder: &Folder) -> Process {
        let script = "trap 'exit 7' TERM; echo here; while :; do sleep 0.01; done";
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        Process::new(Path::new("/bin/sh"), arguments, folder.path(), &folder.join("log"))
    }

    #[tokio::test]
    async fn a_process_is_killed_and_started_again_and_stops_when_asked() {
        let folder = Folder::new().unwrap();
        let mut process = sleeper(&folder);
        assert!(!process.is_alive());
        process.start().unwrap();
        assert!(process.is_alive());
        process.kill().unwrap();
        assert!(!process.is_alive());
        process.start().unwrap();
        // The last line is of this life: every life begins with a line of its own.
        while process.said(1) != "here" {
            tokio::time::sleep(LOOK).await;
        }
        let status = process.stop(Duration::from_secs(10)).await.unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(7));
    }

    #[tokio::test]
    async fn a_frozen_process_lives_and_does_nothing() {
        let folder = Folder::new().unwrap();
        let mut process = sleeper(&folder);
        process.start().unwrap();
        process.freeze();
        assert!(process.stop(Duration::from_millis(200)).await.unwrap_err().to_string().contains("did not stop"));
        assert!(!process.is_alive());
    }
}
