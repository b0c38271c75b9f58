//! Every operation on one conversation as a value, and its answer: for tests that walk at random, and for whoever
//! keeps conversations in one place and applies what comes.

use std::time::Duration;

use jiff::Timestamp;
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, Subdomain},
    trace::TraceParent,
};

use super::State;
use crate::conversation::{
    BusinessId, Claim, CommitOutcome, Conversation, Customer, CustomerIdChange, Holder, Landed, Landing, LeaseKey,
    MailboxItem, Memory, NoticeTaken, Outbox, Postponement, QuietTime, Renewed, Resend, Settled,
};

/// An operation on one conversation. The fields are the arguments of the method of [`State`] of the same name; a
/// guarded one names its lease by the holder.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is an argument that the method of the same name describes")]
pub enum Operation {
    /// [`State::land`]. The first one begins the conversation.
    Land {
        business_id: BusinessId,
        subdomain: Option<Subdomain>,
        customer: Customer,
        item: MailboxItem,
        quiet: QuietTime,
        looked_up: bool,
    },
    /// [`State::land_resend`].
    LandResend {
        number: PhoneNumberId,
        reply_id: String,
        part: usize,
        wamid: MessageId,
        body: String,
        failed_at: Timestamp,
        quiet: QuietTime,
        trace: Option<TraceParent>,
    },
    /// [`State::claim`].
    Claim { worker: String, nonce: i64, length: Duration },
    /// [`State::reread`].
    Reread { holder: Holder },
    /// [`State::commit_reply`].
    CommitReply { holder: Holder, outbox: Outbox, seen: Option<Vec<MessageId>> },
    /// [`State::begin_try`].
    BeginTry { holder: Holder, reply_id: String, part: usize, tries_so_far: u32, as_text: bool },
    /// [`State::part_sent`].
    PartSent { holder: Holder, reply_id: String, part: usize, wamid: MessageId },
    /// [`State::settle`].
    Settle { holder: Holder, number: PhoneNumberId, messages: Vec<MessageId>, memory: Memory, quiet: QuietTime },
    /// [`State::postpone`].
    Postpone { holder: Holder, postponement: Postponement },
    /// [`State::renew`].
    Renew { holder: Holder, length: Duration },
    /// [`State::release`].
    Release { holder: Holder },
    /// [`State::release_all`].
    ReleaseAll { worker: String },
    /// [`State::evidence`].
    Evidence { number: PhoneNumberId, reply_id: String, part: usize, wamid: MessageId },
    /// [`State::hand_over`].
    HandOver { length: Duration, said: Option<String> },
    /// [`State::resume`].
    Resume,
    /// [`State::take_notice`].
    TakeNotice { length: Duration },
    /// [`State::end_notice`].
    EndNotice { id: String },
    /// [`State::postpone_notice`].
    PostponeNotice { id: String, tries: u32, delay: Duration },
    /// [`State::replace_customer_id`].
    ReplaceCustomerId(CustomerIdChange),
    /// [`State::release_waiting`].
    ReleaseWaiting { business: BusinessId, current: String },
}

/// What an operation answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To a landing.
    Landed(Landed),
    /// When what is to be sent once more is due, from now.
    Resent(Option<Duration>),
    /// To a claim.
    Claimed(Option<Box<Claim>>),
    /// To a look.
    Seen(Option<Box<Conversation>>),
    /// To a commit.
    Committed(CommitOutcome),
    /// To a settlement.
    Settled(Option<Settled>),
    /// To a renewal.
    Renewed(Option<Renewed>),
    /// To the taking of a notice.
    Noticed(Option<Box<NoticeTaken>>),
    /// Whether it had an effect, or was mine to do.
    Done(bool),
    /// It has no answer.
    Nothing,
}

impl Operation {
    /// Applies the operation to a stored conversation, or to the place where there is none yet.
    pub fn apply(&self, session: &SessionId, stored: &mut Option<State>, now: Timestamp) -> Answer {
        match stored {
            Some(state) => self.apply_to(state, now),
            None => self.apply_to_none(session, stored, now),
        }
    }

    fn apply_to(&self, state: &mut State, now: Timestamp) -> Answer {
        let session = state.id.clone();
        let lease = |holder: &Holder| LeaseKey { session: session.clone(), holder: holder.clone() };
        match self {
            Self::Land { business_id, subdomain, customer, item, quiet, looked_up } => {
                let (quiet, looked_up, subdomain) = (*quiet, *looked_up, subdomain.as_ref());
                let session = &session;
                let landing = Landing { session, business_id, subdomain, customer, item, quiet, looked_up };
                Answer::Landed(state.land(now, &landing))
            }
            Self::LandResend { number, reply_id, part, wamid, body, failed_at, quiet, trace } => {
                let (part, failed_at, quiet, trace, session) = (*part, *failed_at, *quiet, *trace, &session);
                let resend = Resend { session, number, reply_id, part, wamid, body, failed_at, quiet, trace };
                Answer::Resent(state.land_resend(now, &resend))
            }
            Self::Claim { worker, nonce, length } => {
                Answer::Claimed(state.claim(now, worker, *nonce, *length).map(Box::new))
            }
            Self::Reread { holder } => Answer::Seen(state.reread(&lease(holder)).map(Box::new)),
            Self::CommitReply { holder, outbox, seen } => {
                Answer::Committed(state.commit_reply(now, &lease(holder), outbox, seen.as_deref()))
            }
            Self::BeginTry { holder, reply_id, part, tries_so_far, as_text } => {
                Answer::Done(state.begin_try(now, &lease(holder), reply_id, *part, *tries_so_far, *as_text))
            }
            Self::PartSent { holder, reply_id, part, wamid } => {
                Answer::Done(state.part_sent(now, &lease(holder), reply_id, *part, wamid))
            }
            Self::Settle { holder, number, messages, memory, quiet } => {
                Answer::Settled(state.settle(now, &lease(holder), number, messages, memory, *quiet))
            }
            Self::Postpone { holder, postponement } => Answer::Done(state.postpone(now, &lease(holder), postponement)),
            Self::Renew { holder, length } => Answer::Renewed(state.renew(now, &lease(holder), *length)),
            Self::Release { holder } => Answer::Done(state.release(&lease(holder))),
            Self::ReleaseAll { worker } => Answer::Done(state.release_all(worker)),
            Self::Evidence { number, reply_id, part, wamid } => {
                Answer::Done(state.evidence(now, number, reply_id, *part, wamid))
            }
            Self::HandOver { length, said } => Answer::Done(state.hand_over(now, *length, said.as_deref())),
            Self::Resume => Answer::Done(state.resume(now)),
            Self::TakeNotice { length } => Answer::Noticed(state.take_notice(now, *length).map(Box::new)),
            Self::EndNotice { id } => Answer::Done(state.end_notice(id)),
            Self::PostponeNotice { id, tries, delay } => Answer::Done(state.postpone_notice(now, id, *tries, *delay)),
            Self::ReplaceCustomerId(change) => {
                state.replace_customer_id(change);
                Answer::Nothing
            }
            Self::ReleaseWaiting { business, current } => Answer::Done(state.release_waiting(now, business, current)),
        }
    }

    /// Only a message begins a conversation.
    fn apply_to_none(&self, session: &SessionId, stored: &mut Option<State>, now: Timestamp) -> Answer {
        match self {
            Self::Land { business_id, subdomain, customer, item, quiet, looked_up } => {
                let (quiet, looked_up, subdomain) = (*quiet, *looked_up, subdomain.as_ref());
                let landing = Landing { session, business_id, subdomain, customer, item, quiet, looked_up };
                Answer::Landed(stored.insert(State::begun_by(&landing)).land(now, &landing))
            }
            Self::LandResend { .. } => Answer::Resent(None),
            Self::Claim { .. } => Answer::Claimed(None),
            Self::Reread { .. } => Answer::Seen(None),
            Self::CommitReply { .. } => Answer::Committed(CommitOutcome::Fenced),
            Self::Settle { .. } => Answer::Settled(None),
            Self::Renew { .. } => Answer::Renewed(None),
            Self::TakeNotice { .. } => Answer::Noticed(None),
            Self::BeginTry { .. }
            | Self::PartSent { .. }
            | Self::Postpone { .. }
            | Self::Release { .. }
            | Self::ReleaseAll { .. }
            | Self::Evidence { .. }
            | Self::HandOver { .. }
            | Self::Resume
            | Self::EndNotice { .. }
            | Self::PostponeNotice { .. }
            | Self::ReleaseWaiting { .. } => Answer::Done(false),
            Self::ReplaceCustomerId(_) => Answer::Nothing,
        }
    }
}
