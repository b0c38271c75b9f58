//! What people see. The one place that prints, and the one place that shows a customer's number whole: here the
//! customers are made up, and what they receive is the point.

use std::{
    io::{IsTerminal, Write},
    sync::LazyLock,
};

use jiff::tz::TimeZone;
use serde_json::Value;
use simulator::{
    Ai, Journal, Meta,
    journal::{Decision, Entry, Event, GraphSend},
};

/// Says where everything is, in the words of the worker's configuration.
pub(super) fn greeting(meta: &Meta, ai: &Ai, webhook_url: &str, signed: bool) {
    line(&format!("Graph API  GRAPH_API_URL={}", meta.graph_url()));
    line(&format!("AI         AI_API_URL={}  ELEVENLABS_API_URL={}", ai.url(), ai.speech_url()));
    let how = if signed { "signed" } else { "not signed: WHATSAPP_APP_SECRET is unset" };
    line(&format!("webhooks   {webhook_url} ({how})"));
}

/// Prints what customers receive, until it is cancelled.
pub(super) async fn follow(journal: &Journal) {
    let mut next = 0;
    loop {
        for entry in journal.next_from(next).await {
            next = entry.seq + 1;
            if let Some((text, dim)) = told(&entry, |send| journal.spoken(send)) {
                let time = entry.wall.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
                line(&if dim { dimmed(&format!("{time}  {text}")) } else { format!("{time}  {text}") });
            }
        }
    }
}

/// Tells what became of a post.
pub(super) fn posted(status: u16, ids: &str) {
    line(&format!("{status} {ids}"));
}

/// Prints one line; a closed pipe is no error.
pub(super) fn line(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// Prints why the program cannot go on, with the whole chain of causes.
pub(crate) fn problem(error: &anyhow::Error) {
    drop(writeln!(std::io::stderr(), "simulator: {error:#}"));
}

/// The line of an entry, and whether it stands back; most entries have none. `spoken` knows what a voice note says.
fn told(entry: &Entry, spoken: impl Fn(&GraphSend) -> Option<String>) -> Option<(String, bool)> {
    match &entry.fact {
        Event::GraphSend(send) => Some((message(send, spoken(send).as_deref()), false)),
        Event::GraphRead(read) => {
            let what = if read.typing { "has read and is typing …" } else { "has read" };
            let who = read.business.as_deref().unwrap_or(&read.phone_number_id);
            Some((format!("{who} {what}"), true))
        }
        Event::WebhookAnswer(answer) if answer.http != Some(200) => {
            let why = answer.http.map(|status| format!("HTTP {status}")).or_else(|| answer.error.clone());
            Some((format!("the webhook was not taken: {}", why.unwrap_or_default()), true))
        }
        Event::GraphRequest(_) | Event::GraphUpload(_) | Event::GraphAnswer(_) | Event::StatusWithheld(_) => None,
        Event::WebhookPost(_) | Event::WebhookAnswer(_) | Event::HostRequest(_) => None,
        Event::AiRequest(_) | Event::AiSpeech(_) | Event::AiAnswer(_) | Event::Mark(_) => None,
    }
}

fn message(send: &GraphSend, spoken: Option<&str>) -> String {
    let (from, to) = (send.business.as_deref().unwrap_or(&send.phone_number_id), send.customer());
    let what = words(send, spoken);
    match send.decision {
        Decision::Accepted => format!("{from} → {to}: {what}"),
        Decision::AcceptedNoReply => format!("{from} → {to}: {what} (the sender was not told)"),
        Decision::Dropped => format!("{from} ✗ {to}: {what} (lost)"),
        Decision::Refused => {
            let code = send.code.map_or_else(String::new, |code| format!(" with {code}"));
            format!("{from} ✗ {to}: {what} (refused{code})")
        }
    }
}

/// The words of a message, or its type where it has none.
fn words(send: &GraphSend, spoken: Option<&str>) -> String {
    if let Some(text) = send.text() {
        return text.to_owned();
    }
    let particulars = send.body.get(&send.message_type).unwrap_or(&Value::Null);
    let rest = || ["emoji", "name"].iter().find_map(|key| particulars.get(key)?.as_str());
    let words = send.words().or(spoken).or_else(rest);
    words.map_or_else(|| format!("[{}]", send.message_type), |words| format!("[{}] {words}", send.message_type))
}

fn dimmed(text: &str) -> String {
    static COLOURS: LazyLock<bool> =
        LazyLock::new(|| std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    if *COLOURS { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use simulator::journal::Credential;

    use super::*;

    fn send(body: Value, decision: Decision) -> GraphSend {
        GraphSend {
            request: 0,
            phone_number_id: "1001".to_owned(),
            business: Some("acme".to_owned()),
            credential: Credential::Missing,
            to: Some("+4915112345678".to_owned()),
            recipient: None,
            message_type: body["type"].as_str().unwrap_or("text").to_owned(),
            context_id: None,
            opaque: None,
            body,
            decision,
            wamid: None,
            code: Some(131_047),
            fault: None,
        }
    }

    #[test]
    fn a_line_says_who_wrote_what_to_whom() {
        let text = json!({"type": "text", "text": {"body": "Hello"}});
        assert_eq!(message(&send(text.clone(), Decision::Accepted), None), "acme → 4915112345678: Hello");
        let refused = message(&send(text, Decision::Refused), None);
        assert_eq!(refused, "acme ✗ 4915112345678: Hello (refused with 131047)");
        let voice = json!({"type": "audio", "audio": {"id": "1"}});
        assert_eq!(message(&send(voice.clone(), Decision::Accepted), None), "acme → 4915112345678: [audio]");
        let heard = message(&send(voice, Decision::Accepted), Some("Hello"));
        assert_eq!(heard, "acme → 4915112345678: [audio] Hello");
        let buttons = json!({"type": "interactive", "interactive": {"body": {"text": "Pick"}}});
        assert_eq!(message(&send(buttons, Decision::Accepted), None), "acme → 4915112345678: [interactive] Pick");
    }
}
