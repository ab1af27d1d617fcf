//! Reads `streams.toml`, which is part of the program, and holds it to its rules. This file must not know buses.

use std::{borrow::Cow, sync::LazyLock, time::Duration};

use serde::Deserialize;

use crate::{
    consumers::{ConsumerName, ConsumerSpec, Scope, Start},
    streams::{StreamName, StreamSpec},
};

const FILE: &str = include_str!("../streams.toml");

/// All streams and consumers.
#[derive(Debug)]
struct Declared {
    streams: Vec<StreamSpec>,
    consumers: Vec<ConsumerSpec>,
}

/// The form of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    stream: Vec<StreamSpec>,
    consumer: Vec<ConsumerForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumerForm {
    name: ConsumerName,
    stream: StreamName,
    start: Start,
    #[serde(with = "humantime_serde")]
    ack_wait: Duration,
    max_deliver: u32,
    max_batch: usize,
    max_unanswered: usize,
    scope: Scope,
}

static DECLARED: LazyLock<Declared> = LazyLock::new(|| {
    // The file is part of the program, and a test reads it.
    read(FILE).unwrap_or_else(|problem| unreachable!("streams.toml: {problem}"))
});

pub(crate) fn stream(name: StreamName) -> &'static StreamSpec {
    let found = DECLARED.streams.iter().find(|spec| spec.name == name);
    found.unwrap_or_else(|| unreachable!("every stream is declared, or reading fails"))
}

pub(crate) fn consumer(name: ConsumerName) -> &'static ConsumerSpec {
    let found = DECLARED.consumers.iter().find(|spec| spec.name == name.as_str());
    found.unwrap_or_else(|| unreachable!("every consumer is declared, or reading fails"))
}

/// Reads a file of declarations; a problem names what is wrong.
fn read(text: &str) -> Result<Declared, String> {
    let form: Form = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    for name in StreamName::ALL {
        let count = form.stream.iter().filter(|spec| spec.name == name).count();
        if count != 1 {
            problems.push(format!("stream {name} is declared {count} times, not once"));
        }
    }
    for name in ConsumerName::ALL {
        let count = form.consumer.iter().filter(|spec| spec.name == name).count();
        if count != 1 {
            problems.push(format!("consumer {} is declared {count} times, not once", name.as_str()));
        }
    }
    form.stream.iter().for_each(|spec| check_stream(spec, &mut problems));
    form.consumer.iter().for_each(|spec| check_consumer(spec, &mut problems));
    let shares: u64 = form.stream.iter().map(|spec| spec.share_percent).sum();
    if shares != 100 {
        problems.push(format!("the shares of the streams sum to {shares}, not to 100"));
    }
    if problems.is_empty() {
        Ok(Declared { streams: form.stream, consumers: form.consumer.into_iter().map(ConsumerForm::spec).collect() })
    } else {
        Err(problems.join("; "))
    }
}

fn check_stream(spec: &StreamSpec, problems: &mut Vec<String>) {
    let expected = format!("{}.>", spec.name.token());
    if spec.subjects != expected {
        problems.push(format!("stream {} has subjects {:?}, not {expected:?}", spec.name, spec.subjects));
    }
    if spec.dedup_window.is_zero() || spec.dedup_window > spec.max_age {
        problems.push(format!("stream {} has a dedup_window that is 0 or longer than its max_age", spec.name));
    }
}

fn check_consumer(spec: &ConsumerForm, problems: &mut Vec<String>) {
    let name = spec.name.as_str();
    if spec.ack_wait < Duration::from_secs(1) {
        problems.push(format!("consumer {name} has an ack_wait of less than 1s"));
    }
    if spec.max_deliver == 0 || spec.max_batch == 0 || spec.max_unanswered < spec.max_batch {
        problems.push(format!("consumer {name} needs max_deliver and max_batch above 0, and max_unanswered to match"));
    }
    if spec.scope == Scope::Partition && !spec.stream.has_partitions() {
        problems.push(format!("consumer {name} is of scope partition, and {} has no partitions", spec.stream));
    }
}

impl ConsumerForm {
    fn spec(self) -> ConsumerSpec {
        ConsumerSpec {
            stream: self.stream,
            name: Cow::Borrowed(self.name.as_str()),
            filter: None,
            start: self.start,
            ack_wait: self.ack_wait,
            max_deliver: self.max_deliver,
            max_batch: self.max_batch,
            max_unanswered: self.max_unanswered,
            scope: self.scope,
            exclusive: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_the_names_agree() {
        let declared = read(FILE).unwrap();
        assert_eq!(declared.streams.len(), StreamName::ALL.len());
        assert_eq!(declared.consumers.len(), ConsumerName::ALL.len());
        for (name, spec) in ConsumerName::ALL.into_iter().zip(&declared.consumers) {
            assert_eq!(spec.name, name.as_str(), "the file lists consumers in the order of the code");
        }
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(FILE.contains(from), "{from}");
            let problem = read(&FILE.replacen(from, to, 1)).unwrap_err();
            assert!(problem.contains(expected), "{problem:?} does not say {expected:?}");
        };
        check("share_percent = 50", "share_percent = 51", "sum to 101");
        check("name = \"CATALOG\"", "name = \"CONTROL\"", "stream CATALOG is declared 0 times");
        check("name = \"CATALOG\"", "name = \"CATALOGUE\"", "CATALOGUE");
        check("subjects = \"events.>\"", "subjects = \"event.>\"", "\"event.>\", not \"events.>\"");
        check("name = \"operators\"", "name = \"edge-control\"", "consumer operators is declared 0 times");
        check("max_batch = 64", "max_batch = 512", "candidates-intake needs");
        check("stream = \"EVENTS\"", "stream = \"CONTROL\"", "candidates-intake is of scope partition");
        check("when_full = \"refuse\"", "when_full = \"explode\"", "explode");
        check("ack_wait = \"30s\"", "akc_wait = \"30s\"", "akc_wait");
    }
}
