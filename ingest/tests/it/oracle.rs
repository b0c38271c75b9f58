//! What a body must have become, reckoned without any of the code under test; and mutations of good bodies.
//!
//! The law: nothing is lost, nothing comes twice, every payload is a piece of the body byte by byte, and what can
//! be a message (status, echo) of its own is one.

use serde_json::{Value, json};

/// The kind and payload of one published update.
pub(crate) type Carried = (String, String);

const MAX_DEPTH: usize = 64;
const FIXTURE_DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// Every fixture: its kind (which is its directory), its name and its bytes.
pub(crate) fn fixtures() -> Vec<(String, String, Vec<u8>)> {
    let mut fixtures = Vec::new();
    for kind in ["message", "status", "echo", "account", "other"] {
        for file in std::fs::read_dir(format!("{FIXTURE_DIRECTORY}/{kind}")).expect("a directory") {
            let path = file.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            fixtures.push((kind.to_owned(), name, std::fs::read(&path).expect("readable")));
        }
    }
    fixtures.sort();
    fixtures
}

/// Whether a parsed body has the `entry` array without which it is a dead letter as a whole.
pub(crate) fn is_webhook(body: &Value) -> bool {
    body.get("entry").is_some_and(Value::is_array)
}

/// Panics where the updates are not what the body must have become.
pub(crate) fn assert_accounted_for(body: &str, carried: &[Carried]) {
    let root: Value = serde_json::from_str(body).expect("the oracle reads its own bodies");
    for (_, payload) in carried {
        assert!(body.contains(payload.as_str()), "not the body's bytes: {payload}");
    }
    let parse = |(kind, payload): &Carried| (kind.clone(), serde_json::from_str(payload).expect("valid JSON"));
    let mut left: Vec<(String, Value)> = carried.iter().map(parse).collect();
    for entry in root["entry"].as_array().expect("a webhook") {
        match entry.get("changes").and_then(Value::as_array) {
            Some(changes) if !changes.is_empty() => {
                changes.iter().for_each(|change| account_for_change(change, entry, &mut left));
            }
            _ => assert!(take(&mut left, &["other"], entry), "lost entry {entry} of {body}"),
        }
    }
    assert!(left.is_empty(), "more than the body holds: {left:?} for {body}");
}

fn account_for_change(change: &Value, entry: &Value, left: &mut Vec<(String, Value)>) {
    let value = &change["value"];
    let lists: &[(&str, &str)] = match change.get("field") {
        None => &[("messages", "message"), ("statuses", "status")],
        Some(field) if field == "messages" => &[("messages", "message"), ("statuses", "status")],
        Some(field) if field == "smb_message_echoes" => &[("message_echoes", "echo")],
        Some(_) => &[],
    };
    let owned = is_id(&value["metadata"]["phone_number_id"]);
    let (mut found, mut covered) = (0, true);
    for (list, kind) in lists {
        let elements = value.get(*list).and_then(Value::as_array);
        for element in elements.into_iter().flatten() {
            // One that cannot be an update of its own must not be taken for its twin in another change.
            if owned && element.is_object() && depth(element) <= MAX_DEPTH {
                assert!(take(left, &[kind], element), "no {kind}: {element}");
                found += 1;
            } else {
                covered = false;
            }
        }
        covered &= value.get(*list).is_none() || elements.is_some();
    }
    covered &= found > 0 && value.get("errors").is_none();
    let whole = take(left, &["other", "account"], change);
    assert!(whole || covered, "lost change {change} of {entry}");
}

fn take(left: &mut Vec<(String, Value)>, kinds: &[&str], payload: &Value) -> bool {
    let position = left.iter().position(|(kind, value)| kinds.contains(&kind.as_str()) && value == payload);
    position.map(|at| left.remove(at)).is_some()
}

fn is_id(value: &Value) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        // Digits only: a sign or an exponent belongs to no id.
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return false,
    };
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// One step away from a good body: `pick` chooses the place, `what` chooses what happens to it.
pub(crate) fn mutate(body: &mut Value, pick: usize, what: usize) {
    let mut places = Vec::new();
    collect_places(body, &mut String::new(), &mut places);
    let place = &places[pick % places.len()];
    let (parent, key) = place.rsplit_once('/').expect("not the root");
    let parent = body.pointer_mut(parent).expect("a place that was collected");
    match (parent, what % 16) {
        (Value::Object(map), 0) => drop(map.remove(&unescape(key))),
        (Value::Object(map), 1) => {
            let value = map.remove(&unescape(key)).expect("there");
            map.insert(format!("{key}x"), value);
        }
        (Value::Array(list), 0 | 1) => {
            let element = list[0].clone();
            list.push(element);
        }
        (parent, what) => *parent.pointer_mut(&format!("/{key}")).expect("there") = replacement(what),
    }
}

fn replacement(what: usize) -> Value {
    match what {
        2 => Value::Null,
        3 => json!(true),
        4 => json!(0),
        5 => json!(-1.5),
        6 => json!(""),
        7 => json!("text"),
        8 => json!([]),
        9 => json!({}),
        10 => json!([{}, 1, "x", null, [[]]]),
        11 => (0..70).fold(json!("deep"), |inner, _| json!([inner])),
        12 => json!("\u{0}\u{7f}\u{2028}\"\\"),
        13 => json!(108_821_733_954_071_u64),
        14 => json!("x".repeat(20_000)),
        _ => json!({"messages": [{"id": "wamid.nested"}]}),
    }
}

fn collect_places(value: &Value, at: &mut String, places: &mut Vec<String>) {
    let mut descend = |key: &str, inner: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        places.push(at.clone());
        collect_places(inner, at, places);
        at.truncate(length);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| descend(key, inner)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, inner)| descend(&i.to_string(), inner)),
        _ => {}
    }
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}
