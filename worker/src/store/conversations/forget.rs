//! A customer who asks to be forgotten.
//!
//! First every conversation of theirs is *closed*, in one update: no text is left in it, it points at itself, and the
//! epoch is counted up, so that whoever has it in hand commits, records and settles nothing more. It never opens again:
//! what lands there is told so, and its customer begins another conversation.
//!
//! Then everything else is *erased*: transcript, dead letters, account events, aliases. Who dies here leaves the rest to
//! the next one who looks. None of these is fenced, so a turn or an intake that was under way may still write there. A
//! turn looks afterwards whether the conversation was closed, and erases what it wrote; should it die in between, the
//! closed conversation is looked after again and again until it expires. So is what intake filed meanwhile, as far as
//! it had reached us before the conversation was closed.

use std::{collections::BTreeSet, time::Duration};

use mongodb::bson::{Bson, DateTime, Document, doc};
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain};

use super::{
    super::{
        Result, Store,
        erasure::Whose,
        is_duplicate_key,
        pipeline::{keep, literal},
    },
    chain::Link,
};
use crate::conversation::BusinessId;

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
    /// Account events, group messages and notes of the system; their ids stay until they expire.
    pub events: u64,
    /// Numbers and user ids that lead nowhere any more.
    pub identities: u64,
}

impl Forgotten {
    /// Counts what another step erased.
    pub fn add(&mut self, other: Self) {
        self.conversations += other.conversations;
        self.messages += other.messages;
        self.dead_letters += other.dead_letters;
        self.events += other.events;
        self.identities += other.identities;
    }
}

/// What is still known of a closed conversation.
#[derive(Default)]
struct Remains {
    unanswered: Vec<(PhoneNumberId, MessageId, DateTime)>,
    whose: Whose,
}

impl Store {
    /// Erases one customer: the conversation, those that were or are to be merged with it, the transcript, dead letters,
    /// events and aliases. A message that was known remains known, as its id, until the transcript expires. May be repeated.
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
    pub(in super::super) async fn family(&self, session: &SessionId) -> Result<Vec<SessionId>> {
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
        let aliases = self.aliases_of(session).await?;
        let mut remains = match &found {
            Some(closed) => self.remains(session, closed).await?,
            None => Remains::default(),
        };
        if let Some(closed) = &found {
            self.close_names(closed, &aliases).await?;
        }
        aliases.iter().for_each(|alias| remains.whose.add_id(alias));
        forgotten.messages += self.erase_messages(session, &remains.unanswered).await?;
        forgotten.dead_letters += self.erase_letters(&remains.whose).await?;
        forgotten.events += self.erase_events(&remains.whose).await?;
        forgotten.identities += self.drop_aliases_of(session).await?;
        if let Some(closed) = &found {
            self.leave_a_shell(session, closed, &remains.whose).await?;
        }
        Ok(())
    }

    /// What a closed conversation still tells. Once all is erased that is its name, and when it was closed: whatever
    /// names the customer and had reached us by then is theirs.
    async fn remains(&self, session: &SessionId, closed: &Document) -> Result<Remains> {
        let mut whose = Whose { numbers: numbers_of(closed), ..Whose::default() };
        whose.sessions.insert(session.expose().to_owned());
        if let Ok(business) = closed.get_str("business_id")
            && let Some(business) = self.business(&BusinessId(business.to_owned())).await?
        {
            whose.add_business(&business);
        }
        if is_fresh(closed) {
            ids_of(closed).iter().for_each(|id| whose.add_id(id));
        } else {
            whose.arrived_by = closed.get_datetime("forgotten_at").ok().copied();
            if is_named(closed) {
                whose.add_id(session.customer());
            }
        }
        Ok(Remains { unanswered: unanswered(closed), whose })
    }

    /// Leaves of a closed conversation what the next look needs, and nothing of the customer but its name.
    async fn leave_a_shell(&self, session: &SessionId, closed: &Document, whose: &Whose) -> Result<()> {
        let is_theirs = if is_fresh(closed) { whose.ids.contains(session.customer()) } else { is_named(closed) };
        let age = doc! { "$subtract": ["$$NOW", "$forgotten_at"] };
        let wait = doc! { "$max": [LOOK_FIRST_MS, { "$min": [LOOK_MOST_MS, age] }] };
        let shell = doc! {
            "_id": "$_id",
            "business_id": "$business_id",
            "subdomain": "$subdomain",
            "epoch": "$epoch",
            "numbers": literal(numbers_of(closed).into_iter().collect::<Vec<_>>()),
            "named": is_theirs,
            "merged_into": "$_id",
            "forgotten_at": "$forgotten_at",
            "look_after_at": { "$add": ["$$NOW", wait] },
        };
        // Closed once more since it was read, it knows of more to erase.
        let as_read = doc! { "_id": session.expose(), "forgotten_at": closed.get("forgotten_at").cloned() };
        self.conversations().update_one(as_read, vec![doc! { "$replaceWith": shell }]).await?;
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
                "named": true,
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

    /// Closes the names that a customer's ids would give to a conversation, so that whoever looks after these erases
    /// what names the customer, also where there never was a conversation. One that is somebody's stays as it is.
    pub(in super::super) async fn close_ids(
        &self,
        business: &BusinessId,
        subdomain: Option<&Subdomain>,
        whose: &Whose,
    ) -> Result<Vec<SessionId>> {
        let list = |texts: &BTreeSet<String>| literal(texts.iter().cloned().collect::<Vec<_>>());
        let closed = doc! {
            "_id": "$_id",
            "business_id": literal(business.0.as_str()),
            "subdomain": literal(subdomain.map(Subdomain::expose)),
            "customer": { "ids": list(&whose.ids) },
            "numbers": list(&whose.numbers),
            "epoch": { "$ifNull": ["$epoch", 0_i64] },
            "merged_into": "$_id",
            "forgotten_at": "$$NOW",
            "look_after_at": "$$NOW",
        };
        let missing = |field: &str| doc! { "$eq": [{ "$type": field }, "missing"] };
        let (is_open, is_unfinished) = (missing("$forgotten_at"), doc! { "$not": [missing("$customer")] });
        let begun = doc! { "$not": [missing("$business_id")] };
        let stays = doc! { "$and": [begun, { "$or": [is_open, is_unfinished] }] };
        let update = vec![doc! { "$replaceWith": { "$cond": [stays, "$$ROOT", closed] } }];
        let names: Vec<_> = whose.ids.iter().map(|id| SessionId::new(subdomain, id)).collect();
        for name in &names {
            let named = doc! { "_id": name.expose() };
            match self.conversations().update_one(named, update.clone()).upsert(true).await {
                Ok(_) => {}
                // Somebody else began it.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(names)
    }

    /// For whoever wrote a text that belongs to a conversation without holding it: erases it again if the conversation
    /// was closed. It was closed before this look, or else the text is there for whoever closes it.
    pub(in super::super) async fn erase_if_forgotten(&self, session: &SessionId) -> Result<()> {
        let closed = doc! { "_id": session.expose(), "forgotten_at": { "$exists": true } };
        if self.conversations().find_one(closed).projection(doc! { "_id": 1 }).await?.is_some() {
            self.erase_messages(session, &[]).await?;
            self.erase_letters_of_turns(session.expose()).await?;
        }
        Ok(())
    }
}

/// Whether everything else is still to be erased for the first time.
fn is_fresh(closed: &Document) -> bool {
    closed.contains_key("customer")
}

/// Whether the customer's number or user id stands in the conversation's name. A number may have got another owner.
pub(in super::super) fn is_named(closed: &Document) -> bool {
    closed.get_bool("named").unwrap_or(false)
}

/// The customer's own numbers and user ids, as far as a conversation has them.
pub(in super::super) fn ids_of(conversation: &Document) -> Vec<String> {
    let Ok(customer) = conversation.get_document("customer") else { return Vec::new() };
    let single = ["wa_id", "user_id"].into_iter().filter_map(|field| customer.get_str(field).ok());
    let listed = customer.get_array("ids").into_iter().flatten().filter_map(Bson::as_str);
    single.chain(listed).map(str::to_owned).collect()
}

/// The numbers of the business that the customer wrote to, as far as a conversation has them. Read piece by piece: a
/// document that cannot be read as a whole can be forgotten all the same.
pub(in super::super) fn numbers_of(conversation: &Document) -> BTreeSet<String> {
    let windows = conversation.get_document("windows").into_iter().flat_map(Document::keys).cloned();
    let listed = conversation.get_array("numbers").into_iter().flatten().filter_map(Bson::as_str);
    let items = documents(conversation, "answered").chain(documents(conversation, "mailbox"));
    let written_to = items.filter_map(|item| item.get_str("phone_number_id").ok());
    windows.chain(listed.chain(written_to).map(str::to_owned)).collect()
}

fn documents<'a>(conversation: &'a Document, field: &str) -> impl Iterator<Item = &'a Document> {
    conversation.get_array(field).into_iter().flatten().filter_map(Bson::as_document)
}

fn unanswered(closed: &Document) -> Vec<(PhoneNumberId, MessageId, DateTime)> {
    let known = |item: &Document| {
        let number = PhoneNumberId::parse(item.get_str("phone_number_id").ok()?).ok()?;
        let id = MessageId::parse(item.get_str("id").ok()?).ok()?;
        Some((number, id, *item.get_datetime("timestamp").ok()?))
    };
    documents(closed, "mailbox").filter_map(known).collect()
}
