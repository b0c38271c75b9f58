//! The worker's own writes, done again without the worker: the limit that MongoDB sets.
//!
//! What the worker sends for one answered text is heard by the tap, with nothing left out. It is then done for other
//! customers, whose conversations are copies of that one as it was before, with their ids in place of the heard ones. A
//! command that matches nothing there is an error, and so is a conversation that does not look like the one that was
//! heard: then it would not be the same work.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use mongodb::{
    Client, Database,
    bson::{Bson, Document, doc},
};
use tokio::task::JoinSet;

use super::tap::Command;

/// One answered text, as it went over the wire.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    commands: Vec<Command>,
    /// What is another one for each customer.
    names: Names,
}

/// What tells one answered text from another: the customer, the message, the answer's id and its message at Meta.
pub(super) type Names = Vec<String>;

impl Heard {
    /// The commands among these in which one of the names occurs, in their order.
    pub(super) fn among(commands: Vec<Command>, names: Names) -> Self {
        let about =
            |command: &Command| names.iter().any(|name| mentions(&Bson::Document(command.document.clone()), name));
        Self { commands: commands.into_iter().filter(about).collect(), names }
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// What each command is, such as `findAndModify conversations`.
    pub(super) fn list(&self) -> Vec<String> {
        let first = self.commands.iter().filter_map(|command| command.document.iter().next());
        first.map(|(name, collection)| format!("{name} {}", collection.as_str().unwrap_or_default())).collect()
    }

    /// When each was asked for, after a time.
    pub(super) fn after(&self, written: Instant) -> Vec<Duration> {
        self.commands.iter().map(|command| command.at.saturating_duration_since(written)).collect()
    }

    /// The commands for somebody else, without what belongs to the session in which they were heard.
    fn of(&self, names: &Names) -> Vec<Document> {
        let own = |name: &str| name == "lsid" || name == "txnNumber" || name.starts_with('$');
        let theirs = |command: &Command| {
            let kept = command.document.iter().filter(|(name, _)| !own(name));
            kept.map(|(name, value)| (name.clone(), renamed(value, &self.names, names))).collect()
        };
        self.commands.iter().map(theirs).collect()
    }

    /// Whether the driver would send it so that it may be repeated, which costs the server a record of it.
    fn is_retryable(&self, n: usize) -> bool {
        self.commands.get(n).is_some_and(|command| command.document.contains_key("txnNumber"))
    }
}

fn mentions(value: &Bson, name: &str) -> bool {
    let text = || value.as_str().is_some_and(|text| text.contains(name));
    let list = || value.as_array().is_some_and(|values| values.iter().any(|value| mentions(value, name)));
    let document = || value.as_document().is_some_and(|fields| fields.iter().any(|(_, value)| mentions(value, name)));
    text() || list() || document()
}

/// The same with each of the names in its texts replaced by the one in its place.
fn renamed(value: &Bson, from: &Names, to: &Names) -> Bson {
    if let Some(text) = value.as_str() {
        let text = from.iter().zip(to).fold(text.to_owned(), |text, (from, to)| text.replace(from.as_str(), to));
        return Bson::String(text);
    }
    if let Some(values) = value.as_array() {
        return Bson::Array(values.iter().map(|value| renamed(value, from, to)).collect());
    }
    value.as_document().map_or_else(|| value.clone(), |document| Bson::Document(renamed_fields(document, from, to)))
}

fn renamed_fields(document: &Document, from: &Names, to: &Names) -> Document {
    document.iter().map(|(name, value)| (name.clone(), renamed(value, from, to))).collect()
}

/// Copies of a conversation, one for each of so many customers, and what they are called.
pub(super) async fn prepare(
    database: &Database,
    before: &Document,
    heard: &Heard,
    count: usize,
) -> anyhow::Result<Vec<Names>> {
    let everybody: Vec<Names> = (0..count).map(|n| others(&heard.names, n)).collect();
    let conversations = database.collection::<Document>("conversations");
    for some in everybody.chunks(500) {
        let copies: Vec<_> = some.iter().map(|names| renamed_fields(before, &heard.names, names)).collect();
        conversations.insert_many(copies).await.context("copy a conversation")?;
    }
    Ok(everybody)
}

/// Names as long as the given ones, the same for no other number.
fn others(names: &Names, n: usize) -> Names {
    let other = |name: &String| {
        let number = n.to_string();
        let kept: String = name.chars().take(name.chars().count().saturating_sub(9)).collect();
        format!("{kept}9{number:0>8}")
    };
    names.iter().map(other).collect()
}

/// What was reached.
#[derive(Debug)]
pub(super) struct Done {
    /// Customers all of whose commands were done, within the time.
    pub(super) whole: u64,
    pub(super) took: Duration,
}

/// Does it for one customer after the other, so many at once, until the time is over or nobody is left.
pub(super) async fn repeat(
    client: &Client,
    database: &Database,
    heard: &Heard,
    everybody: Vec<Names>,
    at_once: usize,
    length: Duration,
) -> anyhow::Result<Done> {
    let left = Arc::new(Mutex::new(VecDeque::from(everybody)));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (client, database, heard, left) = (client.clone(), database.clone(), heard.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            let mut whole = 0;
            let mut session = client.start_session().await?;
            while began.elapsed() < length {
                let next = left.lock().expect("no code panics while it holds this lock").pop_front();
                let Some(names) = next else { break };
                for (n, mut command) in heard.of(&names).into_iter().enumerate() {
                    if heard.is_retryable(n) {
                        command.insert("txnNumber", next_number());
                    }
                    let answer = database.run_command(command).session(&mut session).await?;
                    check(&answer)
                        .with_context(|| format!("repeat {}", heard.list().get(n).map_or("", String::as_str)))?;
                }
                whole += 1;
            }
            anyhow::Ok(whole)
        });
    }
    let mut whole = 0;
    while let Some(done) = tasks.join_next().await {
        whole += done.context("a task that writes")??;
    }
    Ok(Done { whole, took: began.elapsed() })
}

/// A number that no session of this client has seen: the driver lends sessions that it has used itself.
fn next_number() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    jiff::Timestamp::now().as_microsecond() + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether a command did something.
fn check(answer: &Document) -> anyhow::Result<()> {
    let touched = |document: &Document| document.get_i32("n").unwrap_or(0) > 0;
    let modified = answer.get_document("lastErrorObject").is_ok_and(touched);
    let found = answer.get_document("cursor").is_ok();
    ensure!(!answer.contains_key("writeErrors"), "it was refused: {answer}");
    ensure!(modified || found || touched(answer), "it matched nothing: {answer}");
    Ok(())
}

/// Whether a repeated conversation has become what the heard one became: the same fields, lists as long.
pub(super) async fn compare(database: &Database, heard: &Heard, names: &Names, after: &Document) -> anyhow::Result<()> {
    let expected = renamed_fields(after, &heard.names, names);
    let filter = doc! { "_id": expected.get_str("_id")? };
    let found = database.collection::<Document>("conversations").find_one(filter).await?;
    let found = found.context("the conversation that was repeated")?;
    let (found, expected) = (shape(&Bson::Document(found)), shape(&Bson::Document(expected)));
    if found != expected {
        bail!("the repeated writes left {found}, and not {expected}");
    }
    Ok(())
}

/// The names of a document's fields, and how long its lists are.
fn shape(value: &Bson) -> String {
    if let Some(values) = value.as_array() {
        return format!("[{}]", values.len());
    }
    let Some(document) = value.as_document() else { return String::new() };
    let mut fields: Vec<_> = document.iter().map(|(name, value)| format!("{name}{}", shape(value))).collect();
    fields.sort();
    format!("{{{}}}", fields.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard() -> Heard {
        let commands = [
            doc! { "ping": 1 },
            doc! {
                "findAndModify": "conversations", "query": { "_id": "b:4915100000001" }, "txnNumber": 5_i64, "lsid": 1,
            },
            doc! { "update": "messages", "updates": [{ "q": { "_id": "1:wamid.INBOUND00000000001" } }] },
        ];
        let commands = commands.map(|document| Command { at: Instant::now(), document }).into();
        Heard::among(commands, vec!["4915100000001".to_owned(), "wamid.INBOUND00000000001".to_owned()])
    }

    #[test]
    fn only_what_is_about_the_text_is_kept_and_counted() {
        let heard = heard();
        assert_eq!(heard.list(), ["findAndModify conversations", "update messages"]);
        assert!(heard.is_retryable(0) && !heard.is_retryable(1));
    }

    #[test]
    fn for_somebody_else_every_name_is_another_one_of_the_same_length() {
        let heard = heard();
        let names = others(&heard.names, 17);
        assert_eq!(
            names.iter().map(String::len).collect::<Vec<_>>(),
            heard.names.iter().map(String::len).collect::<Vec<_>>()
        );
        let commands = heard.of(&names);
        assert!(commands.iter().all(|command| heard.names.iter().all(|name| !mentions(&command.clone().into(), name))));
        assert!(mentions(&commands[0].clone().into(), &names[0]) && mentions(&commands[1].clone().into(), &names[1]));
        assert!(!commands[0].contains_key("lsid") && !commands[0].contains_key("txnNumber"));
        assert_ne!(others(&heard.names, 18), names);
    }

    #[test]
    fn a_command_that_matched_nothing_is_an_error() {
        assert!(check(&doc! { "n": 1, "ok": 1 }).is_ok());
        assert!(check(&doc! { "lastErrorObject": { "n": 1 }, "value": {}, "ok": 1 }).is_ok());
        assert!(check(&doc! { "cursor": { "firstBatch": [] }, "ok": 1 }).is_ok());
        assert!(check(&doc! { "n": 0, "ok": 1 }).is_err());
        assert!(check(&doc! { "lastErrorObject": { "n": 0 }, "value": null, "ok": 1 }).is_err());
        assert!(check(&doc! { "n": 1, "writeErrors": [] }).is_err());
    }

    #[test]
    fn shapes_differ_by_field_and_by_length() {
        let of = |document: Document| shape(&document.into());
        assert_eq!(of(doc! { "a": 1, "b": [1, 2] }), of(doc! { "b": [3, 4], "a": "x" }));
        assert_ne!(of(doc! { "a": 1, "b": [1, 2] }), of(doc! { "a": 1, "b": [1] }));
        assert_ne!(of(doc! { "a": { "x": 1 } }), of(doc! { "a": { "y": 1 } }));
    }
}
