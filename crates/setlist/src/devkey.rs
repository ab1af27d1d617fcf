//! The development key of a data folder: made once, so that what serves the folder can be called from the same
//! machine without a configuration. Never on an address that others can reach.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use edge_api::auth::{Key, KeyConfig, Scope};
use shared_models::TenantId;

use crate::config::Config;

/// Where the key lies, for scripts.
const KEY: &str = "dev-key";
/// Where its entry for the edge lies.
const ENTRY: &str = "dev-key.json";

/// The file of a folder's key.
#[must_use]
pub fn path(folder: &Path) -> PathBuf {
    folder.join(KEY)
}

/// The key of a folder.
///
/// # Errors
/// When there is none.
pub fn read(folder: &Path) -> anyhow::Result<String> {
    let path = path(folder);
    std::fs::read_to_string(&path).with_context(|| {
        format!(
            "no API key: give --key, set SETLIST_KEY, or name with --data the folder of a running setlist ({} is not there)",
            path.display()
        )
    })
}

/// The entry of a folder's key, when there is one.
#[must_use]
pub fn entry(folder: &Path) -> Option<KeyConfig> {
    serde_json::from_slice(&std::fs::read(folder.join(ENTRY)).ok()?).ok()
}

/// The entry of a folder's key; the key is made when there is none.
///
/// # Errors
/// When the folder cannot be written, or what lies there is no key.
pub fn ensure(folder: &Path, tenant: &TenantId) -> anyhow::Result<KeyConfig> {
    let (text, entry) = (path(folder), folder.join(ENTRY));
    if let (true, Ok(json)) = (text.exists(), std::fs::read(&entry)) {
        return serde_json::from_slice(&json)
            .with_context(|| format!("{} is damaged; remove it and {}", entry.display(), text.display()));
    }
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let (key, made) = Key::generate(tenant, &Scope::ALL);
    write(&entry, &serde_json::to_vec(&made)?)?;
    write(&text, key.expose().as_bytes())?;
    Ok(made)
}

/// Gives a platform that has no key at all the development key of its folder, when only this machine can call it.
/// Says where the key lies.
///
/// # Errors
/// As [`ensure`].
pub fn offer(config: &mut Config, folder: &Path, tenant: &TenantId) -> anyhow::Result<Option<PathBuf>> {
    if !config.edge.auth.keys.is_empty() || !config.edge.http.listen.ip().is_loopback() {
        return Ok(None);
    }
    config.edge.auth.keys.push(ensure(folder, tenant)?);
    Ok(Some(path(folder)))
}

/// Writes a file that only its owner may read.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let tenant = TenantId::new("demo").unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("--key"));
        let made = ensure(folder.path(), &tenant).unwrap();
        let key = read(folder.path()).unwrap();
        assert!(key.starts_with(&format!("setlist_{}_", made.id)));
        assert_eq!(ensure(folder.path(), &tenant).unwrap().sha256, made.sha256);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path(folder.path()).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
