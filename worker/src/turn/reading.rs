//! What the messages of a turn say, and what of it is answered and remembered.

use shared::ids::{MessageId, PhoneNumberId};

use crate::{
    conversation::{MailboxItem, MemoryTurn, Speaker},
    message::{Treatment, kind, parse, treatment},
    store::{Store, StoreError},
};

/// The messages of a turn, read.
#[derive(Debug, Default)]
pub(super) struct Reading(Vec<Read>);

#[derive(Debug)]
struct Read {
    id: MessageId,
    kind: String,
    treatment: Treatment,
}

impl Reading {
    /// Reads messages, with their content wherever it lies. What is to be sent once more was written by us, and
    /// says nothing.
    pub(super) async fn of(store: &Store, items: &[MailboxItem]) -> Result<Self, StoreError> {
        let mut read = Vec::with_capacity(items.len());
        for item in items.iter().filter(|item| item.resend_of.is_none()) {
            let stored = match &item.message {
                Some(_) => None,
                None => store.message_content(&item.phone_number_id, &item.id).await?,
            };
            let message = parse(item.message.as_deref().or(stored.as_deref()).unwrap_or("null")).unwrap_or_default();
            read.push(Read { id: item.id.clone(), kind: kind(&message), treatment: treatment(&message) });
        }
        Ok(Self(read))
    }

    /// What the companion answers.
    pub(super) fn said(&self) -> Vec<String> {
        let answers = self.0.iter().filter_map(|read| match &read.treatment {
            Treatment::Answer(words) => Some(words.clone()),
            Treatment::Remember(_) | Treatment::Record => None,
        });
        answers.collect()
    }

    /// What is remembered of the customer.
    pub(super) fn heard(&self) -> Vec<MemoryTurn> {
        let words = self.0.iter().filter_map(|read| match &read.treatment {
            Treatment::Answer(words) | Treatment::Remember(words) => Some(words.clone()),
            Treatment::Record => None,
        });
        words.map(|text| MemoryTurn { speaker: Speaker::Customer, text }).collect()
    }

    /// Meta's word for what a message is; none where it was not read.
    pub(super) fn kind(&self, item: &MailboxItem) -> Option<&str> {
        self.0.iter().find(|read| read.id == item.id).map(|read| read.kind.as_str())
    }
}

/// The newest message that Meta knows by its id, and the number that it was written to.
pub(super) fn newest_known(items: &[MailboxItem]) -> Option<(PhoneNumberId, MessageId)> {
    let theirs = items.iter().rev().filter(|item| item.resend_of.is_none());
    theirs.into_iter().find_map(|item| Some((item.phone_number_id.clone(), real_id(&item.id)?)))
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
