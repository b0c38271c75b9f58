//! Buttons, lists and places: what the model offers reaches the customer, and what the customer taps reaches the model.

use mongodb::bson::doc;
use serde_json::{Value, json};
use simulator::{
    ai::{ChatReply, ChatRequest, ToolCall},
    journal::GraphSend,
    meta::{Fault, Refusal, Where},
    webhook::Content,
};

use super::harness::{Options, System, acme, bolt, customer};

fn offer(choices: &Value) -> ToolCall {
    ToolCall::new("offer_choices", json!({ "text": "Which **size**?", "choices": choices, "button": "Sizes" }))
}

fn titles(send: &GraphSend) -> Vec<String> {
    let at = |pointer: &str| send.body.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let buttons = at("/interactive/action/buttons");
    let rows = at("/interactive/action/sections/0/rows");
    let titled =
        buttons.iter().filter_map(|button| button.pointer("/reply/title")).chain(rows.iter().map(|row| &row["title"]));
    titled.map(|title| title.as_str().expect("text").to_owned()).collect()
}

fn kind(send: &GraphSend) -> &str {
    send.body.pointer("/interactive/type").and_then(Value::as_str).unwrap_or(&send.message_type)
}

/// What the model of these tests does with each question.
fn offering(request: &ChatRequest) -> ChatReply {
    let many: Vec<String> = (1..=11).map(|n| format!("Size {n}")).collect();
    let described = json!([{ "title": "Small", "description": "20 cm" }, { "title": "Large", "description": "40 cm" }]);
    let call = |choices: &Value| ChatReply::tools([offer(choices)]);
    match (request.last_user().as_str(), request.follows_tool()) {
        ("buttons" | "refused", _) => call(&json!([{ "title": "Small" }, "Large"])),
        ("list", _) => call(&json!(many[..4])),
        ("described", _) => call(&described),
        ("words beside", _) => {
            ChatReply::ToolCalls { text: Some("We have two.".to_owned()), calls: vec![offer(&described)] }
        }
        ("too many", false) => call(&json!(many)),
        ("too many", true) if request.tool_results().len() == 1 => call(&json!([{ "title": "x".repeat(30) }])),
        ("too many", true) => call(&json!(many[..10])),
        (other, _) => ChatReply::text(format!("ANS {other}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_offered_becomes_buttons_or_a_list_and_a_tap_is_answered() {
    let system = System::start(Options::default()).await;
    system.ai.on_chat(offering);
    let ten: Vec<String> = (1..=10).map(|n| format!("Size {n}")).collect();
    let two = vec!["Small".to_owned(), "Large".to_owned()];
    let cases = [
        ("buttons", "button", two.clone(), 1),
        ("list", "list", ten[..4].to_vec(), 1),
        ("described", "list", two.clone(), 1),
        ("words beside", "list", two.clone(), 1),
        // Two offers that WhatsApp would refuse go back to the model.
        ("too many", "list", ten, 3),
    ];
    for (n, (question, ..)) in (0..).zip(&cases) {
        system.write(&acme(), &customer(n), question).await;
    }
    for (n, (question, form, offered, calls)) in (0..).zip(cases) {
        let who = customer(n);
        let count = if question == "words beside" { 2 } else { 1 };
        let received = system.received(&acme(), &who, count).await;
        if count == 2 {
            assert_eq!(received[0].text(), Some("We have two."));
        }
        let last = received.last().expect("an offer");
        assert_eq!((kind(last), titles(last)), (form, offered), "{question}");
        assert_eq!(last.words(), Some("Which *size*?"), "{question}");
        let asked = system.asked(&who, calls).await;
        assert_eq!(asked.tool_results().iter().filter(|result| result.starts_with("Error: ")).count(), calls - 1);
    }
    system.settled().await;
    assert_eq!(system.journal.chats().len(), 7, "an offer is an answer");
    let tap = Content::button_reply("choice-1", "Small");
    system.send(&acme(), &customer(0), tap).await;
    system.received(&acme(), &customer(0), 2).await;
    let asked = system.asked(&customer(0), 2).await;
    assert_eq!(asked.last_user(), "[The customer pressed the button:] Small");
    assert_eq!(asked.texts("assistant"), ["Which *size*?\n\n- Small\n- Large"], "the model knows what it offered");
    system.send(&acme(), &customer(2), Content::list_reply("choice-2", "Large", "40 cm")).await;
    let answers = system.answers(&acme(), &customer(2), 1).await;
    assert_eq!(answers, ["ANS [The customer chose from the list:] Large (40 cm)"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_refuses_as_a_form_goes_as_text_once() {
    let system = System::start(Options::default()).await;
    let places =
        doc! { "locations": [{ "name": "Shop", "address": "1 High Street", "latitude": 51.5, "longitude": -0.12 }] };
    system.update_business(&acme(), doc! { "companion": places }).await;
    system.ai.on_chat(|request| match request.last_user().as_str() {
        "where" => ChatReply::ToolCalls {
            text: Some("Here:".to_owned()),
            calls: vec![ToolCall::new("send_location", json!({ "name": "Shop" }))],
        },
        _ => offering(request),
    });
    let (ana, eva) = (customer(1), customer(2));
    system.meta.faults().next(Where::any().to(ana.key()), Fault::Refuse(Refusal::code(131_009)));
    let invalid = Fault::Refuse(Refusal::code(131_009));
    system.meta.faults().schedule(Where::any().to(eva.key()), [None, Some(invalid)]);
    system.write(&acme(), &ana, "refused").await;
    system.write(&acme(), &eva, "where").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["Which *size*?\n\n- Small\n- Large"]);
    let map = "Shop\n1 High Street\nhttps://maps.google.com/?q=51.5,-0.12";
    assert_eq!(system.answers(&acme(), &eva, 2).await, ["Here:", map]);
    system.settled().await;
    let tried: Vec<_> = system
        .journal
        .sends()
        .iter()
        .filter(|send| send.customer() == ana.key())
        .map(|send| send.message_type.clone())
        .collect();
    assert_eq!(tried, ["interactive", "text"]);
    assert_eq!(system.journal.accepted().len(), 3);
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);
    // Where even the text is refused, that is the end of it.
    let kim = customer(3);
    system.meta.faults().always(Where::any().to(kim.key()), Fault::Refuse(Refusal::code(131_009)));
    system.write(&acme(), &kim, "refused").await;
    system.wait_for_document("dead_letters", doc! { "reason": "refused" }).await;
    system.settled().await;
    assert_eq!(system.journal.sends().iter().filter(|send| send.customer() == kim.key()).count(), 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_shown_behind_the_words_and_only_one_of_the_businesss_own() {
    let system = System::start(Options::default()).await;
    let places = doc! { "locations": [
        { "name": "Shop", "address": "1 High Street", "latitude": 51.5, "longitude": -0.12 },
        { "name": "Depot", "latitude": 52.5, "longitude": 13.4 },
    ] };
    system.update_business(&acme(), doc! { "companion": places }).await;
    system.ai.on_chat(|request| match (request.last_user().as_str(), request.tool_results().last()) {
        // The model makes up where the place is, and a place that there is not.
        ("shop", _) => ChatReply::ToolCalls {
            text: Some("We are here:".to_owned()),
            calls: vec![ToolCall::new("send_location", json!({ "name": "shop", "latitude": 9, "longitude": 9 }))],
        },
        ("elsewhere", None) => ChatReply::tool("send_location", json!({ "name": "Mars" })),
        ("elsewhere", Some(result)) if result.starts_with("Error: ") => ChatReply::text(format!("ANS {result}")),
        ("both", None) => {
            ChatReply::tools(["Shop", "Depot"].map(|name| ToolCall::new("send_location", json!({ "name": name }))))
        }
        ("both", Some(_)) => ChatReply::text("ANS both"),
        (other, _) => ChatReply::text(format!("ANS {other}")),
    });
    let (ana, eva, kim, bob) = (customer(1), customer(2), customer(3), customer(4));
    system.write(&acme(), &ana, "shop").await;
    let received = system.received(&acme(), &ana, 2).await;
    assert_eq!(received[0].text(), Some("We are here:"));
    let place = json!({ "latitude": 51.5, "longitude": -0.12, "name": "Shop", "address": "1 High Street" });
    assert_eq!(received[1].body["location"], place);
    assert!(system.asked(&ana, 1).await.offers_tool("send_location"));

    system.write(&acme(), &eva, "elsewhere").await;
    let problem = "ANS Error: `name` must be one of the places that the tool lists";
    assert_eq!(system.answers(&acme(), &eva, 1).await, [problem]);

    system.write(&acme(), &kim, "both").await;
    let received = system.received(&acme(), &kim, 3).await;
    let types: Vec<&str> = received.iter().map(|send| send.message_type.as_str()).collect();
    assert_eq!(types, ["text", "location", "location"]);
    assert_eq!(
        (received[1].body["location"]["name"].clone(), received[2].body["location"]["name"].clone()),
        (json!("Shop"), json!("Depot"))
    );

    // A business without places has no such tool, whatever its model believes.
    system.write(&bolt(), &bob, "elsewhere").await;
    assert_eq!(
        system.answers(&bolt(), &bob, 1).await,
        ["ANS Error: `name` must be one of the places that the tool lists"]
    );
    assert!(!system.asked(&bob, 1).await.offers_tool("send_location"));
    system.settled().await;
    assert!(system.received(&bolt(), &bob, 1).await.iter().all(|send| send.message_type == "text"));
    system.stop().await;
}
