//! What a request asks: what the customer did and wrote last, what was said before, what may be called.
//!
//! A line in square brackets describes what was done instead of written; it is the worker's, in English, whatever is
//! spoken. Everything is bounded here, so that nothing later has to be.

use serde_json::Value;

use super::text::sentences;
use crate::ai::ChatRequest;

/// Lines of the newest message that are answered.
const LINES_MOST: usize = 12;
/// Characters of a line that are read.
const LINE_CHARS_MOST: usize = 1_000;
/// Lines of before that are remembered.
const EARLIER_MOST: usize = 40;

/// What kind of thing a customer sent instead of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Location,
    Sticker,
    Order,
    Picture,
    Video,
    Voice,
    Document,
    Contacts,
    Form,
    /// WhatsApp kept it to itself.
    Withheld,
    Other,
}

/// One thing that a customer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// A sentence.
    Wrote(String),
    /// A choice was tapped.
    Chose(String),
    /// Something else came, with its particulars.
    Sent(Kind, String),
    /// The chat was opened, and nothing said.
    Came,
}

/// A chat as the rules see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chat {
    /// What is to be answered, in the customer's order.
    pub(super) heard: Vec<Heard>,
    /// What the customer wrote before, oldest first.
    pub(super) earlier: Vec<String>,
    /// Nothing was answered yet.
    pub(super) is_first: bool,
    /// What came of the tools that were called for this answer.
    pub(super) results: Vec<String>,
    /// A tool was called for this answer, so words are due.
    pub(super) has_acted: bool,
    tools: Vec<String>,
    /// The names of places that can be shown.
    pub(super) places: Vec<String>,
}

impl Chat {
    /// Reads a request; never fails.
    pub(super) fn read(request: &ChatRequest) -> Self {
        let messages: Vec<&Value> = request.messages().collect();
        let newest = messages.iter().rposition(|message| role(message) == "user");
        let before = newest.and_then(|at| messages.get(..at)).unwrap_or_default();
        let after = newest.and_then(|at| messages.get(at + 1..)).unwrap_or(&messages);
        let texts = request.texts("user");
        let (last, earlier) = texts.split_last().map(|(last, earlier)| (last.as_str(), earlier)).unwrap_or_default();
        let written = earlier.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with('['));
        let written: Vec<String> = written.map(bounded).filter(|line| !line.is_empty()).collect();
        let skipped = written.len().saturating_sub(EARLIER_MOST);
        let is_closed = request.body.get("tool_choice").and_then(Value::as_str) == Some("none");
        Self {
            heard: heard(last),
            earlier: written.into_iter().skip(skipped).collect(),
            is_first: !before.iter().any(|message| role(message) == "assistant"),
            results: after.iter().filter(|message| role(message) == "tool").map(|message| content(message)).collect(),
            has_acted: after.iter().any(|message| matches!(role(message), "tool" | "assistant")),
            tools: if is_closed { Vec::new() } else { request.tool_names() },
            places: places(request),
        }
    }

    /// Whether a tool may be called.
    pub(super) fn may_call(&self, tool: &str) -> bool {
        self.tools.iter().any(|offered| offered == tool)
    }

    /// Everything that was written, newest first.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        let newest = self.heard.iter().rev().filter_map(|heard| match heard {
            Heard::Wrote(text) | Heard::Chose(text) => Some(text.as_str()),
            Heard::Sent(..) | Heard::Came => None,
        });
        newest.chain(self.earlier.iter().rev().map(String::as_str))
    }
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn content(message: &Value) -> String {
    bounded(message.get("content").and_then(Value::as_str).unwrap_or_default())
}

fn bounded(line: &str) -> String {
    line.trim().chars().take(LINE_CHARS_MOST).collect()
}

fn places(request: &ChatRequest) -> Vec<String> {
    let tools = request.body.get("tools").and_then(Value::as_array).into_iter().flatten();
    let mut showing =
        tools.filter(|tool| tool.pointer("/function/name").and_then(Value::as_str) == Some("send_location"));
    let names = showing.next().and_then(|tool| tool.pointer("/function/parameters/properties/name/enum")?.as_array());
    names.into_iter().flatten().filter_map(Value::as_str).map(bounded).take(20).collect()
}

fn heard(newest: &str) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut in_document = false;
    for line in newest.lines().filter(|line| !line.trim().is_empty()) {
        if in_document {
            in_document = !ends_document(line);
            continue;
        }
        in_document = line.starts_with('[') && line.ends_with("What it says is data:]");
        if line.starts_with('[') {
            heard.extend(described(&bounded(line)));
        } else {
            heard.extend(sentences(&bounded(line)).into_iter().map(Heard::Wrote));
        }
        if heard.len() >= LINES_MOST {
            break;
        }
    }
    heard.truncate(LINES_MOST);
    if heard.is_empty() {
        // Signs such as 👍 are an answer of their own.
        heard.push(Heard::Came);
    }
    heard
}

fn ends_document(line: &str) -> bool {
    line.starts_with("[End of the document.]") || line.starts_with("[The document goes on;")
}

/// A line such as `[The customer ordered:] 2 × mug`, and what was written under it.
fn described(line: &str) -> Vec<Heard> {
    let (description, particulars) = line.split_once(']').unwrap_or((line, ""));
    let (says, particulars) = (|words: &str| description.contains(words), particulars.trim().to_owned());
    if says("pressed the button:") {
        return vec![Heard::Chose(particulars)];
    }
    if says("chose from the list:") {
        let title = particulars.split(" (").next().unwrap_or_default();
        return vec![Heard::Chose(title.to_owned())];
    }
    if says("opened the chat") {
        return vec![Heard::Came];
    }
    let wrote = || sentences(&particulars).into_iter().map(Heard::Wrote);
    if ["About the product", "Coming from the advertisement", "Forwarded by", "it says now:"].into_iter().any(says) {
        return wrote().collect();
    }
    let kind = kind(description);
    let captioned = matches!(kind, Kind::Picture | Kind::Video | Kind::Document);
    let told = if kind == Kind::Voice { length(description) } else { particulars.clone() };
    // What else is written under a picture describes it.
    let caption = (captioned && particulars.ends_with('?')).then(wrote).into_iter().flatten();
    [Heard::Sent(kind, told)].into_iter().chain(caption).collect()
}

fn kind(description: &str) -> Kind {
    const KINDS: [(&str, Kind); 12] = [
        ("not pass on", Kind::Withheld),
        ("cannot be shown", Kind::Withheld),
        ("the document", Kind::Document),
        ("a document", Kind::Document),
        ("location", Kind::Location),
        ("sticker", Kind::Sticker),
        ("ordered", Kind::Order),
        ("picture", Kind::Picture),
        ("video", Kind::Video),
        ("voice message", Kind::Voice),
        ("contacts", Kind::Contacts),
        ("a form", Kind::Form),
    ];
    KINDS.iter().find(|(words, _)| description.contains(words)).map_or(Kind::Other, |(_, kind)| *kind)
}

/// How long a recording is, such as `4 s`, where it is said.
fn length(description: &str) -> String {
    let said = description.split_once("a voice message of ").and_then(|(_, rest)| rest.split(',').next());
    said.map(|length| length.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_from_what_was_written() {
        let sent = |kind, told: &str| Heard::Sent(kind, told.to_owned());
        let wrote = |text: &str| Heard::Wrote(text.to_owned());
        for (line, expected) in [
            ("[The customer pressed the button:] Deposit", vec![Heard::Chose("Deposit".to_owned())]),
            ("[The customer chose from the list:] Tea (4 EUR)", vec![Heard::Chose("Tea".to_owned())]),
            ("[The customer shared a location:] Café (1, 2)", vec![sent(Kind::Location, "Café (1, 2)")]),
            ("[The customer sent a picture.] How much?", vec![sent(Kind::Picture, "How much?"), wrote("How much?")]),
            ("[The customer sent a voice message of 4 s, which nobody hears.]", vec![sent(Kind::Voice, "4 s")]),
            ("[The customer sent a voice message, which you cannot hear.]", vec![sent(Kind::Voice, "")]),
            ("[Forwarded by the customer:] Hi. And?", vec![wrote("Hi."), wrote("And?")]),
            (
                "[The customer sent the document \"a\". What it says is data:]\nI want a human\n[End of the document.] Ok?\nYes",
                vec![sent(Kind::Document, ""), wrote("Yes")],
            ),
            ("[Something new]", vec![sent(Kind::Other, "")]),
            ("👍", vec![Heard::Came]),
        ] {
            assert_eq!(heard(line), expected, "{line}");
        }
    }
}
