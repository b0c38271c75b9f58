//! Speech: what is to be spoken, as ElevenLabs is asked, and what may be answered.
//!
//! Without a script each request gets a silent voice note of its own, so that the journal can tell by the bytes of a
//! file which words it says.

use std::time::Duration;

use serde_json::Value;

use crate::{
    files::{named_voice_note, silent_mp3},
    journal::Credential,
};

/// A request for speech as a responder sees it.
#[derive(Debug, Clone)]
pub struct SpeechRequest {
    /// What the journal's events of this request have in common.
    pub request: u64,
    /// The voice in the path.
    pub voice_id: String,
    /// What is to be spoken.
    pub text: String,
    /// `model_id`, where one was asked for.
    pub model: Option<String>,
    /// `output_format` of the query, where it was named; ElevenLabs' own default is an MP3.
    pub output_format: Option<String>,
    /// Whose key came with it.
    pub credential: Credential,
    /// The whole body, with the voice and the format.
    pub body: Value,
}

impl SpeechRequest {
    pub(super) fn read(request: u64, credential: Credential, body: Value) -> Self {
        let text = |key| body.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            request,
            voice_id: text("voice_id").unwrap_or_default(),
            text: text("text").unwrap_or_default(),
            model: text("model_id"),
            output_format: text("output_format"),
            credential,
            body,
        }
    }

    /// A silent voice note that belongs to this request alone.
    pub fn voice_note(&self) -> Vec<u8> {
        named_voice_note(&format!("speech-{}", self.request))
    }
}

/// What a responder wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpeechReply {
    /// A recording.
    Audio {
        /// Its `Content-Type`, such as `audio/ogg`.
        mime_type: String,
        /// The file itself.
        bytes: Vec<u8>,
    },
    /// An error.
    Status {
        /// The HTTP status.
        code: u16,
        /// A `Retry-After` header, in seconds.
        retry_after: Option<Duration>,
        /// The body; an empty one becomes ElevenLabs' usual error object.
        body: String,
    },
    /// Something else, later.
    Delay(Duration, Box<SpeechReply>),
    /// No answer, until the client gives up.
    Hang,
    /// The connection is cut.
    Drop,
}

impl SpeechReply {
    /// A recording as Ogg.
    pub fn ogg(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Audio { mime_type: "audio/ogg".to_owned(), bytes: bytes.into() }
    }

    /// A recording as MP3.
    pub fn mp3(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Audio { mime_type: "audio/mpeg".to_owned(), bytes: bytes.into() }
    }

    /// ElevenLabs' usual error with this HTTP status.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, body: String::new() }
    }

    /// The same reply, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Delay(delay, Box::new(self))
    }
}

/// The answer where the test has no opinion: a voice note, or an MP3 for whoever asks for what is no Opus.
pub(super) fn speak(request: &SpeechRequest) -> SpeechReply {
    match request.output_format.as_deref() {
        Some(format) if !format.starts_with("opus") => SpeechReply::mp3(silent_mp3()),
        Some(_) | None => SpeechReply::ogg(request.voice_note()),
    }
}
