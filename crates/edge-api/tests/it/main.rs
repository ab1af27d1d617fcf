//! The edge on a real socket, with fakes behind the traits of the services.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod cold_start;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod events;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod ladder;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod recommendations;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod store_suite;
#[cfg(test)]
mod support;
#[cfg(test)]
mod surface_files;
#[cfg(test)]
mod traces;
