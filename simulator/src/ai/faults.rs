//! Faults of the AI on demand: which request goes wrong, and how, before any responder is asked.
//!
//! Rules work as for the Graph API: each request that a provider would take is shown to them in the order in which
//! they were added, and the first that names an [`AiFault`] wins. They may be added and cleared while requests run.
//! Every fault is in the journal as what the client saw: the HTTP status of the answer, or none.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{AiChances, ChatReply, SpeechReply, answer::GARBAGE};
use crate::{Seed, rules::Rules};

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum AiFault {
    /// Too many requests: 429.
    Throttled {
        /// A `Retry-After` header, in seconds, fractions as Groq writes them.
        retry_after: Option<Duration>,
    },
    /// The provider's usual error with this HTTP status.
    Status(u16),
    /// No answer, until the client gives up.
    Hang,
    /// The connection is cut instead of an answer.
    Drop,
    /// The answer comes late.
    Slow(Duration),
    /// 200 with a body that is no JSON.
    Garbage,
    /// 200 with an answer without words.
    Empty,
}

impl AiFault {
    /// What is answered instead of asking the responder.
    pub(super) fn instead(&self) -> Option<ChatReply> {
        match self {
            Self::Throttled { retry_after } => {
                Some(ChatReply::Status { code: 429, retry_after: *retry_after, body: String::new() })
            }
            Self::Status(code) => Some(ChatReply::status(*code)),
            Self::Hang => Some(ChatReply::Hang),
            Self::Drop => Some(ChatReply::Drop),
            Self::Garbage => Some(ChatReply::Garbage),
            Self::Empty => Some(ChatReply::Empty),
            Self::Slow(_) => None,
        }
    }

    /// The same for speech.
    pub(super) fn instead_of_speech(&self) -> Option<SpeechReply> {
        match self {
            Self::Throttled { retry_after } => {
                Some(SpeechReply::Status { code: 429, retry_after: *retry_after, body: String::new() })
            }
            Self::Status(code) => Some(SpeechReply::status(*code)),
            Self::Hang => Some(SpeechReply::Hang),
            Self::Drop => Some(SpeechReply::Drop),
            Self::Garbage => {
                Some(SpeechReply::Audio { mime_type: "application/json".to_owned(), bytes: GARBAGE.into() })
            }
            Self::Empty => Some(SpeechReply::ogg([])),
            Self::Slow(_) => None,
        }
    }
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AiCall {
    /// An answer to a chat.
    Chat,
    /// The words of a recording.
    Transcription,
    /// A recording of words.
    Speech,
}

/// A request as a rule sees it.
#[derive(Debug, Clone)]
pub struct AiAttempt {
    /// What it wants.
    pub call: AiCall,
    /// The how manieth request for this call, from 1.
    pub nth: u64,
    /// The how manieth request of exactly this content, from 1: a client that tries again counts it up.
    pub repetition: u64,
    /// The body; for a transcription the fields of its form, for speech with the voice and the format.
    pub body: Value,
    digest: String,
}

/// The rules of one stand-in.
#[derive(Debug, Default)]
pub struct AiFaults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rules: Rules<AiAttempt, AiFault>,
    calls: HashMap<AiCall, u64>,
    contents: HashMap<String, u64>,
}

impl AiFaults {
    /// The next request for this call goes wrong, once. Several calls make a queue.
    pub fn next(&self, call: AiCall, fault: AiFault) {
        self.schedule(call, [Some(fault)]);
    }

    /// Every request for this call goes wrong.
    pub fn always(&self, call: AiCall, fault: AiFault) {
        self.lock().rules.always(move |attempt| attempt.call == call, fault);
    }

    /// The n-th request for this call, counted from now, meets the n-th entry, or nothing where that is none; then
    /// nothing more. A request for which an earlier rule named a fault does not count.
    pub fn schedule(&self, call: AiCall, entries: impl IntoIterator<Item = Option<AiFault>>) {
        let entries: VecDeque<_> = entries.into_iter().collect();
        self.lock().rules.schedule(move |attempt| attempt.call == call, entries);
    }

    /// Each request for this call goes wrong with these probabilities. The draw is a hash of the seed, of the
    /// request's content and of how often this content has come: the same request meets the same fate however the
    /// run is scheduled, and a second try draws anew. Two rules for one call need two seeds, or they draw the same.
    ///
    /// # Panics
    /// Where a probability is not between 0.0 and 1.0, or those of the faults sum up to more than 1.0.
    pub fn chances(&self, seed: Seed, call: AiCall, chances: AiChances) {
        chances.check();
        self.rule(move |attempt| (attempt.call == call).then(|| chances.draw(seed, &attempt.key())).flatten());
    }

    /// A rule of any kind. It must not add rules itself.
    pub fn rule(&self, rule: impl FnMut(&AiAttempt) -> Option<AiFault> + Send + 'static) {
        self.lock().rules.add(rule);
    }

    /// From now on nothing goes wrong.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// Counts the request and asks the rules about it. `file` is the recording, of a transcription.
    pub(super) fn choose(&self, call: AiCall, body: &Value, file: &[u8]) -> Option<AiFault> {
        let digest = hex::encode(Sha256::new().chain_update(body.to_string()).chain_update(file).finalize());
        let mut state = self.lock();
        let nth = count(state.calls.entry(call).or_default());
        let repetition = count(state.contents.entry(format!("{call:?}/{digest}")).or_default());
        state.rules.choose(&AiAttempt { call, nth, repetition, body: body.clone(), digest })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no rule panics")
    }
}

impl AiAttempt {
    /// What chance goes by.
    fn key(&self) -> String {
        format!("{:?}/{}/{}", self.call, self.digest, self.repetition)
    }
}

fn count(counter: &mut u64) -> u64 {
    *counter += 1;
    *counter
}
