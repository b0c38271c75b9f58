//! A conversation as a pure state machine: the reference of its protocol.
//!
//! [`State`] is the stored document, and each operation is one method that takes the time of the database and changes
//! it whole or not at all. MongoDB's pipelines in `store::conversations` do the same inside the database, and a test
//! holds them to it, step by step; an embedded store runs these methods in a transaction. Nothing here waits, fails
//! or knows of a database.
//!
//! Guarded operations name the lease that they write under. One that is not the conversation's any more changes
//! nothing and is answered as such; whether the lease has run out plays no part until somebody else takes it.
//!
//! Merging two conversations and forgetting a customer are steps over several documents. Of them only the tombstone is
//! here, which these operations have to heed, and what becomes of two contents that are one.
//!
//! Times are whole milliseconds, which is what databases keep.

mod record;
mod landing;
mod lease;
mod waiting;
mod reply;
mod settling;
mod person;
mod notices;
mod merging;
mod operation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::ids::{PhoneNumberId, SessionId, Subdomain};

pub use operation::{Answer, Operation};
pub use record::{
    Answered, LastError, LastLand, LastReply, Lease, OutboxRecord, PartRecord, Try, Verdict, Waiting, WaitsFor,
};

use super::{
    BusinessId, Conversation, Customer, Fact, LeaseKey, MailboxItem, Minute, Notice, Outbox, Recollection, Remembered,
    sort_by_customers_order,
};

/// Everything that is stored of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// The session id.
    #[serde(rename = "_id")]
    pub id: SessionId,
    /// Whose it is: set by the first message, then fixed.
    pub business_id: BusinessId,
    /// The business's subdomain when the session began; none for the fallback business.
    pub subdomain: Option<Subdomain>,
    /// Whom answers go to.
    #[serde(default)]
    pub customer: Customer,
    /// Landed, not answered; in the order of landing.
    #[serde(default)]
    pub mailbox: Vec<Waiting>,
    /// What was answered lately, oldest first.
    #[serde(default)]
    pub answered: Vec<Answered>,
    /// The newest time among entries that `answered` ever lost: what is not younger may have been answered although
    /// it is not there.
    pub answered_floor: Option<Timestamp>,
    /// When the first message landed that is in the mailbox.
    pub first_landed_at: Option<Timestamp>,
    /// When the last one did.
    pub last_landed_at: Option<Timestamp>,
    /// When it is somebody's turn. None: nothing to do.
    pub due_at: Option<Timestamp>,
    /// Not due before.
    pub retry_at: Option<Timestamp>,
    /// Failed tries of one cause in a row.
    #[serde(default)]
    pub attempts: u32,
    /// Why it waited last, since the last success.
    pub last_error: Option<LastError>,
    /// How often a lease was taken.
    #[serde(default)]
    pub epoch: i64,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// Leases that expired in a row.
    #[serde(default)]
    pub takeovers: u32,
    /// Since when the AI fails for these messages.
    pub ai_failing_since: Option<Timestamp>,
    /// When the customer was last told that the AI fails, if nothing was answered since.
    pub apologised_at: Option<Timestamp>,
    /// A reply under way.
    pub outbox: Option<OutboxRecord>,
    /// The last answer or apology, as long as a part of it may have to be sent once more.
    pub last_reply: Option<LastReply>,
    /// The last lines, oldest first.
    #[serde(default)]
    pub memory: Vec<Remembered>,
    /// What was said before them.
    pub summary: Option<String>,
    /// What was learned about the customer, oldest first.
    #[serde(default)]
    pub facts: Vec<Fact>,
    /// A person has the conversation until then.
    pub handed_over_until: Option<Timestamp>,
    /// Since when the customer wants to hear no more: nothing is committed but the confirmation of another wish.
    pub opted_out_at: Option<Timestamp>,
    /// How much the customer wrote in a minute.
    pub minute: Option<Minute>,
    /// A limit of the business leaves the customer without an answer until then.
    pub limited_until: Option<Timestamp>,
    /// What the business is still to be told, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// Until when each number may write freely, by Meta's rule.
    #[serde(default)]
    pub windows: BTreeMap<PhoneNumberId, Timestamp>,
    /// When each number's bucket of messages to the customer is full again. What is past may be missing.
    #[serde(default)]
    pub buckets: BTreeMap<PhoneNumberId, Timestamp>,
    /// What ends the wait besides time.
    pub waits_for: Option<WaitsFor>,
    /// What became of the last landing.
    pub last_land: Option<LastLand>,
    /// When it was set aside because it could not be read.
    pub set_aside_at: Option<Timestamp>,
    /// The conversation that went on in place of this one.
    pub merged_into: Option<SessionId>,
}

impl State {
    /// The conversation as a turn that has the lease sees it. None: that lease is not its any more.
    pub fn reread(&self, lease: &LeaseKey) -> Option<Conversation> {
        self.held(lease).map(|lease| self.as_seen_by(lease))
    }

    /// The lease that an operation names, if it is the conversation's.
    fn held(&self, lease: &LeaseKey) -> Option<&Lease> {
        self.lease.as_ref().filter(|mine| lease.session == self.id && mine.holder() == lease.holder)
    }

    fn is_handed_over(&self, now: Timestamp) -> bool {
        self.handed_over_until.is_some_and(|until| until > now)
    }

    pub(crate) fn as_seen_by(&self, lease: &Lease) -> Conversation {
        let mut mailbox: Vec<MailboxItem> = self.mailbox.iter().map(|waiting| waiting.item.clone()).collect();
        sort_by_customers_order(&mut mailbox);
        Conversation {
            id: self.id.clone(),
            business_id: self.business_id.clone(),
            subdomain: self.subdomain.clone(),
            customer: self.customer.clone(),
            mailbox,
            outbox: self.outbox.as_ref().map(Outbox::from),
            memory: Recollection {
                lines: self.memory.clone(),
                summary: self.summary.clone(),
                facts: self.facts.clone(),
            },
            attempts: self.attempts,
            takeovers: self.takeovers,
            ai_failing_since: self.ai_failing_since,
            apologised_at: self.apologised_at,
            handed_over_until: self.handed_over_until,
            opted_out_at: self.opted_out_at,
            minute: self.minute,
            limited_until: self.limited_until,
            windows: self.windows.clone(),
            buckets: self.buckets.clone(),
            claimed_at: lease.taken_at,
        }
    }
}
