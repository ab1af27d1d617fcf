//! The collector keeps what the code calls degraded, under the name that the code uses.

use std::collections::BTreeSet;

use service_runtime::trace::names;
use shared_models::degraded::DegradedLevel;

use crate::yaml::{document, list, text};

#[test]
fn errors_degraded_and_slow_traces_are_kept_and_five_of_a_hundred_others() {
    use DegradedLevel::{Empty, LastGood, Partial, Popular, SourceOrder};
    let collector = document("observability/collector/collector.yaml");
    let sampling = &collector["processors"]["tail_sampling"];
    let policy = |kind: &str| {
        let found = list(sampling, "policies").iter().find(|policy| policy["type"] == kind);
        found.unwrap_or_else(|| panic!("no policy {kind}"))
    };
    assert_eq!(list(policy("status_code"), "status_code.status_codes"), ["ERROR"]);
    let degraded = policy("string_attribute");
    assert_eq!(text(degraded, "string_attribute.key"), names::DEGRADED);
    let kept: BTreeSet<_> =
        list(degraded, "string_attribute.values").iter().filter_map(|value| value.as_str()).collect();
    assert_eq!(kept, [Partial, SourceOrder, LastGood, Popular, Empty].iter().map(|level| level.as_str()).collect());
    assert_eq!(policy("latency")["latency"]["threshold_ms"], 100);
    assert_eq!(policy("probabilistic")["probabilistic"]["sampling_percentage"], 5);
    assert_eq!(list(&collector, "service.pipelines.traces.processors")[..2], ["memory_limiter", "tail_sampling"]);
}
