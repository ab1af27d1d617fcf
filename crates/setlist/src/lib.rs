//! The `setlist` binary as a library: every service in one process, each as a subcommand, and the
//! commands around them. Composition only: a decision that belongs to a service is not made here.

pub mod cli;

pub mod config;
pub mod devkey;
pub mod platform;

pub mod serve;
pub mod service;

pub mod demo;
pub mod export;
pub mod import;
pub mod learn;
pub mod release;
pub mod train;

pub mod evaluate;
pub mod features;
pub mod plot;
pub mod simulate;
pub mod world;

pub mod client;
pub mod draw;
pub mod explain;
pub mod freshness;
pub mod page;
pub mod replay;
pub mod tour;

pub mod dead;
pub mod doctor;
pub mod keys;
pub mod streams;
