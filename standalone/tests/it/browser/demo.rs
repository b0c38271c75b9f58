//! The demonstration as somebody starts it, each in its own directory and on its own port, which it keeps when it is
//! killed and started again.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::process::{PATIENCE, Process, free_addr};

/// The English demo business, by the id of its number.
pub(crate) const BIKES: &str = "1001";
/// The Spanish one.
pub(crate) const TAZA: &str = "1002";

/// A running demonstration.
pub(crate) struct Demo {
    pub(crate) addr: SocketAddr,
    process: Process,
    environment: Vec<(&'static str, String)>,
    directory: tempfile::TempDir,
}

impl Demo {
    /// Starts it, with whatever else stands in the environment.
    pub(crate) async fn start(more: &[(&'static str, &str)]) -> Self {
        shared::install_tls_provider();
        let mut environment = vec![("METRICS_ADDR", "127.0.0.1:0".to_owned())];
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let (addr, directory) = (free_addr(), tempfile::tempdir().expect("a directory"));
        let process = Process::start(&["--addr", &addr.to_string()], &environment, directory.path());
        let mut demo = Self { addr, process, environment, directory };
        demo.process.wait_for("Ctrl-C").await;
        demo
    }

    /// Ends it without a warning.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub(crate) async fn start_again(&mut self) {
        let arguments = ["--addr", &self.addr.to_string()];
        self.process = Process::start(&arguments, &self.environment, self.directory.path());
        self.process.wait_for("Ctrl-C").await;
    }

    /// The file that it keeps everything in.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("switchboard.db")
    }

    /// What it has printed since it was last started.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// An answer to a request of no browser.
    pub(crate) async fn ask(&self, method: reqwest::Method, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.request(method, format!("http://{}{path}", self.addr));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.expect("it answers")
    }

    /// Waits until nothing is left to be answered or sent in a conversation.
    pub(crate) async fn at_rest(&self, business: &str, number: &str) {
        let path = format!("/phone/conversation?business={business}&number={number}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.ask(reqwest::Method::GET, &path, &[]).await.bytes().await.expect("a body");
            let state: Value = serde_json::from_slice(&told).expect("JSON");
            if state["mailbox"] == serde_json::json!([]) && state["outbox"].is_null() && state["lease"].is_null() {
                return;
            }
            assert!(Instant::now() < deadline, "it does not come to rest: {state:#}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
