//! The store on MongoDB, for any number of workers.
//!
//! Every change of a conversation is one atomic update of one document, with majority and journal (but for the claim, which
//! may be lost), guarded by the lease's worker and epoch where the writer must own the conversation.

mod conversations;
mod pipeline;
mod batch;
mod error;
mod indexes;
mod transcript;
mod statuses;
mod story;
mod dead_letters;
mod filed_letters;
mod businesses;
mod tokens;
mod identities;
mod events;
mod accounts;
mod knowledge;
mod erasure;
mod customers;
mod traces;
mod usage;
mod days;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::{
    Client, Collection, Database,
    bson::{Bson, DateTime, Document, doc},
    event::{EventHandler, command::CommandEvent},
    options::{Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern},
};
use secrecy::ExposeSecret;

use self::error::{corrupt, failed_write, is_duplicate_key};
use super::{KEPT, Result, Store, StoreError};
use crate::settings::StoreSettings;

/// A primary that cannot reach a majority would keep a write waiting for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The database of one installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MongoStore {
    client: Client,
    db: Database,
    /// How far the database's clock is ahead of ours, in milliseconds.
    clock_ahead_ms: Arc<AtomicI64>,
}

impl MongoStore {
    /// Prepares a client. It connects when it is first used.
    ///
    /// # Errors
    /// The name in `MONGODB_URI` cannot be resolved; that it can be parsed was checked with the settings.
    pub async fn open(settings: &StoreSettings) -> anyhow::Result<Self> {
        Self::connect(settings, None).await
    }

    /// The same, and each command is shown by the driver before it is sent: its name and the whole of it. For tests that
    /// count round trips.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn open_watched(
        settings: &StoreSettings,
        watch: impl Fn(&str, &Document) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let handler = EventHandler::callback(move |event| {
            if let CommandEvent::Started(started) = event {
                watch(&started.command_name, &started.command);
            }
        });
        Self::connect(settings, Some(handler)).await
    }

    async fn connect(settings: &StoreSettings, watch: Option<EventHandler<CommandEvent>>) -> anyhow::Result<Self> {
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
        options.command_event_handler = watch;
        let client = Client::with_options(options)?;
        let db = client.database(&settings.database);
        Ok(Self { client, db, clock_ahead_ms: Arc::default() })
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

    fn businesses(&self) -> Collection<Document> {
        self.db.collection("businesses")
    }

    fn conversations(&self) -> Collection<Document> {
        self.db.collection("conversations")
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn prepare(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            keeps_writes(&self.hello().await?),
            "it runs without a replica set, which safe retries of writes need: start it with --replSet (one member is enough)"
        );
        self.make_indexes().await
    }

    /// Also learns how far its clock is from ours.
    async fn ping(&self) -> Result<()> {
        self.hello().await?;
        // One that was cut off from the others may still believe that it is the primary. This is answered only after the
        // majority has confirmed it (MongoDB, "Read Concern linearizable"), whether there is such a document or not.
        let businesses = self.businesses();
        let asking = businesses.find_one(doc! { "_id": "" }).read_concern(ReadConcern::linearizable());
        asking.max_time(WRITE_TIMEOUT).await?;
        Ok(())
    }

    async fn close(&self) {
        self.client.clone().shutdown().await;
    }
}

/// Whether writes can be repeated safely: a replica set, or the front of several.
fn keeps_writes(hello: &Document) -> bool {
    hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid")
}

/// When what is written at that time is deleted.
fn expiry(now: DateTime) -> DateTime {
    DateTime::from_millis(now.timestamp_millis().saturating_add(KEPT.as_secs() * 1_000))
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
