//! What standalone is told, checked as a whole before a port is bound.
//!
//! Whoever names anything of Meta's wants to serve Meta, and then everything that this takes must be there. Otherwise it
//! is the demonstration, which needs nothing.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ingest::settings::WebhookSettings;
use secrecy::SecretString;
use shared::{
    settings::{ListenAddr, Problems, Reader, Variable, stop_timeout},
    telemetry::TelemetrySettings,
};
use worker::settings::AnsweringSettings;

/// Where operators look, unless METRICS_ADDR says otherwise.
pub const METRICS_ADDR: &str = "127.0.0.1:9102";
const ADDR: &str = "127.0.0.1:8000";
const DB: &str = "switchboard.db";
/// What tells that Meta is to be served.
const META: &[&str] = &[
    "WHATSAPP_VERIFY_TOKEN",
    "WHATSAPP_APP_SECRET",
    "META_APP_ID",
    "WHATSAPP_PHONE_NUMBER_ID",
    "WHATSAPP_TOKEN",
    "ALLOW_UNSIGNED",
];
/// Where a stand-in will be, until it is known.
const STAND_IN: &str = "http://127.0.0.1";

/// The variables with another meaning or default than elsewhere.
pub const VARIABLES: &[Variable] = &[
    Variable { name: "SWITCHBOARD_DB", default: DB, secret: false, meaning: "the file that everything is in" },
    Variable {
        name: "INGEST_ADDR",
        default: ADDR,
        secret: false,
        meaning: "where webhooks arrive and the page is served",
    },
    Variable {
        name: "METRICS_ADDR",
        default: METRICS_ADDR,
        secret: false,
        meaning: "serves `/metrics`, `/healthz` and `/readyz`",
    },
];

/// Everything that it is told. Prints without its secrets.
#[derive(Debug)]
pub struct Settings {
    /// The file.
    pub db: PathBuf,
    /// Where webhooks arrive and the page is served.
    pub addr: SocketAddr,
    /// Logs.
    pub telemetry: TelemetrySettings,
    /// Where operators look.
    pub metrics_addr: ListenAddr,
    /// How long a webhook may take to land.
    pub landing_timeout: Duration,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// Whose webhooks are taken.
    pub webhooks: WebhookSettings,
    /// How messages are answered.
    pub answering: AnsweringSettings,
    /// The demonstration, if it is that.
    pub demo: Option<DemoSettings>,
}

/// The demonstration.
#[derive(Debug)]
pub struct DemoSettings {
    /// With which the stand-in for Meta signs.
    pub app_secret: SecretString,
    /// Whether a stand-in answers in the AI's place.
    pub ai_stands_in: bool,
}

impl Settings {
    /// Reads everything; `db` and `addr` are the command line's.
    ///
    /// # Errors
    /// Every problem at once, by variable name.
    pub fn read(reader: Reader, db: Option<PathBuf>, addr: Option<SocketAddr>) -> Result<Self, Problems> {
        let is_demo = !META.iter().any(|name| reader.is_set(name));
        let (mut reader, demo) = if is_demo { demo(reader) } else { (reader, None) };
        let settings = Self::read_from(&mut reader, db, addr, demo);
        reader.finish()?;
        Ok(settings.expect("whatever keeps the settings from being complete was noted as a problem"))
    }

    fn read_from(
        reader: &mut Reader,
        db: Option<PathBuf>,
        addr: Option<SocketAddr>,
        demo: Option<DemoSettings>,
    ) -> Option<Self> {
        let db = path_of(reader, db);
        let told = ListenAddr::read(reader, "INGEST_ADDR", ADDR).addr;
        let telemetry = TelemetrySettings::read(reader);
        let metrics_addr = ListenAddr::read(reader, "METRICS_ADDR", METRICS_ADDR);
        let landing_timeout = reader.seconds("PUBLISH_TIMEOUT_SECS", 5.0, 0.1, 600.0);
        let stop_timeout = stop_timeout(reader);
        let webhooks = WebhookSettings::read(reader, false);
        let answering = AnsweringSettings::read(reader);
        Some(Self {
            db,
            addr: addr.unwrap_or(told),
            telemetry,
            metrics_addr,
            landing_timeout,
            stop_timeout,
            webhooks: webhooks?,
            answering: answering?,
            demo,
        })
    }
}

/// The file: the command line's, or the environment's.
pub fn path_of(reader: &mut Reader, given: Option<PathBuf>) -> PathBuf {
    let told = reader.text("SWITCHBOARD_DB").map(PathBuf::from);
    given.or(told).unwrap_or_else(|| PathBuf::from(DB))
}

/// Notes what is wrong with how webhooks are taken, where they are to be.
pub fn check_webhooks(reader: &mut Reader) {
    if META.iter().any(|name| reader.is_set(name)) {
        drop(WebhookSettings::read(reader, false));
    }
}

/// What a demonstration needs and nobody has to give. Its secrets are fresh at each start: what they protect is made
/// anew then, too.
fn demo(reader: Reader) -> (Reader, Option<DemoSettings>) {
    let app_secret = random();
    let ai_stands_in = !["GROQ_API_KEY", "AI_API_KEY", "AI_API_URL"].iter().any(|name| reader.is_set(name));
    let reader = reader
        .with_default("RUST_LOG", "warn")
        .with_default("ENCRYPTION_SECRET", &random())
        .with("WHATSAPP_VERIFY_TOKEN", &random())
        .with("WHATSAPP_APP_SECRET", &app_secret)
        .with("GRAPH_API_URL", STAND_IN);
    let reader = if ai_stands_in {
        reader
            .with("AI_API_URL", STAND_IN)
            .with("ELEVENLABS_API_URL", STAND_IN)
            .with("ELEVENLABS_API_KEY", "none")
            .with("ELEVENLABS_VOICE_ID", "demo")
    } else {
        reader
    };
    (reader, Some(DemoSettings { app_secret: SecretString::from(app_secret), ai_stands_in }))
}

fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Problems> {
        Settings::read(Reader::from_pairs(pairs.iter().copied()), None, None)
    }

    #[test]
    fn nothing_at_all_is_the_demonstration() {
        let settings = read(&[]).expect("it needs nothing");
        assert!(settings.demo.is_some_and(|demo| demo.ai_stands_in));
        assert!(settings.addr.ip().is_loopback() && settings.metrics_addr.addr.ip().is_loopback());
        assert_eq!(settings.db, PathBuf::from("switchboard.db"));
    }

    #[test]
    fn a_key_brings_a_real_model_into_the_demonstration() {
        let settings = read(&[("GROQ_API_KEY", "s3cret")]).expect("valid");
        assert!(settings.demo.is_some_and(|demo| !demo.ai_stands_in));
        assert!(settings.answering.ai.base_url.contains("groq.com") && settings.answering.ai.speech.is_none());
    }

    #[test]
    fn whoever_names_anything_of_metas_is_told_what_else_it_takes() {
        for name in META {
            let given = if *name == "ALLOW_UNSIGNED" { "true" } else { "1" };
            let text = read(&[(name, given)]).expect_err("it is not enough").to_string();
            assert!(text.contains("ENCRYPTION_SECRET") && text.contains("GROQ_API_KEY"), "{name}: {text}");
            assert!(!text.contains("RABBITMQ") && !text.contains("MONGODB"), "{text}");
        }
    }

    #[test]
    fn with_credentials_it_serves_meta_and_no_secret_prints() {
        let given = [
            ("WHATSAPP_VERIFY_TOKEN", "s3cret-1"),
            ("WHATSAPP_APP_SECRET", "s3cret-2"),
            ("ENCRYPTION_SECRET", "s3cret-3"),
            ("GROQ_API_KEY", "s3cret-4"),
            ("SWITCHBOARD_DB", "/data/sb.db"),
        ];
        let settings = read(&given).expect("valid");
        assert!(settings.demo.is_none() && settings.answering.graph_url.contains("graph.facebook.com"));
        assert_eq!(settings.db, PathBuf::from("/data/sb.db"));
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}
