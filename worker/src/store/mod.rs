//! The database: conversations, businesses, identities, the transcript and the dead letters, on MongoDB.
//!
//! Every change of a conversation is one atomic update of one document, with majority and journal, guarded by the
//! lease's epoch where the writer must own the conversation. Callers see domain types and [`StoreError`] only.

mod conversations;
mod pipeline;
mod transcript;
mod dead_letters;
mod filed_letters;
mod businesses;
mod identities;
mod events;
mod knowledge;
mod languages;
mod erasure;
mod customers;
mod traces;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use mongodb::{
    Client, Collection, Database, IndexModel,
    bson::{Bson, DateTime, Document, doc},
    error::{ErrorKind, WriteFailure},
    options::{Acknowledgment, ClientOptions, IndexOptions, ReadPreference, SelectionCriteria, WriteConcern},
};
use secrecy::ExposeSecret;
use shared::{retry::Delays, shutdown::Shutdown};

pub use businesses::BusinessRecord;
pub use conversations::{DueBusinesses, Forgotten, MergeRequest, MergeRequested, MergeStep};
pub use customers::{CustomerKey, Holding, StoredCustomer};
pub use dead_letters::{DeadLetter, ReplayPolicy, WaitingLetter};
pub use events::AccountEvent;
pub use filed_letters::{FiledLetter, FiledLetters, LetterFilter, LetterOwner, LetterState, Reading, Standing};
pub use identities::Alias;
pub use knowledge::{Asked, Found, KnowledgeSize, KnowledgeSource};
pub use languages::{recognised_language, stemmed_language};
pub use traces::{Look, Looked, Remaining, Trace};
pub use transcript::{Inbound, Outbound, Quoted, SentText, StatusUpdate, Words};

pub use crate::conversation::{
    Claim, CommitOutcome, CustomerIdChange, Landed, Landing, Memory, Postponement, Renewed, Resend, Settled,
};
use crate::settings::StoreSettings;

/// Why the database did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, no primary, or the outcome is unknown: the same guarded call may be repeated.
    #[error("MongoDB is not available: {}", describe(.0))]
    Unavailable(#[source] mongodb::error::Error),
    /// No answer came in time; the outcome is unknown: the same guarded call may be repeated.
    #[error("MongoDB did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    TimedOut,
    /// This very write can never work.
    #[error("MongoDB refused the write: {}", describe(.0))]
    Refused(#[source] mongodb::error::Error),
    /// A stored document does not have the shape that it must have.
    #[error("a stored {what} cannot be read: {problem}")]
    Corrupt {
        /// Which kind of document.
        what: &'static str,
        /// What is wrong with it, without its content.
        problem: String,
    },
}

/// A primary that cannot reach a majority would keep a write waiting for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// More than the driver's own limits for finding a server and for a write.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Ends a piece of work with the database, of some requests, that hangs: the driver waits for ever for the answer of a
/// server that vanished without a word. Whoever drives the work calls this, so that nothing is held up behind it.
///
/// # Errors
/// The work's own, or [`StoreError::TimedOut`].
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(ANSWER_TIMEOUT, work).await.unwrap_or(Err(StoreError::TimedOut))
}

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// Codes with which MongoDB refuses a command or a document for what it is (`error_codes.yml` of the server).
const PERMANENT_CODES: &[i32] = &[2, 9, 14, 16, 17, 52, 53, 56, 57, 121];
/// Codes from here on are names of places in the server's source: checks that the same command fails again …
const LOCATIONS: i32 = 10_000;
/// … except for these, which tell of elections, interruptions and a full disk.
const TRANSIENT_LOCATIONS: &[i32] = &[10_107, DUPLICATE_KEY, 11_600, 11_601, 11_602, 13_388, 13_435, 13_436, 14_031];
const DUPLICATE_KEY: i32 = 11000;

impl StoreError {
    /// Whether repeating the call can never help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::TimedOut => false,
            Self::Refused(_) | Self::Corrupt { .. } => true,
        }
    }
}

impl From<mongodb::error::Error> for StoreError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the driver's errors are a foreign enum that grows; an unknown one may pass"
    )]
    fn from(error: mongodb::error::Error) -> Self {
        let permanent = match error.kind.as_ref() {
            ErrorKind::Write(WriteFailure::WriteError(write)) => is_permanent(write.code),
            ErrorKind::Command(command) => is_permanent(command.code),
            ErrorKind::Bson(_) => true,
            ErrorKind::BsonDeserialization(_) | ErrorKind::BsonSerialization(_) | ErrorKind::InvalidArgument { .. } => {
                true
            }
            _ => false,
        };
        if permanent { Self::Refused(error) } else { Self::Unavailable(error) }
    }
}

fn is_permanent(code: i32) -> bool {
    PERMANENT_CODES.contains(&code) || (code >= LOCATIONS && !TRANSIENT_LOCATIONS.contains(&code))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are a foreign enum that grows")]
fn is_duplicate_key(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// The database of one installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    db: Database,
    /// How far the database's clock is ahead of ours, in milliseconds.
    clock_ahead_ms: Arc<AtomicI64>,
}

impl Store {
    /// Prepares a client. It connects when it is first used.
    ///
    /// # Errors
    /// `MONGODB_URI` cannot be parsed (its options are read only here; its scheme was checked with the settings).
    pub async fn open(settings: &StoreSettings) -> anyhow::Result<Self> {
        // The driver's message may repeat a part of the password that it took for an address.
        let parsed = ClientOptions::parse(settings.uri.expose_secret()).await;
        let mut options = parsed.map_err(|_| {
            anyhow::anyhow!(
                "MONGODB_URI cannot be parsed, or its name cannot be resolved; special characters in the user and the \
                 password must be percent-encoded"
            )
        })?;
        options.app_name.get_or_insert_with(|| "switchboard-worker".to_owned());
        options.server_selection_timeout.get_or_insert(Duration::from_secs(5));
        options.connect_timeout.get_or_insert(Duration::from_secs(5));
        options.max_pool_size.get_or_insert(64);
        // Set even though it is the default of today's servers: an acknowledged write must survive a crash.
        let majority = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(WRITE_TIMEOUT);
        options.write_concern = Some(majority.build());
        // A lease that is read from a lagging secondary is no lease.
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let client = Client::with_options(options)?;
        let db = client.database(&settings.database);
        Ok(Self { client, db, clock_ahead_ms: Arc::default() })
    }

    /// Waits, visibly, until MongoDB answers and every index is there; false when a stop came first.
    pub async fn wait_until_ready(&self, shutdown: &Shutdown) -> bool {
        let mut delays = Delays::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            let prepared = tokio::select! {
                () = shutdown.draining.cancelled() => return false,
                prepared = self.prepare() => prepared,
            };
            match prepared {
                Ok(()) => return true,
                Err(error) => tracing::warn!(%error, "MongoDB is not ready; trying again"),
            }
            tokio::select! {
                () = shutdown.draining.cancelled() => return false,
                () = tokio::time::sleep(delays.next_delay()) => {}
            }
        }
    }

    /// Checks the server and creates the indexes. Idempotent.
    ///
    /// # Errors
    /// MongoDB is not reachable, or is a single server without a replica set, whose writes cannot be retried.
    pub async fn prepare(&self) -> anyhow::Result<()> {
        let hello = self.hello().await?;
        anyhow::ensure!(
            hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"),
            "it runs without a replica set, which safe retries of writes need: start it with --replSet (one member is enough)"
        );
        let due = doc! { "due_at": { "$exists": true } };
        self.index("conversations", doc! { "due_at": 1, "subdomain": 1 }, partial(&due)).await?;
        self.index("conversations", doc! { "subdomain": 1, "due_at": 1 }, partial(&due)).await?;
        let leased = doc! { "lease": { "$exists": true } };
        self.index("conversations", doc! { "lease.worker": 1 }, partial(&leased)).await?;
        let waiting = doc! { "waits_for": { "$exists": true } };
        self.index("conversations", doc! { "business_id": 1 }, partial(&waiting)).await?;
        let merging = doc! { "merge": { "$exists": true } };
        self.index("conversations", doc! { "merge.try_at": 1 }, partial(&merging)).await?;
        self.index("conversations", doc! { "merge.into": 1 }, partial(&merging)).await?;
        let merged = doc! { "merged_into": { "$exists": true } };
        self.index("conversations", doc! { "merged_into": 1 }, partial(&merged)).await?;
        let forgotten = IndexOptions::builder().expire_after(conversations::CLOSED_KEPT).build();
        self.index("conversations", doc! { "forgotten_at": 1 }, forgotten).await?;
        let closed = doc! { "look_after_at": { "$exists": true } };
        self.index("conversations", doc! { "look_after_at": 1 }, partial(&closed)).await?;
        self.index("dead_letters", doc! { "conversation": 1 }, IndexOptions::default()).await?;
        self.index("account_events", doc! { "phone_number_id": 1, "waba_id": 1 }, IndexOptions::default()).await?;
        self.index("businesses", doc! { "whatsappPhoneNumberIds": 1 }, IndexOptions::default()).await?;
        self.index("identities", doc! { "conversation": 1 }, IndexOptions::default()).await?;
        self.index("messages", doc! { "conversation": 1, "timestamp": 1 }, IndexOptions::default()).await?;
        self.prepare_knowledge().await?;
        for keys in [
            doc! { "replay": 1, "phone_number_id": 1 },
            doc! { "replay": 1, "buried_at": 1, "_id": 1 },
            doc! { "handle": 1 },
            doc! { "buried_at": -1, "_id": 1 },
            doc! { "reason": 1, "buried_at": -1, "_id": 1 },
            doc! { "business_id": 1, "buried_at": -1, "_id": 1 },
            doc! { "phone_number_id": 1, "buried_at": -1, "_id": 1 },
        ] {
            self.index("dead_letters", keys, IndexOptions::default()).await?;
        }
        for collection in ["messages", "dead_letters", "account_events"] {
            let ttl = IndexOptions::builder().expire_after(Duration::ZERO).build();
            self.index(collection, doc! { "expire_at": 1 }, ttl).await?;
        }
        Ok(())
    }

    async fn index(&self, collection: &str, keys: Document, options: IndexOptions) -> anyhow::Result<()> {
        let model = IndexModel::builder().keys(keys).options(options).build();
        self.db.collection::<Document>(collection).create_index(model).await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Whether MongoDB answers now; also learns how far its clock is from ours.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<()> {
        self.hello().await?;
        Ok(())
    }

    async fn hello(&self) -> Result<Document> {
        let hello = self.db.run_command(doc! { "hello": 1 }).await?;
        if let Ok(theirs) = hello.get_datetime("localTime") {
            let ahead = theirs.timestamp_millis().saturating_sub(DateTime::now().timestamp_millis());
            self.clock_ahead_ms.store(ahead, Ordering::Relaxed);
        }
        Ok(hello)
    }

    /// The database's clock, to within the time of a request. Good for finding what may be due; what *is* due is
    /// decided by `$$NOW`.
    fn now(&self) -> DateTime {
        let ahead = self.clock_ahead_ms.load(Ordering::Relaxed);
        DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(ahead))
    }

    /// Deletes the database, for tests.
    ///
    /// # Errors
    /// MongoDB is not reachable.
    pub async fn drop_database(&self) -> Result<()> {
        Ok(self.db.drop().await?)
    }

    /// Ends the connections.
    pub async fn close(self) {
        self.client.shutdown().await;
    }

    fn conversations(&self) -> Collection<Document> {
        self.db.collection("conversations")
    }
}

fn partial(filter: &Document) -> IndexOptions {
    IndexOptions::builder().partial_filter_expression(filter.clone()).build()
}

fn to_bson(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millisecond())
}

fn from_bson(time: DateTime) -> Timestamp {
    // BSON dates reach further than jiff's years; what is beyond is nobody's message.
    Timestamp::from_millisecond(time.timestamp_millis()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn millis(duration: Duration) -> Bson {
    Bson::Int64(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

fn corrupt(what: &'static str) -> impl Fn(mongodb::bson::error::Error) -> StoreError {
    // The error's own text may hold the value that did not fit.
    move |_| StoreError::Corrupt { what, problem: "a field is missing or of another type".to_owned() }
}

/// What went wrong, without the documents and keys that the driver's own text may repeat.
#[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are a foreign enum that grows")]
fn describe(error: &mongodb::error::Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => format!("{} ({})", command.code_name, command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => format!("write error {}", write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => {
            format!("{} ({}), the outcome is unknown", concern.code_name, concern.code)
        }
        ErrorKind::Io(io) => format!("the connection failed: {io}"),
        ErrorKind::ServerSelection { message, .. } | ErrorKind::ConnectionPoolCleared { message, .. } => {
            message.clone()
        }
        ErrorKind::Authentication { .. } => "authentication failed".to_owned(),
        ErrorKind::InvalidTlsConfig { message, .. } | ErrorKind::DnsResolve { message, .. } => message.clone(),
        ErrorKind::BsonSerialization(_) | ErrorKind::BsonDeserialization(_) | ErrorKind::Bson(_) => {
            "a document does not have the expected shape".to_owned()
        }
        _ => "an error of the driver".to_owned(),
    }
}
