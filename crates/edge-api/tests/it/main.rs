//! The edge on a real socket, with fakes behind the traits of the services.

mod bad_input;
mod catalogue;
mod connections;
mod events;
mod ladder;
mod openapi;
mod pages;
mod scopes;
mod support;
mod surface_files;
