use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::{business::Severity, settings::EncryptionSettings};

fn cipher(secret: &str) -> TokenCipher {
    TokenCipher::new(&EncryptionSettings { current: SecretString::from(secret), previous: None })
}

fn whole() -> Value {
    let token = cipher("one").encrypt(&SecretString::from("EAAtoken"));
    json!({
        "_id": {"$oid": "665f00000000000000000000"}, "name": "Acme", "subDomain": "acme", "wabaId": "102290129340398",
        "whatsappPhoneNumberIds": ["106540352242922"], "whatsappAccessToken": token, "whatsappEnabled": true,
        "whatsappTokenExpiresAt": {"$date": {"$numberLong": "4102444800000"}}, "isActive": true, "plan": {"seats": 5},
    })
}

fn findings(document: Value, origin: Origin, cipher: Option<&TokenCipher>) -> Vec<Finding> {
    check_documents(&[document], origin, cipher).remove(0).findings
}

fn stored(changes: Value) -> Vec<Finding> {
    let mut document = whole();
    for (name, value) in changes.as_object().expect("an object") {
        document[name] = value.clone();
    }
    findings(document, Origin::Database, Some(&cipher("one")))
}

#[test]
fn a_whole_document_is_fine_also_with_fields_of_the_back_end() {
    assert_eq!(stored(json!({})), []);
    assert_eq!(findings(json!({"subDomain": "acme", "name": "New"}), Origin::File, None), [], "a change of one field");
    let off = json!({"isActive": false, "whatsappAccessToken": null, "whatsappPhoneNumberIds": null});
    assert_eq!(stored(off), [], "one that is off may be half written");
}

#[test]
fn each_field_that_is_wrong_is_named() {
    for (changes, field, part, severity) in [
        (json!({"subDomain": "ac:me"}), "subDomain", "must be 1 to 128", Severity::Error),
        (json!({"subDomain": null}), "subDomain", "is missing", Severity::Error),
        (json!({"name": 7}), "name", "is a number, but must be a text", Severity::Error),
        (json!({"wabaId": "1 2"}), "wabaId", "is no id", Severity::Error),
        (json!({"whatsappEnabled": "yes"}), "whatsappEnabled", "is a text", Severity::Error),
        (json!({"isActive": null}), "isActive", "counts as `false`", Severity::Warning),
        (json!({"whatsappPhoneNumberIds": null}), "whatsappPhoneNumberIds", "is missing", Severity::Warning),
        (json!({"whatsappPhoneNumberIds": "1"}), "whatsappPhoneNumberIds", "must be a list", Severity::Error),
        (json!({"whatsappPhoneNumberIds": ["1", {}]}), "whatsappPhoneNumberIds[1]", "is an object", Severity::Error),
        (json!({"whatsappPhoneNumberIds": [" 1"]}), "whatsappPhoneNumberIds[0]", "blanks around it", Severity::Error),
        (json!({"whatsappAccessToken": null}), "whatsappAccessToken", "is missing", Severity::Error),
        (json!({"whatsappAccessToken": "EAAplain"}), "whatsappAccessToken", "not hexadecimal", Severity::Error),
        (json!({"whatsappRefreshToken": "EAAplain"}), "whatsappRefreshToken", "not hexadecimal", Severity::Error),
        (json!({"whatsappTokenExpiresAt": "soon"}), "whatsappTokenExpiresAt", "is no time", Severity::Error),
        (
            json!({"whatsappTokenExpiresAt": "2020-01-01T00:00:00Z"}),
            "whatsappTokenExpiresAt",
            "passed",
            Severity::Warning,
        ),
        (json!({"companion": []}), "companion", "is a list, but must be an object", Severity::Error),
        (json!({"companion": {"voice": {"reply": 1}}}), "companion.voice.reply", "is a number", Severity::Error),
        (json!({"wabaId": null, "waba_id": "1"}), "waba_id", "did you mean `wabaId`", Severity::Warning),
    ] {
        let found = stored(changes.clone());
        assert_eq!(found.len(), 1, "{changes}: {found:?}");
        assert_eq!((found[0].field.as_str(), found[0].severity), (field, severity), "{found:?}");
        assert!(found[0].problem.contains(part) && !found[0].problem.contains("EAA"), "{part}: {found:?}");
    }
    let list = findings(json!([]), Origin::File, None);
    assert_eq!((list[0].field.as_str(), list[0].problem.as_str()), ("document", "is a list, but must be an object"));
}

#[test]
fn a_phone_number_in_the_place_of_an_id_is_noticed() {
    let numbers = json!({"whatsappPhoneNumberIds": [
        "106540352242922", 106_540_352_242_922_i64, 106_540_352_242_922_f64, "1001", "0151234567", "number-1",
        "491518188901", 491_518_188_901_f64, "+491518188901", "151 818 8901",
    ]});
    let found = stored(numbers);
    let named: Vec<_> = found.iter().map(|finding| (finding.field.as_str(), finding.severity)).collect();
    assert_eq!(
        named,
        [
            ("whatsappPhoneNumberIds[6]", Severity::Warning),
            ("whatsappPhoneNumberIds[7]", Severity::Warning),
            // Nothing could ever come to these.
            ("whatsappPhoneNumberIds[8]", Severity::Error),
            ("whatsappPhoneNumberIds[9]", Severity::Error),
        ]
    );
    assert!(found.iter().all(|finding| finding.problem.contains("not the phone number")));
    assert!(found.iter().all(|finding| !finding.problem.contains("8188901")), "it is not repeated");
}

#[test]
fn secrets_are_tried_as_far_as_there_is_a_cipher() {
    let foreign = cipher("two").encrypt(&SecretString::from("EAAtoken"));
    let document = |token: &str, header: &str| {
        let tool = json!({"name": "stock", "description": "Stock", "url": "https://example.com",
                          "header": {"name": "Authorization", "value": header}});
        json!({"subDomain": "acme", "whatsappAccessToken": token, "companion": {"tools": [tool]}})
    };
    let fields = |token: &str, header: &str, cipher: Option<&TokenCipher>| -> Vec<String> {
        let found = findings(document(token, header), Origin::File, cipher);
        found.into_iter().map(|finding| finding.field).collect()
    };
    let one = cipher("one");
    assert!(fields(&foreign, &foreign, None).is_empty());
    assert!(fields("EAAplain", "Bearer plain", Some(&one)).is_empty(), "an import encrypts them");
    let both = ["whatsappAccessToken", "companion.tools[0].header.value"];
    assert_eq!(fields(&foreign, &foreign, Some(&one)), both);
    let found = stored(json!({"companion": document("", "Bearer plain")["companion"]}));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].is_error() && found[0].field == both[1] && found[0].problem.contains("not hexadecimal"));
}

#[test]
fn what_two_businesses_share_is_found_in_both() {
    let business = |subdomain: &str, number: &str, active: bool| {
        json!({"subDomain": subdomain, "whatsappPhoneNumberIds": [number], "whatsappEnabled": true, "isActive": active,
               "whatsappAccessToken": "x"})
    };
    let documents =
        [business("a", "1", true), business("b", "1", true), business("c", "1", false), business("d", "2", true)];
    let found = check_documents(&documents, Origin::Database, None);
    let problems: Vec<Vec<String>> =
        found.iter().map(|business| business.findings.iter().map(ToString::to_string).collect()).collect();
    assert!(problems[0][0].starts_with("whatsappPhoneNumberIds[0] is listed by `b` too"), "{problems:?}");
    assert!(problems[1][0].starts_with("whatsappPhoneNumberIds[0] is listed by `a` too"), "{problems:?}");
    assert!(problems[2].is_empty() && problems[3].is_empty(), "one that is off stands in nobody's way: {problems:?}");
    let twins = check_documents(&[business("a", "1", true), business("a", "2", true)], Origin::Database, None);
    assert!(twins.iter().all(|business| business.findings[0].to_string().starts_with("subDomain is that of another")));
}

#[test]
fn sealing_encrypts_what_is_plain_and_leaves_the_rest() {
    let cipher = cipher("one");
    let mut document = json!({
        "subDomain": "acme", "whatsappAccessToken": "EAAplain", "whatsappRefreshToken": "",
        "companion": {"persona": "Lina", "handOver": {"notify": {"secret": "plain secret"}}, "tools": [
            {"name": "a", "header": {"name": "Authorization", "value": "Bearer plain"}},
            {"name": "b", "header": {"name": "X-Key", "value": "0123456789abcdef0123456789abcdef"}},
            {"name": "c"}, "odd",
        ]},
    });
    seal_document(&mut document, &cipher).expect("it seals");
    let secret = |pointer: &str| SecretString::from(document.pointer(pointer).and_then(Value::as_str).expect("a text"));
    let header = |at: usize| cipher.decrypt_header(&secret(&format!("/companion/tools/{at}/header/value")));
    assert_eq!(cipher.decrypt(&secret("/whatsappAccessToken")).expect("decrypts").expose_secret(), "EAAplain");
    let signing = cipher.decrypt_header(&secret("/companion/handOver/notify/secret"));
    assert_eq!(signing.expect("decrypts").expose_secret(), "plain secret");
    assert_eq!(header(0).expect("decrypts").expose_secret(), "Bearer plain");
    assert_eq!(
        header(1).expect("decrypts").expose_secret(),
        "0123456789abcdef0123456789abcdef",
        "hexadecimal, and plain"
    );
    assert_eq!((&document["whatsappRefreshToken"], &document["companion"]["persona"]), (&json!(""), &json!("Lina")));
    let sealed = document.clone();
    seal_document(&mut document, &cipher).expect("it seals again");
    assert_eq!(document, sealed, "what is encrypted stays as it is");
    let whole = sealed.pointer("/companion/tools/0/header/value").and_then(Value::as_str).expect("a text");
    let mut cut = json!({"companion": {"tools": [{"header": {"value": whole.get(..40)}}]}});
    assert!(seal_document(&mut cut, &cipher).is_err(), "a stored form that was cut off is not encrypted again");
}
