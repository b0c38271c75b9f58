//! What somebody said in a recording, and how sure that is.
//!
//! A recording in which nobody speaks still gets words from a model of speech: it has learned what usually stands at
//! the end of a film. So what comes back is believed as far as the model itself does.

use std::time::Duration;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::{AiError, Provider, counted, exchange, language_code};

const TIMEOUT: Duration = Duration::from_secs(60);
const OGG: &str = "audio/ogg";
/// Whisper reads 224 tokens of context (OpenAI, "Speech to text"); in characters, on the safe side.
const CONTEXT_CHARS: usize = 400;
/// An average log probability below this is a guess (the threshold of OpenAI's own decoder).
const GUESS_BELOW: f64 = -1.0;
/// From here on there is probably no speech (the same source).
const NO_SPEECH_FROM: f64 = 0.6;
/// Text that compresses better than this repeats itself (the same source).
const LOOPS_ABOVE: f64 = 2.4;

/// What may help.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint<'a> {
    /// The language that is probably spoken, by ISO 639-1.
    pub language: Option<&'a str>,
    /// What was said before, in the same language.
    pub context: &'a str,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Words.
    Words {
        /// Which; never blank.
        text: String,
        /// The language, by ISO 639-1, where the provider tells.
        language: Option<&'static str>,
        /// The model itself is not sure of them.
        doubtful: bool,
    },
    /// No words.
    Nothing,
}

impl Heard {
    /// What a provider answered with HTTP 2xx.
    ///
    /// # Errors
    /// [`AiError::Useless`].
    pub fn from_answer(body: &[u8]) -> Result<Self, AiError> {
        read(&serde_json::from_slice(body).map_err(|_| AiError::Useless("no JSON"))?)
    }
}

/// A model of speech. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transcriber {
    provider: Provider,
    model: String,
}

impl Transcriber {
    /// A model of a provider.
    pub fn new(provider: Provider, model: String) -> Self {
        Self { provider, model }
    }

    /// Which model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where it is.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// What is said in a recording of that MIME type.
    ///
    /// # Errors
    /// [`AiError`].
    pub async fn transcribe(&self, recording: Bytes, mime_type: &str, hint: Hint<'_>) -> Result<Heard, AiError> {
        let length = u64::try_from(recording.len()).unwrap_or(u64::MAX);
        let file = || Part::stream_with_length(recording.clone(), length).file_name(file_name(mime_type));
        // Customers' devices say what they like; WhatsApp's own recordings are OGG.
        let file = file().mime_str(mime_type).or_else(|_| file().mime_str(OGG));
        let file = file.map_err(|_| AiError::Useless("the recording's type is no MIME type"))?;
        let mut form = Form::new()
            .text("model", self.model.clone())
            .text("response_format", "verbose_json")
            .text("temperature", "0")
            .part("file", file);
        if let Some(language) = hint.language {
            form = form.text("language", language.to_owned());
        }
        let context = hint.context.trim();
        if !context.is_empty() {
            // The end of it is what counts.
            let skipped = context.chars().count().saturating_sub(CONTEXT_CHARS);
            form = form.text("prompt", context.chars().skip(skipped).collect::<String>());
        }
        let request = self.provider.post("audio/transcriptions").multipart(form);
        let listening = async {
            let bytes = exchange(request, TIMEOUT).await?;
            Heard::from_answer(&bytes)
        };
        counted("transcription", listening).await
    }
}

/// Providers go by the ending. `.opus` is refused by OpenAI for the very bytes that it takes as `.ogg`.
fn file_name(mime_type: &str) -> &'static str {
    match mime_type {
        "audio/mpeg" | "audio/mp3" => "voice.mp3",
        "audio/mp4" | "audio/m4a" | "audio/x-m4a" => "voice.m4a",
        "audio/aac" => "voice.aac",
        "audio/amr" => "voice.amr",
        "audio/wav" | "audio/x-wav" => "voice.wav",
        "audio/webm" => "voice.webm",
        "audio/flac" => "voice.flac",
        _ => "voice.ogg",
    }
}

fn read(body: &Value) -> Result<Heard, AiError> {
    let text = body.get("text").and_then(Value::as_str).ok_or(AiError::Useless("no text"))?.trim().to_owned();
    let segments = body.get("segments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let figure = |segment: &Value, name: &str| segment.get(name).and_then(Value::as_f64);
    let silent = |segment: &Value| figure(segment, "no_speech_prob").is_some_and(|p| p >= NO_SPEECH_FROM);
    let guessed = |segment: &Value| {
        figure(segment, "avg_logprob").is_some_and(|p| p < GUESS_BELOW)
            || figure(segment, "compression_ratio").is_some_and(|ratio| ratio > LOOPS_ABOVE)
    };
    let spoken: Vec<&Value> = segments.iter().filter(|segment| !silent(segment)).collect();
    if text.is_empty() || (!segments.is_empty() && spoken.is_empty()) {
        return Ok(Heard::Nothing);
    }
    let doubtful = 2 * spoken.iter().filter(|segment| guessed(segment)).count() > spoken.len();
    let language = body.get("language").and_then(Value::as_str).and_then(language_code);
    Ok(Heard::Words { text, language, doubtful })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(segments: &[(f64, f64)]) -> Heard {
        let segment = |(logprob, no_speech): &(f64, f64)| json!({"avg_logprob": logprob, "no_speech_prob": no_speech});
        let segments: Vec<_> = segments.iter().map(segment).collect();
        read(&json!({"text": " Hola ", "language": "Spanish", "segments": segments})).expect("read")
    }

    #[test]
    fn words_are_believed_as_far_as_the_model_does() {
        let words = |doubtful| Heard::Words { text: "Hola".to_owned(), language: Some("es"), doubtful };
        assert_eq!(heard(&[(-0.2, 0.01)]), words(false));
        assert_eq!(heard(&[(-1.4, 0.01)]), words(true));
        assert_eq!(heard(&[(-0.2, 0.01), (-0.3, 0.01), (-1.4, 0.1)]), words(false), "most of it is sure");
        assert_eq!(heard(&[(-0.2, 0.9)]), Heard::Nothing, "words that nobody spoke");
        assert_eq!(heard(&[]), words(false), "a provider that says nothing about it is believed");
    }

    #[test]
    fn silence_and_nonsense_are_told_apart() {
        assert_eq!(read(&json!({"text": "  "})).expect("read"), Heard::Nothing);
        assert!(read(&json!({})).is_err());
        assert!(read(&json!([])).is_err());
    }
}
