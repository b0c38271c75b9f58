//! From the settings to a companion, and whether its models are served today.

use std::time::Duration;

use reqwest::Client;

use super::{
    Companion, Strangers,
    knowledge::Knowledge,
    provider::{Ai, AiError, Endpoint, Provider, Served, Speaker, Transcriber, served_models},
};
use crate::settings::AiSettings;

impl Companion {
    /// A companion of this installation.
    ///
    /// # Errors
    /// TLS could not be set up.
    pub fn new(client: &Client, settings: &AiSettings, knowledge: Option<Knowledge>) -> reqwest::Result<Self> {
        let first = Endpoint {
            provider: settings.provider(client),
            chat_model: settings.chat_model.clone(),
            vision_model: Some(settings.vision_model.clone()),
        };
        let fallback = settings.fallback.as_ref().map(|fallback| Endpoint {
            provider: Provider::new(client.clone(), fallback.base_url.clone(), fallback.key.clone()),
            chat_model: fallback.chat_model.clone(),
            vision_model: None,
        });
        Ok(Self {
            ai: Ai::new(first, fallback),
            knowledge,
            strangers: Strangers::new(settings.allow_insecure_tools)?,
            tokens_most: settings.reply_tokens,
        })
    }

    /// The same, for an installation whose customers wait no longer than that for an AI that does not answer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { ai: self.ai.with_patience(patience), ..self }
    }
}

impl AiSettings {
    fn provider(&self, client: &Client) -> Provider {
        Provider::new(client.clone(), self.base_url.clone(), self.key.clone())
    }

    /// The models that the first provider serves, for businesses that name one of their own.
    ///
    /// # Errors
    /// [`AiError`].
    pub async fn served_models(&self, client: &Client) -> Result<Served, AiError> {
        served_models(&self.provider(client)).await
    }

    /// The model of speech, if there is one.
    pub fn ears(&self, client: &Client) -> Option<Transcriber> {
        let model = self.transcription_model.clone()?;
        Some(Transcriber::new(self.provider(client), model))
    }

    /// The voice, if there is one.
    pub fn voice(&self, client: &Client) -> Option<Speaker> {
        let speech = self.speech.as_ref()?;
        let (key, model) = (speech.key.clone(), speech.model.clone());
        Some(Speaker::new(client.clone(), &speech.base_url, key, model, speech.voice_id.clone()))
    }
}

/// A configured model that its provider does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingModel {
    /// The variable that names it.
    pub variable: &'static str,
    /// Its name.
    pub model: String,
    /// Some that are served.
    pub served: Vec<String>,
}

/// Which of the configured models are not served.
///
/// # Errors
/// A provider could not be asked; says which variable names it.
pub async fn missing_models(
    companion: &Companion,
    ears: Option<&Transcriber>,
) -> Result<Vec<MissingModel>, (&'static str, AiError)> {
    let first = companion.ai.first();
    let served = served_models(&first.provider).await.map_err(|error| ("AI_API_URL", error))?;
    let mut named = vec![("AI_CHAT_MODEL", first.chat_model.as_str(), served.clone())];
    named.extend(first.vision_model.as_deref().map(|model| ("AI_VISION_MODEL", model, served.clone())));
    named.extend(ears.map(|ears| ("AI_TRANSCRIPTION_MODEL", ears.model(), served.clone())));
    if let Some(fallback) = companion.ai.fallback() {
        let served = served_models(&fallback.provider).await.map_err(|error| ("AI_FALLBACK_API_URL", error))?;
        named.push(("AI_FALLBACK_CHAT_MODEL", &fallback.chat_model, served));
    }
    let missing = named.into_iter().filter(|(_, model, served)| !served.has(model));
    Ok(missing
        .map(|(variable, model, served)| MissingModel {
            variable,
            model: model.to_owned(),
            served: served.like(model).into_iter().map(str::to_owned).collect(),
        })
        .collect())
}

/// Says in the log which of the configured models are not served.
pub async fn warn_of_missing_models(companion: &Companion, ears: Option<&Transcriber>) {
    match missing_models(companion, ears).await {
        Ok(missing) => {
            for MissingModel { variable, model, served } in missing {
                let served = served.join(", ");
                tracing::error!(variable, model, served, "the AI provider does not serve this model; name another one");
            }
        }
        Err((variable, error)) => {
            tracing::warn!(variable, %error, "the AI provider could not be asked which models it serves");
        }
    }
}
