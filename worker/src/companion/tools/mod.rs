//! What the model may do besides talking, and what it did.
//!
//! A [`Toolbox`] is made for one turn of one customer of one business. It offers only what that business has, does only
//! what it offers, and whose memory is changed or whose tool is called never depends on what the model says: a tool
//! takes words from the model, and everything else from the [`Situation`]. Nothing here changes a conversation: what is
//! learned and decided goes with the reply ([`Aftermath`]) and happens when that is settled.

mod choices;
mod http;
mod place;
mod remember;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

pub use choices::Offer;
pub use http::Strangers;

use super::{
    provider::{ToolCall, ToolSpec},
    situation::Situation,
};
use crate::{
    business::Place,
    conversation::{Aftermath, HandOverReason},
};

const HAND_OVER: &str = "hand_over_to_human";
const REMEMBER: &str = "remember";
const SEND_LOCATION: &str = "send_location";
const OFFER_CHOICES: &str = "offer_choices";

/// How what is wrong begins, for the model.
const FAILED: &str = "Error: ";

/// Calls of the business's own tools in one turn.
const STRANGERS_MOST: u32 = 6;
/// Places in one reply.
const PLACES_MOST: usize = 3;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Result {
    /// For the model.
    pub(super) content: String,
    /// Whether the model must see it before it can answer.
    pub(super) matters: bool,
}

impl Result {
    /// Done; the words that came with the call may stand.
    fn done(content: &str) -> Self {
        Self { content: content.to_owned(), matters: false }
    }

    /// Not done, and why.
    fn failed(content: impl Into<String>) -> Self {
        Self { content: format!("{FAILED}{}", content.into()), matters: true }
    }
}

/// A call that was made, for whoever looks at how an answer came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Which tool the model named.
    pub name: String,
    /// Its arguments as the model wrote them: JSON text, if it did well.
    pub arguments: String,
    /// Why nothing came of it, as the model was told.
    pub problem: Option<String>,
}

/// The tools of one turn.
#[derive(Debug)]
pub(super) struct Toolbox<'a> {
    situation: Situation<'a>,
    strangers: &'a Strangers,
    calls_of_strangers: u32,
    /// What was called so far.
    pub(super) calls: Vec<Called>,
    withdrawn: bool,
    /// What the reply changes.
    pub(super) aftermath: Aftermath,
    /// What the customer may choose from.
    pub(super) offer: Option<Offer>,
    /// Where the customer is shown.
    pub(super) places: Vec<&'a Place>,
}

impl<'a> Toolbox<'a> {
    pub(super) fn new(situation: Situation<'a>, strangers: &'a Strangers) -> Self {
        Self {
            situation,
            strangers,
            calls_of_strangers: 0,
            calls: Vec::new(),
            withdrawn: false,
            aftermath: Aftermath::default(),
            offer: None,
            places: Vec::new(),
        }
    }

    /// From now on nothing is offered and nothing is done; what was done before stays.
    pub(super) fn withdraw(&mut self) {
        self.withdrawn = true;
    }

    /// What the model may call.
    pub(super) fn specs(&self) -> Vec<ToolSpec> {
        if self.withdrawn {
            return Vec::new();
        }
        let companion = &self.situation.business().companion;
        let mut specs = vec![remember::spec(), hand_over(), choices::spec()];
        specs.extend(place::spec(&companion.locations));
        specs.extend(
            self.strangers
                .callable(companion)
                .map(|tool| ToolSpec::new(&tool.name, &tool.description, tool.parameters.clone())),
        );
        specs
    }

    /// Whether there is something for the customer besides words.
    pub(super) fn has_something_to_send(&self) -> bool {
        self.offer.is_some() || !self.places.is_empty()
    }

    /// A person goes on from here, once the reply is sent, for as long as the business says.
    pub(super) fn hand_over(&mut self, reason: HandOverReason) {
        self.situation.business().companion.hand_over.hand_over(&mut self.aftermath, reason);
    }

    /// Does what a call wants, if it may.
    pub(super) async fn call(&mut self, call: &ToolCall) -> Result {
        let result = self.perform(call).await;
        let problem = result.content.strip_prefix(FAILED).map(str::to_owned);
        let (name, arguments) = (call.name.clone(), call.arguments.clone());
        self.calls.push(Called { name, arguments, problem });
        result
    }

    async fn perform(&mut self, call: &ToolCall) -> Result {
        if self.withdrawn {
            count("failed");
            return Result::failed("no tool can be called now; answer with what you know");
        }
        let arguments = match arguments(&call.arguments) {
            Ok(arguments) => arguments,
            Err(problem) => {
                count("malformed");
                return Result::failed(problem);
            }
        };
        let result = match call.name.as_str() {
            REMEMBER => remember::remember(&self.situation.memory().facts, &mut self.aftermath.facts, &arguments),
            HAND_OVER => {
                self.hand_over(HandOverReason::Tool);
                Result::done("Done: a person will go on from here. Tell the customer.")
            }
            OFFER_CHOICES => Offer::read(&arguments).map_or_else(Result::failed, |offer| {
                self.offer = Some(offer);
                Result::done("Done: the customer gets these choices with your words.")
            }),
            SEND_LOCATION => self.send_location(&arguments),
            name => self.call_stranger(name, arguments).await,
        };
        count(if result.content.starts_with(FAILED) { "failed" } else { "ok" });
        result
    }

    fn send_location(&mut self, arguments: &Map<String, Value>) -> Result {
        let locations = &self.situation.business().companion.locations;
        match place::find(locations, arguments) {
            Ok(place) if self.places.len() < PLACES_MOST => {
                if !self.places.contains(&place) {
                    self.places.push(place);
                }
                Result::done("Done: the customer gets the place on a map after your words.")
            }
            Ok(_) => Result::failed("these are enough places for one reply"),
            Err(problem) => Result::failed(problem),
        }
    }

    async fn call_stranger(&mut self, name: &str, arguments: Map<String, Value>) -> Result {
        let mut tools = self.strangers.callable(&self.situation.business().companion);
        let Some(tool) = tools.find(|tool| tool.name == name) else {
            return Result::failed("there is no such tool");
        };
        if self.calls_of_strangers == STRANGERS_MOST {
            return Result::failed("that is enough for one reply; answer with what you know");
        }
        self.calls_of_strangers += 1;
        self.situation.act();
        match self.strangers.call(tool, &self.situation, arguments).await {
            Ok(content) => Result { content, matters: true },
            Err(problem) => Result::failed(problem),
        }
    }
}

fn hand_over() -> ToolSpec {
    static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| {
        ToolSpec::new(
            HAND_OVER,
            "Give this conversation to a person of the business. Use it when the customer asks for a \
             person, is upset, or needs something that you cannot do. You will not answer for a while \
             then, so tell the customer that a person will.",
            json!({ "type": "object", "properties": {
                "reason": { "type": "string", "description": "Why, in a few words, for the person." },
            } }),
        )
    });
    SPEC.clone()
}

/// The arguments of a call, or what the model did wrong.
fn arguments(text: &str) -> std::result::Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        // Models write this for "none".
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err("the arguments are not a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not valid JSON ({})", problem(&error))),
    }
}

/// Where and what, without the text itself.
fn problem(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// A text of the arguments that is not blank, of at most so many characters.
fn words(arguments: &Map<String, Value>, name: &str, most: usize) -> Option<String> {
    cleaned(arguments.get(name)?.as_str()?, most)
}

/// Without control characters but line breaks, at most so many characters; none where nothing is left.
fn cleaned(text: &str, most: usize) -> Option<String> {
    let text = text.trim().chars().filter(|c| !c.is_control() || *c == '\n').take(most).collect::<String>();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn count(outcome: &'static str) {
    metrics::counter!("switchboard_tool_calls_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use jiff::Timestamp;

    use super::*;
    use crate::companion::testing::{business, conversation};

    fn call(name: &str, arguments: &str) -> ToolCall {
        ToolCall { id: "1".to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
    }

    #[tokio::test]
    async fn only_what_is_offered_is_done() {
        let strangers = Strangers::new(false).expect("a client");
        let plain = business(json!({}));
        let conversation = conversation();
        let acted = AtomicBool::new(false);
        let situation =
            Situation::of(&plain, &conversation, Timestamp::UNIX_EPOCH, &acted).expect("they belong together");
        let mut toolbox = Toolbox::new(situation, &strangers);
        let offered = serde_json::to_value(toolbox.specs()).expect("plain data");
        let offered: Vec<_> = (0..3).filter_map(|n| offered[n]["function"]["name"].as_str()).collect();
        assert_eq!(toolbox.specs().len(), 3);
        assert_eq!(offered, [REMEMBER, HAND_OVER, OFFER_CHOICES]);
        for (name, arguments) in [
            (SEND_LOCATION, r#"{"name":"Shop"}"#),
            ("delete_customer", "{}"),
            ("", "{}"),
            (REMEMBER, "{\"fact\": "),
            (REMEMBER, "[]"),
            (REMEMBER, "{}"),
        ] {
            let result = toolbox.call(&call(name, arguments)).await;
            assert!(result.matters && result.content.starts_with("Error: "), "{name} {arguments}: {result:?}");
        }
        assert_eq!(toolbox.aftermath, Aftermath::default());
        assert!(toolbox.calls.len() == 6 && toolbox.calls.iter().all(|called| called.problem.is_some()));
        assert!(!toolbox.has_something_to_send());
    }

    #[tokio::test]
    async fn what_was_withdrawn_is_neither_offered_nor_done() {
        let strangers = Strangers::new(false).expect("a client");
        let (business, conversation) = (business(json!({})), conversation());
        let acted = AtomicBool::new(false);
        let situation = Situation::of(&business, &conversation, Timestamp::UNIX_EPOCH, &acted);
        let situation = situation.expect("they belong together");
        let mut toolbox = Toolbox::new(situation, &strangers);
        toolbox.call(&call(REMEMBER, r#"{"fact":"is vegan"}"#)).await;
        toolbox.withdraw();
        assert!(toolbox.specs().is_empty());
        assert!(toolbox.call(&call(REMEMBER, r#"{"fact":"has a dog"}"#)).await.matters);
        assert_eq!(toolbox.aftermath.facts.len(), 1);
    }

    #[tokio::test]
    async fn a_hand_over_lasts_as_long_as_the_business_says() {
        let strangers = Strangers::new(false).expect("a client");
        let (business, conversation) = (business(json!({"handOver": {"hours": 2}})), conversation());
        let acted = AtomicBool::new(false);
        let situation =
            Situation::of(&business, &conversation, Timestamp::UNIX_EPOCH, &acted).expect("they belong together");
        let mut toolbox = Toolbox::new(situation, &strangers);
        toolbox.call(&call(HAND_OVER, r#"{"reason":"angry","hours":9999}"#)).await;
        assert_eq!(toolbox.aftermath.hand_over, Some(std::time::Duration::from_secs(7_200)));
        assert_eq!(toolbox.aftermath.announcement, None, "the business does not want to be told");
    }

    #[tokio::test]
    async fn a_hand_over_is_announced_once_with_its_first_reason() {
        let strangers = Strangers::new(false).expect("a client");
        let notify = json!({"url": "https://a.example/hook", "secret": "sealed"});
        let (business, conversation) = (business(json!({"handOver": {"notify": notify}})), conversation());
        let acted = AtomicBool::new(false);
        let situation = Situation::of(&business, &conversation, Timestamp::UNIX_EPOCH, &acted);
        let mut toolbox = Toolbox::new(situation.expect("they belong together"), &strangers);
        toolbox.hand_over(HandOverReason::Keyword);
        let announcement = toolbox.aftermath.announcement.clone().expect("announced");
        assert_eq!(announcement.reason, HandOverReason::Keyword);
        toolbox.call(&call(HAND_OVER, "{}")).await;
        assert_eq!(toolbox.aftermath.announcement, Some(announcement));
    }
}
