//! `companion` in a business's document: all of it optional, read leniently, checked while it is read.
//!
//! [`CompanionSettings::read`] and [`CompanionSettings::check`] are one reader, so what the worker uses and what
//! `worker business check` reports cannot differ. A field of the wrong type counts as absent. Every text is bounded, so
//! that no document can fill the prompt.

mod describe;
mod hand_over;
mod knowledge;
mod limits;
mod notify;
mod opening_hours;
mod places;
mod tools;
mod voice;

use std::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::Value;

pub use describe::local_time;
pub use hand_over::HandOverSettings;
pub use knowledge::KnowledgeText;
pub use limits::Limits;
pub use notify::NotifySettings;
pub use opening_hours::OpeningHours;
pub use places::Place;
pub use tools::{ToolHeader, ToolSettings};
pub use voice::{VoiceReply, VoiceSettings};

use super::{
    field::{Field, Fields, nearest, quoted},
    finding::{Finding, Findings},
    token::{Secrets, TokenCipher},
};

/// Characters of a text of an operator.
const TEXT_MOST: usize = 8_000;
/// Characters of a greeting, which the companion repeats word by word.
const GREETING_MOST: usize = 1_000;
/// Characters of the name of something: a language, a model, a voice.
const WORD_MOST: usize = 200;
/// How long a customer may be waited for.
const QUIET_MOST_MILLIS: f64 = 60_000.0;

const KNOWN: [&str; 19] = [
    "persona",
    "instructions",
    "scope",
    "language",
    "model",
    "temperature",
    "greeting",
    "apology",
    "quietMillis",
    "inDoubt",
    "voice",
    "knowledge",
    "handOver",
    "optOut",
    "limits",
    "timezone",
    "openingHours",
    "locations",
    "tools",
];

/// How a business's companion should be.
#[derive(Debug, Clone, Default)]
pub struct CompanionSettings {
    /// Who speaks, such as "Lina, who runs the front desk".
    pub persona: Option<String>,
    /// What to do and not to do.
    pub instructions: Option<String>,
    /// What it may talk about.
    pub scope: Option<String>,
    /// A language, or none to follow the customer (`auto`).
    pub language: Option<String>,
    /// A chat model of the provider, instead of the installation's.
    pub model: Option<String>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// How a new customer is greeted.
    pub greeting: Option<String>,
    /// What a customer gets when the AI fails for good.
    pub apology: Option<String>,
    /// How long to wait for more messages.
    pub quiet: Option<Duration>,
    /// What becomes of a message where nobody can tell whether it was sent: `resend` or `dead`.
    pub in_doubt: InDoubt,
    /// Whether and how it speaks.
    pub voice: VoiceSettings,
    /// What it knows; 6,000 characters at most together.
    pub knowledge: Vec<KnowledgeText>,
    /// When a person takes over.
    pub hand_over: HandOverSettings,
    /// Whether STOP and the like are messages like any other (`optOut` is false).
    pub ignores_stop: bool,
    /// How much it may do.
    pub limits: Limits,
    /// Where the business is.
    pub timezone: Option<TimeZone>,
    /// When the business is open.
    pub opening_hours: Option<OpeningHours>,
    /// Places that it can send.
    pub locations: Vec<Place>,
    /// HTTP tools of the business; 16 at most.
    pub tools: Vec<ToolSettings>,
}

/// What a business wants where nobody can tell whether a message was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum InDoubt {
    /// It is sent again: twice rather than never.
    #[default]
    Resend,
    /// It is left to a person: never rather than twice.
    Dead,
}

impl CompanionSettings {
    /// Reads the sub-document without any secret of it: the values of the tools' headers are
    /// [`TokenError::Undecrypted`](super::TokenError::Undecrypted).
    pub fn read(companion: &Value) -> Self {
        Self::gather(&Field::root("companion", companion, &Findings::default()), Secrets::Sealed)
    }

    /// Reads the sub-document with its secrets.
    pub fn read_with(companion: &Value, cipher: &TokenCipher) -> Self {
        Self::gather(&Field::root("companion", companion, &Findings::default()), Secrets::Stored(cipher))
    }

    /// What is wrong with the sub-document, by [`Self::read`]'s own reading. Secrets are not looked into.
    pub fn check(companion: &Value) -> Vec<Finding> {
        let findings = Findings::default();
        Self::gather(&Field::root("companion", companion, &findings), Secrets::Sealed);
        findings.into_list()
    }

    /// The time zone in which the opening hours count: UTC, where the business names none.
    pub fn zone(&self) -> TimeZone {
        self.timezone.clone().unwrap_or(TimeZone::UTC)
    }

    /// The one reader.
    pub(super) fn gather(companion: &Field<'_>, secrets: Secrets<'_>) -> Self {
        if companion.value.is_null() {
            return Self::default();
        }
        let Some(fields) = companion.object(&KNOWN) else { return Self::default() };
        let text = |name: &str, most| fields.get(name).and_then(|field| field.text(most));
        let word = |name: &str| fields.get(name).and_then(|field| field.word(WORD_MOST));
        let settings = Self {
            persona: text("persona", TEXT_MOST),
            instructions: text("instructions", TEXT_MOST),
            scope: text("scope", TEXT_MOST),
            language: word("language").filter(|language| !language.eq_ignore_ascii_case("auto")),
            model: word("model"),
            temperature: fields.get("temperature").and_then(|field| field.number(0.0..=2.0)),
            greeting: text("greeting", GREETING_MOST),
            apology: text("apology", TEXT_MOST),
            quiet: fields.get("quietMillis").and_then(|field| quiet(&field)),
            in_doubt: fields.get("inDoubt").and_then(|field| in_doubt(&field)).unwrap_or_default(),
            voice: fields.get("voice").map(|field| voice::read(&field)).unwrap_or_default(),
            knowledge: fields.get("knowledge").map(|field| knowledge::read(&field)).unwrap_or_default(),
            hand_over: fields.get("handOver").map(|field| hand_over::read(&field, secrets)).unwrap_or_default(),
            ignores_stop: fields.get("optOut").and_then(|field| field.flag()) == Some(false),
            limits: fields.get("limits").map(|field| limits::read(&field)).unwrap_or_default(),
            timezone: fields.get("timezone").and_then(|field| timezone(&field)),
            opening_hours: fields.get("openingHours").and_then(|field| opening_hours::read(&field)),
            locations: fields.get("locations").map(|field| places::read(&field)).unwrap_or_default(),
            tools: fields.get("tools").map(|field| tools::read(&field, secrets)).unwrap_or_default(),
        };
        settings.compare(&fields);
        settings
    }

    /// What can be said of several fields together only.
    fn compare(&self, fields: &Fields<'_>) {
        if self.opening_hours.is_some() && self.timezone.is_none() {
            let problem = "is missing; until it names one, such as `Europe/Berlin`, openingHours count in UTC";
            fields.at("timezone").warn(problem);
        }
    }
}

fn quiet(field: &Field<'_>) -> Option<Duration> {
    Some(Duration::from_secs_f64(field.number(0.0..=QUIET_MOST_MILLIS)? / 1_000.0))
}

fn in_doubt(field: &Field<'_>) -> Option<InDoubt> {
    field.choice(&[("resend", InDoubt::Resend), ("dead", InDoubt::Dead)])
}

/// By the database that is part of the binary, whether the machine has one or not: all workers agree then.
fn timezone(field: &Field<'_>) -> Option<TimeZone> {
    let name = field.word(WORD_MOST)?;
    let database = TimeZoneDatabase::bundled();
    if let Some(zone) = database.get(&name).ok().filter(|zone| !zone.is_unknown()) {
        return Some(zone);
    }
    let known: Vec<String> = database.available().map(|name| name.as_str().to_owned()).collect();
    let hint = match nearest(&name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write one such as `Europe/Berlin`".to_owned(),
    };
    field.error(format!("is `{}`, which is no name of the IANA time zone database; {hint}", quoted(&name)));
    None
}

#[cfg(test)]
mod tests;
