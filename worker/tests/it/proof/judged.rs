//! A system whose whole life is judged: secrets are planted, texts are tagged, and at the end the judge speaks.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mongodb::bson::doc;
use simulator::{
    Business, Customer, Journal, Tag, Traffic,
    checker::{self, Report, Scenario, Tenant},
    journal::Entry,
    traffic::Sent,
};
use tokio::task::JoinHandle;

use crate::system::harness::{Options, System, acme, bolt, corn};

/// How long a run may take to come to rest after the last fault.
const REST: Duration = Duration::from_secs(150);

/// A system under judgement.
pub(super) struct Judged {
    pub(super) system: System,
    pub(super) scenario: Scenario,
    tags: AtomicU64,
    written: Arc<Mutex<BTreeSet<Tag>>>,
}

impl Judged {
    /// Starts a system with three businesses, each with a secret of its own.
    pub(super) async fn start(options: Options) -> Self {
        let system = System::start(options).await;
        system.ai.on_chat(checker::answer);
        let mut tenants = Vec::new();
        for business in [acme(), bolt(), corn()] {
            let (canary, apology) = (format!("canary-of-{}", business.name), format!("{} is sorry.", business.name));
            let companion = doc! { "persona": format!("Somebody who never says {canary}."), "apology": &apology };
            system.update_business(&business, doc! { "companion": companion }).await;
            let tenant = Tenant::new(&business.name, &business.phone_number_id);
            tenants.push(tenant.with_canary(canary).apologising(apology));
        }
        Self { system, scenario: Scenario::of(tenants), tags: AtomicU64::new(1), written: Arc::default() }
    }

    /// A text with a tag of its own.
    pub(super) fn text(&self, words: &str) -> (Tag, String) {
        let tag = Tag(self.tags.fetch_add(1, Ordering::Relaxed));
        self.written.lock().expect("not poisoned").insert(tag);
        (tag, format!("{tag} {words}"))
    }

    /// Lets customers write beside whatever the test does. Loads that run together begin with tags far apart.
    pub(super) fn traffic(&self, traffic: Traffic) -> JoinHandle<Sent> {
        let (meta, written) = (Arc::clone(&self.system.meta), Arc::clone(&self.written));
        tokio::spawn(async move {
            let sent = traffic.run(&meta).await;
            written.lock().expect("not poisoned").extend(sent.messages.iter().map(|message| message.tag));
            sent
        })
    }

    /// A customer writes, and Meta delivers until it is acknowledged.
    pub(super) async fn write(&self, business: &Business, customer: &Customer, words: &str) -> Tag {
        let (tag, text) = self.text(words);
        self.system.write(business, customer, &text).await;
        tag
    }

    /// Waits until everything that was written is answered, and nothing is left to do. What is never answered is
    /// left to the judge.
    pub(super) async fn rest(&self) {
        let written = self.written.lock().expect("not poisoned").clone();
        let all_answered = |journal: &Journal| {
            let sends = journal.accepted();
            let answered: BTreeSet<Tag> =
                sends.iter().filter_map(|send| send.words()).flat_map(Tag::find_all).collect();
            written.difference(&answered).all(|tag| self.scenario.excused.contains_key(&(*tag).into()))
        };
        drop(self.system.journal.wait_until(all_answered, REST).await);
        self.system.settled_within(REST).await;
    }

    /// Stops everything and judges the whole run. Where a promise was broken, journal and logs are kept.
    pub(super) async fn judge(self) -> Report {
        self.rest().await;
        let (entries, logs) = (self.system.journal.entries(), self.system.logs());
        self.system.stop().await;
        let report = checker::judge(&entries, &self.scenario);
        if report.verdict().is_err() || !report.residual.is_empty() {
            keep(&entries, &logs);
        }
        report
    }

    /// The same, and every promise was kept, for that many messages at least, without a repetition of any kind.
    pub(super) async fn kept(self, messages: usize) -> Report {
        let report = self.judge().await;
        if let Err(violations) = report.verdict() {
            panic!("{violations}");
        }
        assert!(report.residual.is_empty(), "repeated: {:?}\n{report}", report.residual);
        assert!(report.figures.messages_acknowledged >= messages, "too little happened:\n{report}");
        report
    }
}

/// Writes journal and logs where somebody can look at them.
fn keep(entries: &[Arc<Entry>], logs: &[String]) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("run").replace("::", ".");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    let lines = entries.iter().map(|entry| serde_json::to_string(&**entry).expect("plain data") + "\n");
    std::fs::write(directory.join("journal.jsonl"), lines.collect::<String>()).expect("written");
    for (n, log) in logs.iter().enumerate() {
        std::fs::write(directory.join(format!("{n}.log")), log).expect("written");
    }
    #[expect(clippy::print_stderr, reason = "a failed test shows where to look")]
    let () = eprintln!("journal and logs: {}", directory.display());
}
