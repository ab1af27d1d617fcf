//! Signals to processes that a test has started. This file must not know what they are.

use std::{
    fs,
    process::{Command, Stdio},
};

/// Sends a signal; a process that is gone by now is no error.
pub(crate) fn send(name: &str, processes: &[u32]) {
    if processes.is_empty() {
        return;
    }
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(processes.iter().map(u32::to_string));
    let _gone = kill.stderr(Stdio::null()).status();
}

/// The processes that a process has started.
pub(crate) fn children(id: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |process: u32| -> Option<u32> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // pid (name) state parent …; the name may hold anything.
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    numbers.filter(|process| parent(*process) == Some(id)).collect()
}
