//! The dashboards, written down as panels and generated from them: `UPDATE_GENERATED=1` writes the files. This file must not
//! know what they show.

mod bus;
mod candidates;
mod edge;
mod overview;
mod ranking;

use std::{env, fs};

use serde_json::{Value, json};
use tests::root;

const FOLDER: &str = "deploy/observability/grafana/dashboards";
/// The data source's name in the provisioning beside the dashboards.
const SOURCE: &str = "prometheus";
/// Grafana's grid has 24 columns.
const COLUMNS: usize = 24;
const HEIGHT: usize = 8;

/// A dashboard.
struct Dashboard {
    /// The file's name, and the dashboard's in addresses.
    name: &'static str,
    title: &'static str,
    rows: Vec<Row>,
}

/// Panels side by side under one heading.
struct Row {
    title: &'static str,
    panels: Vec<Panel>,
}

/// A picture and what it asks.
struct Panel {
    title: &'static str,
    /// What to read from it.
    about: &'static str,
    /// Grafana's name of the unit.
    unit: &'static str,
    /// PromQL and legend.
    queries: Vec<(String, &'static str)>,
    /// One number each instead of lines.
    numbers: bool,
}

/// Lines over time.
fn lines(title: &'static str, unit: &'static str, about: &'static str, queries: &[(&str, &'static str)]) -> Panel {
    let queries = queries.iter().map(|(query, legend)| ((*query).to_owned(), *legend)).collect();
    Panel { title, about, unit, queries, numbers: false }
}

/// One number for each series.
fn numbers(title: &'static str, unit: &'static str, about: &'static str, queries: &[(&str, &'static str)]) -> Panel {
    Panel { numbers: true, ..lines(title, unit, about, queries) }
}

/// The median, the 99th and the 99.9th of a hundred, of one histogram.
fn spread(title: &'static str, about: &'static str, histogram: &str) -> Panel {
    let queries = [("0.5", "p50"), ("0.99", "p99"), ("0.999", "p99.9")].map(|(share, legend)| {
        (format!("histogram_quantile({share}, sum by (le) (rate({histogram}[$__rate_interval])))"), legend)
    });
    Panel { title, about, unit: "s", queries: queries.into(), numbers: false }
}

/// The slowest of a hundred, by a label.
fn slowest(title: &'static str, about: &'static str, histogram: &str, by: &str, legend: &'static str) -> Panel {
    let query = format!("histogram_quantile(0.99, sum by (le, {by}) (rate({histogram}[$__rate_interval])))");
    Panel { title, about, unit: "s", queries: vec![(query, legend)], numbers: false }
}

/// What a service's processes use of their machines.
fn machine(job: &str) -> Row {
    let of = |metric: &str| format!("{metric}{{job=\"{job}\"}}");
    let one = |title, about, unit, query, legend| Panel {
        title,
        about,
        unit,
        queries: vec![(query, legend)],
        numbers: false,
    };
    Row {
        title: "What it uses",
        panels: vec![
            one(
                "CPU",
                "Cores in use, by instance.",
                "short",
                format!("rate({}[$__rate_interval])", of("process_cpu_seconds_total")),
                "{{instance}}",
            ),
            one("Memory", "Held, by instance.", "bytes", of("process_resident_memory_bytes"), "{{instance}}"),
            one(
                "Files and sockets",
                "The share of those that may be open.",
                "percentunit",
                format!("{} / {}", of("process_open_fds"), of("process_max_fds")),
                "{{instance}}",
            ),
        ],
    }
}

fn all() -> [Dashboard; 5] {
    [overview::dashboard(), edge::dashboard(), candidates::dashboard(), ranking::dashboard(), bus::dashboard()]
}

impl Dashboard {
    fn json(&self) -> String {
        let mut panels = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 },
            }));
            y += 1;
            let width = COLUMNS / row.panels.len();
            for (index, panel) in row.panels.iter().enumerate() {
                panels.push(
                    panel.json(panels.len() + 1, &json!({ "x": index * width, "y": y, "w": width, "h": HEIGHT })),
                );
            }
            y += HEIGHT;
        }
        let dashboard = json!({
            "uid": format!("setlist-{}", self.name), "title": self.title, "tags": ["setlist"], "editable": false,
            "schemaVersion": 39, "version": 1, "refresh": "30s", "time": { "from": "now-3h", "to": "now" },
            "timezone": "browser", "graphTooltip": 1, "panels": panels,
            "links": [{ "type": "dashboards", "tags": ["setlist"], "title": "Setlist", "asDropdown": true }],
        });
        serde_json::to_string_pretty(&dashboard).unwrap() + "\n"
    }
}

impl Panel {
    fn json(&self, id: usize, place: &Value) -> Value {
        let targets: Vec<_> = self
            .queries
            .iter()
            .zip('A'..)
            .map(|((query, legend), letter)| {
                json!({ "refId": letter, "expr": query, "legendFormat": legend, "instant": self.numbers, "range": !self.numbers })
            })
            .collect();
        let (kind, options) = if self.numbers {
            ("stat", json!({ "reduceOptions": { "calcs": ["lastNotNull"] }, "textMode": "value_and_name" }))
        } else {
            let legend = json!({ "displayMode": "list", "placement": "bottom", "showLegend": true });
            ("timeseries", json!({ "legend": legend, "tooltip": { "mode": "multi", "sort": "desc" } }))
        };
        json!({
            "id": id, "type": kind, "title": self.title, "description": self.about, "gridPos": place,
            "datasource": { "type": "prometheus", "uid": SOURCE }, "targets": targets, "options": options,
            "fieldConfig": { "defaults": { "unit": self.unit, "min": 0 }, "overrides": [] },
        })
    }
}

#[test]
fn dashboards_are_fresh() {
    let updating = env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1");
    let folder = root().join(FOLDER);
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().flatten().map(|file| file.file_name().into_string().unwrap()).collect();
    for dashboard in all() {
        let (file, expected) = (format!("{}.json", dashboard.name), dashboard.json());
        names.retain(|name| *name != file);
        let path = folder.join(&file);
        if updating {
            fs::write(&path, &expected).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == expected, "{FOLDER}/{file} is not fresh: run this test with UPDATE_GENERATED=1");
    }
    assert!(names.is_empty(), "{FOLDER} holds {names:?}, which nothing makes");
}

#[test]
fn every_panel_says_what_to_read_from_it() {
    for dashboard in all() {
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            assert!(panel.about.ends_with('.'), "{}: {}", dashboard.name, panel.title);
            assert!(!panel.queries.is_empty(), "{}: {}", dashboard.name, panel.title);
        }
    }
}

/// Grafana finds the data source by this name.
#[test]
fn the_data_source_is_provisioned() {
    let source = crate::yaml::document("observability/grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(source["datasources"][0]["uid"], SOURCE);
}
