//! The smallest bot that keeps the promises, in one task and in memory, with a switch for each fault that breaks one.
//!
//! Webhooks go into mailboxes, one for each customer at each number. A single loop takes a mailbox at a time, business
//! by business, asks the AI, and sends. A send whose answer is lost is repeated only if no status proves that it
//! arrived.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{Json, Router, http::StatusCode, routing::post};
use serde_json::{Value, json};
use simulator::{Business, journal::UpdateKind, webhook::updates};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

/// How long a status may be on its way.
const EVIDENCE: Duration = Duration::from_secs(30);
/// Refusals of one send after which the bot gives up, which a correct one never does here.
const REFUSALS_MOST: u32 = 5;

/// A fault of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    ForgetsToDeduplicate,
    DeduplicatesAcrossNumbers,
    AcknowledgesBeforeItStores,
    SendsAgainAtOnce,
    UsesAnothersToken,
    AnswersNewestFirst,
    SharesMemory,
    AsksTwice,
    AnswersTheWrongCustomer,
    StarvesTheQuiet,
}

type Conversation = (String, String);

/// What the bot knows.
#[derive(Default)]
struct Office {
    mailboxes: BTreeMap<Conversation, Vec<String>>,
    /// In the order of their turns: the business that was served last is the last.
    businesses: Vec<Business>,
    seen: HashSet<(String, String)>,
    stored: usize,
    memories: HashMap<(String, String), Vec<Value>>,
    proven: HashSet<String>,
    is_working: bool,
}

/// A bot that listens; it works once it is told where Meta and the AI are.
pub(super) struct Bot {
    pub(super) webhook_url: String,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    office: Mutex<Office>,
    changed: Notify,
    mutant: Option<Mutant>,
}

impl Shared {
    fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().expect("no code panics while it holds this lock")
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    async fn until(&self, holds: impl Fn(&Office) -> bool) {
        loop {
            let changed = self.changed.notified();
            if holds(&self.office()) {
                return;
            }
            changed.await;
        }
    }

    fn take_in(&self, body: &Value) -> StatusCode {
        let mut office = self.office();
        office.proven.extend(opaque(body));
        for update in updates(body).into_iter().filter(|update| update.update == UpdateKind::Message) {
            let (number, customer) = (update.phone_number_id.expect("a number"), update.customer.expect("a customer"));
            let place = if self.is(Mutant::DeduplicatesAcrossNumbers) { "anywhere" } else { &number };
            let is_new = office.seen.insert((place.to_owned(), update.id));
            if is_new || self.is(Mutant::ForgetsToDeduplicate) {
                office.stored += 1;
                if !(self.is(Mutant::AcknowledgesBeforeItStores) && office.stored.is_multiple_of(3)) {
                    let text = update.text.expect("every message has words");
                    office.mailboxes.entry((number, customer)).or_default().push(text);
                }
            }
        }
        self.changed.notify_waiters();
        StatusCode::OK
    }

    /// The next mailbox with something in it, of the business whose turn it is, and what it holds.
    fn next_turn(&self) -> Option<(Business, Conversation, Vec<String>)> {
        let mut office = self.office();
        let full = |business: &Business| {
            let theirs = office.mailboxes.iter().filter(|((number, _), _)| *number == business.phone_number_id);
            theirs.filter(|(_, mailbox)| !mailbox.is_empty()).map(|(conversation, _)| conversation.clone()).collect()
        };
        let waiting: Vec<Vec<Conversation>> = office.businesses.iter().map(full).collect();
        let chosen = match self.is(Mutant::StarvesTheQuiet) {
            true => (0..waiting.len()).max_by_key(|place| waiting[*place].len())?,
            false => waiting.iter().position(|theirs| !theirs.is_empty())?,
        };
        let conversation = waiting[chosen].first()?.clone();
        let business = office.businesses.remove(chosen);
        office.businesses.push(business.clone());
        let mut said = std::mem::take(office.mailboxes.get_mut(&conversation)?);
        if self.is(Mutant::AnswersNewestFirst) {
            said.reverse();
        }
        office.is_working = true;
        Some((business, conversation, said))
    }
}

impl Bot {
    pub(super) async fn listen(mutant: Option<Mutant>) -> Self {
        let shared = Arc::new(Shared { office: Mutex::default(), changed: Notify::new(), mutant });
        let receiver = shared.clone();
        let handler = move |Json(body): Json<Value>| std::future::ready(receiver.take_in(&body));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let webhook_url = format!("http://{}/webhook", listener.local_addr().expect("bound"));
        let mut tasks = JoinSet::new();
        let router = Router::new().route("/webhook", post(handler));
        tasks.spawn(async { axum::serve(listener, router).await.expect("it serves") });
        Self { webhook_url, shared, tasks }
    }

    pub(super) fn work(&mut self, graph_url: String, ai_url: String, businesses: Vec<Business>) {
        self.shared.office().businesses = businesses;
        let clerk = Clerk { shared: self.shared.clone(), graph_url, ai_url, client: crate::setup::client() };
        self.tasks.spawn(async move { clerk.work().await });
    }

    /// Waits until nothing is left to do.
    pub(super) async fn idle(&self) {
        let is_idle = |office: &Office| !office.is_working && office.mailboxes.values().all(Vec::is_empty);
        self.shared.until(is_idle).await;
    }
}

/// The one who answers.
struct Clerk {
    shared: Arc<Shared>,
    graph_url: String,
    ai_url: String,
    client: reqwest::Client,
}

impl Clerk {
    async fn work(&self) {
        loop {
            let changed = self.shared.changed.notified();
            match self.shared.next_turn() {
                Some((business, conversation, said)) => self.turn(&business, conversation, said).await,
                None => changed.await,
            }
            self.shared.office().is_working = false;
            self.shared.changed.notify_waiters();
        }
    }

    async fn turn(&self, business: &Business, (number, customer): Conversation, said: Vec<String>) {
        let tenant = if self.shared.is(Mutant::SharesMemory) { "all" } else { &business.name };
        let whose = (tenant.to_owned(), customer.clone());
        let memory = self.shared.office().memories.get(&whose).cloned().unwrap_or_default();
        let said = json!({"role": "user", "content": said.join("\n")});
        let mut answer = self.ask(business, &memory, &said).await;
        if self.shared.is(Mutant::AsksTwice) {
            answer = self.ask(business, &memory, &said).await;
        }
        let to = match self.shared.is(Mutant::AnswersTheWrongCustomer) {
            true => self.neighbour(&number, &customer),
            false => customer,
        };
        let paragraphs: Vec<_> = answer.split("\n\n").collect();
        for (part, paragraphs) in paragraphs.chunks(5).enumerate() {
            self.send(business, &number, &to, &paragraphs.join("\n\n"), part).await;
        }
        let told = json!({"role": "assistant", "content": answer});
        self.shared.office().memories.entry(whose).or_default().extend([said, told]);
    }

    async fn ask(&self, business: &Business, memory: &[Value], said: &Value) -> String {
        let persona = json!({"role": "system", "content": format!("You write for canary-of-{}.", business.name)});
        let messages: Vec<_> = [&persona].into_iter().chain(memory).chain([said]).collect();
        let request = self.client.post(format!("{}/chat/completions", self.ai_url));
        let response = request.json(&json!({"model": "m", "messages": messages})).send().await.expect("an answer");
        let body: Value = response.json().await.expect("JSON");
        body["choices"][0]["message"]["content"].as_str().expect("words").to_owned()
    }

    async fn send(&self, business: &Business, number: &str, to: &str, text: &str, part: usize) {
        use secrecy::ExposeSecret;
        let other = self.shared.office().businesses.iter().find(|other| other.name != business.name).cloned();
        let payer =
            if self.shared.is(Mutant::UsesAnothersToken) { other.expect("two businesses") } else { business.clone() };
        let name = text.split(' ').nth(1).unwrap_or_default();
        for attempt in 0..REFUSALS_MOST {
            let opaque = format!("{number}/{to}/{name}/{part}/{attempt}");
            let body = json!({
                "messaging_product": "whatsapp", "to": format!("+{to}"), "type": "text", "text": {"body": text},
                "biz_opaque_callback_data": &opaque,
            });
            let request = self.client.post(format!("{}/{number}/messages", self.graph_url)).json(&body);
            match request.bearer_auth(payer.token.expose_secret()).send().await {
                Ok(response) if response.status() == 200 => return,
                Ok(_) => {}
                Err(_) if self.shared.is(Mutant::SendsAgainAtOnce) => {}
                Err(_) if self.is_proven(&opaque).await => return,
                Err(_) => {}
            }
        }
    }

    /// Whether a status says that this try arrived.
    async fn is_proven(&self, opaque: &str) -> bool {
        tokio::time::timeout(EVIDENCE, self.shared.until(|office| office.proven.contains(opaque))).await.is_ok()
    }

    fn neighbour(&self, number: &str, customer: &str) -> String {
        let office = self.shared.office();
        let mut others = office.mailboxes.keys().filter(|(at, other)| at == number && other != customer);
        others.next().map_or_else(|| customer.to_owned(), |(_, other)| other.clone())
    }
}

/// What the statuses of a body prove.
fn opaque(body: &Value) -> Vec<String> {
    match body {
        Value::Object(fields) => {
            let own = fields.get("biz_opaque_callback_data").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(opaque)).collect()
        }
        Value::Array(items) => items.iter().flat_map(opaque).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
