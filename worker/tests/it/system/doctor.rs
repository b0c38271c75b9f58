//! The doctor: businesses onboarded from a file by one command, then faults one by one, each named with its mend.

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use mongodb::{
    Client, Database,
    bson::{Document, doc},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::{
    testing,
    topology::{Exchange, STATUS_PARTITIONS, Topology},
};
use simulator::{Ai, AiOptions, Business, Meta, MetaOptions};
use worker::{
    business::TokenCipher,
    settings::{EncryptionSettings, StoreSettings},
    store::{MongoStore, Store},
};

use super::{
    harness::{AI_KEY, APP_SECRET, ENCRYPTION_SECRET, Options, SPEECH_KEY, Servers, System, VOICE, bolt, customer},
    process::{Ended, run},
};

const APP_ID: &str = "1000000000000001";
const BUSINESSES: u32 = 20;
/// A queue of this test is full with so many messages of a thousand bytes.
const FULL: u32 = 310;

/// An installation without any process: servers, stand-ins, and what a command is told of them.
struct Installation {
    meta: Meta,
    ai: Ai,
    db: Database,
    topology: Topology,
    connection: Connection,
    environment: Vec<(String, String)>,
}

fn business(n: u32) -> Business {
    let id = format!("1065403522{n:05}");
    let named = Business::new(format!("b{n:02}"), id).with_token(format!("EAAtoken{n:02}OFbusiness{n:02}"));
    Business { display_number: format!("+1 555 010 {n:04}"), waba_id: format!("10229012934{n:04}"), ..named }
}

impl Installation {
    async fn start() -> Self {
        shared::install_tls_provider();
        let servers = Servers::default();
        let topology = Topology::new(testing::unique("doctor"), 2);
        let prefix = topology.exchange(Exchange::Inbound).trim_end_matches(".inbound").to_owned();
        let meta = Meta::start(MetaOptions::default().with_app_secret(APP_SECRET)).await.expect("a port");
        let ai = Ai::start(AiOptions::default()).await.expect("a port");
        ai.serve_voices([VOICE]);
        let client = Client::with_uri_str(&servers.mongodb_uri).await.expect("MongoDB");
        let db = client.database(&testing::unique("doctor").chars().take(40).collect::<String>());
        let settings =
            StoreSettings { uri: SecretString::from(servers.mongodb_uri.clone()), database: db.name().to_owned() };
        MongoStore::open(&settings).await.expect("a URI").prepare().await.expect("indexes");
        let connection = Connection::connect(&servers.rabbitmq_url, ConnectionProperties::default()).await;
        let connection = connection.expect("RabbitMQ");
        topology.declare(&connection.create_channel().await.expect("a channel")).await.expect("declared");
        let environment = [
            ("RABBITMQ_URL", servers.rabbitmq_url),
            ("QUEUE_PREFIX", prefix),
            ("QUEUE_PARTITIONS", "2".to_owned()),
            ("MONGODB_URI", servers.mongodb_uri),
            ("MONGODB_DB_NAME", db.name().to_owned()),
            ("ENCRYPTION_SECRET", ENCRYPTION_SECRET.to_owned()),
            ("META_APP_ID", APP_ID.to_owned()),
            ("WHATSAPP_APP_SECRET", APP_SECRET.to_owned()),
            ("GRAPH_API_URL", meta.graph_url()),
            ("AI_API_URL", ai.url()),
            ("GROQ_API_KEY", AI_KEY.to_owned()),
            ("ELEVENLABS_API_KEY", SPEECH_KEY.to_owned()),
            ("ELEVENLABS_API_URL", ai.speech_url()),
            ("ELEVENLABS_VOICE_ID", VOICE.to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { meta, ai, db, topology, connection, environment }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let ended = run("worker", arguments, &self.environment, "");
        for n in 1..=BUSINESSES {
            let token = business(n).token.expose_secret().to_owned();
            assert!(!ended.stdout.contains(&token) && !ended.stderr.contains(&token), "{arguments:?} shows a token");
        }
        for secret in [APP_SECRET, ENCRYPTION_SECRET, AI_KEY, SPEECH_KEY] {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{arguments:?} shows {secret}");
        }
        ended
    }

    fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert!(ended.status.success(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// The checks of `doctor --json`, and whether it was content.
    fn examined(&self, arguments: &[&str]) -> (Vec<Value>, bool) {
        let ended = self.run(&[&["doctor", "--json"], arguments].concat());
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr));
        (report["checks"].as_array().expect("a list").clone(), ended.status.success())
    }

    async fn update(&self, n: u32, set: Document) {
        let businesses = self.db.collection::<Document>("businesses");
        let updated = businesses.update_one(doc! { "subDomain": business(n).name }, doc! { "$set": set }).await;
        assert_eq!(updated.expect("updated").matched_count, 1);
    }

    /// The first inbound queue, small, and filled until it refuses.
    async fn fill_a_queue(&self) {
        let queue = self.topology.inbound_queue(0);
        let channel = self.connection.create_channel().await.expect("a channel");
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.expect("deleted");
        let mut arguments = FieldTable::default();
        for (name, value) in [
            ("x-queue-type", AMQPValue::LongString("quorum".into())),
            ("x-delivery-limit", AMQPValue::LongInt(100)),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
            ("x-max-length-bytes", AMQPValue::LongLongInt(i64::from(FULL) * 1_000)),
            ("x-dead-letter-exchange", AMQPValue::LongString(self.topology.exchange(Exchange::Dead).into())),
            ("x-dead-letter-strategy", AMQPValue::LongString("at-least-once".into())),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ] {
            arguments.insert(name.into(), value);
        }
        let options = QueueDeclareOptions::durable();
        channel.queue_declare(queue.as_str().into(), options, arguments).await.expect("declared");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        for n in 0..4 * FULL {
            if !taken(&channel, &queue).await {
                assert!(n >= FULL, "full after {n} messages");
                return;
            }
        }
        panic!("it never was full");
    }

    async fn stop(self) {
        self.meta.stop().await;
        self.ai.stop().await;
        self.db.drop().await.expect("dropped");
        let channel = self.connection.create_channel().await.expect("a channel");
        let topology = &self.topology;
        let inbound = (0..topology.partitions()).map(|i| topology.inbound_queue(i));
        let statuses = (0..STATUS_PARTITIONS).map(|i| topology.status_queue(i));
        for queue in inbound.chain(statuses).chain([topology.unrouted(), topology.dead_queue()]) {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("deleted");
        }
        let exchanges = [Exchange::Inbound, Exchange::Status, Exchange::Dead].map(|one| topology.exchange(one));
        for exchange in exchanges.into_iter().chain([topology.unrouted()]) {
            channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.expect("deleted");
        }
        self.connection.close(200, "done".into()).await.expect("closed");
    }
}

async fn taken(channel: &Channel, queue: &str) -> bool {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    #[expect(clippy::disallowed_methods, reason = "the publisher knows no queue without its exchange")]
    let published = channel.basic_publish("".into(), queue.into(), options, &[b'x'; 1_000], properties).await;
    matches!(published.expect("published").await.expect("answered"), Confirmation::Ack(_))
}

/// The one check of this part and subject with these words.
fn find<'a>(checks: &'a [Value], part: &str, subject: &str, words: &str) -> &'a Value {
    let fits = |check: &&Value| {
        check["part"] == part
            && check["subject"] == subject
            && check["problem"].as_str().is_some_and(|p| p.contains(words))
    };
    let found: Vec<_> = checks.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{part} {subject} {words}: {checks:#?}");
    found[0]
}

fn errors(checks: &[Value]) -> Vec<&Value> {
    checks.iter().filter(|check| check["severity"] == "error").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_businesses_are_onboarded_from_a_file_and_ten_faults_are_each_named_with_their_mend() {
    let installation = Installation::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("businesses.json");
    let entry = |n| {
        let business = business(n);
        installation.meta.register(business.clone());
        json!({
            "subDomain": business.name, "name": format!("Business {n}"), "wabaId": business.waba_id,
            "whatsappPhoneNumberIds": [business.phone_number_id],
            "whatsappAccessToken": business.token.expose_secret(), "whatsappEnabled": true, "isActive": true,
        })
    };
    let entries: Vec<Value> = (1..=BUSINESSES).map(entry).collect();
    std::fs::write(&file, json!(entries).to_string()).expect("written");
    let imported = installation.done(&["business", "import", file.to_str().expect("UTF-8")]);
    assert_eq!(imported.matches("added").count(), 20, "{imported}");

    // All that is wrong so far is that no worker runs.
    let (checks, content) = installation.examined(&[]);
    assert!(!content);
    let wrong = errors(&checks);
    assert!(
        wrong.len() == 1 && wrong[0]["problem"].as_str().is_some_and(|p| p.contains("no worker runs")),
        "{wrong:#?}"
    );
    let fine = checks.iter().filter(|check| check["part"] == "business" && check["severity"] == "ok").count();
    assert_eq!(fine, 20, "{checks:#?}");

    let another = EncryptionSettings { current: SecretString::from("another secret"), previous: None };
    let foreign = TokenCipher::new(&another).encrypt(&business(1).token);
    installation.update(1, doc! { "whatsappAccessToken": foreign }).await;
    let slip = json!(["15550100002"]).to_string();
    installation.done(&["business", "set", "b02", "whatsappPhoneNumberIds", &slip]);
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    installation.meta.expire(&business(3).token, yesterday);
    installation.meta.limit(&business(4).token, &["whatsapp_business_management"]);
    installation.meta.unsubscribe(&business(5).waba_id);
    installation.done(&["business", "set", "b06", "companion.voice.voiceId", "gone"]);
    installation.done(&["business", "set", "b07", "companion.model", "llama-of-last-year"]);
    installation.db.collection::<Document>("messages").drop_index("expire_at_1").await.expect("dropped");
    installation.fill_a_queue().await;

    let (checks, content) = installation.examined(&[]);
    assert!(!content);
    let full = installation.topology.inbound_queue(0);
    let expected = [
        ("business", "b01", "another secret than ENCRYPTION_SECRET", "set ENCRYPTION_SECRET"),
        ("business", "b02", "is the phone number itself", r#"whatsappPhoneNumberIds '["106540352200002"]'"#),
        ("business", "b03", "has expired on", "worker business set b03 whatsappAccessToken -"),
        ("business", "b04", "lacks the permission whatsapp_business_messaging", "make a token"),
        ("business", "b05", "is not subscribed", "POST /102290129340005/subscribed_apps"),
        ("business", "b06", "is no voice", "worker business set b06 companion.voice.voiceId"),
        ("business", "b07", "`llama-of-last-year` is not served", "worker business set b07 companion.model"),
        ("database", "messages", "expire_at_1", "restart"),
        ("rabbitmq", "queues", "no worker runs", "start a worker"),
        ("rabbitmq", full.as_str(), "is full", "start workers"),
    ];
    for (part, subject, words, mend) in expected {
        let check = find(&checks, part, subject, words);
        assert_eq!(check["severity"], "error", "{check}");
        assert!(check["mend"].as_str().is_some_and(|told| told.contains(mend)), "{mend}: {check}");
    }
    // Two of the faults show in a second place.
    find(&checks, "encryption", "tokens", "1 by neither");
    find(&checks, "rabbitmq", &full, "x-max-length-bytes");
    assert_eq!(errors(&checks).len(), expected.len() + 2, "{checks:#?}");
    let fine = checks.iter().filter(|check| check["part"] == "business" && check["severity"] == "ok").count();
    assert_eq!(fine, 13, "{checks:#?}");

    // For a person the same, and what it says mends it.
    let told = installation.run(&["doctor", "b02"]);
    assert_eq!(told.status.code(), Some(1), "{}", told.stderr);
    assert!(told.stdout.contains("Businesses") && told.stdout.contains("WHAT TO DO"), "{}", told.stdout);
    installation.done(&["business", "set", "b02", "whatsappPhoneNumberIds", r#"["106540352200002"]"#]);
    let (checks, _) = installation.examined(&["b02"]);
    assert_eq!(find(&checks, "business", "b02", "as they should be")["severity"], "ok");
    assert!(checks.iter().all(|check| check["subject"] != "b03"), "nobody asked about it");
    installation.stop().await;
}

/// A long queue is asked with one of these whether it takes any.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_reaches_no_conversation_and_no_dead_letter() {
    let system = System::start(Options::default()).await;
    let of = |name: &str| {
        let found = system.environment().iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.clone()).expect("it is set")
    };
    let connection = Connection::connect(&of("RABBITMQ_URL"), ConnectionProperties::default()).await;
    let connection = connection.expect("RabbitMQ");
    let channel = connection.create_channel().await.expect("a channel");
    for n in 0..3 {
        let (queue, options) = (format!("{}.inbound.{n}", of("QUEUE_PREFIX")), BasicPublishOptions::default());
        let properties = BasicProperties::default().with_type("probe".into());
        #[expect(clippy::disallowed_methods, reason = "the publisher knows no queue without its exchange")]
        let published = channel.basic_publish("".into(), queue.into(), options, &[], properties).await;
        published.expect("published");
    }
    connection.close(200, "done".into()).await.expect("closed");
    system.write(&bolt(), &customer(1), "Hello").await;
    assert_eq!(system.answers(&bolt(), &customer(1), 1).await.len(), 1);
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_runs_has_no_error_and_one_without_servers_is_told_so_in_bounded_time() {
    let more = Options::default().speaking().with("META_APP_ID", APP_ID).with("WHATSAPP_APP_SECRET", APP_SECRET);
    let system = System::start(more).await;
    let report = |environment: &[(String, String)]| {
        let ended = run("worker", &["doctor", "--json"], environment, "");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr));
        (report, ended.status.code())
    };
    let (fine, code) = report(system.environment());
    assert_eq!((&fine["errors"], code), (&json!(0), Some(0)), "{fine:#}");
    assert!(fine["checks"].as_array().expect("a list").iter().any(|check| check["subject"] == bolt().name), "{fine:#}");

    let mut away = system.environment().to_vec();
    for (name, value) in &mut away {
        match name.as_str() {
            "RABBITMQ_URL" => *value = "amqp://guest:hunter2@127.0.0.1:9/%2f".to_owned(),
            "MONGODB_URI" => *value = "mongodb://user:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=500".to_owned(),
            "GRAPH_API_URL" | "AI_API_URL" => *value = "http://127.0.0.1:9".to_owned(),
            "WHATSAPP_APP_SECRET" => *value = "not-that-one".to_owned(),
            _ => {}
        }
    }
    let began = std::time::Instant::now();
    let (broken, code) = report(&away);
    assert!(began.elapsed() < super::harness::PATIENCE, "it took {:?}", began.elapsed());
    assert_eq!(code, Some(1));
    let checks = broken["checks"].as_array().expect("a list");
    for (part, subject) in
        [("rabbitmq", "RABBITMQ_URL"), ("database", "server"), ("meta", "GRAPH_API_URL"), ("ai", "AI_API_URL")]
    {
        let check = find(checks, part, subject, "");
        assert!(check["severity"] == "error" && check["mend"].is_string(), "{check}");
    }
    assert!(!broken.to_string().contains("hunter2"), "{broken}");
    system.stop().await;
}
