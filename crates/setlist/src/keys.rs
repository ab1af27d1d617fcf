//! `setlist key`: makes an API key, shows it once, and prints the entry for the edge's configuration.

use std::process::ExitCode;

use anyhow::Context;
use edge_api::auth::{Key, Scope};
use shared_models::TenantId;

use crate::cli;

/// Makes the key and prints it.
#[must_use]
pub fn run(args: &cli::Key) -> ExitCode {
    match make(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(service_runtime::cli::BAD_CONFIGURATION)
        }
    }
}

fn make(args: &cli::Key) -> anyhow::Result<()> {
    let tenant = TenantId::new(&args.tenant)?;
    let scopes = args
        .scopes
        .iter()
        .map(|scope| {
            let known = Scope::ALL.into_iter().find(|known| known.as_str() == scope);
            known.with_context(|| format!("{scope:?} is no scope; scopes are serve, events, catalog, admin"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (key, entry) = Key::generate(&tenant, &scopes);
    println!("The key, shown this once:\n\n  {}\n\nWhat the edge needs to know of it:\n", key.expose());
    println!("[[auth.keys]]\nid = {:?}\nsha256 = {:?}\ntenant = {:?}", entry.id, entry.sha256, entry.tenant);
    println!("scopes = [{}]", args.scopes.iter().map(|scope| format!("{scope:?}")).collect::<Vec<_>>().join(", "));
    Ok(())
}
