//! The operations on a conversation: each happens whole or not at all, whatever dies.
//!
//! Times are the store's, never a caller's. Guarded operations name the lease that they write under; one that is not the
//! conversation's any more changes nothing, and is answered as such. [`crate::conversation::state::State`] is the
//! reference of each of them.

use std::time::Duration;

use async_trait::async_trait;
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, Subdomain},
    trace::TraceParent,
};

use super::Result;
use crate::conversation::{
    Beginning, BusinessId, Claim, CommitOutcome, Conversation, CustomerIdChange, Landed, Landing, LeaseKey, Memory,
    NoticeTaken, Outbox, Postponement, QuietTime, Renewed, Resend, Settled, state::State,
};

/// The businesses that have due conversations, and which.
pub type DueBusinesses = Vec<(Option<Subdomain>, Vec<SessionId>)>;

/// Messages on their way into a conversation.
#[async_trait]
pub trait Mailboxes {
    /// Puts a message into its conversation's mailbox, unless it is known.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` the message may have landed, and a repetition says `Duplicate`.
    async fn land(&self, landing: &Landing<'_>) -> Result<Landed>;

    /// Puts a part of the last reply into the mailbox, to be sent once more. Says when it is due, from now. None:
    /// that part was sent once more already, something else was said since or is under way, a person has the
    /// conversation, or the customer wants to hear no more.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` it may have landed, and a repetition says None.
    async fn land_resend(&self, resend: &Resend<'_>) -> Result<Option<Duration>>;
}

/// Who works on a conversation, and when it is somebody's turn.
#[async_trait]
pub trait Leasing {
    /// Takes the lease of a conversation that is due and that nobody holds. Alone among the operations it may be lost with
    /// the process that keeps it, as long as nothing guarded was written under it: nothing that cannot be repeated may come
    /// of it before such a write. The random `nonce` tells it from one that was lost.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` the lease may be taken, and runs out by itself.
    async fn claim(&self, session: &SessionId, worker: &str, nonce: i64, lease: Duration) -> Result<Option<Claim>>;

    /// The conversation as it is now; none: not mine any more.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn reread(&self, lease: &LeaseKey) -> Result<Option<Conversation>>;

    /// Prolongs the leases that are still held, and tells which those are.
    ///
    /// # Errors
    /// [`super::StoreError`]; some may have been prolonged.
    async fn renew(&self, leases: &[LeaseKey], lease: Duration) -> Result<Vec<Renewed>>;

    /// Gives one lease back as it is. False: not mine any more.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn release(&self, lease: &LeaseKey) -> Result<bool>;

    /// Gives leases back as they are, due at once, for a worker that stops. Says how many there were.
    ///
    /// # Errors
    /// [`super::StoreError`]; the leases run out by themselves.
    async fn release_all(&self, worker: &str) -> Result<u64>;

    /// The businesses with due conversations that nobody holds, each with its first few. Where there are
    /// more businesses than asked for, repeated calls come round to all of them.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn due(&self, businesses: usize, each: i64) -> Result<DueBusinesses>;

    /// How many conversations are due, in somebody's hand or not, by how long they have been: for less than the first of
    /// these times, less than the second, and so on, and for longer than the last. A backlog beyond 100,000 may be
    /// counted as that many.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn count_due(&self, ends: &[Duration]) -> Result<Vec<u64>>;
}

/// A reply from its commitment to the settled conversation.
#[async_trait]
pub trait Replies {
    /// Writes the reply and marks its first part as being sent, unless the mailbox holds messages to the reply's
    /// number that are not among the `seen`: they came since, and should be taken into the reply. Without `seen`,
    /// they are left for the next turn. What is to be sent once more is nothing that a reply could take in. To a customer
    /// who wants to hear no more nothing is committed but that they will hear again.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn commit_reply(
        &self,
        lease: &LeaseKey,
        outbox: &Outbox,
        seen: Option<&[MessageId]>,
    ) -> Result<CommitOutcome>;

    /// Begins the next try of a part that was not sent, or of whose last try nothing was heard. False: not mine,
    /// or no longer so; then it must not be sent. `as_text`: its form was refused, and it goes as plain text from now on.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` the try may be begun: do not send.
    async fn begin_try(
        &self,
        lease: &LeaseKey,
        reply_id: &str,
        part: usize,
        tries_so_far: u32,
        as_text: bool,
    ) -> Result<bool>;

    /// Records that a part was accepted, and begins the next one. False: not mine any more.
    ///
    /// # Errors
    /// [`super::StoreError`]; the part stays in doubt, and the status webhook settles it.
    async fn part_sent(&self, lease: &LeaseKey, reply_id: &str, part: usize, wamid: &MessageId) -> Result<bool>;

    /// Ends a turn: the messages leave the mailbox and count as answered, the reply leaves the outbox, the memory
    /// grows, the lease goes. With messages left, says when they are due. None: not mine any more.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` it may have happened.
    async fn settle(
        &self,
        lease: &LeaseKey,
        number: &PhoneNumberId,
        messages: &[MessageId],
        memory: &Memory,
        quiet: QuietTime,
    ) -> Result<Option<Settled>>;

    /// Records evidence that a part reached Meta. Not fenced: a fact is a fact; and it only ever goes forward.
    /// Where nobody holds the lease the conversation is due at once. False: nothing waits for this evidence.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn evidence(
        &self,
        session: &SessionId,
        number: &PhoneNumberId,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
    ) -> Result<bool>;

    /// Whether a reply is still on its way out.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn is_under_way(&self, session: &SessionId, reply_id: &str) -> Result<bool>;

    /// The trace of a reply that is still on its way out.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn trace_of_reply(&self, session: &SessionId, reply_id: &str) -> Result<Option<TraceParent>>;
}

/// Conversations that wait: until a time, for evidence, or for another token.
#[async_trait]
pub trait Waits {
    /// Gives the lease back and lets the conversation wait. False: not mine any more.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn postpone(&self, lease: &LeaseKey, postponement: &Postponement) -> Result<bool>;

    /// Makes due what waits at this business for another token than the `current` one, by their fingerprints. What
    /// somebody holds is left alone: its turn decides. Says how many there were.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` some may be due.
    async fn release_waiting(&self, business: &BusinessId, current: &str) -> Result<u64>;

    /// The businesses of which some conversation waits for another token.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn businesses_waiting(&self) -> Result<Vec<BusinessId>>;
}

/// What people change about a conversation: those of the business who take it over, and the customer whose id
/// changes.
#[async_trait]
pub trait People {
    /// Begins a conversation in which nothing was said yet, unless it is there already.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn begin(&self, beginning: &Beginning<'_>) -> Result<()>;

    /// A person has the conversation for that time from now, or the one in which it went on. A turn under way cannot
    /// commit a reply any more. False: there is no such conversation.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn hand_over(&self, session: &SessionId, length: Duration, said: Option<&str>) -> Result<bool>;

    /// The companion has the conversation again, or the one in which it went on, and answers what waits there at once.
    /// False: there is no such conversation.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn resume(&self, session: &SessionId) -> Result<bool>;

    /// The customer of a conversation has another id now, or none that is known: what is answered from here on, also
    /// where the conversation went on or is to go on, must not go to the next owner of the old one. Nothing changes
    /// where the old one is not on record, or where no id would be left to answer to.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn replace_customer_id(&self, session: &SessionId, change: &CustomerIdChange) -> Result<()>;
}

/// Notices for the businesses, which the settlement of a reply leaves in its conversation. Unfenced: whoever comes by
/// delivers them.
#[async_trait]
pub trait Notices {
    /// Conversations with a notice that is due, a few of each business. Where there are more businesses than asked
    /// for, repeated calls come round to all of them.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn notices_due(&self, businesses: usize, each: i64) -> Result<Vec<SessionId>>;

    /// Takes the first notice of a conversation that is due: nobody else delivers it for that time.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` it may be taken, and is due again after that time.
    async fn take_notice(&self, session: &SessionId, length: Duration) -> Result<Option<NoticeTaken>>;

    /// A notice was delivered, or is given up. False: it was not there any more.
    ///
    /// # Errors
    /// [`super::StoreError`]; a notice that is still there is delivered again.
    async fn end_notice(&self, session: &SessionId, id: &str) -> Result<bool>;

    /// A delivery failed: the notice waits, unless another try was begun since. False: it is left as it is.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn postpone_notice(&self, session: &SessionId, id: &str, tries: u32, delay: Duration) -> Result<bool>;
}

/// Which conversations are meant. All conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct ConversationFilter {
    /// Of one of these businesses.
    pub businesses: Option<Vec<BusinessId>>,
    /// A person has them now.
    pub handed_over: bool,
    /// They wait for a later try.
    pub waiting: bool,
}

/// Some conversations, and how many of those that were looked at cannot be read.
#[derive(Debug, Clone, Default)]
pub struct ListedConversations {
    /// Without what was said: neither memory nor answered ids, and no message's content.
    pub conversations: Vec<State>,
    /// Documents that are not as they should be.
    pub unreadable: u64,
}

/// A look at a conversation as it is stored.
#[async_trait]
pub trait Inspection {
    /// Everything that is stored of a conversation.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn state(&self, session: &SessionId) -> Result<Option<State>>;

    /// The conversations that are meant, and that did not go on elsewhere: those first whose customer wrote last.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn list_conversations(&self, filter: &ConversationFilter, most: i64) -> Result<ListedConversations>;
}
