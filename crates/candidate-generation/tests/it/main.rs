//! candidate-generation as its callers and its store see it. One binary, a module for each subject.

mod filters;
mod intake;
mod migrations;
mod profiles;
mod replicas;
mod service;
mod sources;
mod store;
mod store_postgres;
mod store_suite;
mod world;
mod writes;
