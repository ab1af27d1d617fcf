//! Where programs lie that tests start. This file must not know how to start them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The workspace's folder for build results: where `cargo` put the test that is running, or beside the sources.
#[must_use]
pub fn target() -> PathBuf {
    let beside_test = env::current_exe().ok().and_then(|test| {
        // .../target/debug/deps/test-0123
        let folder = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists())?;
        Some(folder.to_path_buf())
    });
    beside_test.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"))
}

/// A program: where `variable` says, else in `target/tools`, else on the `PATH`.
#[must_use]
pub fn find(program: &str, variable: &str) -> Vec<PathBuf> {
    let told = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(told) = told {
        return vec![told];
    }
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(target().join("tools"))
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(program))
        .filter(|file| file.is_file())
        .collect()
}

/// The environment variable that names libfaketime.
pub const FAKETIME: &str = "SETLIST_FAKETIME";

/// What gives a process a wall clock of its own when it is loaded before the C library.
///
/// # Errors
/// When it is not there, with how to get it.
pub fn faketime() -> Result<PathBuf> {
    const NAME: &str = "libfaketimeMT.so.1";
    let told = env::var_os(FAKETIME).filter(|value| !value.is_empty()).map(PathBuf::from);
    let installed = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("faketime"));
    let all: Vec<PathBuf> = match told {
        Some(told) => vec![told],
        None => [target().join("tools"), PathBuf::from("/usr/lib/faketime")]
            .into_iter()
            .chain(installed)
            .map(|folder| folder.join(NAME))
            .collect(),
    };
    all.into_iter().find(|file| file.is_file()).with_context(|| {
        format!(
            "libfaketime is needed: run scripts/faketime, which puts it at target/tools/{NAME} from Debian's package \
             libfaketime, or set {FAKETIME} to such a file"
        )
    })
}

/// The `setlist` binary that was built with the program that is running.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn setlist() -> Result<PathBuf> {
    let here = env::current_exe().context("this program does not know where it lies")?;
    // target/debug/deps/test-0123, target/debug/examples/… or target/debug/program
    let binary = here.ancestors().skip(1).take(2).map(|folder| folder.join("setlist")).find(|file| file.is_file());
    let release = here.components().any(|part| part.as_os_str() == "release");
    let how = if release { "cargo build --release --bin setlist" } else { "cargo build --bin setlist" };
    binary.with_context(|| format!("the setlist binary is not beside {}; build it with: {how}", here.display()))
}
