//! One message of a reply: its words, the form in which they are sent, and how far it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::ids::MessageId;

/// One message of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its words. They say all that there is to say, so that a form which fails can be sent as plain text.
    pub body: String,
    /// The form in which they are sent.
    pub form: PartForm,
    /// How far it is.
    pub state: PartState,
    /// Meta's id, once it is known.
    pub wamid: Option<MessageId>,
    /// How often it was tried.
    pub tries: u32,
    /// How many of these are known not to have reached the customer.
    pub not_sent: u32,
    /// When the last try began, by the database's clock.
    pub last_try_at: Option<Timestamp>,
}

impl Part {
    /// A part that nobody has tried to send.
    pub fn waiting(body: String, form: PartForm) -> Self {
        Self { body, form, state: PartState::Waiting, wamid: None, tries: 0, not_sent: 0, last_try_at: None }
    }
}

/// In which form a part is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PartForm {
    /// As text.
    #[default]
    Text,
    /// As a voice note that was uploaded to Meta.
    Voice {
        /// Its id there, valid for 30 days (Meta, "Media").
        media_id: String,
    },
    /// As text with reply buttons, or a list where there are more, or more to say about them.
    Choices {
        /// The words above them: the part's body ends with the choices in words, and these do not.
        text: String,
        /// What the list's button says.
        button: String,
        /// What may be chosen.
        choices: Vec<Choice>,
    },
    /// As a place on the map. Degrees are decimal text, as they were written.
    Location {
        /// North of the equator.
        latitude: String,
        /// East of Greenwich.
        longitude: String,
        /// Its name.
        name: String,
        /// Its address.
        address: Option<String>,
    },
}

impl PartForm {
    /// Whether it is plain text.
    pub fn is_text(&self) -> bool {
        *self == Self::Text
    }

    /// A closed word for metrics and the transcript.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Voice { .. } => "audio",
            Self::Choices { .. } => "interactive",
            Self::Location { .. } => "location",
        }
    }
}

/// Something that a customer may choose.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// What it is called.
    pub title: String,
    /// What there is to say about it.
    pub description: Option<String>,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// Not sent, for certain.
    Waiting,
    /// A try was begun, and may have reached Meta.
    Sending,
    /// Meta has it.
    Sent,
}
