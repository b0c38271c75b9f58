//! A business's own tools: called with its secret, the model's arguments and the customer's identity, or not at all.

use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use serde_json::json;
use simulator::{Host, ai::ChatReply, host::HostReply};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::harness::{Options, System, acme, bolt, cipher, customer};

const TOOL_SECRET: &str = "key the-secret-of-a-tool";

fn tool(name: &str, url: String) -> Document {
    doc! {
        "name": name,
        "description": "How many there are",
        "parameters": { "type": "object", "properties": { "sku": { "type": "string" } } },
        "url": url,
        "header": { "name": "X-Api-Key", "value": cipher().encrypt(&SecretString::from(TOOL_SECRET)) },
    }
}

/// A system whose model calls the tool that the customer names, and answers with what came of it.
async fn calling(options: Options) -> (System, Host) {
    let mut system = System::start(options).await;
    system.keep_from_logs(TOOL_SECRET);
    let host = Host::start(&system.journal).await.expect("a host");
    host.add_key("acme", &SecretString::from(TOOL_SECRET));
    system.ai.on_chat(|request| match request.tool_results().last() {
        Some(result) => ChatReply::text(format!("ANS {}", result.chars().take(100).collect::<String>())),
        None => ChatReply::tool(request.last_user(), json!({ "sku": "A1", "customer": "somebody else" })),
    });
    (system, host)
}

fn insecure() -> Options {
    Options::default().with("ALLOW_INSECURE_TOOLS", "true")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_gets_its_secret_the_arguments_and_who_asks_and_its_answer_reaches_the_model() {
    let (system, host) = calling(insecure()).await;
    host.on_request(|_| HostReply::json(&json!({ "left": 7 })));
    let tools = doc! { "tools": [tool("check_stock", format!("{}/stock", host.url()))] };
    system.update_business(&acme(), doc! { "companion": tools }).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "check_stock").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, [r#"ANS {"left":7}"#]);
    let requests = host.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/stock"));
    assert_eq!(request.header("x-api-key"), Some("<secret of acme>"));
    let expected = json!({
        "tool": "check_stock",
        "arguments": { "sku": "A1", "customer": "somebody else" },
        "conversation": format!("acme:{}", ana.key()),
        "customer": { "phoneNumber": ana.key(), "userId": null, "name": "Customer 1" },
    });
    let mut body = request.body.clone();
    // It stays the same for the same wish, so that a tool can tell a repetition.
    let key = body.as_object_mut().and_then(|body| body.remove("key"));
    assert!(key.is_some_and(|key| key.as_str().is_some_and(|key| key.len() == 64)), "{}", request.body);
    assert_eq!(body, expected);
    let asked = system.asked(&ana, 2).await;
    assert!(asked.offers_tool("check_stock") && asked.tool_results() == [r#"{"left":7}"#]);
    assert!(!asked.body.to_string().contains(TOOL_SECRET) && !asked.body.to_string().contains(&host.url()));
    // It is no tool of another business's.
    system.write(&bolt(), &ana, "check_stock").await;
    assert_eq!(system.answers(&bolt(), &ana, 1).await, ["ANS Error: there is no such tool"]);
    assert_eq!(host.requests().len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_only_the_worker_can_reach_or_whose_secret_is_lost_is_not_even_offered() {
    let (system, host) = calling(Options::default()).await;
    let tools = doc! { "tools": [tool("check_stock", format!("{}/stock", host.url()))] };
    system.update_business(&acme(), doc! { "companion": tools }).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "check_stock").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS Error: there is no such tool"]);
    assert!(!system.asked(&ana, 1).await.offers_tool("check_stock"));
    assert!(host.requests().is_empty());
    system.stop().await;

    let (system, host) = calling(insecure()).await;
    let mut plain = tool("plain", format!("{}/plain", host.url()));
    plain.insert("header", doc! { "name": "X-Api-Key", "value": "never encrypted" });
    let tools = doc! { "tools": [plain, tool("check_stock", format!("{}/stock", host.url()))] };
    system.update_business(&acme(), doc! { "companion": tools }).await;
    system.write(&acme(), &ana, "plain").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS Error: there is no such tool"]);
    let offered = system.asked(&ana, 1).await;
    assert!(offered.offers_tool("check_stock") && !offered.offers_tool("plain"));
    assert!(host.requests().is_empty());
    system.stop().await;
}

/// Whether a request is here with all of its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// A server whose answer ends in the middle.
async fn breaking_off() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What is not read would reset the connection before the answer is there.
            let (mut request, mut buffer) = (Vec::new(), vec![0; 16 * 1_024]);
            while !is_whole(&request) {
                let Ok(length @ 1..) = stream.read(&mut buffer).await else { break };
                request.extend_from_slice(&buffer[..length]);
            }
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"left\": 7";
            // Whoever is gone needs no answer.
            drop(stream.write_all(answer).await);
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_fails_in_whatever_way_ends_in_an_answer() {
    let (system, host) = calling(insecure()).await;
    let elsewhere = format!("{}/stolen", host.url());
    host.on_request(move |request| match request.path.as_str() {
        "/slow" => HostReply::Hang,
        "/huge" => HostReply::file("text/plain", "x".repeat(1_000_000)),
        "/failing" => HostReply::status(500).with_body("Traceback: password"),
        "/cut" => HostReply::Drop,
        "/moved" => HostReply::redirect(&elsewhere),
        "/empty" => HostReply::status(204),
        _ => HostReply::status(404),
    });
    let names = ["slow", "huge", "failing", "cut", "moved", "empty"];
    let mut tools: Vec<Document> = names.map(|name| tool(name, format!("{}/{name}", host.url()))).into();
    tools.push(tool("broken_off", breaking_off().await));
    tools.push(tool("nobody_there", "http://127.0.0.1:9/".to_owned()));
    system.update_business(&acme(), doc! { "companion": { "tools": tools } }).await;
    let cases = [
        ("slow", "Error: the tool timed out"),
        ("huge", "xxxxxxxxxxxx"),
        ("failing", "Error: the tool answered with HTTP 500"),
        ("cut", "Error: the tool cannot be reached"),
        ("moved", "Error: the tool answered with HTTP 302"),
        ("empty", "Done."),
        ("broken_off", "Error: the tool's answer broke off"),
        ("nobody_there", "Error: the tool cannot be reached"),
    ];
    for (n, (name, _)) in (0..).zip(cases) {
        system.write(&acme(), &customer(n), name).await;
    }
    for (n, (name, result)) in (0..).zip(cases) {
        let answers = system.answers(&acme(), &customer(n), 1).await;
        assert!(answers[0].starts_with(&format!("ANS {result}")), "{name}: {answers:?}");
    }
    let huge = system.asked(&customer(1), 2).await.tool_results();
    assert_eq!(huge[0].len(), 16 * 1_024, "what is beyond goes");
    assert!(host.requests().iter().all(|request| request.path != "/stolen"), "no secret follows a redirect");
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), cases.len());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_calls_tools_without_end_or_sense_answers_in_the_end() {
    let (system, host) = calling(insecure()).await;
    host.on_request(|_| HostReply::json(&json!({ "left": 7 })));
    let tools = doc! { "tools": [tool("check_stock", format!("{}/stock", host.url()))] };
    system.update_business(&acme(), doc! { "companion": tools }).await;
    let (ana, eva) = (customer(1), customer(2));
    system.ai.on_chat(|request| {
        let must_speak = request.body["tool_choice"] == "none";
        match request.last_user().as_str() {
            _ if must_speak => ChatReply::text(format!("ANS after {} calls", request.tool_results().len())),
            "endless" => ChatReply::tools(vec![simulator::ai::ToolCall::new("check_stock", json!({})); 3]),
            "senseless" if !request.follows_tool() => ChatReply::tools([
                simulator::ai::ToolCall::raw("check_stock", "{\"sku\": "),
                simulator::ai::ToolCall::new("delete_all", json!({})),
            ]),
            _ => ChatReply::text(format!("ANS {}", request.tool_results().join(" / "))),
        }
    });
    system.write(&acme(), &ana, "endless").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS after 12 calls"]);
    assert_eq!(host.requests().len(), 6, "a tool is called six times for one answer at most");
    system.write(&acme(), &eva, "senseless").await;
    let problem = "ANS Error: the arguments are not valid JSON (line 1, column 8) / Error: there is no such tool";
    assert_eq!(system.answers(&acme(), &eva, 1).await, [problem]);
    system.stop().await;
}
