//! One question, answered by one variant: the conversation as it was then, and an answer that goes nowhere.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use shared::ids::SessionId;

use super::{
    answer::Answer,
    recording::{Asked, Turn},
    variant::Variant,
};
use crate::{
    business::Business,
    companion::{AnswerError, Companion, Composition, Question, Said, Situation},
    conversation::{
        Conversation, Customer, FACTS_MOST, Fact, MEMORY_TURNS, Recollection, Remembered, Speaker, remembered,
    },
};

/// The customer in the names of conversations that nobody stores.
const CUSTOMER: &str = "rehearsal";
/// Tries of an answer for which the provider has no room yet.
const TRIES_MOST: u32 = 4;
/// How long it is left alone, where it does not say …
const WAIT: Duration = Duration::from_secs(2);
/// … and at most.
const WAIT_MOST: Duration = Duration::from_secs(60);

/// A variant that can be asked.
#[derive(Debug)]
pub(super) struct Rehearsal<'a> {
    pub(super) variant: &'a Variant,
    pub(super) companion: Companion,
    /// The time for all of them, so that opening hours are the same to all.
    pub(super) now: Timestamp,
}

impl Rehearsal<'_> {
    /// What the variant answers. A provider that asks for patience gets it, and its time is that of the last try alone.
    ///
    /// Cancellation: the call under way is cut off.
    pub(super) async fn answer(&self, asked: &Asked<'_>) -> Answer {
        let conversation = conversation(&self.variant.business, asked, self.now);
        let acted = AtomicBool::new(false);
        let situation = Situation::of(&self.variant.business, &conversation, self.now, &acted);
        let situation = situation.expect("the conversation was made for this business");
        let question =
            Question { said: asked.lines.iter().map(|line| Said::words(&line.text)).collect(), quotes: vec![] };
        let mut tries = 1;
        loop {
            let started = Instant::now();
            let outcome = Box::pin(self.companion.rehearse(situation, &question)).await;
            let latency = started.elapsed();
            match patience(&outcome) {
                Some(wait) if tries < TRIES_MOST => tokio::time::sleep(wait.min(WAIT_MOST)).await,
                Some(_) | None => return Answer::of(self.variant, asked, outcome, latency),
            }
            tries += 1;
        }
    }
}

/// How long the provider wants to be left alone before it is asked again.
fn patience(outcome: &Result<Composition, AnswerError>) -> Option<Duration> {
    match outcome {
        Err(AnswerError::Ai(error)) => (error.outcome() == "throttled").then(|| error.retry_after().unwrap_or(WAIT)),
        Err(AnswerError::Store(_)) | Ok(_) => None,
    }
}

/// The conversation as it was before the question, remembered as much as a real one remembers.
fn conversation(business: &Business, asked: &Asked<'_>, now: Timestamp) -> Conversation {
    let recording = asked.recording;
    let line = |turn: &Turn| Remembered { speaker: turn.speaker, text: remembered(&turn.text).to_owned(), at: now };
    let facts = recording.facts.iter().enumerate();
    let facts = facts.map(|(at, fact)| Fact { id: fact_id(at), text: remembered(fact).to_owned(), at: now });
    let (lines, facts): (Vec<_>, Vec<_>) = (asked.before.iter().map(line).collect(), facts.collect());
    Conversation {
        id: SessionId::new(business.subdomain.as_ref(), CUSTOMER),
        business_id: business.id.clone(),
        subdomain: business.subdomain.clone(),
        customer: Customer {
            name: recording.customer_name.clone(),
            language: recording.customer_language.clone(),
            ..Customer::default()
        },
        mailbox: Vec::new(),
        outbox: None,
        memory: Recollection {
            lines: newest(lines, MEMORY_TURNS),
            summary: recording.summary.as_deref().map(|summary| remembered(summary).to_owned()),
            facts: newest(facts, FACTS_MOST),
        },
        attempts: 0,
        takeovers: 0,
        ai_failing_since: None,
        apologised_at: None,
        handed_over_until: None,
        opted_out_at: None,
        minute: None,
        limited_until: None,
        windows: std::collections::BTreeMap::new(),
        buckets: std::collections::BTreeMap::new(),
        claimed_at: now,
    }
}

fn newest<T>(mut all: Vec<T>, most: usize) -> Vec<T> {
    all.split_off(all.len().saturating_sub(most))
}

/// By which the model names a recorded fact.
pub(super) fn fact_id(at: usize) -> String {
    format!("f{}", at + 1)
}

impl Asked<'_> {
    /// The customer's words, a message a line.
    pub(super) fn question(&self) -> String {
        self.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// What was answered then, messages apart by a blank line; none where the recording ends.
    pub(super) fn recorded(&self) -> Option<String> {
        let line = |turn: &Turn| match turn.speaker {
            Speaker::Person => format!("[a person] {}", turn.text),
            Speaker::Companion | Speaker::Customer => turn.text.clone(),
        };
        let lines: Vec<String> = self.answer.iter().map(line).collect();
        (!lines.is_empty()).then(|| lines.join("\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{business::Subject, recording::recordings},
        *,
    };
    use crate::{business::CompanionSettings, companion::AiError};

    #[test]
    fn a_long_recording_is_remembered_as_much_as_a_real_conversation() {
        let turn = |n: usize| {
            format!(
                r#"{{"speaker":"customer","text":"{n} {}"}},{{"speaker":"companion","text":"ok"}}"#,
                "x".repeat(5_000)
            )
        };
        let turns = (0..30).map(turn).collect::<Vec<_>>().join(",");
        let facts = (0..60).map(|n| format!("\"fact {n}\"")).collect::<Vec<_>>().join(",");
        let text = format!(r#"{{"facts":[{facts}],"turns":[{turns},{{"speaker":"customer","text":"now?"}}]}}"#);
        let read = recordings(&text, 1).expect("valid");
        let asked = read[0].questions().pop().expect("a question");
        let business = Subject::nobody().business(CompanionSettings::default());
        let memory = conversation(&business, &asked, Timestamp::UNIX_EPOCH).memory;
        assert_eq!((memory.lines.len(), memory.facts.len()), (MEMORY_TURNS, FACTS_MOST));
        assert!(memory.lines[0].text.starts_with("10 ") && memory.lines[0].text.len() <= 4_096);
        assert_eq!((memory.facts[0].id.as_str(), memory.facts[0].text.as_str()), ("f11", "fact 10"));
        assert_eq!((asked.question().as_str(), asked.recorded()), ("now?", None));
    }

    #[test]
    fn only_a_throttle_is_worth_another_try() {
        let after = |status, retry_after| {
            patience(&Err(AnswerError::Ai(AiError::Status { status, code: String::new(), retry_after })))
        };
        assert_eq!(after(429, None), Some(WAIT));
        assert_eq!(after(429, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!((after(404, None), after(503, None)), (None, None));
        assert_eq!(patience(&Ok(Composition::default())), None);
    }
}
