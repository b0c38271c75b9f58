//! The command line: what an operator asks, and that no token is shown.

use mongodb::bson::doc;
use secrecy::ExposeSecret;
use simulator::Business;

use super::{
    harness::{ENCRYPTION_SECRET, Options, System, acme, cipher, document},
    process::{Ended, run},
};

fn worker(arguments: &'static [&'static str], environment: Vec<(String, String)>, input: &'static str) -> Ended {
    run("worker", arguments, &environment, input)
}

fn encryption() -> Vec<(String, String)> {
    vec![("ENCRYPTION_SECRET".to_owned(), ENCRYPTION_SECRET.to_owned())]
}

#[test]
fn tokens_are_encrypted_and_checked_from_standard_input() {
    let encrypted = worker(&["token", "encrypt"], encryption(), "EAAoneTWOthreeFOUR\n");
    assert!(encrypted.status.success(), "{}", encrypted.stderr);
    let stored = encrypted.stdout.trim().to_owned();
    assert!(stored.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let checked = run("worker", &["token", "check"], &encryption(), &stored);
    assert!(checked.status.success() && checked.stdout.contains("decrypts: EAAo…"), "{}", checked.stdout);
    assert!(!checked.stdout.contains("TWOthreeFOUR"));
    let plain = worker(&["token", "check"], encryption(), "EAAplain");
    assert_eq!(plain.status.code(), Some(1));
    assert!(plain.stderr.contains("not hexadecimal") && !plain.stderr.contains("EAAplain"), "{}", plain.stderr);
    let nothing = worker(&["token", "encrypt"], encryption(), "");
    assert!(!nothing.status.success() && nothing.stderr.contains("standard input is empty"));
    let unset = worker(&["token", "encrypt"], Vec::new(), "x");
    assert_eq!(unset.status.code(), Some(64));
    assert!(unset.stderr.contains("ENCRYPTION_SECRET is required"));
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_are_listed_and_shown_without_their_tokens() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let off = Business::new("off", "800800800800");
    let mut record = document(&off);
    record.insert("isActive", false);
    record.insert("whatsappAccessToken", "not hex");
    system.insert_business(record).await;
    let listed = worker(&["business", "list"], system.environment().to_vec(), "");
    assert!(listed.status.success(), "{}", listed.stderr);
    for shown in ["acme", "The bolt company", "300300300300", "no: disabled", "2100-01-01"] {
        assert!(listed.stdout.contains(shown), "{shown}: {}", listed.stdout);
    }
    let shown = worker(&["business", "show", "acme"], system.environment().to_vec(), "");
    assert!(shown.status.success(), "{}", shown.stderr);
    for part in ["The acme company", "waba-acme", "100100100100", "decrypts", "EAAacm…"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    for output in [&listed.stdout, &shown.stdout, &listed.stderr, &shown.stderr] {
        assert!(
            !output.contains("TOKEN") || output.contains("TOKEN  ") && !output.contains(acme().token.expose_secret())
        );
    }
    let missing = worker(&["business", "show", "nobody"], system.environment().to_vec(), "");
    assert!(!missing.status.success() && missing.stderr.contains("no business has the subdomain `nobody`"));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_are_imported_with_their_tokens_encrypted_and_the_rest_kept() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("businesses.json");
    let entries = serde_json::json!([
        {"subDomain": "new", "name": "New", "whatsappPhoneNumberIds": ["1"], "whatsappAccessToken": "EAAplainToImport",
         "whatsappEnabled": true, "isActive": true, "companion": {"persona": "Lina"}},
        {"subDomain": "acme", "name": "Acme renamed"},
    ]);
    std::fs::write(&file, entries.to_string()).expect("written");
    let path = file.to_str().expect("UTF-8").to_owned();
    let imported = run("worker", &["business", "import", &path], system.environment(), "");
    assert!(imported.status.success(), "{}", imported.stderr);
    assert!(imported.stdout.contains("added new") && imported.stdout.contains("changed acme"), "{}", imported.stdout);
    let stored = system.wait_for_document("businesses", doc! { "subDomain": "new" }).await;
    let token = cipher().decrypt(&stored.get_str("whatsappAccessToken").expect("text").into()).expect("decrypts");
    assert_eq!(token.expose_secret(), "EAAplainToImport");
    let kept = system.wait_for_document("businesses", doc! { "name": "Acme renamed" }).await;
    assert!(kept.contains_key("whatsappAccessToken") && kept.contains_key("__v"));
    std::fs::write(&file, r#"[{"subDomain": "fine"}, {"name": "no subdomain"}]"#).expect("written");
    let refused = run("worker", &["business", "import", &path], system.environment(), "");
    assert!(!refused.status.success() && refused.stderr.contains("entry 2"), "{}", refused.stderr);
    assert_eq!(system.count("businesses", doc! { "subDomain": "fine" }).await, 0, "all or nothing");
    system.stop().await;
}

/// A file for import in a directory of its own.
fn file_of(entries: &serde_json::Value) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("businesses.json");
    std::fs::write(&file, entries.to_string()).expect("written");
    let path = file.to_str().expect("UTF-8").to_owned();
    (directory, path)
}

fn tool(header: &str) -> serde_json::Value {
    serde_json::json!({
        "name": "check_stock", "description": "Says what is in stock", "url": "https://api.example.com/stock",
        "parameters": {"$comment": "a name that MongoDB knows too", "type": "object", "properties": {"a.b": {"type": "string"}}},
        "header": {"name": "Authorization", "value": header},
    })
}

#[test]
fn a_file_is_checked_without_a_database_and_without_a_secret() {
    let (_directory, path) = file_of(&serde_json::json!([
        {"subDomain": "fine", "name": "Fine", "companion": {"persona": "Lina", "tools": [tool("Bearer SECRET")]}},
        {"subDomain": "odd", "whatsappPhoneNumberIds": ["491518188901"],
         "companion": {"openingHours": {"tuesday": ["nine to five"]}, "instruction": "Be brief."}},
    ]));
    let checked = run("worker", &["business", "check", "--file", &path], &[], "");
    assert_eq!(checked.status.code(), Some(1), "{}", checked.stderr);
    for shown in [
        "SUBDOMAIN",
        "FIELD",
        "PROBLEM",
        "companion.openingHours.tuesday[0]",
        "error: is `nine to five`",
        "companion.instruction",
        "warning: is not known",
        "whatsappPhoneNumberIds[0]",
        "ENCRYPTION_SECRET is not set",
    ] {
        assert!(checked.stdout.contains(shown), "{shown}: {}", checked.stdout);
    }
    assert!(checked.stderr.contains("1 of 2 businesses have errors"), "{}", checked.stderr);
    assert!(!checked.stdout.contains("SECRET\"") && !checked.stdout.contains("Bearer"), "{}", checked.stdout);

    let fine = run("worker", &["business", "check", "fine", "--file", &path], &encryption(), "");
    assert!(fine.status.success() && fine.stdout.contains("fine") && fine.stdout.contains("none"), "{}", fine.stdout);
    assert!(!fine.stdout.contains("odd"), "only the one that was asked for: {}", fine.stdout);
    let json = run("worker", &["business", "check", "--file", &path, "--json"], &[], "");
    assert_eq!(json.status.code(), Some(1));
    let checked: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON and nothing else");
    assert_eq!(checked[0], serde_json::json!({"subdomain": "fine", "findings": []}));
    let severities: Vec<_> =
        checked[1]["findings"].as_array().expect("a list").iter().map(|f| &f["severity"]).collect();
    assert_eq!(severities, ["warning", "warning", "error"], "{checked}");
    let nobody = run("worker", &["business", "check", "nobody", "--file", &path], &[], "");
    assert!(nobody.status.code() == Some(1) && nobody.stderr.contains("no business has the subdomain `nobody`"));
    let unset = worker(&["business", "check"], Vec::new(), "");
    assert_eq!(unset.status.code(), Some(64));
    assert!(unset.stderr.contains("MONGODB_URI is required") && !unset.stderr.contains("ENCRYPTION_SECRET"));
}

#[test]
fn the_demo_s_businesses_are_fine() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/demo/businesses.json");
    let checked = run("worker", &["business", "check", "--json", "--file", demo], &encryption(), "");
    let businesses: Vec<serde_json::Value> = serde_json::from_str(&checked.stdout).expect("JSON");
    assert!(businesses.len() == 2 && checked.status.success(), "{}", checked.stdout);
    assert!(businesses.iter().all(|business| business["findings"] == serde_json::json!([])), "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_s_businesses_are_checked_and_their_secrets_tried() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let mut record = document(&Business::new("off", "800800800800800"));
    record.insert("isActive", "yes");
    record.insert("whatsappAccessToken", "not hex");
    // As a JavaScript back end writes: numbers are doubles, elements of lists have ids.
    let tool = doc! {
        "_id": mongodb::bson::oid::ObjectId::new(), "name": "check_stock", "description": "Stock",
        "url": "https://api.example.com", "header": { "name": "Authorization", "value": "Bearer PLAIN" },
    };
    record.insert("companion", doc! { "quietMillis": 1200.0, "limits": { "repliesPerDay": 50.0 }, "tools": [tool] });
    system.insert_business(record).await;
    let checked = worker(&["business", "check", "--json"], system.environment().to_vec(), "");
    assert_eq!(checked.status.code(), Some(1), "{}", checked.stderr);
    let businesses: Vec<serde_json::Value> = serde_json::from_str(&checked.stdout).expect("JSON");
    let of = |name: &str| businesses.iter().find(|business| business["subdomain"] == name).expect("it is there");
    let errors: Vec<_> = of("off")["findings"].as_array().expect("a list").iter().map(|f| &f["field"]).collect();
    assert_eq!(errors, ["isActive", "whatsappAccessToken", "companion.tools[0].header.value"], "{}", checked.stdout);
    assert!(!checked.stdout.contains("PLAIN"));
    let acme = worker(&["business", "check", "acme"], system.environment().to_vec(), "");
    assert!(acme.status.success(), "{}{}", acme.stdout, acme.stderr);
    let shown = worker(&["business", "show", "off"], system.environment().to_vec(), "");
    assert!(shown.stdout.contains("configured"), "{}", shown.stdout);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_encrypts_the_secrets_of_tools_and_refuses_every_error_at_once() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let (_directory, path) = file_of(&serde_json::json!([
        {"subDomain": "new", "companion": {"tools": [tool("Bearer PLAIN")], "mood": "x"}},
    ]));
    let imported = run("worker", &["business", "import", &path], system.environment(), "");
    assert!(imported.status.success(), "{}", imported.stderr);
    let warning = "warning: entry 1 (new): companion.mood is not known";
    assert!(imported.stdout.contains(warning) && imported.stdout.contains("added new"), "{}", imported.stdout);
    let stored = system.wait_for_document("businesses", doc! { "subDomain": "new" }).await;
    let companion: serde_json::Value =
        mongodb::bson::deserialize_from_bson(stored.get("companion").expect("it is there").clone()).expect("JSON");
    assert!(!companion.to_string().contains("PLAIN"), "{companion}");
    let settings = worker::business::CompanionSettings::read_with(&companion, &cipher());
    let header = settings.tools[0].header.as_ref().expect("a header");
    assert_eq!(header.value.as_ref().expect("decrypts").expose_secret(), "Bearer PLAIN");
    assert_eq!(settings.tools[0].parameters, tool("")["parameters"], "as it was given");

    let (_directory, path) = file_of(&serde_json::json!([
        {"subDomain": "good"},
        {"subDomain": "bad", "companion": {"temperature": 3, "handOver": {"hours": 0}}},
        {"subDomain": "worse", "companion": {"tools": [{}]}},
    ]));
    let refused = run("worker", &["business", "import", &path], system.environment(), "");
    assert_eq!(refused.status.code(), Some(1));
    for named in [
        "entry 2 (bad): companion.temperature is 3",
        "entry 2 (bad): companion.handOver.hours",
        "entry 3 (worse): companion.tools[0].url is missing",
    ] {
        assert!(refused.stderr.contains(named), "{named}: {}", refused.stderr);
    }
    assert_eq!(system.count("businesses", doc! { "subDomain": { "$in": ["good", "bad", "worse"] } }).await, 0);

    // Of two that claim a number neither would be served.
    let number = acme().phone_number_id;
    let (_directory, path) = file_of(&serde_json::json!([
        {"subDomain": "copied", "whatsappPhoneNumberIds": [number], "whatsappEnabled": true, "isActive": true,
         "whatsappAccessToken": "EAAcopiedTOKEN"},
    ]));
    let refused = run("worker", &["business", "import", &path], system.environment(), "");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    assert!(
        refused.stderr.contains("entry 1 (copied): whatsappPhoneNumberIds[0] is listed by `acme` too"),
        "{}",
        refused.stderr
    );
    assert_eq!(system.count("businesses", doc! { "subDomain": "copied" }).await, 0);
    let (_directory, path) = file_of(&serde_json::json!([{"subDomain": "acme", "whatsappPhoneNumberIds": [number]}]));
    let again = run("worker", &["business", "import", &path], system.environment(), "");
    assert!(again.status.success(), "its own number: {}", again.stderr);
    system.stop().await;
}
