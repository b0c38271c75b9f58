//! A started program of this package: its environment is given whole, its log is collected, and it is killed when it
//! goes out of scope.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::net::TcpSocket;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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

/// A port that nobody else gets, also while the program is down: a socket that never listens is bound to it for as long
/// as the tests run.
pub(crate) fn free_addr() -> SocketAddr {
    static RESERVED: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().expect("a socket");
    // As the program does, so that both may be bound.
    socket.set_reuseaddr(true).expect("an option of every socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let addr = socket.local_addr().expect("it is bound");
    RESERVED.lock().expect("not poisoned").push(socket);
    addr
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
