//! Transcription: the form that asks for it, and the answer as Whisper gives it at Groq and OpenAI.
//!
//! A [`Transcript`] says the words and how sure the model is of them. Only `response_format=verbose_json` shows the
//! latter, as with the providers.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ChatReply;
use crate::journal::Credential;

/// A request for the words of a recording as a responder sees it.
#[derive(Debug, Clone)]
pub struct TranscriptionRequest {
    /// The how manieth request to this stand-in, from 0.
    pub number: u64,
    /// The model that was asked for.
    pub model: String,
    /// Whose key came with it.
    pub credential: Credential,
    /// The fields of the form; `file` tells its name, type and size.
    pub fields: Value,
    /// The recording.
    pub bytes: Bytes,
}

impl TranscriptionRequest {
    /// The language that was hinted at, as ISO 639-1.
    pub fn language(&self) -> Option<&str> {
        self.field("language")
    }

    /// The words which show the model how things are spelt.
    pub fn prompt(&self) -> Option<&str> {
        self.field("prompt")
    }

    /// A field of the form that is no file.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }
}

/// What a model heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The words.
    pub text: String,
    /// The language by its English name, such as `English`.
    pub language: String,
    /// The average log probability of the words: 0.0 is certain, below -1.0 is guesswork.
    pub avg_logprob: f64,
    /// The probability that nobody speaks, from 0.0 to 1.0.
    pub no_speech_prob: f64,
}

impl Transcript {
    /// Words that were heard clearly, in English.
    pub fn of(text: impl Into<String>) -> Self {
        let (text, language) = (text.into(), "English".to_owned());
        Self { text, language, avg_logprob: -0.2, no_speech_prob: 0.01 }
    }

    /// Words that the model is not sure of.
    pub fn unsure(text: impl Into<String>) -> Self {
        Self { avg_logprob: -1.4, no_speech_prob: 0.3, ..Self::of(text) }
    }

    /// A recording in which nobody speaks. Whisper makes up a courtesy for those, and doubts it.
    pub fn silence() -> Self {
        Self { avg_logprob: -1.1, no_speech_prob: 0.96, ..Self::of("Thank you.") }
    }

    /// The same words in another language, by its English name.
    #[must_use]
    pub fn in_language(self, language: impl Into<String>) -> Self {
        Self { language: language.into(), ..self }
    }

    /// The same words with another average log probability.
    #[must_use]
    pub fn with_avg_logprob(self, avg_logprob: f64) -> Self {
        Self { avg_logprob, ..self }
    }

    /// The same words with another probability that nobody speaks.
    #[must_use]
    pub fn with_no_speech_prob(self, no_speech_prob: f64) -> Self {
        Self { no_speech_prob, ..self }
    }

    /// The body of the answer, with what Groq adds to OpenAI's. Without words there are no segments.
    pub(super) fn to_json(&self, request: &TranscriptionRequest) -> Value {
        let id = json!({"id": format!("req_{}", request.number)});
        if request.field("response_format") != Some("verbose_json") {
            return json!({"text": self.text, "x_groq": id});
        }
        let duration = seconds(request.bytes.len());
        let segment = json!({
            "id": 0, "seek": 0, "start": 0.0, "end": duration, "text": self.text, "tokens": [], "temperature": 0.0,
            "avg_logprob": self.avg_logprob, "compression_ratio": 1.2, "no_speech_prob": self.no_speech_prob,
        });
        let segments = if self.text.is_empty() { json!([]) } else { json!([segment]) };
        json!({
            "task": "transcribe", "language": self.language, "duration": duration, "text": self.text,
            "segments": segments, "x_groq": id,
        })
    }
}

impl From<Transcript> for ChatReply {
    fn from(transcript: Transcript) -> Self {
        Self::Transcript(transcript)
    }
}

/// How long a recording of this size lasts, at the 16 kbit/s of a voice note.
fn seconds(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 2_000.0
}
