//! The companion: what is answered, in the business's voice.

mod prompt;
mod chat;
pub mod knowledge;

pub use chat::{Chat, ChatError, ChatMessage, ChatRole, Completion};
pub use prompt::{GREETING_MOST, prompt};

use crate::{
    business::Business,
    conversation::{Customer, MemoryTurn},
};

/// What the customer gets when the AI fails for good and the business has no line of its own.
pub const DEFAULT_APOLOGY: &str = "Sorry, I can't answer right now. We have your message and will get back to you.";

/// Answers in a business's voice, through an OpenAI-compatible API.
#[derive(Debug, Clone)]
pub struct Companion {
    chat: Chat,
    model: String,
}

impl Companion {
    /// `model` is the installation's; a business may name another.
    pub fn new(chat: Chat, model: String) -> Self {
        Self { chat, model }
    }

    /// The answer to what the customer said, as Markdown, never blank.
    ///
    /// Cancellation: the call is dropped; what it cost is not known.
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn answer(
        &self,
        business: &Business,
        customer: &Customer,
        turns: &[MemoryTurn],
        said: &[String],
    ) -> Result<String, ChatError> {
        let messages = prompt(business, customer, turns, said);
        let model = business.companion.model.as_deref().unwrap_or(&self.model);
        let completion = self.chat.complete(model, business.companion.temperature, &messages).await?;
        metrics::counter!("switchboard_ai_tokens_total", "direction" => "in").increment(completion.tokens_in);
        metrics::counter!("switchboard_ai_tokens_total", "direction" => "out").increment(completion.tokens_out);
        Ok(completion.text)
    }
}
