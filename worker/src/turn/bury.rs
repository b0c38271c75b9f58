//! Messages that cannot be answered: into the dead letters first, then out of the mailbox.

use serde_json::{json, value::RawValue};
use shared::{
    envelope::{Envelope, Kind},
    ids::{MessageId, REPLAY_MARK},
};

use super::{
    Outcome, Turn,
    machine::{Burial, Remember},
    real_id,
};
use crate::{
    conversation::{Customer, MailboxItem},
    store::{DeadLetter, StoreError},
};

impl Turn<'_> {
    /// Files messages as dead letters.
    pub(super) async fn file(&self, items: &[MailboxItem], burial: &Burial) -> Result<(), StoreError> {
        self.hold.make_durable().await?;
        for item in items {
            self.turns.store.bury(&self.letter(item, burial).await?).await?;
        }
        let (session, Burial { reason, detail, .. }) = (&self.machine.conversation().id, burial);
        tracing::warn!(%session, reason, detail, messages = items.len(), "messages became dead letters");
        metrics::counter!("switchboard_dead_letters_total", "reason" => *reason).increment(items.len() as u64);
        if *reason == "in_doubt" {
            metrics::counter!("switchboard_sends_in_doubt_total", "resolved" => "dead").increment(1);
        }
        Ok(())
    }

    /// Buries what the turn is about, where its machine can go no further.
    pub(super) async fn bury_at_hand(&self, burial: Burial) -> Result<Outcome, StoreError> {
        let items = self.machine.at_hand();
        let Some(number) = items.first().map(|item| item.phone_number_id.clone()) else {
            self.hold.let_go();
            self.turns.store.release(self.hold.key()).await?;
            return Ok(Outcome::Postponed);
        };
        self.file(&items, &burial).await?;
        self.record(&items, true, None).await?;
        let ids: Vec<_> = items.iter().map(|item| item.id.clone()).collect();
        let memory = self.memory(Remember::Nothing);
        self.hold.let_go();
        let settled = self.turns.store.settle(self.hold.key(), &number, &ids, &memory, self.quiet).await?;
        Ok(settled.map_or(Outcome::Lost, |settled| Outcome::Settled { due_in: settled.due_in }))
    }

    /// Which messages of the mailbox a turn has filed already that was cut off before it could settle them. Only a
    /// conversation that was tried before is asked about, for it is a round trip.
    pub(super) async fn filed_before(&self) -> Result<Vec<MessageId>, StoreError> {
        let conversation = self.machine.conversation();
        let was_cut_off = conversation.attempts > 0 || conversation.takeovers > 0;
        // What is sent once more has one id for all of its burials.
        let is_asked = |item: &&MailboxItem| was_cut_off && item.resend_of.is_none();
        let messages: Vec<_> = conversation.mailbox.iter().filter(is_asked).collect();
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = messages.iter().map(|item| letter_id(item)).collect();
        let burials = self.turns.store.turn_burials(&ids).await?;
        let is_filed =
            |(item, id): &(&MailboxItem, String)| burials.get(id).is_some_and(|burials| *burials > came_back(item));
        Ok(messages.into_iter().zip(ids).filter(is_filed).map(|(item, _)| item.id.clone()).collect())
    }

    async fn letter(&self, item: &MailboxItem, burial: &Burial) -> Result<DeadLetter, StoreError> {
        let conversation = self.machine.conversation();
        let content = match &item.message {
            Some(message) => Some(message.clone()),
            None => self.turns.store.message_content(&conversation.scope(), item).await?,
        };
        let content = content.unwrap_or_else(|| "null".to_owned());
        // What is to be sent once more is no customer's message: as the failure that it comes from, with its text.
        let (kind, payload) = match &item.resend_of {
            None => (Kind::Message, content),
            Some(wamid) => {
                let failed = json!({ "id": wamid.expose(), "status": "failed", "text": { "body": content } });
                (Kind::Status, failed.to_string())
            }
        };
        let envelope = Envelope {
            kind,
            phone_number_id: Some(item.phone_number_id.clone()),
            waba_id: None,
            contact: Some(raw(contact(&conversation.customer).to_string())),
            received_at: item.received_at.as_millisecond(),
            index: item.index,
            payload: raw(payload),
        };
        let original = original(item);
        Ok(DeadLetter {
            id: letter_id(item),
            reason: burial.reason,
            detail: burial.detail.clone(),
            phone_number_id: Some(item.phone_number_id.clone()),
            business_id: Some(conversation.business_id.clone()),
            session: Some(conversation.id.clone()),
            message_id: real_id(&item.id).map_or_else(|| Some(original.to_owned()), |id| Some(id.expose().to_owned())),
            body: envelope.encode(),
            replay: burial.replay,
            counted_as_answered: true,
        })
    }
}

/// The letter of a message, and of all of its replays.
fn letter_id(item: &MailboxItem) -> String {
    format!("{}:{}", item.phone_number_id.expose(), original(item))
}

fn original(item: &MailboxItem) -> &str {
    item.id.expose().split(REPLAY_MARK).next().unwrap_or_default()
}

/// Of which burial a message is the replay; 0, where it comes from the customer.
fn came_back(item: &MailboxItem) -> i64 {
    item.id.expose().split_once(REPLAY_MARK).and_then(|(_, replay)| replay.parse().ok()).unwrap_or(0)
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
