//! The law of this module, on Meta's own shapes and on what is left of them after mutations.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use oracle::Carried;

#[path = "../../tests/it/oracle.rs"]
#[allow(clippy::wildcard_enum_match_arm, reason = "JSON's values are not an enum of ours")]
mod oracle;

fn carried(body: &str) -> Vec<Carried> {
    let updates = parse(body.as_bytes()).expect("a webhook");
    updates.iter().map(|update| (update.kind.name().to_owned(), update.payload.get().to_owned())).collect()
}

fn one(value: &str) -> Vec<Carried> {
    carried(&format!(r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{value}}}]}}]}}"#))
}

fn kinds(carried: &[Carried]) -> Vec<&str> {
    carried.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn every_shape_of_meta_is_what_its_directory_says() {
    let fixtures = oracle::fixtures();
    assert!(fixtures.len() > 80);
    for (kind, name, body) in fixtures {
        let text = std::str::from_utf8(&body).expect("UTF-8");
        let updates = parse(&body).expect("a webhook");
        assert_eq!(updates.len(), 1, "{kind}/{name}");
        assert_eq!(updates[0].kind.name(), kind, "{name}");
        assert_eq!(updates[0].waba_id.as_ref().map(WabaId::expose), Some("215589313246017"), "{name}");
        assert_eq!(
            updates[0].phone_number_id.is_some(),
            text.contains("phone_number_id\": \"108") || text.contains("phone_number_id\":\"108"),
            "{name}"
        );
        assert_eq!(updates[0].natural_id.is_some(), ["message", "status", "echo"].contains(&&*kind), "{name}");
        let described = kind == "message" && !name.starts_with("system_");
        assert_eq!(updates[0].contact.is_some(), described, "{name}");
        oracle::assert_accounted_for(text, &carried(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_however_the_body_is_maimed(
        fixture in any::<usize>(),
        steps in prop::collection::vec((any::<usize>(), any::<usize>()), 1..5),
    ) {
        static FIXTURES: LazyLock<Vec<(String, String, Vec<u8>)>> = LazyLock::new(oracle::fixtures);
        let fixtures = &FIXTURES;
        let mut body: Value = serde_json::from_slice(&fixtures[fixture % fixtures.len()].2).expect("JSON");
        for (pick, what) in steps {
            oracle::mutate(&mut body, pick, what);
            if body.as_object().is_none_or(serde_json::Map::is_empty) {
                break;
            }
        }
        let text = serde_json::to_string(&body).expect("JSON");
        // Deep nesting put into deep nesting is beyond the oracle; it has a test of its own.
        prop_assume!(serde_json::from_str::<Value>(&text).is_ok());
        match parse(text.as_bytes()) {
            Ok(_) => oracle::assert_accounted_for(&text, &carried(&text)),
            Err(error) => {
                prop_assert_eq!(error, NotAWebhook::NoEntries);
                prop_assert!(!oracle::is_webhook(&body));
            }
        }
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}",:a-z0-9\\u]{0,80}"#) {
        for body in [body, text.clone().into_bytes(), format!(r#"{{"entry":[{text}]}}"#).into_bytes()] {
            // Whatever comes of it: it may be no JSON, but then it says so.
            prop_assert!(parse(&body).is_ok_and(|updates| updates.len() <= MAX_UPDATES) || parse(&body).is_err());
        }
    }
}

#[test]
fn what_is_no_webhook_says_why() {
    for (body, why) in [
        (&b""[..], NotAWebhook::NotJson),
        (b"\xff{}", NotAWebhook::NotUtf8),
        (b"{\"entry\":[]", NotAWebhook::NotJson),
        (b"{\"entry\":[]} x", NotAWebhook::NotJson),
        (b"[]", NotAWebhook::NoEntries),
        (b"\"entry\"", NotAWebhook::NoEntries),
        (b"{}", NotAWebhook::NoEntries),
        (b"{\"entry\":{}}", NotAWebhook::NoEntries),
        (b"{\"entry\":[],\"entry\":null}", NotAWebhook::NoEntries),
    ] {
        assert_eq!(parse(body).map(|updates| updates.len()), Err(why), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(carried(r#"{"entry":[]}"#), []);
}

#[test]
fn messages_statuses_and_errors_of_one_value_are_all_carried_in_order() {
    let value = r#"{"metadata":{"phone_number_id":"7"},"messages":[{"id":"a"},{"id":"b"}],"errors":[{"code":1}],
        "statuses":[{"id":"c","status":"sent","timestamp":"1"}],"messages":[{"id":"d"}]}"#;
    let carried = one(value);
    assert_eq!(kinds(&carried), ["message", "message", "status", "message", "other"]);
    assert_eq!(carried[3].1, r#"{"id":"d"}"#);
    assert!(carried[4].1.contains(r#""errors":[{"code":1}]"#));
}

#[test]
fn what_cannot_stand_alone_is_covered_by_its_change_once() {
    let good = r#"{"metadata":{"phone_number_id":7},"messages":[{"id":"a"},1,null]}"#;
    assert_eq!(kinds(&one(good)), ["message", "other"]);
    for value in [
        r#"{"messages":[{"id":"a"},{"id":"b"}]}"#,
        r#"{"metadata":{"phone_number_id":""},"messages":[{"id":"a"}]}"#,
        r#"{"metadata":{"phone_number_id":"1.2"},"messages":[{"id":"a"}]}"#,
        r#"{"metadata":{"phone_number_id":"1","phone_number_id":"2"},"messages":[{"id":"a"}]}"#,
        r#"{"metadata":{"phone_number_id":"7"},"messages":{"id":"a"}}"#,
        r#"{"metadata":{"phone_number_id":"7"},"messages":[]}"#,
        r#"{"metadata":{"phone_number_id":"7"}}"#,
        "[]",
        "null",
    ] {
        assert_eq!(kinds(&one(value)), ["other"], "{value}");
    }
    let half = r#"{"metadata":{"phone_number_id":"7"},"messages":{"id":"a"},"statuses":[{"id":"b"}]}"#;
    assert_eq!(kinds(&one(half)), ["status", "other"], "a list of the wrong type beside a good one");
    let added = r#"{"metadata":{"phone_number_id":"7"},"messages":[{"id":"a"}],"reminders":[{"id":"r"}]}"#;
    assert_eq!(kinds(&one(added)), ["message", "other"], "a list that Meta may add");
    let beside =
        r#"{"metadata":{"phone_number_id":"7"},"messages":[{"id":"a"}],"conversation_context":{},"errors":[]}"#;
    assert_eq!(kinds(&one(beside)), ["message", "other"]);
}

#[test]
fn a_stripped_field_means_messages_and_an_odd_one_does_not() {
    let body = |field: &str| {
        carried(&format!(
            r#"{{"entry":[{{"changes":[{{{field}"value":{{"metadata":{{"phone_number_id":"7"}},"messages":[{{"id":"a"}}]}}}}]}}]}}"#
        ))
    };
    assert_eq!(kinds(&body("")), ["message"]);
    for odd in
        [r#""field":null,"#, r#""field":"","#, r#""field":"standby","#, r#""field":"messages","field":"standby","#]
    {
        assert_eq!(kinds(&body(odd)), ["other"], "{odd}");
    }
}

#[test]
fn no_depth_exhausts_the_stack_here_or_in_a_worker() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for deep in [&deep, &objects] {
        let message =
            format!(r#"{{"metadata":{{"phone_number_id":"7"}},"messages":[{{"id":"a","x":{deep}}},{{"id":"b"}}]}}"#);
        let both = one(&message);
        assert_eq!(kinds(&both), ["message", "other"], "one deep message does not spoil the next");
        assert!(serde_json::from_str::<Value>(&both[1].1).is_err(), "an error, not an overflow");
        assert_eq!(kinds(&one(deep)), ["other"]);
        let contact =
            format!(r#"{{"metadata":{{"phone_number_id":"7"}},"contacts":[{deep}],"messages":[{{"id":"a"}}]}}"#);
        assert_eq!(kinds(&one(&contact)), ["message", "other"]);
        let account = format!(r#"{{"entry":[{{"changes":[{{"field":"security","value":{{"a":{deep}}}}}]}}]}}"#);
        assert_eq!(kinds(&carried(&account)), ["other"]);
        assert_eq!(kinds(&carried(&format!(r#"{{"entry":[{deep}]}}"#))), ["other"]);
        assert!(parse(deep.as_bytes()).is_err());
    }
}

#[test]
fn far_too_many_updates_are_kept_as_one_body() {
    let with = |count: usize| {
        let messages = vec![r#"{"id":"a"}"#; count].join(",");
        format!(
            r#"{{"entry":[{{"changes":[{{"value":{{"metadata":{{"phone_number_id":"7"}},"messages":[{messages}]}}}}]}}]}}"#
        )
    };
    assert_eq!(parse(with(MAX_UPDATES).as_bytes()).expect("as many").len(), MAX_UPDATES);
    assert!(matches!(parse(with(MAX_UPDATES + 1).as_bytes()), Err(NotAWebhook::TooMany)));
    let entries = vec!["{}"; 1_000_000].join(",");
    assert!(matches!(parse(format!(r#"{{"entry":[{entries}]}}"#).as_bytes()), Err(NotAWebhook::TooMany)));
}
