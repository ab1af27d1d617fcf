//! Where the archive is and how it is kept, as it is configured.

use std::{path::PathBuf, sync::Arc, time::Duration};

use object_store::{ObjectStore, local::LocalFileSystem, prefix::PrefixStore};
use serde::{Deserialize, Serialize};
use service_runtime::config::{Problem, Secret, Validate};

use super::{Error, s3};

/// How an address of a bucket begins.
const SCHEME: &str = "s3://";
const EXPECTED: &str = "nothing for the folder, or s3://<bucket>/<prefix>";

/// The archive's section of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder, where `url` is empty.
    pub path: PathBuf,
    /// A bucket of an S3-compatible store; empty for the folder.
    pub url: String,
    /// How the bucket is reached.
    pub s3: S3,
    /// Where training keeps what it has read; empty for nowhere.
    pub history: PathBuf,
    /// How long the messages of a batch that is not full wait for others.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// How often small files are made part of larger ones.
    #[serde(with = "humantime_serde")]
    pub compact_every: Duration,
}

/// How a bucket is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// The store's address; empty for Amazon's in the region.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// The id of the access key; empty for the credentials of the machine's role.
    pub access_key: String,
    /// The access key.
    pub secret_key: Secret,
    /// A PEM file of the certificates that are trusted in place of the machine's; empty for the machine's.
    pub ca_file: PathBuf,
}

impl Config {
    /// An archive in a folder, with everything else as it is by default.
    #[must_use]
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            url: String::new(),
            s3: S3 {
                endpoint: String::new(),
                region: "us-east-1".to_owned(),
                access_key: String::new(),
                secret_key: Secret::default(),
                ca_file: PathBuf::new(),
            },
            history: PathBuf::new(),
            linger: Duration::ZERO,
            compact_every: Duration::from_secs(3_600),
        }
    }

    /// The bucket and the prefix in it.
    fn bucket(&self) -> Option<(&str, &str)> {
        let rest = self.url.strip_prefix(SCHEME)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        (!bucket.is_empty()).then_some((bucket, prefix.trim_matches('/')))
    }

    /// The object store that is configured. A folder is made when it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made, or the address makes no sense.
    pub(super) fn store(&self) -> Result<Arc<dyn ObjectStore>, Error> {
        if self.url.is_empty() {
            let path = &self.path;
            std::fs::create_dir_all(path).map_err(Error::io("create", path))?;
            let local = LocalFileSystem::new_with_prefix(path)
                .map_err(Error::store("open", &path.display().to_string()))?
                // What is acknowledged survives a power cut.
                .with_fsync(true);
            return Ok(Arc::new(local));
        }
        let (bucket, prefix) = self.bucket().ok_or_else(|| Error::Location {
            key: "archive.url",
            given: self.url.clone(),
            expected: EXPECTED,
        })?;
        let bucket = s3::open(bucket, &self.s3).map_err(Error::store("open", &self.url))?;
        if prefix.is_empty() { Ok(Arc::new(bucket)) } else { Ok(Arc::new(PrefixStore::new(bucket, prefix))) }
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, given: String, expected: &str| {
            problems.push(Problem { key: key.to_owned(), given, expected: expected.to_owned() });
        };
        if self.url.is_empty() && self.path.as_os_str().is_empty() {
            wrong("path", String::new(), "a folder");
        }
        if !self.url.is_empty() && self.bucket().is_none() {
            wrong("url", self.url.clone(), EXPECTED);
        }
        let endpoint = &self.s3.endpoint;
        if !endpoint.is_empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            wrong("s3.endpoint", endpoint.clone(), "nothing, or an address that begins with http:// or https://");
        }
        if self.s3.access_key.is_empty() != self.s3.secret_key.is_empty() {
            wrong("s3.access_key", self.s3.access_key.clone(), "both access_key and secret_key, or neither");
        }
        if self.linger > Duration::from_secs(10) {
            wrong("linger", format!("{:?}", self.linger), "at most 10s");
        }
        if self.compact_every < Duration::from_secs(1) {
            wrong("compact_every", format!("{:?}", self.compact_every), "1s or longer");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let check = |change: fn(&mut Config), keys: &[&str]| {
            let mut config = Config::folder("data/archive");
            change(&mut config);
            let problems = config.problems();
            assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), keys, "{config:?}");
        };
        check(|_| {}, &[]);
        check(|config| config.url = "s3://bucket/some/where/".to_owned(), &[]);
        check(|config| config.url = "gs://bucket".to_owned(), &["url"]);
        check(|config| config.url = "s3://".to_owned(), &["url"]);
        check(|config| config.s3.endpoint = "127.0.0.1:9000".to_owned(), &["s3.endpoint"]);
        check(|config| config.s3.access_key = "one".to_owned(), &["s3.access_key"]);
        check(|config| config.path = PathBuf::new(), &["path"]);
        check(|config| config.compact_every = Duration::ZERO, &["compact_every"]);
    }
}
