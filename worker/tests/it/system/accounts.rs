//! Bans, restrictions and removals: nothing is sent, nothing is lost, and what waited is answered once.

use std::time::Duration;

use mongodb::bson::doc;
use serde_json::{Map, Value, json};
use simulator::{
    Business,
    meta::{Fault, Refusal, Where},
    webhook::Body,
};

use super::{
    harness::{Options, System, acme, bolt, corn, customer},
    process::run,
};

/// Longer than the watch over accounts takes, and a few scans.
const A_WHILE: Duration = Duration::from_secs(6);

impl System {
    async fn account_update(&self, business: &Business, value: Value) {
        let Value::Object(fields): Value = value else { panic!("fields") };
        let fields: Map<String, Value> = fields;
        let body = Body::default().other(business, "account_update", fields).to_json();
        self.meta.sender(business).deliver(&body).await.expect("200");
    }

    async fn wait_until_paused(&self, business: &Business, cause: &str) {
        let mark = format!("marks.{cause}.stops");
        self.wait_for_document("account_standing", doc! { "_id": &business.waba_id, mark: true }).await;
    }

    async fn wait_until_it_waits(&self, business: &Business, key: &str) {
        let waiting = doc! { "_id": format!("{}:{key}", business.name), "last_error.reason": "paused" };
        self.wait_for_document("conversations", waiting).await;
    }
}

fn ban(state: &str) -> Value {
    json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": state, "waba_ban_date": "November 20, 2026" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_stops_sending_and_its_end_has_all_that_waited_answered_once() {
    let system = System::start(Options { workers: 2, ..Options::default() }).await;
    let (ana, eva) = (customer(1), customer(2));
    system.write(&acme(), &ana, "one").await;
    system.answers(&acme(), &ana, 1).await;
    system.account_update(&acme(), ban("DISABLE")).await;
    system.wait_until_paused(&acme(), "ban").await;
    tokio::time::sleep(A_WHILE).await;
    let (chats, sends) = (system.journal.chats().len(), system.journal.sends().len());
    for (who, text) in [(&ana, "two"), (&eva, "three"), (&ana, "four")] {
        system.write(&acme(), who, text).await;
    }
    for who in [&ana, &eva] {
        system.wait_until_it_waits(&acme(), who.key()).await;
    }
    // Somebody else's account is somebody else's.
    system.write(&bolt(), &ana, "five").await;
    assert_eq!(system.answers(&bolt(), &ana, 1).await, ["ANS five"]);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!((system.journal.chats().len(), system.journal.sends().len()), (chats + 1, sends + 1));
    let listed = run("worker", &["account", "list"], system.environment(), "");
    assert!(listed.status.success(), "{}", listed.stderr);
    for shown in ["waba-acme", "acme", "no: ban", "DISABLED_UPDATE DISABLE", "waba-bolt"] {
        assert!(listed.stdout.contains(shown), "{shown}: {}", listed.stdout);
    }
    assert_eq!(system.count("conversations", doc! { "ai_failing_since": { "$exists": true } }).await, 0);
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);

    system.account_update(&acme(), ban("REINSTATE")).await;
    let answered = system.answers(&acme(), &ana, 2).await;
    assert_eq!(answered[1], "ANS two\nfour");
    assert_eq!(system.answers(&acme(), &eva, 1).await, ["ANS three"]);
    system.settled().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(system.journal.accepted().len(), 4, "each once");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_ends_by_itself_and_one_of_other_messages_stops_nothing() {
    let system = System::start(Options::default()).await;
    let (ana, end) = (customer(1), jiff::Timestamp::now().as_second() + 12);
    let restriction = |kind: &str, expiration: i64| {
        json!({ "event": "ACCOUNT_RESTRICTION",
                "restriction_info": [{ "restriction_type": kind, "expiration": expiration }] })
    };
    system.account_update(&bolt(), restriction("RESTRICTED_BIZ_INITIATED_MESSAGING", end + 1_000)).await;
    system.account_update(&acme(), restriction("RESTRICTED_CUSTOMER_INITIATED_MESSAGING", end)).await;
    system.wait_until_paused(&acme(), "restriction").await;
    system.write(&acme(), &ana, "one").await;
    system.write(&bolt(), &ana, "two").await;
    assert_eq!(system.answers(&bolt(), &ana, 1).await, ["ANS two"]);
    system.wait_until_it_waits(&acme(), ana.key()).await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS one"]);
    assert!(jiff::Timestamp::now().as_second() >= end, "not before its end");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_was_removed_waits_until_it_is_back_or_somebody_says_so() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.account_update(&acme(), json!({ "event": "PARTNER_APP_UNINSTALLED" })).await;
    // The entry of such an event is the partner's own; the account stands within it.
    let removed = json!({ "event": "PARTNER_REMOVED", "waba_info": { "waba_id": bolt().waba_id } });
    system.account_update(&corn(), removed).await;
    for business in [acme(), bolt()] {
        system.wait_until_paused(&business, "removal").await;
        system.write(&business, &ana, "hello?").await;
        system.wait_until_it_waits(&business, ana.key()).await;
    }
    system.account_update(&acme(), json!({ "event": "PARTNER_APP_INSTALLED" })).await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS hello?"]);
    let lifted = run("worker", &["account", "lift", &bolt().waba_id], system.environment(), "");
    assert!(lifted.status.success(), "{}", lifted.stderr);
    assert_eq!(system.answers(&bolt(), &ana, 1).await, ["ANS hello?"]);
    let again = run("worker", &["account", "lift", &bolt().waba_id], system.environment(), "");
    assert!(!again.status.success() && again.stderr.contains("nothing keeps this account"), "{}", again.stderr);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_means_the_account_spares_the_others_the_ai() {
    let system = System::start(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    system.meta.faults().always(Where::any(), Fault::Refuse(Refusal::code(131_031)));
    system.write(&acme(), &ana, "one").await;
    system.wait_until_paused(&acme(), "refusal").await;
    system.write(&acme(), &eva, "two").await;
    system.wait_until_it_waits(&acme(), eva.key()).await;
    assert_eq!(system.journal.chats().len(), 1, "the AI is not paid in vain");
    system.meta.faults().clear();
    let lifted = run("worker", &["account", "lift", &acme().waba_id], system.environment(), "");
    assert!(lifted.status.success(), "{}", lifted.stderr);
    assert_eq!(system.answers(&acme(), &eva, 1).await, ["ANS two"]);
    system.stop().await;
}
