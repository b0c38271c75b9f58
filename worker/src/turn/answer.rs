//! From the mailbox to a committed reply.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use shared::{ids::MessageId, retry::full_jitter};
use uuid::Uuid;

use super::{Outcome, Turn, ids, typing::Typing};
use crate::{
    business::{Business, Lookup, Unserved},
    companion::{ChatError, DEFAULT_APOLOGY},
    conversation::{MailboxItem, MemoryTurn, Outbox, Part, PartState, QuietTime, ReplyKind, Speaker, next_run},
    message::{Treatment, kind, parse, treatment},
    store::{CommitOutcome, Inbound, Memory, Postponement, ReplayPolicy, StoreError},
    whatsapp::{MESSAGE_UNITS, from_markdown, split},
};

/// Messages that one reply answers at most.
const RUN_MOST: usize = 50;
/// Times that a reply is thought over again because of newer messages.
const REGENERATIONS_MOST: u32 = 2;
/// A service window lasts 24 hours; a message that waited with us for longer cannot be answered.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
const AI_RETRY_FIRST: Duration = Duration::from_millis(500);
const AI_RETRY_MOST: Duration = Duration::from_secs(20);
/// Once the customer knows, there is less of a hurry.
const AI_RETRY_TOLD: Duration = Duration::from_secs(60);
/// A token that cannot be used is looked at again this often; the look costs no call to Meta.
const CREDENTIALS_RETRY: Duration = Duration::from_secs(20);

/// The messages of a turn and what they say.
pub(super) struct Run {
    pub(super) items: Vec<MailboxItem>,
    kinds: Vec<String>,
    treatments: Vec<Treatment>,
}

impl Run {
    /// What the companion answers.
    fn said(&self) -> Vec<String> {
        let answers = self.treatments.iter().filter_map(|treatment| match treatment {
            Treatment::Answer(words) => Some(words.clone()),
            Treatment::Remember(_) | Treatment::Record => None,
        });
        answers.collect()
    }

    /// What is remembered of the customer.
    fn heard(&self) -> Vec<MemoryTurn> {
        let words = self.treatments.iter().filter_map(|treatment| match treatment {
            Treatment::Answer(words) | Treatment::Remember(words) => Some(words.clone()),
            Treatment::Record => None,
        });
        words.map(|text| MemoryTurn { speaker: Speaker::Customer, text }).collect()
    }
}

impl Turn<'_> {
    pub(super) async fn answer(&mut self) -> Result<Outcome, StoreError> {
        let mut regenerations = 0;
        loop {
            // After a death in the middle, one message at a time finds the one that kills.
            let most = if self.conversation.takeovers > 0 { 1 } else { RUN_MOST };
            let run = self.read_run(next_run(&self.conversation.mailbox, most).to_vec()).await?;
            let Some(first) = run.items.first() else {
                // Nothing to do: an edit or a deletion emptied the mailbox.
                return self.settle_without_reply(&run).await;
            };
            let number = first.phone_number_id.clone();
            let business = match self.business_of(&number).await? {
                Ok(business) => business,
                Err(why) => return self.bury_unserved(&run, why).await,
            };
            if run.said().is_empty() || self.is_handed_over() {
                return self.settle_without_reply(&run).await;
            }
            if self.waited_too_long(&run) {
                return self
                    .bury(&run.items, "window_closed", "it waited for more than 24 hours", ReplayPolicy::ByHand)
                    .await;
            }
            if let Err(error) = &business.token {
                return self.wait_for_credentials(error.to_string()).await;
            }
            let typing = self.show_typing(&business, &run);
            let parts = match self.think(&business, &run).await {
                Ok(parts) => parts,
                Err(error) => return self.ai_trouble(&business, &run, &error).await,
            };
            if let Some(typing) = typing {
                typing.shown().await;
            }
            let outbox = self.outbox(&run, ReplyKind::Answer, parts);
            let seen = ids(&self.conversation.mailbox);
            let seen = (regenerations < REGENERATIONS_MOST).then_some(seen.as_slice());
            match self.turns.store.commit_reply(self.hold.key(), &outbox, seen).await? {
                CommitOutcome::Committed => return self.deliver(&business, outbox, &run, true).await,
                CommitOutcome::Fenced => return Ok(Outcome::Lost),
                CommitOutcome::HandedOver => return self.settle_without_reply(&run).await,
                CommitOutcome::NewerMessages => {
                    regenerations += 1;
                    metrics::counter!("switchboard_regenerations_total").increment(1);
                    let Some(conversation) = self.turns.store.reread(self.hold.key()).await? else {
                        return Ok(Outcome::Lost);
                    };
                    self.conversation = conversation;
                }
            }
        }
    }

    /// The messages with their content, wherever it lies.
    pub(super) async fn read_run(&self, items: Vec<MailboxItem>) -> Result<Run, StoreError> {
        let (mut kinds, mut treatments) = (Vec::new(), Vec::new());
        for item in &items {
            let stored = match &item.message {
                Some(_) => None,
                None => self.turns.store.message_content(&item.phone_number_id, &item.id).await?,
            };
            let text = item.message.as_deref().or(stored.as_deref()).unwrap_or("null");
            let message = parse(text).unwrap_or_default();
            kinds.push(kind(&message));
            treatments.push(treatment(&message));
        }
        Ok(Run { items, kinds, treatments })
    }

    /// The business of a number, if it is still this conversation's. A number that moved to another business
    /// must not be answered from this one's memory.
    pub(super) async fn business_of(
        &mut self,
        number: &shared::ids::PhoneNumberId,
    ) -> Result<Result<Arc<Business>, Unserved>, StoreError> {
        let lookup = self.turns.registry.lookup(number).await?;
        Ok(match lookup {
            Lookup::Served(business) if business.id == self.conversation.business_id => {
                self.quiet = QuietTime::new(business.companion.quiet.unwrap_or(self.turns.settings.quiet));
                Ok(business)
            }
            Lookup::Served(_) => Err(Unserved::Unknown),
            Lookup::Unserved(why) => Err(why),
        })
    }

    fn is_handed_over(&self) -> bool {
        self.conversation.handed_over_until.is_some_and(|until| until > self.conversation.claimed_at)
    }

    /// By the time of arrival here: Meta may deliver late, and then Meta's own answer decides.
    pub(super) fn waited_too_long(&self, run: &Run) -> bool {
        let newest = run.items.iter().map(|item| item.received_at.max(item.timestamp)).max();
        newest.is_some_and(|newest| self.conversation.claimed_at.duration_since(newest) > WINDOW)
    }

    async fn settle_without_reply(&self, run: &Run) -> Result<Outcome, StoreError> {
        self.record_run(run).await?;
        let memory = Memory { turns: run.heard(), ..Memory::default() };
        let Some(first) = run.items.first() else {
            self.turns.store.release(self.hold.key()).await?;
            return Ok(Outcome::Postponed);
        };
        let number = first.phone_number_id.clone();
        self.settle(&number, &ids(&run.items), &memory).await
    }

    /// The transcript comes before `settle`: what a conversation forgets is known by it.
    pub(super) async fn record_run(&self, run: &Run) -> Result<(), StoreError> {
        for (item, kind) in run.items.iter().zip(&run.kinds) {
            self.record(item, kind).await?;
        }
        Ok(())
    }

    pub(super) async fn record(&self, item: &MailboxItem, kind: &str) -> Result<(), StoreError> {
        let (session, business_id) = (&self.conversation.id, &self.conversation.business_id);
        self.turns.store.record_inbound(&Inbound { session, business_id, item, kind, answered: true }).await
    }

    pub(super) async fn settle(
        &self,
        number: &shared::ids::PhoneNumberId,
        messages: &[MessageId],
        memory: &Memory,
    ) -> Result<Outcome, StoreError> {
        let settled = self.turns.store.settle(self.hold.key(), number, messages, memory, self.quiet).await?;
        Ok(settled.map_or(Outcome::Lost, |settled| Outcome::Settled { due_in: settled.due_in }))
    }

    pub(super) fn memory_of(&self, run: &Run, reply: &Outbox) -> Memory {
        let text = reply.parts.iter().map(|part| part.body.as_str()).collect::<Vec<_>>().join("\n\n");
        let mut turns = run.heard();
        turns.push(MemoryTurn { speaker: Speaker::Companion, text });
        Memory { turns, reply: Some(reply.kind) }
    }

    /// Read receipt and typing indicator, renewed while the answer is thought over. A courtesy: nothing waits for
    /// it, and nothing depends on it.
    fn show_typing(&self, business: &Business, run: &Run) -> Option<Typing> {
        // Whoever saw it once need not see it again with every try.
        if self.conversation.ai_failing_since.is_some() {
            return None;
        }
        let newest = run.items.iter().rev().find_map(|item| real_id(&item.id))?;
        let number = run.items.first()?.phone_number_id.clone();
        Some(Typing::show(self.turns.graph.clone(), business.token.clone().ok()?, number, newest))
    }

    async fn think(&self, business: &Business, run: &Run) -> Result<Vec<String>, ChatError> {
        let (customer, turns) = (&self.conversation.customer, &self.conversation.turns);
        let answer = self.turns.companion.answer(business, customer, turns, &run.said()).await?;
        let parts = split(&from_markdown(&answer), MESSAGE_UNITS);
        if parts.is_empty() { Err(ChatError::Useless("nothing that can be sent")) } else { Ok(parts) }
    }

    fn outbox(&self, run: &Run, kind: ReplyKind, parts: Vec<String>) -> Outbox {
        let number = run.items.first().map(|item| item.phone_number_id.clone());
        let part = |body| Part { body, state: PartState::Waiting, wamid: None, tries: 0, last_try_at: None };
        Outbox {
            reply_id: Uuid::new_v4().simple().to_string(),
            kind,
            phone_number_id: number.expect("a reply answers at least one message"),
            answers: ids(&run.items),
            parts: parts.into_iter().map(part).collect(),
        }
    }

    pub(super) async fn wait_for_credentials(&self, detail: String) -> Result<Outcome, StoreError> {
        metrics::counter!("switchboard_credential_waits_total").increment(1);
        let delay = CREDENTIALS_RETRY + full_jitter(0, CREDENTIALS_RETRY / 2, CREDENTIALS_RETRY);
        self.postpone(Postponement {
            delay,
            reason: "credentials",
            detail,
            for_evidence: false,
            ai: false,
            not_sent: None,
        })
        .await
    }

    /// Tries again until the give-up time, then apologises once: a customer is never left in silence.
    async fn ai_trouble(&self, business: &Arc<Business>, run: &Run, error: &ChatError) -> Result<Outcome, StoreError> {
        let now = self.conversation.claimed_at;
        let since = self.conversation.ai_failing_since.unwrap_or(now);
        let give_up = SignedDuration::try_from(self.turns.settings.ai_give_up).unwrap_or(SignedDuration::MAX);
        // Who was told already is not told again: the message waits for an answer.
        let told = self.conversation.apologised_at.is_some();
        if told || now.duration_since(since) < give_up {
            let most = if told { AI_RETRY_TOLD } else { AI_RETRY_MOST };
            let own = full_jitter(self.conversation.attempts, AI_RETRY_FIRST, most);
            // Not past the apology, whatever the provider asks for.
            let left = match told {
                true => AI_RETRY_TOLD,
                false => Duration::try_from(give_up - now.duration_since(since)).unwrap_or_default(),
            };
            let delay = super::in_earnest(error.retry_after()).unwrap_or(own).min(left);
            let detail = error.to_string();
            return self
                .postpone(Postponement { delay, reason: "ai", detail, for_evidence: false, ai: true, not_sent: None })
                .await;
        }
        tracing::error!(session = %self.conversation.id, %error, "the AI failed for too long: the customer gets the apology");
        metrics::counter!("switchboard_apologies_total").increment(1);
        let apology = business.companion.apology.as_deref().unwrap_or(DEFAULT_APOLOGY);
        let outbox = self.outbox(run, ReplyKind::Apology, split(apology, MESSAGE_UNITS));
        match self.turns.store.commit_reply(self.hold.key(), &outbox, None).await? {
            CommitOutcome::Committed => self.deliver(business, outbox, run, true).await,
            CommitOutcome::HandedOver => self.settle_without_reply(run).await,
            CommitOutcome::Fenced | CommitOutcome::NewerMessages => Ok(Outcome::Lost),
        }
    }
}

/// The id as Meta knows it; none where ingest made it up.
pub(super) fn real_id(id: &MessageId) -> Option<MessageId> {
    let text = id.expose();
    if text.starts_with(shared::ids::MADE_UP_PREFIX) {
        return None;
    }
    // A replay carries its number behind this mark.
    let original = text.split(shared::ids::REPLAY_MARK).next().unwrap_or(text);
    MessageId::parse(original).ok()
}

/// Seconds since then, for a metric.
pub(super) fn age(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64().max(0.0)
}
