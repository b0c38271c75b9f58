//! The program with credentials: webhooks in, answers out, over one file.

use serde_json::{Value, json};
use simulator::{Business, Customer, ai::ChatReply};

use super::{
    process::{Process, free_addr, run},
    serving::{APP_SECRET, ENCRYPTION_SECRET, Installation},
};

fn acme() -> Business {
    Business::new("acme", "100100100100").with_token("EAAacmeTOKENacmeTOKENacme")
}

fn ana() -> Customer {
    Customer::phone("4915110000001").named("Ana")
}

async fn installed() -> Installation {
    Installation::start(&[(acme(), json!({ "persona": "Lina" }))], &[]).await
}

async fn get(url: &str) -> (u16, String) {
    shared::install_tls_provider();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let response = client.get(url).send().await.expect("it answers");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_and_what_was_said_is_there_after_a_restart() {
    let mut installed = installed().await;
    installed.ai.on_chat(|request| ChatReply::text(format!("I have read {} lines", request.texts("user").len())));
    installed.write(&acme(), &ana(), "Hello").await;
    assert_eq!(installed.received(&acme(), &ana(), 1).await, ["I have read 1 lines"]);
    assert!(installed.process.stop("TERM").await.success());
    installed.restart().await;
    installed.write(&acme(), &ana(), "And again").await;
    let received = installed.received(&acme(), &ana(), 2).await;
    assert_eq!(received[1], "I have read 2 lines", "it remembers the first one");
    assert!(installed.process.stop("INT").await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_in_the_file_whatever_happens_next() {
    // It dies before anything is thought about.
    let mut installed = Installation::start(&[(acme(), json!({ "quietMillis": 60_000 }))], &[]).await;
    installed.write(&acme(), &ana(), "Is it kept?").await;
    installed.process.kill();
    let file = rusqlite::Connection::open(installed.directory().join("switchboard.db")).expect("a database");
    let mailbox: String = file
        .query_row("SELECT document -> '$.mailbox' FROM conversations", [], |row| row.get(0))
        .expect("there is one conversation");
    assert!(mailbox.contains("Is it kept?"), "{mailbox}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_written_is_not_acknowledged_and_comes_again() {
    let installed = Installation::start(&[(acme(), json!({}))], &[("PUBLISH_TIMEOUT_SECS", "1")]).await;
    let file = rusqlite::Connection::open(installed.directory().join("switchboard.db")).expect("a database");
    file.execute_batch("BEGIN IMMEDIATE").expect("the file is locked");
    let sender = installed.meta.sender(&acme());
    let writing = tokio::spawn(async move { sender.text(&acme(), &ana(), "Hello").await.map(drop) });
    let refused = |journal: &simulator::Journal| journal.posts().iter().any(|post| post.http == Some(503));
    installed.journal.wait_until(refused, super::process::PATIENCE).await.expect("it is refused");
    file.execute_batch("ROLLBACK").expect("the file is free");
    writing.await.expect("no panic").expect("it is acknowledged in the end");
    assert_eq!(installed.received(&acme(), &ana(), 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_credentials_there_is_no_page_and_no_secret_in_any_log() {
    let mut installed = installed().await;
    for path in ["", "phone/setup", "phone/app.js", "phone/events?number=491511"] {
        let (status, body) = get(&format!("http://{}/{path}", installed.addr)).await;
        assert_eq!((status, body.as_str()), (404, ""), "/{path}");
    }
    installed.write(&acme(), &ana(), "swordfish").await;
    installed.received(&acme(), &ana(), 1).await;
    assert!(installed.process.stop("TERM").await.success());
    for log in installed.logs() {
        for secret in [APP_SECRET, ENCRYPTION_SECRET, "EAAacme", "swordfish"] {
            assert!(!log.contains(secret), "{secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_looked_after_by_the_same_commands_while_it_runs() {
    let installed = installed().await;
    installed.write(&acme(), &ana(), "Hello").await;
    installed.received(&acme(), &ana(), 1).await;
    let printed = |arguments: &[&str]| {
        let done = installed.command(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("UTF-8")
    };
    assert!(printed(&["business", "list"]).contains("acme"));
    assert!(printed(&["business", "check"]).contains("acme"));
    assert!(printed(&["customer", "show", "--business", "acme", "--phone", "4915110000001"]).contains("messages"));
    printed(&["dead-letter", "list"]);
    let accounts = printed(&["account", "list", "--json"]);
    assert!(accounts.contains("waba-acme") && accounts.contains("\"sends\":true"), "{accounts}");
    assert!(printed(&["token", "rotate"]).contains("encrypted anew: 0, already new: 1"));
    printed(&["business", "export", "out.json"]);
    let exported = std::fs::read_to_string(installed.directory().join("out.json")).expect("it is written");
    let exported: Vec<Value> = serde_json::from_str(&exported).expect("JSON");
    assert_eq!(exported[0]["subDomain"], "acme");
    assert!(!exported[0].to_string().contains("EAAacme"), "the token stays encrypted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_and_a_stop_are_respected_here_too() {
    let installed = installed().await;
    installed.write(&acme(), &ana(), "STOP").await;
    let told = installed.received(&acme(), &ana(), 1).await;
    assert!(told[0].contains("START"), "{told:?}");
    installed.write(&acme(), &ana(), "Hello?").await;
    let ban = |state: &str| {
        let fields = [("event", json!("DISABLED_UPDATE")), ("ban_info", json!({ "waba_ban_state": state }))];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        simulator::webhook::Body::default().other(&acme(), "account_update", fields).to_json()
    };
    let sender = installed.meta.sender(&acme());
    sender.deliver(&ban("DISABLE")).await.expect("200");
    let bob = Customer::phone("4915110000002").named("Bob");
    installed.write(&acme(), &bob, "Hello").await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert!(installed.journal.chats().is_empty(), "nobody asks the AI");
    sender.deliver(&ban("REINSTATE")).await.expect("200");
    assert_eq!(installed.received(&acme(), &bob, 1).await.len(), 1);
    assert_eq!(installed.received(&acme(), &ana(), 1).await.len(), 1, "silence is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_over_writes_and_gives_back_while_it_runs() {
    let installed = installed().await;
    installed.ai.on_chat(|request| match request.body.to_string().contains("Mia here") {
        true => ChatReply::text("Mia has told you"),
        false => ChatReply::text("Hello"),
    });
    installed.write(&acme(), &ana(), "Hello").await;
    installed.received(&acme(), &ana(), 1).await;
    let printed = |arguments: &[&str]| {
        let done = installed.command(&[&["conversation"], arguments].concat());
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("UTF-8")
    };
    let listed = printed(&["list", "--business", "acme", "--json", "--whole-ids"]);
    let session =
        serde_json::from_str::<Value>(&listed).expect("one")["conversation"].as_str().expect("an id").to_owned();
    assert_eq!(session, "acme:4915110000001");
    assert!(printed(&["send", &session, "Mia here"]).contains("handed over until"));
    assert_eq!(installed.received(&acme(), &ana(), 2).await[1], "Mia here");
    assert_eq!(printed(&["list", "--handed-over"]).matches("handed over until").count(), 1);
    assert!(printed(&["show", &session, "--texts"]).contains("person: Mia here"));
    printed(&["resume", &session]);
    installed.write(&acme(), &ana(), "Thanks").await;
    assert_eq!(installed.received(&acme(), &ana(), 3).await[2], "Mia has told you");
    printed(&["hand-over", &session, "--hours", "1"]);
    assert_eq!(printed(&["list", "--handed-over", "--json"]).lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_and_a_taken_port_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = run(&[], &[("WHATSAPP_APP_SECRET", "one".to_owned())], directory.path());
    let told = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(64), "{told}");
    for name in ["WHATSAPP_VERIFY_TOKEN", "ENCRYPTION_SECRET", "GROQ_API_KEY"] {
        assert!(told.contains(name), "{name}: {told}");
    }
    let addr = free_addr();
    let _taken = std::net::TcpListener::bind(addr).expect("it is free");
    let taken = run(&["--addr", &addr.to_string()], &[], directory.path());
    let told = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(!taken.status.success() && told.contains("--addr"), "{told}");
    let nowhere =
        run(&["business", "list", "--db", "nowhere.db"], &[("ENCRYPTION_SECRET", "x".to_owned())], directory.path());
    let told = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(!nowhere.status.success() && told.contains("nowhere.db"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_newer_version_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = rusqlite::Connection::open(directory.path().join("switchboard.db")).expect("a file");
    file.pragma_update(None, "user_version", 1_000).expect("written");
    let refused = run(&["--addr", "127.0.0.1:0"], &[], directory.path());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("newer version"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_of_an_installation_on_mongodb_are_taken_over() {
    use mongodb::bson::{DateTime, doc, oid::ObjectId};
    let (uri, name) = (shared::testing::server("MONGODB_URI"), shared::testing::unique("import"));
    let client = mongodb::Client::with_uri_str(&uri).await.expect("a valid URI");
    let there = client.database(&name);
    let id = ObjectId::new();
    let document = doc! {
        "_id": id, "subDomain": "acme", "name": "Acme", "whatsappPhoneNumberIds": ["1"], "whatsappEnabled": true,
        "isActive": true, "whatsappTokenExpiresAt": DateTime::from_millis(1_800_000_000_000), "plan": { "seats": 5 },
    };
    there.collection("businesses").insert_one(document).await.expect("MongoDB answers");
    let directory = tempfile::tempdir().expect("a directory");
    for expected in ["added acme", "changed acme"] {
        let done = run(&["import", "--from", &uri, "--from-db", &name], &[], directory.path());
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && told.contains(expected), "{told}{}", String::from_utf8_lossy(&done.stderr));
    }
    there.drop().await.expect("MongoDB answers");
    let file = rusqlite::Connection::open(directory.path().join("switchboard.db")).expect("a database");
    let (key, text): (String, String) =
        file.query_row("SELECT id, document FROM businesses", [], |row| Ok((row.get(0)?, row.get(1)?))).expect("one");
    let stored: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(key, id.to_hex());
    assert_eq!(stored["plan"]["seats"], 5, "{stored}");
    assert!(
        stored["whatsappTokenExpiresAt"]["$date"].is_object() || stored["whatsappTokenExpiresAt"]["$date"].is_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_it_is_the_demonstration_on_loopback() {
    let directory = tempfile::tempdir().expect("a directory");
    let addr = free_addr();
    let environment = [("METRICS_ADDR", "127.0.0.1:0".to_owned())];
    let mut process = Process::start(&["--addr", &addr.to_string()], &environment, directory.path());
    process.wait_for("Ctrl-C").await;
    let (status, page) = get(&format!("http://{addr}/")).await;
    assert_eq!(status, 200);
    assert!(page.contains("<html"), "{page}");
    for told in ["Harbour Bikes", "Taza Azul", "GROQ_API_KEY", "switchboard.db"] {
        assert!(process.log().contains(told), "{told}: {}", process.log());
    }
    assert!(process.stop("INT").await.success(), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_and_single_changes_need_no_server_but_the_file() {
    let installed = installed().await;
    let examined = || {
        let done = installed.command(&["doctor", "--json"]);
        let report: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
        (report, done.status.code())
    };
    let (report, code) = examined();
    assert_eq!((&report["errors"], code), (&json!(0), Some(0)), "{report:#}");
    let text = report.to_string();
    assert!(text.contains("SQLite") && !text.contains("rabbitmq") && !text.contains("EAAacme"), "{text}");

    let token = installed.directory().join("token.txt");
    std::fs::write(&token, "EAAboltTOKENboltTOKENbolt").expect("written");
    let bolt = Business::new("bolt", "2002002002002002").with_token("EAAboltTOKENboltTOKENbolt");
    installed.meta.register(bolt.clone());
    let add = ["business", "add", "bolt", "--name", "Bolt", "--waba-id", "waba-bolt", "--token-file", "token.txt"];
    for arguments in [
        &[&add[..], &["--phone-number-id", &bolt.phone_number_id]].concat()[..],
        &["business", "set", "bolt", "companion.voice.reply", "never"],
        &["business", "disable", "bolt"],
        &["business", "enable", "bolt"],
    ] {
        let done = installed.command(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(examined().1, Some(0));
    installed.meta.unsubscribe("waba-bolt");
    let (report, code) = examined();
    assert_eq!((&report["errors"], code), (&json!(1), Some(1)), "{report:#}");
    assert!(report.to_string().contains("is not subscribed"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_demonstration_is_played_on_a_file_that_serves_real_businesses() {
    let installed = installed().await;
    let environment = [("METRICS_ADDR", "127.0.0.1:0".to_owned()), ("ENCRYPTION_SECRET", ENCRYPTION_SECRET.to_owned())];
    let refused = run(&["--addr", &free_addr().to_string()], &environment, installed.directory());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("serves a real business, `acme`"), "{said}");
    let listed = installed.command(&["business", "list"]);
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("bikes"), "nothing was put into it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_demonstration_on_a_file_leaves_the_first_one_its_tokens() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = [("METRICS_ADDR", "127.0.0.1:0".to_owned())];
    let start = |addr: &str| Process::start(&["--addr", addr], &environment, directory.path());
    let mut first = start(&free_addr().to_string());
    first.wait_for("Ctrl-C").await;
    let exports = std::cell::Cell::new(0);
    let tokens = || {
        exports.set(exports.get() + 1);
        let name = format!("out{}.json", exports.get());
        let secret = [("ENCRYPTION_SECRET", ENCRYPTION_SECRET.to_owned())];
        let done = run(&["business", "export", &name], &secret, directory.path());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read_to_string(directory.path().join(name)).expect("it is written")
    };
    let before = tokens();
    let refused = run(&["--addr", &free_addr().to_string()], &environment, directory.path());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("name another one with --db"), "{said}");
    assert_eq!(tokens(), before, "nothing was written");
    assert!(first.stop("INT").await.success(), "{}", first.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_its_owners_and_is_named_before_a_command_or_after_it() {
    use std::os::unix::fs::PermissionsExt;
    let installed = installed().await;
    let elsewhere = tempfile::tempdir().expect("a directory");
    let file = installed.directory().join("switchboard.db");
    let file = file.to_str().expect("UTF-8");
    let environment = [("ENCRYPTION_SECRET", ENCRYPTION_SECRET.to_owned())];
    for arguments in [&["--db", file, "business", "list"], &["business", "list", "--db", file]] {
        let listed = run(arguments, &environment, elsewhere.path());
        let said = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(said.contains("acme"), "{arguments:?}: {}", String::from_utf8_lossy(&listed.stderr));
    }
    let refused = run(&["--addr", "127.0.0.1:0", "business", "list"], &environment, elsewhere.path());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--addr is where `run` serves"));

    let mut demonstration = Process::start(
        &["--addr", &free_addr().to_string()],
        &[("METRICS_ADDR", "127.0.0.1:0".to_owned())],
        elsewhere.path(),
    );
    demonstration.wait_for("Ctrl-C").await;
    for name in ["switchboard.db", "switchboard.db-wal"] {
        let mode = std::fs::metadata(elsewhere.path().join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(demonstration.stop("INT").await.success(), "{}", demonstration.log());
}
