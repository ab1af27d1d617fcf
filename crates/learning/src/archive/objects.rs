//! The object store behind the archive, asked and waited for: the archive's work is done by threads that may block,
//! object stores answer asynchronously. It must not know what the objects hold.

use std::{
    fmt,
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path,
};
use parquet::{
    errors::ParquetError,
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use tokio::runtime::{Builder, Runtime};

use super::Error;

/// Threads that talk to the store: they wait for disks and networks.
const THREADS: usize = 2;
/// As much of a file's end as most footers need.
const TAIL: u64 = 64 * 1024;

/// An object store that is waited for.
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// A runtime of the archive's own: its callers may stand on any thread, one of an asynchronous runtime too.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.store)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("archive")
            .enable_all()
            .build()
            .map_err(|source| Error::Start { source })?;
        Ok(Self { store, runtime: Some(runtime) })
    }

    /// Where the objects are, for people.
    pub(super) fn place(&self) -> String {
        self.store.to_string()
    }

    fn wait<T, F>(&self, action: &'static str, path: &str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let (done, answer) = mpsc::sync_channel(1);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Whoever asked waits; only a panic of theirs leaves nobody to answer.
                let _ = done.send(work.await);
            });
        }
        match answer.recv() {
            Ok(answer) => answer.map_err(Error::store(action, path)),
            Err(_) => Err(Error::Broken { action, path: path.to_owned() }),
        }
    }

    /// Every object below a folder, in the order of their paths.
    pub(super) fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>, Error> {
        let (store, at) = (Arc::clone(&self.store), folder.clone());
        let list = async move { store.list(Some(&at)).try_collect::<Vec<ObjectMeta>>().await };
        let mut found = self.wait("list", folder.as_ref(), list)?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// The folders in a folder.
    pub(super) fn folders(&self, folder: &Path) -> Result<Vec<Path>, Error> {
        let (store, at) = (Arc::clone(&self.store), folder.clone());
        let list = async move { store.list_with_delimiter(Some(&at)).await };
        let mut folders = self.wait("list", folder.as_ref(), list)?.common_prefixes;
        folders.sort();
        Ok(folders)
    }

    /// A whole object.
    pub(super) fn get(&self, path: &Path) -> Result<Bytes, Error> {
        let (store, at) = (Arc::clone(&self.store), path.clone());
        self.wait("read", path.as_ref(), async move { store.get(&at).await?.bytes().await })
    }

    /// Puts an object where none may be; whether none was. It is there whole or not at all, and stays through a power
    /// cut, when this returns.
    pub(super) fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<bool, Error> {
        let (store, at) = (Arc::clone(&self.store), path.clone());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = async move {
            match store.put_opts(&at, PutPayload::from(bytes), options).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.wait("write", path.as_ref(), put)
    }

    /// Removes an object; one that is not there is as well.
    pub(super) fn remove(&self, path: &Path) -> Result<(), Error> {
        let (store, at) = (Arc::clone(&self.store), path.clone());
        let remove = async move {
            match store.delete(&at).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.wait("remove", path.as_ref(), remove)
    }

    /// What a Parquet file says of itself, from its end.
    pub(super) fn metadata(&self, path: &Path, size: u64) -> Result<ParquetMetaData, Error> {
        let failed = || Error::parquet("read", path.as_ref());
        let mut reader = ParquetMetaDataReader::new();
        let tail = self.tail(path, TAIL)?;
        match reader.try_parse_sized(&tail, size) {
            Err(ParquetError::NeedMoreData(needed)) => {
                let tail = self.tail(path, needed as u64)?;
                reader.try_parse_sized(&tail, size).map_err(failed())?;
            }
            parsed => parsed.map_err(failed())?,
        }
        reader.finish().map_err(failed())
    }

    fn tail(&self, path: &Path, bytes: u64) -> Result<Bytes, Error> {
        let (store, at) = (Arc::clone(&self.store), path.clone());
        let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..GetOptions::default() };
        self.wait("read", path.as_ref(), async move { store.get_opts(&at, options).await?.bytes().await })
    }
}
