//! Whether the server syncs a message to disk before it acknowledges it.
//!
//! By default it does so every two minutes, and a power cut loses what lies between. The setting does not show on
//! the NATS connection; the monitoring address tells it. This file must not know streams.

use std::time::Duration;

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{bus::Durability, config::Config};

const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    #[serde(default)]
    config: JetStreamConfig,
}

#[derive(Default, Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

/// What an acknowledged message survives on the server of this version.
pub(super) async fn of(config: &Config, version: &str) -> Durability {
    if loses_streams(version) {
        return Durability::Weak(format!(
            "nats-server {version} may lose whole streams when it is killed; use 2.10.23 or later"
        ));
    }
    if config.monitor_url.is_empty() {
        return if config.synced_always {
            Durability::Strong
        } else {
            Durability::Weak(
                "nobody knows whether NATS syncs every message: set monitor_url, or synced_always when it does"
                    .to_owned(),
            )
        };
    }
    match varz(&config.monitor_url).await {
        Ok(body) => judge(&body),
        Err(error) => {
            Durability::Weak(format!("{} does not tell whether NATS syncs every message: {error}", config.monitor_url))
        }
    }
}

fn judge(varz: &str) -> Durability {
    match serde_json::from_str::<Varz>(varz) {
        Ok(varz) if varz.jetstream.config.sync_always => Durability::Strong,
        Ok(varz) => Durability::Weak(format!(
            "NATS syncs every {:?} only; run it with `sync_interval: always`",
            Duration::from_nanos(varz.jetstream.config.sync_interval)
        )),
        Err(error) => Durability::Weak(format!("what the monitoring address says cannot be read: {error}")),
    }
}

/// Versions 2.10.20 to 2.10.22 lost streams on a plain kill.
fn loses_streams(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.split('-').next().unwrap_or(part).parse::<u32>().unwrap_or(0));
    let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
    (major, minor) == (Some(2), Some(10)) && patch.is_some_and(|patch| (20..23).contains(&patch))
}

/// Asks the monitoring address, over plain HTTP on a connection of its own.
async fn varz(url: &str) -> Result<String, String> {
    let asking = async {
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(host).await?;
        let request = format!("GET /varz HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(1 << 20).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split_whitespace().nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err("the answer is not HTTP 200".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_always_syncs_is_strong() {
        assert_eq!(
            judge(r#"{"jetstream": {"config": {"sync_always": true, "sync_interval": 1}}}"#),
            Durability::Strong
        );
        assert_eq!(
            judge(r#"{"jetstream": {"config": {"sync_interval": 120000000000}}}"#).to_string(),
            "weak: NATS syncs every 120s only; run it with `sync_interval: always`"
        );
        assert!(matches!(judge("<html>"), Durability::Weak(_)));
    }

    #[test]
    fn versions_that_lose_streams_are_known() {
        for (version, loses) in [
            ("2.10.19", false),
            ("2.10.20", true),
            ("2.10.22", true),
            ("2.10.23", false),
            ("2.15.1", false),
            ("", false),
        ] {
            assert_eq!(loses_streams(version), loses, "{version}");
        }
    }
}
