//! What cannot be handled and must not be lost, with the reason and its bytes.

use mongodb::bson::{Binary, Bson, DateTime, Document, doc, spec::BinarySubtype};
use shared::ids::{PhoneNumberId, SessionId};

use super::{Result, Store, corrupt};
use crate::conversation::BusinessId;

const KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

/// Whether a dead letter comes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayPolicy {
    /// When an operator says so.
    ByHand,
    /// When the business of its number can be served.
    WhenServed,
    /// The same, but for a day at most: later the customer no longer expects an answer.
    WhenServedWithinADay,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Deterministic, so that filing it twice changes nothing.
    pub id: String,
    /// A closed word, such as `unknown_business`.
    pub reason: &'static str,
    /// Details for the operator, without message text or secrets.
    pub detail: String,
    /// The number that it came to, where that is known.
    pub phone_number_id: Option<PhoneNumberId>,
    /// Whose it is, where that is known.
    pub business_id: Option<BusinessId>,
    /// Which conversation, where that is known.
    pub session: Option<SessionId>,
    /// The AMQP message id.
    pub message_id: Option<String>,
    /// An envelope, or whatever the bytes were.
    pub body: Vec<u8>,
    /// Whether it comes back by itself.
    pub replay: ReplayPolicy,
    /// Whether a turn buried it: its conversation then counts its id as answered, and a replay needs another.
    pub counted_as_answered: bool,
}

/// A dead letter that waits for its business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLetter {
    /// Its id.
    pub id: String,
    /// The AMQP message id.
    pub message_id: Option<String>,
    /// The envelope.
    pub body: Vec<u8>,
    /// How often it was buried.
    pub count: i64,
    /// The number under which it is replayed, where its own id counts as answered. Each replay of a turn's burial
    /// has the same number, that of its next burial another; a late delivery of the same message changes nothing.
    pub replay_number: Option<i64>,
}

impl Store {
    /// Files a dead letter; the same one again only counts, and says anew why and whether it comes back.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        let body = match std::str::from_utf8(&letter.body) {
            Ok(text) => Bson::String(text.to_owned()),
            Err(_) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: letter.body.clone() }),
        };
        let (replay, replay_until) = match letter.replay {
            ReplayPolicy::ByHand => (None, None),
            ReplayPolicy::WhenServed => (Some("when_served"), None),
            ReplayPolicy::WhenServedWithinADay => (Some("when_served"), Some(in_ms(24 * 60 * 60 * 1_000))),
        };
        let first = doc! {
            "body": body,
            "buried_at": DateTime::now(),
            "message_id": letter.message_id.as_deref(),
            "phone_number_id": letter.phone_number_id.as_ref().map(PhoneNumberId::expose),
            "business_id": letter.business_id.as_ref().map(|id| id.0.as_str()),
            "conversation": letter.session.as_ref().map(SessionId::expose),
            "expire_at": in_ms(KEPT_MS),
        };
        let newest = doc! {
            "reason": letter.reason,
            "detail": letter.detail.as_str(),
            "replay": replay,
            "replay_until": replay_until,
        };
        let update = doc! {
            "$setOnInsert": first,
            "$set": newest,
            "$unset": { "replayed_at": "" },
            "$inc": { "count": 1_i64, "turn_burials": i64::from(letter.counted_as_answered) },
        };
        let letters = self.db.collection::<Document>("dead_letters");
        letters.update_one(doc! { "_id": letter.id.as_str() }, update).upsert(true).await?;
        Ok(())
    }

    /// The numbers with dead letters that wait for their business.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn waiting_numbers(&self) -> Result<Vec<PhoneNumberId>> {
        let numbers = self.db.collection::<Document>("dead_letters").distinct("phone_number_id", waiting()).await?;
        Ok(numbers.iter().filter_map(|number| PhoneNumberId::parse(number.as_str()?).ok()).collect())
    }

    /// Some of the dead letters of a number that wait for its business, oldest first.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn waiting_letters(&self, number: &PhoneNumberId, most: i64) -> Result<Vec<WaitingLetter>> {
        let mut filter = waiting();
        filter.insert("phone_number_id", number.expose());
        let letters = self.db.collection::<Document>("dead_letters");
        let mut cursor = letters.find(filter).sort(doc! { "buried_at": 1, "_id": 1 }).limit(most).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            let letter = cursor.deserialize_current()?;
            let id = letter.get_str("_id").map_err(corrupt("dead letter"))?;
            let whole = |field: &str| letter.get(field).and_then(|n| n.as_i64().or(n.as_i32().map(i64::from)));
            let by_turns = whole("turn_burials").unwrap_or(0);
            found.push(WaitingLetter {
                id: id.to_owned(),
                message_id: letter.get_str("message_id").ok().map(str::to_owned),
                body: match letter.get("body") {
                    Some(Bson::String(text)) => text.clone().into_bytes(),
                    Some(Bson::Binary(binary)) => binary.bytes.clone(),
                    _ => Vec::new(),
                },
                count: whole("count").unwrap_or(1),
                replay_number: (by_turns > 0).then_some(by_turns),
            });
        }
        Ok(found)
    }

    /// Marks a dead letter as replayed, unless it was buried again since.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn mark_replayed(&self, letter: &WaitingLetter) -> Result<()> {
        let filter = doc! { "_id": letter.id.as_str(), "count": letter.count };
        let update = doc! { "$set": { "replayed_at": DateTime::now(), "replay": Bson::Null } };
        self.db.collection::<Document>("dead_letters").update_one(filter, update).await?;
        Ok(())
    }
}

fn waiting() -> Document {
    let in_time = doc! { "$or": [{ "replay_until": Bson::Null }, { "replay_until": { "$gt": DateTime::now() } }] };
    let mut filter = doc! { "replay": "when_served" };
    filter.extend(in_time);
    filter
}

fn in_ms(milliseconds: i64) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(milliseconds))
}
