//! What the pages show, and what is done from them.

use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, Document, doc};
use reqwest::StatusCode;
use simulator::meta::{Fault, Refusal, Where};

use super::{
    super::harness::{Options, PATIENCE, System, acme, bolt, customer},
    super::process::run,
    Dashboard, ESCAPED, WORDS, link, with_a_conversation, without_workers,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_stays_text_in_the_dashboard_and_is_hidden_until_it_is_asked_for() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.write(&acme(), &ana, WORDS).await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    system.wait_for_document("messages", doc! { "direction": "out", "status": "delivered" }).await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let list = operator.page("/conversations?business=acme").await;
    let path = link(&list, "/conversations");
    let hidden = operator.page(&path).await;
    for shown in ["Customer", "Companion", "delivered", "answered after", "tokens read", "How it stands"] {
        assert!(hidden.contains(shown), "{shown}: {hidden}");
    }
    let overview = operator.page("/").await;
    let business = operator.page("/businesses/acme").await;
    for page in [&list, &hidden, &overview, &business] {
        for secret in ["swordfish", ana.key(), "Customer 1"] {
            assert!(!page.contains(secret), "{secret}: {page}");
        }
    }
    assert!(!dashboard.process.log().contains("was shown"));
    let shown = operator.page(&format!("{path}?texts=1")).await;
    // What is no markup of a page that means anything to WhatsApp stays in an answer as the text that it is.
    let answered = "ANS &lt;script&gt;alert(1)&lt;/script&gt; swordfish";
    assert!(shown.contains(ESCAPED) && shown.contains(answered), "{shown}");
    assert!(!shown.contains("<script") && !shown.contains(ana.key()), "{shown}");
    let begun = Instant::now();
    while !dashboard.process.log().contains("what was said was shown to an operator") {
        assert!(begun.elapsed() < PATIENCE, "nothing tells that texts were shown");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What a business has from a notice leads there too.
    let told = operator.get(&format!("/conversations/of/acme%3A{}", ana.key())).await;
    assert!(told.status == StatusCode::SEE_OTHER && !told.header("location").contains(ana.key()));
    assert!(operator.page(&told.header("location")).await.contains("What happened"));
    for wrong in
        ["/conversations/abc", "/businesses/nobody", "/letters/0123456789abcdef", "/conversations?business=nobody"]
    {
        assert_eq!(operator.get(wrong).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    for wrong in ["/?days=8", "/conversations?state=odd", "/letters?state=odd", "/letters/replay"] {
        assert_eq!(operator.get(wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    dashboard.stop(&[ana.key()]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_dashboard_a_person_takes_a_conversation_and_gives_it_back() {
    let (system, ana) = with_a_conversation().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let list = operator.page("/conversations").await;
    let path = link(&list, "/conversations");
    let page = operator.page(&path).await;
    for wrong in ["0", "721", "-1", "NaN", "soon", ""] {
        let told = operator.send(&page, "/hand-over", &[("hours", wrong)]).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let told = operator.send(&page, "/hand-over", &[("hours", "2.5")]).await;
    let page = operator.page(&told.header("location")).await;
    assert!(page.contains("A person has this conversation now") && page.contains("handed over until"), "{page}");
    let until =
        system.conversation(&acme(), &ana).await.get_datetime("handed_over_until").expect("until").timestamp_millis();
    let hours = (until - DateTime::now().timestamp_millis()) as f64 / 3_600_000.0;
    assert!((2.4..=2.5).contains(&hours), "{hours}");
    assert!(operator.page("/conversations?state=handed_over").await.contains("acme:…"));
    system.write(&acme(), &ana, "anybody there?").await;
    system
        .wait_for_document(
            "messages",
            doc! { "direction": "in", "answered_at": { "$exists": true }, "message": { "$regex": "anybody" } },
        )
        .await;
    system.settled().await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()).len(), 1, "the companion is quiet");
    let told = operator.send(&page, "/resume", &[]).await;
    assert!(operator.page(&told.header("location")).await.contains("The companion has this conversation again"));
    assert!(operator.page("/conversations?state=handed_over").await.contains("No conversation is like that"));
    system.write(&acme(), &ana, "bye").await;
    assert!(system.answers(&acme(), &ana, 2).await[1].contains("bye"));
    let log = dashboard.process.log();
    assert!(
        log.contains("an operator handed a conversation over") && log.contains("gave a conversation back"),
        "{log}"
    );
    dashboard.stop(&[ana.key()]);
    system.stop().await;
}

/// A message that Meta refuses for good.
async fn refused(system: &System, n: u64) -> Document {
    let who = customer(n);
    system.meta.faults().next(Where::any().to(who.key()), Fault::Refuse(Refusal::code(131_026)));
    system.write(&bolt(), &who, WORDS).await;
    let filter = doc! { "reason": "refused", "conversation": format!("bolt:{}", who.key()) };
    let letter = system.wait_for_document("dead_letters", filter).await;
    system.settled().await;
    letter
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_and_discarded_from_the_dashboard_as_they_were_looked_at() {
    let mut system = System::start(Options::default()).await;
    system.keep_from_logs("swordfish");
    let letters =
        [refused(&system, 1).await, refused(&system, 2).await, refused(&system, 3).await, refused(&system, 4).await];
    let path = |n: usize| format!("/letters/{}", letters[n].get_str("handle").expect("a handle"));
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let list = operator.page("/letters?business=bolt&reason=refused").await;
    assert!(list.contains("refused <b>4</b>") && list.contains("bolt:…") && list.contains(&path(0)), "{list}");
    let page = operator.page(&path(0)).await;
    for secret in ["swordfish", customer(1).key(), letters[0].get_str("_id").expect("an id")] {
        assert!(!list.contains(secret) && !page.contains(secret), "{secret}: {page}");
    }
    let whole = operator.page(&format!("{}?texts=1", path(0))).await;
    assert!(whole.contains("&lt;script&gt;") && !whole.contains("<script>"), "{whole}");

    // Somebody else buried it again meanwhile: what was looked at is not what is there.
    let again = doc! { "$inc": { "count": 1 } };
    let stored = system.db.collection::<Document>("dead_letters");
    stored.update_one(doc! { "_id": letters[0].get_str("_id").expect("an id") }, again).await.expect("changed");
    assert_eq!(operator.send(&page, "/replay", &[]).await.status, StatusCode::CONFLICT);
    assert_eq!(operator.send(&page, "/discard", &[("sure", "1")]).await.status, StatusCode::CONFLICT);
    let page = operator.page(&path(0)).await;
    let told = operator.send(&page, "/replay", &[]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    assert!(operator.page(&told.header("location")).await.contains("It is marked for replay"));
    assert_eq!(system.answers(&bolt(), &customer(1), 1).await.len(), 1, "a running worker replays it");

    let page = operator.page(&path(1)).await;
    assert_eq!(operator.send(&page, "/discard", &[]).await.status, StatusCode::BAD_REQUEST, "nobody is sure");
    let told = operator.send(&page, "/discard", &[("sure", "1")]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    let gone = operator.page(&format!("{}?texts=1", path(1))).await;
    assert!(gone.contains("was removed when the letter was discarded") && !gone.contains("Replay it"), "{gone}");

    // One that would be buried again is left alone where nobody insists.
    let number = doc! { "$set": { "business_id": "somebody else" } };
    stored.update_one(doc! { "_id": letters[3].get_str("_id").expect("an id") }, number).await.expect("changed");
    let page = operator.page(&path(3)).await;
    assert!(
        page.contains("its number is another business&#39;s now") || page.contains("another business's now"),
        "{page}"
    );
    assert_eq!(operator.send(&page, "/replay", &[]).await.status, StatusCode::CONFLICT);

    let confirm = operator.page("/letters/replay?reason=refused").await;
    let told = operator.send(&confirm, "/letters/replay", &[]).await;
    assert!(told.body.contains("1 are marked") && told.body.contains("1 are left as they are"), "{}", told.body);
    assert_eq!(system.answers(&bolt(), &customer(3), 1).await.len(), 1);
    let closed = operator.page("/letters?state=closed").await;
    assert!(closed.contains("discarded ") && closed.contains("replayed "), "{closed}");
    let log = dashboard.process.log();
    for line in
        ["an operator replays a dead letter", "an operator discarded", "replays all dead letters", "was shown to"]
    {
        assert!(log.contains(line), "{line}: {log}");
    }
    dashboard.stop(&[customer(1).key(), customer(2).key()]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_adds_the_days_of_businesses_up() {
    let system = without_workers().await;
    let business = system.wait_for_document("businesses", doc! { "subDomain": "acme" }).await;
    let id = business.get_object_id("_id").expect("an id").to_hex();
    let today = DateTime::now().try_to_rfc3339_string().expect("a time").split('T').next().expect("a day").to_owned();
    for (owner, received) in [(id.as_str(), 1_200_i64), ("gone", 34)] {
        let numbers = doc! {
            "inbound": { "text": received }, "outbound": { "text": 1_000_i64 }, "delivered": 900_i64, "read": 500_i64,
            "answer_times": { "2048": 10_i64 }, "failures": { "undelivered": { "131026": 7_i64 }, "dead_letters": {} },
            "priced": { "service": { "billable": 3_i64, "free": 9_i64 } }, "cost_micros": 1_230_000_i64,
            "models": { "a-model": { "calls": 2_i64, "tokens_in": 4_000_i64, "tokens_out": 500_i64 } },
        };
        let day = doc! { "_id": format!("{owner}:{today}"), "business_id": owner, "day": &today, "numbers": numbers,
        "counted_at": DateTime::now(), "expire_at": DateTime::from_millis(4_102_444_800_000) };
        system.db.collection::<Document>("analytics").insert_one(day).await.expect("inserted");
    }
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let page = operator.page("/").await;
    for shown in ["1,234", "2,000", "90.0 %", "$2.46", "9,000", "2.0 s", "not among the businesses", "The acme company"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(page.contains("role=\"img\"") && page.contains("<title>"), "{page}");
    let page = operator.page("/businesses/acme?days=90").await;
    for shown in ["1,200", "undelivered: 131026", "a-model", "service", "decrypts", "What is wrong in its document"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("EAAacme"), "{page}");
    dashboard.stop(&[]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_without_its_database_says_so_and_one_without_a_secret_does_not_start() {
    shared::install_tls_provider();
    let environment: Vec<(String, String)> = [
        ("MONGODB_URI", "mongodb://127.0.0.1:9/?replicaSet=none&serverSelectionTimeoutMS=300"),
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "debug"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let dashboard = Dashboard::start(&environment).await;
    let mut operator = dashboard.signed_in().await;
    for path in ["/", "/conversations", "/letters", "/businesses/acme"] {
        let told = operator.get(path).await;
        assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", told.body);
        assert!(told.body.contains("The database did not answer"), "{path}: {}", told.body);
    }
    dashboard.stop(&[]);
    for (secret, problem) in
        [(None, "DASHBOARD_SECRET is required"), (Some("short"), "must have at least 16 characters")]
    {
        let given = secret.map(|secret| ("DASHBOARD_SECRET".to_owned(), secret.to_owned()));
        let environment: Vec<(String, String)> = environment.iter().cloned().chain(given).collect();
        let ended = run("worker", &["dashboard"], &environment, "");
        assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
        assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    }
}
