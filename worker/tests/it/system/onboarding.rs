//! Businesses added and changed one by one from the command line: checked first, and nothing beside them is touched.

use mongodb::bson::{Document, doc};
use secrecy::ExposeSecret;

use super::{
    harness::{Options, System, acme, cipher},
    process::{Ended, run},
};

const TOKEN: &str = "EAAnewTOKENofALindenhof";

fn business(system: &System, arguments: &[&str], input: &str) -> Ended {
    let ended = run("worker", &[&["business"], arguments].concat(), system.environment(), input);
    assert!(!ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN), "{}{}", ended.stdout, ended.stderr);
    ended
}

fn done(system: &System, arguments: &[&str], input: &str) -> String {
    let ended = business(system, arguments, input);
    assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

fn refused(system: &System, arguments: &[&str], words: &str) {
    let ended = business(system, arguments, "");
    assert!(ended.status.code() == Some(1) && ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
}

/// `whatsappEnabled` and `isActive`.
fn flags(document: &Document) -> (bool, bool) {
    let flag = |name| document.get_bool(name).expect("a flag");
    (flag("whatsappEnabled"), flag("isActive"))
}

async fn stored(system: &System, subdomain: &str) -> Document {
    system.wait_for_document("businesses", doc! { "subDomain": subdomain }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_is_added_with_its_token_encrypted_or_not_at_all() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let add = ["add", "lindenhof", "--name", "Lindenhof", "--waba-id", "102290129340398", "--phone-number-id"];
    let told = done(&system, &[&add[..], &["106540352242922"]].concat(), TOKEN);
    assert!(told.contains("added lindenhof") && told.contains("doctor lindenhof"), "{told}");
    let document = stored(&system, "lindenhof").await;
    let token = cipher().decrypt(&document.get_str("whatsappAccessToken").expect("text").into()).expect("decrypts");
    assert_eq!(token.expose_secret(), TOKEN);
    assert_eq!(document.get_array("whatsappPhoneNumberIds").expect("a list").len(), 1);

    let again = business(&system, &[&add[..], &["1"]].concat(), TOKEN);
    assert!(again.stderr.contains("there is a business `lindenhof` already"), "{}", again.stderr);
    let theirs = acme().phone_number_id;
    let other = ["add", "other", "--name", "Other", "--waba-id", "1", "--phone-number-id", &theirs];
    let claimed = business(&system, &other, TOKEN);
    assert!(claimed.stderr.contains("nothing was added") && claimed.stderr.contains("`acme`"), "{}", claimed.stderr);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token.txt");
    std::fs::write(&file, "two words").expect("written");
    let path = file.to_str().expect("UTF-8");
    refused(&system, &[&other[..7], &["9", "--token-file", path]].concat(), "more than one word");
    refused(&system, &[&other[..7], &["no id!", "--token-file", path]].concat(), "more than one word");
    assert_eq!(system.count("businesses", doc! { "subDomain": "other" }).await, 0);
    std::fs::write(&file, TOKEN).expect("written");
    done(&system, &[&other[..7], &["9", "--phone-number-id", "8", "--token-file", path]].concat(), "");
    assert_eq!(stored(&system, "other").await.get_array("whatsappPhoneNumberIds").expect("a list").len(), 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_fields_are_changed_where_they_are_right_and_what_is_unknown_survives() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let companion = doc! { "persona": "Lina", "voice": { "reply": "never", "theirs": 1 }, "theirs": "kept" };
    system.update_business(&acme(), doc! { "plan": { "seats": 5 }, "companion": companion }).await;
    let told = done(&system, &["set", "acme", "companion.voice.reply", "mirror"], "");
    assert!(told.contains(r#"companion.voice.reply was "never", is "mirror""#), "{told}");
    done(&system, &["set", "acme", "companion.handOver.hours", "3"], "");
    let told = done(&system, &["set", "acme", "whatsappAccessToken", "-"], TOKEN);
    assert!(!told.contains("warning"), "{told}");
    system.update_business(&acme(), doc! { "whatsappRefreshToken": cipher().encrypt(&"EAAolder".into()) }).await;
    let told = done(&system, &["set", "acme", "whatsappAccessToken", "-"], TOKEN);
    assert!(told.contains("warning: a whatsappRefreshToken is stored too"), "{told}");
    let document = stored(&system, "acme").await;
    let companion = document.get_document("companion").expect("an object");
    assert_eq!(companion.get_document("voice").expect("an object"), &doc! { "reply": "mirror", "theirs": 1 });
    assert_eq!(companion.get_str("theirs").expect("kept"), "kept");
    assert!(document.get_document("plan").is_ok() && document.contains_key("createdAt"));

    for (field, value, words) in [
        ("_id", "1", "never changed"),
        ("subDomain", "other", "never changed"),
        ("plan", "1", "no field that is read here"),
        ("companion.temperature", "3", "companion.temperature is 3"),
        ("companion.persona.name", "x", "as a whole"),
        ("whatsappAccessToken", "EAAplain", "not hexadecimal"),
        ("whatsappPhoneNumberIds", r#"["200200200200"]"#, "`bolt`"),
        ("whatsappEnabled", "yes", "true"),
    ] {
        refused(&system, &["set", "acme", field, value], words);
    }
    let tool = r#"[{"name":"t","description":"d","url":"https://a.example","header":{"name":"Authorization","value":"PLAIN"}}]"#;
    refused(&system, &["set", "acme", "companion.tools", tool], "companion.tools[0].header.value");
    assert_eq!(stored(&system, "acme").await, document, "nothing was written");
    done(&system, &["set", "acme", "companion.tools", "-"], tool);
    assert!(!stored(&system, "acme").await.to_string().contains("PLAIN"), "it is encrypted");
    let told = done(&system, &["set", "acme", "whatsappAccessToken", "-"], TOKEN);
    assert!(told.contains("whatsappAccessToken is EAAne"), "{told}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_is_switched_off_and_on_and_the_back_end_s_no_is_not_overruled_by_chance() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    done(&system, &["disable", "acme"], "");
    let document = stored(&system, "acme").await;
    assert_eq!(flags(&document), (false, true));
    // Meanwhile its number has gone to another.
    system.update_business(&super::harness::bolt(), doc! { "whatsappPhoneNumberIds": ["100100100100"] }).await;
    refused(&system, &["enable", "acme"], "`bolt`");
    system.update_business(&super::harness::bolt(), doc! { "whatsappPhoneNumberIds": ["200200200200"] }).await;
    let told = done(&system, &["enable", "acme"], "");
    assert!(told.contains("whatsappEnabled was false, is true"), "{told}");
    system.update_business(&acme(), doc! { "whatsappEnabled": false, "isActive": false }).await;
    refused(&system, &["enable", "acme"], "--activate");
    assert_eq!(flags(&stored(&system, "acme").await), (false, false));
    done(&system, &["enable", "acme", "--activate"], "");
    assert_eq!(flags(&stored(&system, "acme").await), (true, true));
    refused(&system, &["enable", "nobody"], "no business has the subdomain `nobody`");
    system.stop().await;
}
