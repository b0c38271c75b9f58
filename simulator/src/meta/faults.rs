//! Faults on demand: which request goes wrong, and how.
//!
//! A rule looks at every request that was let in (the token fits, the number is known) and may name a [`Fault`].
//! Rules are asked in the order they were added, the first that names one wins; a rule made by [`Faults::next`] or
//! [`Faults::schedule`] is used up by it. Rules may be added and cleared while requests run.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde_json::Value;

use super::{Chances, Refusal, routes::Answer};
use crate::{Seed, rules::Rules};

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// An error of Meta's, before anything was done.
    Refuse(Refusal),
    /// A refusal that is not JSON, as a proxy answers.
    NonJson(u16),
    /// Nothing is done, and this is answered with 200: what Meta would say if it were somebody else.
    Answer(Value),
    /// Nothing is done, and the client is sent to another URL, 302.
    Redirect(String),
    /// Nothing is done and the connection is cut.
    DropBeforeAccept,
    /// Done, but the connection is cut instead of an answer.
    AcceptThenDrop,
    /// Done, but the answer comes late.
    AcceptThenDelay(Duration),
    /// Everything comes late.
    Delay(Duration),
    /// Done and answered; later a `failed` status says otherwise.
    FailLater(Refusal),
    /// Done and answered; no status is ever posted.
    WithoutStatuses,
}

impl Fault {
    /// The name in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse(_) => "refuse",
            Self::NonJson(_) => "non_json",
            Self::Answer(_) => "answer",
            Self::Redirect(_) => "redirect",
            Self::DropBeforeAccept => "drop_before_accept",
            Self::AcceptThenDrop => "accept_then_drop",
            Self::AcceptThenDelay(_) => "accept_then_delay",
            Self::Delay(_) => "delay",
            Self::FailLater(_) => "fail_later",
            Self::WithoutStatuses => "without_statuses",
        }
    }

    /// The answer of a fault that keeps the request from being done.
    pub(super) fn instead(&self) -> Option<Answer> {
        match self {
            Self::Refuse(refusal) => Some(Answer::Refused(refusal.clone())),
            Self::NonJson(status) => Some(Answer::NonJson(*status)),
            Self::Answer(body) => Some(Answer::Json(body.clone())),
            Self::Redirect(url) => Some(Answer::Redirect(url.clone())),
            Self::DropBeforeAccept => Some(Answer::HangUp),
            Self::AcceptThenDrop | Self::AcceptThenDelay(_) | Self::Delay(_) => None,
            Self::FailLater(_) | Self::WithoutStatuses => None,
        }
    }
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// To send a message.
    Send,
    /// To mark one as read, perhaps with the typing indicator.
    Read,
    /// To store a file.
    Upload,
    /// To find the URL of a file.
    MediaUrl,
    /// To fetch a file from its URL.
    Download,
    /// To delete a file.
    DeleteMedia,
    /// Any of the four. It is for [`Where`]; no request wants it.
    Media,
    /// To exchange or inspect a token.
    Token,
    /// To know about a number, or something that this stand-in does not have.
    Other,
}

impl Call {
    /// Whether a rule for this is one for a request which wants that.
    fn covers(self, wanted: Self) -> bool {
        let is_file = matches!(wanted, Self::Upload | Self::MediaUrl | Self::Download | Self::DeleteMedia);
        self == wanted || (self == Self::Media && is_file)
    }
}

/// A request as a rule sees it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What it wants.
    pub call: Call,
    /// The number in the URL, or that the file in the URL belongs to; empty where there is none.
    pub phone_number_id: String,
    /// The customer that a message is for: the digits of `to`, else `recipient`; empty otherwise.
    pub recipient: String,
    /// The how manieth request for this call to this number, from 1.
    pub nth: u64,
    /// The body; `null` where there is none.
    pub body: Value,
}

impl Attempt {
    /// What chance goes by. An attempt that does not name itself is counted by `count` among those like it.
    fn key(&self, count: impl FnOnce(&str) -> u64) -> String {
        let text = |field| self.body.get(field).and_then(Value::as_str);
        if let Some(opaque) = text("biz_opaque_callback_data") {
            return opaque.to_owned();
        }
        let about = text("message_id").unwrap_or(&self.recipient);
        let unnamed = format!("{:?}/{}/{about}", self.call, self.phone_number_id);
        let nth = count(&unnamed);
        format!("{unnamed}/{nth}")
    }
}

/// Which requests a rule is for. The default is every message to any customer.
#[derive(Debug, Clone, Default)]
pub struct Where {
    call: Option<Call>,
    phone_number_id: Option<String>,
    recipient: Option<String>,
    nth: Option<u64>,
}

impl Where {
    /// Every message.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests that want this.
    pub fn call(call: Call) -> Self {
        Self { call: Some(call), ..Self::default() }
    }

    /// Only those of this number.
    #[must_use]
    pub fn from(self, phone_number_id: impl Into<String>) -> Self {
        Self { phone_number_id: Some(phone_number_id.into()), ..self }
    }

    /// Only those for this customer (phone number without `+`, or user id).
    #[must_use]
    pub fn to(self, recipient: impl Into<String>) -> Self {
        Self { recipient: Some(recipient.into()), ..self }
    }

    /// Only the n-th of each number, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        Self { nth: Some(nth), ..self }
    }

    fn fits(&self, attempt: &Attempt) -> bool {
        self.call.unwrap_or(Call::Send).covers(attempt.call)
            && self.phone_number_id.as_ref().is_none_or(|id| *id == attempt.phone_number_id)
            && self.recipient.as_ref().is_none_or(|to| *to == attempt.recipient)
            && self.nth.is_none_or(|nth| nth == attempt.nth)
    }
}

/// The rules of one stand-in.
#[derive(Debug, Default)]
pub struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rules: Rules<Attempt, Fault>,
    counts: HashMap<(Call, String), u64>,
}

impl Faults {
    /// The next request that fits goes wrong, once. Several calls make a queue.
    pub fn next(&self, place: Where, fault: Fault) {
        self.schedule(place, [Some(fault)]);
    }

    /// Every request that fits goes wrong.
    pub fn always(&self, place: Where, fault: Fault) {
        self.lock().rules.always(move |attempt| place.fits(attempt), fault);
    }

    /// The n-th request that fits, counted from now, meets the n-th entry, or nothing where that is none; then
    /// nothing more. A request for which an earlier rule named a fault does not count.
    pub fn schedule(&self, place: Where, entries: impl IntoIterator<Item = Option<Fault>>) {
        let entries: VecDeque<_> = entries.into_iter().collect();
        self.lock().rules.schedule(move |attempt| place.fits(attempt), entries);
    }

    /// The next `count` downloads find that their URL has expired, which Meta tells by 404.
    pub fn expire_downloads(&self, count: usize) {
        let expired = Fault::Refuse(Refusal::code(100).subcode(33).http(404));
        self.schedule(Where::call(Call::Download), std::iter::repeat_n(Some(expired), count));
    }

    /// Each request that fits goes wrong with these probabilities. The draw is a hash of the seed and of what
    /// identifies the attempt: its `biz_opaque_callback_data`, so the same try meets the same fate however the run
    /// is scheduled. Where there is none, it is the customer (or the message that was read) and the how manieth such
    /// request this is. Two rules for the same requests need two seeds, or they draw the same.
    ///
    /// # Panics
    /// Where a probability is not between 0.0 and 1.0, or those of the faults sum up to more than 1.0.
    pub fn chances(&self, seed: Seed, place: Where, chances: Chances) {
        chances.check();
        let mut seen = HashMap::<String, u64>::new();
        self.rule(move |attempt| {
            if !place.fits(attempt) {
                return None;
            }
            let key = attempt.key(|unnamed| {
                let count = seen.entry(unnamed.to_owned()).or_default();
                *count += 1;
                *count
            });
            chances.draw(seed, &key)
        });
    }

    /// A rule of any kind. It must not add rules itself.
    pub fn rule(&self, rule: impl FnMut(&Attempt) -> Option<Fault> + Send + 'static) {
        self.lock().rules.add(rule);
    }

    /// From now on nothing goes wrong.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// Counts the request and asks the rules about it.
    pub(super) fn choose(&self, attempt: &mut Attempt) -> Option<Fault> {
        let mut state = self.lock();
        let count = state.counts.entry((attempt.call, attempt.phone_number_id.clone())).or_default();
        *count += 1;
        attempt.nth = *count;
        state.rules.choose(attempt)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no rule panics")
    }
}
