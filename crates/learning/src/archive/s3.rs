//! A bucket of an S3-compatible store, over the HTTP and TLS that the rest of the platform uses: one client, one
//! cryptography.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as Tcp},
    rt::{TokioExecutor, TokioTimer},
};
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpService,
    },
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::config::S3;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request may take, with everything that is read or written.
const REQUEST: Duration = Duration::from_secs(60);
/// For how long requests are tried again before whoever asked is told. The stream keeps what could not be written.
const RETRY: Duration = Duration::from_secs(20);

/// The bucket. Nothing is asked of it yet.
pub(super) fn open(bucket: &str, config: &S3) -> object_store::Result<AmazonS3> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&config.region)
        .with_http_connector(Connector { ca_file: config.ca_file.clone() })
        .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: 10, retry_timeout: RETRY });
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(&config.endpoint).with_allow_http(config.endpoint.starts_with("http://"));
    }
    if !config.access_key.is_empty() {
        builder = builder.with_access_key_id(&config.access_key).with_secret_access_key(config.secret_key.expose());
    }
    builder.build()
}

#[derive(Debug)]
struct Connector {
    /// Whose certificates are trusted in place of the machine's, where one is named.
    ca_file: PathBuf,
}

/// What cannot be trusted.
#[derive(Debug, thiserror::Error)]
enum Untrusted {
    #[error("the certificates in {} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("{} has no certificate that can be trusted", path.display())]
    Refused {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("{} has no certificate", path.display())]
    Nothing { path: PathBuf },
    #[error("the cryptography is not usable")]
    Provider(#[source] rustls::Error),
}

/// TLS that trusts the certificates of a file, and no others.
fn trusting(path: &Path) -> Result<ClientConfig, Untrusted> {
    let read = |source| Untrusted::Read { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
        let refused = |source| Untrusted::Refused { path: path.to_owned(), source };
        roots.add(certificate.map_err(read)?).map_err(refused)?;
    }
    if roots.is_empty() {
        return Err(Untrusted::Nothing { path: path.to_owned() });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(Untrusted::Provider)?.with_root_certificates(roots).with_no_client_auth())
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let failed = |source| object_store::Error::Generic { store: "S3", source };
        let https = if self.ca_file.as_os_str().is_empty() {
            HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
                .map_err(|source| failed(Box::new(source)))?
        } else {
            let trusting = trusting(&self.ca_file).map_err(|source| failed(Box::new(source)))?;
            HttpsConnectorBuilder::new().with_tls_config(trusting)
        };
        let https = https.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(https);
        Ok(HttpClient::new(Service(client)))
    }
}

struct Service(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| {
                let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
                HttpError::new(kind, error)
            })?;
            let (head, body) = response.into_parts();
            // The archive's files are small enough to be held whole, and a body that stalls is a request that does.
            let body: Bytes =
                body.collect().await.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?.to_bytes();
            Ok(HttpResponse::from_parts(head, body.into()))
        };
        match tokio::time::timeout(REQUEST, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, io::Error::from(io::ErrorKind::TimedOut))),
        }
    }
}
