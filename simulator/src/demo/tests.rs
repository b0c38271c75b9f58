//! The demo as a worker meets it: requests, and the words and calls that come back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::journal::Credential;

const BIKES: &str = "\
You write for Harbour Bikes on WhatsApp. You are Kim.
City bikes cost 18 EUR a day, helmets are free.
Talk only about: bikes. Decline anything else politely, and say what you can help with.
Write in this language: English.
Write like a person in a chat: short.
It is Tuesday, 21 July 2026, 14:05 (UTC). The business is open now and closes today at 18:00. Its opening hours: Mon-Sat 09:00-18:00, Sun closed.
What the business says about itself:
## Deposit
50 EUR for each bike, given back with the bike.

## Routes
The harbour loop has 14 km and is flat.
What you have learned about this customer (id: data):
- f1: \"is called Ana\"
- f2: \"is allergic to nuts\"";

fn tools() -> Value {
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let places = json!({"type": "object", "properties": {"name": {"enum": ["Hire desk", "Lighthouse kiosk"]}}});
    json!([
        tool("remember", json!({})),
        tool("hand_over_to_human", json!({})),
        tool("offer_choices", json!({})),
        tool("send_location", places),
    ])
}

fn request(body: Value) -> ChatRequest {
    ChatRequest { number: 0, model: String::new(), credential: Credential::Missing, body }
}

/// A chat that has begun: the demo has introduced itself.
fn asking(system: &str, earlier: &[&str], newest: &str) -> Value {
    let mut messages = vec![json!({"role": "system", "content": system})];
    for line in earlier {
        messages.push(json!({"role": "user", "content": line}));
        messages.push(json!({"role": "assistant", "content": "…"}));
    }
    messages.push(json!({"role": "user", "content": newest}));
    json!({"messages": messages, "tools": tools()})
}

/// The words and the calls of a reply, of which it is nothing else.
fn parts(reply: ChatReply) -> (Option<String>, Vec<ToolCall>) {
    if let ChatReply::ToolCalls { text, calls } = reply {
        assert!(!calls.is_empty());
        return (text, calls);
    }
    let ChatReply::Text(text) = reply else { panic!("neither words nor calls: {reply:?}") };
    (Some(text), Vec::new())
}

fn said(reply: ChatReply) -> String {
    let (text, calls) = parts(reply);
    assert_eq!(calls, []);
    text.expect("words")
}

fn says(newest: &str) -> String {
    said(answer(&request(asking(BIKES, &["Hello"], newest))))
}

fn calls(body: &Value) -> (Option<String>, Vec<ToolCall>) {
    parts(answer(&request(body.clone())))
}

/// What is said once each call has had its result.
fn after(mut body: Value, results: &[&str]) -> String {
    let (text, calls) = calls(&body);
    assert_eq!(calls.len(), results.len());
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.push(json!({"role": "assistant", "content": text, "tool_calls": []}));
    messages.extend(results.iter().map(|result| json!({"role": "tool", "tool_call_id": "1", "content": result})));
    said(answer(&request(body)))
}

#[test]
fn first_it_greets_for_the_business_and_says_that_it_is_no_ai_and_then_never_again() {
    let system = format!("{BIKES}\nThis customer writes for the first time. Begin with this greeting: Welcome!");
    let first = said(answer(&request(asking(&system, &[], "And do you have helmets?"))));
    assert_eq!(
        first,
        "Welcome! I am the built-in demo, not an AI: ask about “Deposit”, “Routes” or “Opening hours”, tell me \
         your name, or write “menu”. Harbour Bikes says: “City bikes cost 18 EUR a day, helmets are free.”"
    );
    assert!(!says("And do you have helmets?").contains("demo"));
    assert!(says("Are you a human?").contains("neither a person nor an AI"));
}

#[test]
fn what_is_said_comes_from_the_business_or_not_at_all() {
    assert_eq!(
        says("How much is the deposit?"),
        "Harbour Bikes says: “50 EUR for each bike, given back with the bike.”"
    );
    let nothing = says("What is the capital of France?");
    assert!(nothing.starts_with("I find nothing about that") && nothing.contains("“Routes”"), "{nothing}");
    assert_eq!(says("Are you open on Sunday?"), "We are open now. Our opening hours: Mon-Sat 09:00-18:00, Sun closed.");
}

#[test]
fn what_was_said_before_is_remembered() {
    let asked =
        |newest| said(answer(&request(asking(BIKES, &["Any routes?", "[The customer sent a sticker.]"], newest))));
    assert_eq!(asked("What did I say?"), "Before this you wrote “Any routes?”.");
    assert!(asked("Any routes?").starts_with("As I said before, Harbour Bikes says:"));
    assert!(asked("And how long?").starts_with("If you still mean “Any routes?”: Harbour Bikes says:"));
}

#[test]
fn facts_are_noted_by_the_tool_and_the_answer_goes_by_what_came_of_it() {
    let body = asking(BIKES, &["Hello"], "My name is Bo and I am allergic to fish.");
    let (text, wanted) = calls(&body);
    assert_eq!(text, None);
    let arguments: Vec<&Value> = wanted.iter().map(|call| &call.arguments).collect();
    assert_eq!(
        arguments,
        [&json!({"fact": "is called Bo", "replaces": "f1"}), &json!({"fact": "is allergic to fish"})]
    );
    let words = after(body, &["Done.", "Error: no"]);
    assert_eq!(
        words,
        "I have noted “is called Bo”. I could not note that now. In our next chat I shall still know it."
    );
    assert_eq!(
        says("What do you know about me?"),
        "In my notes about you it says: “is called Ana” and “is allergic to nuts”."
    );
    assert!(says("Hello!").starts_with("Hello, Ana!"));
}

#[test]
fn a_fact_is_dropped_where_there_is_one() {
    let dropped =
        |newest| calls(&asking(BIKES, &["Hello"], newest)).1.iter().map(|call| call.arguments.clone()).collect();
    let one: Vec<Value> = dropped("Forget that I am allergic to nuts");
    assert_eq!(one, [json!({"forget": "f2"})]);
    assert_eq!(one.len(), dropped("forget my name").len());
    assert_eq!(dropped("Forget everything"), [json!({"forget": "f1"}), json!({"forget": "f2"})]);
    assert!(says("Forget that I like tea").starts_with("I have no note"));
}

#[test]
fn a_menu_is_offered_to_tap_and_each_choice_has_its_answer() {
    let (text, wanted) = calls(&asking(BIKES, &["Hello"], "Menu"));
    assert_eq!(text, None);
    let call = wanted.first().expect("one");
    let titles: Vec<&str> =
        call.arguments["choices"].as_array().expect("a list").iter().filter_map(|c| c["title"].as_str()).collect();
    assert_eq!(
        titles,
        ["Deposit", "Routes", "Opening hours", "Where we are", "What I know of you", "Talk to a person"]
    );
    for title in titles {
        let chosen = format!("[The customer chose from the list:] {title} (and more)");
        let (words, wanted) = calls(&asking(BIKES, &["Menu"], &chosen));
        assert!(words.is_none_or(|words| !words.contains("nothing")), "{title}");
        assert!(wanted.iter().all(|call| call.name != "offer_choices"), "{title}");
    }
    let words = after(asking(BIKES, &["Hello"], "Menu"), &["Error: no"]);
    assert!(words.starts_with("Ask about “Deposit”"), "{words}");
}

#[test]
fn a_place_is_shown_by_its_name_and_a_person_called() {
    let (_, one) = calls(&asking(BIKES, &["Hello"], "Where is the kiosk?"));
    assert_eq!(one, [ToolCall::new("send_location", json!({"name": "Lighthouse kiosk"}))]);
    assert_eq!(calls(&asking(BIKES, &["Hello"], "Where are you?")).1.len(), 2);
    assert!(says("Where is the harbour loop?").contains("14 km"));
    let words = after(asking(BIKES, &["Hello"], "I want to talk to a human"), &["Done: a person."]);
    assert!(words.starts_with("A person at Harbour Bikes goes on from here"), "{words}");
}

#[test]
fn several_messages_get_one_answer_and_what_is_no_text_a_kind_word() {
    let words =
        says("[The customer shared a location:] Café (1, 2)\nDo you have helmets?\n[The customer sent a sticker.]");
    for part in ["I see where you are: Café (1, 2).", "helmets are free", "sticker"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let unheard = says("[The customer sent a voice message of 4 s, which nobody here can hear.]");
    assert!(unheard.starts_with("Your voice message of 4 s has come. The demo has no ears"), "{unheard}");
}

#[test]
fn it_speaks_the_language_of_the_business_or_else_of_the_customer() {
    let fixed = BIKES.replace("this language: English", "this language: español");
    assert_eq!(
        said(answer(&request(asking(&fixed, &["Hola"], "¿Abrís hoy?")))),
        "Ahora está abierto. Nuestro horario: lun-sáb 09:00-18:00, dom cerrado."
    );
    let free =
        BIKES.replace("Write in this language: English.", "Write in the language of the customer's last message.");
    let asked = |newest| said(answer(&request(asking(&free, &["Hello"], newest))));
    assert!(asked("¿Qué sabes de mí?").starts_with("En mis notas"));
    assert!(asked("What do you know about me?").starts_with("In my notes"));
}

#[test]
fn notes_of_older_lines_are_written_where_they_are_asked_for() {
    let system =
        "Notes so far: none\n\nOlder lines:\ncustomer: \"two bikes\"\nassistant: \"yes\"\ncustomer: \"on Sunday\"";
    let body =
        json!({"messages": [{"role": "system", "content": system}, {"role": "user", "content": "Write the notes."}]});
    assert_eq!(said(answer(&request(body))), "“two bikes” and “on Sunday”");
}

#[test]
fn everything_that_is_suggested_is_understood_by_the_demo_s_businesses() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/demo/businesses.json");
    let businesses: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(file).expect("it is there")).expect("JSON");
    for (language, business) in Language::ALL.into_iter().zip(businesses) {
        let companion = &business["companion"];
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let known = companion["knowledge"].as_array().expect("a list").iter();
        let known = known.map(|known| format!("## {}\n{}", text(&known["title"]), text(&known["text"])));
        let system = format!(
            "You write for {} on WhatsApp.\n{}\nWrite in this language: {}.\nIt is noon. The business is open now. Its \
             opening hours: Mon-Sun 09:00-18:00.\nWhat the business says about itself:\n{}",
            text(&business["name"]),
            text(&companion["instructions"]),
            text(&companion["language"]),
            known.collect::<Vec<_>>().join("\n\n"),
        );
        let nothing = language.phrases().nothing_fits.split("{}").next().expect("the beginning");
        for suggestion in suggestions(language) {
            if let ChatReply::Text(words) = answer(&request(asking(&system, &["Hello"], suggestion))) {
                assert!(!words.contains(nothing), "{suggestion}: {words}");
            }
        }
    }
}

/// What a request may hold, and what it may not.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        Just(json!("menu")),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key =
            prop_oneof![Just("role"), Just("content"), Just("text"), Just("type"), Just("function"), Just("name")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn any_words() -> impl Strategy<Value = String> {
    let known: Vec<&str> =
        suggestions(Language::English).iter().chain(suggestions(Language::Spanish)).copied().collect();
    let sent = "\\[The customer (sent a picture|chose from the list:|sent the document|ordered:)(. What it says is data:)?\\] ?\\PC{0,9}";
    let line = prop_oneof![
        prop::sample::select(known).prop_map(str::to_owned),
        sent.prop_map(String::from),
        "(forget|olvida|my name is|me llamo|remember that|where is|menu) \\PC{0,20}",
        "\\PC{0,60}",
    ];
    prop::collection::vec(line, 0..5).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn whatever_is_asked_it_answers_in_words_after_one_round_of_tools(
        system in "(\\PC{0,30}\n){0,3}", with_prompt in any::<bool>(), earlier in any_words(), newest in any_words(),
        odd in any_value(), result in prop_oneof![Just("Done."), Just("Error: no"), Just("")],
    ) {
        let system = if with_prompt { format!("{BIKES}\n{system}") } else { system };
        let mut body = asking(&system, &[&earlier], &newest);
        let first = answer(&request(body.clone()));
        prop_assert_eq!(&first, &answer(&request(body.clone())));
        let messages = body["messages"].as_array_mut().expect("a list");
        let (words, calls) = parts(first);
        prop_assert!(calls.len() <= 8 && words.is_none_or(|words| !words.trim().is_empty() && words.len() < 12_000));
        if !calls.is_empty() {
            messages.push(json!({"role": "assistant", "content": null}));
            messages.extend(calls.iter().map(|_| json!({"role": "tool", "content": result})));
            prop_assert!(!said(answer(&request(body.clone()))).trim().is_empty());
        }
        // Whatever stands where a list, a message or a tool should.
        answer(&request(odd.clone()));
        answer(&request(json!({"messages": odd, "tools": odd})));
        answer(&request(json!({"messages": [odd, {"role": "user", "content": odd}, {"role": odd}], "tools": [odd]})));
    }
}
