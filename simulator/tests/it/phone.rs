//! The phone page over HTTP: what it takes and from whom, what leaves as webhooks, what it tells, what it remembers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Ai, AiOptions, Business, Customer, Meta, MetaOptions, Phone, PhoneBusiness, PhoneOptions, Seed, meta::StatusPlan,
    phone::Backstage,
};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::setup::{ANA, Received, SECRET, SOON, client, receiver, send};

const TOKEN: &str = "token-of-acme";

/// A running page, with the receiver of what it posts.
struct Page {
    url: String,
    meta: Arc<Meta>,
    ai: Arc<Ai>,
    phone: Phone,
    received: UnboundedReceiver<Received>,
}

async fn page(answers: &[u16], file: Option<PathBuf>) -> Page {
    let (webhook_url, received) = receiver(answers).await;
    let options = MetaOptions { seed: Seed::random(), ..MetaOptions::default() };
    let meta = Meta::start(options.with_app_secret(SECRET).with_webhook_url(webhook_url)).await.expect("a free port");
    let ai = Ai::start(AiOptions::default().with_journal(meta.journal())).await.expect("a free port");
    let businesses = [Business::new("acme", "1001"), Business::new("bolt", "2002")];
    businesses.iter().for_each(|business| meta.register(business.clone()));
    let options = PhoneOptions {
        businesses: businesses.map(PhoneBusiness::new).into(),
        backstage: Some(Arc::new(Stage)),
        file,
        ..PhoneOptions::default()
    };
    let (meta, ai) = (Arc::new(meta), Arc::new(ai));
    let phone = Phone::new(options, meta.clone(), Some(ai.clone())).expect("a page");
    let addr = phone.serve(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    Page { url: format!("http://{addr}"), meta, ai, phone, received }
}

/// Tells whom it was asked about.
struct Stage;

#[async_trait]
impl Backstage for Stage {
    async fn conversation(&self, phone_number_id: &str, customer: &Customer) -> Option<Value> {
        Some(json!({"number": phone_number_id, "hidden": customer.wa_id.is_none()}))
    }
}

impl Page {
    async fn post(&self, path: &str, body: &Value) -> u16 {
        let request = client().post(format!("{}{path}", self.url)).header("origin", &self.url);
        request.json(body).send().await.expect("an answer").status().as_u16()
    }

    async fn say(&self, content: Value) -> u16 {
        self.say_as(json!({"number": ANA, "name": "Ana"}), content).await
    }

    async fn say_as(&self, person: Value, content: Value) -> u16 {
        self.post("/phone/messages", &json!({"business": "1001", "person": person, "content": content})).await
    }

    async fn turn(&self, switch: &str, on: bool) {
        assert_eq!(self.post("/phone/faults", &json!({"switch": switch, "on": on})).await, 204);
    }

    /// The next customer's message that is posted.
    async fn message(&mut self) -> Value {
        loop {
            let post = tokio::time::timeout(SOON, self.received.recv()).await.expect("in time").expect("a post");
            assert!(shared::signature::verify(&[SecretString::from(SECRET)], &post.signature, &post.bytes));
            if let Some(message) = post.json().pointer("/entry/0/changes/0/value/messages/0") {
                return message.clone();
            }
        }
    }

    async fn listen(&self, last: Option<&str>) -> Listening {
        let mut request = client().get(format!("{}/phone/events?number={ANA}", self.url));
        request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Listening { response, buffer: String::new() }
    }

    async fn answer(&self, text: &str) -> (u16, Value) {
        send(&self.meta, "1001", TOKEN, &crate::setup::text(text)).await
    }

    async fn stop(self) {
        self.phone.stop().await;
        self.meta.stop().await;
        self.ai.stop().await;
    }
}

/// A browser that follows.
struct Listening {
    response: reqwest::Response,
    buffer: String,
}

impl Listening {
    /// The next event: its id, its name, its data.
    async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let line =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
                let found = (line("id:").to_owned(), line("event:").to_owned(), line("data:").to_owned());
                self.buffer = rest.to_owned();
                if !found.1.is_empty() {
                    return (found.0, found.1, serde_json::from_str(&found.2).expect("JSON"));
                }
                continue;
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await.expect("in time").expect("a stream");
            self.buffer.push_str(&String::from_utf8_lossy(&chunk.expect("it has not ended")));
        }
    }

    /// The next event of this name for which this holds.
    async fn until(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> (String, Value) {
        loop {
            let (id, event, data) = self.next().await;
            if event == name && holds(&data) {
                return (id, data);
            }
        }
    }

    /// The events of this name before all is told.
    async fn told(&mut self, name: &str) -> Vec<Value> {
        let mut told = Vec::new();
        loop {
            let (_, event, data) = self.next().await;
            match event.as_str() {
                "ready" => return told,
                event if event == name => told.push(data),
                _ => {}
            }
        }
    }
}

fn words(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[tokio::test]
async fn what_a_person_writes_is_a_signed_webhook_and_what_the_business_sends_appears() {
    let mut page = page(&[], None).await;
    let mut live = page.listen(None).await;
    assert_eq!(page.say(words("Grüße *Ana*")).await, 202);
    let posted = page.message().await;
    assert_eq!((&posted["from"], &posted["text"]["body"]), (&json!(ANA), &json!("Grüße *Ana*")));
    live.until("message", |message| message["id"] == posted["id"] && !message["taken"].is_null()).await;
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": posted["id"], "typing_indicator": {"type": "text"}});
    send(&page.meta, "1001", TOKEN, &read).await;
    live.until("typing", |typing| !typing["until"].is_null()).await;
    page.answer("Hello Ana").await;
    let (_, answer) = live.until("message", |message| message["from"] == "business").await;
    assert_eq!((&answer["chat"], &answer["body"]["text"]["body"]), (&json!("1001"), &json!("Hello Ana")));
    live.until("message", |message| message["reported"] == "delivered").await;
    let told = page.listen(None).await.told("scene").await;
    let webhook = told.iter().find(|scene| scene["what"] == "webhook").expect("the webhook");
    assert!(webhook["signature"].as_str().is_some_and(|signature| signature.starts_with("sha256=")));
    assert_eq!((&webhook["http"], &webhook["tries"][0]["http"]), (&json!(200), &json!(200)));
    assert!(told.iter().any(|scene| scene["what"] == "graph" && scene["title"] == "Message: text"));
    page.stop().await;
}

#[tokio::test]
async fn what_is_written_while_an_answer_is_on_its_way_is_answered_by_a_later_one() {
    let mut page = page(&[], None).await;
    let mut live = page.listen(None).await;
    let read = |id: &Value| json!({"messaging_product": "whatsapp", "status": "read", "message_id": id});
    let mut ids = Vec::new();
    for text in ["One", "Two"] {
        assert_eq!(page.say(words(text)).await, 202);
        ids.push(page.message().await["id"].clone());
        if text == "One" {
            send(&page.meta, "1001", TOKEN, &read(&ids[0])).await;
        }
    }
    for (answer, id) in ["To one", "To two"].iter().zip(&ids) {
        page.answer(answer).await;
        live.until("message", |message| message["id"] == *id && !message["answered"].is_null()).await;
        let told = page.listen(None).await.told("message").await;
        let last = told.iter().find(|message| message["id"] == ids[1]).expect("it is there");
        assert_eq!(last["answered"].is_null(), *id == ids[0], "{last}");
        send(&page.meta, "1001", TOKEN, &read(&ids[1])).await;
    }
    page.stop().await;
}

#[tokio::test]
async fn a_browser_that_comes_back_hears_what_it_missed_and_nothing_twice() {
    let mut page = page(&[], None).await;
    page.say(words("One")).await;
    page.message().await;
    let mut live = page.listen(None).await;
    let (last, _) = live.until("message", |message| !message["taken"].is_null()).await;
    drop(live);
    page.say(words("Two")).await;
    let told = page.listen(Some(&last)).await.told("message").await;
    assert_eq!(told.iter().map(|message| &message["body"]["text"]["body"]).collect::<Vec<_>>(), ["Two"]);
    let mut stranger = page.listen(Some("another-run.999")).await;
    let (_, name, hello) = stranger.next().await;
    assert_eq!((name.as_str(), hello), ("hello", json!({"fresh": true})));
    assert_eq!(stranger.told("message").await.len(), 2);
    page.stop().await;
}

#[tokio::test]
async fn only_the_page_itself_under_a_known_name_may_ask() {
    let page = page(&[], None).await;
    let body = json!({"business": "1001", "person": {"number": ANA}, "content": words("Hello")});
    let post = |origin: &'static str| client().post(format!("{}/phone/messages", page.url)).header("origin", origin);
    for origin in ["http://evil.test", "null"] {
        assert_eq!(post(origin).json(&body).send().await.expect("an answer").status(), 403, "{origin}");
    }
    let silent = client().post(format!("{}/phone/messages", page.url)).json(&body);
    assert_eq!(silent.send().await.expect("an answer").status(), 403);
    for path in ["/", "/phone/setup", "/phone/events?number=4915112345678"] {
        let rebound = client().get(format!("{}{path}", page.url)).header("host", "evil.test");
        assert_eq!(rebound.send().await.expect("an answer").status(), 403, "{path}");
    }
    assert!(page.meta.journal().posts().is_empty(), "nothing was posted");
    let index = client().get(&page.url).send().await.expect("an answer");
    assert_eq!(index.status(), 200);
    let policy = index.headers()["content-security-policy"].to_str().expect("ASCII");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(index.headers()["x-content-type-options"], "nosniff");
    assert_eq!(index.headers()["referrer-policy"], "no-referrer");
    page.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let page = page(&[], None).await;
    for content in [words(" "), words(&"x".repeat(4097)), json!({"type": "location", "latitude": 91, "longitude": 0})] {
        assert_eq!(page.say(content).await, 400);
    }
    assert_eq!(page.say(json!({"type": "choice", "message": "wamid.X", "choice": "yes"})).await, 400);
    assert_eq!(page.say_as(json!({"number": "12"}), words("Hello")).await, 400);
    let html = client().post(format!("{}/phone/files?business=1001&number={ANA}", page.url));
    let html = html.header("origin", &page.url).header("content-type", "text/html").body("<script>");
    assert_eq!(html.send().await.expect("an answer").status(), 400);
    let huge = client().post(format!("{}/phone/files?business=1001&number={ANA}", page.url));
    let huge = huge.header("origin", &page.url).header("content-type", "image/png").body(vec![0; 17 * 1024 * 1024]);
    // The server may hang up before it has read all of it.
    assert!(huge.send().await.is_ok_and(|answer| answer.status() == 413) || page.meta.journal().posts().is_empty());
    page.stop().await;
}

#[tokio::test]
async fn who_hides_the_number_is_a_user_id_and_still_gets_the_answer() {
    let mut page = page(&[], None).await;
    let mut live = page.listen(None).await;
    page.say_as(json!({"number": ANA, "name": "Ana", "hidden": true}), words("Guess who")).await;
    let posted = page.message().await;
    assert!(posted.get("from").is_none(), "{posted}");
    let body = json!({"messaging_product": "whatsapp", "recipient": posted["from_user_id"], "type": "text", "text": {"body": "Hello you"}});
    assert_eq!(send(&page.meta, "1001", TOKEN, &body).await.0, 200);
    live.until("message", |message| message["body"]["text"]["body"] == "Hello you").await;
    let asked = client().get(format!("{}/phone/conversation?business=1001&number={ANA}", page.url));
    let known: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(known, json!({"number": "1001", "hidden": true}));
    page.stop().await;
}

#[tokio::test]
async fn a_choice_answers_the_message_that_offered_it() {
    let mut page = page(&[], None).await;
    page.say(words("Hello")).await;
    page.message().await;
    let rows = json!([{"rows": [{"id": "mon", "title": "Monday", "description": "9 to 18"}]}]);
    let list = json!({"type": "list", "body": {"text": "When?"}, "action": {"button": "Days", "sections": rows}});
    let body =
        json!({"messaging_product": "whatsapp", "to": format!("+{ANA}"), "type": "interactive", "interactive": list});
    let (_, answer) = send(&page.meta, "1001", TOKEN, &body).await;
    let wamid = answer["messages"][0]["id"].clone();
    assert_eq!(page.say(json!({"type": "choice", "message": wamid, "choice": "sun"})).await, 400);
    assert_eq!(page.say(json!({"type": "choice", "message": wamid, "choice": "mon"})).await, 202);
    let posted = page.message().await;
    assert_eq!(posted["interactive"]["list_reply"], json!({"id": "mon", "title": "Monday", "description": "9 to 18"}));
    assert_eq!(posted["context"]["id"], wamid);
    page.stop().await;
}

#[tokio::test]
async fn a_voice_message_of_the_business_can_be_played_from_any_place() {
    let mut page = page(&[], None).await;
    page.say(words("Hello")).await;
    page.message().await;
    let upload = client().post(format!("{}/1001/media", page.meta.graph_url())).bearer_auth(TOKEN);
    let note = simulator::ai::silent_voice_note();
    let upload = upload.header("content-type", "audio/ogg; codecs=opus").body(note.clone());
    let uploaded: Value = upload.send().await.expect("an answer").json().await.expect("JSON");
    let audio = json!({"id": uploaded["id"], "voice": true});
    let body = json!({"messaging_product": "whatsapp", "to": format!("+{ANA}"), "type": "audio", "audio": audio});
    assert_eq!(send(&page.meta, "1001", TOKEN, &body).await.0, 200);
    let url = format!("{}/phone/media/{}", page.url, uploaded["id"].as_str().expect("an id"));
    let part = client().get(url).header("range", "bytes=4-9").send().await.expect("an answer");
    assert_eq!((part.status().as_u16(), &part.headers()["content-type"]), (206, &"audio/ogg".parse().expect("valid")));
    assert_eq!(part.bytes().await.expect("bytes"), note[4..10]);
    let told = page.listen(None).await.told("scene").await;
    assert!(told.iter().any(|scene| scene["title"].as_str().is_some_and(|title| title.starts_with("Upload of"))));
    page.stop().await;
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_owes_nothing_any_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("chats.jsonl");
    let (media, lost) = first_run(&file).await;
    let mut page = page(&[], Some(file)).await;
    let told = page.listen(None).await.told("message").await;
    let texts: Vec<_> = told.iter().filter_map(|message| message["body"]["text"]["body"].as_str()).collect();
    assert!(["Taken", "Answer", "Not taken"].iter().all(|text| texts.contains(text)), "{texts:?}");
    let reposted = page.message().await;
    assert_eq!((&reposted["id"], &reposted["text"]["body"]), (&json!(lost), &json!("Not taken")));
    let journal = page.meta.journal().clone();
    let reported = || {
        journal
            .webhook_posts()
            .iter()
            .flat_map(|post| post.updates.clone())
            .filter_map(|u| u.status)
            .collect::<Vec<_>>()
    };
    journal.wait_until(|_| reported().contains(&"delivered".to_owned()), SOON).await.expect("the status");
    assert_eq!(page.meta.media(&media).expect("the picture").mime_type, "image/png");
    let picture = client().get(format!("{}/phone/media/{media}", page.url)).send().await.expect("an answer");
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert_eq!(picture.headers()["content-security-policy"], "default-src 'none'; sandbox");
    page.stop().await;
}

/// Leaves a picture, a message that was answered without a status, and one that was not taken; gives the picture's id
/// and that of the last message.
async fn first_run(file: &Path) -> (String, String) {
    let answers: Vec<u16> = [200, 200].into_iter().chain([503; 200]).collect();
    let mut page = page(&answers, Some(file.to_owned())).await;
    page.meta.report(StatusPlan::silent());
    page.say(words("Taken")).await;
    page.message().await;
    let picture = client().post(format!("{}/phone/files?business=1001&number={ANA}&caption=Look", page.url));
    let picture = picture.header("origin", &page.url).header("content-type", "image/png");
    let png = simulator::files::tiny_png();
    assert_eq!(picture.body(png).send().await.expect("an answer").status(), 202);
    let media = page.message().await["image"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(page.answer("Answer").await.0, 200);
    page.say(words("Not taken")).await;
    let lost = page.message().await["id"].as_str().expect("an id").to_owned();
    page.stop().await;
    (media, lost)
}

#[tokio::test]
async fn a_duplicate_is_two_posts_of_one_message() {
    let mut page = page(&[], None).await;
    let mut live = page.listen(None).await;
    page.turn("duplicate", true).await;
    page.say(words("Twice")).await;
    assert_eq!(page.message().await["id"], page.message().await["id"]);
    page.answer("Once").await;
    let seen = |faults: &Value| faults["switches"][0]["seen"].clone();
    let (_, faults) = live.until("faults", |faults| seen(faults)["answers"] == 1).await;
    assert_eq!(
        (&seen(&faults)["hits"], &seen(&faults)["messages"], &seen(&faults)["repeated"]),
        (&json!(2), &json!(1), &json!(0))
    );
    page.answer("Once").await;
    live.until("faults", |faults| seen(faults)["repeated"] == 1).await;
    page.stop().await;
}

#[tokio::test]
async fn the_switches_do_to_graph_and_the_ai_what_they_say() {
    let mut page = page(&[], None).await;
    page.say(words("Hello")).await;
    page.message().await;
    page.turn("throttle", true).await;
    let codes = [page.answer("a").await.1, page.answer("b").await.1].map(|answer| answer["error"]["code"].clone());
    assert_eq!(codes, [json!(131_056), json!(130_429)]);
    page.turn("throttle", false).await;
    page.turn("refuse_token", true).await;
    assert_eq!(page.answer("c").await.1["error"]["code"], 190);
    page.turn("refuse_token", false).await;
    page.turn("lose_answer", true).await;
    let request = client().post(format!("{}/1001/messages", page.meta.graph_url())).bearer_auth(TOKEN);
    assert!(request.json(&crate::setup::text("d")).send().await.is_err(), "the connection is cut");
    assert_eq!(page.answer("e").await.0, 200, "it is lost once");
    let faults = page.listen(None).await.told("faults").await;
    assert_eq!(faults[0]["switches"][1]["seen"]["hits"], 1);
    page.turn("ai_down", true).await;
    let ask = || client().post(format!("{}/chat/completions", page.ai.url()));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(ask().json(&body).send().await.expect("an answer").status(), 503);
    page.turn("ai_down", false).await;
    assert_eq!(ask().json(&body).send().await.expect("an answer").status(), 200);
    page.stop().await;
}

#[tokio::test]
async fn a_webhook_that_is_not_taken_shows_why_and_is_posted_again() {
    let mut page = page(&[503], None).await;
    let mut live = page.listen(None).await;
    page.say(words("Hello")).await;
    live.until("message", |message| message["trouble"] == "HTTP 503" && message["taken"].is_null()).await;
    assert_eq!(page.message().await["id"], page.message().await["id"]);
    live.until("message", |message| !message["taken"].is_null() && message["trouble"].is_null()).await;
    page.stop().await;
}
