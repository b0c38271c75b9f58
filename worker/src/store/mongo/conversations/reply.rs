//! From a reply that was decided on to a settled conversation.

use async_trait::async_trait;
use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId},
    trace::TraceParent,
};

use super::{
    super::{
        MongoStore, millis,
        pipeline::{array, is_held, keep, literal, spend_one, take_out, whole, with_part},
        to_bson,
    },
    MEMORY_TURNS, heeded, held_by, not_handed_over,
    notices::with_notice,
    opted_out, time_left, turn_document, with_time,
};
use crate::{
    conversation::{
        Aftermath, CommitOutcome, Consent, FACTS_MOST, FactChange, LeaseKey, Memory, Outbox, Part, QuietTime,
        ReplyKind, Settled, remembered,
    },
    store::{Replies, Result},
};

/// How a stored reply is told from an answer and an apology.
const RESEND: &str = "resend";

#[async_trait]
impl Replies for MongoStore {
    async fn is_under_way(&self, session: &SessionId, reply_id: &str) -> Result<bool> {
        let filter = doc! { "_id": session.expose(), "outbox.reply_id": reply_id };
        Ok(self.conversations().find_one(filter).projection(doc! { "_id": 1 }).await?.is_some())
    }

    async fn trace_of_reply(&self, session: &SessionId, reply_id: &str) -> Result<Option<TraceParent>> {
        let filter = doc! { "_id": session.expose(), "outbox.reply_id": reply_id };
        let found = self.conversations().find_one(filter).projection(doc! { "outbox.trace": 1 }).await?;
        let trace = |document: Document| document.get_document("outbox").ok()?.get_str("trace").ok()?.parse().ok();
        Ok(found.and_then(trace))
    }

    async fn commit_reply(
        &self,
        lease: &LeaseKey,
        outbox: &Outbox,
        seen: Option<&[MessageId]>,
    ) -> Result<CommitOutcome> {
        let consent = outbox.aftermath.consent;
        let mut conditions = vec![not_handed_over()];
        if consent != Some(Consent::Given) {
            conditions.push(doc! { "$not": [opted_out()] });
        }
        if let Some(seen) = seen {
            let seen: Vec<&str> = seen.iter().map(MessageId::expose).collect();
            let to_this_number = doc! { "$eq": ["$$m.phone_number_id", literal(outbox.phone_number_id.expose())] };
            let unseen = doc! { "$not": [{ "$in": ["$$m.id", literal(seen)] }] };
            let unseen = doc! { "$and": [to_this_number, unseen] };
            let unseen = doc! { "$filter": { "input": array("mailbox"), "as": "m", "cond": unseen } };
            conditions.push(doc! { "$eq": [{ "$size": unseen }, 0] });
        }
        let mut filter = held_by(lease);
        filter.insert("outbox", doc! { "$exists": false });
        filter.insert("$expr", doc! { "$and": conditions });
        let mut set = doc! { "outbox": outbox_document(outbox) };
        if !outbox.parts.is_empty() {
            set.insert("buckets", spend_one(literal(outbox.phone_number_id.expose())));
        }
        if let Some(heeded) = heeded(consent) {
            set.insert("opted_out_at", heeded);
        }
        let update = vec![doc! { "$set": set }];
        if self.conversations().update_one(filter, update).await?.matched_count == 1 {
            return Ok(CommitOutcome::Committed);
        }
        self.why_not_committed(lease, outbox).await
    }

    async fn begin_try(
        &self,
        lease: &LeaseKey,
        reply_id: &str,
        part: usize,
        tries_so_far: u32,
        as_text: bool,
    ) -> Result<bool> {
        let mut filter = held_by(lease);
        filter.insert("outbox.reply_id", reply_id);
        filter.insert(
            "outbox.parts",
            doc! { "$elemMatch": {
                "n": whole(part),
                "state": { "$in": ["waiting", "sending"] },
                "tries": { "$size": tries_so_far },
            } },
        );
        let mut patch = sending_patch();
        if as_text {
            patch.insert("form", Bson::Null);
        }
        let update = vec![doc! { "$set": {
            "outbox.parts": with_part(part, patch),
            "buckets": spend_one("$outbox.phone_number_id"),
        } }];
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }

    async fn part_sent(&self, lease: &LeaseKey, reply_id: &str, part: usize, wamid: &MessageId) -> Result<bool> {
        let mut filter = held_by(lease);
        filter.insert("outbox.reply_id", reply_id);
        let is_next = doc! { "$and": [{ "$eq": ["$$p.n", whole(part + 1)] }, { "$eq": ["$$p.state", "waiting"] }] };
        let next_waits = doc! { "$map": { "input": "$outbox.parts", "as": "p", "in": is_next.clone() } };
        let begun = doc! { "$cond": [is_next, { "$mergeObjects": ["$$p", sending_patch()] }, "$$p"] };
        let update = vec![
            doc! { "$set": { "outbox.parts": with_part(part, sent_patch(wamid)) } },
            doc! { "$set": {
                "outbox.parts": { "$map": { "input": "$outbox.parts", "as": "p", "in": begun } },
                "buckets": { "$cond": [
                    { "$anyElementTrue": [next_waits] }, spend_one("$outbox.phone_number_id"), keep("buckets"),
                ] },
            } },
        ];
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }

    async fn settle(
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
            // The same words once more neither answer nor apologise.
            Some(ReplyKind::Resend) | None => Bson::from(keep("apologised_at")),
        };
        let mut set = doc! {
            "retry_at": "$$REMOVE",
            "attempts": 0,
            "takeovers": 0,
            "last_error": "$$REMOVE",
            "ai_failing_since": "$$REMOVE",
            "outbox": "$$REMOVE",
            "lease": "$$REMOVE",
            "waits_for": "$$REMOVE",
            "apologised_at": apologised_at,
            "last_reply": last_reply(),
            "memory.turns": { "$slice": [
                { "$concatArrays": [kept_lines(&memory.aftermath), with_time(turns)] },
                -MEMORY_TURNS,
            ] },
        };
        set.extend(aftermath(&memory.aftermath));
        let mut update = vec![doc! { "$set": set }];
        update.extend(take_out(number, messages, quiet));
        let settled = self
            .conversations()
            .find_one_and_update(held_by(lease), update)
            .return_document(ReturnDocument::After)
            .projection(doc! { "due_in": { "$subtract": ["$due_at", "$$NOW"] } })
            .await?;
        if settled.is_none() {
            // What the turn has recorded of its reply may be of a customer who was forgotten meanwhile.
            self.erase_if_forgotten(&lease.session).await?;
        }
        Ok(settled.map(|document| Settled { due_in: time_left(&document, "due_in") }))
    }

    async fn evidence(
        &self,
        session: &SessionId,
        number: &PhoneNumberId,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
    ) -> Result<bool> {
        let (filter, update) = proof(session, number, reply_id, part, wamid);
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }
}

impl MongoStore {
    async fn why_not_committed(&self, lease: &LeaseKey, outbox: &Outbox) -> Result<CommitOutcome> {
        let mut projection = doc! { "outbox.reply_id": 1 };
        projection.insert("free", not_handed_over());
        projection.insert("opted_out", opted_out());
        let found = self.conversations().find_one(held_by(lease)).projection(projection).await?;
        let Some(document) = found else { return Ok(CommitOutcome::Fenced) };
        let theirs = document.get_document("outbox").ok().and_then(|outbox| outbox.get_str("reply_id").ok());
        let wants_silence = outbox.aftermath.consent != Some(Consent::Given)
            && document.get_bool("opted_out").is_ok_and(|opted_out| opted_out);
        Ok(match theirs {
            Some(reply) if reply == outbox.reply_id => CommitOutcome::Committed,
            // Only the holder of the lease writes an outbox.
            Some(_) => CommitOutcome::Fenced,
            None if document.get_bool("free").is_ok_and(|free| !free) => CommitOutcome::HandedOver,
            None if wants_silence => CommitOutcome::OptedOut,
            None => CommitOutcome::NewerMessages,
        })
    }
}

/// Which conversation waits for the evidence, and what that changes.
pub(in super::super) fn proof(
    session: &SessionId,
    number: &PhoneNumberId,
    reply_id: &str,
    part: usize,
    wamid: &MessageId,
) -> (Document, Vec<Document>) {
    let filter = doc! {
        "_id": session.expose(),
        "outbox.reply_id": reply_id,
        "outbox.phone_number_id": number.expose(),
        "outbox.parts": { "$elemMatch": { "n": whole(part), "state": { "$ne": "sent" } } },
    };
    let update = vec![doc! { "$set": {
        "outbox.parts": with_part(part, sent_patch(wamid)),
        "due_at": { "$cond": [is_held(), keep("due_at"), "$$NOW"] },
        "retry_at": { "$cond": [is_held(), keep("retry_at"), "$$REMOVE"] },
    } }];
    (filter, update)
}

/// The outbox as it is committed: the first part is being sent.
fn outbox_document(outbox: &Outbox) -> Document {
    let parts = outbox.parts.iter().enumerate().map(|(n, part)| {
        let (state, tries) = match n {
            0 => ("sending", vec![doc! { "n": 1, "at": "$$NOW" }]),
            _ => ("waiting", Vec::new()),
        };
        let mut document = doc! { "n": whole(n), "body": literal(part.body.as_str()), "state": state, "tries": tries };
        if let Some(form) = form(part) {
            document.insert("form", literal(form));
        }
        document
    });
    let answers: Vec<&str> = outbox.answers.iter().map(MessageId::expose).collect();
    let mut document = doc! {
        "reply_id": literal(outbox.reply_id.as_str()),
        "kind": match outbox.kind {
            ReplyKind::Answer => "answer",
            ReplyKind::Apology => "apology",
            ReplyKind::Resend => RESEND,
        },
        "phone_number_id": literal(outbox.phone_number_id.expose()),
        "answers": literal(answers),
        "parts": parts.collect::<Vec<_>>(),
        "aftermath": literal(serde_json::to_string(&outbox.aftermath).unwrap_or_default()),
    };
    if let Some(trace) = outbox.trace {
        document.insert("trace", trace.to_string());
    }
    document
}

/// How a part is sent, as JSON text; none for plain text.
fn form(part: &Part) -> Option<String> {
    (!part.form.is_text()).then(|| serde_json::to_string(&part.form).ok()).flatten()
}

/// The remembered lines, without those that a new summary stands for.
fn kept_lines(aftermath: &Aftermath) -> Bson {
    let lines = array("memory.turns");
    match &aftermath.summary {
        Some(summary) => {
            let newer = doc! { "$gt": ["$$l.at", to_bson(summary.until)] };
            Bson::Document(doc! { "$filter": { "input": lines, "as": "l", "cond": newer } })
        }
        None => lines,
    }
}

/// What the reply that is settled changes, besides the lines.
fn aftermath(aftermath: &Aftermath) -> Document {
    let mut set = Document::new();
    if let Some(summary) = &aftermath.summary {
        set.insert("memory.summary", literal(remembered(&summary.text)));
    }
    if !aftermath.facts.is_empty() {
        let named: Vec<&str> = aftermath.facts.iter().map(FactChange::id).collect();
        let others = doc! { "$not": [{ "$in": ["$$f.id", literal(named)] }] };
        let others = doc! { "$filter": { "input": array("memory.facts"), "as": "f", "cond": others } };
        let learned = aftermath.facts.iter().filter_map(|change| match change {
            FactChange::Learned { id, text } => {
                let fact = doc! { "id": id.as_str(), "text": remembered(text) };
                Some(Bson::Document(doc! { "$mergeObjects": [literal(fact), { "at": "$$NOW" }] }))
            }
            FactChange::Dropped { .. } => None,
        });
        let facts = doc! { "$concatArrays": [others, learned.collect::<Vec<_>>()] };
        set.insert("memory.facts", doc! { "$slice": [facts, -whole(FACTS_MOST)] });
    }
    if let Some(length) = aftermath.hand_over {
        let until = doc! { "$add": ["$$NOW", millis(length)] };
        set.insert("handed_over_until", doc! { "$max": ["$handed_over_until", until] });
    }
    if let Some(heeded) = heeded(aftermath.consent) {
        set.insert("opted_out_at", heeded);
    }
    if let Some(until) = aftermath.limited_until {
        set.insert("limited_until", doc! { "$max": ["$limited_until", to_bson(until)] });
    }
    if let Some(announcement) = &aftermath.announcement {
        set.insert("notices", with_notice(announcement));
    }
    if let Some(language) = &aftermath.language {
        set.insert("customer.language", literal(language.as_str()));
    }
    set
}

/// What a settled turn leaves of its reply: Meta may yet report that it could not be delivered. A part that was sent
/// once more is not sent a third time.
fn last_reply() -> Document {
    doc! { "$switch": { "branches": [
        { "case": { "$eq": [{ "$type": "$outbox" }, "missing"] }, "then": keep("last_reply") },
        { "case": { "$eq": ["$outbox.kind", RESEND] }, "then": "$$REMOVE" },
    ], "default": { "id": "$outbox.reply_id", "resent": [] } } }
}

/// Meta has the part.
fn sent_patch(wamid: &MessageId) -> Document {
    doc! { "state": "sent", "wamid": literal(wamid.expose()) }
}

/// The next try of a part begins now.
fn sending_patch() -> Document {
    let tries = doc! { "$ifNull": ["$$p.tries", []] };
    let next = doc! { "n": { "$add": [{ "$size": tries.clone() }, 1] }, "at": "$$NOW" };
    doc! { "state": "sending", "tries": { "$concatArrays": [tries, [next]] } }
}
