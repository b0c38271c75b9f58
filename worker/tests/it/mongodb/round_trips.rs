//! What an answered text costs at MongoDB, in round trips, counted by the driver's own monitoring.
//!
//! A count does not depend on the machine: a change that asks once more for each message is seen here, not in a
//! benchmark.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mongodb::bson::{Bson, Document, doc};
use secrecy::SecretString;
use serde_json::value::RawValue;
use shared::{
    admin::Readiness,
    broker::StatusesDrained,
    envelope::{Envelope, Kind},
    ids::{PhoneNumberId, WabaId},
    settings::Reader,
    shutdown::Shutdown,
};
use simulator::{
    Ai, AiOptions, Business, Customer, Journal, Meta, MetaOptions, Seed,
    ai::ChatReply,
    journal::GraphSend,
    webhook::{Content, Ids, Message, Status},
};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use worker::{
    business::TokenCipher,
    engine::Engine,
    intake::{Arrival, DirectIntake},
    settings::{AnsweringSettings, StoreSettings},
    store::{MongoStore, Store},
};

/// Round trips of a text of a known customer that one message answers: landed, claimed, committed, both messages
/// written down at once, settled.
const OF_AN_ANSWER: usize = 5;
/// Of a status that comes alone: evidence, the transcript.
const OF_A_STATUS: usize = 2;
/// Of those that come together, however many: evidence of all, the transcript of all, whose messages they are.
const OF_STATUSES: usize = 3;

type Commands = Arc<Mutex<Vec<Document>>>;

/// An engine over a store whose commands are seen.
struct Watched {
    store: Arc<dyn Store>,
    database: mongodb::Database,
    intake: DirectIntake,
    commands: Commands,
    meta: Meta,
    journal: Journal,
    business: Business,
    ids: Ids,
    shutdown: Shutdown,
    running: JoinHandle<()>,
    _ai: Ai,
}

impl Watched {
    async fn start() -> Self {
        shared::install_tls_provider();
        let journal = Journal::in_memory();
        let meta = Meta::start(MetaOptions::default().with_journal(&journal)).await.expect("Meta starts");
        let ai = Ai::start(AiOptions::default().with_journal(&journal)).await.expect("the AI starts");
        ai.on_chat(|_| ChatReply::text("We open at nine."));
        let settings = AnsweringSettings::read(&mut Reader::from_pairs([
            ("ENCRYPTION_SECRET", "the-secret-of-the-test".to_owned()),
            ("GRAPH_API_URL", meta.graph_url()),
            ("AI_API_URL", ai.url()),
            ("GROQ_API_KEY", "the-key-of-the-test".to_owned()),
            ("QUIET_MILLIS", "0".to_owned()),
        ]))
        .expect("valid settings");

        let name = shared::testing::unique("round_trips").chars().take(60).collect::<String>();
        let uri = shared::testing::server("MONGODB_URI");
        let database = mongodb::Client::with_uri_str(&uri).await.expect("a valid URI").database(&name);
        let commands = Commands::default();
        let seen = Arc::clone(&commands);
        let at = StoreSettings { uri: SecretString::from(uri), database: name };
        let watch = move |_: &str, command: &Document| seen.lock().expect("not poisoned").push(command.clone());
        let opened = MongoStore::open_watched(&at, watch);
        let store: Arc<dyn Store> = Arc::new(opened.await.expect("a valid URI"));
        store.prepare().await.expect("MongoDB is ready");

        let business = Business::new("acme", "100100100100");
        meta.register(business.clone());
        let token = TokenCipher::new(&settings.encryption).encrypt(&business.token);
        let document = doc! {
            "name": "Acme", "subDomain": "acme", "wabaId": &business.waba_id,
            "whatsappPhoneNumberIds": [&business.phone_number_id], "whatsappAccessToken": token,
            "whatsappEnabled": true, "isActive": true,
        };
        database.collection("businesses").insert_one(document).await.expect("inserted");

        let statuses = StatusesDrained::without_a_queue(Duration::ZERO);
        let engine = Engine::new(&settings, &store, "the-worker-of-the-test", statuses).expect("an engine");
        let intake = DirectIntake::new(engine.intake());
        let shutdown = Shutdown::default();
        let running = engine.run(TaskTracker::new(), Readiness::default().condition("mongodb"), shutdown.clone());
        let (running, ids) = (tokio::spawn(running), Ids::new(Seed(1), "test"));
        Self { store, database, intake, commands, meta, journal, business, ids, shutdown, running, _ai: ai }
    }

    async fn land(&self, kind: Kind, id: &str, payload: &serde_json::Value) {
        self.land_together(kind, &[(id.to_owned(), payload.clone())]).await;
    }

    async fn land_together(&self, kind: Kind, updates: &[(String, serde_json::Value)]) {
        let bodies: Vec<_> = updates.iter().map(|(_, payload)| self.envelope(kind, payload)).collect();
        let arrivals = updates.iter().zip(&bodies).map(|((id, _), body)| Arrival {
            body,
            message_id: id,
            undecodable: None,
            trace: None,
        });
        self.intake.land(&arrivals.collect::<Vec<_>>()).await.expect("landed");
    }

    fn envelope(&self, kind: Kind, payload: &serde_json::Value) -> Vec<u8> {
        let raw = |value: &serde_json::Value| RawValue::from_string(value.to_string()).expect("JSON");
        let envelope = Envelope {
            kind,
            phone_number_id: PhoneNumberId::parse(&self.business.phone_number_id).ok(),
            waba_id: WabaId::parse(&self.business.waba_id).ok(),
            contact: None,
            received_at: jiff::Timestamp::now().as_millisecond(),
            index: 0,
            payload: raw(payload),
        };
        envelope.encode()
    }

    /// A text that is answered, and settled; what was sent for it.
    async fn answered(&self, customer: &Customer) -> GraphSend {
        let before = self.journal.sends().len();
        let message = Message::new(&self.ids, customer, Content::text("When do you open?"));
        self.land(Kind::Message, &message.id, &message.to_json()).await;
        let send = |journal: &Journal| journal.sends().get(before).map(|send| send.fact.clone());
        let send = self.journal.wait_for(send, Duration::from_secs(60)).await.expect("an answer");
        let settled = doc! { "mailbox": { "$size": 0 }, "lease": { "$exists": false } };
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while self
            .database
            .collection::<Document>("conversations")
            .count_documents(settled.clone())
            .await
            .expect("counted")
            == 0
        {
            assert!(std::time::Instant::now() < deadline, "the turn is not settled");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        send
    }

    /// The commands since the last time that are about this text.
    fn about(&self, text: &str) -> Vec<String> {
        let commands = std::mem::take(&mut *self.commands.lock().expect("not poisoned"));
        let ours = commands.into_iter().filter(|command| mentions(&Bson::Document(command.clone()), text));
        ours.map(|command| name_of(&command)).collect()
    }

    async fn stop(self) {
        self.shutdown.now();
        self.running.await.expect("no panic");
        self.database.drop().await.expect("dropped");
        self.store.close().await;
        self.meta.stop().await;
    }
}

fn name_of(command: &Document) -> String {
    let (name, collection) = command.iter().next().expect("a command has a name");
    format!("{name} {}", collection.as_str().unwrap_or_default())
}

fn mentions(value: &Bson, text: &str) -> bool {
    match value {
        Bson::String(value) => value.contains(text),
        Bson::Array(values) => values.iter().any(|value| mentions(value, text)),
        Bson::Document(document) => document.iter().any(|(_, value)| mentions(value, text)),
        _ => false,
    }
}

#[tokio::test]
async fn an_answered_text_and_its_statuses_ask_mongodb_a_bounded_number_of_times() {
    let watched = Watched::start().await;
    let number = "4915112345678";
    let ana = Customer::phone(number);
    // The first one also begins the conversation.
    watched.answered(&ana).await;
    watched.about(number);
    let mut answers = Vec::new();
    for _ in 0..5 {
        let send = watched.answered(&ana).await;
        let commands = watched.about(number);
        // Fewer than four could not have landed, claimed, committed and settled it: then this would count wrongly.
        assert!(commands.len() >= 4, "{commands:#?}");
        answers.push(commands);

        let wamid = send.wamid.expect("accepted");
        let statuses: Vec<_> = ["sent", "delivered", "read"]
            .into_iter()
            .map(|status| Status {
                wamid: wamid.clone(),
                status: status.to_owned(),
                customer: ana.clone(),
                timestamp: jiff::Timestamp::now().as_second(),
                opaque: send.opaque.clone(),
                error: None,
            })
            .map(|status| (format!("{wamid}-{}", status.status), status.to_json()))
            .collect();
        watched.land_together(Kind::Status, &statuses).await;
        let commands = watched.about(&wamid);
        assert!((2..=OF_STATUSES).contains(&commands.len()), "{commands:#?}");

        let (id, alone) = statuses.last().expect("three of them");
        watched.land(Kind::Status, id, alone).await;
        let commands = watched.about(&wamid);
        assert!((1..=OF_A_STATUS).contains(&commands.len()), "{commands:#?}");
    }
    // A scan may find it due just then, and try in vain to claim it.
    let fewest = answers.iter().min_by_key(|commands| commands.len()).expect("five of them");
    assert!(fewest.len() <= OF_AN_ANSWER, "{fewest:#?}");
    assert!(answers.iter().all(|commands| commands.len() <= OF_AN_ANSWER + 1), "{answers:#?}");
    watched.stop().await;
}
