//! A companion that rehearses: it answers as it would answer a customer, and nothing comes of it.
//!
//! One model is asked and no other in its place, so that what is compared is what was named; no tool of a business is
//! called; older lines are not summarised, for nobody would read the summary. What the answer would change stays in the
//! [`Composition`], and nobody applies it.

use reqwest::Client;

use super::{
    AnswerError, Companion, Composition, Question, Situation, Strangers,
    knowledge::Knowledge,
    provider::{Ai, Endpoint, Provider},
};
use crate::settings::AiSettings;

impl Companion {
    /// A companion of this installation that asks this model alone and calls nobody else.
    ///
    /// A business's own model counts for more than the installation's, but a refused one would be replaced by it: give
    /// the one that is meant, and leave `companion.model` empty.
    pub fn rehearsing(client: &Client, settings: &AiSettings, model: &str, knowledge: Option<Knowledge>) -> Self {
        let endpoint = Endpoint {
            provider: Provider::new(client.clone(), settings.base_url.clone(), settings.key.clone()),
            chat_model: model.to_owned(),
            vision_model: None,
        };
        Self {
            ai: Ai::new(endpoint, None),
            knowledge,
            strangers: Strangers::rehearsal(settings.allow_insecure_tools),
            tokens_most: settings.reply_tokens,
        }
    }

    /// The answer to what the customer said, and nothing beside it.
    ///
    /// Cancellation: as in [`Companion::answer`].
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn rehearse(&self, situation: Situation<'_>, question: &Question) -> Result<Composition, AnswerError> {
        let passages = self.passages(&situation, question).await?;
        self.converse(situation, &passages, question).await
    }
}
