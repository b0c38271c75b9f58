//! Answers that are no plain texts: what the customer reads or hears is judged, and what stands elsewhere is not.

use serde_json::{Value, json};
use simulator::{
    checker::{Report, Rule, judge},
    journal::Decision,
};

use super::{
    broken,
    trace::{ANA, APOLOGY, BEA, Trace, message, prompt, scenario},
};

/// Ana writes and the AI answers; then acme sends her this.
fn answered_with(kind: &str, particulars: impl FnOnce(&mut Trace, &str) -> Value) -> Report {
    let mut trace = Trace::default();
    trace.write("1001", BEA, 2, "hello");
    let other = trace.chat("1001", &[], "#m000002 hello");
    trace.answer("1001", BEA, &other);
    trace.write("1001", ANA, 1, "hello");
    let words = trace.chat("1001", &[], "#m000001 hello");
    let particulars = particulars(&mut trace, &words);
    trace.send_of("1001", ANA, kind, &particulars, Decision::Accepted).expect("accepted");
    judge(&trace.entries, &scenario())
}

fn buttons(body: &str, id: &str, title: &str) -> Value {
    let button = json!({"type": "reply", "reply": {"id": id, "title": title}});
    json!({"type": "button", "body": {"text": body}, "action": {"buttons": [button]}})
}

#[test]
fn what_stands_above_buttons_and_below_pictures_answers() {
    let report = answered_with("interactive", |_, words| buttons(words, "yes", "Yes"));
    assert_eq!((report.verdict(), report.figures.messages_answered), (Ok(()), 2));
    let report = answered_with("image", |_, words| json!({"id": "1", "caption": words}));
    assert_eq!((report.verdict(), report.figures.messages_answered), (Ok(()), 2));
}

#[test]
fn a_button_is_no_answer_and_can_still_give_somebody_away() {
    let report = answered_with("interactive", |_, words| buttons("Pick one", words, "Yes"));
    assert_eq!(broken(&report), [Rule::Loss, Rule::Phantom]);
    let report = answered_with("interactive", |_, words| buttons(words, "yes", "#m000002"));
    assert_eq!(broken(&report), [Rule::Isolation]);
    let report = answered_with("interactive", |_, words| buttons(words, "told-by-bea", "Yes"));
    assert_eq!(broken(&report), [Rule::Isolation]);
}

#[test]
fn a_voice_note_answers_with_what_it_says() {
    let report = answered_with("audio", |trace, words| json!({"id": trace.speak("1001", words, "a1"), "voice": true}));
    assert_eq!((report.verdict(), report.figures.messages_answered), (Ok(()), 2));
    let report = answered_with("audio", |trace, words| {
        let note = trace.speak("1001", words, "a1");
        trace.speak("1001", "ANS #m000002", "b2");
        json!({"id": note})
    });
    assert_eq!(report.verdict(), Ok(()), "another note says something else");
}

#[test]
fn a_voice_note_of_unknown_words_answers_nothing() {
    let report = answered_with("audio", |_, _| json!({"id": "never-uploaded"}));
    assert_eq!(broken(&report), [Rule::Loss, Rule::Phantom]);
}

#[test]
fn a_voice_note_for_somebody_else_is_heard() {
    let heard = |words: &'static str| {
        broken(&answered_with(
            "audio",
            |trace, own| json!({"id": trace.speak("1001", &format!("{own} {words}"), "a1")}),
        ))
    };
    assert_eq!(heard("told-by-bea"), [Rule::Isolation]);
    assert!(heard("#m000002").contains(&Rule::Isolation));
}

#[test]
fn a_spoken_repetition_and_a_spoken_apology_count_as_written_ones() {
    let report = answered_with("audio", |trace, words| {
        trace.answer("1001", ANA, words);
        json!({"id": trace.speak("1001", words, "a1")})
    });
    assert_eq!(broken(&report), [Rule::Duplicate]);

    let mut trace = Trace::default();
    trace.post(&[message("1001", ANA, "wamid.1", Some("#m000001 hello"))], Some(200));
    let asked = trace.ask(&prompt("1001", &[], "#m000001 hello"));
    trace.reply(asked, Some(503), None);
    let note = trace.speak("1001", APOLOGY, "a1");
    trace.send_of("1001", ANA, "audio", &json!({"id": note}), Decision::Accepted).expect("accepted");
    let report = judge(&trace.entries, &scenario());
    assert_eq!((report.verdict(), report.figures.messages_apologised), (Ok(()), 1));
}

#[test]
fn a_place_on_the_map_goes_with_the_answer_before_it() {
    let shop = json!({"latitude": "52.5", "longitude": "13.4", "name": "Shop"});
    let report = answered_with("location", |trace, words| {
        trace.answer("1001", ANA, words);
        shop.clone()
    });
    assert_eq!(report.verdict(), Ok(()));
    assert_eq!(broken(&answered_with("location", |_, _| shop.clone())), [Rule::Loss, Rule::Phantom]);
    let report = answered_with("location", |trace, words| {
        trace.answer("1001", ANA, words);
        json!({"latitude": "52.5", "longitude": "13.4", "name": "told-by-bea"})
    });
    assert_eq!(broken(&report), [Rule::Isolation]);
}

#[test]
fn a_request_for_notes_needs_no_secret_and_may_hold_nobody_elses() {
    let noted = |lines: &str| {
        let mut trace = Trace::default();
        trace.write("1001", BEA, 2, "hello");
        let other = trace.chat("1001", &[], "#m000002 hello");
        trace.answer("1001", BEA, &other);
        trace.write("1001", ANA, 1, "hello");
        let words = trace.chat("1001", &[], "#m000001 hello");
        trace.answer("1001", ANA, &words);
        let notes = json!({"role": "user", "content": "Write the notes."});
        let asked = trace.ask(&json!({"messages": [{"role": "system", "content": lines}, notes]}));
        trace.reply(asked, Some(200), Some("notes".to_owned()));
        broken(&judge(&trace.entries, &scenario()))
    };
    assert_eq!(noted("customer: #m000001 hello"), []);
    assert_eq!(noted("customer: #m000001 hello\ncustomer: #m000002 hello"), [Rule::Isolation]);
    assert_eq!(noted("customer: #m000001 hello told-by-bea"), [Rule::Isolation]);
}
