//! TLS with certificates of an authority that nobody knows: believed where an operator says so, refused everywhere else,
//! and then in words that say what to do.

mod server;

use std::time::Duration;

use simulator::{Ai, AiOptions, Meta, MetaOptions};

use crate::system::{
    harness::{Options, Servers, System, acme, customer},
    process::{Process, run},
};
use server::{Authority, TlsServer, address};

const HERE: &str = "127.0.0.1";

/// The same server by way of another port: `amqp://u:p@host/%2f` as `amqps://u:p@127.0.0.1:port/%2f`.
fn rabbitmq_at(port: u16) -> String {
    let url = Servers::default().rabbitmq_url;
    url.replacen("amqp://", "amqps://", 1).replacen(&address(&url), &format!("{HERE}:{port}"), 1)
}

fn mongodb_at(port: u16, options: &str) -> String {
    let uri = Servers::default().mongodb_uri;
    assert!(uri.contains("directConnection=true"), "the driver must not look for the servers behind: {uri}");
    format!("{}&{options}", uri.replacen(&address(&uri), &format!("{HERE}:{port}"), 1))
}

async fn before_rabbitmq(authority: &Authority, name: &str, clients: Option<&Authority>) -> TlsServer {
    TlsServer::start(&address(&Servers::default().rabbitmq_url), authority, name, clients).await
}

async fn before_mongodb(authority: &Authority, name: &str) -> TlsServer {
    TlsServer::start(&address(&Servers::default().mongodb_uri), authority, name, None).await
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What ingest needs besides.
fn ingest_with(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = environment(&[
        ("WHATSAPP_VERIFY_TOKEN", "token"),
        ("WHATSAPP_APP_SECRET", "secret"),
        ("INGEST_ADDR", "127.0.0.1:0"),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("LOG_FORMAT", "json"),
    ]);
    all.extend(environment(pairs));
    all
}

/// What a worker needs besides; who does not reach RabbitMQ touches no queue.
fn worker_with(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let servers = Servers::default();
    let mut all = environment(&[
        ("RABBITMQ_URL", &servers.rabbitmq_url),
        ("MONGODB_URI", &servers.mongodb_uri),
        ("MONGODB_DB_NAME", "test_tls_nothing"),
        ("ENCRYPTION_SECRET", "the-secret-of-the-test"),
        ("GROQ_API_KEY", "the-key-of-the-test"),
        ("GRAPH_API_URL", "http://127.0.0.1:9"),
        ("AI_API_URL", "http://127.0.0.1:9"),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("LOG_FORMAT", "json"),
    ]);
    all.retain(|(name, _)| !pairs.iter().any(|(other, _)| other == name));
    all.extend(environment(pairs));
    all
}

/// What the doctor finds, each finding in one piece.
fn doctor(environment: &[(String, String)]) -> String {
    run("worker", &["doctor", "--json"], environment, "").stdout
}

/// What stands in the log where RabbitMQ is not connected to.
async fn why_not(process: &mut Process) -> String {
    let line = process.wait_for_message("no connection to RabbitMQ").await;
    line["error"].as_str().expect("a reason").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_answered_when_every_connection_is_by_tls_with_an_authority_of_ones_own() {
    let authority = Authority::new("an installation's own");
    let (rabbitmq, mongodb) = (before_rabbitmq(&authority, HERE, None).await, before_mongodb(&authority, HERE).await);
    let ai = Ai::start(AiOptions::default()).await.expect("the AI starts");
    let secure_ai = TlsServer::start(&address(&ai.url()), &authority, HERE, None).await;
    let ai_url =
        ai.url().replacen(&format!("http://{}", address(&ai.url())), &format!("https://{HERE}:{}", secure_ai.port), 1);
    let mongodb_uri = mongodb_at(mongodb.port, &format!("tls=true&tlsCAFile={}", authority.file()));
    let mut options = Options { workers: 1, ..Options::default() }
        .with("MONGODB_URI", mongodb_uri)
        .with("RABBITMQ_URL", rabbitmq_at(rabbitmq.port))
        .with("RABBITMQ_CA_FILE", authority.file())
        .with("AI_API_URL", ai_url)
        .with("AI_CA_FILE", authority.file());
    options.ingest_environment =
        vec![("RABBITMQ_URL", rabbitmq_at(rabbitmq.port)), ("RABBITMQ_CA_FILE", authority.file())];
    ai.on_chat(|request| simulator::ai::ChatReply::text(format!("ANS by TLS {}", request.last_user())));
    let system = System::start(options).await;
    system.write(&acme(), &customer(1), "hello").await;
    assert_eq!(system.answers(&acme(), &customer(1), 1).await, ["ANS by TLS hello"]);
    system.settled().await;
    assert!(rabbitmq.handshakes() >= 2, "ingest and the worker went through it: {}", rabbitmq.handshakes());
    assert!(mongodb.handshakes() > 0 && secure_ai.handshakes() > 0);
    let told = doctor(system.environment());
    assert!(told.contains("RabbitMQ") && !told.contains("not trusted"), "{told}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_whose_authority_is_not_known_is_not_connected_to_and_the_log_says_what_to_set() {
    let (authority, other) = (Authority::new("unknown"), Authority::new("another"));
    let rabbitmq = before_rabbitmq(&authority, HERE, None).await;
    let url = rabbitmq_at(rabbitmq.port);
    let other_file = other.file();
    for more in [&[][..], &[("RABBITMQ_CA_FILE", other_file.as_str())]] {
        let pairs: Vec<_> = [("RABBITMQ_URL", url.as_str())].into_iter().chain(more.iter().copied()).collect();
        for mut process in
            [Process::start("ingest", &ingest_with(&pairs)), Process::start("worker", &worker_with(&pairs))]
        {
            let why = why_not(&mut process).await;
            assert!(why.contains("the certificate of RabbitMQ is not trusted"), "{why}");
            assert!(why.contains("RABBITMQ_CA_FILE must name a file"), "{why}");
            process.kill();
        }
        let told = doctor(&worker_with(&pairs));
        assert!(told.contains("RABBITMQ_CA_FILE must name a file"), "{told}");
    }
    assert_eq!(rabbitmq.handshakes(), 0, "nobody believed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused_by_whoever_trusts_its_authority() {
    let authority = Authority::new("known");
    let rabbitmq = before_rabbitmq(&authority, "rabbit.example", None).await;
    let (url, file) = (rabbitmq_at(rabbitmq.port), authority.file());
    let mut ingest = Process::start("ingest", &ingest_with(&[("RABBITMQ_URL", &url), ("RABBITMQ_CA_FILE", &file)]));
    let why = why_not(&mut ingest).await;
    assert!(why.contains("the certificate of RabbitMQ is not accepted") && why.contains("rabbit.example"), "{why}");
    assert_eq!(rabbitmq.handshakes(), 0);

    let mongodb = before_mongodb(&authority, "mongo.example").await;
    let uri = mongodb_at(mongodb.port, &format!("tls=true&tlsCAFile={file}"));
    let told = doctor(&worker_with(&[("MONGODB_URI", &uri)]));
    assert!(told.contains("mongo.example"), "{told}");
    assert_eq!(mongodb.handshakes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_that_asks_for_a_certificate_gets_the_one_of_the_files() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let rabbitmq = before_rabbitmq(&authority, HERE, Some(&clients)).await;
    let (url, file) = (rabbitmq_at(rabbitmq.port), authority.file());
    let trusting = [("RABBITMQ_URL", url.as_str()), ("RABBITMQ_CA_FILE", &file)];
    let mut without = Process::start("ingest", &ingest_with(&trusting));
    let why = why_not(&mut without).await;
    assert!(why.contains("does not accept this client's certificate, or misses one"), "{why}");
    assert!(why.contains("RABBITMQ_CERT_FILE and RABBITMQ_KEY_FILE"), "{why}");
    without.kill();
    let [chain, key] = authority.issue("ingest").paths();
    let strange = [("RABBITMQ_CERT_FILE", chain.as_str()), ("RABBITMQ_KEY_FILE", &key)];
    let mut stranger = Process::start("ingest", &ingest_with(&[trusting, strange].concat()));
    let why = why_not(&mut stranger).await;
    assert!(why.contains("does not accept this client's certificate"), "{why}");
    stranger.kill();
    assert_eq!(rabbitmq.handshakes(), 0);

    let [chain, key] = clients.issue("ingest").paths();
    let prefix = shared::testing::unique("tls");
    let known = [("RABBITMQ_CERT_FILE", chain.as_str()), ("RABBITMQ_KEY_FILE", &key), ("QUEUE_PREFIX", &prefix)];
    let known: Vec<_> = trusting.into_iter().chain(known).chain([("QUEUE_PARTITIONS", "1")]).collect();
    let mut known = Process::start("ingest", &ingest_with(&known));
    known.wait_for_message("connected to RabbitMQ for publishing").await;
    assert!(rabbitmq.handshakes() > 0);
    known.kill();
    remove_queues(&prefix).await;
}

async fn remove_queues(prefix: &str) {
    use lapin::{Connection, ConnectionProperties};
    use shared::topology::{Exchange, STATUS_PARTITIONS, Topology};

    let topology = Topology::new(prefix.to_owned(), 1);
    let url = Servers::default().rabbitmq_url;
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("RabbitMQ");
    let channel = connection.create_channel().await.expect("a channel");
    let statuses = (0..STATUS_PARTITIONS).map(|partition| topology.status_queue(partition));
    let queues = statuses.chain([topology.inbound_queue(0), topology.unrouted(), topology.dead_queue()]);
    for queue in queues {
        channel.queue_delete(queue.into(), lapin::options::QueueDeleteOptions::default()).await.expect("deleted");
    }
    let exchanges = [Exchange::Inbound, Exchange::Status, Exchange::Dead].map(|one| topology.exchange(one).to_owned());
    for exchange in exchanges.into_iter().chain([topology.unrouted()]) {
        let options = lapin::options::ExchangeDeleteOptions::default();
        channel.exchange_delete(exchange.into(), options).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_whose_authority_is_not_known_is_not_connected_to_and_the_error_says_what_to_set() {
    let (authority, other) = (Authority::new("unknown"), Authority::new("another"));
    let mongodb = before_mongodb(&authority, HERE).await;
    for options in ["tls=true".to_owned(), format!("tls=true&tlsCAFile={}", other.file())] {
        let environment = worker_with(&[("MONGODB_URI", &mongodb_at(mongodb.port, &options))]);
        let listed = run("worker", &["business", "list"], &environment, "");
        assert!(!listed.status.success());
        for told in [listed.stderr, doctor(&environment)] {
            assert!(told.contains("the certificate of MongoDB is not trusted"), "{told}");
            assert!(told.contains("tlsCAFile of MONGODB_URI must name a file"), "{told}");
        }
    }
    assert_eq!(mongodb.handshakes(), 0, "nobody believed it");
    let right = mongodb_at(mongodb.port, &format!("tls=true&tlsCAFile={}", authority.file()));
    let listed = run("worker", &["business", "list"], &worker_with(&[("MONGODB_URI", &right)]), "");
    assert!(listed.status.success() && mongodb.handshakes() > 0, "{}", listed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_for_the_ai_counts_for_nobody_else_and_the_systems_store_for_everybody() {
    let authority = Authority::new("the AI's");
    let meta = Meta::start(MetaOptions::default()).await.expect("Meta starts");
    let secure = TlsServer::start(&address(&meta.url()), &authority, HERE, None).await;
    let url = format!("https://{HERE}:{}", secure.port);
    let (graph, file) = (format!("{url}/v25.0"), authority.file());
    let told = |more: &[(&str, &str)]| {
        let pairs: Vec<_> = [("GRAPH_API_URL", graph.as_str())].into_iter().chain(more.iter().copied()).collect();
        doctor(&worker_with(&pairs))
    };
    let refused = told(&[("AI_CA_FILE", &file)]);
    assert!(
        refused.contains("the certificate of Meta is not trusted") && refused.contains("SSL_CERT_FILE"),
        "{refused}"
    );
    let refused = told(&[("AI_API_URL", &url)]);
    assert!(refused.contains("AI_CA_FILE may name a file"), "{refused}");
    assert_eq!(secure.handshakes(), 0);

    let trusted = told(&[("SSL_CERT_FILE", &file)]);
    assert!(!trusted.contains("the certificate of Meta is not trusted"), "{trusted}");
    assert!(secure.handshakes() > 0);
    meta.stop().await;
}

#[test]
fn files_that_are_not_there_or_hold_no_certificate_keep_a_process_from_starting() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").expect("written");
    let files = ["/nowhere/ca.pem", empty.to_str().expect("UTF-8")];
    for (file, problem) in files.into_iter().zip(["cannot be read", "without a certificate in PEM"]) {
        let rabbitmq = [("RABBITMQ_URL", "amqps://localhost"), ("RABBITMQ_CA_FILE", file)];
        let uri = format!("mongodb://localhost/?tls=true&tlsCAFile={file}");
        for (name, environment) in [("ingest", ingest_with(&rabbitmq)), ("worker", worker_with(&rabbitmq))] {
            refuses(name, &environment, "RABBITMQ_CA_FILE", problem);
        }
        refuses("worker", &worker_with(&[("MONGODB_URI", &uri)]), "MONGODB_URI", problem);
        refuses("worker", &worker_with(&[("AI_CA_FILE", file)]), "AI_CA_FILE", problem);
    }
}

fn refuses(name: &str, environment: &[(String, String)], variable: &str, problem: &str) {
    let started = std::time::Instant::now();
    let ended = run(name, if name == "worker" { &["run"] } else { &[] }, environment, "");
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.status.code(), Some(64), "{told}");
    assert!(told.contains(variable) && told.contains(problem) && !told.contains("listening"), "{told}");
    assert!(started.elapsed() < Duration::from_secs(10), "it waits for nobody");
}
