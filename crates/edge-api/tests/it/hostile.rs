//! Clients that mean harm: all of them are gone soon, and everybody else is answered meanwhile.
//!
//! `scripts/faults --only R20` measures what honest clients see of it.

use std::time::Duration;

use testkit::abuse::Abuse;
use tokio::task::JoinSet;

use crate::support::Edge;

/// In what time an abuser must be gone, once the edge gives silent clients two seconds.
const GONE: Duration = Duration::from_secs(15);

async fn patient_edge() -> Edge {
    Edge::with(|config| config.http.header_read_timeout = Duration::from_secs(2)).await
}

/// How many pages are answered when they are asked for one after the other.
async fn pages(edge: &Edge, until: impl Future<Output = ()>) -> usize {
    let mut until = std::pin::pin!(until);
    for count in 0.. {
        tokio::select! {
            () = &mut until => return count,
            _page = edge.page("{}") => {}
        }
    }
    unreachable!("it ends with the attack")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abusers_are_closed_while_others_are_answered() {
    let edge = patient_edge().await;
    let mut abusers = JoinSet::new();
    let (few, many) = (2, 500);
    for (abuse, count) in [
        (Abuse::Silence, many),
        (Abuse::SlowLoris, many),
        (Abuse::SilenceInHttp2, 50),
        (Abuse::RapidReset, few),
        (Abuse::Continuation, few),
        (Abuse::Ping, few),
        (Abuse::Settings, few),
        (Abuse::Priority, few),
        (Abuse::EmptyData, few),
        (Abuse::NeverReads, few),
    ] {
        for _ in 0..count {
            abusers.spawn(abuse.run(edge.address, GONE));
        }
    }
    let attack = async {
        while let Some(done) = abusers.join_next().await {
            done.unwrap().unwrap();
        }
    };
    let count = pages(&edge, attack).await;
    assert!(count > 10, "{count} pages");
    let metrics = edge.runtime.metrics.encode();
    for of in ["frames", "unread"] {
        assert!(metrics.contains(&format!("setlist_edge_connections_abusive_total{{of=\"{of}\"}}")), "{of}: {metrics}");
    }
    // Nobody is left but those who ask for pages.
    let open = metrics.lines().find_map(|line| line.strip_prefix("setlist_edge_connections ")).unwrap();
    assert!(open.parse::<u32>().unwrap() < 20, "{open} are open");
}

/// Each alone, so that what ends it is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_at_once() {
    let edge = patient_edge().await;
    for abuse in Abuse::FLOODS {
        let took = abuse.run(edge.address, GONE).await.unwrap();
        assert!(took < Duration::from_secs(10), "{abuse:?} took {took:?}");
    }
    assert_eq!(edge.send("GET", "/livez", "").await.status, 200);
}
