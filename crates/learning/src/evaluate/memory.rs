//! The most memory this process held at once, as the kernel of Linux counts it. Elsewhere there is no number.

use std::fs;

/// Counts the peak from now on. Where the kernel does not let it, the peak stays that of the whole process.
pub fn reset_peak() {
    // 5 resets the peak of the resident set: proc(5), /proc/pid/clear_refs.
    let _not_allowed = fs::write("/proc/self/clear_refs", "5");
}

/// The largest resident set since the last [`reset_peak`], in bytes.
#[must_use]
pub fn peak() -> Option<u64> {
    peak_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_in(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_line_of_the_kernel() {
        assert_eq!(peak_in("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2_097_152));
        assert_eq!(peak_in("Name:\tx\n"), None);
        reset_peak();
        let block = std::hint::black_box(vec![1_u8; 32 << 20]);
        assert!(peak().is_none_or(|peak| peak >= block.len() as u64));
    }
}
