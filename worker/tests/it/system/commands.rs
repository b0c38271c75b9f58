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
