//! The database: conversations, businesses, identities, the transcript, knowledge and the dead letters.
//!
//! [`Store`] is what the rest of the worker knows of it: traits by concern, in domain types. [`mongo`] keeps everything in
//! MongoDB, for any number of workers; `standalone` keeps it in one file. Every implementation passes the same suite
//! (`worker/tests/it/store`).
//!
//! What an operation wrote is durable when it answers. Dropping the future of one leaves open whether it happened, as
//! [`StoreError::Unavailable`] does: a guarded operation may be repeated.

mod conversations;
mod merges;
mod forgetting;
mod transcript;
mod statuses;
mod story;
mod dead_letters;
mod filed_letters;
mod businesses;
mod tokens;
mod condition;
mod identities;
mod events;
mod accounts;
mod knowledge;
mod languages;
mod whose;
mod customers;
mod traces;
mod usage;
mod days;
pub mod mongo;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::SignedDuration;
use shared::{retry::Delays, shutdown::Shutdown};

pub use accounts::{Accounts, KeptEvent};
pub use businesses::{BusinessRecord, Businesses};
pub use condition::{Inspected, StoreCondition, StoreFault};
pub use conversations::{
    ConversationFilter, DueBusinesses, Inspection, Leasing, ListedConversations, Mailboxes, Notices, People, Replies,
    Waits,
};
pub use customers::{CustomerKey, Customers, Holding, StoredCustomer};
pub use days::{CountedDay, DAYS_KEPT, DayToCount, Days, MessageFacts};
pub use dead_letters::{DeadLetter, DeadLetters, ReplayPolicy, WaitingLetter, letter_handle};
pub use events::{AccountEvent, Events};
pub use filed_letters::{
    FiledLetter, FiledLetters, LetterDesk, LetterFilter, LetterOwner, LetterState, Reading, Standing,
};
pub use forgetting::{Forgetting, Forgotten};
pub use identities::{Alias, Aliases};
pub use knowledge::{Asked, Found, KnowledgeBase, KnowledgeSize, KnowledgeSource, TITLE_WEIGHT};
pub use languages::{recognised_language, stemmed_language};
pub use merges::{MergeRequest, MergeRequested, MergeStep, Merges};
pub use mongo::MongoStore;
pub use statuses::{NewStatus, SentPart, Statuses, StatusesTaken, take_each_by_itself};
pub use story::{Line, Story, said};
pub use tokens::{ExpiringToken, RefreshClaim, SecretPlace, StoredSecret, Taken, TokenReplacement, Tokens, secrets_in};
pub use traces::{Look, Looked, Remaining, Sought, Trace, Traces};
pub use transcript::{Inbound, OnRecord, Outbound, Quoted, SHELL, SentText, StatusUpdate, Transcript, Words};
pub use usage::{DayUsage, HAND_OVER_REASONS, UsageBook};
pub use whose::{Whose, verbatim};

pub use crate::conversation::{
    Claim, CommitOutcome, CustomerIdChange, Landed, Landing, Memory, NoticeTaken, Postponement, Renewed, Resend,
    Settled,
};

/// The database of one installation.
#[async_trait]
pub trait Store:
    Mailboxes
    + Leasing
    + Replies
    + Waits
    + People
    + Notices
    + Inspection
    + Merges
    + Forgetting
    + Transcript
    + Statuses
    + Story
    + DeadLetters
    + LetterDesk
    + Events
    + Accounts
    + Aliases
    + Businesses
    + Tokens
    + KnowledgeBase
    + Customers
    + Traces
    + UsageBook
    + Days
    + Inspected
    + fmt::Debug
    + Send
    + Sync
{
    /// Makes it ready for work: indexes, tables. Idempotent.
    ///
    /// # Errors
    /// It is not reachable, or not such as can keep what it is given.
    async fn prepare(&self) -> anyhow::Result<()>;

    /// Whether it answers now.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<()>;

    /// Ends its connections.
    async fn close(&self);
}

/// Why the database did not do what it was asked. None of it repeats a document.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, not able to write, or the outcome is unknown: the same guarded call may be repeated.
    #[error("{database} is not available: {problem}")]
    Unavailable {
        /// Which kind of database.
        database: &'static str,
        /// What went wrong.
        problem: String,
    },
    /// No answer came in time; the outcome is unknown: the same guarded call may be repeated.
    #[error("the database did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    TimedOut,
    /// This very write can never work.
    #[error("{database} refused the write: {problem}")]
    Refused {
        /// Which kind of database.
        database: &'static str,
        /// What it does not take.
        problem: String,
    },
    /// Somebody else has the conversation, and what was to be written goes without a guard of its own.
    #[error("the lease is not this worker's any more")]
    LeaseLost,
    /// A stored document does not have the shape that it must have.
    #[error("a stored {what} cannot be read: {problem}")]
    Corrupt {
        /// Which kind of document.
        what: &'static str,
        /// What is wrong with it, without its content.
        problem: String,
    },
}

impl StoreError {
    /// Whether repeating the call can never help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut | Self::LeaseLost => false,
            Self::Refused { .. } | Self::Corrupt { .. } => true,
        }
    }
}

/// What operations answer.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How long messages, dead letters, account events and days of usage are kept. Meta redelivers for seven days, so the
/// shell of a message must outlive that by far.
pub const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// More than a driver's own limits for finding a server and for a write.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Ends a piece of work with the database, of some requests, that hangs: a driver may wait for ever for the answer of a
/// server that vanished without a word. Whoever drives the work calls this, so that nothing is held up behind it.
///
/// # Errors
/// The work's own, or [`StoreError::TimedOut`].
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(ANSWER_TIMEOUT, work).await.unwrap_or(Err(StoreError::TimedOut))
}

/// Waits, visibly, until a store is ready for work; false when a stop came first.
pub async fn wait_until_ready(store: &dyn Store, shutdown: &Shutdown) -> bool {
    let mut delays = Delays::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        let prepared = tokio::select! {
            () = shutdown.draining.cancelled() => return false,
            prepared = store.prepare() => prepared,
        };
        match prepared {
            Ok(()) => return true,
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the database is not ready; trying again"),
        }
        tokio::select! {
            () = shutdown.draining.cancelled() => return false,
            () = tokio::time::sleep(delays.next_delay()) => {}
        }
    }
}
