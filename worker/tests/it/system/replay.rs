//! Recorded conversations, answered once more by others: with the real command line, and nothing comes of it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mongodb::{
    Database,
    bson::{Document, doc},
};
use serde_json::{Value, json};
use simulator::{
    Ai, AiOptions, Host, Journal,
    ai::{ChatReply, ToolCall},
    host::HostReply,
    journal::Event,
};
use tempfile::TempDir;

use super::{
    harness::{Options, System, acme, cipher},
    process::{Ended, run},
};

const BAKERY: &str = r#"{"id": "b-1", "turns": [
    {"speaker": "customer", "text": "Hi!"}, {"speaker": "customer", "text": "Are you open on Sundays?"},
    {"speaker": "companion", "text": "From eight to noon."}, {"speaker": "person", "text": "And on holidays."},
    {"speaker": "customer", "text": "And do you have rye bread?"}, {"speaker": "companion", "text": "Every day."}]}"#;

/// The command, its files, and an AI.
struct Replay {
    directory: TempDir,
    ai: Ai,
}

impl Replay {
    async fn start() -> Self {
        shared::install_tls_provider();
        let ai = Ai::start(AiOptions::default()).await.expect("the AI starts");
        ai.on_chat(|request| ChatReply::text(format!("{} says: {}", request.model, request.last_user())));
        Self { directory: tempfile::tempdir().expect("a directory"), ai }
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// A file of conversations, each given over several lines.
    fn recorded(&self, conversations: &[&str]) -> String {
        let lines: Vec<String> = conversations.iter().map(|text| text.replace('\n', " ")).collect();
        self.write("recorded.jsonl", &lines.join("\n"))
    }

    /// Without a database.
    fn run(&self, arguments: &[&str]) -> Ended {
        let environment = [("AI_API_URL".to_owned(), self.ai.url()), ("AI_CHAT_MODEL".to_owned(), "usual".to_owned())];
        run("worker", &[&["replay"], arguments].concat(), &environment, "")
    }

    fn printed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert!(ended.status.success(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    fn models(&self) -> Vec<String> {
        self.ai.journal().chats().iter().map(|chat| chat.model.clone().expect("a model")).collect()
    }

    fn prompts(&self) -> Vec<Vec<Value>> {
        let messages = |body: &Value| body["messages"].as_array().expect("messages").clone();
        self.ai.journal().chats().iter().map(|chat| messages(&chat.body)).collect()
    }
}

fn objects(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_models_are_shown_side_by_side_with_what_they_cost() {
    let replay = Replay::start().await;
    let file = replay.recorded(&[BAKERY]);
    let variants = ["--variant", "small,model=m-20,in=1,out=2", "--variant", "big,model=m-120"];
    let table = replay.printed(&[&[file.as_str()], variants.as_slice()].concat());
    for shown in [
        "b-1, question 2:\n  And do you have rye bread?",
        "RECORDED",
        "Every day.",
        "m-20 says: And do",
        "m-120 says: And",
        "latency",
        "SUMMARY",
        "median",
    ] {
        assert!(table.contains(shown), "{shown}: {table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    let header = table.lines().find(|line| line.contains("RECORDED")).expect("a header");
    assert!(header.find("small") < header.find("big") && header.find("RECORDED") < header.find("small"), "{header}");

    let json = replay.printed(&[&[file.as_str(), "--json"], variants.as_slice()].concat());
    let [question, summary] = objects(&json).try_into().expect("a question and the summary");
    assert_eq!((&question["conversation"], &question["number"]), (&json!("b-1"), &json!(2)));
    assert_eq!(question["question"], "And do you have rye bread?");
    assert_eq!(question["recorded"], "Every day.");
    let [small, big] = question["answers"].as_array().expect("answers").clone().try_into().expect("two");
    assert_eq!((&small["variant"], &small["model"], &small["error"]), (&json!("small"), &json!("m-20"), &Value::Null));
    assert_eq!(small["answer"], "m-20 says: And do you have rye bread?");
    let tokens = |name: &str| small["spent"][name].as_f64().expect("a number");
    assert!(tokens("tokens_in") > 100.0 && tokens("tokens_out") > 0.0 && tokens("calls") == 1.0, "{small}");
    let cost = (tokens("tokens_in") + 2.0 * tokens("tokens_out")) / 1e6;
    assert!((tokens("cost") - cost).abs() < 1e-12, "{small}");
    assert_eq!(big["spent"]["cost"], Value::Null, "nobody said what it costs");
    let [first, second] = summary["summary"].as_array().expect("rows").clone().try_into().expect("two");
    assert_eq!((&first["variant"], &first["answered"], &first["failed"]), (&json!("small"), &json!(1), &json!(0)));
    assert_eq!(first["tokens_in"], small["spent"]["tokens_in"]);
    assert_eq!((&first["cost"], &second["cost"]), (&small["spent"]["cost"], &Value::Null));
    assert_eq!(first["latency_ms_p95"], small["latency_ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_reaches_the_model_and_the_rest_of_the_companion_stays() {
    let replay = Replay::start().await;
    let file = replay
        .recorded(&[r#"{"customer": {"name": "Ada"}, "summary": "She asked for rye.", "facts": ["is vegan"],
        "turns": [{"role": "user", "content": "And today?"}]}"#]);
    let companion = replay.write(
        "companion.json",
        r#"{"name": "Lindenhof", "companion": {"persona": "You are Lina.", "instructions": "Be long.", "model": "own"}}"#,
    );
    let brief = replay.write("brief.txt", "Be BRIEF.");
    let laid = replay.write("kim.json", r#"{"persona": "You are Kim.", "temperature": 0.1}"#);
    let (brief, laid) = (format!("brief,prompt={brief}"), format!("kim,prompt={laid},temperature=0.9"));
    let variants = ["--variant", "plain", "--variant", &brief, "--variant", &laid];
    replay.printed(&[&[file.as_str(), "--companion", &companion, "--parallel", "1"], variants.as_slice()].concat());
    let prompts = replay.prompts();
    let systems: Vec<&str> = prompts.iter().map(|prompt| prompt[0]["content"].as_str().expect("words")).collect();
    let has = |at: usize, texts: [&str; 2]| texts.iter().all(|text| systems[at].contains(text));
    assert!(has(0, ["You are Lina.", "Be long."]) && has(1, ["You are Lina.", "Be BRIEF."]), "{systems:?}");
    assert!(has(2, ["You are Kim.", "Be long."]) && !systems[1].contains("Be long."), "{systems:?}");
    for system in &systems {
        let known = ["Lindenhof", "\"Ada\"", "She asked for rye.", "f1: \"is vegan\""];
        assert!(known.iter().all(|text| system.contains(text)), "{system}");
    }
    assert_eq!(replay.models(), ["own", "own", "own"]);
    let temperatures: Vec<Value> =
        replay.ai.journal().chats().iter().map(|chat| chat.body["temperature"].clone()).collect();
    assert_eq!(temperatures, [Value::Null, Value::Null, json!(0.9)]);

    // Without anything: the installation's model, and a companion of which nothing is known.
    let as_it_is = replay.printed(&[&file]);
    assert!(as_it_is.contains("as it is") && as_it_is.contains("usual says: And today?"), "{as_it_is}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_is_answered_in_order_with_what_was_recorded_before_it() {
    let replay = Replay::start().await;
    // The first is the slowest.
    replay.ai.on_chat(|request| {
        let delay = if request.last_user().starts_with("Hi!") { 400 } else { 0 };
        ChatReply::text(format!("to {}", request.last_user())).after(Duration::from_millis(delay))
    });
    let other = r#"{"turns": [{"speaker": "customer", "text": "Third?"}]}"#;
    let file = replay.recorded(&[BAKERY, other, "this is not even JSON"]);
    let json = replay.printed(&[&file, "--every", "--most", "2", "--parallel", "8", "--json"]);
    let lines = objects(&json);
    let answers: Vec<_> = lines.iter().filter_map(|line| line["answers"][0]["answer"].as_str()).collect();
    assert_eq!(answers, ["to Hi!\nAre you open on Sundays?", "to And do you have rye bread?", "to Third?"]);
    assert_eq!(lines[0]["recorded"], "From eight to noon.\n\n[a person] And on holidays.");
    assert!(lines[0]["answers"][0]["latency_ms"].as_u64().expect("a number") >= 400);
    assert_eq!(
        (&lines[2]["line"], &lines[2]["conversation"], &lines[2]["recorded"]),
        (&json!(2), &json!(null), &json!(null))
    );
    assert_eq!(lines[3]["summary"][0]["answered"], 3);
    let prompts = replay.prompts();
    let words = |message: &Value| message["content"].as_str().expect("words").to_owned();
    let said: Vec<Vec<String>> = prompts.iter().map(|prompt| prompt[1..].iter().map(words).collect()).collect();
    let before = [
        "Hi!",
        "Are you open on Sundays?",
        "From eight to noon.",
        "[A colleague wrote:] And on holidays.",
        "And do you have rye bread?",
    ];
    assert!(said.iter().any(|said| said == &before), "{said:?}");
    assert!(said.iter().any(|said| said == &["Hi!\nAre you open on Sundays?"]), "{said:?}");
    assert!(said.iter().any(|said| said == &["Third?"]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_fails_is_an_error_beside_the_others_answer() {
    let replay = Replay::start().await;
    let throttled = AtomicU32::new(0);
    replay.ai.on_chat(move |request| match request.model.as_str() {
        "gone" => ChatReply::status(404),
        "busy" if throttled.fetch_add(1, Ordering::Relaxed) == 0 => {
            ChatReply::Status { code: 429, retry_after: Some(Duration::from_millis(50)), body: String::new() }
        }
        model => ChatReply::text(format!("from {model}")),
    });
    let file = replay.recorded(&[BAKERY]);
    let variants = ["--variant", "x,model=gone,in=1,out=1", "--variant", "y,model=busy"];
    let json = replay.printed(&[&[file.as_str(), "--json", "--parallel", "1"], variants.as_slice()].concat());
    let lines = objects(&json);
    let [gone, busy] = lines[0]["answers"].as_array().expect("answers").clone().try_into().expect("two");
    assert_eq!((&gone["answer"], &gone["spent"]), (&Value::Null, &Value::Null));
    assert_eq!(gone["error"], "the AI provider answered HTTP 404 (invalid_request)");
    assert_eq!(busy["answer"], "from busy", "a provider that asks for patience gets it");
    let failed: Vec<_> = lines[1]["summary"].as_array().expect("rows").iter().map(|row| &row["failed"]).collect();
    assert_eq!(failed, [1, 0]);
    assert_eq!(replay.models(), ["gone", "busy", "busy"], "no other model answers in the place of one that is named");

    let table = replay.printed(&[&[file.as_str()], variants.as_slice()].concat());
    assert!(table.contains("no answer: the AI") && table.contains("from busy"), "{table}");
    let all = replay.run(&[&file, "--variant", "x,model=gone"]);
    assert_eq!(all.status.code(), Some(1));
    assert!(all.stderr.contains("nothing could be answered") && all.stdout.contains("404"), "{}", all.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_wrongly_is_told_before_anything_is_asked() {
    let replay = Replay::start().await;
    let good = replay.recorded(&[BAKERY]);
    let bad = replay.write("bad.jsonl", "{\"turns\": [{\"speaker\": \"me\", \"text\": \"x\"}]}\n\n[]\n");
    let empty = replay.write("empty.jsonl", "\n");
    let typo = replay.write("typo.json", r#"{"instruction": "x"}"#);
    let typo = format!("v,prompt={typo}");
    let cases: [(&[&str], i32, &[&str]); 9] = [
        (&[&bad], 1, &["line 1: turns[0].speaker must be `customer`", "line 3: must be a JSON object"]),
        (&[&empty], 1, &["has no conversation"]),
        (&["gone.jsonl"], 1, &["read gone.jsonl: No such file"]),
        (&[&good, "--variant", "v,modell=m"], 64, &["`modell` is not known: NAME[,model=M][,prompt=FILE]"]),
        (&[&good, "--variant", &typo], 1, &["variant `v`: companion.instruction is not known", "did you mean"]),
        (&[&good, "--variant", "v", "--variant", "v"], 1, &["two variants have the same name"]),
        (&[&good, "--business", "acme", "--companion", "x.json"], 64, &["cannot be used with"]),
        (&[&good, "--companion", "gone.json"], 1, &["read gone.json"]),
        (&[&good, "--business", "acme"], 64, &["MONGODB_URI is required"]),
    ];
    for (arguments, code, told) in cases {
        let ended = replay.run(arguments);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        assert!(told.iter().all(|told| ended.stderr.contains(told)), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("ENCRYPTION_SECRET"), "{}", ended.stderr);
    }
    assert!(replay.ai.journal().chats().is_empty());
    let keyless = run("worker", &["replay", &good], &[], "");
    assert_eq!(keyless.status.code(), Some(64));
    assert!(keyless.stderr.contains("GROQ_API_KEY"), "{}", keyless.stderr);
    let odd = replay.write("odd.json", r#"{"persona": "Lina", "mood": "x"}"#);
    let warned = replay.run(&[&good, "--companion", &odd, "--json"]);
    assert!(warned.status.success() && warned.stderr.contains("warning: companion.mood"), "{}", warned.stderr);
    assert_eq!(objects(&warned.stdout).len(), 2, "a warning is no output");
}

/// Every document of every collection, and what the indexes are called.
async fn dump(db: &Database) -> BTreeMap<String, (Vec<Document>, Vec<String>)> {
    let mut dumped = BTreeMap::new();
    for name in db.list_collection_names().await.expect("names") {
        let collection = db.collection::<Document>(&name);
        let (mut cursor, mut documents) =
            (collection.find(doc! {}).sort(doc! { "_id": 1 }).await.expect("found"), vec![]);
        while cursor.advance().await.expect("read") {
            documents.push(cursor.deserialize_current().expect("a document"));
        }
        dumped.insert(name, (documents, collection.list_index_names().await.expect("indexes")));
    }
    dumped
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_for_a_business_sends_nothing_calls_no_tool_and_changes_nothing() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let tools = Journal::in_memory();
    let host = Host::start(&tools).await.expect("a host");
    host.on_request(|_| HostReply::json(&json!({"stock": 7})));
    let tool =
        |name: &str| doc! { "name": name, "description": "What is in stock", "url": format!("{}/stock", host.url()) };
    let mut sealed = tool("check_orders");
    sealed.insert("header", doc! { "name": "Authorization", "value": cipher().encrypt(&"Bearer SEALED".into()) });
    let location = doc! { "name": "Shop", "latitude": 52.5, "longitude": 13.4 };
    let companion =
        doc! { "tools": [tool("check_stock"), sealed], "locations": [location], "handOver": { "hours": 2 } };
    system.update_business(&acme(), doc! { "companion": companion }).await;
    let replay = Replay::start().await;
    let taught = replay.write("faq.md", "# Parking\n\nBehind the house.");
    let load = ["knowledge", "load", &taught, "--business", "acme"];
    assert!(run("worker", &load, system.environment(), "").status.success());
    system.ai.on_chat(|request| {
        if request.follows_tool() {
            return ChatReply::text(format!("None of {} results.", request.tool_results().len()));
        }
        ChatReply::tools([
            ToolCall::new("check_stock", json!({"item": "rye"})),
            ToolCall::new("check_orders", json!({})),
            ToolCall::new("remember", json!({"fact": "likes rye", "replaces": "f1"})),
            ToolCall::new("hand_over_to_human", json!({"reason": "orders"})),
            ToolCall::new("offer_choices", json!({"text": "Which?", "choices": ["Rye", "Wheat"]})),
            ToolCall::new("send_location", json!({"name": "Shop"})),
            ToolCall::new("fly", json!({})),
        ])
    });
    let recording = r#"{"facts": ["likes wheat"], "turns": [{"speaker": "customer", "text": "Do you have rye?"}]}"#;
    let file = replay.recorded(&[recording]);

    let before = dump(&system.db).await;
    let seen = system.journal.entries().len();
    // What the deployment has, but for the secrets that only sending needs.
    let is_given = |(name, _): &&(String, String)| name != "ENCRYPTION_SECRET" && name != "RABBITMQ_URL";
    let mut environment: Vec<_> = system.environment().iter().filter(is_given).cloned().collect();
    environment.push(("ALLOW_INSECURE_TOOLS".to_owned(), "true".to_owned()));
    let arguments = ["replay", &file, "--business", "acme", "--variant", "a", "--variant", "b,model=m-20"];
    let json = run("worker", &[&arguments[..], &["--json"]].concat(), &environment, "");
    assert!(json.status.success(), "{}{}", json.stdout, json.stderr);
    let table = run("worker", &arguments, &environment, "");
    assert!(table.status.success(), "{}{}", table.stdout, table.stderr);

    let answer = &objects(&json.stdout)[0]["answers"][1];
    assert!(answer["answer"].as_str().expect("words").starts_with("None of 7 results."), "{answer}");
    assert_eq!(answer["tools"][0], json!({"name": "check_stock", "arguments": {"item": "rye"}, "problem": null}));
    assert_eq!(answer["tools"][6], json!({"name": "fly", "arguments": {}, "problem": "there is no such tool"}));
    let changes = json!({"remembered": ["likes rye"], "forgotten": ["likes wheat"], "handed_over_secs": 7_200,
                         "choices": ["Rye", "Wheat"], "places": ["Shop"]});
    assert_eq!(answer["would_change"], changes);
    for shown in
        ["check_stock", "failed: there is no", "remember: likes rye", "forget: likes wheat", "120 min", "Rye | Wheat"]
    {
        assert!(table.stdout.contains(shown), "{shown}: {}", table.stdout);
    }

    let chats = system.journal.chats();
    assert!(chats.len() == 8, "{}", chats.len());
    let prompt = chats[0].body.to_string();
    assert!(prompt.contains("Behind the house.") && prompt.contains("The acme company"), "{prompt}");
    let results: Vec<String> =
        chats.iter().map(|chat| chat.body.to_string()).filter(|body| body.contains("This is a rehearsal")).collect();
    assert_eq!(results.len(), 4, "each second call has been told");
    assert!(results.iter().all(|body| body.matches("This is a rehearsal").count() == 2), "both tools of the business");
    assert!(host.requests().is_empty(), "{:?}", host.requests());
    let entries = system.journal.entries();
    let others: Vec<_> = entries[seen..]
        .iter()
        .filter(|entry| !matches!(entry.fact, Event::AiRequest(_) | Event::AiAnswer(_)))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(before.len() >= 2 && before == dump(&system.db).await, "the database was changed");
    for output in [&json.stdout, &json.stderr, &table.stdout, &table.stderr] {
        assert!(!output.contains("SEALED"));
    }
    let nobody = run("worker", &["replay", &file, "--business", "nobody"], &environment, "");
    assert!(nobody.status.code() == Some(1) && nobody.stderr.contains("no business has the subdomain `nobody`"));
    system.stop().await;
}
