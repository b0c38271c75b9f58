//! Two businesses that are alike in everything but their secrets, and have the same customers: a thousand turns, and
//! nothing of the one is ever near the other.
//!
//! Each place in which a business or a customer can keep something holds a word of its own. The model is the worst there
//! is: it says every such word that it sees, learns them as facts, and calls whatever tool the seed draws. So a word
//! that ever got into a foreign prompt would go on from there to where it cannot be missed.

mod twins;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use mongodb::bson::{Document, doc};
use secrecy::ExposeSecret;
use serde_json::json;
use simulator::{
    Business, Customer, Host, Journal, Seed, Tag,
    ai::Transcript,
    files::named_voice_note,
    host::HostReply,
    journal::{AiRequest, Event},
    webhook::{Body, Content},
};

use self::twins::{
    PLACES, companion, handbook, key, owners, planted, question, texts, title, told, words_in, worst_model,
};
use super::{judged::Judged, rounds, seed};
use crate::system::{
    harness::{Options, PATIENCE, System, acme, bolt, customer},
    process::run,
};

const CUSTOMERS: u64 = 50;
/// Messages of each customer to each business.
const ROUNDS: u64 = 10;

/// Some are known by a user id, too, and it is the same with both.
fn customers() -> Vec<Customer> {
    let named = |n: u64| match n % 5 {
        0 => customer(n).with_user_id(format!("DE.1349120865530274{n:04}")),
        _ => customer(n),
    };
    (0..CUSTOMERS).map(named).collect()
}

/// Gives both businesses what they keep, and the customers what they will tell.
async fn furnish(judged: &mut Judged, tools: &Host) {
    let files = tempfile::tempdir().expect("a directory");
    for (business, temperature) in [(acme(), 0.25), (bolt(), 1.75)] {
        let name = &business.name;
        tools.add_key(name, &key(name));
        let companion = companion(name, temperature, &tools.url());
        judged.system.update_business(&business, doc! { "companion": companion }).await;
        let file = files.path().join("handbook.md");
        std::fs::write(&file, handbook(name)).expect("written");
        let arguments = ["knowledge", "load", file.to_str().expect("UTF-8"), "--business", name];
        let loaded = run("worker", &arguments, judged.system.environment(), "");
        assert!(loaded.status.success(), "{}{}", loaded.stdout, loaded.stderr);
        for place in PLACES {
            judged.system.keep_from_logs(planted(place, name));
        }
        judged.system.keep_from_logs(format!("canary-of-{name}"));
        judged.system.keep_from_logs(format!("key-of-the-tool-of-{name}"));
    }
    judged.system.keep_from_logs("told-");
    for (n, who) in (0..).zip(customers()) {
        for name in ["acme", "bolt"] {
            judged.scenario = judged.scenario.clone().telling(told(name, n), name, who.key());
        }
        if let Some(id) = who.user_id {
            judged.system.keep_from_logs(id);
        }
    }
    tools.on_request(|request| {
        let name = request.path.trim_start_matches('/').to_owned();
        HostReply::json(&json!({"stock": 3, "shelf": planted("answer", &name)}))
    });
}

fn script(judged: &Judged, seed: Seed) {
    judged.system.ai.on_chat(move |request| worst_model(request, seed));
    judged.system.ai.on_transcription(|recording| {
        Transcript::of(format!("It is {} who asks what opens the vault of the cellar.", title(recording))).into()
    });
}

/// One of each: most write, some at such length that older lines become notes, some speak.
async fn say(judged: &Judged, business: &Business, who: &Customer, n: u64, round: u64) -> Option<Tag> {
    if n % 10 == 3 && round % 4 == 2 {
        let note = named_voice_note(&told(&business.name, n));
        let media = judged.system.meta.store_media(business, "audio/ogg; codecs=opus", note);
        let sender = judged.system.meta.sender(business);
        let message = sender.message(who, Content::voice(&media));
        sender.deliver(&Body::of(business, &message).to_json()).await.expect("200");
        return None;
    }
    let question = question(round, &business.name, n);
    let much = if n.is_multiple_of(10) { "And so on and so forth. ".repeat(150) } else { String::new() };
    Some(judged.write(business, who, &format!("{question} {much}")).await)
}

/// What was answered, read from the journal once however often one asks.
#[derive(Default)]
struct Answered {
    read: u64,
    tags: BTreeSet<Tag>,
}

impl Answered {
    async fn wait(&mut self, journal: &Journal, tags: &[Tag]) {
        let deadline = Instant::now() + PATIENCE;
        while !tags.iter().all(|tag| self.tags.contains(tag)) {
            let missing = tags.iter().filter(|tag| !self.tags.contains(tag)).count();
            assert!(Instant::now() < deadline, "{missing} messages have no answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
            for entry in journal.entries_from(self.read) {
                self.read = entry.seq + 1;
                if let Event::GraphSend(send) = &entry.fact
                    && send.is_accepted()
                {
                    self.tags.extend(send.words().map(Tag::find_all).unwrap_or_default());
                }
            }
        }
    }
}

/// Every customer writes to both businesses in each round, and has an answer before the next.
async fn talk(judged: &Judged) {
    let (customers, mut answered) = (customers(), Answered::default());
    for round in 0..rounds(ROUNDS) {
        let saying = (0..).zip(&customers).flat_map(|(n, who)| {
            [acme(), bolt()].map(|business| async move { say(judged, &business, who, n, round).await })
        });
        let tags: Vec<Tag> = futures_util::future::join_all(saying).await.into_iter().flatten().collect();
        answered.wait(&judged.system.journal, &tags).await;
    }
}

/// Every AI request is one business's, with its own model, temperature and voice; none holds a secret.
fn check_requests(requests: &[AiRequest], secrets: &[String]) -> BTreeMap<&'static str, usize> {
    let mut counted: BTreeMap<&'static str, usize> = BTreeMap::new();
    for request in requests {
        let text = texts(&request.body);
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "a secret is in a request: {text}");
        let owners = owners(&text);
        assert!(owners.len() <= 1, "two businesses in one {} request: {text}", request.endpoint);
        let Some(owner) = owners.first() else { continue };
        let is_for_notes = text.contains("Write the notes.");
        let kind = match request.endpoint.as_str() {
            "chat" if is_for_notes => "notes",
            "chat" => "chat",
            "transcription" => "transcription",
            "speech" => "speech",
            other => panic!("nobody asks for {other}"),
        };
        *counted.entry(kind).or_default() += 1;
        if kind == "chat" {
            let temperature = if *owner == "acme" { 0.25 } else { 1.75 };
            assert_eq!(request.model, Some(format!("model-of-{owner}")));
            assert_eq!(request.body["temperature"], json!(temperature));
            for place in ["instructions", "inline", "place", "tool", "parameter"] {
                assert!(text.contains(&planted(place, owner)), "{place} of {owner} is missing: {text}");
            }
        }
        if kind == "speech" {
            assert_eq!(request.body["voice_id"], json!(format!("voice{owner}")));
        }
    }
    counted
}

/// Every call of a tool carries the key of the business that it went to, and the true customer.
fn check_tools(tools: &Host) -> usize {
    let requests = tools.requests();
    for request in &requests {
        let name = request.path.trim_start_matches('/');
        assert_eq!(request.header("x-key"), Some(format!("<secret of {name}>").as_str()));
        let text = texts(&request.body);
        assert!(owners(&text).iter().all(|owner| *owner == name), "{name} was called with another's words: {text}");
        let number = request.body["customer"]["phoneNumber"].as_str().expect("a number");
        let session = request.body["conversation"].as_str().expect("a conversation");
        assert!(session.starts_with(&format!("{name}:")), "{session}");
        let n: u64 = number.trim_start_matches("49151").parse::<u64>().expect("digits") - 1_000_000;
        let strangers = words_in(&text).into_iter().filter(|word| word.starts_with("told-") && *word != told(name, n));
        assert_eq!(strangers.count(), 0, "{text}");
    }
    requests.len()
}

/// What is stored of a business's customers holds nothing of the other business.
async fn check_store(system: &System) {
    for (name, other) in [("acme", "bolt"), ("bolt", "acme")] {
        for collection in ["conversations", "messages"] {
            let theirs = match collection {
                "conversations" => doc! { "subdomain": name },
                _ => doc! { "conversation": { "$regex": format!("^{name}:") } },
            };
            let mut found = system.db.collection::<Document>(collection).find(theirs).await.expect("found");
            let mut count = 0;
            while found.advance().await.expect("read") {
                let document = found.deserialize_current().expect("a document").to_string();
                assert!(!owners(&document).contains(other), "{other} stands in {collection} of {name}: {document}");
                count += 1;
            }
            assert!(count >= CUSTOMERS, "{count} {collection} of {name}");
        }
    }
}

/// Each of what could have gone wrong happened, and often.
fn check_variety(journal: &Journal, requests: &[AiRequest], counted: &BTreeMap<&str, usize>) {
    for (kind, least) in [("chat", 1_000), ("notes", 10), ("transcription", 5), ("speech", 5)] {
        assert!(counted.get(kind).is_some_and(|count| *count >= least), "{kind}: {counted:?}");
    }
    // What one keeps is found for its own customers, so that it could have been found for the other's.
    for name in ["acme", "bolt"] {
        let prompts = requests.iter().filter(|request| request.model == Some(format!("model-of-{name}")));
        let with = |word: String| prompts.clone().filter(|request| texts(&request.body).contains(&word)).count();
        for place in ["loaded", "answer", "greeting"] {
            assert!(with(planted(place, name)) >= 50, "{place} of {name} is hardly ever in a prompt");
        }
    }
    let kinds: BTreeSet<String> = journal.accepted().iter().map(|send| send.message_type.clone()).collect();
    assert_eq!(kinds, ["audio", "interactive", "location", "text"].map(str::to_owned).into());
    let learned = "What you have learned about this customer";
    assert!(requests.iter().filter(|request| texts(&request.body).contains(learned)).count() >= 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_turns_with_the_same_customers_show_neither_business_a_word_of_the_other() {
    let seed = Seed(seed());
    let options = Options { workers: 0, ..Options::default() };
    let mut judged = Judged::start(options.with("QUIET_MILLIS", "30").with("ALLOW_INSECURE_TOOLS", "true")).await;
    let tools = Host::start(&judged.system.journal).await.expect("a free port");
    let keys = ["acme", "bolt"].map(|name| key(name).expose_secret().to_owned());
    let secrets = [judged.system.secrets(), &keys].concat();
    furnish(&mut judged, &tools).await;
    script(&judged, seed);
    let speech = judged.system.ai.speech_url();
    judged.system.start_worker_with(&[("ELEVENLABS_API_URL", &speech), ("ELEVENLABS_API_KEY", "key-of-speech")]).await;
    talk(&judged).await;
    judged.rest().await;
    check_store(&judged.system).await;
    let journal = judged.system.journal.clone();
    judged.kept(900).await;

    let requests: Vec<AiRequest> = journal.ai_requests().into_iter().map(|request| request.fact).collect();
    let counted = check_requests(&requests, &secrets);
    check_variety(&journal, &requests, &counted);
    assert!(check_tools(&tools) >= 50, "{counted:?}");
    for send in journal.sends() {
        let business = send.business.as_deref().expect("a known number");
        let text = texts(&send.body);
        assert!(owners(&text).iter().all(|owner| *owner == business), "{business} sent {text}");
    }
}
