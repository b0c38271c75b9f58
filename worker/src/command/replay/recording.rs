//! Recorded conversations: a file of JSON lines, and the questions in it.
//!
//! Whatever is wrong is said by line and field, all of it at once, before anything is asked and paid for. Fields that
//! are not known are left alone, since recordings come from elsewhere and hold more.

use serde_json::{Map, Value};

use crate::{companion::language_code, conversation::Speaker};

/// Problems that are told; with more the file is no recording.
const TOLD_MOST: usize = 20;
const SPEAKERS: &str = "`customer`, `companion` or `person` (also `user`, `assistant`)";

/// One recorded conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    /// Where in the file, from 1.
    pub(super) line: usize,
    /// Its own name, where it has one.
    pub(super) id: Option<String>,
    /// The name in the customer's profile.
    pub(super) customer_name: Option<String>,
    /// What the customer speaks, by ISO 639-1.
    pub(super) customer_language: Option<String>,
    /// What was said before the turns.
    pub(super) summary: Option<String>,
    /// What had been learned about the customer.
    pub(super) facts: Vec<String>,
    /// At least one of the customer.
    pub(super) turns: Vec<Turn>,
}

/// One line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) speaker: Speaker,
    /// Not blank.
    pub(super) text: String,
}

/// What a customer asked, and where it stands in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) recording: &'a Recording,
    /// The how manieth of the conversation, from 1.
    pub(super) number: usize,
    /// What was said before.
    pub(super) before: &'a [Turn],
    /// The customer's lines; at least one.
    pub(super) lines: &'a [Turn],
    /// What was answered then; nothing, where the recording ends.
    pub(super) answer: &'a [Turn],
}

/// Reads the first conversations of a file, `most` of them at most.
///
/// # Errors
/// What is wrong, a line each.
pub(super) fn recordings(text: &str, most: usize) -> Result<Vec<Recording>, String> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for (at, line) in lines.take(most) {
        match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => read.push(recording(at + 1, &fields, &mut problems)),
            Ok(_) => problems.push(format!("line {}: must be a JSON object, one conversation a line", at + 1)),
            Err(error) => problems.push(format!("line {}: is not JSON (column {})", at + 1, error.column())),
        }
    }
    if problems.is_empty() {
        return Ok(read);
    }
    let more = problems.len().saturating_sub(TOLD_MOST);
    problems.truncate(TOLD_MOST);
    problems.extend((more > 0).then(|| format!("and {more} more")));
    Err(problems.join("\n"))
}

impl Recording {
    /// What the customer asked: lines that follow one another are one question.
    pub(super) fn questions(&self) -> Vec<Asked<'_>> {
        let is_customers = |turn: &Turn| turn.speaker == Speaker::Customer;
        let (mut questions, mut at) = (Vec::new(), 0);
        while let Some(rest) = self.turns.get(at..).filter(|rest| !rest.is_empty()) {
            let lead = rest.iter().take_while(|turn| !is_customers(turn)).count();
            let (_, rest) = rest.split_at(lead);
            let (lines, rest) = rest.split_at(rest.iter().take_while(|turn| is_customers(turn)).count());
            let (answer, _) = rest.split_at(rest.iter().take_while(|turn| !is_customers(turn)).count());
            let before = self.turns.get(..at + lead).unwrap_or_default();
            if !lines.is_empty() {
                questions.push(Asked { recording: self, number: questions.len() + 1, before, lines, answer });
            }
            // The answer is what the next question comes after.
            at += lead + lines.len();
        }
        questions
    }

    /// What a person calls it.
    pub(super) fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("line {}", self.line))
    }
}

/// Reads what can be read, and notes the rest.
fn recording(line: usize, fields: &Map<String, Value>, problems: &mut Vec<String>) -> Recording {
    let mut note = |field: &str, problem: &str| problems.push(format!("line {line}: {field} {problem}"));
    let customer = match fields.get("customer") {
        None | Some(Value::Null) => None,
        Some(Value::Object(customer)) => Some(customer),
        Some(_) => {
            note("customer", "must be an object with `name` and `language`");
            None
        }
    };
    let of_customer = |name: &str| customer.and_then(|customer| customer.get(name));
    let language = text(of_customer("language"), "customer.language", &mut note);
    let code = language.as_deref().and_then(language_code);
    if language.is_some() && code.is_none() {
        note("customer.language", "is no language that is known; write such as `de` or `German`");
    }
    let recording = Recording {
        line,
        id: id(fields.get("id"), &mut note),
        customer_name: text(of_customer("name"), "customer.name", &mut note),
        customer_language: code.map(str::to_owned),
        summary: text(fields.get("summary"), "summary", &mut note),
        facts: facts(fields.get("facts"), &mut note),
        turns: turns(fields.get("turns"), &mut note),
    };
    let is_asked = recording.turns.iter().any(|turn| turn.speaker == Speaker::Customer);
    if !recording.turns.is_empty() && !is_asked {
        note("turns", "hold no line of the customer, so there is nothing to answer");
    }
    recording
}

fn id(value: Option<&Value>, note: &mut impl FnMut(&str, &str)) -> Option<String> {
    match value {
        Some(Value::Number(number)) => Some(number.to_string()),
        value => text(value, "id", note),
    }
}

/// A text, where there is one; a blank one counts as none.
fn text(value: Option<&Value>, field: &str, note: &mut impl FnMut(&str, &str)) -> Option<String> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            note(field, "must be a text");
            None
        }
    }
}

fn facts(value: Option<&Value>, note: &mut impl FnMut(&str, &str)) -> Vec<String> {
    let listed = match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(facts)) => facts.as_slice(),
        Some(_) => {
            note("facts", "must be a list of texts");
            &[]
        }
    };
    let facts = listed.iter().enumerate();
    facts.filter_map(|(at, fact)| text(Some(fact), &format!("facts[{at}]"), note)).collect()
}

fn turns(value: Option<&Value>, note: &mut impl FnMut(&str, &str)) -> Vec<Turn> {
    let Some(Value::Array(listed)) = value else {
        note("turns", "must be a list of what was said: `{\"speaker\": …, \"text\": …}`");
        return Vec::new();
    };
    if listed.is_empty() {
        note("turns", "must not be empty");
    }
    listed.iter().enumerate().filter_map(|(at, value)| turn(at, value, note)).collect()
}

fn turn(at: usize, value: &Value, note: &mut impl FnMut(&str, &str)) -> Option<Turn> {
    let Value::Object(fields) = value else {
        note(&format!("turns[{at}]"), "must be an object with `speaker` and `text`");
        return None;
    };
    // Chat APIs have other names for both.
    let named = |ours, theirs| {
        let name = if fields.contains_key(ours) || !fields.contains_key(theirs) { ours } else { theirs };
        (format!("turns[{at}].{name}"), fields.get(name))
    };
    let (field, value) = named("speaker", "role");
    let speaker = match value.and_then(Value::as_str) {
        Some("customer" | "user") => Some(Speaker::Customer),
        Some("companion" | "assistant") => Some(Speaker::Companion),
        Some("person") => Some(Speaker::Person),
        Some(_) | None => {
            note(&field, &format!("must be {SPEAKERS}"));
            None
        }
    };
    let (field, value) = named("text", "content");
    let text = value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    if text.is_none() {
        note(&field, "must be a text that is not blank; words in square brackets stand for pictures and voice");
    }
    Some(Turn { speaker: speaker?, text: text?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(turns: &[Turn]) -> Vec<&str> {
        turns.iter().map(|turn| turn.text.as_str()).collect()
    }

    #[test]
    fn a_conversation_is_read_with_all_that_it_has() {
        let text = concat!(
            "\u{feff}\n",
            r#"{"id":"c-1","customer":{"name":"Ada","language":"German"},"summary":" s ","facts":["vegan"],"at":1,"#,
            r#""turns":[{"speaker":"customer","text":"hi"},{"speaker":"person","text":"hello"},{"role":"user","content":"open?"}]}"#,
            "\n\n",
            r#"{"id":7,"customer":null,"turns":[{"role":"assistant","text":"hi"},{"role":"user","text":"yes"}]}"#,
            "\n",
        );
        let read = recordings(text, usize::MAX).expect("valid");
        assert_eq!((read[0].line, read[0].name(), read[1].line, read[1].name()), (2, "c-1".into(), 4, "7".into()));
        assert_eq!(read[0].customer_name.as_deref(), Some("Ada"));
        assert_eq!(read[0].customer_language.as_deref(), Some("de"));
        assert_eq!(
            (read[0].summary.as_deref(), read[0].facts.as_slice()),
            (Some("s"), ["vegan".to_owned()].as_slice())
        );
        let speakers: Vec<_> = read[0].turns.iter().map(|turn| turn.speaker).collect();
        assert_eq!(speakers, [Speaker::Customer, Speaker::Person, Speaker::Customer]);
        assert_eq!(read[1].turns[0].speaker, Speaker::Companion);
        assert_eq!(recordings(text, 1).expect("valid").len(), 1);
        let nameless = r#"{"turns":[{"speaker":"customer","text":"hi"}]}"#;
        assert_eq!(recordings(nameless, 9).expect("valid")[0].name(), "line 1");
    }

    #[test]
    fn every_problem_is_told_by_line_and_field_at_once() {
        let turns = r#""turns":[{"speaker":"customer","text":"x"}]"#;
        let cases = [
            ("{\"turns\": [".to_owned(), "is not JSON (column 11)"),
            ("[]".to_owned(), "must be a JSON object, one conversation a line"),
            ("{}".to_owned(), "turns must be a list"),
            (r#"{"turns":{}}"#.to_owned(), "turns must be a list"),
            (r#"{"turns":[]}"#.to_owned(), "turns must not be empty"),
            (r#"{"turns":["hi"]}"#.to_owned(), "turns[0] must be an object with `speaker` and `text`"),
            (r#"{"turns":[{"text":"x"}]}"#.to_owned(), "turns[0].speaker must be `customer`, `companion` or `person`"),
            (r#"{"turns":[{"role":"system","content":"x"}]}"#.to_owned(), "turns[0].role must be `customer`"),
            (r#"{"turns":[{"speaker":7,"text":"x"}]}"#.to_owned(), "turns[0].speaker must be"),
            (r#"{"turns":[{"speaker":"customer"}]}"#.to_owned(), "turns[0].text must be a text that is not blank"),
            (r#"{"turns":[{"role":"user","content":[]}]}"#.to_owned(), "turns[0].content must be a text"),
            (
                r#"{"turns":[{"speaker":"customer","text":" \n"}]}"#.to_owned(),
                "turns[0].text must be a text that is not",
            ),
            (r#"{"turns":[{"speaker":"companion","text":"x"}]}"#.to_owned(), "turns hold no line of the customer"),
            (format!(r#"{{"id":[],{turns}}}"#), "id must be a text"),
            (format!(r#"{{"customer":"Ada",{turns}}}"#), "customer must be an object"),
            (format!(r#"{{"customer":{{"name":1}},{turns}}}"#), "customer.name must be a text"),
            (format!(r#"{{"customer":{{"language":"Klingon"}},{turns}}}"#), "customer.language is no language"),
            (format!(r#"{{"summary":1,{turns}}}"#), "summary must be a text"),
            (format!(r#"{{"facts":"vegan",{turns}}}"#), "facts must be a list of texts"),
            (format!(r#"{{"facts":["a",1],{turns}}}"#), "facts[1] must be a text"),
        ];
        let text = cases.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>().join("\n");
        let told = recordings(&text, usize::MAX).expect_err("wrong");
        let told: Vec<&str> = told.lines().collect();
        for (at, (line, problem)) in cases.iter().enumerate() {
            let begins = format!("line {}: {problem}", at + 1);
            assert!(told.iter().any(|told| told.starts_with(&begins)), "{line}: no {begins} in {told:#?}");
        }
        assert_eq!(told.len(), cases.len(), "each of them once: {told:#?}");
        let told = recordings(&"[]\n".repeat(30), usize::MAX).expect_err("wrong");
        assert!(told.lines().count() == 21 && told.ends_with("and 10 more"), "{told}");
    }

    #[test]
    fn lines_that_follow_one_another_are_one_question_with_what_was_said_before_and_after() {
        let turn = |(speaker, text): (Speaker, &str)| Turn { speaker, text: text.to_owned() };
        let (customer, companion, person) = (Speaker::Customer, Speaker::Companion, Speaker::Person);
        let lines = [
            (companion, "welcome"),
            (customer, "a"),
            (customer, "b"),
            (companion, "c"),
            (person, "d"),
            (customer, "e"),
        ];
        let recording = Recording {
            line: 1,
            id: None,
            customer_name: None,
            customer_language: None,
            summary: None,
            facts: Vec::new(),
            turns: lines.map(turn).to_vec(),
        };
        let questions = recording.questions();
        let [first, second] = questions.as_slice() else { panic!("{questions:?}") };
        assert_eq!((said(first.before), said(first.lines)), (vec!["welcome"], vec!["a", "b"]));
        assert_eq!((first.number, said(first.answer)), (1, vec!["c", "d"]));
        assert_eq!((said(second.before), said(second.lines)), (vec!["welcome", "a", "b", "c", "d"], vec!["e"]));
        assert_eq!((second.number, second.answer), (2, [].as_slice()));
        let ends = Recording { turns: recording.turns[..5].to_vec(), ..recording.clone() };
        assert_eq!(ends.questions().len(), 1);
    }
}
