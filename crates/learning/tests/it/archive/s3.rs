//! The same archive in a bucket of an S3-compatible store: moto's server, which `scripts/archive-tools` provides; and what
//! DuckDB makes of it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use learning::{
    archive::{Archive, Config, Landed, S3, Span},
    progress::Silent,
};
use service_runtime::config::Secret;
use shared_models::Timestamp;

use super::{DAY, NOW, event, message, tenant};

const BUCKET: &str = "listening";

/// Makes an authority, and the certificate of a server on this machine; `cryptography` comes with moto.
const CERTIFICATES: &str = r#"
import datetime, ipaddress
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

def certificate(name, key, extension, critical):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named("authority"))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    return builder.add_extension(extension, critical).sign(authority, hashes.SHA256())

authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
pem = serialization.Encoding.PEM
with open("ca.pem", "wb") as file:
    file.write(certificate("authority", authority, x509.BasicConstraints(True, None), True).public_bytes(pem))
with open("server.pem", "wb") as file:
    file.write(certificate("server", server, local, False).public_bytes(pem))
with open("server.key", "wb") as file:
    form = serialization.PrivateFormat.PKCS8
    file.write(server.private_bytes(pem, form, serialization.NoEncryption()))
"#;

/// Makes a bucket at an address.
const MAKE_BUCKET: &str = "
import ssl, sys, urllib.request
trusting = ssl.create_default_context(cafile='ca.pem')
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method='PUT'), context=trusting)
";

/// A program of `scripts/archive-tools`.
pub(super) fn tool(name: &str) -> PathBuf {
    let told = std::env::var_os("SETLIST_ARCHIVE_TOOLS").map(PathBuf::from);
    let folder = told.unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        // .../target/debug/deps/test-0123
        let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
        target.unwrap_or_else(|| Path::new("../../target")).join("tools/archive-tools")
    });
    let program = folder.join("bin").join(name);
    assert!(program.is_file(), "{} is not there: run scripts/archive-tools, which provides it", program.display());
    program
}

/// Runs a program of a few lines in a folder.
fn python(folder: &Path, program: &str, given: &str) {
    let python = std::path::absolute(tool("python3")).unwrap();
    let output = Command::new(python).args(["-c", program, given]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An S3-compatible server on a free port, until it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let server = Self::run(&[]);
        let made = server.ask(&format!("PUT /{BUCKET} HTTP/1.1"));
        assert!(made.contains(" 200 "), "{made}");
        server
    }

    /// One that speaks TLS, with a certificate by an authority that is in `ca.pem` of the folder alone.
    fn start_tls(folder: &Path) -> Self {
        python(folder, CERTIFICATES, "");
        let of = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let server = Self::run(&["-s", "-c", &of("server.pem"), "-k", &of("server.key")]);
        python(folder, MAKE_BUCKET, &format!("https://{}/{BUCKET}", server.address));
        server
    }

    fn run(tls: &[&str]) -> Self {
        let mut child = Command::new(tool("python3"))
            .args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"])
            .args(tls)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server says where it is before it ends").unwrap();
            if let Some((_, rest)) = line.split_once("Running on ") {
                break rest.trim().split_once("://").unwrap().1.to_owned();
            }
        };
        // What it goes on to say must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{request}\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", self.address)
            .unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    fn config(&self) -> Config {
        Config {
            url: format!("s3://{BUCKET}/some/where"),
            s3: S3 {
                endpoint: format!("http://{}", self.address),
                region: "us-east-1".to_owned(),
                access_key: "one".to_owned(),
                secret_key: Secret::new("two"),
                ca_file: PathBuf::new(),
            },
            ..Config::folder("unused")
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bucket_holds_the_same_archive_as_a_folder() {
    let server = Server::start();
    let open = |now| Archive::connect(&server.config(), now).unwrap();
    let messages: Vec<_> = (0..6).map(|n| message(n + 1, &format!("m{n}"), n * 3..n * 3 + 3)).collect();
    let archive = open(NOW);
    assert_eq!(archive.land(&messages[..4]).unwrap(), Landed { written: 4, known: 0, files: 1 });
    // Delivered again to a process that was started anew, in other batches; and to one that does not know.
    assert_eq!(open(NOW).land(&messages[2..]).unwrap(), Landed { written: 2, known: 2, files: 1 });
    let other = open(NOW);
    drop(archive);
    assert_eq!(other.land(&messages).unwrap().known, 6);
    let expected: Vec<_> = (0..18).map(event).collect();
    assert_eq!(other.read(&tenant(), Span::ALL, &Silent).unwrap(), expected);
    let tomorrow = Timestamp(NOW.0 + DAY);
    assert_eq!(other.compact(tomorrow).unwrap(), 2);
    assert_eq!(other.compact(tomorrow).unwrap(), 0);
    let again = open(tomorrow);
    assert_eq!(again.read(&tenant(), Span::ALL, &Silent).unwrap(), expected);
    assert_eq!(again.tenants().unwrap(), [tenant()]);
    assert_eq!(again.land(&messages[..1]).unwrap().known, 1);
}

#[test]
fn a_bucket_behind_tls_is_trusted_by_the_authority_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_tls(folder.path());
    let with = |ca_file: PathBuf| {
        let mut config = server.config();
        (config.s3.endpoint, config.s3.ca_file) = (format!("https://{}", server.address), ca_file);
        Archive::connect(&config, NOW)
    };
    let archive = with(folder.path().join("ca.pem")).unwrap();
    assert_eq!(archive.land(&[message(1, "a", 0..5)]).unwrap().written, 1);
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap(), (0..5).map(event).collect::<Vec<_>>());
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    for (file, expected) in [("empty.pem", "empty.pem has no certificate"), ("none.pem", "none.pem cannot be read")] {
        let error = with(folder.path().join(file)).unwrap_err();
        let told = service_runtime::tasks::chain(&error);
        assert!(told.contains(expected), "{told}");
    }
    // Another's certificate is not trusted.
    let others = tempfile::tempdir().unwrap();
    python(others.path(), CERTIFICATES, "");
    let error = with(others.path().join("ca.pem")).unwrap_err();
    assert!(service_runtime::tasks::chain(&error).contains("invalid peer certificate"), "{error:?}");
}

#[test]
fn a_file_that_is_there_already_is_not_put_again() {
    let server = Server::start();
    // Both know of nothing: the second finds the file of its own messages, and leaves it.
    let (first, second) =
        (Archive::connect(&server.config(), NOW).unwrap(), Archive::connect(&server.config(), NOW).unwrap());
    let messages = [message(1, "a", 0..5)];
    assert_eq!(first.land(&messages).unwrap().files, 1);
    assert_eq!(second.land(&messages).unwrap(), Landed { written: 1, known: 0, files: 0 });
}

#[test]
fn a_bucket_that_is_away_is_an_error_that_names_the_file() {
    let server = Server::start();
    let mut config = server.config();
    config.url = "s3://no-such-bucket".to_owned();
    let error = Archive::connect(&config, NOW).unwrap_err();
    assert_eq!(error.code(), shared_models::ErrorCode::Unavailable, "{error}");
}

#[test]
fn duckdb_reads_what_landed() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), NOW).unwrap();
    archive.land(&[message(1, "a", 0..40)]).unwrap();
    archive.land(&[message(2, "b", 40..50)]).unwrap();
    let question = "
import sys, duckdb
events = duckdb.read_parquet(sys.argv[1] + '/events/**/*.parquet', hive_partitioning=True)
print(duckdb.sql('''
    SELECT tenant, day::VARCHAR, count(*), count(DISTINCT (message_id, event_index)), count(DISTINCT event_id),
           min(occurred_at)::VARCHAR, sum(ms_played)::BIGINT, count(recommendation_id)
    FROM events GROUP BY ALL''').fetchall())
print(sorted((name, str(kind)) for name, kind in zip(events.columns, events.types) if name.endswith('_at')))
";
    let output =
        Command::new(tool("python3")).args(["-c", question]).arg(folder.path()).env("TZ", "UTC").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let played: u64 = (0..50).filter(|n| n % 2 == 0).sum();
    let row = format!("[('demo', '2026-05-28', 50, 50, 50, '2026-05-27 20:26:40+00', {played}, 17)]");
    assert!(said.contains(&row), "{said} lacks {row}");
    assert!(said.contains("('occurred_at', 'TIMESTAMP WITH TIME ZONE')"), "{said}");
}
