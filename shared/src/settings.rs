//! Configuration from the environment, checked as a whole.
//!
//! A [`Reader`] collects every problem by variable name while the settings are read, so that one start tells
//! all that is wrong, before a port is bound. Sources, first wins: the process environment, a `.env` file in the
//! working directory. A blank value counts as unset. Every secret `NAME` may be given as `NAME_FILE`, the path
//! of a file that holds it (Docker and Kubernetes mount secrets so). Values never appear in a problem.

mod dotenv;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::Path,
    str::FromStr,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};

use self::dotenv::{Assignment, assignments};
use crate::{broker::BrokerTls, topology::Topology};

/// The exit code for a wrong configuration (`EX_USAGE` of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;

/// One row of the configuration table of the README, which a test holds against this list.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The name in the environment.
    pub name: &'static str,
    /// What applies where it is unset.
    pub default: &'static str,
    /// Whether `NAME_FILE` is read too and the value is kept out of every output.
    pub secret: bool,
    /// What it is for, in one line.
    pub meaning: &'static str,
}

/// The variables that both binaries read.
pub const SHARED_VARIABLES: &[Variable] = &[
    Variable { name: "RABBITMQ_URL", default: "required", secret: true, meaning: "`amqp://` or `amqps://`" },
    Variable {
        name: "RABBITMQ_CA_FILE",
        default: "unset",
        secret: false,
        meaning: "`amqps://`: PEM file of authorities that are trusted besides the public ones",
    },
    Variable {
        name: "RABBITMQ_CERT_FILE",
        default: "unset",
        secret: false,
        meaning: "`amqps://`: PEM file of the certificate that RabbitMQ is shown where it asks",
    },
    Variable { name: "RABBITMQ_KEY_FILE", default: "unset", secret: false, meaning: "PEM file of its key" },
    Variable {
        name: "QUEUE_PREFIX",
        default: "whatsapp",
        secret: false,
        meaning: "first part of every exchange and queue name",
    },
    Variable {
        name: "QUEUE_PARTITIONS",
        default: "8",
        secret: false,
        meaning: "inbound queues, 1 to 256; the same value for every process",
    },
    Variable {
        name: "PUBLISH_TIMEOUT_SECS",
        default: "5",
        secret: false,
        meaning: "how long a publish may wait for RabbitMQ's confirm",
    },
    Variable {
        name: "STOP_TIMEOUT_SECS",
        default: "40",
        secret: false,
        meaning: "how long a stopping process may finish its work",
    },
    Variable { name: "RUST_LOG", default: "info", secret: false, meaning: "log filter, such as `info,worker=debug`" },
    Variable { name: "LOG_FORMAT", default: "text", secret: false, meaning: "`text` or `json`" },
    Variable {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        default: "unset",
        secret: false,
        meaning: "where traces go, by OTLP over HTTP, such as `http://localhost:4318`; unset: nowhere",
    },
    Variable {
        name: "OTEL_EXPORTER_OTLP_HEADERS",
        default: "unset",
        secret: true,
        meaning: "what the collector wants to be sent, such as `api-key=abc`, several with commas between them",
    },
    Variable {
        name: "OTEL_TRACES_SAMPLER_ARG",
        default: "1",
        secret: false,
        meaning: "the part of all traces that is recorded, 0 to 1; ingest decides for the whole trace",
    },
];

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<(String, String)>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem(s):", self.0.len())?;
        self.0.iter().try_for_each(|(name, what)| write!(f, "\n  {name} {what}"))
    }
}

impl Problems {
    /// Each problem: the variable's name, and what completes a sentence that begins with it.
    pub fn list(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Reads variables and collects what is wrong with them.
#[derive(Debug)]
pub struct Reader {
    values: BTreeMap<String, String>,
    /// Variables whose value in the `.env` file would not be what is written there, and on which line. Another program
    /// may want its own so: it is a problem of those that are asked for.
    replaced: BTreeMap<String, usize>,
    problems: Vec<(String, String)>,
    asked: Vec<&'static str>,
}

impl Reader {
    /// The process environment, over a `.env` file where the working directory has one.
    pub fn from_environment() -> Self {
        let mut reader = Self::from_pairs(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        if Path::new(".env").is_file() {
            reader.read_dotenv(Path::new(".env"));
        }
        reader
    }

    /// Values given by the caller, for tests.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        let values = values.filter(|(_, value)| !value.trim().is_empty()).collect();
        Self { values, replaced: BTreeMap::new(), problems: Vec::new(), asked: Vec::new() }
    }

    /// What counts where a variable is unset: another program's defaults are not these.
    #[must_use]
    pub fn with_default(mut self, name: &str, value: &str) -> Self {
        if !self.is_set(name) {
            self.values.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// What a variable says from here on, whatever the environment says.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        for form in [name.to_owned(), format!("{name}_FILE")] {
            self.values.remove(&form);
            self.replaced.remove(&form);
        }
        self.values.insert(name.to_owned(), value.to_owned());
        self
    }

    fn read_dotenv(&mut self, path: &Path) {
        let Ok(text) = std::fs::read_to_string(path) else {
            return self.problem(".env", "exists but cannot be read as text");
        };
        let environment: BTreeSet<String> = self.values.keys().cloned().collect();
        // Whichever form it has there.
        let is_overruled = |name: &str| {
            let other = name.strip_suffix("_FILE").map_or_else(|| format!("{name}_FILE"), str::to_owned);
            environment.contains(name) || environment.contains(&other)
        };
        for (position, assignment) in assignments(&text).into_iter().enumerate() {
            match assignment {
                Assignment::Plain { name, .. } | Assignment::Replaced { name, .. }
                    if is_overruled(&name) || self.values.contains_key(&name) || self.replaced.contains_key(&name) => {}
                Assignment::Plain { value, .. } if value.trim().is_empty() => {}
                Assignment::Plain { name, value } => {
                    self.values.insert(name, value);
                }
                Assignment::Replaced { name, line } => {
                    self.replaced.insert(name, line);
                }
                // dotenvy's own message would repeat the line, which may hold a secret.
                Assignment::Unreadable => {
                    self.problem(".env", format!("has an unreadable assignment (number {})", position + 1));
                }
            }
        }
    }

    /// Notes that a value would not be what is written, where that is so.
    fn refuse_replaced(&mut self, name: &str) {
        if let Some(line) = self.replaced.get(name) {
            let what = format!(
                "has a `$` in the file `.env`, line {line}, that would be replaced: put the value in single quotes, or \
                 write `\\$`"
            );
            self.problem(name, what);
        }
    }

    /// Notes a problem. `what` completes a sentence that begins with the name, and holds no value. What two readers of one
    /// variable find wrong in it is noted once.
    pub fn problem(&mut self, name: impl Into<String>, what: impl Into<String>) {
        let problem = (name.into(), what.into());
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The value, or none where it is unset or blank.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.asked.push(name);
        self.refuse_replaced(name);
        self.values.get(name).map(|value| value.trim().to_owned())
    }

    /// Whether there is a value, right or wrong, in `NAME` or by way of `NAME_FILE`: so that what has a problem
    /// is not reported as missing too.
    pub fn is_set(&self, name: &str) -> bool {
        let is_there = |name: &str| self.values.contains_key(name) || self.replaced.contains_key(name);
        is_there(name) || is_there(&format!("{name}_FILE"))
    }

    /// A value that must be there.
    pub fn required_text(&mut self, name: &'static str) -> Option<String> {
        let value = self.text(name);
        if value.is_none() && !self.replaced.contains_key(name) {
            self.problem(name, "is required");
        }
        value
    }

    /// A secret, from `NAME` or from the file that `NAME_FILE` names.
    pub fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        let file_variable = format!("{name}_FILE");
        self.refuse_replaced(&file_variable);
        let file = self.values.get(&file_variable).map(|path| path.trim().to_owned());
        match (self.text(name), file) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("and {file_variable} are both set; keep one"));
                None
            }
            (Some(value), None) => Some(SecretString::from(value)),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) if !text.trim().is_empty() => Some(SecretString::from(text.trim())),
                Ok(_) => {
                    self.problem(file_variable, format!("names an empty file, {path}"));
                    None
                }
                Err(error) => {
                    self.problem(file_variable, format!("names a file that cannot be read, {path}: {error}"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// A secret that must be there.
    pub fn required_secret(&mut self, name: &'static str) -> Option<SecretString> {
        let value = self.secret(name);
        // What is set and was not read has a problem already.
        if value.is_none() && !self.is_set(name) {
            self.problem(name, format!("is required (or {name}_FILE, the path of a file that holds it)"));
        }
        value
    }

    /// A value of another type, or the default where it is unset. `expected` completes "must be …".
    pub fn parsed<T: FromStr>(&mut self, name: &'static str, default: T, expected: &str) -> T {
        match self.text(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.problem(name, format!("must be {expected}"));
                default
            }
        }
    }

    /// `true` or `false` (also `1` and `0`); unset is false.
    pub fn flag(&mut self, name: &'static str) -> bool {
        match self.text(name).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                self.problem(name, "must be `true` or `false`");
                false
            }
        }
    }

    /// Seconds, fractions allowed, within bounds (also in seconds).
    pub fn seconds(&mut self, name: &'static str, default: f64, least: f64, most: f64) -> Duration {
        let value = self.parsed(name, default, &format!("a number of seconds from {least} to {most}"));
        if !(least..=most).contains(&value) {
            self.problem(name, format!("must be a number of seconds from {least} to {most}"));
            return Duration::from_secs_f64(default);
        }
        Duration::from_secs_f64(value)
    }

    /// A whole number within bounds.
    pub fn count(&mut self, name: &'static str, default: u32, least: u32, most: u32) -> u32 {
        let expected = format!("a whole number from {least} to {most}");
        let value = self.parsed(name, default, &expected);
        if !(least..=most).contains(&value) {
            self.problem(name, format!("must be {expected}"));
            return default;
        }
        value
    }

    /// An `http://` or `https://` base URL, without a slash at its end.
    pub fn base_url(&mut self, name: &'static str, default: &str) -> String {
        let url = self.text(name).unwrap_or_else(|| default.to_owned());
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if !host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace)) {
            self.problem(name, "must be a URL that begins with `https://` or `http://`");
        }
        url.trim_end_matches('/').to_owned()
    }

    /// Everything that was asked for so far, for the test that holds it against the table.
    pub fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every problem that was noted.
    pub fn finish(self) -> Result<(), Problems> {
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems)) }
    }
}

/// How to reach RabbitMQ and what is there.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// `amqp://` or `amqps://`, with the password.
    pub url: SecretString,
    /// What `amqps://` takes besides.
    pub tls: BrokerTls,
    /// Names of exchanges and queues.
    pub topology: Topology,
    /// How long a publish may wait for its confirm.
    pub publish_timeout: Duration,
}

impl BrokerSettings {
    /// Reads `RABBITMQ_URL`, the files of [`BrokerTls`], `QUEUE_PREFIX`, `QUEUE_PARTITIONS` and
    /// `PUBLISH_TIMEOUT_SECS`; none where the URL is missing or wrong, which the reader has noted.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url = reader.required_secret("RABBITMQ_URL");
        let url = url.filter(|url| {
            let valid = crate::broker::is_valid_url(url);
            if !valid {
                reader.problem(
                    "RABBITMQ_URL",
                    "must be a URL such as amqp://user:password@host:5672/vhost (or amqps://)",
                );
            }
            valid
        });
        let tls = BrokerTls::read(reader, url.as_ref());
        let prefix = reader.text("QUEUE_PREFIX").unwrap_or_else(|| "whatsapp".to_owned());
        let wordly = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if prefix.len() > 100 || !prefix.chars().all(wordly) {
            reader.problem("QUEUE_PREFIX", "must be at most 100 letters, digits, '.', '_' and '-'");
        }
        let partitions = reader.count("QUEUE_PARTITIONS", 8, 1, 256);
        let publish_timeout = reader.seconds("PUBLISH_TIMEOUT_SECS", 5.0, 0.1, 60.0);
        let partitions = u16::try_from(partitions).expect("at most 256");
        Some(Self { url: url?, tls, topology: Topology::new(prefix, partitions), publish_timeout })
    }
}

/// Reads `STOP_TIMEOUT_SECS`.
pub fn stop_timeout(reader: &mut Reader) -> Duration {
    reader.seconds("STOP_TIMEOUT_SECS", 40.0, 0.1, 3_600.0)
}

/// The secret of one Meta app, which signs its webhooks and vouches for its Graph calls.
#[derive(Debug, Clone)]
pub struct AppSecret {
    /// The app that it belongs to, where the operator said so.
    pub app_id: Option<String>,
    /// The secret itself.
    pub secret: SecretString,
}

/// Reads `WHATSAPP_APP_SECRET`: one or several, separated by commas, each `secret` or `app_id:secret`. An app id
/// is all digits. Empty where it is unset; an item that is wrong is noted in the reader and left out.
pub fn app_secrets(reader: &mut Reader) -> Vec<AppSecret> {
    const NAME: &str = "WHATSAPP_APP_SECRET";
    let Some(list) = reader.secret(NAME) else { return Vec::new() };
    let mut secrets = Vec::new();
    for (position, item) in list.expose_secret().split(',').enumerate() {
        match app_secret(item.trim()) {
            Ok(secret) => secrets.push(secret),
            Err(what) => reader.problem(NAME, format!("{what} (item {} of its list)", position + 1)),
        }
    }
    secrets
}

fn app_secret(item: &str) -> Result<AppSecret, &'static str> {
    let (app_id, secret) = match item.split_once(':') {
        Some((app_id, secret)) => (Some(app_id.trim()), secret.trim()),
        None => (None, item),
    };
    if app_id.is_some_and(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit())) {
        return Err("must have an app id, all digits, in front of the colon");
    }
    if secret.is_empty() {
        return Err("holds an empty secret");
    }
    Ok(AppSecret { app_id: app_id.map(str::to_owned), secret: SecretString::from(secret) })
}

/// Where a process listens, and whether the operator asked for that very address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr {
    /// The address; port 0 takes any free one.
    pub addr: SocketAddr,
    /// False where it is the default.
    pub explicit: bool,
}

impl ListenAddr {
    /// Reads an `IP:port` (a bare `:port` means all addresses).
    pub fn read(reader: &mut Reader, name: &'static str, default: &str) -> Self {
        let default = default.parse().expect("defaults are valid addresses");
        let text = reader.text(name);
        let explicit = text.is_some();
        let text = text.map(|text| if text.starts_with(':') { format!("0.0.0.0{text}") } else { text });
        let addr = match text.map(|text| text.replacen("localhost:", "127.0.0.1:", 1).parse()) {
            None => default,
            Some(Ok(addr)) => addr,
            Some(Err(_)) => {
                reader.problem(name, "must be an address and a port, such as 0.0.0.0:8000");
                default
            }
        };
        Self { addr, explicit }
    }
}

#[cfg(test)]
mod tests;
