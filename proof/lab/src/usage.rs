//! What a process has used, as the kernel counts it.

use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks of a second in `/proc`: the same on every machine that Linux runs our programs on, whatever the kernel's own rate.
const TICKS_PER_SECOND: u64 = 100;
/// Fields of `/proc/PID/stat` after the name: user and system time are the 12th and the 13th.
const USER_TIME: usize = 11;

/// Memory now and at most, and CPU time since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident memory, in KiB.
    pub resident: u64,
    /// The most that it ever was, in KiB.
    pub peak: u64,
    /// Time on any core.
    pub cpu: Duration,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {path}: has the manager ended?"))
        };
        Self::read(&read("status")?, &read("stat")?)
    }

    fn read(status: &str, stat: &str) -> Result<Self> {
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.with_context(|| format!("/proc/PID/status does not say {name}"))
        };
        // The name is in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
        let times = fields.split_whitespace().skip(USER_TIME).take(2).map(str::parse::<u64>);
        let ticks: u64 = times.sum::<Result<u64, _>>().context("/proc/PID/stat has no times")?;
        let cpu = Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Ok(Self { resident: kib("VmRSS")?, peak: kib("VmHWM")?, cpu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let status = "Name:\ttrimtab\nVmHWM:\t   70000 kB\nVmRSS:\t   64000 kB\nThreads:\t3\n";
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 125 13 14";
        let usage = Usage::read(status, stat).unwrap();
        let cpu = Duration::from_millis(3_750);
        assert_eq!(usage, Usage { resident: 64_000, peak: 70_000, cpu });
        assert!(Usage::read("Name:\ttrimtab\n", stat).is_err(), "a process that has ended has no memory");
    }
}
