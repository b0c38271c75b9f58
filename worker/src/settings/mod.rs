//! The worker's configuration, read and checked as a whole. `ai.rs`: the providers of the companion; `apps.rs`: Meta's
//! apps; `dashboard.rs`: the page for operators; `store.rs`: the database.

mod ai;
mod apps;
mod dashboard;
mod store;

use std::time::Duration;

use secrecy::SecretString;
use shared::{
    broker::HEARTBEAT,
    ids::PhoneNumberId,
    settings::{BrokerSettings, ListenAddr, Problems, Reader, Variable, stop_timeout},
    telemetry::TelemetrySettings,
};

use crate::analytics::Prices;

pub use ai::{AiSettings, FallbackAi, SpeechSettings};
pub use apps::{MetaApp, MetaApps};
pub use dashboard::{DashboardSettings, dashboard_addr};
pub use store::StoreSettings;

/// The variables that the worker reads besides the shared ones.
pub const VARIABLES: &[Variable] = &[
    variable("METRICS_ADDR", "127.0.0.1:9101", "serves `/metrics`, `/healthz`, `/readyz`"),
    secret("MONGODB_URI", "required", "`mongodb://` or `mongodb+srv://`; a replica set, of one member at least"),
    variable("MONGODB_DB_NAME", "switchboard", "the database"),
    secret("ENCRYPTION_SECRET", "required", "encrypts and decrypts the businesses' tokens; the back end's own"),
    secret("ENCRYPTION_SECRET_PREVIOUS", "unset", "decrypts tokens that were encrypted before a rotation"),
    variable("WHATSAPP_PHONE_NUMBER_ID", "unset", "fallback: the number id that is answered without a business"),
    secret("WHATSAPP_TOKEN", "unset", "fallback: its access token"),
    variable("META_APP_ID", "unset", "refreshes tokens: the Meta app whose secret stands without an id"),
    secret("WHATSAPP_APP_SECRET", "unset", "refreshes tokens: secrets of the Meta apps, as for ingest"),
    variable("GRAPH_API_URL", "https://graph.facebook.com/v25.0", "Meta's Graph API, with a version"),
    variable("AI_API_URL", "https://api.groq.com/openai/v1", "an OpenAI-compatible API"),
    secret("GROQ_API_KEY", "unset", "its key (`AI_API_KEY` is read too); required for Groq"),
    variable("AI_CHAT_MODEL", "openai/gpt-oss-120b", "the model that answers"),
    variable("AI_VISION_MODEL", "qwen/qwen3.8-27b", "the model that sees pictures; AI_CHAT_MODEL with other APIs"),
    variable("AI_TRANSCRIPTION_MODEL", "whisper-large-v3-turbo", "the model that hears voice messages; `none`: nobody"),
    variable("AI_CA_FILE", "unset", "PEM file of authorities that the AI's servers, and no others, may have besides"),
    variable("AI_REPLY_TOKENS", "2048", "tokens of one answer at most, thinking included"),
    variable("AI_FALLBACK_API_URL", "AI_API_URL", "where AI_FALLBACK_CHAT_MODEL is"),
    secret("AI_FALLBACK_API_KEY", "unset", "its key; GROQ_API_KEY where the URL is the same"),
    variable("AI_FALLBACK_CHAT_MODEL", "unset", "the model that answers where the first one fails"),
    secret("ELEVENLABS_API_KEY", "unset", "speaks answers to voice messages; unset: all answers are written"),
    variable("ELEVENLABS_API_URL", "https://api.elevenlabs.io", "ElevenLabs"),
    variable("ELEVENLABS_VOICE_ID", "unset", "the voice of businesses that name none; unset: those write"),
    variable("ELEVENLABS_MODEL", "eleven_flash_v2_5", "its model"),
    variable("AI_PRICES", "unset", "MODEL=IN/OUT, …: US dollars for a million tokens, for what analytics say of costs"),
    variable("ELEVENLABS_PRICE", "unset", "US dollars for a million characters that are spoken, likewise"),
    variable(
        "ALLOW_INSECURE_TOOLS",
        "false",
        "`true` calls businesses' tools by plain HTTP and in private networks, too",
    ),
    variable("MAX_CONVERSATIONS", "256", "turns at once, 1 to 10000"),
    variable("QUIET_MILLIS", "800", "how long to wait for more messages before answering"),
    variable("LEASE_SECS", "30", "how long a dead worker's conversation stays untouched"),
    variable(
        "SEND_EVIDENCE_SECS",
        "30",
        "how long to wait for a status before a send in doubt is repeated; 3 at least",
    ),
    variable("AI_GIVE_UP_SECS", "120", "AI trouble after which the customer gets an apology"),
    secret(
        "DASHBOARD_SECRET",
        "unset",
        "`dashboard`: what operators sign in with, 16 characters at least; required there",
    ),
    variable("DASHBOARD_ADDR", "127.0.0.1:8100", "`dashboard`: where it is served"),
];

/// A worker that does not reach the database gives back what it was given within that time, or within three heartbeats.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(4);

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, secret: false, meaning }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, secret: true, meaning }
}

/// How tokens are encrypted.
#[derive(Debug, Clone)]
pub struct EncryptionSettings {
    /// Encrypts and decrypts.
    pub current: SecretString,
    /// Only decrypts.
    pub previous: Option<SecretString>,
}

/// A number that is answered without a business in the database.
#[derive(Debug, Clone)]
pub struct FallbackSettings {
    /// The number's id.
    pub phone_number_id: PhoneNumberId,
    /// Its access token.
    pub token: SecretString,
}

/// Times and bounds of the conversation protocol.
#[derive(Debug, Clone, Copy)]
pub struct TurnSettings {
    /// Turns at once.
    pub max_conversations: usize,
    /// Silence before an answer.
    pub quiet: Duration,
    /// How long a lease lasts.
    pub lease: Duration,
    /// How long evidence of a send is waited for.
    pub send_evidence: Duration,
    /// How long AI trouble may last before the apology.
    pub ai_give_up: Duration,
}

/// What messages are answered with, wherever they come from and are kept.
#[derive(Debug, Clone)]
pub struct AnsweringSettings {
    /// Tokens.
    pub encryption: EncryptionSettings,
    /// The fallback business.
    pub fallback: Option<FallbackSettings>,
    /// The apps that issue the businesses' tokens.
    pub apps: MetaApps,
    /// The Graph API's base, with a version and without a slash at its end.
    pub graph_url: String,
    /// The AI provider.
    pub ai: AiSettings,
    /// What it costs.
    pub prices: Prices,
    /// The protocol.
    pub turn: TurnSettings,
}

/// Everything that `worker run` needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Logs.
    pub telemetry: TelemetrySettings,
    /// Where operators ask.
    pub metrics_addr: ListenAddr,
    /// RabbitMQ.
    pub broker: BrokerSettings,
    /// MongoDB.
    pub store: StoreSettings,
    /// How messages are answered.
    pub answering: AnsweringSettings,
    /// How long a stopping worker may finish its work.
    pub stop_timeout: Duration,
}

impl Settings {
    /// Reads everything.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn read(mut reader: Reader) -> Result<Self, Problems> {
        let r = &mut reader;
        let telemetry = TelemetrySettings::read(r);
        let metrics_addr = metrics_addr(r);
        let broker = BrokerSettings::read(r);
        let store = StoreSettings::read(r);
        let answering = AnsweringSettings::read(r);
        let stop_timeout = stop_timeout(r);
        reader.finish()?;
        let (Some(broker), Some(store), Some(answering)) = (broker, store, answering) else {
            unreachable!("what is missing was noted, and ended the reading");
        };
        Ok(Self { telemetry, metrics_addr, broker, store, answering, stop_timeout })
    }
}

impl AnsweringSettings {
    /// Reads it all. None: what is missing was noted as a problem.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let encryption = EncryptionSettings::read(reader);
        let fallback = FallbackSettings::read(reader);
        let apps = MetaApps::read(reader);
        let graph_url = graph_url(reader);
        let ai = AiSettings::read(reader);
        let prices = Prices::read(reader);
        let turn = TurnSettings::read(reader);
        Some(Self { encryption: encryption?, fallback, apps, graph_url, ai, prices, turn })
    }
}

/// Reads `GRAPH_API_URL`.
pub fn graph_url(reader: &mut Reader) -> String {
    reader.base_url("GRAPH_API_URL", "https://graph.facebook.com/v25.0")
}

/// Reads `METRICS_ADDR`.
pub fn metrics_addr(reader: &mut Reader) -> ListenAddr {
    ListenAddr::read(reader, "METRICS_ADDR", "127.0.0.1:9101")
}

impl EncryptionSettings {
    /// Reads `ENCRYPTION_SECRET` and `ENCRYPTION_SECRET_PREVIOUS`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let (current, previous) =
            (reader.required_secret("ENCRYPTION_SECRET"), reader.secret("ENCRYPTION_SECRET_PREVIOUS"));
        Some(Self { current: current?, previous })
    }
}

impl FallbackSettings {
    /// Reads `WHATSAPP_PHONE_NUMBER_ID` and `WHATSAPP_TOKEN`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let number = reader.text("WHATSAPP_PHONE_NUMBER_ID");
        let token = reader.secret("WHATSAPP_TOKEN");
        match (number, token) {
            (Some(number), Some(token)) => match PhoneNumberId::parse(&number) {
                Ok(phone_number_id) => Some(Self { phone_number_id, token }),
                Err(_) => {
                    reader.problem(
                        "WHATSAPP_PHONE_NUMBER_ID",
                        "must be the number's id at Meta: letters and digits only",
                    );
                    None
                }
            },
            (Some(_), None) => {
                reader.problem("WHATSAPP_TOKEN", "is required where WHATSAPP_PHONE_NUMBER_ID is set");
                None
            }
            (None, Some(_)) => {
                reader.problem("WHATSAPP_PHONE_NUMBER_ID", "is required where WHATSAPP_TOKEN is set");
                None
            }
            (None, None) => None,
        }
    }
}

impl TurnSettings {
    /// How often this worker shows RabbitMQ that it is alive. A worker that freezes takes the statuses that it was
    /// given with it, until RabbitMQ has missed it; that must be over before silence about a send counts.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs((self.send_evidence / 3).as_secs()).clamp(Duration::from_secs(1), HEARTBEAT)
    }

    /// How long evidence of a send is waited for: as long as is set, and never so short that a worker could still hold
    /// it which froze, or which gives it back because it does not reach the database.
    pub fn patience(&self) -> Duration {
        self.send_evidence.max(self.heartbeat() * 3).max(GIVEN_BACK_WITHIN)
    }

    /// Reads the times and bounds.
    pub fn read(reader: &mut Reader) -> Self {
        let max_conversations = reader.count("MAX_CONVERSATIONS", 256, 1, 10_000);
        let quiet = reader.count("QUIET_MILLIS", 800, 0, 60_000);
        Self {
            max_conversations: usize::try_from(max_conversations).unwrap_or(usize::MAX),
            quiet: Duration::from_millis(u64::from(quiet)),
            lease: reader.seconds("LEASE_SECS", 30.0, 0.5, 600.0),
            send_evidence: reader.seconds("SEND_EVIDENCE_SECS", 30.0, 0.1, 3_600.0),
            ai_give_up: reader.seconds("AI_GIVE_UP_SECS", 120.0, 0.0, 24.0 * 3_600.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::settings::SHARED_VARIABLES;

    use super::*;

    const REQUIRED: [(&str, &str); 4] = [
        ("RABBITMQ_URL", "amqp://localhost"),
        ("MONGODB_URI", "mongodb://localhost"),
        ("ENCRYPTION_SECRET", "s3cret-one"),
        ("GROQ_API_KEY", "s3cret-two"),
    ];

    #[test]
    fn every_problem_comes_at_once() {
        let wrong = [
            ("MONGODB_URI", "postgres://localhost"),
            ("LEASE_SECS", "0"),
            ("GRAPH_API_URL", "graph.facebook.com"),
            ("WHATSAPP_TOKEN", "EAA"),
            ("MAX_CONVERSATIONS", "-1"),
            ("STOP_TIMEOUT_SECS", "0"),
        ];
        let text = Settings::read(Reader::from_pairs(wrong)).expect_err("wrong").to_string();
        for name in [
            "RABBITMQ_URL",
            "MONGODB_URI",
            "ENCRYPTION_SECRET",
            "LEASE_SECS",
            "GRAPH_API_URL",
            "WHATSAPP_PHONE_NUMBER_ID",
            "MAX_CONVERSATIONS",
            "GROQ_API_KEY",
            "STOP_TIMEOUT_SECS",
        ] {
            assert!(text.contains(name), "{name} is missing: {text}");
        }
        assert!(!text.contains("EAA"));
    }

    #[test]
    fn the_required_variables_are_enough_and_no_secret_prints() {
        let settings = Settings::read(Reader::from_pairs(REQUIRED)).expect("valid");
        assert_eq!(settings.answering.turn.quiet, Duration::from_millis(800));
        assert_eq!(settings.metrics_addr.addr.port(), 9101);
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn the_table_names_what_is_read() {
        let mut reader = Reader::from_pairs(REQUIRED);
        drop(TelemetrySettings::read(&mut reader));
        metrics_addr(&mut reader);
        BrokerSettings::read(&mut reader);
        StoreSettings::read(&mut reader);
        AnsweringSettings::read(&mut reader);
        DashboardSettings::read(&mut reader);
        stop_timeout(&mut reader);
        let mut asked: Vec<_> = reader.asked().iter().filter(|name| **name != "AI_API_KEY").collect();
        let mut listed: Vec<_> = SHARED_VARIABLES.iter().chain(VARIABLES).map(|v| &v.name).collect();
        asked.sort();
        listed.sort();
        assert_eq!(asked, listed);
    }
}
