//! What operators run agrees with what there is: images, manifests, configuration, alerts, dashboards, runbook.
//!
//! `UPDATE_GENERATED=1` writes the dashboards anew.

mod collector;
mod compose;
mod configs;
mod dashboards;
mod files;
mod images;
mod kubernetes;
mod live;
mod network;
mod promql;
mod promtool;
mod queries;
mod runbook;
mod yaml;
