//! Starts the system with the variables of the contract and nothing else, and looks at what came of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use mongodb::{
    Client, Database,
    bson::{Document, doc, oid::ObjectId},
};
use secrecy::SecretString;
use shared::{
    testing,
    topology::{Exchange, STATUS_PARTITIONS, Topology},
};
use simulator::{Ai, AiOptions, Business, Customer, Journal, Meta, MetaOptions, ai::ChatReply};
use tokio::net::TcpSocket;
use worker::{business::TokenCipher, settings::EncryptionSettings};

use super::process::Process;

pub(crate) const APP_SECRET: &str = "the-app-secret-of-the-test";
pub(crate) const ENCRYPTION_SECRET: &str = "the-encryption-secret-of-the-test";
const VERIFY_TOKEN: &str = "the-verify-token-of-the-test";
pub(crate) const AI_KEY: &str = "the-ai-key-of-the-test";
pub(crate) const SPEECH_KEY: &str = "the-speech-key-of-the-test";
/// The voice of a system that speaks.
pub(crate) const VOICE: &str = "voice-of-the-test";
const PARTITIONS: u16 = 3;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a test wants to be different.
pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) ingest_environment: Vec<(&'static str, String)>,
    pub(crate) servers: Servers,
    /// Whether the installation has a voice.
    pub(crate) speaks: bool,
}

/// Where RabbitMQ and MongoDB are, for the system and for the test itself.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    pub(crate) rabbitmq_url: String,
    pub(crate) mongodb_uri: String,
}

impl Default for Servers {
    fn default() -> Self {
        Self { rabbitmq_url: testing::server("RABBITMQ_URL"), mongodb_uri: testing::server("MONGODB_URI") }
    }
}

impl Default for Options {
    fn default() -> Self {
        let servers = Servers::default();
        Self { workers: 1, environment: Vec::new(), ingest_environment: Vec::new(), servers, speaks: false }
    }
}

impl Options {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// With a voice, at the AI's stand-in.
    pub(crate) fn speaking(self) -> Self {
        Self { speaks: true, ..self }
    }
}

/// A running system of one test.
pub(crate) struct System {
    pub(crate) meta: Arc<Meta>,
    pub(crate) ai: Ai,
    pub(crate) journal: Journal,
    pub(crate) ingest: Process,
    pub(crate) workers: Vec<Process>,
    pub(crate) db: Database,
    client: Client,
    topology: Topology,
    servers: Servers,
    ingest_environment: Vec<(String, String)>,
    /// Bound and never listening: while ingest is down nobody else gets its port.
    _reservation: TcpSocket,
    worker_environment: Vec<(String, String)>,
    /// Processes that were killed; their logs count too.
    ended: Vec<Process>,
    secrets: Vec<String>,
}

pub(crate) fn cipher() -> TokenCipher {
    TokenCipher::new(&EncryptionSettings { current: SecretString::from(ENCRYPTION_SECRET), previous: None })
}

/// The businesses that every test has.
pub(crate) fn acme() -> Business {
    Business::new("acme", "100100100100").with_token("EAAacmeTOKENacmeTOKENacme")
}

pub(crate) fn bolt() -> Business {
    Business::new("bolt", "200200200200").with_token("EAAboltTOKENboltTOKENbolt")
}

pub(crate) fn corn() -> Business {
    Business::new("corn", "300300300300").with_token("EAAcornTOKENcornTOKENcorn")
}

/// A customer's number that no other test line looks like.
pub(crate) fn customer(n: u64) -> Customer {
    Customer::phone(format!("49151{:07}", 1_000_000 + n)).named(format!("Customer {n}"))
}

impl System {
    pub(crate) async fn start(options: Options) -> Self {
        shared::install_tls_provider();
        let topology = Topology::new(testing::unique("system"), PARTITIONS);
        let prefix = topology.exchange(Exchange::Inbound).trim_end_matches(".inbound").to_owned();
        let common = |name: &str, value: String| (name.to_owned(), value);
        let shared = vec![
            common("RABBITMQ_URL", options.servers.rabbitmq_url.clone()),
            common("QUEUE_PREFIX", prefix),
            common("QUEUE_PARTITIONS", PARTITIONS.to_string()),
            common("LOG_FORMAT", "json".to_owned()),
            common("RUST_LOG", "debug,hyper=info,h2=info,mongodb=info,reqwest=info,rustls=info".to_owned()),
            common("METRICS_ADDR", "127.0.0.1:0".to_owned()),
        ];
        let reservation = TcpSocket::new_v4().expect("a socket");
        // As ingest does, so that both may be bound.
        reservation.set_reuseaddr(true).expect("an option of every socket");
        reservation.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let addr = reservation.local_addr().expect("it is bound");
        let mut ingest_environment = shared.clone();
        ingest_environment.extend([
            common("INGEST_ADDR", addr.to_string()),
            common("WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN.to_owned()),
            common("WHATSAPP_APP_SECRET", APP_SECRET.to_owned()),
        ]);
        ingest_environment.extend(options.ingest_environment.iter().map(|(name, value)| common(name, value.clone())));
        let mut ingest = Process::start("ingest", &ingest_environment);
        ingest.wait_for_message("listening for webhooks").await;
        let webhook_url = format!("http://{addr}/webhook");

        let journal = Journal::in_memory();
        let meta =
            MetaOptions::default().with_journal(&journal).with_app_secret(APP_SECRET).with_webhook_url(&webhook_url);
        let meta = Arc::new(Meta::start(meta).await.expect("Meta starts"));
        let ai = Ai::start(AiOptions::default().with_journal(&journal)).await.expect("the AI starts");
        ai.on_chat(|request| ChatReply::text(format!("ANS {}", request.last_user())));

        let client = Client::with_uri_str(&options.servers.mongodb_uri).await.expect("MongoDB");
        let db = client.database(&testing::unique("system").chars().take(40).collect::<String>());
        let mut worker_environment = shared;
        worker_environment.extend([
            common("MONGODB_URI", options.servers.mongodb_uri.clone()),
            common("MONGODB_DB_NAME", db.name().to_owned()),
            common("ENCRYPTION_SECRET", ENCRYPTION_SECRET.to_owned()),
            common("GRAPH_API_URL", meta.graph_url()),
            common("AI_API_URL", ai.url()),
            common("GROQ_API_KEY", AI_KEY.to_owned()),
            common("QUIET_MILLIS", "100".to_owned()),
        ]);
        if options.speaks {
            worker_environment.extend([
                common("ELEVENLABS_API_KEY", SPEECH_KEY.to_owned()),
                common("ELEVENLABS_API_URL", ai.speech_url()),
                common("ELEVENLABS_VOICE_ID", VOICE.to_owned()),
            ]);
        }
        worker_environment.retain(|(name, _)| !options.environment.iter().any(|(other, _)| other == name));
        worker_environment.extend(options.environment.iter().map(|(name, value)| common(name, value.clone())));
        let mut system = Self {
            meta,
            ai,
            journal,
            ingest,
            workers: Vec::new(),
            db,
            client,
            topology,
            servers: options.servers,
            ingest_environment,
            _reservation: reservation,
            worker_environment,
            ended: Vec::new(),
            secrets: [APP_SECRET, ENCRYPTION_SECRET, VERIFY_TOKEN, AI_KEY, SPEECH_KEY].map(str::to_owned).to_vec(),
        };
        for business in [acme(), bolt(), corn()] {
            system.add_business(&business).await;
        }
        for _ in 0..options.workers {
            system.start_worker().await;
        }
        system
    }

    /// One more worker, ready to consume.
    pub(crate) async fn start_worker(&mut self) {
        self.start_worker_with(&[]).await;
    }

    /// One more worker with further variables, ready to consume.
    pub(crate) async fn start_worker_with(&mut self, more: &[(&str, &str)]) {
        let mut process = self.spawn_worker(more);
        process.wait_for_message("consuming from RabbitMQ").await;
        self.workers.push(process);
    }

    /// A worker that is not waited for.
    pub(crate) fn spawn_worker(&self, more: &[(&str, &str)]) -> Process {
        Process::start("worker", &with(&self.worker_environment, more))
    }

    /// Kills a worker as `kill -9` does; its log stays.
    pub(crate) fn kill_worker(&mut self, index: usize) {
        let process = self.workers.remove(index);
        process.signal("KILL");
        self.ended.push(process);
    }

    /// Puts a process that ended away; its log stays.
    pub(crate) fn keep_log(&mut self, process: Process) {
        self.ended.push(process);
    }

    /// Kills ingest and starts it again where it was, with further variables.
    pub(crate) async fn restart_ingest(&mut self, more: &[(&str, &str)]) {
        // It may have died by itself.
        self.ingest.kill();
        let next = Process::start("ingest", &with(&self.ingest_environment, more));
        self.ended.push(std::mem::replace(&mut self.ingest, next));
        self.ingest.wait_for_message("listening for webhooks").await;
    }

    /// One more text that must be in no log when everything stops: what a test plants and nobody may repeat.
    pub(crate) fn keep_from_logs(&mut self, text: impl Into<String>) {
        self.secrets.push(text.into());
    }

    /// What must be in no log, and in nothing that leaves the worker: keys, tokens, and what was planted.
    pub(crate) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.worker_environment
    }

    /// Registers a business with Meta and writes its document.
    pub(crate) async fn add_business(&mut self, business: &Business) {
        use secrecy::ExposeSecret;
        self.meta.register(business.clone());
        self.secrets.push(business.token.expose_secret().to_owned());
        self.insert_business(document(business)).await;
    }

    pub(crate) async fn insert_business(&self, document: Document) {
        self.db.collection::<Document>("businesses").insert_one(document).await.expect("inserted");
    }

    pub(crate) async fn update_business(&self, business: &Business, set: Document) {
        let businesses = self.db.collection::<Document>("businesses");
        let updated = businesses.update_one(doc! { "subDomain": &business.name }, doc! { "$set": set }).await;
        assert_eq!(updated.expect("updated").matched_count, 1);
    }

    /// A customer writes a text; returns its id.
    pub(crate) async fn write(&self, business: &Business, customer: &Customer, text: &str) -> String {
        self.meta.sender(business).text(business, customer, text).await.expect("200").id
    }

    /// Waits until the customer has got that many messages from the business's number, and returns them.
    pub(crate) async fn answers(&self, business: &Business, customer: &Customer, count: usize) -> Vec<String> {
        let find = |journal: &Journal| {
            let texts = journal.texts_for(&business.phone_number_id, customer.key());
            (texts.len() >= count).then_some(texts)
        };
        match self.journal.wait_for(find, PATIENCE).await {
            Ok(texts) => texts,
            Err(error) => panic!(
                "{error}: {} of {count} answers from {} for {}: {:?}",
                self.journal.texts_for(&business.phone_number_id, customer.key()).len(),
                business.name,
                customer.key(),
                self.journal.sends(),
            ),
        }
    }

    /// What every process of the run has logged, in the order of their starts.
    pub(crate) fn logs(&self) -> Vec<String> {
        let processes = self.ended.iter().chain([&self.ingest]).chain(&self.workers);
        processes.map(Process::log).collect()
    }

    /// Waits until a document matches.
    pub(crate) async fn wait_for_document(&self, collection: &str, filter: Document) -> Document {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let found = self.db.collection::<Document>(collection).find_one(filter.clone()).await.expect("found");
            if let Some(document) = found {
                return document;
            }
            assert!(std::time::Instant::now() < deadline, "no {filter} in {collection}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn count(&self, collection: &str, filter: Document) -> u64 {
        self.db.collection::<Document>(collection).count_documents(filter).await.expect("counted")
    }

    /// Waits until no conversation has anything left to do.
    pub(crate) async fn settled(&self) {
        self.settled_within(PATIENCE).await;
    }

    /// The same, where it may take longer.
    pub(crate) async fn settled_within(&self, patience: Duration) {
        let deadline = std::time::Instant::now() + patience;
        let open = doc! { "$or": [{ "mailbox.0": { "$exists": true } }, { "lease": { "$exists": true } }] };
        while self.count("conversations", open.clone()).await > 0 {
            assert!(std::time::Instant::now() < deadline, "conversations stay open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops everything, checks that no secret and no customer reached a log, and cleans up.
    pub(crate) async fn stop(mut self) {
        for process in self.workers.iter().chain([&self.ingest]) {
            process.signal("TERM");
        }
        for process in self.workers.iter_mut().chain([&mut self.ingest]) {
            let status = process.ended(Duration::from_secs(50)).await;
            assert!(status.success(), "{status}: {}", process.log());
        }
        self.check_logs();
        self.meta.stop().await;
        self.db.drop().await.expect("dropped");
        self.client.clone().shutdown().await;
        let connection =
            Connection::connect(&self.servers.rabbitmq_url, ConnectionProperties::default()).await.expect("RabbitMQ");
        let channel = connection.create_channel().await.expect("a channel");
        let inbound = (0..PARTITIONS).map(|i| self.topology.inbound_queue(i));
        let statuses = (0..STATUS_PARTITIONS).map(|i| self.topology.status_queue(i));
        for queue in inbound.chain(statuses).chain([self.topology.unrouted(), self.topology.dead_queue()]) {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("deleted");
        }
        for exchange in [Exchange::Inbound, Exchange::Status, Exchange::Dead] {
            let name = self.topology.exchange(exchange);
            channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.expect("deleted");
        }
        let unrouted = self.topology.unrouted();
        channel.exchange_delete(unrouted.into(), ExchangeDeleteOptions::default()).await.expect("deleted");
        connection.close(200, "done".into()).await.expect("closed");
    }

    /// The process ids of the workers.
    pub(crate) fn worker_ids(&self) -> Vec<u32> {
        self.workers.iter().map(Process::id).collect()
    }

    fn check_logs(&self) {
        let customers: BTreeSet<String> = self.journal.sends().iter().map(|send| send.customer().to_owned()).collect();
        for process in self.workers.iter().chain(&self.ended).chain([&self.ingest]) {
            let log = process.log();
            for secret in &self.secrets {
                let line = log.lines().find(|line| line.contains(secret.as_str()));
                assert!(line.is_none(), "a secret or a text is in a log: {line:?}");
            }
            for customer in &customers {
                let line = log.lines().find(|line| line.contains(customer));
                assert!(line.is_none(), "the customer {customer} is in a log: {line:?}");
            }
            assert!(!log.contains("ANS "), "an answer's text is in a log");
            assert!(!log.contains("panicked"), "something panicked: {log}");
        }
    }
}

fn with(environment: &[(String, String)], more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut environment = environment.to_vec();
    environment.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    environment
}

/// The document of a business as the back end writes it.
pub(crate) fn document(business: &Business) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "name": format!("The {} company", business.name),
        "subDomain": &business.name,
        "wabaId": &business.waba_id,
        "whatsappPhoneNumberIds": [&business.phone_number_id],
        "whatsappAccessToken": cipher().encrypt(&business.token),
        "whatsappTokenExpiresAt": mongodb::bson::DateTime::from_millis(4_102_444_800_000),
        "whatsappEnabled": true,
        "isActive": true,
        "createdAt": mongodb::bson::DateTime::now(),
        "__v": 0,
    }
}
