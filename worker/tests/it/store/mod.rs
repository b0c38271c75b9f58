//! What every store must do, told in domain types: one suite for each database that there is.
//!
//! Each test has a database of its own. Only [`Fresh::open`], [`Fresh::raw`] and [`Fresh::change`] know that it is
//! MongoDB; the last two look behind the store where time has to have passed, or where nothing may have changed.

// Clippy takes a whole file for a test only so.
#![cfg(test)]

mod arrival;
mod buckets;
mod businesses;
mod customers;
mod dead_letters;
mod differential;
mod evidence;
mod forget;
mod identities;
mod interleavings;
mod knowledge;
mod landing;
mod leases;
mod merge;
mod replies;
mod resend;
mod server;
mod transcript;
mod waiting;

use std::{ops::Deref, sync::LazyLock, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain, UserId, WaId};
use worker::{
    conversation::{
        Aftermath, BusinessId, Conversation, Customer, LeaseKey, MailboxItem, MemoryTurn, Outbox, Part, PartForm,
        QuietTime, Remembered, ReplyKind,
    },
    settings::StoreSettings,
    store::{Claim, CommitOutcome, Landed, Landing, Memory, Postponement, Settled, Store},
};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
/// As short as a busy machine allows: a lease that a test waits out.
const SHORT: Duration = Duration::from_millis(300);
/// Due as soon as it has landed.
const AT_ONCE: QuietTime = QuietTime { quiet: Duration::ZERO, ceiling: Duration::ZERO };
const NUMBER: &str = "106540352242922";
const OTHER_NUMBER: &str = "207651463353033";

/// A store with nothing in it. Its database goes when this value does, also after a panic.
struct Fresh {
    store: Store,
    database: String,
}

impl Fresh {
    /// Without indexes: no outcome may depend on them, and to create them takes longer than most of the tests.
    async fn open(what: &str) -> Self {
        let database = shared::testing::unique(what);
        let uri = SecretString::from(shared::testing::server("MONGODB_URI"));
        let store = Store::open(&StoreSettings { uri, database: database.clone() }).await.expect("a valid URI");
        Self { store, database }
    }

    /// With indexes, for what searches.
    async fn prepared(what: &str) -> Self {
        let fresh = Self::open(what).await;
        fresh.prepare().await.expect("MongoDB is a replica set and creates indexes");
        fresh
    }

    async fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        let client = mongodb::Client::with_uri_str(shared::testing::server("MONGODB_URI")).await.expect("a valid URI");
        client.database(&self.database).collection(name)
    }

    /// Asks the database itself.
    async fn command(&self, command: Document) {
        let client = mongodb::Client::with_uri_str(shared::testing::server("MONGODB_URI")).await.expect("a valid URI");
        client.database(&self.database).run_command(command).await.expect("MongoDB does it");
    }

    /// The names of the collections that there are.
    async fn collections(&self) -> Vec<String> {
        let client = mongodb::Client::with_uri_str(shared::testing::server("MONGODB_URI")).await.expect("a valid URI");
        client.database(&self.database).list_collection_names().await.expect("MongoDB answers")
    }

    /// A stored document as it is.
    async fn raw(&self, collection: &str, id: &str) -> Document {
        let found = self.collection(collection).await.find_one(doc! { "_id": id }).await.expect("MongoDB answers");
        found.expect("the document is there")
    }

    /// Changes a stored document behind the store's back.
    async fn change(&self, collection: &str, id: &str, update: Document) {
        let changed = self.collection(collection).await.update_one(doc! { "_id": id }, update).await;
        assert_eq!(changed.expect("MongoDB answers").matched_count, 1);
    }
}

impl Deref for Fresh {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Needs the multi-thread runtime, which every test here has.
        let dropping = async { self.store.drop_database().await };
        let dropped = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(dropping));
        if let Err(error) = dropped {
            eprintln!("the database {} stays behind: {error}", self.database);
        }
    }
}

/// One customer's conversation with a business, and how a test acts on it.
#[derive(Clone)]
struct Talk {
    store: Store,
    session: SessionId,
    business: BusinessId,
    subdomain: Option<Subdomain>,
    customer: Customer,
    quiet: QuietTime,
}

impl Talk {
    fn new(store: &Store) -> Self {
        Self::of(store, Some("acme"), "16505551234")
    }

    fn of(store: &Store, subdomain: Option<&str>, phone: &str) -> Self {
        let subdomain = subdomain.map(|text| Subdomain::parse(text).expect("a subdomain"));
        Self {
            store: store.clone(),
            session: SessionId::new(subdomain.as_ref(), phone),
            business: BusinessId(format!("id of {subdomain:?}")),
            subdomain,
            customer: Customer { wa_id: Some(wa_id(phone)), ..Customer::default() },
            quiet: AT_ONCE,
        }
    }

    fn quiet(mut self, quiet: Duration, ceiling: Duration) -> Self {
        self.quiet = QuietTime { quiet, ceiling };
        self
    }

    async fn land(&self, item: &MailboxItem) -> Landed {
        self.land_again(item, false).await
    }

    async fn land_again(&self, item: &MailboxItem, looked_up: bool) -> Landed {
        let landing = Landing {
            session: &self.session,
            business_id: &self.business,
            subdomain: self.subdomain.as_ref(),
            customer: &self.customer,
            item,
            quiet: self.quiet,
            looked_up,
        };
        self.store.land(&landing).await.expect("the store answers")
    }

    /// Lands messages that are new.
    async fn receive(&self, items: &[MailboxItem]) {
        for item in items {
            assert!(matches!(self.land(item).await, Landed::New { .. }), "{} is new", item.id);
        }
    }

    async fn try_claim(&self, worker: &str, lease: Duration) -> Option<Claim> {
        self.store.claim(&self.session, worker, lease).await.expect("the store answers")
    }

    /// Claims what is due now.
    async fn claim(&self) -> Claim {
        self.try_claim("worker", LONG).await.expect("it is due and free")
    }

    /// Claims as soon as it is due and free.
    async fn claim_when_free(&self, worker: &str, lease: Duration) -> Claim {
        let claiming = async {
            loop {
                if let Some(claim) = self.try_claim(worker, lease).await {
                    return claim;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), claiming).await.expect("it becomes due and free")
    }

    /// Answers these messages in one turn, with nothing to remember.
    async fn answer(&self, items: &[MailboxItem]) -> Settled {
        let claim = self.claim().await;
        self.settle(&claim.lease, items).await.expect("the lease is held")
    }

    async fn settle(&self, lease: &LeaseKey, items: &[MailboxItem]) -> Option<Settled> {
        self.settle_and_remember(lease, items, &Memory::default()).await
    }

    async fn settle_and_remember(&self, lease: &LeaseKey, items: &[MailboxItem], memory: &Memory) -> Option<Settled> {
        let number = items.first().map_or_else(|| number(NUMBER), |item| item.phone_number_id.clone());
        let settled = self.store.settle(lease, &number, &ids(items), memory, self.quiet).await;
        settled.expect("the store answers")
    }

    async fn commit(&self, lease: &LeaseKey, outbox: &Outbox) -> CommitOutcome {
        self.commit_having_seen(lease, outbox, Some(&outbox.answers)).await
    }

    async fn commit_having_seen(&self, lease: &LeaseKey, outbox: &Outbox, seen: Option<&[MessageId]>) -> CommitOutcome {
        self.store.commit_reply(lease, outbox, seen).await.expect("the store answers")
    }

    async fn begin_try(&self, lease: &LeaseKey, outbox: &Outbox, part: usize, tries: u32) -> bool {
        self.store.begin_try(lease, &outbox.reply_id, part, tries, false).await.expect("the store answers")
    }

    async fn part_sent(&self, lease: &LeaseKey, outbox: &Outbox, part: usize, wamid: &str) -> bool {
        self.store.part_sent(lease, &outbox.reply_id, part, &id(wamid)).await.expect("the store answers")
    }

    async fn evidence(&self, outbox: &Outbox, part: usize, wamid: &str) -> bool {
        let (reply_id, number) = (&outbox.reply_id, &outbox.phone_number_id);
        self.store.evidence(&self.session, number, reply_id, part, &id(wamid)).await.expect("the store answers")
    }

    async fn postpone(&self, lease: &LeaseKey, postponement: &Postponement) -> bool {
        self.store.postpone(lease, postponement).await.expect("the store answers")
    }

    /// The parts of the reply under way, as the holder of the lease reads them.
    async fn parts(&self, lease: &LeaseKey) -> Vec<Part> {
        let conversation = self.store.reread(lease).await.expect("the store answers").expect("the lease is held");
        conversation.outbox.expect("a reply is under way").parts
    }
}

fn id(text: &str) -> MessageId {
    MessageId::parse(text).expect("a message id")
}

fn ids(items: &[MailboxItem]) -> Vec<MessageId> {
    items.iter().map(|item| item.id.clone()).collect()
}

fn number(text: &str) -> PhoneNumberId {
    PhoneNumberId::parse(text).expect("a phone number id")
}

fn wa_id(text: &str) -> WaId {
    WaId::parse(text).expect("a phone number")
}

fn user_id(text: &str) -> UserId {
    UserId::parse(text).expect("a user id")
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// The customer's `n`th message, a second after the one before, about an hour ago.
fn message(n: u32) -> MailboxItem {
    static BEGIN: LazyLock<Timestamp> = LazyLock::new(|| Timestamp::now() - hours(1));
    message_at(n, *BEGIN + SignedDuration::from_secs(i64::from(n)))
}

/// Times are cut to what Meta and ingest tell: seconds and milliseconds.
fn message_at(n: u32, sent_at: Timestamp) -> MailboxItem {
    let timestamp = Timestamp::from_second(sent_at.as_second()).expect("in range");
    MailboxItem {
        id: id(&format!("wamid.{n}")),
        phone_number_id: number(NUMBER),
        timestamp,
        received_at: timestamp + SignedDuration::from_millis(1_250),
        index: 0,
        message: Some(format!(r#"{{"type":"text","text":{{"body":"message {n}"}}}}"#)),
        resend_of: None,
    }
}

fn messages(numbers: std::ops::Range<u32>) -> Vec<MailboxItem> {
    numbers.map(message).collect()
}

/// The same message, written to the business's other number.
fn to_the_other_number(mut item: MailboxItem) -> MailboxItem {
    item.phone_number_id = number(OTHER_NUMBER);
    item
}

/// What a conversation remembers of what was said, without the times.
fn lines(conversation: &Conversation) -> Vec<MemoryTurn> {
    let line = |line: &Remembered| MemoryTurn { speaker: line.speaker, text: line.text.clone() };
    conversation.memory.lines.iter().map(line).collect()
}

/// A reply to these messages.
fn reply(reply_id: &str, answers: &[MailboxItem], bodies: &[&str]) -> Outbox {
    let waiting = |body: &&str| Part::waiting((*body).to_owned(), PartForm::Text);
    Outbox {
        reply_id: reply_id.to_owned(),
        kind: ReplyKind::Answer,
        phone_number_id: answers.first().map_or_else(|| number(NUMBER), |item| item.phone_number_id.clone()),
        answers: ids(answers),
        parts: bodies.iter().map(waiting).collect(),
        aftermath: Aftermath::default(),
    }
}

/// Waiting after a failure.
fn failed(delay: Duration) -> Postponement {
    Postponement {
        delay,
        reason: "throttled",
        detail: String::new(),
        for_evidence: false,
        ai: false,
        not_sent: None,
        token: None,
    }
}

/// Waiting for evidence of a send.
fn in_doubt(delay: Duration) -> Postponement {
    Postponement { reason: "in_doubt", for_evidence: true, ..failed(delay) }
}
