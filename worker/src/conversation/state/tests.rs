//! What holds after any operations whatever, and the rules of each that are easiest seen alone.

use std::{collections::HashSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, prelude::*};
use shared::ids::{MessageId, PhoneNumberId, SessionId, WaId};

use super::*;
use crate::conversation::{
    Aftermath, BUCKET_REFILL, CommitOutcome, Consent, FACTS_MOST, FactChange, Holder, Landed, Memory, MemoryTurn, Part,
    PartForm, PartState, Postponement, QuietTime, ReplyKind, Speaker, Summary, later,
};

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const QUIET: QuietTime = QuietTime { quiet: Duration::from_secs(1), ceiling: Duration::from_secs(5) };
const LEASE: Duration = Duration::from_secs(30);
const WORKER: &str = "worker";
const NONCE: i64 = 7;

fn session() -> SessionId {
    SessionId::from_stored("acme:16505551234")
}

fn number() -> PhoneNumberId {
    PhoneNumberId::parse("106540352242922").expect("an id")
}

fn id(text: &str) -> MessageId {
    MessageId::parse(text).expect("an id")
}

fn land(n: usize) -> Operation {
    let item = MailboxItem {
        id: id(&format!("wamid.{n}")),
        phone_number_id: number(),
        timestamp: NOW,
        received_at: NOW,
        index: 0,
        message: Some("{}".to_owned()),
        resend_of: None,
        trace: None,
    };
    let customer = Customer { wa_id: WaId::parse("16505551234").ok(), ..Customer::default() };
    let business_id = BusinessId("acme".to_owned());
    Operation::Land { business_id, subdomain: None, customer, item, quiet: QUIET, looked_up: false }
}

fn claim() -> Operation {
    Operation::Claim { worker: WORKER.to_owned(), nonce: NONCE, length: LEASE }
}

fn reply(reply_id: &str, kind: ReplyKind, parts: usize) -> Outbox {
    let part = Part::waiting("hello".to_owned(), PartForm::Text);
    let (reply_id, answers) = (reply_id.to_owned(), vec![id("wamid.0")]);
    let aftermath = Aftermath::default();
    Outbox { reply_id, kind, phone_number_id: number(), answers, parts: vec![part; parts], aftermath, trace: None }
}

/// Whoever claims here, by its taking of that number.
fn holder(epoch: i64) -> Holder {
    Holder { worker: WORKER.into(), epoch, nonce: NONCE }
}

fn settle(epoch: i64, messages: Vec<MessageId>) -> Operation {
    Operation::Settle { holder: holder(epoch), number: number(), messages, memory: Memory::default(), quiet: QUIET }
}

fn land_resend(reply_id: &str, part: usize) -> Operation {
    Operation::LandResend {
        number: number(),
        reply_id: reply_id.to_owned(),
        part,
        wamid: id("wamid.out"),
        body: "hello".to_owned(),
        failed_at: NOW,
        quiet: QUIET,
        trace: None,
    }
}

/// One conversation and its clock.
struct World {
    stored: Option<State>,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self { stored: None, now: NOW }
    }

    fn state(&self) -> &State {
        self.stored.as_ref().expect("a message began it")
    }

    fn apply(&mut self, operation: &Operation) -> Answer {
        operation.apply(&session(), &mut self.stored, self.now)
    }

    fn wait(&mut self, length: Duration) -> &mut Self {
        self.now = later(self.now, length);
        self
    }

    /// A conversation whose first message was answered with a reply of three parts.
    fn answered(kind: ReplyKind) -> Self {
        let mut world = Self::new();
        world.apply(&land(0));
        world.wait(LEASE).apply(&claim());
        let commit = Operation::CommitReply { holder: holder(1), outbox: reply("r1", kind, 3), seen: None };
        assert_eq!(world.apply(&commit), Answer::Committed(CommitOutcome::Committed));
        assert!(matches!(world.apply(&settle(1, vec![id("wamid.0")])), Answer::Settled(Some(_))));
        world
    }
}

#[test]
fn each_try_takes_one_message_from_the_numbers_bucket() {
    let mut world = World::new();
    world.apply(&land(0));
    world.wait(LEASE).apply(&claim());
    let full_at = |world: &World| world.state().buckets.get(&number()).map(|at| at.duration_since(world.now));
    assert_eq!(full_at(&world), None);
    let refills = |n: u32| Some(SignedDuration::try_from(BUCKET_REFILL * n).expect("in range"));
    world.apply(&Operation::CommitReply { holder: holder(1), outbox: reply("r1", ReplyKind::Answer, 3), seen: None });
    assert_eq!(full_at(&world), refills(1));
    let sent =
        |part| Operation::PartSent { holder: holder(1), reply_id: "r1".to_owned(), part, wamid: id("wamid.out") };
    world.apply(&sent(0));
    assert_eq!(full_at(&world), refills(2), "the next part began");
    world.apply(&sent(0));
    assert_eq!(full_at(&world), refills(2), "it had begun before");
    let reply_id = "r1".to_owned();
    let again = Operation::BeginTry { holder: holder(1), reply_id, part: 1, tries_so_far: 1, as_text: false };
    assert_eq!(world.apply(&again), Answer::Done(true));
    assert_eq!(full_at(&world), refills(3), "the same part once more");
    world.wait(BUCKET_REFILL * 10).apply(&sent(1));
    assert_eq!(full_at(&world), refills(1), "what is full holds no more");
    world.apply(&sent(2));
    assert_eq!(full_at(&world), refills(1), "there is no next part");
}

#[test]
fn a_message_that_comes_again_and_again_changes_nothing() {
    let mut world = World::new();
    world.apply(&land(0));
    world.apply(&land(0));
    let after = world.state().clone();
    assert_eq!(world.wait(LEASE).apply(&land(0)), Answer::Landed(Landed::Duplicate));
    assert_eq!(*world.state(), after);
}

#[test]
fn a_part_of_the_last_reply_is_sent_once_more_and_once_only() {
    for kind in [ReplyKind::Answer, ReplyKind::Apology] {
        let mut world = World::answered(kind);
        assert_eq!(world.apply(&land_resend("another", 0)), Answer::Resent(None));
        assert_eq!(world.apply(&land_resend("r1", 0)), Answer::Resent(Some(QUIET.quiet)));
        assert_eq!(world.apply(&land_resend("r1", 0)), Answer::Resent(None), "a duplicate");
        assert_eq!(world.apply(&land_resend("r1", 2)), Answer::Resent(Some(QUIET.quiet)), "another part");
        assert_eq!(world.state().mailbox.len(), 2);

        world.wait(LEASE).apply(&claim());
        let outbox = reply("r2", ReplyKind::Resend, 1);
        let commit = |seen| Operation::CommitReply { holder: holder(2), outbox: outbox.clone(), seen };
        world.apply(&commit(Some(vec![])));
        assert!(world.state().outbox.is_none(), "it comes before a reply that does not know of it");
        world.apply(&commit(None));
        assert_eq!(world.apply(&land_resend("r1", 1)), Answer::Resent(None), "a reply is under way");
        world.apply(&settle(2, vec![id("resend:wamid.out")]));
        assert_eq!(world.state().last_reply, None);
        for reply_id in ["r1", "r2"] {
            assert_eq!(world.apply(&land_resend(reply_id, 1)), Answer::Resent(None), "{reply_id} is over");
        }
    }
}

#[test]
fn nothing_is_sent_once_more_while_a_person_has_the_conversation() {
    let mut world = World::answered(ReplyKind::Answer);
    world.apply(&Operation::HandOver { length: LEASE, said: None });
    assert_eq!(world.apply(&land_resend("r1", 0)), Answer::Resent(None));
    assert_eq!(world.wait(LEASE).apply(&land_resend("r1", 0)), Answer::Resent(Some(QUIET.quiet)));
}

#[test]
fn another_token_ends_the_wait_for_it_unless_somebody_is_at_work() {
    let mut world = World::new();
    world.apply(&land(0));
    world.wait(LEASE).apply(&claim());
    let postponement = Postponement {
        delay: LEASE * 10,
        reason: "credentials",
        detail: String::new(),
        for_evidence: false,
        ai: None,
        not_sent: None,
        token: Some("old".to_owned()),
    };
    world.apply(&Operation::Postpone { holder: holder(1), postponement });
    let release = |current: &str| Operation::ReleaseWaiting {
        business: BusinessId("acme".to_owned()),
        current: current.to_owned(),
    };
    assert_eq!(world.apply(&release("old")), Answer::Done(false));
    world.wait(LEASE * 10).apply(&claim());
    assert_eq!(world.apply(&release("new")), Answer::Done(false), "it is held");
    assert!(world.state().waits_for.is_some(), "its turn decides");
    world.wait(LEASE);
    assert_eq!(world.apply(&release("new")), Answer::Done(true), "its holder is dead");
    let state = world.state();
    assert_eq!((state.due_at, state.retry_at, &state.waits_for), (Some(world.now), None, &None));
    assert_eq!(world.apply(&release("newer")), Answer::Done(false));
}

/// Any operation, mostly one that a turn might do next.
fn operations() -> impl Strategy<Value = Vec<(Operation, u64)>> {
    let worker = prop_oneof![9 => Just(WORKER), 1 => Just("another")];
    let nonce = prop_oneof![9 => Just(NONCE), 1 => Just(NONCE + 1)];
    let holder = (worker, 1..6_i64, nonce);
    let holder = holder.prop_map(|(worker, epoch, nonce)| Holder { worker: worker.into(), epoch, nonce });
    let part = 0..3_usize;
    let reply_id = (0..4_u8).prop_map(|n| format!("r{n}"));
    let kind = prop_oneof![Just(ReplyKind::Answer), Just(ReplyKind::Apology), Just(ReplyKind::Resend)];
    let messages = vec((0..12_usize).prop_map(|n| id(&format!("wamid.{n}"))), 0..4);
    let guarded = (holder.clone(), reply_id.clone(), part.clone());
    let postpone = |(holder, not_sent, for_evidence, delay): (Holder, Option<usize>, bool, u64)| {
        let (delay, token) = (Duration::from_secs(delay), (delay % 2 == 0).then(|| "token".to_owned()));
        let (reason, detail) = ("throttled", String::new());
        let postponement = Postponement {
            delay,
            reason,
            detail,
            for_evidence,
            ai: (!for_evidence).then_some(Duration::from_secs(1)),
            not_sent,
            token,
        };
        Operation::Postpone { holder, postponement }
    };
    let operation = prop_oneof![
        4 => (0..12_usize).prop_map(land),
        4 => Just(claim()),
        2 => (holder.clone(), reply_id.clone(), kind, 1..4_usize).prop_map(|(holder, reply_id, kind, parts)| {
            Operation::CommitReply { holder, outbox: reply(&reply_id, kind, parts), seen: None }
        }),
        2 => (guarded.clone(), 0..3_u32).prop_map(|((holder, reply_id, part), tries_so_far)| {
            Operation::BeginTry { holder, reply_id, part, tries_so_far, as_text: false }
        }),
        2 => guarded.prop_map(|(holder, reply_id, part)| {
            Operation::PartSent { holder, reply_id, part, wamid: id("wamid.out") }
        }),
        2 => (holder.clone(), messages).prop_map(|(holder, messages)| Operation::Settle {
            holder, number: number(), messages, memory: Memory::default(), quiet: QUIET,
        }),
        1 => (holder.clone(), proptest::option::of(part.clone()), any::<bool>(), 0..60_u64).prop_map(postpone),
        1 => (reply_id.clone(), part.clone()).prop_map(|(reply_id, part)| land_resend(&reply_id, part)),
        1 => (reply_id, part).prop_map(|(reply_id, part)| {
            Operation::Evidence { number: number(), reply_id, part, wamid: id("wamid.out") }
        }),
        1 => holder.prop_map(|holder| Operation::Release { holder }),
    ];
    vec((operation, 0..20_u64), 0..80)
}

proptest! {
    #[test]
    fn whatever_happens_the_parts_of_a_conversation_fit_together(operations in operations()) {
        let mut world = World::new();
        let mut landed = HashSet::new();
        for (operation, pause) in operations {
            let before = world.stored.clone();
            let answer = world.wait(Duration::from_secs(pause)).apply(&operation);
            if let (Operation::Land { item, .. }, Answer::Landed(Landed::New { .. })) = (&operation, &answer) {
                prop_assert!(landed.insert(item.id.clone()), "landed twice");
            }
            let Some(state) = &world.stored else { continue };
            prop_assert!(before.is_none_or(|before| before.epoch <= state.epoch), "epochs count up");
            prop_assert!(state.lease.as_ref().is_none_or(|lease| lease.epoch == state.epoch), "the newest has it");
            prop_assert!(state.mailbox.is_empty() || state.due_at.is_some(), "what waits is due some time");
            prop_assert_eq!(state.mailbox.is_empty(), state.first_landed_at.is_none());
            prop_assert_eq!(state.mailbox.is_empty(), state.last_landed_at.is_none());
            prop_assert!(state.first_landed_at <= state.last_landed_at);
            let kept: Vec<_> = state.mailbox.iter().map(|waiting| &waiting.item.id).collect();
            let kept = kept.into_iter().chain(state.answered.iter().map(|answered| &answered.id));
            let written: Vec<_> = kept.filter(|id| id.expose().starts_with("wamid.")).cloned().collect();
            prop_assert_eq!(written.len(), landed.len(), "each is there once");
            prop_assert_eq!(written.into_iter().collect::<HashSet<_>>(), landed.clone());
            for part in state.outbox.iter().flat_map(|outbox| &outbox.parts) {
                prop_assert_eq!(part.state == PartState::Sent, part.wamid.is_some());
                prop_assert!(part.state != PartState::Sending || !part.tries.is_empty());
                prop_assert!(part.tries.windows(2).all(|pair| pair[0].at <= pair[1].at));
            }
        }
    }

    #[test]
    fn a_state_is_the_same_after_it_was_written_and_read(operations in operations()) {
        let mut world = World::new();
        for (operation, pause) in operations {
            world.wait(Duration::from_secs(pause)).apply(&operation);
        }
        let text = serde_json::to_string(&world.stored).expect("a state is JSON");
        prop_assert_eq!(serde_json::from_str::<Option<State>>(&text).expect("it was written so"), world.stored);
    }

    #[test]
    fn a_former_holder_changes_nothing(operations in operations(), stale in operations()) {
        let mut world = World::new();
        for (operation, pause) in operations {
            world.wait(Duration::from_secs(pause)).apply(&operation);
        }
        let held = world.stored.as_ref().and_then(|state| state.lease.as_ref()).map(Lease::holder);
        for (operation, _) in stale {
            let named = match &operation {
                Operation::Reread { holder }
                | Operation::CommitReply { holder, .. }
                | Operation::BeginTry { holder, .. }
                | Operation::PartSent { holder, .. }
                | Operation::Settle { holder, .. }
                | Operation::Postpone { holder, .. }
                | Operation::Renew { holder, .. }
                | Operation::Release { holder } => Some(holder.clone()),
                Operation::Land { .. }
                | Operation::LandResend { .. }
                | Operation::Claim { .. }
                | Operation::ReleaseAll { .. }
                | Operation::Evidence { .. }
                | Operation::HandOver { .. }
                | Operation::Resume
                | Operation::TakeNotice { .. }
                | Operation::EndNotice { .. }
                | Operation::PostponeNotice { .. }
                | Operation::ReplaceCustomerId(_)
                | Operation::ReleaseWaiting { .. } => None,
            };
            if named.is_none() || named == held {
                continue;
            }
            let before = world.stored.clone();
            let answer = world.apply(&operation);
            prop_assert_eq!(&world.stored, &before);
            let fenced = [
                Answer::Seen(None),
                Answer::Committed(CommitOutcome::Fenced),
                Answer::Settled(None),
                Answer::Renewed(None),
                Answer::Done(false),
            ];
            prop_assert!(fenced.contains(&answer), "{:?}", answer);
        }
    }
}

#[test]
fn what_a_reply_changes_happens_once_when_it_is_settled() {
    let learned = |id: &str, text: &str| FactChange::Learned { id: id.to_owned(), text: text.to_owned() };
    let settle_with = |epoch, aftermath: Aftermath| {
        let turns = vec![MemoryTurn { speaker: Speaker::Customer, text: "line".to_owned() }];
        let memory = Memory { turns, aftermath, ..Memory::default() };
        Operation::Settle { holder: holder(epoch), number: number(), messages: vec![], memory, quiet: QUIET }
    };
    let mut world = World::new();
    world.apply(&land(0));
    let facts = (0..FACTS_MOST).map(|n| learned(&format!("f{n}"), "old")).collect();
    world.wait(LEASE).apply(&claim());
    world.apply(&settle_with(1, Aftermath { facts, ..Aftermath::default() }));
    let first_line = world.state().memory[0].at;
    world.wait(LEASE).apply(&claim());
    let aftermath = Aftermath {
        facts: vec![FactChange::Dropped { id: "f3".to_owned() }, learned("f4", "new"), learned("g", "more")],
        summary: Some(Summary { text: "notes".to_owned(), until: first_line }),
        hand_over: Some(LEASE),
        language: Some("es".to_owned()),
        ..Aftermath::default()
    };
    let operation = settle_with(2, aftermath);
    assert!(matches!(world.apply(&operation), Answer::Settled(Some(_))));
    assert_eq!(world.apply(&operation), Answer::Settled(None), "the lease is gone, and so is the right to");
    let state = world.state();
    let facts: Vec<_> = state.facts.iter().map(|fact| (fact.id.as_str(), fact.text.as_str())).collect();
    assert_eq!(facts.len(), FACTS_MOST, "one went, one came");
    assert_eq!(facts.last(), Some(&("g", "more")));
    assert!(facts.contains(&("f4", "new")) && !facts.iter().any(|(id, _)| *id == "f3"));
    assert_eq!((state.summary.as_deref(), state.memory.len()), (Some("notes"), 1), "the line that it stands for went");
    assert_eq!(state.handed_over_until, Some(later(world.now, LEASE)));
    assert_eq!(state.customer.language.as_deref(), Some("es"));
}

#[test]
fn a_limit_ends_when_it_was_said_to_end_however_late_that_was_sent() {
    let mut world = World::new();
    world.apply(&land(0));
    let until = later(world.now, LEASE * 3);
    let aftermath = Aftermath { limited_until: Some(until), ..Aftermath::default() };
    world.wait(LEASE).apply(&claim());
    let memory = Memory { aftermath, ..Memory::default() };
    let settle = Operation::Settle { holder: holder(1), number: number(), messages: vec![], memory, quiet: QUIET };
    world.wait(LEASE / 2).apply(&settle);
    assert_eq!(world.state().limited_until, Some(until));
    let Answer::Landed(landed) = world.apply(&land(1)) else { panic!("it lands") };
    assert!(matches!(landed, Landed::New { first: false, .. }), "nobody seems to type");
}

#[test]
fn who_wants_silence_has_it_from_the_commitment_on() {
    let commit = |epoch, consent| {
        let aftermath = Aftermath { consent, ..Aftermath::default() };
        let outbox = Outbox { aftermath, ..reply("r", ReplyKind::Answer, 1) };
        Operation::CommitReply { holder: holder(epoch), outbox, seen: None }
    };
    let settled = |epoch, consent| {
        let memory = Memory { aftermath: Aftermath { consent, ..Aftermath::default() }, ..Memory::default() };
        Operation::Settle { holder: holder(epoch), number: number(), messages: vec![], memory, quiet: QUIET }
    };
    let mut world = World::new();
    world.apply(&land(0));
    world.wait(LEASE).apply(&claim());
    assert_eq!(world.apply(&commit(1, Some(Consent::Withdrawn))), Answer::Committed(CommitOutcome::Committed));
    let since = world.state().opted_out_at;
    assert_eq!(since, Some(world.now), "whatever becomes of the confirmation");
    world.wait(LEASE).apply(&settled(1, Some(Consent::Withdrawn)));
    assert_eq!(world.state().opted_out_at, since, "since the first time");
    world.wait(LEASE).apply(&claim());
    for consent in [None, Some(Consent::Withdrawn)] {
        assert_eq!(world.apply(&commit(2, consent)), Answer::Committed(CommitOutcome::OptedOut));
    }
    assert_eq!(world.apply(&commit(2, Some(Consent::Given))), Answer::Committed(CommitOutcome::Committed));
    assert_eq!(world.state().opted_out_at, None);
    // A wish that could not be confirmed.
    world.wait(LEASE).apply(&settled(2, Some(Consent::Withdrawn)));
    assert_eq!(world.state().opted_out_at, Some(world.now));
    let Answer::Landed(landed) = world.apply(&land(1)) else { panic!("it lands") };
    assert!(matches!(landed, Landed::New { first: false, .. }), "nobody seems to type");
}

#[test]
fn a_document_of_an_older_version_is_read_without_what_it_did_not_know() {
    let mut world = World::new();
    world.apply(&land(0));
    let state = world.state().clone();
    let mut stored = serde_json::to_value(&state).expect("a state is JSON");
    stored.as_object_mut().expect("an object").remove("opted_out_at").expect("it is there");
    assert_eq!(serde_json::from_value::<State>(stored).expect("it is read"), state);
    let known: Aftermath = serde_json::from_str(r#"{"hand_over":null,"usage":{}}"#).expect("it is read");
    assert_eq!(known, Aftermath::default());
}
