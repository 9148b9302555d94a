//! What the operating system knows of a process: processor time, memory, dropped datagrams.

use std::{fs, io, time::Duration};

use anyhow::{Context, anyhow};
use serde::Serialize;

/// One look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessSample {
    /// Time on a processor of all its threads, exact to the nanosecond.
    pub run: Duration,
    /// Time its threads were ready to run but had to wait for a processor.
    pub waited: Duration,
    /// Of it by the 10 ms clock, in user mode.
    pub user: Duration,
    /// Of it by the 10 ms clock, in the kernel.
    pub system: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: usize,
}

/// Processor time between two looks.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ProcessorTime {
    /// In all, in seconds.
    pub run_s: f64,
    /// Ready to run, but waiting for a processor, in seconds: other work was in the way.
    pub waited_s: f64,
    /// In user mode, in seconds, by the coarse clock.
    pub user_s: f64,
    /// In the kernel, in seconds, by the coarse clock.
    pub system_s: f64,
}

impl ProcessSample {
    /// Looks at a process.
    ///
    /// # Errors
    /// When it is gone or not ours to look at.
    pub fn take(pid: u32) -> anyhow::Result<Self> {
        let (mut run, mut waited) = (Duration::ZERO, Duration::ZERO);
        let mut threads = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread can end between listing and reading; its time is lost to this sample.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let (ran, had_to_wait) = parse_schedstat(&text)?;
            run += ran;
            waited += had_to_wait;
            threads += 1;
        }
        let (user, system) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self { run, waited, user, system, resident_bytes: parse_resident(&status)?, threads })
    }

    /// Processor time used since `earlier`.
    pub fn since(self, earlier: Self) -> ProcessorTime {
        ProcessorTime {
            run_s: self.run.saturating_sub(earlier.run).as_secs_f64(),
            waited_s: self.waited.saturating_sub(earlier.waited).as_secs_f64(),
            user_s: self.user.saturating_sub(earlier.user).as_secs_f64(),
            system_s: self.system.saturating_sub(earlier.system).as_secs_f64(),
        }
    }
}

/// First two fields of `/proc/PID/task/TID/schedstat`: nanoseconds on a processor, nanoseconds
/// waiting for one.
fn parse_schedstat(text: &str) -> anyhow::Result<(Duration, Duration)> {
    let mut fields = text.split_whitespace();
    let mut nanos = || -> anyhow::Result<Duration> {
        let field = fields.next().ok_or_else(|| anyhow!("schedstat is short"))?;
        Ok(Duration::from_nanos(field.parse().context("schedstat")?))
    };
    Ok((nanos()?, nanos()?))
}

/// `utime` and `stime` of `/proc/PID/stat`.
fn parse_stat(text: &str) -> anyhow::Result<(Duration, Duration)> {
    // The name in parentheses may contain anything, spaces and parentheses too.
    let (_, after) = text.rsplit_once(')').ok_or_else(|| anyhow!("no name in stat"))?;
    // proc_pid_stat(5): after the name comes field 3; utime is field 14, stime field 15.
    let mut fields = after.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<Duration> {
        let ticks: u64 = fields.next().ok_or_else(|| anyhow!("stat is short"))?.parse()?;
        Ok(Duration::from_millis(ticks * (1_000 / CLOCK_TICKS_PER_SECOND)))
    };
    Ok((ticks()?, ticks()?))
}

fn parse_resident(status: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    let kib: u64 = kib.ok_or_else(|| anyhow!("no VmRSS"))?.parse()?;
    Ok(kib * 1_024)
}

/// Datagrams the kernel dropped because a UDP socket's buffer was full, summed over the sockets
/// `of` picks by port.
///
/// # Errors
/// When `/proc/net` cannot be read.
pub fn udp_drops(of: impl Fn(u16) -> bool) -> anyhow::Result<u64> {
    let mut total = parse_udp_drops(&fs::read_to_string("/proc/net/udp")?, &of);
    match fs::read_to_string("/proc/net/udp6") {
        Ok(text) => total += parse_udp_drops(&text, &of),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(total)
}

fn parse_udp_drops(text: &str, of: &impl Fn(u16) -> bool) -> u64 {
    let drops = |line: &str| -> Option<u64> {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        of(port).then(|| fields.last()?.parse().ok())?
    };
    text.lines().skip(1).filter_map(drops).sum()
}

/// The load average over one minute.
///
/// # Errors
/// When `/proc/loadavg` cannot be read.
pub fn load_average() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let first = text.split_whitespace().next().ok_or_else(|| anyhow!("empty loadavg"))?;
    Ok(first.parse()?)
}

/// Model name of the first processor and the number of processors, for reports.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{count} × {model}")
}

/// The kernel's release, for reports.
pub fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

/// `USER_HZ`, which Linux has fixed at 100 for user space.
const CLOCK_TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read_as_documented() {
        let (ran, waited) = parse_schedstat("123456 789 3\n").unwrap();
        assert_eq!((ran, waited), (Duration::from_nanos(123_456), Duration::from_nanos(789)));
        assert!(parse_schedstat("\n").is_err());
        let stat = "77 (a (strange) name) S 1 77 77 0 -1 4194304 1 2 3 4 250 120 9 9 20 0";
        let (user, system) = parse_stat(stat).unwrap();
        assert_eq!((user, system), (Duration::from_millis(2_500), Duration::from_millis(1_200)));
        assert!(parse_stat("77 (short) S 1").is_err());
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t  2048 kB\n").unwrap(), 2_097_152);
        let udp = "  sl  local_address rem_address st ... drops\n\
                   1: 0100007F:1ECA 00000000:0000 07 0:0 0:0 0 0 0 1 2 ffff 12\n\
                   2: 0100007F:1ECB 00000000:0000 07 0:0 0:0 0 0 0 1 2 ffff 30\n";
        assert_eq!(parse_udp_drops(udp, &|port| port == 0x1eca), 12);
        assert_eq!(parse_udp_drops(udp, &|_| true), 42);
    }

    #[test]
    fn this_process_uses_processor_time_and_memory() {
        let before = ProcessSample::take(std::process::id()).unwrap();
        let sum: u64 = (0..20_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ (n * n)));
        std::hint::black_box(sum);
        let after = ProcessSample::take(std::process::id()).unwrap();
        assert!(after.since(before).run_s > 0.0);
        assert!(after.resident_bytes > 1 << 20 && after.threads > 0);
    }
}
