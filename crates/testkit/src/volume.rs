//! A small disk of its own, whose power can be cut: an ext4 file system on a loop device. It needs root. Whatever
//! becomes of the test, the disk goes: unmounted, detached, its file removed. This file must not know who writes there.
//!
//! A cut is `EXT4_IOC_SHUTDOWN` without a flush of the journal: from that moment nothing that is written reaches the
//! disk, and what was never synced is gone after the next mount. It drops everything after the last commit of the
//! journal, which is harsher than most disks.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::Folder;

/// What a machine must have for it, for who reads that it has not.
const NEEDED: &str = "a disk whose power can be cut needs root (CAP_SYS_ADMIN), loop devices (/dev/loop-control; a \
                      container has them when it is privileged), mkfs.ext4 (package e2fsprogs), mount, and python3";
/// How long whoever wrote there may take to let go after it was killed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Cuts the power: `_IOR('X', 125, __u32)` with `EXT4_GOING_FLAGS_NOLOGFLUSH`. Python can call it without unsafe code.
const CUT: &str = "import fcntl, os, struct, sys; \
                   fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
/// Cleans up when the process that made the disk ends, in whatever way: then nobody holds the other end of its input.
/// Who still writes to the disk is killed, because a test that was killed left it running.
const KEEPER: &str = r#"
trap '' INT TERM HUP
read -r _
for process in /proc/[0-9]*; do
  case "$(readlink "$process"/cwd "$process"/fd/* 2>/dev/null)" in
    *"$1"/*) kill -9 "${process#/proc/}" 2>/dev/null ;;
  esac
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  umount "$1" 2>/dev/null && break
  mountpoint -q "$1" || break
  sleep 0.2
done
umount -l "$1" 2>/dev/null
rm -rf "$2"
"#;

/// A disk.
#[derive(Debug)]
pub struct Volume {
    mounted_at: PathBuf,
    image: PathBuf,
    keeper: Child,
}

impl Volume {
    /// Makes a disk of some megabytes and mounts it. The file behind it holds only what was written.
    ///
    /// # Errors
    /// When the machine cannot do that, with what it lacks.
    pub fn make(megabytes: u64) -> Result<Self> {
        let folder = Folder::new()?;
        // Others than us, such as the user that PostgreSQL runs as, go through it to what is mounted below.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let (mounted_at, image) = (folder.join("disk"), folder.join("disk.ext4"));
        fs::create_dir(&mounted_at)?;
        fs::File::create(&image)?.set_len(megabytes * 1024 * 1024)?;
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .args([&mounted_at, &folder.path().to_owned()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is not for it: it is what cleans up after.
            .process_group(0)
            .spawn()
            .context("sh does not start")?;
        folder.keep();
        // From here on the keeper removes all of it.
        let volume = Self { mounted_at, image, keeper };
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&volume.image)).context(NEEDED)?;
        volume.mount().context(NEEDED)?;
        Ok(volume)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mounted_at
    }

    /// Cuts the power. Whoever writes there reads errors from now on; they are killed before [`Volume::replug`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(&self) -> Result<()> {
        run(Command::new("python3").args(["-c", CUT]).arg(&self.mounted_at)).context("the power was not cut")
    }

    /// Brings the power back: the journal is replayed, and what is found is what was on the disk.
    ///
    /// # Errors
    /// When somebody still writes there, or the file system is broken.
    pub fn replug(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        // A killed process may need a moment to let go.
        while let Err(busy) = run(Command::new("umount").arg(&self.mounted_at)) {
            ensure!(Instant::now() < end, "{} stays in use: {busy:#}", self.mounted_at.display());
            thread::sleep(LOOK);
        }
        self.mount()
    }

    fn mount(&self) -> Result<()> {
        // The loop device detaches itself when it is unmounted.
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([&self.image, &self.mounted_at]))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Its end is the end of the disk; nothing is left to tell of a failure.
        let _ended = self.keeper.wait();
    }
}

/// Runs a program to its end.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let said = command.stdin(Stdio::null()).output().with_context(|| format!("{name} does not start"))?;
    ensure!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(())
}
