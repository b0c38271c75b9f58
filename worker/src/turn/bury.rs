//! Messages that cannot be answered: into the dead letters first, then out of the mailbox.

use serde_json::{json, value::RawValue};
use shared::{
    envelope::{Envelope, Kind},
    ids::REPLAY_MARK,
};

use super::{
    Outcome, Turn,
    answer::{Run, real_id},
    ids,
};
use crate::{
    business::Unserved,
    conversation::{Customer, MailboxItem},
    store::{DeadLetter, Memory, ReplayPolicy, StoreError},
};

impl Turn<'_> {
    pub(super) async fn bury_poison(&mut self) -> Result<Outcome, StoreError> {
        let items = match &self.conversation.outbox {
            Some(outbox) => outbox.answered_in(&self.conversation.mailbox),
            None => crate::conversation::next_run(&self.conversation.mailbox, 1).to_vec(),
        };
        let detail = "its worker died with it, several times in a row";
        self.bury(&items, "poison", detail, ReplayPolicy::ByHand).await
    }

    pub(super) async fn bury_unserved(&self, run: &Run, why: Unserved) -> Result<Outcome, StoreError> {
        let policy = match why {
            Unserved::Disabled => ReplayPolicy::WhenServedWithinADay,
            Unserved::Unknown | Unserved::Ambiguous | Unserved::Invalid(_) => ReplayPolicy::WhenServed,
        };
        self.bury(&run.items, why.reason(), why.detail(), policy).await
    }

    pub(super) async fn bury(
        &self,
        items: &[MailboxItem],
        reason: &'static str,
        detail: &str,
        replay: ReplayPolicy,
    ) -> Result<Outcome, StoreError> {
        let Some(first) = items.first() else {
            self.turns.store.release(self.hold.key()).await?;
            return Ok(Outcome::Postponed);
        };
        for item in items {
            self.turns.store.bury(&self.letter(item, reason, detail, replay).await?).await?;
        }
        tracing::warn!(session = %self.conversation.id, reason, detail, messages = items.len(), "messages became dead letters");
        metrics::counter!("switchboard_dead_letters_total", "reason" => reason).increment(items.len() as u64);
        for item in items {
            // Not read, for reading it may be what killed the worker.
            self.record(item, "buried").await?;
        }
        let number = first.phone_number_id.clone();
        self.settle(&number, &ids(items), &Memory::default()).await
    }

    async fn letter(
        &self,
        item: &MailboxItem,
        reason: &'static str,
        detail: &str,
        replay: ReplayPolicy,
    ) -> Result<DeadLetter, StoreError> {
        let content = match &item.message {
            Some(message) => Some(message.clone()),
            None => self.turns.store.message_content(&item.phone_number_id, &item.id).await?,
        };
        let envelope = Envelope {
            kind: Kind::Message,
            phone_number_id: Some(item.phone_number_id.clone()),
            waba_id: None,
            contact: Some(raw(contact(&self.conversation.customer).to_string())),
            received_at: item.received_at.as_millisecond(),
            index: item.index,
            payload: raw(content.unwrap_or_else(|| "null".to_owned())),
        };
        let original = item.id.expose().split(REPLAY_MARK).next().unwrap_or_default();
        Ok(DeadLetter {
            id: format!("{}:{original}", item.phone_number_id.expose()),
            reason,
            detail: detail.to_owned(),
            phone_number_id: Some(item.phone_number_id.clone()),
            business_id: Some(self.conversation.business_id.clone()),
            session: Some(self.conversation.id.clone()),
            message_id: real_id(&item.id).map_or_else(|| Some(original.to_owned()), |id| Some(id.expose().to_owned())),
            body: envelope.encode(),
            replay,
            counted_as_answered: true,
        })
    }
}

/// The contact as Meta would have sent it, so that a replay finds the same customer.
fn contact(customer: &Customer) -> serde_json::Value {
    json!({
        "profile": { "name": customer.name },
        "wa_id": customer.wa_id.as_ref().map(|id| id.expose()),
        "user_id": customer.user_id.as_ref().map(|id| id.expose()),
    })
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
