//! Which models a provider serves today: providers retire models, and a name that was right at the installation is an
//! error one morning.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{AiError, Provider, exchange};

const TIMEOUT: Duration = Duration::from_secs(15);

/// The models that a provider serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served(BTreeSet<String>);

impl Served {
    /// What a provider answered with HTTP 2xx.
    ///
    /// # Errors
    /// [`AiError::Useless`].
    pub fn from_answer(body: &[u8]) -> Result<Self, AiError> {
        let body: Value = serde_json::from_slice(body).map_err(|_| AiError::Useless("no JSON"))?;
        let models = body.get("data").and_then(Value::as_array).ok_or(AiError::Useless("no list of models"))?;
        let ids = models.iter().filter_map(|model| model.get("id").and_then(Value::as_str));
        Ok(Self(ids.map(str::to_owned).collect()))
    }

    /// Whether a model is among them. A provider that lists none tells nothing.
    pub fn has(&self, model: &str) -> bool {
        self.0.is_empty() || self.0.contains(model)
    }

    /// Those whose names are like this one's, for a message: the same family, or all where there is none, a few at most.
    pub fn like(&self, model: &str) -> Vec<&str> {
        let family = |name: &str| name.rsplit('/').next().unwrap_or(name).split('-').next().unwrap_or(name).to_owned();
        let wanted = family(model);
        let alike: Vec<&str> = self.0.iter().map(String::as_str).filter(|name| family(name) == wanted).collect();
        let shown = if alike.is_empty() { self.0.iter().map(String::as_str).collect() } else { alike };
        shown.into_iter().take(8).collect()
    }
}

/// Asks a provider which models it serves.
///
/// # Errors
/// [`AiError`].
pub async fn served_models(provider: &Provider) -> Result<Served, AiError> {
    Served::from_answer(&exchange(provider.get("models"), TIMEOUT).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_served_is_told_from_a_provider_that_lists_none() {
        let names = ["openai/gpt-oss-120b", "openai/gpt-oss-20b", "whisper-large-v3"].map(str::to_owned);
        let served = Served(names.into_iter().collect());
        assert!(served.has("whisper-large-v3") && !served.has("whisper-large-v2"));
        assert_eq!(served.like("whisper-large-v2"), ["whisper-large-v3"]);
        assert_eq!(served.like("gpt-4").len(), 2);
        assert_eq!(served.like("llama").len(), 3);
        assert!(Served(BTreeSet::new()).has("anything"));
    }
}
