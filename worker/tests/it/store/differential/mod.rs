//! The store against the reference of its protocol: random operations on both, the same answers and the same
//! document after each.
//!
//! Time is the database's, and differs from run to run. So its clock is read before and after each operation, and
//! there must be one millisecond in between at which [`State`] gives exactly this answer and becomes exactly this
//! document. Where a rule depends on time, that millisecond is pinned by the times that the same update wrote.

mod draw;
mod jump;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use shared::ids::{SessionId, Subdomain};
use worker::{
    conversation::{
        BusinessId, CommitOutcome, Holder, Landed, LeaseKey,
        state::{Answer, Operation, State},
    },
    store::{Landing, Resend},
};

use super::Fresh;

const WALKS: u64 = 60;
const STEPS: usize = 64;
/// Walks at a time. The fewer, the nearer together are two readings of the clock.
const TOGETHER: usize = 3;
/// How far a worker that has just asked may be ahead of the database's clock: it reckons in whole milliseconds.
const CLOCK_ERROR: Duration = Duration::from_millis(1);

/// Every field that a stored conversation may have.
const FIELDS: &[&str] = &[
    "_id",
    "business_id",
    "subdomain",
    "customer",
    "mailbox",
    "answered",
    "answered_floor",
    "first_landed_at",
    "last_landed_at",
    "due_at",
    "retry_at",
    "attempts",
    "last_error",
    "epoch",
    "lease",
    "takeovers",
    "ai_failing_since",
    "apologised_at",
    "outbox",
    "last_reply",
    "memory",
    "handed_over_until",
    "opted_out_at",
    "minute",
    "limited_until",
    "notices",
    "windows",
    "buckets",
    "waits_for",
    "last_land",
    "set_aside_at",
    "merged_into",
];

/// What a run must have met, or it has shown nothing. Each comes some twenty times in a run, or more.
const MET: &[&str] = &[
    "Land New",
    "Land Duplicate",
    "Land AskTranscript",
    "Land NoRoomForContent",
    "Land Moved",
    "LandResend true",
    "LandResend false",
    "Claim true",
    "Claim false",
    "Reread true",
    "Reread false",
    "CommitReply Committed",
    "CommitReply NewerMessages",
    "CommitReply HandedOver",
    "CommitReply OptedOut",
    "CommitReply Fenced",
    "BeginTry true",
    "BeginTry false",
    "PartSent true",
    "PartSent false",
    "Settle true",
    "Settle false",
    "Postpone true",
    "Postpone false",
    "Renew true",
    "Renew false",
    "Release true",
    "Release false",
    "ReleaseAll true",
    "ReleaseAll false",
    "Evidence true",
    "Evidence false",
    "HandOver true",
    "Resume true",
    "TakeNotice true",
    "TakeNotice false",
    "EndNotice true",
    "EndNotice false",
    "PostponeNotice true",
    "PostponeNotice false",
    "ReplaceCustomerId",
    "ReleaseWaiting true",
    "ReleaseWaiting false",
];

/// One conversation in a database of its own, and what it should be.
struct Walk {
    store: Fresh,
    session: SessionId,
    business: BusinessId,
    subdomain: Option<Subdomain>,
    rng: StdRng,
    model: Option<State>,
    /// What tells one message, one reply and one line from the next.
    count: u32,
    /// What it met, and how often.
    met: BTreeMap<String, u32>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_does_what_the_state_machine_says() {
    let given = std::env::var("SWITCHBOARD_SEED").ok().map(|seed| seed.parse().expect("SWITCHBOARD_SEED is a number"));
    let seed: u64 = given.unwrap_or_else(|| rand::rng().random());
    println!("SWITCHBOARD_SEED={seed}");
    let walks = stream::iter(0..WALKS).map(async |n| {
        let mut walk = Walk::begin(n, seed.wrapping_add(n)).await;
        for _ in 0..STEPS {
            walk.step().await;
        }
        walk.met.into_iter().collect::<Vec<_>>()
    });
    let mut met = BTreeMap::<String, u32>::new();
    for (case, count) in walks.buffer_unordered(TOGETHER).concat().await {
        *met.entry(case).or_default() += count;
    }
    println!("{met:#?}");
    let missed: Vec<_> = MET.iter().filter(|case| !met.contains_key(**case)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

impl Walk {
    async fn begin(n: u64, seed: u64) -> Self {
        let store = Fresh::open("differential").await;
        store.ping().await.expect("the store answers");
        let subdomain = (!n.is_multiple_of(4)).then(|| Subdomain::parse("acme").expect("a subdomain"));
        Self {
            store,
            session: SessionId::new(subdomain.as_ref(), "16505551234"),
            business: BusinessId("$business".to_owned()),
            subdomain,
            rng: StdRng::seed_from_u64(seed),
            model: None,
            count: 0,
            met: BTreeMap::new(),
        }
    }

    async fn step(&mut self) {
        if self.rng.random_bool(0.15) {
            self.jump().await;
        }
        let operation = self.draw();
        let before = self.clock().await;
        let answer = self.perform(&operation).await;
        let after = self.clock().await;
        let stored = self.store.state(&self.session).await.expect("the document can be read");
        *self.met.entry(case(&operation, &answer)).or_default() += 1;
        self.hold(&operation, before..=after, &answer, stored);
        if self.rng.random_bool(0.1) {
            self.check_document().await;
            self.check_searches().await;
        }
    }

    /// The database's clock.
    async fn clock(&self) -> Timestamp {
        self.store.backend.clock().await
    }

    /// There is a time at which the model does what the store did.
    fn hold(
        &mut self,
        operation: &Operation,
        times: RangeInclusive<Timestamp>,
        answer: &Answer,
        stored: Option<State>,
    ) {
        let at = |now: i64| {
            let mut model = self.model.clone();
            let now = Timestamp::from_millisecond(now).expect("in range");
            let expected = operation.apply(&self.session, &mut model, now);
            (expected, model)
        };
        let (first, last) = (times.start().as_millisecond(), times.end().as_millisecond());
        let explained = (first..=last).any(|now| {
            let (expected, model) = at(now);
            expected == *answer && model == stored
        });
        if !explained {
            let (expected, model) = at(last);
            let (before, differences) = (told(&self.model), differences(&stored, &model));
            panic!(
                "{operation:#?}\non {before}\nbetween {times:?}\nis answered {answer:#?}\nand not {expected:#?}\n\
                 or differs in {differences:#?}"
            );
        }
        self.model = stored;
    }

    /// Nothing is stored that the model does not know of.
    async fn check_document(&self) {
        let found = self.store.backend.find("conversations", self.session.expose()).await;
        for (field, value) in found.iter().flatten() {
            assert!(FIELDS.contains(&field.as_str()), "{field}");
            assert!(field == "subdomain" || value.as_null().is_none(), "{field} is null");
        }
    }

    /// The searches find the conversation exactly when the model says so.
    async fn check_searches(&self) {
        let before = self.clock().await;
        // A worker goes by its own idea of the database's clock.
        self.store.ping().await.expect("the store answers");
        let due = self.store.due(10, 10).await.expect("the store answers");
        let notices = self.store.notices_due(10, 10).await.expect("the store answers");
        let times = before..=self.clock().await + CLOCK_ERROR;
        let due_at = |now: &Timestamp| self.model.as_ref().is_some_and(|model| model.due(*now));
        let (earliest, latest) = (due_at(times.start()), due_at(times.end()));
        if earliest == latest {
            let found = due.iter().any(|(subdomain, sessions)| {
                *subdomain == self.model.as_ref().and_then(|model| model.subdomain.clone())
                    && sessions.contains(&self.session)
            });
            assert_eq!(found, earliest, "due in {times:?}: {}", told(&self.model));
        }
        self.check_notices(&times, &notices);
        let waiting = self.store.businesses_waiting().await.expect("the store answers");
        let waits = self.model.iter().filter(|model| model.waits_for.is_some());
        assert_eq!(waiting, waits.map(|model| model.business_id.clone()).collect::<Vec<_>>());
    }

    fn check_notices(&self, times: &RangeInclusive<Timestamp>, due: &[SessionId]) {
        let due_at = |now: &Timestamp| {
            let open = self.model.iter().filter(|model| model.merged_into.is_none());
            open.flat_map(|model| &model.notices).any(|notice| notice.try_at <= *now)
        };
        let (earliest, latest) = (due_at(times.start()), due_at(times.end()));
        let is_open = self.model.as_ref().is_some_and(|model| model.merged_into.is_none());
        // What a tombstone still has is looked at in vain, for a moment.
        if earliest == latest && is_open {
            assert_eq!(due.contains(&self.session), earliest, "due in {times:?}: {}", told(&self.model));
        }
    }

    async fn perform(&self, operation: &Operation) -> Answer {
        let (store, session) = (&self.store, &self.session);
        let lease = |holder: &Holder| LeaseKey { session: session.clone(), holder: holder.clone() };
        let answer = match operation {
            Operation::Land { business_id, subdomain, customer, item, quiet, looked_up } => {
                let (subdomain, quiet, looked_up) = (subdomain.as_ref(), *quiet, *looked_up);
                let landing = Landing { session, business_id, subdomain, customer, item, quiet, looked_up };
                store.land(&landing).await.map(Answer::Landed)
            }
            Operation::LandResend { number, reply_id, part, wamid, body, failed_at, quiet, trace } => {
                let (part, failed_at, quiet, trace) = (*part, *failed_at, *quiet, *trace);
                let resend = Resend { session, number, reply_id, part, wamid, body, failed_at, quiet, trace };
                store.land_resend(&resend).await.map(Answer::Resent)
            }
            Operation::Claim { worker, nonce, length } => {
                store.claim(session, worker, *nonce, *length).await.map(|claim| Answer::Claimed(claim.map(Box::new)))
            }
            Operation::Reread { holder } => {
                store.reread(&lease(holder)).await.map(|seen| Answer::Seen(seen.map(Box::new)))
            }
            Operation::CommitReply { holder, outbox, seen } => {
                store.commit_reply(&lease(holder), outbox, seen.as_deref()).await.map(Answer::Committed)
            }
            Operation::BeginTry { holder, reply_id, part, tries_so_far, as_text } => {
                store.begin_try(&lease(holder), reply_id, *part, *tries_so_far, *as_text).await.map(Answer::Done)
            }
            Operation::PartSent { holder, reply_id, part, wamid } => {
                store.part_sent(&lease(holder), reply_id, *part, wamid).await.map(Answer::Done)
            }
            Operation::Settle { holder, number, messages, memory, quiet } => {
                store.settle(&lease(holder), number, messages, memory, *quiet).await.map(Answer::Settled)
            }
            Operation::Postpone { holder, postponement } => {
                store.postpone(&lease(holder), postponement).await.map(Answer::Done)
            }
            Operation::Renew { holder, length } => {
                let renewed = store.renew(&[lease(holder)], *length).await;
                renewed.map(|renewed| Answer::Renewed(renewed.into_iter().next()))
            }
            Operation::Release { holder } => store.release(&lease(holder)).await.map(Answer::Done),
            Operation::ReleaseAll { worker } => store.release_all(worker).await.map(|count| Answer::Done(count == 1)),
            Operation::Evidence { number, reply_id, part, wamid } => {
                store.evidence(session, number, reply_id, *part, wamid).await.map(Answer::Done)
            }
            Operation::HandOver { length, said } => {
                store.hand_over(session, *length, said.as_deref()).await.map(Answer::Done)
            }
            Operation::Resume => store.resume(session).await.map(Answer::Done),
            Operation::TakeNotice { length } => {
                store.take_notice(session, *length).await.map(|taken| Answer::Noticed(taken.map(Box::new)))
            }
            Operation::EndNotice { id } => store.end_notice(session, id).await.map(Answer::Done),
            Operation::PostponeNotice { id, tries, delay } => {
                store.postpone_notice(session, id, *tries, *delay).await.map(Answer::Done)
            }
            Operation::ReplaceCustomerId(change) => {
                store.replace_customer_id(session, change).await.map(|()| Answer::Nothing)
            }
            Operation::ReleaseWaiting { business, current } => {
                store.release_waiting(business, current).await.map(|count| Answer::Done(count == 1))
            }
        };
        answer.unwrap_or_else(|error| panic!("{operation:#?}\non {}: {error}", told(&self.model)))
    }
}

/// A state as it can be read in the message of a panic: without the hundreds of ids that it remembers.
fn told(state: &Option<State>) -> String {
    let mut state = state.clone();
    if let Some(state) = &mut state {
        state.answered.truncate(3);
        state.mailbox.truncate(3);
    }
    serde_json::to_string_pretty(&state).expect("a state is JSON")
}

/// The fields in which two states differ: as stored, and as expected.
fn differences(stored: &Option<State>, expected: &Option<State>) -> Vec<(String, [serde_json::Value; 2])> {
    let [stored, expected] = [stored, expected].map(|state| serde_json::to_value(state).expect("a state is JSON"));
    let fields = [&stored, &expected].map(|state| state.as_object().into_iter().flat_map(|fields| fields.keys()));
    let fields: BTreeSet<&String> = fields.into_iter().flatten().collect();
    let differing = fields.into_iter().filter(|field| stored.get(field) != expected.get(field));
    let both = |field: &String| [&stored, &expected].map(|state| state.get(field).cloned().unwrap_or_default());
    differing.map(|field| (field.clone(), both(field))).collect()
}

/// An operation and what became of it, in a word or two.
fn case(operation: &Operation, answer: &Answer) -> String {
    let operation = format!("{operation:?}");
    let name = operation.split([' ', '(']).next().unwrap_or_default();
    let outcome = match answer {
        Answer::Landed(Landed::New { .. }) => "New".to_owned(),
        Answer::Landed(Landed::Moved(_)) => "Moved".to_owned(),
        Answer::Landed(landed @ (Landed::Duplicate | Landed::AskTranscript | Landed::NoRoomForContent)) => {
            format!("{landed:?}")
        }
        Answer::Committed(
            outcome @ (CommitOutcome::Committed
            | CommitOutcome::NewerMessages
            | CommitOutcome::HandedOver
            | CommitOutcome::OptedOut
            | CommitOutcome::Fenced),
        ) => format!("{outcome:?}"),
        Answer::Resent(due_in) => due_in.is_some().to_string(),
        Answer::Claimed(claim) => claim.is_some().to_string(),
        Answer::Seen(seen) => seen.is_some().to_string(),
        Answer::Settled(settled) => settled.is_some().to_string(),
        Answer::Renewed(renewed) => renewed.is_some().to_string(),
        Answer::Noticed(taken) => taken.is_some().to_string(),
        Answer::Done(done) => done.to_string(),
        Answer::Nothing => return name.to_owned(),
    };
    format!("{name} {outcome}")
}
