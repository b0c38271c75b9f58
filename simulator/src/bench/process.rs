//! Processes that are measured: started with an environment of their own, looked at through `/proc`, and stopped.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

use super::{
    http::{Connection, get},
    report::{Figure, figure},
};

/// A started program. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: std::path::PathBuf,
    started: Instant,
}

impl Process {
    /// Starts a program in the directory, where no `.env` is, with its output in a file there.
    pub(super) fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log, started })
    }

    /// Waits until a GET of this path is answered with 200, and returns how long that was after the start.
    pub(super) async fn ready(&mut self, addr: SocketAddr, path: &str, within: Duration) -> anyhow::Result<Duration> {
        let request = get(path);
        while self.started.elapsed() < within {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}); see {}", self.name, self.log.display());
            }
            if let Ok(mut connection) = Connection::open(addr).await
                && connection.exchange(&request).await.is_ok_and(|status| status == 200)
            {
                return Ok(self.started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("{} is not ready after {within:?}; see {}", self.name, self.log.display())
    }

    /// What it and its children have used so far.
    pub(super) fn usage(&self) -> Usage {
        self.child.id().map(usage_of_tree).unwrap_or_default()
    }

    /// Tells it to stop, and waits for that.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("signal a process")?;
        }
        match tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await {
            Ok(ended) => drop(ended?),
            Err(_) => self.child.kill().await?,
        }
        Ok(())
    }
}

/// A free port of this machine. Nothing keeps it, so it is to be used soon.
pub(super) fn free_addr() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?)
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_secs: f64,
    pub(super) resident_mb: f64,
}

/// This very process: load and stand-ins.
pub(super) fn own_usage() -> Usage {
    usage_of(std::process::id()).unwrap_or_default()
}

/// CPU seconds of everything on this machine so far.
pub(super) fn machine_cpu_secs() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq: without the two in which nothing runs.
    let busy = ticks.iter().take(7).enumerate().filter(|(n, _)| !matches!(n, 3 | 4));
    busy.map(|(_, ticks)| ticks).sum::<f64>() / TICKS_PER_SECOND
}

fn usage_of_tree(root: u32) -> Usage {
    let parents = parents();
    let mut tree = BTreeSet::from([root]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| tree.contains(parent) && !tree.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            break;
        }
        tree.extend(more);
    }
    tree.into_iter().filter_map(usage_of).fold(Usage::default(), |sum, one| Usage {
        cpu_secs: sum.cpu_secs + one.cpu_secs,
        resident_mb: sum.resident_mb + one.resident_mb,
    })
}

fn parents() -> BTreeMap<u32, u32> {
    pids().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn usage_of(pid: u32) -> Option<Usage> {
    let cpu_secs = stat(pid)?.ticks / TICKS_PER_SECOND;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage { cpu_secs, resident_mb: resident_mb(&status)? })
}

/// MB as in millions of bytes.
fn resident_mb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0 / 1e6)
}

#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    ticks: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    read_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The line of `/proc/PID/stat` (proc(5)): the name in it may have spaces and parentheses, so it counts from the last
/// one.
fn read_stat(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The state is field 3 of the line and the first here; the parent is 4, user and system time are 14 and 15.
    let number = |n: usize| fields.get(n - 3)?.parse::<f64>().ok();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks: number(14)? + number(15)? })
}

/// Linux counts CPU time for programs in hundredths of a second, whatever its own clock (`USER_HZ`; times(2), proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds over a measurement: of what is measured, of load and stand-ins, and of the rest of the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    began: Instant,
    product: f64,
    own: f64,
    rabbitmq: f64,
    mongodb: f64,
    machine: f64,
}

/// What a [`Meter`] saw, in cores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores {
    product: f64,
    /// Load and stand-ins.
    own: f64,
    rabbitmq: f64,
    mongodb: f64,
    /// Whatever else runs: the kernel's own threads, and who else uses the machine.
    rest: f64,
    /// CPU seconds of what is measured.
    pub(super) product_secs: f64,
}

impl Meter {
    pub(super) fn start<'a>(product: impl IntoIterator<Item = &'a Process>) -> Self {
        Self {
            began: Instant::now(),
            product: cpu(product),
            own: own_usage().cpu_secs,
            rabbitmq: cpu_of_all(RABBITMQ),
            mongodb: cpu_of_all(MONGODB),
            machine: machine_cpu_secs(),
        }
    }

    pub(super) fn stop<'a>(self, product: impl IntoIterator<Item = &'a Process>) -> Cores {
        let secs = self.began.elapsed().as_secs_f64();
        let product = cpu(product) - self.product;
        let own = own_usage().cpu_secs - self.own;
        // A server that is restarted meanwhile begins at nothing.
        let rabbitmq = (cpu_of_all(RABBITMQ) - self.rabbitmq).max(0.0);
        let mongodb = (cpu_of_all(MONGODB) - self.mongodb).max(0.0);
        let rest = (machine_cpu_secs() - self.machine - product - own - rabbitmq - mongodb).max(0.0);
        Cores {
            product: product / secs,
            own: own / secs,
            rabbitmq: rabbitmq / secs,
            mongodb: mongodb / secs,
            rest: rest / secs,
            product_secs: product,
        }
    }
}

impl Cores {
    /// Who used the cores, for a row.
    pub(super) fn figures(&self) -> [Figure; 5] {
        let servers = [("RabbitMQ", self.rabbitmq), ("MongoDB", self.mongodb), ("rest", self.rest)];
        let [rabbitmq, mongodb, rest] = servers.map(|(name, cores)| figure(name, cores, "cores"));
        [figure("product", self.product, "cores"), figure("load", self.own, "cores"), rabbitmq, mongodb, rest]
    }
}

/// What the servers' processes are called, wherever on this machine they run.
const RABBITMQ: &str = "beam.smp";
const MONGODB: &str = "mongod";

fn cpu_of_all(name: &str) -> f64 {
    let called = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name);
    pids().filter(called).filter_map(usage_of).map(|usage| usage.cpu_secs).sum()
}

fn cpu<'a>(processes: impl IntoIterator<Item = &'a Process>) -> f64 {
    processes.into_iter().map(|process| process.usage().cpu_secs).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(read_stat(line), Some(Stat { parent: 7, ticks: 200.0 }));
        assert_eq!(read_stat("nonsense"), None);
    }

    #[test]
    fn resident_memory_is_in_millions_of_bytes() {
        assert_eq!(resident_mb("Name:\tx\nVmRSS:\t   1000 kB\nThreads: 1"), Some(1.024));
        assert_eq!(resident_mb("Name:\tx"), None);
    }

    #[tokio::test]
    async fn what_a_process_and_its_children_use_is_seen_and_a_stop_ends_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let script = ["-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 60'"];
        let process = Process::start(
            "busy",
            Path::new("/bin/sh"),
            &script,
            &[("PATH", "/usr/bin:/bin".to_owned())],
            directory.path(),
        );
        let process = process.expect("started");
        let deadline = Instant::now() + Duration::from_secs(30);
        while process.usage().cpu_secs < 0.05 {
            assert!(Instant::now() < deadline, "{:?}", process.usage());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(cpu_of_all("sh") >= 0.05, "it is also found by its name");
        assert!(process.usage().resident_mb > 0.1 && machine_cpu_secs() > process.usage().cpu_secs);
        process.stop().await.expect("stopped");
    }

    #[tokio::test]
    async fn a_process_that_ends_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut process =
            Process::start("ended", Path::new("/bin/false"), &[], &[], directory.path()).expect("started");
        let addr = free_addr().expect("a port");
        let error = process.ready(addr, "/readyz", Duration::from_secs(30)).await.expect_err("it ended");
        assert!(error.to_string().contains("ended"), "{error}");
    }
}
