//! A private PostgreSQL: on a free port, in a folder of its own, gone when the test lets go of it. This file must
//! not know any table.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use sqlx::Connection as _;
use tokio::{sync::Mutex, time::Instant};

use crate::{folder::Folder, ports, signals, tools};

/// The oldest version that will do.
const OLDEST: u32 = 14;
/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The environment variable that names the folder of `initdb` and `postgres`.
pub const VARIABLE: &str = "SETLIST_POSTGRES_BIN";
/// Whom the server runs as where the test runs as root, which PostgreSQL refuses: `nobody`.
const NOBODY: u32 = 65_534;

/// What the server does before it says that something is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disk {
    /// It waits for the disk, as in production.
    #[default]
    Synced,
    /// It does not: for tests of what statements mean.
    Unsynced,
}

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: Folder,
    /// Where the data lies, when not in the folder.
    elsewhere: Option<PathBuf>,
    disk: Disk,
    process: Option<Child>,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server whose commits are on disk before they are answered.
    ///
    /// # Errors
    /// When there is no PostgreSQL of a version that will do, with how to get one; or when it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(Disk::Synced).await
    }

    /// Starts a server.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_with(disk: Disk) -> Result<Self> {
        Self::make(disk, None).await
    }

    /// Starts a server whose commits are on disk before they are answered, with its data in a folder that stays, such as
    /// that of a [`crate::Volume`].
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_on(folder: &Path) -> Result<Self> {
        Self::make(Disk::Synced, Some(folder.join("postgres"))).await
    }

    async fn make(disk: Disk, elsewhere: Option<PathBuf>) -> Result<Self> {
        let programs = programs()?;
        let folder = Folder::new()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let [port] = ports::kept_free()?;
        let mut server = Self { programs, folder, elsewhere, disk, process: None, port, databases: AtomicU32::new(0) };
        server.initialise()?;
        server.run().await?;
        Ok(server)
    }

    /// The server that the tests of one process share. It ends with the last of them.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start_with(Disk::Unsynced).await?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// A new, empty database, as a URL.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.make_database(&name).await?;
        Ok(self.url(&name))
    }

    /// A database as a URL.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://setlist@127.0.0.1:{}/{database}", self.port)
    }

    /// The port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a database by name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_database(&self, name: &str) -> Result<()> {
        self.admin(&format!("CREATE DATABASE {name}")).await
    }

    /// Kills the server with all its processes, as a crash would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let children = signals::children(process.id());
            process.kill().context("postgres could not be killed")?;
            process.wait().context("postgres did not end")?;
            signals::send("KILL", &children);
        }
        Ok(())
    }

    /// Stops all its processes where they stand: connections stay open and nobody answers.
    pub fn freeze(&self) {
        signals::send("STOP", &self.processes());
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        signals::send("CONT", &self.processes());
    }

    /// Starts it again after [`Postgres::kill`]: same port, same data.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.run().await
    }

    /// Whether it runs, frozen or not.
    pub fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// The first column of what a question to a database gives, as bytes.
    ///
    /// # Errors
    /// When the database cannot be asked, or the column is of another type.
    pub async fn bytes(&self, database: &str, question: &str) -> Result<Vec<Vec<u8>>> {
        let mut connection = sqlx::PgConnection::connect(&self.url(database)).await?;
        // Only a test's own questions come here.
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(question.to_owned())).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    }

    /// Runs a statement in a database.
    ///
    /// # Errors
    /// When it fails.
    pub async fn execute(&self, database: &str, statement: &str) -> Result<()> {
        let mut connection = sqlx::PgConnection::connect(&self.url(database)).await?;
        // Only a test's own statements come here.
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    fn processes(&self) -> Vec<u32> {
        self.process
            .iter()
            .flat_map(|process| signals::children(process.id()).into_iter().chain([process.id()]))
            .collect()
    }

    fn data(&self) -> PathBuf {
        self.elsewhere.clone().unwrap_or_else(|| self.folder.join("data"))
    }

    fn initialise(&self) -> Result<()> {
        let data = self.data();
        fs::create_dir(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
        if is_root() {
            chown(&data, Some(NOBODY), Some(NOBODY)).context("data folder could not be given away")?;
        }
        let mut initdb = self.program("initdb");
        initdb.args(["-U", "setlist", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        if self.elsewhere.is_none() {
            initdb.arg("--no-sync");
        }
        let said = initdb.output().context("initdb could not be started")?;
        if !said.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&said.stderr));
        }
        Ok(())
    }

    /// A program of the server, as a user it accepts.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.stdin(Stdio::null()).current_dir(self.folder.path());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    async fn run(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let log = self.folder.join("postgres.log");
        let durable = if self.disk == Disk::Synced { "on" } else { "off" };
        loop {
            let mut postgres = self.program("postgres");
            postgres.arg("-D").arg(self.data()).args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
            for setting in [
                "unix_socket_directories=",
                "max_connections=200",
                &format!("fsync={durable}"),
                &format!("synchronous_commit={durable}"),
                "shared_buffers=64MB",
                // Elsewhere may be a small disk.
                if self.elsewhere.is_some() { "max_wal_size=96MB" } else { "max_wal_size=1GB" },
            ] {
                postgres.args(["-c", setting]);
            }
            let into = fs::File::create(&log)?;
            postgres.stdout(into.try_clone()?).stderr(into).process_group(0);
            let mut process = postgres.spawn().context("postgres could not be started")?;
            let ended = loop {
                if self.admin("SELECT 1").await.is_ok() {
                    self.process = Some(process);
                    return Ok(());
                }
                let ended = process.try_wait()?;
                if ended.is_some() || Instant::now() > end {
                    break ended;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let said = fs::read_to_string(&log).unwrap_or_default();
            // After a kill, the processes of the old server may need a moment to notice.
            let lingers = said.contains("shared memory") || said.contains("postmaster.pid");
            if !(lingers && Instant::now() < end) {
                let _killed = process.kill();
                let _ended = process.wait();
                bail!("postgres did not start ({ended:?}); its log:\n{said}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Runs a statement in the server's own database.
    async fn admin(&self, statement: &str) -> Result<()> {
        self.execute("postgres", statement).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else { return };
        // An orderly end gives shared memory back.
        signals::send("INT", &[process.id()]);
        for _ in 0..200 {
            if matches!(process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _killed = self.kill();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The folder of a PostgreSQL that will do.
fn programs() -> Result<PathBuf> {
    let mut seen = Vec::new();
    for postgres in candidates() {
        let Some(folder) = postgres.parent().filter(|folder| folder.join("initdb").is_file()) else { continue };
        match version(&postgres) {
            Some(major) if major >= OLDEST => return Ok(folder.to_path_buf()),
            Some(major) => seen.push(format!("{} is {major}", postgres.display())),
            None => seen.push(format!("{} does not run", postgres.display())),
        }
    }
    let seen = if seen.is_empty() { "none was found".to_owned() } else { seen.join("; ") };
    bail!(
        "PostgreSQL of version {OLDEST} or later is needed ({seen}): run scripts/postgres, which puts one at \
         target/tools/postgres, or set {VARIABLE} to the folder of its initdb",
    )
}

/// Every `postgres` of the machine: where [`VARIABLE`] says, else in `target/tools`, on the `PATH`, and where
/// distributions put it.
fn candidates() -> Vec<PathBuf> {
    if let Some(told) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return vec![Path::new(&told).join("postgres")];
    }
    let mut found = vec![tools::target().join("tools/postgres/pgserver/pginstall/bin/postgres")];
    found.extend(tools::find("postgres", VARIABLE));
    for root in ["/usr/lib/postgresql", "/usr/pgsql"] {
        found.extend(fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path().join("bin/postgres")));
    }
    found.retain(|program| program.is_file());
    found
}

fn version(program: &Path) -> Option<u32> {
    let said = Command::new(program).arg("--version").output().ok()?;
    // postgres (PostgreSQL) 15.18 (Debian …)
    String::from_utf8_lossy(&said.stdout).split_whitespace().nth(2)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_server_comes_back_at_the_same_place() {
        let mut server = Postgres::start().await.unwrap();
        server.make_database("kept").await.unwrap();
        server.kill().unwrap();
        assert!(server.admin("SELECT 1").await.is_err());
        server.restart().await.unwrap();
        assert!(server.make_database("kept").await.unwrap_err().to_string().contains("exists"));
    }
}
