//! Decisions that take minutes in a real system. What the machine does about crashes is walked through by the model.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use shared::ids::{SessionId, WaId};

use super::*;
use crate::{
    account::PAUSED,
    business::InDoubt,
    conversation::{
        Aftermath, BUCKET_MOST, BUCKET_REFILL, BusinessId, Customer, Part, PartForm, PartState, Recollection,
    },
    store::{CommitOutcome, Postponement},
    whatsapp::GraphError,
};

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn number() -> PhoneNumberId {
    PhoneNumberId::parse("1").expect("valid")
}

fn item(id: &str, written: i64, received: i64) -> MailboxItem {
    MailboxItem {
        id: MessageId::parse(id).expect("valid"),
        phone_number_id: number(),
        timestamp: at(written),
        received_at: at(received),
        index: 0,
        message: Some("{}".to_owned()),
        resend_of: None,
        trace: None,
    }
}

fn conversation(mailbox: Vec<MailboxItem>) -> Conversation {
    Conversation {
        id: SessionId::from_stored("acme:4915100000"),
        business_id: BusinessId("acme".to_owned()),
        subdomain: None,
        customer: Customer { wa_id: WaId::parse("4915100000").ok(), ..Customer::default() },
        mailbox,
        outbox: None,
        memory: Recollection::default(),
        attempts: 0,
        takeovers: 0,
        ai_failing_since: None,
        apologised_at: None,
        handed_over_until: None,
        opted_out_at: None,
        minute: None,
        limited_until: None,
        windows: BTreeMap::new(),
        buckets: BTreeMap::new(),
        claimed_at: at(NOW),
    }
}

fn in_doubt_since(seconds: i64) -> Conversation {
    let part = Part {
        state: PartState::Sending,
        tries: 1,
        last_try_at: Some(at(NOW - seconds)),
        ..Part::waiting("hello".to_owned(), PartForm::Text)
    };
    let message = item("wamid.1", NOW - seconds, NOW - seconds);
    let outbox = Outbox {
        reply_id: "reply".to_owned(),
        kind: ReplyKind::Answer,
        phone_number_id: number(),
        answers: vec![message.id.clone()],
        parts: vec![part],
        aftermath: Aftermath::default(),
        trace: None,
    };
    Conversation { outbox: Some(outbox), ..conversation(vec![message]) }
}

fn rules() -> Rules {
    Rules { send_evidence: Duration::from_secs(30), ai_give_up: Duration::from_secs(120), jitter: |_, first, _| first }
}

fn reply(bodies: &[&str]) -> Event {
    let parts = bodies.iter().map(|body| Part::waiting((*body).to_owned(), PartForm::Text)).collect();
    Event::Composed(Ok(Reply { id: "r".to_owned(), parts, aftermath: Aftermath::default() }))
}

fn prepared(in_doubt: InDoubt) -> Event {
    let token = Token { id: "t".to_owned(), problem: None };
    Event::Prepared {
        service: Service::Served { token, in_doubt, allowance: Allowance::default() },
        wants_answer: true,
        asks_for_person: false,
        wishes: Vec::new(),
        quotes: None,
        filed: Vec::new(),
    }
}

#[test]
fn what_is_at_hand_of_an_answered_turn_is_all_that_it_answered_and_nothing_else() {
    let message = |n: u8| item(&format!("wamid.{n}"), NOW, NOW);
    let mut unread = message(3);
    unread.phone_number_id = PhoneNumberId::parse("200200").expect("an id");
    let (mut machine, _) = Machine::begin(conversation(vec![message(1), message(2), unread]), rules());
    machine.step(prepared(InDoubt::Resend));
    let effect = machine.step(reply(&["hello"]));
    assert!(matches!(effect, Effect::Permit), "{effect:?}");
    machine.step(Event::Permitted(None));
    machine.step(Event::Committed(CommitOutcome::Committed));
    let effect = machine.step(Event::Sent(Ok(MessageId::parse("wamid.out").expect("an id"))));
    assert!(matches!(effect, Effect::RecordPart { .. } | Effect::Record { .. }), "{effect:?}");
    let answered: Vec<_> = machine.at_hand().into_iter().map(|item| item.id).collect();
    assert_eq!(answered, [message(1).id, message(2).id]);
}

#[test]
fn evidence_is_waited_for_until_statuses_were_heard_out() {
    let (_, effect) = Machine::begin(in_doubt_since(10), rules());
    assert!(matches!(effect, Effect::Postpone(p) if p.for_evidence && p.delay == Duration::from_secs(20)));
    let (mut machine, effect) = Machine::begin(in_doubt_since(40), rules());
    assert!(matches!(effect, Effect::Listen { within } if within == Duration::from_secs(10)));
    let effect = machine.step(Event::Heard(false));
    assert!(matches!(effect, Effect::Postpone(p) if p.for_evidence && p.delay < Duration::from_secs(1)));
}

#[test]
fn silence_that_was_heard_repeats_the_message_whatever_the_business_wants() {
    for policy in [InDoubt::Resend, InDoubt::Dead] {
        let (mut machine, _) = Machine::begin(in_doubt_since(40), rules());
        machine.step(Event::Heard(true));
        assert!(matches!(machine.step(prepared(policy)), Effect::Permit));
        let effect = machine.step(Event::Permitted(None));
        assert!(matches!(effect, Effect::BeginTry { repeats: Some(Repeat::Silence), tries: 1, .. }), "{effect:?}");
    }
}

#[test]
fn where_nothing_can_be_heard_the_business_decides_after_three_minutes_more() {
    let (mut machine, _) = Machine::begin(in_doubt_since(30 + 179), rules());
    assert!(matches!(machine.step(Event::Heard(false)), Effect::Postpone(_)), "not yet");
    let (mut machine, _) = Machine::begin(in_doubt_since(30 + 181), rules());
    machine.step(Event::Heard(false));
    machine.step(prepared(InDoubt::Resend));
    let effect = machine.step(Event::Permitted(None));
    assert!(matches!(effect, Effect::BeginTry { repeats: Some(Repeat::Policy), .. }), "{effect:?}");
    let (mut machine, _) = Machine::begin(in_doubt_since(30 + 181), rules());
    machine.step(Event::Heard(false));
    let effect = machine.step(prepared(InDoubt::Dead));
    assert!(matches!(effect, Effect::File { burial: Burial { reason: "in_doubt", .. }, .. }), "{effect:?}");
}

#[test]
fn an_empty_bucket_waits_before_the_ai_is_paid() {
    let owed = SignedDuration::try_from(BUCKET_REFILL * BUCKET_MOST).expect("short");
    let full_at = at(NOW).checked_add(owed).expect("soon");
    let buckets = BTreeMap::from([(number(), full_at)]);
    let (mut machine, _) =
        Machine::begin(Conversation { buckets, ..conversation(vec![item("wamid.1", NOW, NOW)]) }, rules());
    let effect = machine.step(prepared(InDoubt::Resend));
    assert!(matches!(effect, Effect::Postpone(p) if p.reason == "paced" && p.delay == BUCKET_REFILL));
}

#[test]
fn a_reply_that_may_not_go_yet_is_kept_and_not_paid_for_again() {
    let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
    machine.step(prepared(InDoubt::Resend));
    machine.step(reply(&["hello"]));
    let effect = machine.step(Event::Permitted(Some(Duration::from_secs(3))));
    assert!(matches!(effect, Effect::Commit { .. }), "{effect:?}");
    let effect = machine.step(Event::Committed(CommitOutcome::Committed));
    let waits = |p: &Postponement| p.reason == "paced" && p.delay == Duration::from_secs(3) && p.not_sent == Some(0);
    assert!(matches!(&effect, Effect::Postpone(p) if waits(p)), "{effect:?}");
}

#[test]
fn a_reply_that_is_full_is_not_thought_over_again() {
    let composed = || reply(&["hello"]);
    for (messages, again) in [(49, true), (50, false), (51, false)] {
        let mailbox = (0..messages).map(|n| item(&format!("wamid.{n}"), NOW, NOW)).collect();
        let (mut machine, _) = Machine::begin(conversation(mailbox), rules());
        machine.step(prepared(InDoubt::Resend));
        machine.step(composed());
        let effect = machine.step(Event::Permitted(None));
        assert!(matches!(effect, Effect::Commit { seen, .. } if seen.is_some() == again), "{messages}");
    }
}

#[test]
fn a_part_that_may_not_follow_at_once_is_recorded_and_the_next_one_waits() {
    let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
    machine.step(prepared(InDoubt::Resend));
    machine.step(reply(&["one", "two"]));
    machine.step(Event::Permitted(None));
    machine.step(Event::Committed(CommitOutcome::Committed));
    let wamid = MessageId::parse("wamid.out").expect("valid");
    assert!(matches!(machine.step(Event::Sent(Ok(wamid))), Effect::Permit));
    let effect = machine.step(Event::Permitted(Some(Duration::from_secs(3))));
    assert!(matches!(effect, Effect::RecordPart { part: 0, begin_next: false, .. }), "{effect:?}");
    assert!(matches!(machine.step(Event::PartRecorded(true)), Effect::Permit));
    let effect = machine.step(Event::Permitted(Some(Duration::from_secs(3))));
    assert!(matches!(effect, Effect::Postpone(p) if p.reason == "paced" && p.not_sent == Some(1)));
}

#[test]
fn a_refused_token_is_looked_up_once_and_then_waited_for() {
    let refused = || {
        let body = br#"{"error":{"code":190,"message":"expired"}}"#;
        Event::Sent(Err(GraphError::from_answer(401, body, None).into()))
    };
    let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
    machine.step(prepared(InDoubt::Resend));
    machine.step(reply(&["hello"]));
    machine.step(Event::Permitted(None));
    machine.step(Event::Committed(CommitOutcome::Committed));
    assert!(matches!(machine.step(refused()), Effect::FreshToken));
    machine.step(Event::FreshToken(Some(Token { id: "u".to_owned(), problem: None })));
    assert!(matches!(machine.step(Event::Permitted(None)), Effect::BeginTry { tries: 1, repeats: None, .. }));
    assert!(matches!(machine.step(Event::TryBegun(true)), Effect::Send(sending) if sending.attempt == 2));
    let effect = machine.step(refused());
    let waits =
        |p: &Postponement| p.reason == "credentials" && p.token.as_deref() == Some("u") && p.not_sent == Some(0);
    assert!(matches!(&effect, Effect::Postpone(p) if waits(p)), "{effect:?}");
}

#[test]
fn the_window_is_reckoned_from_the_customers_own_time_unless_that_is_impossible() {
    let hour = 3_600;
    let closed = |written, received| {
        let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", written, received)]), rules());
        matches!(machine.step(prepared(InDoubt::Resend)), Effect::File { .. })
    };
    assert!(!closed(NOW - 23 * hour, NOW));
    assert!(closed(NOW - 25 * hour, NOW), "it came late");
    assert!(closed(NOW - 25 * hour, NOW - 25 * hour), "it waited here");
    assert!(!closed(NOW - 9 * 24 * hour, NOW), "no redelivery is that late");
    assert!(!closed(NOW + hour, NOW), "nor that early");
}

#[test]
fn a_call_that_was_overtaken_is_made_again_after_a_pause_twice_at_most() {
    let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
    for _ in 0..2 {
        machine.step(prepared(InDoubt::Resend));
        assert!(machine.takes_more_in());
        assert!(matches!(machine.step(Event::Overtaken), Effect::Gather));
        assert!(matches!(machine.step(Event::Gathered), Effect::Reread));
        let reread = Box::new(conversation(vec![item("wamid.1", NOW, NOW), item("wamid.2", NOW, NOW)]));
        assert!(matches!(machine.step(Event::Reread(Some(reread))), Effect::Prepare { items, .. } if items.len() == 2));
    }
    machine.step(prepared(InDoubt::Resend));
    assert!(!machine.takes_more_in(), "nobody waits for ever");
}

#[test]
fn a_form_that_meta_refuses_for_good_goes_as_text_once() {
    let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
    machine.step(prepared(InDoubt::Resend));
    let voice = Part::waiting("hello".to_owned(), PartForm::Voice { media_id: "7".to_owned() });
    machine.step(Event::Composed(Ok(Reply {
        id: "r".to_owned(),
        parts: vec![voice],
        aftermath: Aftermath::default(),
    })));
    machine.step(Event::Permitted(None));
    let effect = machine.step(Event::Committed(CommitOutcome::Committed));
    assert!(matches!(&effect, Effect::Send(sending) if !sending.form.is_text()), "{effect:?}");
    let refused = || {
        let body = br#"{"error":{"code":131053,"message":"media"}}"#;
        Event::Sent(Err(GraphError::from_answer(400, body, None).into()))
    };
    assert!(matches!(machine.step(refused()), Effect::Permit));
    let effect = machine.step(Event::Permitted(None));
    assert!(matches!(&effect, Effect::BeginTry { as_text: true, repeats: None, tries: 1, .. }), "{effect:?}");
    let effect = machine.step(Event::TryBegun(true));
    assert!(
        matches!(&effect, Effect::Send(sending) if sending.form.is_text() && sending.body == "hello"),
        "{effect:?}"
    );
    assert!(matches!(machine.step(refused()), Effect::File { .. }), "refused as text, too");
}

#[test]
fn a_token_that_is_refused_for_a_file_is_waited_for_like_one_that_is_refused_for_a_message() {
    let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
    machine.step(prepared(InDoubt::Resend));
    let trouble = Trouble {
        after: Duration::ZERO,
        took: Duration::ZERO,
        retry_after: None,
        kind: TroubleKind::Token,
        detail: "code 190".to_owned(),
    };
    let effect = machine.step(Event::Composed(Err(trouble)));
    let waits = |p: &Postponement| p.reason == "credentials" && p.token.as_deref() == Some("t") && p.ai.is_none();
    assert!(matches!(&effect, Effect::Postpone(p) if waits(p)), "{effect:?}");
}

#[test]
fn while_meta_is_away_nobody_is_told_that_the_ai_fails() {
    let mut waiting = conversation(vec![item("wamid.1", NOW, NOW)]);
    waiting.ai_failing_since = Some(at(NOW - 3_600));
    let (mut machine, _) = Machine::begin(waiting, rules());
    machine.step(prepared(InDoubt::Resend));
    let trouble = |kind| Trouble {
        after: Duration::ZERO,
        took: Duration::ZERO,
        retry_after: None,
        kind,
        detail: "away".to_owned(),
    };
    let effect = machine.clone().step(Event::Composed(Err(trouble(TroubleKind::Graph))));
    assert!(matches!(&effect, Effect::Postpone(p) if p.reason == "unreachable" && p.ai.is_none()), "{effect:?}");
    let effect = machine.step(Event::Composed(Err(trouble(TroubleKind::Ai))));
    assert!(matches!(effect, Effect::Compose(ReplyKind::Apology)), "{effect:?}");
}

fn wished(wishes: &[(&str, Consent)]) -> Event {
    let token = Token { id: "t".to_owned(), problem: None };
    let wish =
        |(id, consent): &(&str, Consent)| Wish { message: MessageId::parse(id).expect("valid"), consent: *consent };
    let service = Service::Served { token, in_doubt: InDoubt::Resend, allowance: Allowance::default() };
    Event::Prepared {
        service,
        wants_answer: true,
        asks_for_person: false,
        wishes: wishes.iter().map(wish).collect(),
        quotes: None,
        filed: Vec::new(),
    }
}

fn three() -> Vec<MailboxItem> {
    vec![item("wamid.1", NOW, NOW), item("wamid.2", NOW, NOW), item("wamid.3", NOW, NOW)]
}

fn prepares(effect: &Effect) -> Vec<&str> {
    let Effect::Prepare { items, .. } = effect else { panic!("{effect:?}") };
    items.iter().map(|item| item.id.expose()).collect()
}

/// What is recorded, and what the settlement after it remembers.
fn settles(machine: &mut Machine, effect: &Effect) -> Remember {
    assert!(matches!(effect, Effect::Record { sent: None, buried: false, .. }), "{effect:?}");
    let Effect::Settle { memory, .. } = machine.step(Event::Recorded) else { panic!("it settles") };
    memory
}

#[test]
fn a_stop_is_confirmed_with_what_was_written_up_to_it() {
    let (mut machine, _) = Machine::begin(conversation(three()), rules());
    let wishes = [("wamid.2", Consent::Withdrawn), ("wamid.3", Consent::Given)];
    let effect = machine.step(wished(&wishes));
    assert_eq!(prepares(&effect), ["wamid.1", "wamid.2"], "what comes after it waits");
    assert!(matches!(machine.step(wished(&wishes[..1])), Effect::Compose(ReplyKind::Answer)));
    assert_eq!((machine.wish(), machine.takes_more_in()), (Some(Consent::Withdrawn), false));
    assert!(matches!(machine.step(reply(&["bye"])), Effect::Permit));
    let Effect::Commit { outbox, seen: None } = machine.step(Event::Permitted(None)) else { panic!("it commits") };
    assert_eq!((outbox.aftermath.consent, outbox.answers.len()), (Some(Consent::Withdrawn), 2));
}

#[test]
fn who_wants_silence_gets_it_until_they_say_otherwise() {
    let silent = |mailbox| Conversation { opted_out_at: Some(at(NOW - 9)), ..conversation(mailbox) };
    // Another STOP says nothing new, and nothing is remembered.
    let (mut machine, _) = Machine::begin(silent(three()), rules());
    let effect = machine.step(wished(&[("wamid.1", Consent::Withdrawn)]));
    assert_eq!(settles(&mut machine, &effect), Remember::Nothing);
    // What was said before the START is settled in silence, then the START is confirmed by itself.
    let (mut machine, _) = Machine::begin(silent(three()), rules());
    let effect = machine.step(wished(&[("wamid.2", Consent::Given)]));
    assert_eq!(prepares(&effect), ["wamid.1"]);
    let effect = machine.step(wished(&[]));
    assert_eq!(settles(&mut machine, &effect), Remember::Nothing);
    let (mut machine, _) = Machine::begin(silent(three()), rules());
    let effect = machine.step(wished(&[("wamid.1", Consent::Given)]));
    assert_eq!(prepares(&effect), ["wamid.1"]);
    assert!(matches!(machine.step(wished(&[("wamid.1", Consent::Given)])), Effect::Compose(ReplyKind::Answer)));
    assert_eq!(machine.wish(), Some(Consent::Given));
    // Who hears from us anyway asks for nothing by it.
    let (mut machine, _) = Machine::begin(conversation(three()), rules());
    assert!(matches!(machine.step(wished(&[("wamid.1", Consent::Given)])), Effect::Compose(ReplyKind::Answer)));
    assert_eq!(machine.wish(), None);
}

#[test]
fn a_wish_counts_where_nobody_can_be_told() {
    let stop = || wished(&[("wamid.1", Consent::Withdrawn)]);
    let handed_over =
        Conversation { handed_over_until: Some(at(NOW + 9)), ..conversation(vec![item("wamid.1", NOW, NOW)]) };
    let late = conversation(vec![item("wamid.1", NOW - 90_000, NOW - 90_000)]);
    for conversation in [handed_over, late] {
        let (mut machine, _) = Machine::begin(conversation, rules());
        let effect = machine.step(stop());
        assert_eq!(settles(&mut machine, &effect), Remember::Wish(Consent::Withdrawn));
    }
    // A person took it over while the confirmation was composed; or the customer had asked for silence elsewhere.
    for (outcome, memory) in
        [(CommitOutcome::HandedOver, Remember::Wish(Consent::Withdrawn)), (CommitOutcome::OptedOut, Remember::Nothing)]
    {
        let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
        machine.step(stop());
        machine.step(reply(&["bye"]));
        machine.step(Event::Permitted(None));
        let effect = machine.step(Event::Committed(outcome));
        assert_eq!(settles(&mut machine, &effect), memory);
    }
}

fn paused(left: Option<Duration>) -> Event {
    let service = Service::Paused { why: "ban".to_owned(), left };
    Event::Prepared {
        service,
        wants_answer: true,
        asks_for_person: false,
        wishes: Vec::new(),
        quotes: None,
        filed: Vec::new(),
    }
}

#[test]
fn an_account_that_may_not_send_is_waited_for_without_the_ai() {
    let is_paused = |effect: &Effect, delay: Duration| {
        matches!(effect, Effect::Postpone(p) if p.reason == "paused" && p.token.as_deref() == Some(PAUSED)
            && p.delay == delay && p.ai.is_none() && p.not_sent.is_none())
    };
    for (left, delay) in [(None, 61), (Some(5), 5), (Some(500), 61)] {
        let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
        let effect = machine.step(paused(left.map(Duration::from_secs)));
        assert!(is_paused(&effect, Duration::from_secs(delay)), "{effect:?}");
    }
    // A reply under way stays as it is, in doubt or not.
    let (mut machine, _) = Machine::begin(in_doubt_since(40), rules());
    machine.step(Event::Heard(true));
    let effect = machine.step(paused(None));
    assert!(is_paused(&effect, Duration::from_secs(61)), "{effect:?}");
    // What would be too late anyway is filed.
    let late = vec![item("wamid.1", NOW - 90_000, NOW - 90_000)];
    let (mut machine, _) = Machine::begin(conversation(late), rules());
    let effect = machine.step(paused(None));
    assert!(matches!(effect, Effect::File { burial: Burial { reason: "window_closed", .. }, .. }), "{effect:?}");
}

/// A limit is reached, and the customer was told so if `told`.
fn limited(told: bool, asks_for_person: bool) -> Effect {
    let mailbox = vec![item("wamid.1", NOW, NOW)];
    let limited_until = told.then(|| at(NOW + 100));
    let (mut machine, _) = Machine::begin(Conversation { limited_until, ..conversation(mailbox) }, rules());
    machine.step(over_the_limit(asks_for_person))
}

fn over_the_limit(asks_for_person: bool) -> Event {
    let token = Token { id: "t".to_owned(), problem: None };
    let allowance = Allowance { day_is_over_for: Some(Duration::from_secs(40)), ..Allowance::default() };
    let service = Service::Served { token, in_doubt: InDoubt::Resend, allowance };
    Event::Prepared {
        service,
        wants_answer: true,
        asks_for_person,
        wishes: Vec::new(),
        quotes: None,
        filed: Vec::new(),
    }
}

#[test]
fn a_limit_is_told_once_and_again_to_whoever_asks_for_a_person() {
    assert!(matches!(limited(false, false), Effect::Excuse(until) if until == at(NOW + 40)));
    assert!(matches!(limited(true, false), Effect::Record { sent: None, .. }));
    assert!(matches!(limited(true, true), Effect::Excuse(until) if until == at(NOW + 100)), "it grows no shorter");
}

#[test]
fn the_word_that_there_is_a_limit_may_be_sent_once_more() {
    let again = MailboxItem { resend_of: MessageId::parse("wamid.out").ok(), ..item("wamid.1", NOW, NOW) };
    let limited_until = Some(at(NOW + 100));
    let (mut machine, _) = Machine::begin(Conversation { limited_until, ..conversation(vec![again]) }, rules());
    assert!(matches!(machine.step(over_the_limit(false)), Effect::Compose(ReplyKind::Resend)));
}

#[test]
fn who_had_the_apology_and_asks_for_a_person_has_it_again() {
    for (asks_for_person, again) in [(true, true), (false, false)] {
        let since = Some(at(NOW - 500));
        let mailbox = vec![item("wamid.1", NOW, NOW)];
        let failing = Conversation { ai_failing_since: since, apologised_at: since, ..conversation(mailbox) };
        let (mut machine, _) = Machine::begin(failing, rules());
        let Event::Prepared { service, wishes, quotes, .. } = prepared(InDoubt::Resend) else { panic!("it is") };
        machine.step(Event::Prepared {
            service,
            wants_answer: true,
            asks_for_person,
            wishes,
            quotes,
            filed: Vec::new(),
        });
        let trouble = Trouble {
            after: Duration::ZERO,
            took: Duration::ZERO,
            retry_after: None,
            kind: TroubleKind::Ai,
            detail: "away".to_owned(),
        };
        let effect = machine.step(Event::Composed(Err(trouble)));
        assert_eq!(matches!(effect, Effect::Compose(ReplyKind::Apology)), again, "{effect:?}");
    }
}

/// A reply that was refused once, and waits.
fn waiting_since(seconds: i64) -> Conversation {
    let mut conversation = in_doubt_since(seconds);
    let outbox = conversation.outbox.as_mut().expect("a reply is under way");
    for part in &mut outbox.parts {
        (part.state, part.not_sent) = (PartState::Waiting, part.tries);
    }
    conversation
}

#[test]
fn a_person_who_takes_over_while_a_reply_waits_is_not_spoken_over() {
    let handed_over = |conversation| Conversation { handed_over_until: Some(at(NOW + 60)), ..conversation };
    let (mut machine, _) = Machine::begin(handed_over(waiting_since(10)), rules());
    let effect = machine.step(prepared(InDoubt::Resend));
    assert!(matches!(effect, Effect::Record { buried: false, sent: None, .. }), "{effect:?}");
    // What the customer has a part of, or may have, is sent to its end.
    let (mut machine, _) = Machine::begin(handed_over(in_doubt_since(40)), rules());
    machine.step(Event::Heard(true));
    let effect = machine.step(prepared(InDoubt::Resend));
    assert!(matches!(effect, Effect::Permit), "{effect:?}");
}

#[test]
fn tries_that_meta_refused_make_nobody_wait_longer_for_evidence() {
    let tried = |tries, not_sent| {
        let mut conversation = in_doubt_since(40);
        let part = conversation.outbox.as_mut().and_then(|outbox| outbox.parts.first_mut()).expect("a part");
        (part.tries, part.not_sent) = (tries, not_sent);
        Machine::begin(conversation, rules()).1
    };
    assert!(matches!(tried(1, 0), Effect::Listen { .. }));
    assert!(matches!(tried(6, 5), Effect::Listen { .. }), "five of them were refused");
    assert!(matches!(tried(2, 0), Effect::Postpone(p) if p.delay == Duration::from_secs(20)), "both may have arrived");
}

#[test]
fn an_ai_that_does_not_answer_at_all_fails_since_it_was_asked() {
    let after = |after| {
        let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
        machine.step(prepared(InDoubt::Resend));
        machine.step(Event::Composed(Err(Trouble {
            after: Duration::from_secs(after),
            took: Duration::from_secs(after),
            retry_after: None,
            kind: TroubleKind::Ai,
            detail: "timed out".to_owned(),
        })))
    };
    let effect = after(60);
    assert!(matches!(&effect, Effect::Postpone(p) if p.ai == Some(Duration::from_secs(60))), "{effect:?}");
    assert!(matches!(after(120), Effect::Compose(ReplyKind::Apology)), "two minutes are over");
}

#[test]
fn a_window_that_the_customer_opened_since_is_open_for_what_waits() {
    let day = 24 * 3_600;
    let closed = |open_for: Option<i64>| {
        let windows = open_for.map(|seconds| (number(), at(NOW + seconds))).into_iter().collect();
        let old = conversation(vec![item("wamid.1", NOW - day - 60, NOW - day - 60)]);
        let (mut machine, _) = Machine::begin(Conversation { windows, ..old }, rules());
        matches!(machine.step(prepared(InDoubt::Resend)), Effect::File { .. })
    };
    assert!(closed(None) && closed(Some(-1)));
    assert!(!closed(Some(60)), "a newer message waits behind it");
    // What is to be sent once more opens no window by having failed.
    let resend = MailboxItem { resend_of: MessageId::parse("wamid.out").ok(), ..item("resend", NOW, NOW) };
    let windows = BTreeMap::from([(number(), at(NOW - 1))]);
    let (mut machine, _) = Machine::begin(Conversation { windows, ..conversation(vec![resend]) }, rules());
    let effect = machine.step(prepared(InDoubt::Resend));
    assert!(matches!(effect, Effect::File { .. }), "{effect:?}");
}

#[test]
fn what_meta_took_is_known_until_the_turn_is_over() {
    let (mut machine, _) = Machine::begin(conversation(vec![item("wamid.1", NOW, NOW)]), rules());
    machine.step(prepared(InDoubt::Resend));
    machine.step(reply(&["hello"]));
    machine.step(Event::Permitted(None));
    machine.step(Event::Committed(CommitOutcome::Committed));
    assert!(machine.accepted().is_empty());
    let wamid = MessageId::parse("wamid.out").expect("valid");
    assert!(matches!(machine.step(Event::Sent(Ok(wamid.clone()))), Effect::Record { .. }));
    let [accepted] = machine.accepted() else { panic!("{:?}", machine.accepted()) };
    assert_eq!((accepted.reply_id.as_str(), accepted.part, &accepted.wamid), ("r", 0, &wamid));
}

fn filed(ids: &[&str]) -> Event {
    let Event::Prepared { service, wishes, quotes, .. } = prepared(InDoubt::Resend) else { panic!("it is") };
    let filed = ids.iter().map(|id| MessageId::parse(id).expect("valid")).collect();
    Event::Prepared { service, wants_answer: true, asks_for_person: false, wishes, quotes, filed }
}

#[test]
fn what_was_filed_before_is_taken_out_of_the_mailbox_and_not_answered_here() {
    let (mut machine, _) = Machine::begin(conversation(three()), rules());
    let effect = machine.step(filed(&["wamid.1", "wamid.3"]));
    let Effect::Record { items, buried: true, sent: None } = &effect else { panic!("{effect:?}") };
    assert_eq!(items.iter().map(|item| item.id.expose()).collect::<Vec<_>>(), ["wamid.1", "wamid.3"]);
    let effect = machine.step(Event::Recorded);
    let Effect::Settle { messages, memory: Remember::Nothing, .. } = &effect else { panic!("{effect:?}") };
    assert_eq!(messages.iter().map(MessageId::expose).collect::<Vec<_>>(), ["wamid.1", "wamid.3"]);
}

#[test]
fn a_reply_that_was_begun_is_finished_whatever_was_filed() {
    for (state, is_finished) in [(PartState::Waiting, false), (PartState::Sent, true), (PartState::Sending, true)] {
        let mut begun = in_doubt_since(40);
        let outbox = begun.outbox.as_mut().expect("a reply");
        for part in &mut outbox.parts {
            part.state = state;
            (part.tries, part.not_sent) = (1, u32::from(state == PartState::Waiting));
        }
        let (mut machine, first) = Machine::begin(begun, rules());
        if matches!(first, Effect::Listen { .. }) {
            machine.step(Event::Heard(true));
        }
        let effect = machine.step(filed(&["wamid.1"]));
        let is_left = matches!(effect, Effect::Record { buried: true, sent: None, .. });
        assert_eq!(is_left, !is_finished, "{state:?}: {effect:?}");
    }
}
