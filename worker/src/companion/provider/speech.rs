//! Words as a voice note, by ElevenLabs.
//!
//! WhatsApp plays a voice note that is OGG with Opus in one channel and at most 512 KB (Meta, "Audio messages").
//! ElevenLabs can answer in that very form, so nothing is converted here; what comes is looked at, and anything else is
//! no voice note.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{AiError, counted, exchange};

const TIMEOUT: Duration = Duration::from_secs(40);
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Beyond it WhatsApp shows a download instead of a voice note (Meta, "Audio messages").
pub const SPEECH_BYTES_MOST: usize = 512 * 1024;
/// Opus in OGG, 48 kHz, 32 kbit/s (ElevenLabs, "Create speech").
const FORMAT: &str = "opus_48000_32";

/// A voice of ElevenLabs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Speaker {
    client: Client,
    base_url: String,
    key: SecretString,
    model: String,
    voice_id: Option<String>,
}

impl Speaker {
    /// `base_url` as in `https://api.elevenlabs.io`; `voice_id` is the installation's.
    pub fn new(client: Client, base_url: &str, key: SecretString, model: String, voice_id: Option<String>) -> Self {
        let base_url = base_url.strip_suffix("/v1").unwrap_or(base_url).to_owned();
        Self { client, base_url, key, model, voice_id }
    }

    /// Whether the installation has a voice, for businesses that name none.
    pub fn has_voice(&self) -> bool {
        self.voice_id.is_some()
    }

    /// Whether the provider has the business's voice, or the installation's. None of either: nobody is to speak.
    ///
    /// # Errors
    /// [`AiError`], where it cannot be told.
    pub async fn has(&self, voice_id: Option<&str>) -> Result<bool, AiError> {
        let Some(voice_id) = voice_id.or(self.voice_id.as_deref()) else { return Ok(true) };
        if !is_id(voice_id) {
            return Ok(false);
        }
        let request = self.client.get(format!("{}/v1/voices/{voice_id}", self.base_url));
        let request = request.header("xi-api-key", self.key.expose_secret());
        match exchange(request, LOOK_TIMEOUT).await {
            Ok(_) => Ok(true),
            Err(AiError::Status { status: 404, .. }) => Ok(false),
            Err(AiError::Status { code, .. }) if code == "voice_not_found" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A voice note that says these words, in the business's voice or the installation's.
    ///
    /// # Errors
    /// [`AiError`], also where what comes is no voice note, or too large for one.
    pub async fn speak(&self, words: &str, voice_id: Option<&str>) -> Result<Bytes, AiError> {
        let voice_id = voice_id.or(self.voice_id.as_deref()).ok_or(AiError::Useless("no voice is named"))?;
        if !is_id(voice_id) {
            return Err(AiError::Useless("the voice's id is none"));
        }
        let url = format!("{}/v1/text-to-speech/{voice_id}", self.base_url);
        let request = self.client.post(url).query(&[("output_format", FORMAT)]);
        let request = request.header("xi-api-key", self.key.expose_secret());
        let request = request.json(&json!({ "text": words, "model_id": self.model }));
        let speaking = async {
            let bytes = exchange(request, TIMEOUT).await?;
            if bytes.len() > SPEECH_BYTES_MOST {
                return Err(AiError::Useless("larger than a voice note may be"));
            }
            if !is_mono_opus(&bytes) {
                return Err(AiError::Useless("no OGG with Opus in one channel"));
            }
            Ok(bytes)
        };
        counted("speech", speaking).await
    }
}

fn is_id(voice_id: &str) -> bool {
    !voice_id.is_empty() && voice_id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Whether a file is an OGG stream of Opus in one channel: the first page holds the Opus header, whose tenth byte
/// counts the channels (RFC 7845, 5.1).
pub fn is_mono_opus(file: &[u8]) -> bool {
    let Some(page) = file.get(..64).or(Some(file)).filter(|page| page.starts_with(b"OggS")) else { return false };
    let head = page.windows(8).position(|bytes| bytes == b"OpusHead");
    head.and_then(|at| page.get(at + 9)) == Some(&1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_channel_of_opus_in_ogg_is_a_voice_note() {
        let note = simulator::ai::silent_voice_note();
        assert!(is_mono_opus(&note));
        let mut stereo = note.clone();
        let head = stereo.windows(8).position(|bytes| bytes == b"OpusHead").expect("a header");
        stereo[head + 9] = 2;
        assert!(!is_mono_opus(&stereo));
        for odd in [b"".as_slice(), b"OggS", b"ID3\x04mp3", b"RIFFxxxxWAVE", &note[..30]] {
            assert!(!is_mono_opus(odd));
        }
    }
}
