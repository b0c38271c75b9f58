//! One process under test: its own environment, its log collected, killed when it goes out of scope.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A started binary.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

/// What a process printed before it ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary of a package of this workspace, built once if need be.
pub(crate) fn binary(name: &str) -> PathBuf {
    static INGEST: OnceLock<PathBuf> = OnceLock::new();
    if name == "worker" {
        return PathBuf::from(env!("CARGO_BIN_EXE_worker"));
    }
    assert_eq!(name, "ingest");
    INGEST
        .get_or_init(|| {
            // Cargo gives a test the paths of its own package's binaries only.
            let path = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("ingest");
            // Of the workspace: by its package alone it would have other features, and be built anew.
            let built =
                Command::new(env!("CARGO")).args(["build", "--quiet", "--workspace", "--bin", "ingest"]).status();
            assert!(built.expect("cargo runs").success(), "building ingest failed");
            path
        })
        .clone()
}

fn command(name: &str, arguments: &[&str], environment: &[(String, String)], directory: &Path) -> Command {
    let mut command = Command::new(binary(name));
    command.args(arguments).env_clear().envs(environment.iter().cloned()).current_dir(directory);
    command
}

/// Runs a binary to its end with that standard input.
pub(crate) fn run(name: &str, arguments: &[&str], environment: &[(String, String)], input: &str) -> Ended {
    use std::io::Write;
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = command(name, arguments, environment, directory.path());
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary starts");
    // A process that ends without reading closes the pipe.
    drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Process {
    /// Starts a binary in a directory of its own, so that no `.env` file is found.
    pub(crate) fn start(name: &str, environment: &[(String, String)]) -> Self {
        Self::start_with(name, &[], environment)
    }

    /// The same, with arguments.
    pub(crate) fn start_with(name: &str, arguments: &[&str], environment: &[(String, String)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory").keep();
        let mut child = command(name, arguments, environment, &directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), &log);
        collect(child.stderr.take().expect("piped"), &log);
        Self { name: name.to_owned(), child, log }
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Waits for a log line that satisfies the condition, and returns it.
    pub(crate) async fn wait_for_line(&mut self, what: &str, found: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let log = self.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines.into_iter().find(|line| found(line)) {
                return line;
            }
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("{} ended ({status}) before {what}:\n{}", self.name, self.log());
            }
            assert!(Instant::now() < deadline, "{}: no {what} in\n{log}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a log message.
    pub(crate) async fn wait_for_message(&mut self, message: &str) -> Value {
        self.wait_for_line(message, |line| line["message"].as_str().is_some_and(|text| text.contains(message))).await
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM` or `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill runs");
        assert!(sent.success(), "{signal} to {}", self.name);
    }

    /// Kills it, if it still runs.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end:\n{}", self.name, self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn collect(from: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("not poisoned");
            log.push_str(&line);
            log.push('\n');
        }
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what its processes logged")]
            let () = eprintln!("--- log of {} ---\n{}", self.name, self.log());
        }
    }
}
