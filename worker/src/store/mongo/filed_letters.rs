//! What operators ask of the dead letters: which there are, what one holds, another try, an end.
//!
//! A decision is about the burial that the operator saw: it is written only where the letter was not buried again
//! since, so that nobody replays or discards what they have not looked at.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use shared::ids::{MessageId, PhoneNumberId, SessionId};

use super::{
    MongoStore, corrupt,
    dead_letters::{NOW, WHEN_SERVED, body, not_in_hand, whole},
    from_bson, to_bson,
};
use crate::{
    conversation::BusinessId,
    store::{FiledLetter, FiledLetters, LetterDesk, LetterFilter, LetterState, Reading, Result, Standing, StoreError},
};

/// Documents that a cursor holds at once: each may be megabytes.
const AT_ONCE: u32 = 50;

#[async_trait]
impl LetterDesk for MongoStore {
    async fn filed_letters(&self, filter: &LetterFilter, reading: Reading) -> Result<FiledLetters> {
        // As the indexes have it, forwards or backwards: letters are read as they come, never sorted as a whole.
        let order = if reading.oldest_first { 1 } else { -1 };
        let sort = doc! { "buried_at": order, "_id": -order };
        let letters = self.db.collection::<Document>("dead_letters");
        let mut finding = letters.find(conditions(filter)).sort(sort).batch_size(AT_ONCE);
        if let Some(most) = reading.most {
            finding = finding.limit(i64::from(most));
        }
        if !reading.with_bodies {
            finding = finding.projection(doc! { "body": 0 });
        }
        let letters = finding.await?.map_err(StoreError::from);
        Ok(FiledLetters::new(letters.and_then(async |letter| read(&letter)).boxed()))
    }

    async fn count_letters(&self, filter: &LetterFilter) -> Result<Vec<(String, u64)>> {
        let counting = vec![
            doc! { "$match": conditions(filter) },
            doc! { "$group": { "_id": "$reason", "letters": { "$sum": 1_i64 } } },
            doc! { "$sort": { "letters": -1, "_id": 1 } },
        ];
        let mut cursor = self.db.collection::<Document>("dead_letters").aggregate(counting).await?;
        let mut counts = Vec::new();
        while cursor.advance().await? {
            let group = cursor.deserialize_current()?;
            let reason = group.get_str("_id").unwrap_or_default().to_owned();
            counts.push((reason, whole(&group, "letters").and_then(|n| u64::try_from(n).ok()).unwrap_or(0)));
        }
        Ok(counts)
    }

    async fn request_replay(&self, letter: &FiledLetter) -> Result<bool> {
        let marks = doc! { "replay": NOW, "replay_until": Bson::Null, "replay_requested_at": DateTime::now() };
        let mut filter = as_seen(letter);
        filter.extend(doc! { "replayed_at": Bson::Null, "discarded_at": Bson::Null });
        let letters = self.db.collection::<Document>("dead_letters");
        let marked = letters.update_one(filter, doc! { "$set": marks }).await?;
        Ok(marked.matched_count == 1)
    }

    async fn discard(&self, letter: &FiledLetter) -> Result<bool> {
        let mut filter = as_seen(letter);
        filter.extend(doc! { "discarded_at": Bson::Null, "$or": not_in_hand(self.now()) });
        let update = doc! {
            "$set": { "discarded_at": DateTime::now(), "replay": Bson::Null },
            "$unset": { "body": "", "replay_until": "", "replay_requested_at": "", "replay_taken_until": "" },
        };
        let discarded = self.db.collection::<Document>("dead_letters").update_one(filter, update).await?;
        Ok(discarded.matched_count == 1)
    }
}

/// The burial that the operator saw.
fn as_seen(letter: &FiledLetter) -> Document {
    doc! { "_id": letter.id.as_str(), "count": letter.burials }
}

fn conditions(filter: &LetterFilter) -> Document {
    let mut all = Vec::new();
    if !filter.ids.is_empty() {
        all.push(doc! { "$or": [{ "_id": { "$in": &filter.ids } }, { "handle": { "$in": &filter.ids } }] });
    }
    if let Some(owner) = &filter.owner {
        let businesses: Vec<&str> = owner.businesses.iter().map(|id| id.0.as_str()).collect();
        let numbers: Vec<&str> = owner.numbers.iter().map(PhoneNumberId::expose).collect();
        // What names another business is that one's, also where the number has moved since.
        all.push(doc! { "$or": [
            { "business_id": { "$in": businesses } },
            { "business_id": Bson::Null, "phone_number_id": { "$in": numbers } },
        ] });
    }
    if let Some(reason) = &filter.reason {
        all.push(doc! { "reason": reason.as_str() });
    }
    if let Some(until) = filter.until {
        all.push(doc! { "buried_at": { "$lte": to_bson(until) } });
    }
    if let Some(since) = filter.since {
        all.push(doc! { "buried_at": { "$gte": to_bson(since) } });
    }
    match filter.standing {
        Standing::Open => all.push(doc! { "replayed_at": Bson::Null, "discarded_at": Bson::Null }),
        Standing::Replayed => all.push(doc! { "replayed_at": { "$ne": Bson::Null }, "discarded_at": Bson::Null }),
        Standing::Closed => {
            let set = doc! { "$ne": Bson::Null };
            all.push(doc! { "$or": [{ "replayed_at": set.clone() }, { "discarded_at": set }] });
        }
        Standing::Any => {}
    }
    if all.is_empty() {
        doc! {}
    } else {
        doc! { "$and": all }
    }
}

fn read(letter: &Document) -> Result<FiledLetter> {
    let id = letter.get_str("_id").map_err(corrupt("dead letter"))?;
    let text = |field: &str| letter.get_str(field).ok();
    let buried_at = time(letter, "buried_at").unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(FiledLetter {
        id: id.to_owned(),
        handle: text("handle").unwrap_or(id).to_owned(),
        reason: text("reason").unwrap_or_default().to_owned(),
        detail: text("detail").unwrap_or_default().to_owned(),
        buried_at,
        last_buried_at: time(letter, "last_buried_at").unwrap_or(buried_at),
        burials: whole(letter, "count").unwrap_or(1),
        phone_number_id: text("phone_number_id").and_then(|id| PhoneNumberId::parse(id).ok()),
        business_id: text("business_id").map(|id| BusinessId(id.to_owned())),
        session: text("conversation").map(SessionId::from_stored),
        message_id: text("message_id").and_then(|id| MessageId::parse(id).ok()),
        state: state(letter),
        expires_at: time(letter, "expire_at"),
        body: body(letter),
    })
}

fn state(letter: &Document) -> LetterState {
    if let Some(at) = time(letter, "discarded_at") {
        return LetterState::Discarded { at };
    }
    if let Some(at) = time(letter, "replayed_at") {
        return LetterState::Replayed { at };
    }
    let until = time(letter, "replay_until");
    match letter.get_str("replay") {
        Ok(NOW) => LetterState::ReplayRequested { at: time(letter, "replay_requested_at") },
        Ok(WHEN_SERVED) if until.is_none_or(|until| until > Timestamp::now()) => {
            LetterState::WaitsForBusiness { until }
        }
        Ok(_) | Err(_) => LetterState::Undecided,
    }
}

fn time(letter: &Document, field: &str) -> Option<Timestamp> {
    letter.get_datetime(field).ok().map(|time| from_bson(*time))
}
