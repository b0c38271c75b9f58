//! Headless Chromium and its driver, one pair for each browser that a test opens.
//!
//! Nothing outlives the test, however it ends: dropping a [`Browser`] kills the driver and every process that names its
//! profile. Whatever is waited for is a condition in the page; there are no fixed sleeps.

use std::{
    fmt,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator, error::CmdError};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::vendor::Vendor;
use crate::process::PATIENCE;

const INSTALL: &str = "The tests of the page need Chromium and its driver: apt-get install chromium chromium-driver \
                       (or name them in CHROMIUM and CHROMEDRIVER).";
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const POLL: Duration = Duration::from_millis(20);
/// How a driver says that it listens.
const LISTENS: &str = "started successfully on port ";

/// Whether the microphone may be used, by which the fake of it is allowed or refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Microphone {
    Allowed,
    Refused,
}

/// A browser with one window.
pub(crate) struct Browser {
    client: Client,
    _processes: Processes,
}

/// A driver, and whatever it started.
struct Processes {
    driver: Child,
    directory: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    pub(crate) async fn start(microphone: Microphone) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (driver, stdout) = spawn(directory.path());
        // From here on a panic ends it.
        let processes = Processes { driver, directory };
        let port = port(stdout);
        let capabilities = capabilities(&processes.profile(), microphone);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().expect("an object").clone());
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await;
        let client = client.unwrap_or_else(|error| panic!("Chromium does not start: {error}\n{INSTALL}"));
        Self { client, _processes: processes }
    }

    /// Opens an address.
    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect("the page opens");
    }

    /// What a script returns; a promise is waited for.
    pub(crate) async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.client.execute(script, arguments.to_vec()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The value of an expression.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression});"), &[]).await
    }

    /// Waits until an expression is true, and gives its value.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.value(expression).await;
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            if Instant::now() > deadline {
                panic!("`{expression}` does not come true in\n{}", self.value("document.body.innerText").await);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Clicks as soon as there is such an element and nothing covers it.
    pub(crate) async fn click(&self, selector: &str) {
        self.once_possible(selector, async || self.client.find(Locator::Css(selector)).await?.click().await).await;
    }

    /// Types into an element, or names a file to one that takes files.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let typed = async || self.client.find(Locator::Css(selector)).await?.send_keys(text).await;
        self.once_possible(selector, typed).await;
    }

    /// Types to whatever has the focus.
    pub(crate) async fn press(&self, keys: &str) {
        let focused = self.client.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.expect("it takes keys");
    }

    async fn once_possible(&self, what: &str, attempt: impl AsyncFn() -> Result<(), CmdError>) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = attempt().await {
            assert!(Instant::now() < deadline, "{what}: {error}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The entries of a log since it was last asked for: `browser` or `performance`.
    pub(crate) async fn log(&self, kind: &'static str) -> Vec<Value> {
        let told = self.client.issue_cmd(Vendor::log(kind)).await.expect("the driver keeps logs");
        told.as_array().expect("a list").clone()
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        let told = self.client.issue_cmd(Vendor::devtools(command, parameters)).await;
        told.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Makes the page as large as this, in pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        self.until(&format!("innerWidth === {width} && innerHeight === {height}")).await;
    }

    /// Takes the mouse off whatever it is on.
    pub(crate) async fn point_nowhere(&self) {
        self.devtools("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": 1, "y": 1})).await;
    }

    /// The page as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture")
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}

impl Processes {
    fn profile(&self) -> PathBuf {
        self.directory.path().join("profile")
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
        for pid in naming(&self.profile()) {
            drop(Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status());
        }
    }
}

/// The processes whose arguments name a path: Chromium tells its own where the profile is.
fn naming(path: &Path) -> Vec<String> {
    let wanted = path.to_str().expect("UTF-8");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().into_string().ok());
    let named = pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())).filter(|pid| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(wanted)
    });
    named.collect()
}

fn spawn(directory: &Path) -> (Child, ChildStdout) {
    let program = std::env::var_os("CHROMEDRIVER").unwrap_or_else(|| "chromedriver".into());
    // A home of its own: nothing is read from the developer's, and nothing is left there.
    let mut command = Command::new(&program);
    command.arg("--port=0").env("HOME", directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = command.spawn().unwrap_or_else(|error| panic!("{}: {error}\n{INSTALL}", program.display()));
    let stdout = driver.stdout.take().expect("piped");
    (driver, stdout)
}

fn port(stdout: ChildStdout) -> u16 {
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let line = lines.find_map(|line| Some(line.split_once(LISTENS)?.1.to_owned()));
    // Whatever else it says must find a reader.
    std::thread::spawn(move || lines.for_each(drop));
    let line = line.expect("chromedriver says where it listens");
    line.trim_end_matches('.').parse().expect("a port")
}

fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = NAMES.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    found.into_iter().find(|file| file.is_file()).unwrap_or_else(|| panic!("There is no Chromium. {INSTALL}"))
}

fn capabilities(profile: &Path, microphone: Microphone) -> Value {
    let answer = if microphone == Microphone::Refused { "=deny" } else { "" };
    let arguments = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--lang=en-GB".to_owned(),
        "--window-size=1280,800".to_owned(),
        format!("--use-fake-ui-for-media-stream{answer}"),
        "--use-fake-device-for-media-stream".to_owned(),
        format!("--user-data-dir={}", profile.display()),
    ];
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"binary": chromium(), "args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    })
}
