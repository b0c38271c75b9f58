//! What the messages of a turn say, and what of it is answered and remembered.
//!
//! Edits and deletions of what still waits are carried out here: the turn reads a message as it is by now. What needs a
//! provider to be understood, recordings and documents, is put in its place by `understanding.rs`, and read from the
//! transcript by whoever goes on with the turn.

use std::collections::HashMap;

use serde_json::Value;
use shared::ids::{MessageId, PhoneNumberId};

use super::machine::Wish;
use crate::{
    companion::{Question, Said, provider::Picture},
    consent,
    conversation::{Consent, MailboxItem, MemoryTurn, Speaker, gathered},
    message::{
        Attachment, Treatment, attachment, edited, is_forwarded, kind, own_words, parse, quoted, revoked, treatment,
    },
    scope::CustomerScope,
    store::{Quoted, Store, StoreError, Words},
    whatsapp::Room,
};

/// Characters of a message that is quoted.
const QUOTE_MOST: usize = 300;

/// The messages of a turn, read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    read: Vec<Read>,
    /// Messages of the whole mailbox that the customer has taken back, by Meta's ids.
    revoked: Vec<String>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) item: MailboxItem,
    pub(super) kind: String,
    treatment: Treatment,
    /// What of it the customer said themselves.
    own_words: Option<String>,
    is_forwarded: bool,
    /// What it answers.
    quote: Option<String>,
    /// What it brings.
    pub(super) attachment: Option<Attachment>,
    /// What that says and shows.
    pub(super) understood: Option<Understood>,
    /// What it asks for as a whole, and in which language it does.
    wish: Option<(Consent, Option<&'static str>)>,
}

/// What a file says and shows.
#[derive(Debug, Clone)]
pub(super) struct Understood {
    /// In words, for the companion.
    pub(super) words: String,
    /// The picture itself.
    pub(super) picture: Option<Picture>,
    /// Spoken words that were understood: they may be answered by speaking.
    pub(super) is_speech: bool,
    /// The language that was spoken, by ISO 639-1, where the model of speech is sure of the words.
    pub(super) language: Option<String>,
    /// What it says will be the same the next time: it may be kept.
    pub(super) is_certain: bool,
    /// The room that it takes up.
    #[expect(dead_code, reason = "it is held, for as long as the picture is")]
    pub(super) room: Option<Room>,
}

/// What the customer did to messages that still wait.
#[derive(Default)]
struct Changes {
    edited: HashMap<String, Value>,
    revoked: Vec<String>,
    waiting: Vec<String>,
}

impl Reading {
    /// Reads messages, with their content wherever it lies. What is to be sent once more was written by us, and
    /// says nothing. `mailbox` is all that waits.
    pub(super) async fn of(
        store: &dyn Store,
        scope: &CustomerScope,
        items: &[MailboxItem],
        mailbox: &[MailboxItem],
    ) -> Result<Self, StoreError> {
        let changes = Changes::of(mailbox);
        let mut read = Vec::with_capacity(items.len());
        for item in items.iter().filter(|item| item.resend_of.is_none()) {
            let stored = match &item.message {
                Some(_) => None,
                None => store.message_content(scope, item).await?,
            };
            let message = parse(item.message.as_deref().or(stored.as_deref()).unwrap_or("null")).unwrap_or_default();
            read.push(changes.read(store, scope, item, message, mailbox).await?);
        }
        Ok(Self { read, revoked: changes.revoked })
    }

    /// What the companion answers.
    pub(super) fn question(&self) -> Question {
        let answers = self.read.iter().filter_map(|read| Some((read, read.answered()?)));
        let (mut said, mut quotes) = (Vec::new(), Vec::new());
        for (read, words) in answers {
            quotes.extend(read.quote.clone());
            let picture = read.understood.as_ref().and_then(|understood| understood.picture.clone());
            said.push(Said { own: read.own_words(), words, picture });
        }
        Question { said, quotes }
    }

    /// Whether any of it wants an answer.
    pub(super) fn wants_answer(&self) -> bool {
        self.read.iter().any(|read| read.answered().is_some())
    }

    /// The newest message that is answered, as Meta knows it, and the number that it was written to. A reaction or an
    /// edit beside it is nothing that somebody could read, or quote.
    pub(super) fn newest(&self) -> Option<(PhoneNumberId, MessageId)> {
        self.answered().find_map(|item| Some((item.phone_number_id.clone(), real_id(&item.id)?)))
    }

    /// The newest of several messages that are answered.
    pub(super) fn quotes(&self) -> Option<MessageId> {
        let (_, newest) = self.newest()?;
        (self.answered().count() > 1).then_some(newest)
    }

    /// The messages that are answered, newest first.
    fn answered(&self) -> impl Iterator<Item = &MailboxItem> {
        self.read.iter().rev().filter(|read| read.answered().is_some()).map(|read| &read.item)
    }

    /// Whether the last thing that is answered was spoken.
    pub(super) fn ends_in_speech(&self) -> bool {
        let last = self.read.iter().rev().find(|read| read.answered().is_some());
        last.and_then(|read| read.understood.as_ref()).is_some_and(|understood| understood.is_speech)
    }

    /// The language that the customer spoke last, where a recording tells.
    pub(super) fn language(&self) -> Option<&str> {
        self.read.iter().rev().find_map(|read| read.understood.as_ref()?.language.as_deref())
    }

    /// What is remembered of the customer.
    pub(super) fn heard(&self) -> Vec<MemoryTurn> {
        let words = self.read.iter().filter_map(|read| match (&read.treatment, &read.attachment, &read.understood) {
            // It was understood by whoever wrote the reply.
            (Treatment::Answer(_), Some(attachment), None) => Some(attachment.in_short()),
            (Treatment::Answer(_), _, _) => read.answered(),
            (Treatment::Remember(words), _, _) => Some(words.clone()),
            (Treatment::Record, _, _) => None,
        });
        let lines = gathered(words.collect());
        lines.into_iter().map(|text| MemoryTurn { speaker: Speaker::Customer, text }).collect()
    }

    /// The messages that ask for silence, or for an end to it.
    pub(super) fn wishes(&self) -> Vec<Wish> {
        let wish = |read: &Read| Some(Wish { message: read.item.id.clone(), consent: read.wish?.0 });
        self.read.iter().filter_map(wish).collect()
    }

    /// The language of the last of them, where its word tells.
    pub(super) fn language_of_wish(&self) -> Option<&'static str> {
        self.read.iter().rev().find_map(|read| read.wish?.1)
    }

    /// The files that are not understood yet.
    pub(super) fn not_understood(&mut self) -> impl Iterator<Item = (&mut Read, Attachment)> {
        self.read.iter_mut().filter(|read| read.understood.is_none() && read.answered().is_some()).filter_map(|read| {
            let attachment = read.attachment.clone()?;
            Some((read, attachment))
        })
    }

    /// Meta's word for what a message is; none where it was not read.
    pub(super) fn kind(&self, item: &MailboxItem) -> Option<&str> {
        self.read.iter().find(|read| read.item.id == item.id).map(|read| read.kind.as_str())
    }

    /// Whether the customer has taken it back.
    pub(super) fn is_revoked(&self, item: &MailboxItem) -> bool {
        real_id(&item.id).is_some_and(|id| self.revoked.iter().any(|revoked| revoked == id.expose()))
    }
}

impl Read {
    /// What the customer said themselves, aloud or in writing.
    fn own_words(&self) -> Option<String> {
        // Where we are not sure of the words we say so, in brackets.
        let is_theirs = |understood: &&Understood| understood.is_speech && !understood.words.starts_with('[');
        let spoken = self.understood.as_ref().filter(is_theirs).filter(|_| !self.is_forwarded);
        self.own_words.clone().or_else(|| spoken.map(|understood| understood.words.clone()))
    }

    fn answered(&self) -> Option<String> {
        match (&self.treatment, &self.understood) {
            (Treatment::Answer(_), Some(understood)) => Some(understood.words.clone()),
            (Treatment::Answer(words), None) => Some(words.clone()),
            (Treatment::Remember(_) | Treatment::Record, _) => None,
        }
    }
}

impl Changes {
    fn of(mailbox: &[MailboxItem]) -> Self {
        let mut changes = Self::default();
        for item in mailbox.iter().filter(|item| item.resend_of.is_none()) {
            changes.waiting.extend(real_id(&item.id).map(|id| id.expose().to_owned()));
            // Few are, and parsing all of a flood for each turn would be work.
            let text = item.message.as_deref().filter(|text| text.contains("\"edit\"") || text.contains("\"revoke\""));
            let Some(message) = text.and_then(parse) else { continue };
            if let Some((original, new)) = edited(&message) {
                changes.edited.insert(original, new.clone());
            }
            changes.revoked.extend(revoked(&message));
        }
        changes
    }

    async fn read(
        &self,
        store: &dyn Store,
        scope: &CustomerScope,
        item: &MailboxItem,
        message: Value,
        mailbox: &[MailboxItem],
    ) -> Result<Read, StoreError> {
        let kind = kind(&message);
        let id = real_id(&item.id).map(|id| id.expose().to_owned()).unwrap_or_default();
        let target = edited(&message).map(|(original, _)| original).or_else(|| revoked(&message));
        // Carried out already: it says nothing by itself.
        let is_done = target.is_some_and(|target| self.waiting.contains(&target));
        let is_revoked = self.revoked.contains(&id);
        let message = self.edited.get(&id).cloned().unwrap_or(message);
        let treatment = if is_done || is_revoked { Treatment::Record } else { treatment(&message) };
        let attachment = attachment(&message).filter(|_| matches!(treatment, Treatment::Answer(_)));
        let number = &item.phone_number_id;
        let understood =
            match &attachment {
                // Somebody understood it in an earlier turn, as it was then.
                Some(_) if !self.edited.contains_key(&id) => {
                    store.words_of(scope, number, &item.id).await?.map(|Words { words, is_speech, language }| {
                        Understood { words, picture: None, is_speech, language, is_certain: true, room: None }
                    })
                }
                Some(_) | None => None,
            };
        let quote = match quoted(&message).filter(|_| matches!(treatment, Treatment::Answer(_))) {
            // What was taken back is not repeated.
            Some(quoted) if !self.revoked.contains(&quoted) => {
                self.quote(store, scope, number, &quoted, mailbox).await?
            }
            Some(_) | None => None,
        };
        let (own_words, is_forwarded) = (own_words(&message), is_forwarded(&message));
        let asks = matches!(treatment, Treatment::Answer(_)).then(|| consent::asked(&message)).flatten();
        let wish = asks.map(|asks| (asks, consent::language_of(&message)));
        let item = MailboxItem { message: None, ..item.clone() };
        Ok(Read { item, kind, treatment, own_words, is_forwarded, quote, attachment, understood, wish })
    }

    /// What a message answers, in words: out of the mailbox, else out of this customer's own transcript.
    async fn quote(
        &self,
        store: &dyn Store,
        scope: &CustomerScope,
        number: &PhoneNumberId,
        id: &str,
        mailbox: &[MailboxItem],
    ) -> Result<Option<String>, StoreError> {
        let waiting = mailbox.iter().find(|item| real_id(&item.id).is_some_and(|real| real.expose() == id));
        let quoted = match waiting {
            Some(item) => {
                let message = self.edited.get(id).cloned().or_else(|| item.message.as_deref().and_then(parse));
                message.map(|message| Quoted::Theirs(words(&message)))
            }
            None => match MessageId::parse(id) {
                Ok(id) => store.quoted(scope, number, &id).await?,
                Err(_) => None,
            },
        };
        let short = |text: &str| serde_json::json!(text.chars().take(QUOTE_MOST).collect::<String>()).to_string();
        Ok(quoted.filter(|quoted| !quoted.words().trim().is_empty()).map(|quoted| match &quoted {
            Quoted::Ours(text) => format!("[The customer answers this message of yours: {}]", short(text)),
            Quoted::Theirs(text) => {
                format!("[The customer refers to this earlier message of their own: {}]", short(text))
            }
        }))
    }
}

/// What a message says, for a quotation.
fn words(message: &Value) -> String {
    match treatment(message) {
        Treatment::Answer(words) | Treatment::Remember(words) => words,
        Treatment::Record => String::new(),
    }
}

/// The id as Meta knows it; none where ingest made it up.
pub(crate) fn real_id(id: &MessageId) -> Option<MessageId> {
    let text = id.expose();
    if text.starts_with(shared::ids::MADE_UP_PREFIX) {
        return None;
    }
    // A replay carries its number behind this mark.
    let original = text.split(shared::ids::REPLAY_MARK).next().unwrap_or(text);
    MessageId::parse(original).ok()
}
