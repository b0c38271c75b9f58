//! The companion: what is answered, in the business's voice.
//!
//! [`Companion::answer`] is the whole of it: what the business knows, the prompt, the model, its tools, and again, until
//! there are words. What a customer sent in other forms than words is understood before (`turn::understanding`), and
//! how the answer is sent is decided after.

mod situation;
mod setup;
mod rehearsal;
mod prompt;
mod memory;
mod reply;
pub mod knowledge;
pub mod provider;
mod tools;
#[cfg(test)]
pub(crate) mod testing;

pub use provider::{AiError, language_code};
pub use reply::Composition;
pub use setup::{MissingModel, missing_models, warn_of_missing_models};
pub use situation::{Question, Said, Situation};
pub use tools::{Called, Offer, Strangers};

use self::{
    knowledge::{Knowledge, Passage},
    memory::{SUMMARY_PATIENCE, summarise},
    prompt::prompt,
    provider::{Ai, Ask, ChatMessage, Completion},
    tools::Toolbox,
};
use crate::{
    conversation::HandOverReason,
    store::{Asked, StoreError},
};

/// What a customer is told where a limit of the business is reached, unless the business has words of its own.
pub const DEFAULT_LIMITED: &str = "That is more than I can answer just now. Please write again later.";
/// What the customer gets when the AI fails for good and the business has no line of its own.
pub const DEFAULT_APOLOGY: &str = "Sorry, I can't answer right now. We have your message and will get back to you.";
/// Calls of the model for one answer; the last one has to be in words.
const ROUNDS_MOST: usize = 5;
/// Calls of tools that are made at the model's bidding in one round.
const CALLS_MOST: usize = 8;

/// Answers in a business's voice. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Companion {
    /// The chat models.
    pub ai: Ai,
    /// What the businesses' own texts say; none where nothing is kept, as in a rehearsal.
    pub knowledge: Option<Knowledge>,
    /// Calls the businesses' own tools.
    pub strangers: Strangers,
    /// Tokens of an answer, where the business sets no limit.
    pub tokens_most: u32,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AnswerError {
    /// The provider.
    #[error(transparent)]
    Ai(#[from] AiError),
    /// The business's knowledge cannot be read, and without it the answer might be wrong.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Companion {
    /// The answer to what the customer said and showed.
    ///
    /// Cancellation: the call under way is cut off; what it cost is not known. Calls of the business's own tools may
    /// have been made.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn answer(&self, situation: Situation<'_>, question: &Question) -> Result<Composition, AnswerError> {
        // Boxed, each by itself: this future waits for the model, and should not hold the room of all else.
        let passages = Box::pin(self.passages(&situation, question)).await?;
        let summarising = summarise(&self.ai, &situation, question);
        tokio::pin!(summarising);
        let mut thinking = Box::pin(self.converse(situation, &passages, question));
        // Beside each other: older lines are none of the answer's business.
        let mut summarised = None;
        let mut composition = loop {
            tokio::select! {
                composed = &mut thinking => break composed?,
                done = &mut summarising, if summarised.is_none() => summarised = Some(done),
            }
        };
        if summarised.is_none() {
            summarised = tokio::time::timeout(SUMMARY_PATIENCE, &mut summarising).await.ok();
        }
        if let Some((summary, usage)) = summarised.flatten() {
            composition.aftermath.summary = Some(summary);
            composition.aftermath.usage.add(&usage);
        }
        Ok(composition)
    }

    async fn passages(&self, situation: &Situation<'_>, question: &Question) -> Result<Vec<Passage>, StoreError> {
        let Some(knowledge) = &self.knowledge else { return Ok(Vec::new()) };
        // "And on Sundays?" asks about what was said before.
        let before = situation.memory().lines.iter().rev().take(2).map(|line| line.text.as_str());
        let (words, before) = (question.words(), before.collect::<Vec<_>>().join("\n"));
        knowledge.about(&situation.scope(), Asked { question: &words, before: &before }).await
    }

    /// Asks the model, does what it wants, and asks again, until there are words.
    async fn converse(
        &self,
        situation: Situation<'_>,
        passages: &[Passage],
        question: &Question,
    ) -> Result<Composition, AnswerError> {
        let mut messages = prompt(&situation, passages, question);
        let mut toolbox = Toolbox::new(situation, &self.strangers);
        if question.names_one_of(&situation.business().companion.hand_over.keywords) {
            toolbox.hand_over(HandOverReason::Keyword);
        }
        if situation.is_in_trouble() {
            toolbox.withdraw();
        }
        let specs = toolbox.specs();
        let companion = &situation.business().companion;
        let limit = companion.limits.tokens_per_reply.and_then(|limit| u32::try_from(limit).ok());
        let mut ask = Ask {
            messages: &[],
            tools: &specs,
            words_only: false,
            temperature: companion.temperature,
            model: companion.model.as_deref(),
            tokens_most: limit.unwrap_or(self.tokens_most),
        };
        for round in 1..=ROUNDS_MOST {
            ask.words_only = round == ROUNDS_MOST;
            let completion = match self.ai.complete(Ask { messages: &messages, ..ask }).await {
                // The model could not write the call; it can answer without.
                Err(error) if error.is_failed_tool_call() && !ask.tools.is_empty() => {
                    toolbox.withdraw();
                    ask.tools = &[];
                    continue;
                }
                completed => completed?,
            };
            toolbox.aftermath.usage.add_chat(&completion.model, completion.tokens_in, completion.tokens_out);
            if completion.tool_calls.is_empty() || ask.words_only || act(&mut toolbox, &mut messages, &completion).await
            {
                return compose(toolbox, completion.text);
            }
        }
        Err(AiError::Useless("it calls tools without end").into())
    }
}

/// Does what the model wants. True: the words that came with it are the answer.
async fn act(toolbox: &mut Toolbox<'_>, messages: &mut Vec<ChatMessage>, completion: &Completion) -> bool {
    let calls = completion.tool_calls.get(..CALLS_MOST).unwrap_or(&completion.tool_calls);
    let content = (!completion.text.is_empty()).then(|| completion.text.clone());
    messages.push(ChatMessage::Assistant { content, tool_calls: calls.to_vec() });
    let mut matters = false;
    for call in calls {
        let result = toolbox.call(call).await;
        matters |= result.matters;
        messages.push(ChatMessage::Tool { tool_call_id: call.id.clone(), content: result.content });
    }
    let has_question = toolbox.offer.as_ref().is_some_and(|offer| offer.text.is_some());
    !matters && (!completion.text.is_empty() || has_question)
}

fn compose(toolbox: Toolbox<'_>, text: String) -> Result<Composition, AnswerError> {
    if text.is_empty() && !toolbox.has_something_to_send() {
        return Err(AiError::Useless("calls of tools, and no words").into());
    }
    let places = toolbox.places.iter().map(|place| (*place).clone()).collect();
    Ok(Composition { text, offer: toolbox.offer, places, calls: toolbox.calls, aftermath: toolbox.aftermath })
}
