//! The operations on a conversation, each one atomic update.
//!
//! Times are the database's (`$$NOW`), never a worker's. Guarded operations name the lease by conversation and
//! epoch; a stale epoch matches nothing, which the callers read as "no longer mine". An update whose answer was
//! lost is repeated by the driver, and a commit that finds its own reply already there counts as done.

use std::time::Duration;

use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain, UserId, WaId};

use super::{
    Result, Store, StoreError, conversation_document, corrupt, from_bson, is_duplicate_key, millis,
    pipeline::{array, contains, due, literal, take_out, with_part},
    to_bson,
};
use crate::conversation::{
    BusinessId, Conversation, Customer, LeaseKey, MailboxItem, MemoryTurn, Outbox, PartState, QuietTime, ReplyKind,
};

/// Messages that a mailbox holds with their content; further ones leave it in the transcript.
const MAILBOX_WITH_CONTENT: i32 = 200;
/// Remembered lines.
const MEMORY_TURNS: i32 = 40;
/// Bytes of one remembered line.
const MEMORY_TURN_BYTES: usize = 4_096;
/// A customer's service window after each message (Meta, "Send messages", 2026).
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A message on its way into its conversation.
#[derive(Debug)]
pub struct Landing<'a> {
    /// Which conversation.
    pub session: &'a SessionId,
    /// Whose it is.
    pub business_id: &'a BusinessId,
    /// The business's subdomain.
    pub subdomain: Option<&'a Subdomain>,
    /// What the message tells about the customer.
    pub customer: &'a Customer,
    /// The message.
    pub item: &'a MailboxItem,
    /// How long to wait for more.
    pub quiet: QuietTime,
    /// Land it although it is older than what the conversation remembers, because the transcript was asked.
    pub looked_up: bool,
}

/// What became of a landing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed {
    /// It is in the mailbox. Due in that time, if nobody has the lease.
    New {
        /// From now.
        due_in: Duration,
    },
    /// It was there, or was answered.
    Duplicate,
    /// So old that only the transcript can tell whether it was answered; nothing was changed.
    AskTranscript,
    /// The mailbox takes no more content; nothing was changed.
    NoRoomForContent,
    /// The conversation went on elsewhere; nothing was changed.
    Moved(SessionId),
}

/// A lease that was taken.
#[derive(Debug)]
pub struct Claim {
    /// For guarded operations.
    pub lease: LeaseKey,
    /// The conversation at that moment.
    pub conversation: Conversation,
}

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

/// Why and how long a conversation waits.
#[derive(Debug, Clone)]
pub struct Postponement {
    /// From now.
    pub delay: Duration,
    /// A word for the operator, such as `throttled`.
    pub reason: &'static str,
    /// Details for the operator, without message text or secrets.
    pub detail: String,
    /// Waiting for evidence of a send: no failed attempt, and over as soon as no part is in doubt.
    pub for_evidence: bool,
    /// Whether the AI is what failed.
    pub ai: bool,
    /// A part that is known not to have been sent.
    pub not_sent: Option<usize>,
}

/// An id of a customer that is theirs no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerIdChange {
    /// A phone number.
    Phone {
        /// The former one.
        old: WaId,
        /// The one that came in its place, where that is known.
        new: Option<WaId>,
    },
    /// A business-scoped user id.
    User {
        /// The former one.
        old: UserId,
        /// The one that came in its place.
        new: UserId,
    },
}

/// The businesses that have due conversations, and which.
pub type DueBusinesses = Vec<(Option<Subdomain>, Vec<SessionId>)>;

/// A lease after its renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Which one.
    pub lease: LeaseKey,
    /// How many messages wait in the mailbox.
    pub mailbox: usize,
}

impl Store {
    /// Puts a message into its conversation's mailbox, unless it is known.
    ///
    /// # Errors
    /// [`StoreError`]; after `Unavailable` the message may have landed, and a repetition says `Duplicate`.
    pub async fn land(&self, landing: &Landing<'_>) -> Result<Landed> {
        let update = land_pipeline(landing);
        let filter = doc! { "_id": landing.session.expose() };
        let conversations = self.conversations();
        loop {
            let landing = conversations
                .find_one_and_update(filter.clone(), update.clone())
                .upsert(true)
                .return_document(ReturnDocument::After)
                .projection(doc! { "last_land": 1, "due_at": 1, "merged_into": 1 });
            match landing.await {
                Ok(Some(document)) => return read_landed(&document),
                Ok(None) => return Err(no_document("land")),
                // Two first messages met; the conversation is there now.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the lease of a conversation that is due and that nobody holds.
    ///
    /// # Errors
    /// [`StoreError`]; after `Unavailable` the lease may be taken, and runs out by itself.
    pub async fn claim(&self, session: &SessionId, worker: &str, lease: Duration) -> Result<Option<Claim>> {
        let filter = doc! { "_id": session.expose(), "$expr": { "$and": [
            { "$lte": ["$due_at", "$$NOW"] },
            // A missing date sorts before every date, so "never due" has to be told from "due".
            { "$eq": [{ "$type": "$due_at" }, "date"] },
            { "$lte": ["$lease.until", "$$NOW"] },
        ] } };
        let epoch = doc! { "$add": [{ "$ifNull": ["$epoch", 0_i64] }, 1_i64] };
        let expired = doc! { "$eq": [{ "$type": "$lease" }, "object"] };
        let update = vec![doc! { "$set": {
            "epoch": epoch.clone(),
            "takeovers": { "$add": [{ "$ifNull": ["$takeovers", 0] }, { "$cond": [expired, 1, 0] }] },
            "lease": {
                "worker": worker,
                "epoch": epoch,
                "taken_at": "$$NOW",
                "until": { "$add": ["$$NOW", millis(lease)] },
            },
        } }];
        let claimed = self
            .conversations()
            .find_one_and_update(filter, update)
            .return_document(ReturnDocument::After)
            .projection(doc! { "answered": 0, "windows": 0, "last_land": 0 })
            .await?;
        let Some(document) = claimed else { return Ok(None) };
        let (conversation, epoch) = match conversation_document::read(document) {
            Ok(read) => read,
            Err(error) => {
                self.set_aside(session).await?;
                return Err(error);
            }
        };
        Ok(Some(Claim { lease: LeaseKey { session: session.clone(), epoch }, conversation }))
    }

    /// A document that cannot be read is due no more, until somebody mended it or its customer writes again.
    async fn set_aside(&self, session: &SessionId) -> Result<()> {
        tracing::error!(%session, "a conversation cannot be read: it is set aside as it is");
        metrics::counter!("switchboard_conversations_set_aside_total").increment(1);
        let update = doc! { "$unset": { "due_at": "", "lease": "" }, "$currentDate": { "set_aside_at": true } };
        self.conversations().update_one(doc! { "_id": session.expose() }, update).await?;
        Ok(())
    }

    /// The conversation as it is now; none: not mine any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reread(&self, lease: &LeaseKey) -> Result<Option<Conversation>> {
        let found = self.conversations().find_one(held_by(lease)).projection(doc! { "answered": 0 }).await?;
        let found = found.map(conversation_document::read).transpose()?;
        Ok(found.map(|(conversation, _)| conversation))
    }

    /// Writes the reply and marks its first part as being sent, unless the mailbox holds messages to the reply's
    /// number that are not among the `seen`: they came since, and should be taken into the reply. Without `seen`,
    /// they are left for the next turn.
    ///
    /// # Errors
    /// [`StoreError`].
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
    /// [`StoreError`]; after `Unavailable` the try may be begun: do not send.
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
    /// [`StoreError`]; the part stays in doubt, and the status webhook settles it.
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
    /// [`StoreError`]; after `Unavailable` it may have happened.
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

    /// Gives the lease back and lets the conversation wait. False: not mine any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn postpone(&self, lease: &LeaseKey, postponement: &Postponement) -> Result<bool> {
        let retry_at = doc! { "$add": ["$$NOW", millis(postponement.delay)] };
        // Evidence that came during the turn leaves nothing to wait for.
        let doubt_is_left = doc! { "$in": ["sending", array("outbox.parts.state")] };
        let retry_at = match postponement.for_evidence {
            true => doc! { "$cond": [doubt_is_left, retry_at, "$$NOW"] },
            false => retry_at,
        };
        // Attempts at something else say nothing about this.
        let same_reason = doc! { "$eq": ["$last_error.reason", postponement.reason] };
        let attempts = match postponement.for_evidence {
            true => doc! { "$ifNull": ["$attempts", 0] },
            false => doc! { "$add": [{ "$cond": [same_reason, "$attempts", 0] }, 1] },
        };
        let mut set = doc! {
            "retry_at": retry_at.clone(),
            "due_at": retry_at,
            "attempts": attempts,
            // A process that is alive to say why it waits was not killed by these messages; but waiting for evidence
            // is what follows a death, and must not wipe out its trace.
            "takeovers": if postponement.for_evidence { doc! { "$ifNull": ["$takeovers", 0] }.into() } else { Bson::Int32(0) },
            "last_error": { "reason": postponement.reason, "detail": literal(postponement.detail.as_str()), "at": "$$NOW" },
            "lease": "$$REMOVE",
        };
        let failing_since = if postponement.ai {
            doc! { "$ifNull": ["$ai_failing_since", "$$NOW"] }.into()
        } else {
            Bson::from("$$REMOVE")
        };
        set.insert("ai_failing_since", failing_since);
        if let Some(part) = postponement.not_sent {
            set.insert(
                "outbox.parts",
                with_part(
                    part,
                    doc! { "state": { "$cond": [
                        { "$eq": ["$$p.state", "sent"] }, "sent", "waiting",
                    ] } },
                ),
            );
        }
        Ok(self.conversations().update_one(held_by(lease), vec![doc! { "$set": set }]).await?.matched_count == 1)
    }

    /// Gives leases back as they are, due at once, for a worker that stops. Says how many there were.
    ///
    /// # Errors
    /// [`StoreError`]; the leases run out by themselves.
    pub async fn release_all(&self, worker: &str) -> Result<u64> {
        let update = doc! { "$unset": { "lease": "" } };
        Ok(self.conversations().update_many(doc! { "lease.worker": worker }, update).await?.modified_count)
    }

    /// Gives one lease back as it is. False: not mine any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, lease: &LeaseKey) -> Result<bool> {
        let update = doc! { "$unset": { "lease": "" } };
        Ok(self.conversations().update_one(held_by(lease), update).await?.matched_count == 1)
    }

    /// Prolongs the leases that are still held, and tells which those are.
    ///
    /// # Errors
    /// [`StoreError`]; some may have been prolonged.
    pub async fn renew(&self, leases: &[LeaseKey], worker: &str, lease: Duration) -> Result<Vec<Renewed>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let held: Vec<Document> = leases.iter().map(held_by).collect();
        let filter = doc! { "$or": held, "lease.worker": worker };
        let update = vec![doc! { "$set": { "lease.until": { "$add": ["$$NOW", millis(lease)] } } }];
        self.conversations().update_many(filter.clone(), update).await?;
        let projection = doc! { "lease.epoch": 1, "mailbox": { "$size": array("mailbox") } };
        let mut cursor = self.conversations().find(filter).projection(projection).await?;
        let mut renewed = Vec::with_capacity(leases.len());
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let epoch = document.get_document("lease").and_then(|lease| lease.get_i64("epoch"));
            let (Ok(id), Ok(epoch)) = (document.get_str("_id"), epoch) else { continue };
            let lease = LeaseKey { session: SessionId::from_stored(id), epoch };
            let mailbox = document.get_i32("mailbox").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            renewed.push(Renewed { lease, mailbox });
        }
        Ok(renewed)
    }

    /// Records evidence that a part reached Meta. Not fenced: a fact is a fact; and it only ever goes forward.
    /// Where nobody holds the lease the conversation is due at once. False: nothing waits for this evidence.
    ///
    /// # Errors
    /// [`StoreError`].
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

    /// A person has the conversation for that time from now. A turn under way cannot commit a reply any more.
    /// False: there is no such conversation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hand_over(&self, session: &SessionId, length: Duration, said: Option<&str>) -> Result<bool> {
        let line = said.map(|text| {
            turn_document(&MemoryTurn { speaker: crate::conversation::Speaker::Person, text: text.to_owned() })
        });
        let turns = with_time(line.into_iter().collect());
        let update = vec![doc! { "$set": {
            "handed_over_until": { "$max": ["$handed_over_until", { "$add": ["$$NOW", millis(length)] }] },
            "memory.turns": { "$slice": [{ "$concatArrays": [array("memory.turns"), turns] }, -MEMORY_TURNS] },
        } }];
        Ok(self.conversations().update_one(doc! { "_id": session.expose() }, update).await?.matched_count == 1)
    }

    /// The customer of a conversation has another id now, or none that is known: what is answered from here on
    /// must not go to the next owner of the old one. Nothing changes where the old one is not on record, or where
    /// no id would be left to answer to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_customer_id(&self, session: &SessionId, change: &CustomerIdChange) -> Result<()> {
        let (field, old, new) = match change {
            CustomerIdChange::Phone { old, new } => ("customer.wa_id", old.expose(), new.as_ref().map(WaId::expose)),
            CustomerIdChange::User { old, new } => ("customer.user_id", old.expose(), Some(new.expose())),
        };
        let mut filter = doc! { "_id": session.expose() };
        filter.insert(field, old);
        let update = match new {
            Some(new) => doc! { "$set": { field: new } },
            None => {
                filter.insert("customer.user_id", doc! { "$exists": true });
                doc! { "$unset": { field: "" } }
            }
        };
        self.conversations().update_one(filter, update).await?;
        Ok(())
    }

    /// The businesses with due conversations that nobody holds, each with its first few. `after` is the business
    /// to go on behind, so that repeated calls come round to all of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due(&self, businesses: usize, each: i64) -> Result<DueBusinesses> {
        let now = self.now();
        let due = doc! { "due_at": { "$lte": now } };
        let free = doc! { "$or": [{ "lease": { "$exists": false } }, { "lease.until": { "$lte": now } }] };
        let mut subdomains = self.conversations().distinct("subdomain", due.clone()).await?;
        // Where there are more than this scan can look at, each has its chance.
        rand::seq::SliceRandom::shuffle(subdomains.as_mut_slice(), &mut rand::rng());
        let mut found = Vec::new();
        for subdomain in subdomains.into_iter().take(businesses) {
            let filter = doc! { "$and": [{ "subdomain": subdomain.clone() }, due.clone(), free.clone()] };
            let conversations = self.conversations();
            let finding = conversations.find(filter).sort(doc! { "due_at": 1 }).limit(each);
            let mut cursor = finding.projection(doc! { "_id": 1 }).await?;
            let mut sessions = Vec::new();
            while cursor.advance().await? {
                let document = cursor.deserialize_current()?;
                if let Ok(id) = document.get_str("_id") {
                    sessions.push(SessionId::from_stored(id));
                }
            }
            let subdomain = subdomain.as_str().and_then(|text| Subdomain::parse(text).ok());
            found.push((subdomain, sessions));
        }
        Ok(found)
    }
}

/// A settled conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// When the messages that are left are due, from now; none where none is left.
    pub due_in: Option<Duration>,
}

fn land_pipeline(landing: &Landing<'_>) -> Vec<Document> {
    let item = landing.item;
    let known = doc! { "$or": [
        contains("mailbox", &item.phone_number_id, &item.id),
        contains("answered", &item.phone_number_id, &item.id),
    ] };
    // A missing floor sorts before every date.
    let beyond_memory = doc! { "$gte": ["$answered_floor", to_bson(item.timestamp)] };
    let no_room = doc! { "$gte": [{ "$size": array("mailbox") }, MAILBOX_WITH_CONTENT] };
    let verdict = doc! { "$switch": { "branches": [
        { "case": { "$eq": [{ "$type": "$merged_into" }, "string"] }, "then": "moved" },
        { "case": known, "then": "duplicate" },
        { "case": { "$and": [beyond_memory, !landing.looked_up] }, "then": "ask_transcript" },
        { "case": { "$and": [no_room, item.message.is_some()] }, "then": "no_room" },
    ], "default": "new" } };
    let new = doc! { "$eq": ["$last_land.verdict", "new"] };
    let landed = doc! { "$mergeObjects": [literal(item_document(item)), { "landed_at": "$$NOW" }] };
    let keep = |field: &str| doc! { "$ifNull": [format!("${field}"), "$$REMOVE"] };
    let window = format!("windows.{}", item.phone_number_id.expose());
    let window_end = item.timestamp.saturating_add(jiff::SignedDuration::try_from(WINDOW).unwrap_or_default());
    let window_end = to_bson(window_end.unwrap_or(item.timestamp));
    vec![
        doc! { "$set": { "last_land": { "verdict": verdict, "at": "$$NOW" } } },
        doc! { "$set": {
            "business_id": { "$ifNull": ["$business_id", literal(landing.business_id.0.as_str())] },
            "subdomain": { "$ifNull": ["$subdomain", literal(landing.subdomain.map(Subdomain::expose))] },
            "attempts": { "$ifNull": ["$attempts", 0] },
            "mailbox": { "$cond": [new.clone(), { "$concatArrays": [array("mailbox"), [landed]] }, array("mailbox")] },
            "customer": { "$cond": [
                new.clone(),
                { "$mergeObjects": ["$customer", literal(customer_document(landing.customer))] },
                keep("customer"),
            ] },
            "first_landed_at": { "$cond": [
                new.clone(), { "$ifNull": ["$first_landed_at", "$$NOW"] }, keep("first_landed_at"),
            ] },
            "last_landed_at": { "$cond": [new.clone(), "$$NOW", keep("last_landed_at")] },
            window.as_str(): { "$cond": [
                new.clone(), { "$max": [format!("${window}"), window_end] }, keep(&window),
            ] },
        } },
        doc! { "$set": { "due_at": { "$cond": [new, due("$$NOW", landing.quiet), keep("due_at")] } } },
    ]
}

fn read_landed(document: &Document) -> Result<Landed> {
    let read = || {
        let last_land = document.get_document("last_land")?;
        Ok::<_, mongodb::bson::error::Error>((last_land.get_str("verdict")?, from_bson(*last_land.get_datetime("at")?)))
    };
    let (verdict, at) = read().map_err(corrupt("landing"))?;
    Ok(match verdict {
        "new" => {
            let due_at = document.get_datetime("due_at").map_or(at, |due_at| from_bson(*due_at));
            Landed::New { due_in: Duration::try_from(due_at.duration_since(at)).unwrap_or_default() }
        }
        "duplicate" => Landed::Duplicate,
        "ask_transcript" => Landed::AskTranscript,
        "no_room" => Landed::NoRoomForContent,
        _ => Landed::Moved(SessionId::from_stored(document.get_str("merged_into").map_err(corrupt("tombstone"))?)),
    })
}

fn no_document(operation: &'static str) -> StoreError {
    StoreError::Corrupt { what: "conversation", problem: format!("{operation} returned no document") }
}

fn held_by(lease: &LeaseKey) -> Document {
    doc! { "_id": lease.session.expose(), "lease.epoch": lease.epoch }
}

fn not_handed_over() -> Document {
    // A missing date sorts before every date.
    doc! { "$lte": ["$handed_over_until", "$$NOW"] }
}

fn index(part: usize) -> Bson {
    Bson::Int64(i64::try_from(part).unwrap_or(i64::MAX))
}

/// The next try of a part begins now.
fn sending_patch() -> Document {
    let tries = doc! { "$ifNull": ["$$p.tries", []] };
    let next = doc! { "n": { "$add": [{ "$size": tries.clone() }, 1] }, "at": "$$NOW" };
    doc! { "state": "sending", "tries": { "$concatArrays": [tries, [next]] } }
}

fn item_document(item: &MailboxItem) -> Document {
    doc! {
        "id": item.id.expose(),
        "phone_number_id": item.phone_number_id.expose(),
        "timestamp": to_bson(item.timestamp),
        "received_at": to_bson(item.received_at),
        "index": i64::from(item.index),
        "message": item.message.as_deref(),
    }
}

fn customer_document(customer: &Customer) -> Document {
    let mut document = Document::new();
    if let Some(wa_id) = &customer.wa_id {
        document.insert("wa_id", wa_id.expose());
    }
    if let Some(user_id) = &customer.user_id {
        document.insert("user_id", user_id.expose());
    }
    if let Some(name) = &customer.name {
        document.insert("name", name.as_str());
    }
    document
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

fn turn_document(turn: &MemoryTurn) -> Document {
    let speaker = match turn.speaker {
        crate::conversation::Speaker::Customer => "customer",
        crate::conversation::Speaker::Companion => "companion",
        crate::conversation::Speaker::Person => "person",
    };
    let mut text = turn.text.as_str();
    if text.len() > MEMORY_TURN_BYTES {
        let end = (0..=MEMORY_TURN_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text = text.get(..end).unwrap_or_default();
    }
    doc! { "speaker": speaker, "text": text }
}

/// The lines with the time of the update.
fn with_time(turns: Vec<Document>) -> Bson {
    let turns =
        turns.into_iter().map(|turn| Bson::Document(doc! { "$mergeObjects": [literal(turn), { "at": "$$NOW" }] }));
    Bson::Array(turns.collect())
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
