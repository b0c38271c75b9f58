//! What every store must do, told in domain types: one suite, which each database that there is includes.
//!
//! Each test has a database of its own, which a `backend` beside this module opens. Tests look behind the store where
//! time has to have passed, or where nothing may have changed; what is there is told as MongoDB's documents, whatever
//! the database is.

// Clippy takes a whole file for a test only so.
#![cfg(test)]

mod accounts;
mod arrival;
mod buckets;
mod businesses;
mod consent;
mod customers;
pub(super) mod dead_letters;
mod differential;
mod evidence;
mod forget;
mod identities;
mod interleavings;
pub(super) mod knowledge;
mod landing;
mod leases;
mod merge;
mod people;
pub(super) mod replies;
mod resend;
mod tokens;
mod story;
mod statuses;
mod transcript;
mod usage;
mod days;
mod waiting;

use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::Document;
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain, UserId, WaId};
use worker::{
    conversation::{
        Aftermath, BusinessId, Conversation, Customer, LeaseKey, MailboxItem, MemoryTurn, Outbox, Part, PartForm,
        QuietTime, Remembered, ReplyKind,
    },
    store::{Claim, CommitOutcome, Landed, Landing, Memory, Postponement, Settled, Store},
};

use super::backend::Backend;

/// Longer than any test.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// Of every claim that says nothing else.
const NONCE: i64 = 7;
/// As short as a busy machine allows: a lease that a test waits out.
const SHORT: Duration = Duration::from_millis(300);
/// Due as soon as it has landed.
const AT_ONCE: QuietTime = QuietTime { quiet: Duration::ZERO, ceiling: Duration::ZERO };
pub(super) const NUMBER: &str = "106540352242922";
const OTHER_NUMBER: &str = "207651463353033";

/// A store with nothing in it. Its database goes when this value does, also after a panic.
pub(super) struct Fresh {
    store: Arc<dyn Store>,
    pub(super) backend: Backend,
}

impl Fresh {
    /// Unprepared, where a database can do without: no outcome may depend on indexes.
    pub(super) async fn open(what: &str) -> Self {
        let backend = Backend::open(what).await;
        Self { store: backend.store(), backend }
    }

    /// With indexes, for what searches.
    pub(super) async fn prepared(what: &str) -> Self {
        let fresh = Self::open(what).await;
        fresh.prepare().await.expect("the database can be prepared");
        fresh
    }

    /// A stored document as it is.
    async fn raw(&self, collection: &str, id: &str) -> Document {
        self.backend.find(collection, id).await.expect("the document is there")
    }

    /// Changes a stored document behind the store's back.
    pub(super) async fn change(&self, collection: &str, id: &str, update: Document) {
        self.backend.change(collection, id, update).await;
    }
}

impl Deref for Fresh {
    type Target = Arc<dyn Store>;
    fn deref(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Needs the multi-thread runtime, which every test here has.
        let dropping = self.backend.drop_all();
        let dropped = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(dropping));
        if let Err(error) = dropped {
            eprintln!("a database stays behind: {error}");
        }
    }
}

/// One customer's conversation with a business, and how a test acts on it.
#[derive(Clone)]
pub(super) struct Talk {
    store: Arc<dyn Store>,
    pub(super) session: SessionId,
    pub(super) business: BusinessId,
    pub(super) subdomain: Option<Subdomain>,
    pub(super) customer: Customer,
    pub(super) quiet: QuietTime,
}

impl Talk {
    pub(super) fn new(store: &Arc<dyn Store>) -> Self {
        Self::of(store, Some("acme"), "16505551234")
    }

    pub(super) fn of(store: &Arc<dyn Store>, subdomain: Option<&str>, phone: &str) -> Self {
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

    pub(super) async fn land(&self, item: &MailboxItem) -> Landed {
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
    pub(super) async fn receive(&self, items: &[MailboxItem]) {
        for item in items {
            assert!(matches!(self.land(item).await, Landed::New { .. }), "{} is new", item.id);
        }
    }

    async fn try_claim(&self, worker: &str, lease: Duration) -> Option<Claim> {
        self.store.claim(&self.session, worker, NONCE, lease).await.expect("the store answers")
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
    pub(super) async fn answer(&self, items: &[MailboxItem]) -> Settled {
        let claim = self.claim().await;
        self.settle(&claim.lease, items).await.expect("the lease is held")
    }

    pub(super) async fn settle(&self, lease: &LeaseKey, items: &[MailboxItem]) -> Option<Settled> {
        self.settle_and_remember(lease, items, &Memory::default()).await
    }

    async fn settle_and_remember(&self, lease: &LeaseKey, items: &[MailboxItem], memory: &Memory) -> Option<Settled> {
        let number = items.first().map_or_else(|| number(NUMBER), |item| item.phone_number_id.clone());
        let settled = self.store.settle(lease, &number, &ids(items), memory, self.quiet).await;
        settled.expect("the store answers")
    }

    pub(super) async fn commit(&self, lease: &LeaseKey, outbox: &Outbox) -> CommitOutcome {
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

pub(super) fn number(text: &str) -> PhoneNumberId {
    PhoneNumberId::parse(text).expect("a phone number id")
}

fn wa_id(text: &str) -> WaId {
    WaId::parse(text).expect("a phone number")
}

fn user_id(text: &str) -> UserId {
    UserId::parse(text).expect("a user id")
}

pub(super) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// The customer's `n`th message, a second after the one before, about an hour ago.
pub(super) fn message(n: u32) -> MailboxItem {
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
        trace: None,
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
pub(super) fn reply(reply_id: &str, answers: &[MailboxItem], bodies: &[&str]) -> Outbox {
    let waiting = |body: &&str| Part::waiting((*body).to_owned(), PartForm::Text);
    Outbox {
        reply_id: reply_id.to_owned(),
        kind: ReplyKind::Answer,
        phone_number_id: answers.first().map_or_else(|| number(NUMBER), |item| item.phone_number_id.clone()),
        answers: ids(answers),
        parts: bodies.iter().map(waiting).collect(),
        aftermath: Aftermath::default(),
        trace: None,
    }
}

/// Waiting after a failure.
fn failed(delay: Duration) -> Postponement {
    Postponement {
        delay,
        reason: "throttled",
        detail: String::new(),
        for_evidence: false,
        ai: None,
        not_sent: None,
        token: None,
    }
}

/// Waiting for evidence of a send.
fn in_doubt(delay: Duration) -> Postponement {
    Postponement { reason: "in_doubt", for_evidence: true, ..failed(delay) }
}
