//! What the operating system counts about this process, read at each scrape.

use std::{
    fmt, fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Processor time, memory and files of this process, under Prometheus' customary names.
#[derive(Debug)]
pub(crate) struct ProcessCollector {
    started: SystemTime,
}

impl ProcessCollector {
    pub(crate) fn new() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(used) = processor_time() {
            let counter = ConstCounter::new(used.as_secs_f64());
            let help = "Processor time of all threads, user and system.";
            let metric = encoder.encode_descriptor(
                "process_cpu",
                help,
                Some(&Unit::Seconds),
                prometheus_client::metrics::MetricType::Counter,
            )?;
            counter.encode(metric)?;
        }
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let help = "When the process started, in Unix time.";
        gauge(&mut encoder, "process_start_time", help, Some(&Unit::Seconds), started)?;
        if let Some(resident) = status_bytes("VmRSS:") {
            let help = "Memory of the process that is in RAM.";
            gauge(&mut encoder, "process_resident_memory", help, Some(&Unit::Bytes), resident)?;
        }
        if let Some(virtual_size) = status_bytes("VmSize:") {
            let help = "Address space of the process.";
            gauge(&mut encoder, "process_virtual_memory", help, Some(&Unit::Bytes), virtual_size)?;
        }
        if let Some(open) = open_files() {
            gauge(&mut encoder, "process_open_fds", "Open file descriptors.", None, open)?;
        }
        if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let help = "Most file descriptors the process may open.";
            let soft = i64::try_from(soft).unwrap_or(i64::MAX);
            gauge(&mut encoder, "process_max_fds", help, None, soft)?;
        }
        Ok(())
    }
}

fn gauge<N>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: N,
) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    let gauge = ConstGauge::new(value);
    let metric = encoder.encode_descriptor(
        name,
        help,
        unit,
        prometheus_client::metrics::MetricType::Gauge,
    )?;
    gauge.encode(metric)
}

fn processor_time() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = |time: nix::sys::time::TimeVal| {
        use nix::sys::time::TimeValLike as _;
        u64::try_from(time.num_microseconds()).ok().map(Duration::from_micros)
    };
    Some(micros(usage.user_time())? + micros(usage.system_time())?)
}

/// A line of `/proc/self/status` such as `VmRSS: 1234 kB`.
fn status_bytes(name: &str) -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}
