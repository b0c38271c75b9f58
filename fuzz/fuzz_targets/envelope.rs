//! What a worker reads from a queue: the envelope, and what its payload means by its kind.
//!
//! What decodes encodes to the same meaning. A message that wants an answer says something, without control
//! characters; ids are ids; what a status or an event means is one of a few things. What is no envelope is looked at
//! as a payload.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use shared::envelope::{Envelope, Kind};
use switchboard_fuzz::assert_plain;
use worker::{
    account::{AccountStanding, FIELDS, Notice},
    consent,
    message::{
        Status, Treatment, attachment, contact_name, edited, kind, parse, quoted, revoked, rhythm, sender, timestamp,
        treatment,
    },
    whatsapp::{Callback, classify},
};

fuzz_target!(|body: &[u8]| {
    if let Ok(envelope) = Envelope::decode(body) {
        let again = Envelope::decode(&envelope.encode()).expect("what we write we read");
        assert_eq!(again.encode(), envelope.encode());
        assert_eq!(again.payload.get(), envelope.payload.get());
        let payload = parse(envelope.payload.get());
        let contact = envelope.contact.as_ref().and_then(|contact| parse(contact.get()));
        match (envelope.kind, payload) {
            (Kind::Message | Kind::Echo, Some(payload)) => message(&payload, contact.as_ref()),
            (Kind::Status, Some(payload)) => status(&payload),
            (Kind::Account | Kind::Other, Some(payload)) => event(&payload),
            (_, None) => {}
        }
    } else if let Some(payload) = std::str::from_utf8(body).ok().and_then(parse) {
        message(&payload, Some(&payload));
        status(&payload);
        event(&payload);
    }
});

fn message(message: &Value, contact: Option<&Value>) {
    let kind = kind(message);
    assert!((1..=64).contains(&kind.chars().count()), "{kind:?}");
    match treatment(message) {
        Treatment::Answer(words) | Treatment::Remember(words) => assert_plain(&words),
        Treatment::Record => {}
    }
    // Parse-only types: that there is one says that it is one.
    let _ = (sender(message, contact).is_unknown(), quoted(message), revoked(message), rhythm(message));
    if let Some(name) = contact_name(contact) {
        assert_plain(&name);
        assert!(name.chars().count() <= 80 && !name.contains('\n'), "one short line: {name:?}");
    }
    if let Some(file) = attachment(message) {
        assert_plain(&file.in_short());
        assert!(!file.mime_type.contains(';') && file.mime_type == file.mime_type.to_ascii_lowercase());
        assert!(file.filename.is_none_or(|name| (1..=200).contains(&name.chars().count())));
        file.caption.iter().for_each(|caption| assert_plain(caption));
    }
    if let Some((_, new)) = edited(message) {
        self::message(new, contact);
    }
    assert!(timestamp(message).is_none_or(|at| at.as_second() > 0));
    if let Some(consent) = consent::asked(message) {
        assert!(!consent::confirmation(consent, consent::language_of(message)).is_empty());
    }
}

fn status(payload: &Value) {
    let Some(status) = Status::read(payload) else { return };
    assert!((-1..=4).contains(&status.rank()));
    assert!(!(status.is_failure() && status.proves_acceptance()));
    assert!((1..=32).contains(&status.status.chars().count()), "{:?}", status.status);
    if let Some((code, title)) = &status.error {
        let _ = classify(*code);
        assert!(title.chars().count() <= 120 && !title.chars().any(|c| c.is_control() && c != '\n'));
    }
    if let Some((text, callback)) = status.callback.as_deref().and_then(|text| Some((text, Callback::decode(text)?))) {
        assert_eq!(callback.encode(), text, "what we did not write is no callback of ours");
    }
    if let Some(pricing) = status.pricing {
        assert!(serde_json::from_str::<Value>(&pricing).is_ok_and(|pricing| pricing.is_object()));
    }
}

fn event(change: &Value) {
    let value = change.get("value").unwrap_or(change);
    let at = "2026-01-20T12:00:00Z".parse().expect("a time");
    for field in FIELDS {
        let notice = Notice::of(field, value);
        let told = notice.to_string();
        assert!(told.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '–')), "{told:?}");
        let changes = notice.changes(at);
        assert_eq!(notice.stops(), changes.iter().any(|change| change.mark.stops));
        let mut standing = AccountStanding::new("1");
        changes.iter().for_each(|change| standing.apply(change));
        let ended = changes.iter().all(|change| change.mark.until.is_some_and(|until| until <= at));
        assert_eq!(standing.pause(at).is_some(), notice.stops() && !ended, "{field}: {told}");
    }
}
