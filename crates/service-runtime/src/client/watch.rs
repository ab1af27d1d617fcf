//! What goes on beside the calls: names are resolved again, endpoints are asked whether they serve, and it is told.
//!
//! This file must not know calls.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::{
    Dependency, Resolve,
    endpoint::{Endpoint, Reach},
    jittered,
    target::Target,
};
use crate::grpc;

/// How long a health check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the first look-up may hold up the start of a process.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Follows the endpoints of one dependency.
pub(super) struct Watch {
    dependency: Arc<Dependency>,
    targets: Vec<Target>,
    resolver: Arc<dyn Resolve>,
    /// What was found for each name, kept while a look-up fails.
    found: HashMap<String, Vec<SocketAddr>>,
    resolved: Instant,
}

impl Watch {
    /// Finds the endpoints for the first time.
    pub(super) async fn begin(
        dependency: Arc<Dependency>,
        targets: Vec<Target>,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, grpc::Error> {
        let mut watch = Self { dependency, targets, resolver, found: HashMap::new(), resolved: Instant::now() };
        watch.resolve().await?;
        watch.dependency.tell();
        Ok(watch)
    }

    /// Goes on until `stop`.
    pub(super) async fn follow(mut self, stop: CancellationToken) -> Result<(), grpc::Error> {
        let named = self.targets.iter().any(|target| matches!(target, Target::Named { .. }));
        let config = self.dependency.config.clone();
        let interval = u64::try_from(config.health_interval.as_millis()).unwrap_or(u64::MAX);
        let round = async {
            loop {
                if named && self.resolved.elapsed() >= config.resolve_interval {
                    self.resolve().await?;
                }
                join_all(self.dependency.pool.all().iter().map(|endpoint| check(endpoint))).await;
                self.dependency.tell();
                // Many clients of one endpoint must not ask in step.
                sleep(Duration::from_millis(jittered(interval))).await;
            }
        };
        stop.run_until_cancelled(round).await.unwrap_or(Ok(()))
    }

    /// Looks up what has a name, and takes the endpoints that there are now. Those that stay keep what is known of them.
    async fn resolve(&mut self) -> Result<(), grpc::Error> {
        self.resolved = Instant::now();
        let before: HashMap<String, Arc<Endpoint>> =
            self.dependency.pool.all().iter().map(|endpoint| (endpoint.key.clone(), Arc::clone(endpoint))).collect();
        let mut now: Vec<Arc<Endpoint>> = Vec::new();
        let mut add = |key: String, dependency: &Dependency| {
            if now.iter().all(|endpoint| endpoint.key != key) {
                let known = before.get(&key).cloned();
                now.push(known.map_or_else(|| dependency.endpoint(key).map(Arc::new), Ok)?);
            }
            Ok::<(), grpc::Error>(())
        };
        for target in &self.targets {
            match target {
                Target::Fixed(uri) => add(uri.to_string(), &self.dependency)?,
                Target::Named { host, port } => {
                    let addresses = look_up(self.resolver.as_ref(), host, *port, self.dependency.circuit.name).await;
                    // A name that cannot be looked up now has the addresses that it had.
                    if let Some(addresses) = addresses {
                        self.found.insert(format!("{host}:{port}"), addresses);
                    }
                    for address in self.found.get(&format!("{host}:{port}")).into_iter().flatten() {
                        add(format!("http://{address}/"), &self.dependency)?;
                    }
                }
            }
        }
        let changed = now.len() != before.len() || now.iter().any(|endpoint| !before.contains_key(&endpoint.key));
        if changed {
            let endpoints: Vec<&str> = now.iter().map(|endpoint| endpoint.key.as_str()).collect();
            tracing::info!(dependency = self.dependency.circuit.name, ?endpoints, "endpoints");
            self.dependency.pool.set(now);
        }
        Ok(())
    }
}

/// The addresses of a name, when it has any.
async fn look_up(resolver: &dyn Resolve, host: &str, port: u16, dependency: &'static str) -> Option<Vec<SocketAddr>> {
    match timeout(RESOLVE_TIMEOUT, resolver.resolve(host, port)).await {
        Ok(Ok(addresses)) if !addresses.is_empty() => return Some(addresses),
        Ok(Ok(_)) => tracing::warn!(dependency, host, "name has no address"),
        Ok(Err(error)) => tracing::warn!(dependency, host, %error, "name cannot be resolved"),
        Err(_) => tracing::warn!(dependency, host, "name is resolved too slowly"),
    }
    None
}

/// Asks an endpoint whether it serves, on the connection that calls use: a lost one is made anew by this.
async fn check(endpoint: &Endpoint) {
    let mut client = HealthClient::new(endpoint.channel.clone());
    match timeout(CHECK_TIMEOUT, client.check(HealthCheckRequest::default())).await {
        Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => endpoint.reached(Reach::Serving),
        Ok(Ok(_)) => endpoint.reached(Reach::Away),
        Ok(Err(status)) => match status.code() {
            // A server that has no health service serves as long as it answers.
            Code::Unimplemented => endpoint.reached(Reach::Serving),
            Code::Unavailable => endpoint.reached(Reach::Away),
            _ => endpoint.silent(),
        },
        Err(_) => endpoint.silent(),
    }
}
