//! A started program of this package: its environment is given whole, its log is collected, and it is killed when it
//! goes out of scope.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The ports of the tests, and how far apart those of two processes begin.
const FIRST_PORT: u16 = 20_000;
const PORTS: u32 = 12_000;
const PORTS_EACH: u32 = 16;

/// A started program.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

fn command(arguments: &[&str], environment: &[(&str, String)], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standalone"));
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    command.current_dir(directory);
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, String)], directory: &Path) -> Output {
    command(arguments, environment, directory).stdin(Stdio::null()).output().expect("the program starts")
}

/// A port that nobody listens on just now, and that nobody takes before the program does: it lies below those that the
/// system gives to whoever asks for any, and no other call of this has it.
pub(crate) fn free_addr() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let from = std::process::id().wrapping_mul(PORTS_EACH);
    let mut tried = (0..PORTS).map(|_| {
        let n = from.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        SocketAddr::from(([127, 0, 0, 1], FIRST_PORT + u16::try_from(n).expect("small")))
    });
    tried.find(|addr| TcpListener::bind(addr).is_ok()).expect("a port")
}

impl Process {
    /// Starts it in a directory, whose files it goes on with.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, String)], directory: &Path) -> Self {
        let mut command = command(arguments, environment, directory);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), &log);
        collect(child.stderr.take().expect("piped"), &log);
        Self { child, log }
    }

    /// Everything that it has printed.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Waits until it has printed this.
    pub(crate) async fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("it ended ({status}) before `{text}`:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "no `{text}` in\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it without a warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("kill runs").success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not stop:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn collect(from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = into.lock().expect("not poisoned");
            log.push_str(&line);
            log.push('\n');
        }
    });
}
