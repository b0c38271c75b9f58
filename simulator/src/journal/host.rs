//! What reached a host that is neither Meta nor the AI.
//!
//! Everything that came is shown but for secrets: whose `Authorization` it was, and not which.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Credential;

/// See [`super::Event::HostRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRequest {
    /// A number that no other request has.
    pub request: u64,
    /// The host that it reached, by its base URL.
    pub host: String,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// What is behind the `?`, as it came.
    pub query: Option<String>,
    /// Whose secret came in `Authorization`.
    pub credential: Credential,
    /// All headers but `Authorization`, in order, with lower-case names. A known secret in one is replaced.
    pub headers: Vec<(String, String)>,
    /// The body: JSON where it is some, else a string; `null` where there is none, and the size and the SHA-256 of
    /// what is no text.
    pub body: Value,
}

impl HostRequest {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
