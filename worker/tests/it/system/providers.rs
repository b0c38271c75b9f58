//! Whatever the AI provider does, once or for ever: the customer gets one answer or one apology, never silence and
//! never two, and the provider is asked a bounded number of times.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mongodb::bson::doc;
use serde_json::{Value, json};
use simulator::{
    Business, Host,
    ai::{ChatReply, ChatRequest, ToolCall, Transcript},
    files::{named_voice_note, tiny_png},
    host::HostReply,
    webhook::{Body, Content},
};

use super::harness::{Options, System, acme, bolt, customer};

const GIVE_UP: &str = "5";
/// Tries until the apology. The pauses are drawn from between nothing and half a second, one, two, four, …; that eleven
/// of them make less than five seconds happens once in a thousand million cases.
const TRIES: usize = 12;
/// Calls of the model in one try, where it calls tools without end.
const ROUNDS: usize = 5;
const SORRY: &str = "Acme is sorry.";

/// How a customer asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Words,
    Voice,
    Picture,
}

/// How it has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With an answer, after so many calls of the model exactly.
    Answer(usize),
    /// With an answer that does without the file, after so many calls at most.
    WithoutFile(usize),
    /// With the apology, after so many calls at most.
    Apology(usize),
}

/// What the model does with the n-th request of a case, from 0.
type Model = fn(usize, &ChatRequest) -> ChatReply;

struct Case {
    what: &'static str,
    business: fn() -> Business,
    asked: Asked,
    model: Model,
    end: End,
}

fn case(what: &'static str, model: Model, end: End) -> Case {
    Case { what, business: acme, asked: Asked::Words, model, end }
}

fn fine() -> ChatReply {
    ChatReply::text("ANS fine")
}

fn then_fine(n: usize, first: ChatReply) -> ChatReply {
    if n == 0 { first } else { fine() }
}

fn content(content: &Value) -> ChatReply {
    ChatReply::Json(json!({"choices": [{"message": {"role": "assistant", "content": content}}]}))
}

fn refused(code: u16, name: &str) -> ChatReply {
    let body = json!({"error": {"message": "no", "type": "invalid_request_error", "code": name}});
    ChatReply::Status { code, retry_after: None, body: body.to_string() }
}

fn throttled(seconds: u64) -> ChatReply {
    ChatReply::Status { code: 429, retry_after: Some(Duration::from_secs(seconds)), body: String::new() }
}

fn bad_call() -> ChatReply {
    ChatReply::tools([ToolCall::raw("remember", "{\"fact\": \"is ve")])
}

/// What goes wrong once, and is of no consequence.
fn passing() -> Vec<Case> {
    vec![
        case("fails once", |n, _| then_fine(n, ChatReply::status(500)), End::Answer(2)),
        case("is over capacity once", |n, _| then_fine(n, ChatReply::status(503)), End::Answer(2)),
        case("throttles once, for an hour", |n, _| then_fine(n, throttled(3_600)), End::Answer(2)),
        case("throttles once, for no time", |n, _| then_fine(n, throttled(0)), End::Answer(2)),
        case("answers half a JSON once", |n, _| then_fine(n, ChatReply::Garbage), End::Answer(2)),
        case("answers nothing once", |n, _| then_fine(n, ChatReply::Empty), End::Answer(2)),
        case("hangs up once", |n, _| then_fine(n, ChatReply::Drop), End::Answer(2)),
        case("takes three seconds", |_, _| fine().after(Duration::from_secs(3)), End::Answer(1)),
        case("thinks aloud", |_, _| content(&json!("<think>hm</think>ANS fine")), End::Answer(1)),
        case("answers in pieces", |_, _| content(&json!([{"type": "text", "text": "ANS fine"}, 7])), End::Answer(1)),
        case("only thinks, once", |n, _| then_fine(n, content(&json!("<think>hm</think>"))), End::Answer(2)),
        case("writes half a call", |n, _| then_fine(n, bad_call()), End::Answer(2)),
        case("calls what is no tool", |n, _| then_fine(n, ChatReply::tool("fly", json!({}))), End::Answer(2)),
        case("fails to write a call", |n, _| then_fine(n, refused(400, "tool_use_failed")), End::Answer(2)),
        case("calls tools to the end", calls_four_times, End::Answer(ROUNDS)),
    ]
}

fn calls_four_times(n: usize, request: &ChatRequest) -> ChatReply {
    match request.body.get("tool_choice").and_then(Value::as_str) {
        Some("none") => fine(),
        _ => ChatReply::tool("remember", json!({"fact": format!("number {n}")})),
    }
}

/// What goes wrong for ever.
fn lasting() -> Vec<Case> {
    let once = End::Apology(TRIES);
    vec![
        case("is down", |_, _| ChatReply::status(500), once),
        case("is over capacity", |_, _| ChatReply::status(503), once),
        case("throttles for an hour", |_, _| throttled(3_600), once),
        case("throttles for no time", |_, _| throttled(0), once),
        case("knows no key", |_, _| ChatReply::status(401), once),
        case("forbids it", |_, _| ChatReply::status(403), once),
        case("refuses it", |_, _| ChatReply::status(400), once),
        case("finds it too large", |_, _| ChatReply::status(413), once),
        case("answers half a JSON", |_, _| ChatReply::Garbage, once),
        case("answers nothing", |_, _| ChatReply::Empty, once),
        case("hangs up", |_, _| ChatReply::Drop, once),
        case("answers null", |_, _| ChatReply::Json(Value::Null), once),
        case("answers a list", |_, _| ChatReply::Json(json!([{"choices": []}])), once),
        case("gives no choice", |_, _| ChatReply::Json(json!({"choices": []})), once),
        case("gives a choice of nothing", |_, _| ChatReply::Json(json!({"choices": [null, {"message": 7}]})), once),
        case("answers a number", |_, _| content(&json!(7)), once),
        case("answers white space", |_, _| content(&json!(" \n\u{a0}\u{3000}")), once),
        case("answers a rule", |_, _| content(&json!("---\n\n***")), once),
        case("only thinks", |_, _| content(&json!("<think>hm</think>\n")), once),
        case("thinks without end", |_, _| content(&json!("<think>I should")), once),
        case("calls nothing", |_, _| calls(&json!([{"id": 1}, {"function": {}}, 7])), once),
        case("writes half a call", |_, _| bad_call(), End::Apology(TRIES * ROUNDS)),
        case("calls what is no tool", |_, _| ChatReply::tool("fly", json!({})), End::Apology(TRIES * ROUNDS)),
        case("remembers without end", remembers, End::Apology(TRIES * ROUNDS)),
        case("looks up without end", |_, _| ChatReply::tool("look_up", json!({})), End::Apology(TRIES * ROUNDS)),
        // In the first try it is asked once more without tools.
        case("fails to write calls", |_, _| refused(400, "tool_use_failed"), End::Apology(TRIES + 1)),
    ]
}

fn calls(calls: &Value) -> ChatReply {
    ChatReply::Json(json!({"choices": [{"message": {"content": null, "tool_calls": calls}}]}))
}

fn remembers(n: usize, _: &ChatRequest) -> ChatReply {
    ChatReply::tool("remember", json!({"fact": format!("number {n}")}))
}

/// The business's own model is not served, or not any more; and the installation's may not be either.
fn of_models() -> Vec<Case> {
    vec![
        Case { business: bolt, ..case("does not serve the business's model", only_its_own_is_gone, End::Answer(2)) },
        Case {
            business: bolt,
            ..case("serves no model", |_, _| refused(404, "model_not_found"), End::Apology(2 * TRIES))
        },
    ]
}

fn only_its_own_is_gone(_: usize, request: &ChatRequest) -> ChatReply {
    if request.model == "gone-model" { refused(404, "model_not_found") } else { fine() }
}

/// Recordings and pictures. For a recording the numbers are those of the model of speech.
fn of_media() -> Vec<Case> {
    let heard = |what, model, end| Case { asked: Asked::Voice, ..case(what, model, end) };
    let seen = |what, model, end| Case { asked: Asked::Picture, ..case(what, model, end) };
    // The customer is asked to write it: one who was apologised to would do so, too, but had to guess.
    let given_up = End::WithoutFile(TRIES + 1);
    vec![
        heard("cannot hear", |_, _| ChatReply::status(500), given_up),
        heard("hears garbage", |_, _| ChatReply::Garbage, given_up),
        heard("hears what is no text", |_, _| ChatReply::Json(json!({"text": 7})), given_up),
        heard("throttles its hearing", |_, _| throttled(3_600), given_up),
        heard("refuses the recording", |_, _| ChatReply::status(400), End::Answer(1)),
        heard("has no model of speech", |_, _| refused(404, "model_not_found"), End::Answer(1)),
        heard("hears nobody", |_, _| Transcript::silence().into(), End::Answer(1)),
        heard("hears nothing", |_, _| Transcript::of("").into(), End::Answer(1)),
        heard(
            "cannot hear once",
            |n, _| if n == 0 { ChatReply::Drop } else { Transcript::of("Hi").into() },
            End::Answer(2),
        ),
        seen("refuses the picture", only_blind, End::Answer(2)),
        seen("has no model of vision", only_blind, End::Answer(2)),
        seen("cannot see", |_, _| ChatReply::status(500), End::Apology(TRIES)),
        seen("refuses everything", |_, _| ChatReply::status(400), End::Apology(2 * TRIES)),
    ]
}

fn only_blind(_: usize, request: &ChatRequest) -> ChatReply {
    if request.images().is_empty() { fine() } else { refused(404, "model_not_found") }
}

/// The case that a text names.
fn named(text: &str) -> Option<usize> {
    text.rsplit("case-").next()?.get(..3)?.parse().ok()
}

/// Lets each case have its own model, and counts what that was asked.
fn script(system: &System, cases: &[Case]) -> Arc<Mutex<BTreeMap<usize, usize>>> {
    let counts = Arc::new(Mutex::new(BTreeMap::<usize, usize>::new()));
    let models: Arc<[(Asked, Model)]> = cases.iter().map(|case| (case.asked, case.model)).collect();
    let count = {
        let counts = Arc::clone(&counts);
        move |case: usize| {
            let mut counts = counts.lock().expect("not poisoned");
            let count = counts.entry(case).or_default();
            *count += 1;
            *count - 1
        }
    };
    let (chat_models, chat_count) = (Arc::clone(&models), count.clone());
    system.ai.on_chat(move |request| {
        match named(&request.last_user()).and_then(|case| Some((case, chat_models.get(case)?))) {
            Some((_, (Asked::Voice, _))) | None => fine(),
            Some((case, (Asked::Words | Asked::Picture, model))) => model(chat_count(case), request),
        }
    });
    system.ai.on_transcription_request(move |request| {
        let case = named(&String::from_utf8_lossy(&request.bytes)).expect("a recording of a case");
        let (model, credential) = (request.model.clone(), request.credential.clone());
        let asked = ChatRequest { number: request.number, model, credential, body: Value::Null };
        models[case].1(count(case), &asked)
    });
    counts
}

async fn ask(system: &System, case: &Case, n: usize) {
    let (business, who) = ((case.business)(), customer(n as u64));
    let name = format!("case-{n:03}");
    let content = match case.asked {
        Asked::Words => Content::text(name),
        Asked::Voice => {
            Content::voice(&system.meta.store_media(&business, "audio/ogg; codecs=opus", named_voice_note(&name)))
        }
        Asked::Picture => Content::image(&system.meta.store_media(&business, "image/png", tiny_png()), Some(&name)),
    };
    let message = system.meta.sender(&business).message(&who, content);
    system.meta.sender(&business).deliver(&Body::of(&business, &message).to_json()).await.expect("200");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_provider_does_there_is_one_answer_or_one_apology_for_a_bounded_price() {
    let options = Options::default().with("AI_GIVE_UP_SECS", GIVE_UP).with("ALLOW_INSECURE_TOOLS", "true");
    let mut system = System::start(options).await;
    for text in ["case-0", "number 1", "is ve", SORRY] {
        system.keep_from_logs(text);
    }
    let tools = Host::start(&system.journal).await.expect("a free port");
    tools.on_request(|_| HostReply::json(&json!({"stock": 3})));
    let tool = doc! { "name": "look_up", "description": "Stock.", "url": tools.url() };
    system.update_business(&acme(), doc! { "companion": { "apology": SORRY, "tools": [tool] } }).await;
    system.update_business(&bolt(), doc! { "companion": { "apology": SORRY, "model": "gone-model" } }).await;
    let cases: Vec<Case> = [passing(), lasting(), of_models(), of_media()].into_iter().flatten().collect();
    let counts = script(&system, &cases);
    for (n, case) in cases.iter().enumerate() {
        ask(&system, case, n).await;
    }
    for (n, case) in cases.iter().enumerate() {
        system.answers(&(case.business)(), &customer(n as u64), 1).await;
    }
    system.settled().await;
    // A second answer would come now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let counts = counts.lock().expect("not poisoned").clone();
    for (n, case) in cases.iter().enumerate() {
        let (what, end) = (case.what, case.end);
        let got = system.journal.messages_for(&(case.business)().phone_number_id, customer(n as u64).key());
        let texts: Vec<&str> = got.iter().filter_map(|send| send.text()).collect();
        let calls = counts.get(&n).copied().unwrap_or_default();
        let is_right = match end {
            End::Answer(exactly) => texts == ["ANS fine"] && calls == exactly,
            End::WithoutFile(most) => texts == ["ANS fine"] && (2..=most).contains(&calls),
            End::Apology(most) => texts == [SORRY] && (2..=most).contains(&calls),
        };
        assert!(is_right && got.len() == 1, "a provider that {what}: {texts:?} after {calls} calls, not {end:?}");
    }
    // It is called in the first try; after that there are no tools.
    let looked_up = tools.requests().len();
    assert!((1..=6).contains(&looked_up), "the business's tool was called {looked_up} times for one message");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_provider_that_never_answers_is_told_after_one_question() {
    let system = System::start(Options::default().with("AI_GIVE_UP_SECS", GIVE_UP)).await;
    system.update_business(&acme(), doc! { "companion": { "apology": SORRY } }).await;
    system.ai.on_chat(|_| ChatReply::Hang);
    let begun = Instant::now();
    system.write(&acme(), &customer(0), "hello").await;
    assert_eq!(system.answers(&acme(), &customer(0), 1).await, [SORRY]);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "a call takes ten seconds, for two would be too few for any model"
    );
    system.settled().await;
    assert_eq!(system.journal.chats().len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_costs_its_timeout_until_it_is_passed_over() {
    const FALLBACK: &str = "the-fallback-model";
    let system = System::start(Options::default().with("AI_FALLBACK_CHAT_MODEL", FALLBACK)).await;
    system.ai.on_chat(|request| if request.model == FALLBACK { fine() } else { ChatReply::Hang });
    for n in 0..3 {
        system.write(&acme(), &customer(n), "hello").await;
    }
    for n in 0..3 {
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, ["ANS fine"]);
    }
    system.settled().await;
    let hung = system.journal.chats().len();
    assert_eq!(hung, 6, "each is asked once, and the fallback once for each");
    let begun = Instant::now();
    system.write(&acme(), &customer(3), "hello").await;
    system.answers(&acme(), &customer(3), 1).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "it waits for nobody who does not answer");
    system.settled().await;
    assert_eq!(system.journal.chats().len(), hung + 1);
    assert_eq!(system.journal.accepted().len(), 4);
    system.stop().await;
}
