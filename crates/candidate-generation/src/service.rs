//! The candidate-generation process: how it is built from its configuration. The order of things is
//! `service_runtime::process`'s; the binary of this crate and `setlist` both start it.

use service_runtime::{
    OnFailure, Runtime,
    grpc::Server,
    listen,
    process::{About, Listening},
};

use crate::{App, Config, config::DEFAULTS};

/// What the process says of itself.
pub const ABOUT: About = About {
    name: "candidate-generation",
    summary: "Owns the catalogue and the profiles, and gathers the candidates of a page",
    defaults: DEFAULTS,
    env_prefix: "SETLIST",
};

/// Binds, connects, builds, serves; says where.
///
/// # Errors
/// When a port is taken, or something that the service cannot do without cannot be opened.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<Vec<Listening>> {
    let listener = listen::bind(config.grpc.listen)?;
    let address = listen::address_of(&listener)?;
    let limits = config.grpc.limits.clone();
    let bus = event_bus::open(&config.bus, &runtime).await?;
    let app = App::build(config, &runtime, bus).await?;
    let work = &runtime.tasks.work;
    let server = Server::new(ABOUT.name, listener, app.grpc_services(), limits, &runtime);
    work.spawn("grpc", OnFailure::Stop, server.serve_until(work.token()));
    Ok(vec![Listening { what: "grpc", address }])
}
