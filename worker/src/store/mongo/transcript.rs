//! The transcript: every message in and out, `_id` = `phone_number_id:wamid`.
//!
//! It serves people, analytics and one promise: a message older than its conversation remembers is known to be
//! answered by it. Upserts merge, so that what comes twice or in another order changes nothing, and a status
//! that comes before its message leaves a shell. So does a message whose customer was forgotten (`forgotten_at`): it
//! is known, and no text ever comes back to it.

use async_trait::async_trait;
use mongodb::bson::{Bson, DateTime, Document, doc};
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId},
    trace::TraceParent,
};

use super::{
    MongoStore,
    batch::{Order, Updated},
    expiry, from_bson, millis,
    pipeline::{keep, literal},
    to_bson,
};
use crate::{
    conversation::{BusinessId, MailboxItem, Usage},
    message::{Treatment, parse, replaced_by, treatment},
    scope::CustomerScope,
    store::{Inbound, OnRecord, Outbound, Quoted, Result, SHELL, SentText, StatusUpdate, Transcript, Words},
};

#[async_trait]
impl Transcript for MongoStore {
    async fn record_inbound(&self, inbound: &Inbound<'_>) -> Result<()> {
        self.update_messages(theirs(inbound)).await
    }

    async fn record_outbound(&self, outbound: &Outbound<'_>) -> Result<()> {
        self.update_messages(vec![ours(outbound)]).await?;
        // It may be unknown to whoever was asked to forget. A turn hears of that from `settle`; a person holds nothing.
        match outbound.reply_id {
            Some(_) => Ok(()),
            None => self.erase_if_forgotten(outbound.session).await,
        }
    }

    async fn record_turn(&self, inbound: &[Inbound<'_>], outbound: &[Outbound<'_>]) -> Result<()> {
        self.update_messages(inbound.iter().flat_map(theirs).chain(outbound.iter().map(ours)).collect()).await
    }

    async fn keep_words(&self, scope: &CustomerScope, item: &MailboxItem, kind: &str, words: &Words) -> Result<()> {
        let (session, business_id, words) = (scope.session(), scope.business_id(), Some(words));
        // Should the customer be forgotten meanwhile, the end of the turn erases it, or whoever looks after them.
        self.record_inbound(&Inbound { session, business_id, item, kind, answered: false, words, taken_back: false })
            .await
    }

    async fn words_of(&self, scope: &CustomerScope, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Words>> {
        let row = self.row_of(scope, number, id, doc! { "words": 1, "is_speech": 1, "language": 1 }).await?;
        Ok(row.and_then(|row| {
            let words = row.get_str("words").ok()?.to_owned();
            let language = row.get_str("language").ok().map(str::to_owned);
            Some(Words { words, is_speech: row.get_bool("is_speech").unwrap_or(false), language })
        }))
    }

    async fn quoted(&self, scope: &CustomerScope, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Quoted>> {
        let fields = doc! { "direction": 1, "body": 1, "words": 1, "message": 1 };
        let Some(row) = self.row_of(scope, number, id, fields).await? else { return Ok(None) };
        let text = |field: &str| row.get_str(field).ok().map(str::to_owned);
        if row.get_str("direction").is_ok_and(|direction| direction == "out") {
            return Ok(text("body").map(Quoted::Ours));
        }
        let written = || match treatment(&parse(row.get_str("message").ok()?)?) {
            Treatment::Answer(words) | Treatment::Remember(words) => Some(words),
            Treatment::Record => None,
        };
        Ok(text("words").or_else(written).map(Quoted::Theirs))
    }

    async fn record_status(&self, update: &StatusUpdate) -> Result<Option<OnRecord>> {
        let messages = self.db.collection::<Document>("messages");
        let recorded = messages
            .find_one_and_update(doc! { "_id": key(&update.number, &update.wamid) }, advanced(update))
            .upsert(true)
            .projection(whose())
            .await?;
        Ok(recorded.as_ref().and_then(on_record))
    }

    async fn sent_text(&self, number: &PhoneNumberId, id: &MessageId) -> Result<Option<SentText>> {
        let filter = doc! { "_id": key(number, id), "direction": "out" };
        let found = self.db.collection::<Document>("messages").find_one(filter).await?;
        Ok(found.and_then(|row| {
            Some(SentText {
                session: SessionId::from_stored(row.get_str("conversation").ok()?),
                reply_id: row.get_str("reply_id").ok()?.to_owned(),
                body: row.get_str("body").ok()?.to_owned(),
                rank: row.get_i32("status_rank").ok(),
                trace: trace(&row),
            })
        }))
    }

    async fn is_recorded_outbound(&self, number: &PhoneNumberId, id: &MessageId) -> Result<bool> {
        let filter = doc! { "_id": key(number, id), "direction": "out" };
        let found = self.db.collection::<Document>("messages").find_one(filter).projection(doc! { "_id": 1 }).await?;
        Ok(found.is_some())
    }

    async fn was_answered(&self, number: &PhoneNumberId, id: &MessageId) -> Result<bool> {
        let filter = doc! { "_id": key(number, id), "answered_at": { "$exists": true } };
        Ok(self.db.collection::<Document>("messages").find_one(filter).projection(doc! { "_id": 1 }).await?.is_some())
    }

    async fn message_content(&self, scope: &CustomerScope, item: &MailboxItem) -> Result<Option<String>> {
        // A merge moves the mailbox before the transcript, so that the row may still name the other conversation.
        let filter = doc! {
            "_id": key(&item.phone_number_id, &item.id),
            "business_id": scope.business_id().0.as_str(),
        };
        let messages = self.db.collection::<Document>("messages");
        let found = messages.find_one(filter).projection(doc! { "message": 1 }).await?;
        Ok(found.and_then(|document| document.get_str("message").ok().map(str::to_owned)))
    }
}

impl MongoStore {
    async fn row_of(
        &self,
        scope: &CustomerScope,
        number: &PhoneNumberId,
        id: &MessageId,
        fields: Document,
    ) -> Result<Option<Document>> {
        let filter = doc! {
            "_id": key(number, id),
            "conversation": scope.session().expose(),
            "business_id": scope.business_id().0.as_str(),
        };
        Ok(self.db.collection::<Document>("messages").find_one(filter).projection(fields).await?)
    }

    /// Updates of messages, in one request however many there are; a turn waits for it.
    async fn update_messages(&self, updates: Vec<Document>) -> Result<()> {
        if updates.is_empty() {
            return Ok(());
        }
        let Updated { mut failed, .. } = self.update_many_by_id("messages", updates, Order::UntilOneFails).await?;
        failed.pop_first().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Leaves of a conversation's messages what tells a redelivery, and says how many there were. `unanswered` are
    /// those that may have no row yet: they count as answered from now on.
    pub(super) async fn erase_messages(
        &self,
        session: &SessionId,
        unanswered: &[(PhoneNumberId, MessageId, DateTime)],
    ) -> Result<u64> {
        for (number, id, timestamp) in unanswered {
            let theirs = doc! {
                "direction": "in",
                "conversation": session.expose(),
                "phone_number_id": number.expose(),
                "id": id.expose(),
                "timestamp": *timestamp,
                "expire_at": expiry(DateTime::now()),
            };
            self.update_messages(vec![merge(&key(number, id), theirs)]).await?;
        }
        let mut shell = doc! { "_id": "$_id", "forgotten_at": "$$NOW" };
        for field in SHELL {
            shell.insert(*field, keep(field));
        }
        let inbound = doc! { "$eq": ["$direction", "in"] };
        let answered_at = doc! { "$ifNull": ["$answered_at", "$$NOW"] };
        shell.insert("answered_at", doc! { "$cond": [inbound, answered_at, keep("answered_at")] });
        let erasing = vec![doc! { "$replaceWith": shell }];
        let messages = self.db.collection::<Document>("messages");
        Ok(messages.update_many(doc! { "conversation": session.expose() }, erasing).await?.modified_count)
    }
}

/// What a message from a customer leaves.
fn theirs(inbound: &Inbound<'_>) -> Vec<Document> {
    let item = inbound.item;
    let mut set = doc! {
        "direction": "in",
        "conversation": inbound.session.expose(),
        "business_id": inbound.business_id.0.as_str(),
        "phone_number_id": item.phone_number_id.expose(),
        "id": item.id.expose(),
        "type": inbound.kind,
        "timestamp": to_bson(item.timestamp),
        "received_at": to_bson(item.received_at),
        "expire_at": expiry(DateTime::now()),
    };
    // A reference from the mailbox must not wipe out the content that it refers to.
    if let Some(message) = item.message.as_ref().filter(|_| !inbound.taken_back) {
        set.insert("message", message.as_str());
    }
    if inbound.answered {
        set.insert("answered_at", DateTime::now());
    }
    if let Some(words) = inbound.words {
        set.insert("words", words.words.as_str());
        set.insert("is_speech", words.is_speech);
        if let Some(language) = &words.language {
            set.insert("language", language.as_str());
        }
    }
    let key = key(&item.phone_number_id, &item.id);
    let mut updates = Vec::new();
    if inbound.taken_back {
        // Also what was kept apart because of its size, or understood already.
        let texts = doc! { "$unset": { "message": "", "words": "", "is_speech": "", "language": "" } };
        updates.push(doc! { "q": { "_id": key.as_str() }, "u": texts });
    }
    updates.push(merge(&key, set));
    updates
}

/// What a message to a customer leaves.
fn ours(outbound: &Outbound<'_>) -> Document {
    let mut set = doc! {
        "direction": "out",
        "conversation": outbound.session.expose(),
        "business_id": outbound.business_id.0.as_str(),
        "phone_number_id": outbound.number.expose(),
        "id": outbound.wamid.expose(),
        "type": outbound.kind,
        "body": outbound.body,
        "timestamp": DateTime::now(),
        "expire_at": expiry(DateTime::now()),
    };
    if let Some(reply_id) = outbound.reply_id {
        set.insert("reply_id", reply_id);
    }
    if let Some(usage) = outbound.usage.filter(|usage| usage.calls > 0) {
        set.insert("usage", usage_document(usage));
    }
    if let Some(waited) = outbound.waited {
        set.insert("waited_millis", millis(waited));
    }
    if let Some(trace) = outbound.trace {
        set.insert("trace", trace.to_string());
    }
    merge(&key(outbound.number, outbound.wamid), set)
}

/// What was forgotten stays forgotten, whoever still has its text in hand.
fn merge(key: &str, set: Document) -> Document {
    let forgotten = doc! { "$eq": [{ "$type": "$forgotten_at" }, "date"] };
    let merged = doc! { "$mergeObjects": ["$$ROOT", literal(set)] };
    let update = vec![doc! { "$replaceWith": { "$cond": [forgotten, "$$ROOT", merged] } }];
    doc! { "q": { "_id": key }, "u": update, "upsert": true }
}

/// What a status changes of its message: it only ever goes forward.
pub(super) fn advanced(update: &StatusUpdate) -> Vec<Document> {
    let forward = doc! { "$in": [{ "$ifNull": ["$status_rank", -1] }, replaced_by(update.rank).to_vec()] };
    let advance = |field: &str, value: Bson| {
        doc! { "$cond": ["$forward", value, { "$ifNull": [format!("${field}"), "$$REMOVE"] }] }
    };
    let pricing = update.pricing.as_deref().map_or(Bson::Null, Bson::from);
    let mut set = doc! {
        "status": advance("status", literal(update.status.as_str())),
        "status_at": advance("status_at", Bson::DateTime(to_bson(update.at))),
        "status_rank": advance("status_rank", Bson::Int32(update.rank)),
        "phone_number_id": literal(update.number.expose()),
        "id": literal(update.wamid.expose()),
        "pricing": { "$ifNull": ["$pricing", { "$ifNull": [literal(pricing), "$$REMOVE"] }] },
        "expire_at": { "$ifNull": ["$expire_at", expiry(DateTime::now())] },
        "forward": "$$REMOVE",
    };
    if let Some(code) = update.error_code {
        set.insert("error_code", code);
    }
    vec![doc! { "$set": { "forward": forward } }, doc! { "$set": set }]
}

/// The fields of a message by which it is on record.
pub(super) fn whose() -> Document {
    doc! { "business_id": 1, "timestamp": 1, "trace": 1 }
}

/// None of a shell, which a status left that came first.
pub(super) fn on_record(message: &Document) -> Option<OnRecord> {
    let business = BusinessId(message.get_str("business_id").ok()?.to_owned());
    let sent_at = from_bson(*message.get_datetime("timestamp").ok()?);
    Some(OnRecord { business, sent_at, trace: trace(message) })
}

fn trace(row: &Document) -> Option<TraceParent> {
    row.get_str("trace").ok()?.parse().ok()
}

fn usage_document(usage: &Usage) -> Document {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    doc! {
        "model": usage.model.as_str(),
        "calls": count(usage.calls.into()),
        "tokens_in": count(usage.tokens_in),
        "tokens_out": count(usage.tokens_out),
        "transcriptions": count(usage.transcriptions.into()),
        "spoken_characters": count(usage.spoken_characters),
    }
}

pub(super) fn key(number: &PhoneNumberId, id: &MessageId) -> String {
    format!("{}:{}", number.expose(), id.expose())
}
