//! The real binary, on ports of its own, with its log read line by line.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

pub(crate) const VERIFY_TOKEN: &str = "verify-token-of-the-tests";
pub(crate) const APP_SECRET: &str = "app-secret-of-the-tests";
/// Nothing listens there.
pub(crate) const NOWHERE: &str = "amqp://127.0.0.1:1";

/// The settings of one process.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    variables: BTreeMap<&'static str, String>,
    open_files: Option<u32>,
}

impl Settings {
    pub(crate) fn new(rabbitmq_url: &str) -> Self {
        let settings = [
            ("RABBITMQ_URL", rabbitmq_url),
            ("QUEUE_PARTITIONS", "2"),
            ("INGEST_ADDR", "127.0.0.1:0"),
            ("METRICS_ADDR", "127.0.0.1:0"),
            ("WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN),
            ("WHATSAPP_APP_SECRET", APP_SECRET),
            ("LOG_FORMAT", "json"),
        ];
        Self { variables: settings.map(|(name, value)| (name, value.to_owned())).into(), open_files: None }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.variables.remove(name);
        self
    }

    pub(crate) fn with_open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // A shell in between, for what only a process can set for itself.
        let mut command = Command::new("/bin/sh");
        let limit = self.open_files.map(|limit| format!("ulimit -n {limit} && ")).unwrap_or_default();
        command.args(["-c", &format!("{limit}exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_ingest")]);
        // Away from the repository: a developer's `.env` is none of the test's business.
        command.args(arguments).env_clear().envs(&self.variables).current_dir(env!("CARGO_TARGET_TMPDIR"));
        command
    }

    /// Runs it to its end.
    pub(crate) async fn output(&self, arguments: &[&str]) -> Output {
        let running = self.command(arguments).output();
        tokio::time::timeout(Duration::from_secs(20), running).await.expect("it ends").expect("it starts")
    }

    pub(crate) async fn start(&self, arguments: &[&str]) -> Ingest {
        let mut command = self.command(arguments);
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
        let stderr = child.stderr.take().expect("piped");
        let (log, (sender, receiver)) = (Arc::new(Mutex::new(Vec::new())), watch::channel(0));
        let sink = Arc::clone(&log);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sink.lock().expect("not poisoned").push(line);
                sender.send_modify(|count| *count += 1);
            }
        });
        let mut ingest = Ingest { child, log, lines: receiver, addr: None, admin: None };
        ingest.admin = Some(ingest.address_in("metrics and health are served").await);
        ingest.addr = Some(ingest.address_in("listening for webhooks").await);
        ingest
    }
}

/// A running process; killed when dropped.
pub(crate) struct Ingest {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    addr: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Ingest {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr.expect("it listens")
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.expect("it listens")
    }

    /// How many files the process may have open.
    pub(crate) fn open_files_most(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).expect("a process of ours");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("it is listed");
        line.split_whitespace().next().and_then(|soft| soft.parse().ok()).expect("a number")
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").join("\n")
    }

    async fn address_in(&self, message: &str) -> SocketAddr {
        let event = self.logged(message).await;
        event["addr"].as_str().and_then(|addr| addr.parse().ok()).expect("an address")
    }

    /// Waits for an event of the log.
    pub(crate) async fn logged(&self, message: &str) -> Value {
        let mut lines = self.lines.clone();
        let waiting = async {
            loop {
                lines.borrow_and_update();
                let events = self.log.lock().expect("not poisoned").clone();
                let event = events.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                if let Some(event) = event.into_iter().find(|event| event["message"] == message) {
                    return event;
                }
                lines.changed().await.unwrap_or_else(|_| panic!("the log ended without {message:?}: {}", self.log()));
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        waited.unwrap_or_else(|_| panic!("{message:?} was never logged: {}", self.log()))
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().await.expect("kill runs");
        assert!(sent.success());
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await.expect("it ends").expect("it ran")
    }
}
