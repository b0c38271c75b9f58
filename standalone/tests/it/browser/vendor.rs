//! What Chromium's driver can do beyond WebDriver: give its logs, and pass commands of the DevTools protocol on.

use std::str::FromStr;

use fantoccini::wd::WebDriverCompatibleCommand;
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// A command of the vendor's.
#[derive(Debug)]
pub(crate) struct Vendor {
    path: &'static str,
    body: Value,
}

impl Vendor {
    /// The entries of a log since it was last asked for.
    pub(crate) fn log(kind: &str) -> Self {
        Self { path: "se/log", body: json!({"type": kind}) }
    }

    /// A command of the DevTools protocol.
    pub(crate) fn devtools(command: &str, parameters: Value) -> Self {
        Self { path: "goog/cdp/execute", body: json!({"cmd": command, "params": parameters}) }
    }
}

/// Why an address is none.
type NoUrl = <Url as FromStr>::Err;

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, NoUrl> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
