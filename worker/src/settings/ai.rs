//! The providers of the companion: models that answer, see and hear, one in reserve, and a voice.

use reqwest::Client;
use secrecy::SecretString;
use shared::{settings::Reader, tls::Authorities};

use crate::http;

const GROQ: &str = "https://api.groq.com/openai/v1";

/// The AI provider.
#[derive(Debug, Clone)]
pub struct AiSettings {
    /// The API's base, without a slash at its end.
    pub base_url: String,
    /// The key, where the provider needs one.
    pub key: Option<SecretString>,
    /// The chat model.
    pub chat_model: String,
    /// The model that sees.
    pub vision_model: String,
    /// The model that hears, if any.
    pub transcription_model: Option<String>,
    /// Tokens of one answer.
    pub reply_tokens: u32,
    /// Who answers where the first one fails.
    pub fallback: Option<FallbackAi>,
    /// Who speaks.
    pub speech: Option<SpeechSettings>,
    /// Whether businesses' tools may be anywhere.
    pub allow_insecure_tools: bool,
    /// Authorities that the providers' servers, and nobody else's, may have their certificates from.
    pub authorities: Option<Authorities>,
}

/// Another provider, or another model of the same.
#[derive(Debug, Clone)]
pub struct FallbackAi {
    /// The API's base.
    pub base_url: String,
    /// The key.
    pub key: Option<SecretString>,
    /// The chat model.
    pub chat_model: String,
}

/// ElevenLabs.
#[derive(Debug, Clone)]
pub struct SpeechSettings {
    /// The API's base.
    pub base_url: String,
    /// The key.
    pub key: SecretString,
    /// The voice of businesses that name none.
    pub voice_id: Option<String>,
    /// The model.
    pub model: String,
}

impl AiSettings {
    /// Reads what it takes to ask the models.
    pub fn read(reader: &mut Reader) -> Self {
        let base_url = reader.base_url("AI_API_URL", GROQ);
        let key = reader.secret("GROQ_API_KEY");
        let alias = reader.secret("AI_API_KEY");
        let key = key.or(alias);
        if key.is_none() && base_url == GROQ {
            reader.problem("GROQ_API_KEY", "is required, unless AI_API_URL names a provider that needs no key");
        }
        let chat_model = reader.text("AI_CHAT_MODEL").unwrap_or_else(|| "openai/gpt-oss-120b".to_owned());
        // Another provider does not serve Groq's; its chat model may see.
        let seeing = if base_url == GROQ { "qwen/qwen3.8-27b" } else { &chat_model };
        let vision_model = reader.text("AI_VISION_MODEL").unwrap_or_else(|| seeing.to_owned());
        let hearing = reader.text("AI_TRANSCRIPTION_MODEL").unwrap_or_else(|| "whisper-large-v3-turbo".to_owned());
        let fallback = FallbackAi::read(reader, &base_url, key.as_ref());
        Self {
            base_url,
            key,
            chat_model,
            vision_model,
            transcription_model: Some(hearing).filter(|model| !model.eq_ignore_ascii_case("none")),
            reply_tokens: reader.count("AI_REPLY_TOKENS", 2_048, 64, 32_768),
            fallback,
            speech: SpeechSettings::read(reader),
            allow_insecure_tools: reader.flag("ALLOW_INSECURE_TOOLS"),
            authorities: Authorities::read(reader, "AI_CA_FILE"),
        }
    }

    /// What the providers are asked by. Meta and what businesses name are not: they need no authority of ours.
    ///
    /// # Errors
    /// TLS could not be set up.
    pub fn client(&self) -> reqwest::Result<Client> {
        http::client_trusting(self.authorities.as_ref())
    }
}

impl FallbackAi {
    fn read(reader: &mut Reader, first_url: &str, first_key: Option<&SecretString>) -> Option<Self> {
        let base_url = reader.base_url("AI_FALLBACK_API_URL", first_url);
        let key = reader.secret("AI_FALLBACK_API_KEY");
        let chat_model = reader.text("AI_FALLBACK_CHAT_MODEL");
        if chat_model.is_none() && (base_url != first_url || key.is_some()) {
            reader.problem("AI_FALLBACK_CHAT_MODEL", "is required where AI_FALLBACK_API_URL or its key is set");
        }
        // One provider's key is no business of another's.
        let key = key.or_else(|| first_key.filter(|_| base_url == first_url).cloned());
        Some(Self { base_url, key, chat_model: chat_model? })
    }
}

impl SpeechSettings {
    fn read(reader: &mut Reader) -> Option<Self> {
        let key = reader.secret("ELEVENLABS_API_KEY");
        let base_url = reader.base_url("ELEVENLABS_API_URL", "https://api.elevenlabs.io");
        let voice_id = reader.text("ELEVENLABS_VOICE_ID");
        let model = reader.text("ELEVENLABS_MODEL").unwrap_or_else(|| "eleven_flash_v2_5".to_owned());
        Some(Self { base_url, key: key?, voice_id, model })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<AiSettings, String> {
        let mut reader = Reader::from_pairs(pairs.iter().copied());
        let settings = AiSettings::read(&mut reader);
        reader.finish().map(|()| settings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_provider_of_ones_own_needs_no_key_and_its_chat_model_may_see() {
        let own = read(&[("AI_API_URL", "http://localhost:11434/v1/"), ("AI_CHAT_MODEL", "llama")]).expect("valid");
        assert_eq!((own.base_url.as_str(), own.vision_model.as_str()), ("http://localhost:11434/v1", "llama"));
        assert!(read(&[]).expect_err("Groq needs a key").contains("GROQ_API_KEY"));
    }

    #[test]
    fn a_fallback_has_a_model_and_never_the_first_providers_key() {
        const KEY: (&str, &str) = ("GROQ_API_KEY", "s3cret");
        let lonely = read(&[KEY, ("AI_FALLBACK_API_URL", "https://api.example/v1")]).expect_err("no model");
        assert!(lonely.contains("AI_FALLBACK_CHAT_MODEL"), "{lonely}");
        let elsewhere = [KEY, ("AI_FALLBACK_API_URL", "https://api.example/v1"), ("AI_FALLBACK_CHAT_MODEL", "m")];
        assert!(read(&elsewhere).expect("valid").fallback.expect("a fallback").key.is_none());
        let same = read(&[KEY, ("AI_FALLBACK_CHAT_MODEL", "m")]).expect("valid").fallback.expect("a fallback");
        assert!(same.key.is_some() && same.base_url == GROQ);
    }

    #[test]
    fn hearing_and_speaking_can_be_left_out() {
        const KEY: (&str, &str) = ("GROQ_API_KEY", "s3cret");
        let settings = read(&[KEY, ("AI_TRANSCRIPTION_MODEL", "None")]).expect("valid");
        assert!(settings.transcription_model.is_none() && settings.speech.is_none());
        let settings = read(&[KEY, ("ELEVENLABS_API_KEY", "s3cret-two")]).expect("valid");
        assert!(settings.speech.is_some() && !format!("{settings:?}").contains("s3cret"));
    }
}
