//! What cannot be handled and must not be lost, with the reason and its bytes; and its way back.
//!
//! A letter goes back into its conversation as often as a replay of it is begun, and lands there once: each replay of
//! one burial has the same id, which landing knows. What became of it is written only where it was not buried again
//! since (`count`). What operators ask and decide is in `filed_letters`.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc, spec::BinarySubtype};
use shared::{
    envelope::Envelope,
    ids::{PhoneNumberId, SessionId},
};

use super::{MongoStore, corrupt, pipeline::literal};
use crate::store::{DeadLetter, DeadLetters, KEPT, ReplayPolicy, Result, WaitingLetter, letter_handle};

/// `replay` of a letter that waits for its business.
pub(super) const WHEN_SERVED: &str = "when_served";

/// `replay` of a letter that an operator wants to be replayed.
pub(super) const NOW: &str = "now";

/// Bytes of a body that are kept: a document has 16 MiB at most, and what cannot be stored would come back for ever. No
/// webhook is so large; ingest takes 4 MiB.
const BODY_MOST: usize = 15 << 20;

#[async_trait]
impl DeadLetters for MongoStore {
    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        let kept = letter.body.get(..BODY_MOST).unwrap_or(&letter.body);
        let body = match std::str::from_utf8(kept) {
            Ok(text) => Bson::String(text.to_owned()),
            Err(_) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: kept.to_vec() }),
        };
        let mut detail = letter.detail.clone();
        if kept.len() < letter.body.len() {
            let bytes = letter.body.len();
            tracing::error!(
                bytes,
                kept = kept.len(),
                "a dead letter is larger than a document can be: its end is lost"
            );
            detail = format!("{detail}; of its {bytes} bytes the first {} are kept", kept.len());
        }
        // When intake's reached ingest: a customer who is forgotten meanwhile is not in it any more.
        let received_at = match &letter.session {
            None => Envelope::decode(&letter.body).ok().map(|envelope| DateTime::from_millis(envelope.received_at)),
            Some(_) => None,
        };
        let mut first = doc! {
            "handle": letter_handle(&letter.id),
            "body": body,
            "buried_at": DateTime::now(),
            "message_id": letter.message_id.as_deref(),
            "phone_number_id": letter.phone_number_id.as_ref().map(PhoneNumberId::expose),
            "business_id": letter.business_id.as_ref().map(|id| id.0.as_str()),
            "conversation": letter.session.as_ref().map(SessionId::expose),
            "expire_at": in_ms(KEPT.as_secs() * 1_000),
        };
        if let Some(received_at) = received_at {
            first.insert("received_at", received_at);
        }
        let mut set = newest(letter.reason, &detail, letter.replay);
        for (field, value) in first {
            let kept = doc! { "$ifNull": [format!("${field}"), literal(value)] };
            set.insert(field, kept);
        }
        set.insert("count", plus("count", 1));
        set.insert("turn_burials", plus("turn_burials", i64::from(letter.counted_as_answered)));
        let letters = self.db.collection::<Document>("dead_letters");
        letters.update_one(doc! { "_id": letter.id.as_str() }, vec![doc! { "$set": set }]).upsert(true).await?;
        match &letter.session {
            Some(session) => self.erase_if_forgotten(session).await,
            None => Ok(()),
        }
    }

    async fn bury_again(
        &self,
        letter: &WaitingLetter,
        reason: &'static str,
        detail: &str,
        replay: ReplayPolicy,
        number: Option<&PhoneNumberId>,
    ) -> Result<()> {
        let mut set = newest(reason, detail, replay);
        let number = literal(number.map(PhoneNumberId::expose));
        set.insert("phone_number_id", doc! { "$ifNull": ["$phone_number_id", number] });
        set.insert("count", plus("count", 1));
        let letters = self.db.collection::<Document>("dead_letters");
        letters.update_one(this_burial(letter), vec![doc! { "$set": set }]).await?;
        Ok(())
    }

    async fn waiting_numbers(&self) -> Result<Vec<PhoneNumberId>> {
        let numbers = self.db.collection::<Document>("dead_letters").distinct("phone_number_id", waiting()).await?;
        Ok(numbers.iter().filter_map(|number| PhoneNumberId::parse(number.as_str()?).ok()).collect())
    }

    async fn waiting_letters(&self, number: &PhoneNumberId, most: i64) -> Result<Vec<WaitingLetter>> {
        let mut filter = waiting();
        filter.insert("phone_number_id", number.expose());
        let letters = self.db.collection::<Document>("dead_letters");
        let mut cursor = letters.find(filter).sort(doc! { "buried_at": 1, "_id": 1 }).limit(most).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(to_replay(&cursor.deserialize_current()?)?);
        }
        Ok(found)
    }

    async fn turn_burials(&self, ids: &[String]) -> Result<BTreeMap<String, i64>> {
        let letters = self.db.collection::<Document>("dead_letters");
        let mut cursor = letters.find(doc! { "_id": { "$in": ids } }).projection(doc! { "turn_burials": 1 }).await?;
        let mut found = BTreeMap::new();
        while cursor.advance().await? {
            let letter = cursor.deserialize_current()?;
            let id = letter.get_str("_id").map_err(corrupt("dead letter"))?.to_owned();
            found.insert(id, whole(&letter, "turn_burials").unwrap_or(0));
        }
        Ok(found)
    }

    async fn take_up_requested(&self, hold: Duration) -> Result<Option<WaitingLetter>> {
        let now = self.now();
        let hold = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX);
        let until = DateTime::from_millis(now.timestamp_millis().saturating_add(hold));
        let filter = doc! { "replay": NOW, "$or": not_in_hand(now) };
        let taking = doc! { "$set": { "replay_taken_until": until } };
        let letters = self.db.collection::<Document>("dead_letters");
        let taken = letters.find_one_and_update(filter, taking).sort(doc! { "buried_at": 1, "_id": 1 }).await?;
        taken.as_ref().map(to_replay).transpose()
    }

    async fn mark_replayed(&self, letter: &WaitingLetter) -> Result<()> {
        let update = doc! {
            "$set": { "replayed_at": DateTime::now(), "replay": Bson::Null },
            "$unset": { "replay_taken_until": "" },
        };
        self.db.collection::<Document>("dead_letters").update_one(this_burial(letter), update).await?;
        Ok(())
    }
}

/// What each burial says anew.
fn newest(reason: &'static str, detail: &str, replay: ReplayPolicy) -> Document {
    let (replay, until) = match replay {
        ReplayPolicy::ByHand => (None, None),
        ReplayPolicy::WhenServed => (Some(WHEN_SERVED), None),
        ReplayPolicy::WhenServedWithinADay => (Some(WHEN_SERVED), Some(in_ms(24 * 60 * 60 * 1_000))),
    };
    let mut set = doc! {
        "reason": literal(reason),
        "detail": literal(detail),
        "last_buried_at": DateTime::now(),
        "replay": literal(replay),
        "replay_until": literal(until),
    };
    for gone in ["replayed_at", "discarded_at", "replay_requested_at", "replay_taken_until"] {
        set.insert(gone, "$$REMOVE");
    }
    set
}

fn plus(field: &str, more: i64) -> Document {
    doc! { "$add": [{ "$ifNull": [format!("${field}"), 0_i64] }, more] }
}

fn this_burial(letter: &WaitingLetter) -> Document {
    doc! { "_id": letter.id.as_str(), "count": letter.count }
}

/// Nobody replays it now: alternatives of a filter.
pub(super) fn not_in_hand(now: DateTime) -> [Document; 2] {
    [doc! { "replay_taken_until": Bson::Null }, doc! { "replay_taken_until": { "$lte": now } }]
}

fn to_replay(letter: &Document) -> Result<WaitingLetter> {
    let by_turns = whole(letter, "turn_burials").unwrap_or(0);
    Ok(WaitingLetter {
        id: letter.get_str("_id").map_err(corrupt("dead letter"))?.to_owned(),
        reason: letter.get_str("reason").unwrap_or_default().to_owned(),
        message_id: letter.get_str("message_id").ok().map(str::to_owned),
        body: body(letter).unwrap_or_default(),
        count: whole(letter, "count").unwrap_or(1),
        replay_number: (by_turns > 0).then_some(by_turns),
    })
}

pub(super) fn whole(letter: &Document, field: &str) -> Option<i64> {
    letter.get(field).and_then(|number| number.as_i64().or(number.as_i32().map(i64::from)))
}

pub(super) fn body(letter: &Document) -> Option<Vec<u8>> {
    match letter.get("body") {
        Some(Bson::String(text)) => Some(text.clone().into_bytes()),
        Some(Bson::Binary(binary)) => Some(binary.bytes.clone()),
        _ => None,
    }
}

fn waiting() -> Document {
    let in_time = doc! { "$or": [{ "replay_until": Bson::Null }, { "replay_until": { "$gt": DateTime::now() } }] };
    let mut filter = doc! { "replay": WHEN_SERVED };
    filter.extend(in_time);
    filter
}

fn in_ms(milliseconds: i64) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(milliseconds))
}
