//! A customer who asks to be forgotten.
//!
//! First every conversation of theirs is *closed*, in one update: no text is left in it, it points at itself, and the
//! epoch is counted up, so that whoever has it in hand commits, records and settles nothing more. It never opens again:
//! what lands there is told so, and its customer begins another conversation.
//!
//! Then everything else is *erased*: transcript, dead letters, aliases. Who dies here leaves the rest to the next one
//! who looks. The transcript and the dead letters are not fenced, so a turn that was under way may still write there.
//! It looks afterwards whether the conversation was closed, and erases what it wrote; should it die in between, the
//! closed conversation is looked after again and again until it expires.

use std::time::Duration;

use mongodb::bson::{Bson, DateTime, Document, doc};
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain};

use super::{
    super::{Result, Store, is_duplicate_key, pipeline::keep},
    chain::Link,
};

/// How long a closed conversation is kept and looked after. Longer than any process sleeps over a turn, and as long as
/// the transcript tells a redelivery.
pub(in super::super) const CLOSED_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// A closed conversation is looked after again when it is twice as old, within these bounds, in milliseconds.
const LOOK_FIRST_MS: i64 = 10_000;
const LOOK_MOST_MS: i64 = 24 * 60 * 60 * 1_000;

/// How many documents of each collection lost what they held of a customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Conversations that were closed.
    pub conversations: u64,
    /// Messages of the transcript; their ids stay until they expire.
    pub messages: u64,
    /// Dead letters; they are discarded.
    pub dead_letters: u64,
    /// Numbers and user ids that lead nowhere any more.
    pub identities: u64,
}

/// What is still known of a closed conversation until everything else is erased.
#[derive(Default)]
struct Remains {
    unanswered: Vec<(PhoneNumberId, MessageId, DateTime)>,
    /// Numbers of the business that the customer wrote to.
    numbers: Vec<String>,
    /// The customer's own number and user id.
    ids: Vec<String>,
}

impl Store {
    /// Erases one customer: the conversation, those that were or are to be merged with it, the transcript, dead letters
    /// and aliases. A message that was known remains known, as its id, until the transcript expires. May be repeated.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; what was closed is finished by [`Self::forgotten_to_look_after`], and a repetition
    /// does the rest.
    pub async fn forget(&self, session: &SessionId) -> Result<Forgotten> {
        let mut forgotten = Forgotten::default();
        // The one that goes on first: nothing is copied into it any more, and the others are found from it, whoever dies.
        let sessions = self.family(session).await?;
        for session in &sessions {
            forgotten.conversations += u64::from(self.close_for_good(session).await?);
        }
        for session in &sessions {
            self.erase(session, &mut forgotten).await?;
        }
        if forgotten.conversations > 0 {
            tracing::info!(%session, ?forgotten, "a customer was forgotten");
        }
        Ok(forgotten)
    }

    /// Closed conversations that are to be looked after now: each may be forgotten once more.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn forgotten_to_look_after(&self, most: i64) -> Result<Vec<SessionId>> {
        let filter = doc! { "look_after_at": { "$exists": true, "$lte": self.now() } };
        let conversations = self.conversations();
        let finding = conversations.find(filter).sort(doc! { "look_after_at": 1 }).limit(most);
        let mut cursor = finding.projection(doc! { "_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.extend(cursor.deserialize_current()?.get_str("_id").ok().map(SessionId::from_stored));
        }
        Ok(found)
    }

    /// Every conversation that is one with this one, or is to be; those that lead to others come after these.
    async fn family(&self, session: &SessionId) -> Result<Vec<SessionId>> {
        let onwards = self.chain(session, Link::pointer).await?.unwrap_or_default();
        let last = onwards.last().map_or(session, |last| &last.session);
        let (mut family, mut next) = (vec![last.clone()], 0);
        while let Some(target) = family.get(next) {
            let target = target.expose();
            let theirs = doc! { "$or": [
                { "merged_into": target },
                { "merge": { "$exists": true }, "merge.into": target },
            ] };
            let mut cursor = self.conversations().find(theirs).projection(doc! { "_id": 1 }).await?;
            while cursor.advance().await? {
                let found = cursor.deserialize_current()?.get_str("_id").ok().map(SessionId::from_stored);
                family.extend(found.filter(|found| !family.contains(found)));
            }
            next += 1;
        }
        // Wishes in a circle have no end to begin at.
        family.extend((!family.contains(session)).then(|| session.clone()));
        Ok(family)
    }

    /// Leaves of a conversation what is needed to erase the rest, and to tell what was known. False: it is closed, or
    /// there is none.
    async fn close_for_good(&self, session: &SessionId) -> Result<bool> {
        let item = doc! { "id": "$$m.id", "phone_number_id": "$$m.phone_number_id", "timestamp": "$$m.timestamp" };
        let items = doc! { "$map": { "input": "$mailbox", "as": "m", "in": item } };
        let closed = doc! {
            "_id": "$_id",
            "business_id": "$business_id",
            "subdomain": "$subdomain",
            "customer": { "wa_id": keep("customer.wa_id"), "user_id": keep("customer.user_id") },
            "mailbox": { "$cond": [{ "$isArray": "$mailbox" }, items, []] },
            "answered": keep("answered"),
            "answered_floor": keep("answered_floor"),
            "windows": keep("windows"),
            "epoch": { "$add": [{ "$ifNull": ["$epoch", 0_i64] }, 1_i64] },
            "merged_into": "$_id",
            "forgotten_at": "$$NOW",
            "look_after_at": "$$NOW",
        };
        let filter = doc! { "_id": session.expose(), "forgotten_at": { "$exists": false } };
        let closing = self.conversations().update_one(filter, vec![doc! { "$replaceWith": closed }]).await?;
        Ok(closing.matched_count == 1)
    }

    /// Erases what other collections hold. The aliases last: as long as they lead here, it can be done again, and
    /// nobody begins another conversation before what was known is known to the transcript.
    async fn erase(&self, session: &SessionId, forgotten: &mut Forgotten) -> Result<()> {
        let found = self.conversations().find_one(doc! { "_id": session.expose() }).await?;
        if found.as_ref().is_some_and(|found| !found.contains_key("forgotten_at")) {
            // It began after we looked.
            return Ok(());
        }
        let mut remains = found.as_ref().map(remains).unwrap_or_default();
        let aliases = self.aliases_of(session).await?;
        if let Some(closed) = &found {
            self.close_names(closed, &aliases).await?;
        }
        remains.ids.extend(aliases);
        forgotten.messages += self.erase_messages(session, &remains.unanswered).await?;
        forgotten.dead_letters += self.erase_letters(session).await?;
        forgotten.dead_letters += self.erase_letters_of_intake(&remains.numbers, &remains.ids).await?;
        forgotten.identities += self.drop_aliases_of(session).await?;
        let age = doc! { "$subtract": ["$$NOW", "$forgotten_at"] };
        let wait = doc! { "$max": [LOOK_FIRST_MS, { "$min": [LOOK_MOST_MS, age] }] };
        let shell = doc! {
            "_id": "$_id",
            "business_id": "$business_id",
            "subdomain": "$subdomain",
            "epoch": "$epoch",
            "merged_into": "$_id",
            "forgotten_at": "$forgotten_at",
            "look_after_at": { "$add": ["$$NOW", wait] },
        };
        let closed = doc! { "_id": session.expose(), "forgotten_at": { "$exists": true } };
        self.conversations().update_one(closed, vec![doc! { "$replaceWith": shell }]).await?;
        Ok(())
    }

    /// No conversation begins under a name that the customer's next one might have, as if nobody had written before:
    /// one that has to take another name asks the transcript what is known.
    async fn close_names(&self, closed: &Document, aliases: &[String]) -> Result<()> {
        let subdomain = closed.get_str("subdomain").ok().and_then(|text| Subdomain::parse(text).ok());
        for alias in aliases {
            let name = SessionId::new(subdomain.as_ref(), alias);
            let shell = doc! {
                "business_id": closed.get_str("business_id").ok(),
                "subdomain": subdomain.as_ref().map(Subdomain::expose),
                "epoch": 0_i64,
                "merged_into": name.expose(),
                "forgotten_at": self.now(),
                "look_after_at": self.now(),
            };
            let beginning = doc! { "$setOnInsert": shell };
            let named = doc! { "_id": name.expose() };
            match self.conversations().update_one(named, beginning).upsert(true).await {
                Ok(_) => {}
                // Somebody else began it.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Discards the dead letters that turns filed, and says how many there were.
    async fn erase_letters(&self, session: &SessionId) -> Result<u64> {
        self.discard_all(doc! { "conversation": session.expose() }).await
    }

    /// The same for those that intake filed, before it was known whose conversation they belong to: they came to one of
    /// these numbers and name one of these ids as somebody's who writes or is written to.
    async fn erase_letters_of_intake(&self, numbers: &[String], ids: &[String]) -> Result<u64> {
        if numbers.is_empty() || ids.is_empty() {
            return Ok(0);
        }
        // Nothing else in an id has a meaning of its own in a pattern.
        let ids: Vec<String> = ids.iter().map(|id| id.replace('.', r"\.")).collect();
        let names = "from|to|wa_id|user_id|from_user_id|to_user_id|recipient_id|recipient_user_id";
        let pattern = format!(r#""({names})"\s*:\s*"\+?({})""#, ids.join("|"));
        self.discard_all(doc! {
            "conversation": Bson::Null,
            "phone_number_id": { "$in": numbers },
            "body": { "$regex": pattern },
        })
        .await
    }

    async fn discard_all(&self, letters: Document) -> Result<u64> {
        let update = doc! {
            "$set": { "discarded_at": DateTime::now(), "replay": Bson::Null },
            "$unset": {
                "body": "",
                "conversation": "",
                "replay_until": "",
                "replay_requested_at": "",
                "replay_taken_until": "",
            },
        };
        Ok(self.db.collection::<Document>("dead_letters").update_many(letters, update).await?.modified_count)
    }

    /// For whoever wrote a text that belongs to a conversation without holding it: erases it again if the conversation
    /// was closed. It was closed before this look, or else the text is there for whoever closes it.
    pub(in super::super) async fn erase_if_forgotten(&self, session: &SessionId) -> Result<()> {
        let closed = doc! { "_id": session.expose(), "forgotten_at": { "$exists": true } };
        if self.conversations().find_one(closed).projection(doc! { "_id": 1 }).await?.is_some() {
            self.erase_messages(session, &[]).await?;
            self.erase_letters(session).await?;
        }
        Ok(())
    }
}

/// Read piece by piece: a document that cannot be read as a whole can be forgotten all the same.
fn remains(closed: &Document) -> Remains {
    let documents = |field: &str| {
        let items = closed.get_array(field).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Bson::as_document).collect::<Vec<_>>()
    };
    let known = |item: &&Document| {
        let number = PhoneNumberId::parse(item.get_str("phone_number_id").ok()?).ok()?;
        let id = MessageId::parse(item.get_str("id").ok()?).ok()?;
        Some((number, id, *item.get_datetime("timestamp").ok()?))
    };
    let windows = closed.get_document("windows").into_iter().flat_map(Document::keys).cloned();
    let answered = documents("answered");
    let written_to = answered.iter().filter_map(|item| item.get_str("phone_number_id").ok()).map(str::to_owned);
    let unanswered: Vec<_> = documents("mailbox").iter().filter_map(known).collect();
    let waiting = unanswered.iter().map(|(number, ..)| number.expose().to_owned());
    let numbers: std::collections::BTreeSet<_> = windows.chain(written_to).chain(waiting).collect();
    let customer = closed.get_document("customer").ok();
    let ids = ["wa_id", "user_id"].into_iter().filter_map(|field| customer?.get_str(field).ok()).map(str::to_owned);
    Remains { numbers: numbers.into_iter().collect(), ids: ids.collect(), unanswered }
}
