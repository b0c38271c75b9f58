//! From a reply that was decided on to a settled conversation.

use std::time::Duration;

use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};
use shared::ids::{MessageId, PhoneNumberId, SessionId};

use super::{
    super::{
        Result, Store,
        pipeline::{array, literal, take_out, with_part},
    },
    MEMORY_TURNS, held_by, index, not_handed_over, turn_document, with_time,
};
use crate::conversation::{LeaseKey, MemoryTurn, Outbox, PartState, QuietTime, ReplyKind};

/// What became of a reply that was to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is in the outbox; its first part may be sent.
    Committed,
    /// Messages came that it does not answer.
    NewerMessages,
    /// A person has the conversation now.
    HandedOver,
    /// The lease is somebody else's.
    Fenced,
}

/// Lines to remember and what else a settled turn leaves behind.
#[derive(Debug, Default)]
pub struct Memory {
    /// New lines, oldest first.
    pub turns: Vec<MemoryTurn>,
    /// What the customer got, if anything.
    pub reply: Option<ReplyKind>,
}

/// A settled conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// When the messages that are left are due, from now; none where none is left.
    pub due_in: Option<Duration>,
}

impl Store {
    /// Writes the reply and marks its first part as being sent, unless the mailbox holds messages to the reply's
    /// number that are not among the `seen`: they came since, and should be taken into the reply. Without `seen`,
    /// they are left for the next turn.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn commit_reply(
        &self,
        lease: &LeaseKey,
        outbox: &Outbox,
        seen: Option<&[MessageId]>,
    ) -> Result<CommitOutcome> {
        let mut conditions = vec![not_handed_over()];
        if let Some(seen) = seen {
            let seen: Vec<&str> = seen.iter().map(MessageId::expose).collect();
            let to_this_number = doc! { "$eq": ["$$m.phone_number_id", literal(outbox.phone_number_id.expose())] };
            let unseen = doc! { "$and": [to_this_number, { "$not": [{ "$in": ["$$m.id", literal(seen)] }] }] };
            let unseen = doc! { "$filter": { "input": array("mailbox"), "as": "m", "cond": unseen } };
            conditions.push(doc! { "$eq": [{ "$size": unseen }, 0] });
        }
        let mut filter = held_by(lease);
        filter.insert("outbox", doc! { "$exists": false });
        filter.insert("$expr", doc! { "$and": conditions });
        let update = vec![doc! { "$set": { "outbox": outbox_document(outbox) } }];
        if self.conversations().update_one(filter, update).await?.matched_count == 1 {
            return Ok(CommitOutcome::Committed);
        }
        self.why_not_committed(lease, outbox).await
    }

    async fn why_not_committed(&self, lease: &LeaseKey, outbox: &Outbox) -> Result<CommitOutcome> {
        let mut projection = doc! { "outbox.reply_id": 1 };
        projection.insert("free", not_handed_over());
        let found = self.conversations().find_one(held_by(lease)).projection(projection).await?;
        let Some(document) = found else { return Ok(CommitOutcome::Fenced) };
        let theirs = document.get_document("outbox").ok().and_then(|outbox| outbox.get_str("reply_id").ok());
        Ok(match theirs {
            Some(reply) if reply == outbox.reply_id => CommitOutcome::Committed,
            // Only the holder of the lease writes an outbox.
            Some(_) => CommitOutcome::Fenced,
            None if document.get_bool("free").is_ok_and(|free| !free) => CommitOutcome::HandedOver,
            None => CommitOutcome::NewerMessages,
        })
    }

    /// Begins the next try of a part that was not sent, or of whose last try nothing was heard. False: not mine,
    /// or no longer so; then it must not be sent.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; after `Unavailable` the try may be begun: do not send.
    pub async fn begin_try(&self, lease: &LeaseKey, reply_id: &str, part: usize, tries_so_far: u32) -> Result<bool> {
        let mut filter = held_by(lease);
        filter.insert("outbox.reply_id", reply_id);
        filter.insert(
            "outbox.parts",
            doc! { "$elemMatch": {
                "n": index(part),
                "state": { "$in": ["waiting", "sending"] },
                "tries": { "$size": tries_so_far },
            } },
        );
        let patch = sending_patch();
        let update = vec![doc! { "$set": { "outbox.parts": with_part(part, patch) } }];
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }

    /// Records that a part was accepted, and begins the next one. False: not mine any more.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; the part stays in doubt, and the status webhook settles it.
    pub async fn part_sent(&self, lease: &LeaseKey, reply_id: &str, part: usize, wamid: &MessageId) -> Result<bool> {
        let mut filter = held_by(lease);
        filter.insert("outbox.reply_id", reply_id);
        let next_waits = doc! { "$cond": [{ "$eq": ["$$p.state", "waiting"] }, sending_patch(), {}] };
        let update = vec![
            doc! { "$set": { "outbox.parts": with_part(part, doc! { "state": "sent", "wamid": literal(wamid.expose()) }) } },
            doc! { "$set": { "outbox.parts": { "$map": { "input": "$outbox.parts", "as": "p", "in": { "$cond": [
                { "$eq": ["$$p.n", index(part + 1)] },
                { "$mergeObjects": ["$$p", next_waits] },
                "$$p",
            ] } } } } },
        ];
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }

    /// Ends a turn: the messages leave the mailbox and count as answered, the reply leaves the outbox, the memory
    /// grows, the lease goes. With messages left, says when they are due. None: not mine any more.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; after `Unavailable` it may have happened.
    pub async fn settle(
        &self,
        lease: &LeaseKey,
        number: &PhoneNumberId,
        messages: &[MessageId],
        memory: &Memory,
        quiet: QuietTime,
    ) -> Result<Option<Settled>> {
        let turns: Vec<Document> = memory.turns.iter().map(turn_document).collect();
        let apologised_at = match memory.reply {
            Some(ReplyKind::Apology) => Bson::from("$$NOW"),
            Some(ReplyKind::Answer) => Bson::from("$$REMOVE"),
            None => Bson::Document(doc! { "$ifNull": ["$apologised_at", "$$REMOVE"] }),
        };
        let mut update = vec![doc! { "$set": {
            "retry_at": "$$REMOVE",
            "attempts": 0,
            "takeovers": 0,
            "last_error": "$$REMOVE",
            "ai_failing_since": "$$REMOVE",
            "outbox": "$$REMOVE",
            "lease": "$$REMOVE",
            "apologised_at": apologised_at,
            "memory.turns": { "$slice": [
                { "$concatArrays": [array("memory.turns"), with_time(turns)] },
                -MEMORY_TURNS,
            ] },
        } }];
        update.extend(take_out(number, messages, quiet));
        let settled = self
            .conversations()
            .find_one_and_update(held_by(lease), update)
            .return_document(ReturnDocument::After)
            .projection(doc! { "due_in": { "$subtract": ["$due_at", "$$NOW"] } })
            .await?;
        Ok(settled.map(|document| Settled { due_in: whole_millis(&document, "due_in") }))
    }

    /// Records evidence that a part reached Meta. Not fenced: a fact is a fact; and it only ever goes forward.
    /// Where nobody holds the lease the conversation is due at once. False: nothing waits for this evidence.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn evidence(
        &self,
        session: &SessionId,
        number: &PhoneNumberId,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
    ) -> Result<bool> {
        let filter = doc! {
            "_id": session.expose(),
            "outbox.reply_id": reply_id,
            "outbox.phone_number_id": number.expose(),
            "outbox.parts": { "$elemMatch": { "n": index(part), "state": { "$ne": "sent" } } },
        };
        let held = doc! { "$gt": ["$lease.until", "$$NOW"] };
        let update = vec![doc! { "$set": {
            "outbox.parts": with_part(part, doc! { "state": "sent", "wamid": literal(wamid.expose()) }),
            "due_at": { "$cond": [held.clone(), "$due_at", "$$NOW"] },
            "retry_at": { "$cond": [held, { "$ifNull": ["$retry_at", "$$REMOVE"] }, "$$REMOVE"] },
        } }];
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }
}

/// The outbox as it is committed: the first part is being sent.
fn outbox_document(outbox: &Outbox) -> Document {
    let parts = outbox.parts.iter().enumerate().map(|(n, part)| {
        let first = n == 0 && part.state == PartState::Waiting;
        let tries = if first {
            doc! { "tries": [{ "n": 1, "at": "$$NOW" }] }
        } else {
            doc! { "tries": [] }
        };
        let state = if first { "sending" } else { "waiting" };
        doc! { "$mergeObjects": [{ "n": index(n), "body": literal(part.body.as_str()), "state": state }, tries] }
    });
    let answers: Vec<&str> = outbox.answers.iter().map(MessageId::expose).collect();
    doc! {
        "reply_id": literal(outbox.reply_id.as_str()),
        "apology": outbox.kind == ReplyKind::Apology,
        "phone_number_id": literal(outbox.phone_number_id.expose()),
        "answers": literal(answers),
        "parts": parts.collect::<Vec<_>>(),
    }
}

/// The next try of a part begins now.
fn sending_patch() -> Document {
    let tries = doc! { "$ifNull": ["$$p.tries", []] };
    let next = doc! { "n": { "$add": [{ "$size": tries.clone() }, 1] }, "at": "$$NOW" };
    doc! { "state": "sending", "tries": { "$concatArrays": [tries, [next]] } }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "BSON's types are a foreign enum; any other is no whole number")]
fn whole_millis(document: &Document, field: &str) -> Option<Duration> {
    let millis = match document.get(field)? {
        Bson::Int64(millis) => *millis,
        Bson::Int32(millis) => i64::from(*millis),
        _ => return None,
    };
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}
