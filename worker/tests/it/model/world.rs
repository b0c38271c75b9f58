//! One conversation, two workers, a queue, Meta and a clock, one step at a time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain, WaId};
use simulator::{
    Tag,
    checker::{self, ChatLimits, Report, Scenario, Subject, Tenant},
    journal::Decision,
};
use worker::{
    business::InDoubt,
    conversation::{
        Aftermath, BusinessId, Consent, Conversation, Customer, Landed, Landing, LeaseKey, MailboxItem, Memory,
        MemoryTurn, Part, PartForm, Postponement, QuietTime, ReplyKind, Speaker, state::State,
    },
    turn::{
        Outcome,
        machine::{
            Accepted, Allowance, Effect, Event, Machine, Remember, Reply, Rules, Sending, Service, Token, Trouble,
            TroubleKind,
        },
    },
    whatsapp::{GraphError, SendError},
};

use super::{
    choices::Choices,
    mutants::Mutant,
    record::{CUSTOMER, NUMBER, Record, answer_to},
    wishes,
};

const LEASE: Duration = Duration::from_secs(30);
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
const EVIDENCE: Duration = Duration::from_secs(30);
const HELD_BACK: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_millis(800);
const WORKERS: usize = 2;
/// Longer than any run that ends.
const STEPS_MOST: usize = 2_000;

/// What a customer writes.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) item: MailboxItem,
    pub(super) text: String,
    /// What it asks for, in place of an answer.
    pub(super) asks: Option<Consent>,
}

/// A turn that a worker has begun.
#[derive(Debug, Clone)]
struct Running {
    lease: LeaseKey,
    machine: Machine,
    effect: Effect,
    started: Timestamp,
    /// How long the worker believes in its lease.
    valid_until: Timestamp,
    /// When the try began that is being made.
    begun_at: Timestamp,
}

/// A status that waits in its queue.
#[derive(Debug, Clone)]
struct Status {
    reply_id: String,
    part: usize,
    wamid: MessageId,
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The lander takes the head of the queue and acknowledges it.
    Land,
    /// It takes it, and dies before it acknowledges.
    LandAndDie,
    /// A worker does what its turn wants.
    Go(usize),
    /// It does it, and dies before it knows.
    GoAndDie(usize),
    /// It dies before it does it.
    Die(usize),
    /// It does it, and the database's answer is lost: the turn gives up.
    GoAndLoseTheAnswer(usize),
    /// Meta accepts, and the answer is lost.
    SendUnheard(usize),
    /// The request never arrives, and nobody can know.
    SendNowhere(usize),
    /// Meta refuses for now.
    SendThrottled(usize),
    /// The AI fails.
    AiFails(usize),
    /// Its call is cut off, for the customer wrote more.
    Overtake(usize),
    /// The number has sent enough for now.
    HoldBack(usize),
    /// A status is taken from its queue.
    Hear,
    /// It comes twice.
    HearTwice,
    /// A worker that has nothing to do claims the conversation.
    Claim(usize),
    /// The customer writes the next message.
    Write,
    /// Meta posts an old message again.
    Repeat(usize),
    /// Time passes until something is due.
    Wait,
    /// Everybody stands still for longer than a lease.
    Freeze,
    /// One worker stands still, for as long as there is anything to do without it, or less.
    FreezeOne(usize),
    /// It wakes up.
    Thaw(usize),
    /// Everybody stands still for a moment.
    Pause,
    /// A worker stops gracefully: it gives back what it holds.
    Stop(usize),
    /// The database's primary dies with the last claim, which no other member has yet.
    LoseTheClaim,
}

/// The last claim, on both sides of it.
#[derive(Debug, Clone)]
struct LastClaim {
    before: State,
    after: State,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    now: Timestamp,
    record: Record,
    pub(super) drafts: Vec<Draft>,
    /// The confirmations that Meta accepted.
    pub(super) confirmed: Vec<Consent>,
    /// The messages that the AI was asked about.
    pub(super) asked_about: BTreeSet<MessageId>,
    written: usize,
    queue: VecDeque<usize>,
    state: Option<State>,
    last_claim: Option<LastClaim>,
    claims: i64,
    transcript: BTreeSet<MessageId>,
    letters: BTreeMap<MessageId, &'static str>,
    workers: [Option<Running>; WORKERS],
    frozen: [bool; WORKERS],
    statuses: VecDeque<Status>,
    drained_at: Option<Timestamp>,
    replies: u64,
    wamids: u64,
    repeats_left: u32,
    mutant: Option<Mutant>,
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(SignedDuration::try_from(by).expect("short")).expect("soon")
}

fn number() -> PhoneNumberId {
    PhoneNumberId::parse(NUMBER).expect("valid")
}

fn session() -> SessionId {
    SessionId::from_stored(format!("acme:{CUSTOMER}"))
}

fn rules() -> Rules {
    // The longest delay: a shorter one is a departure that other choices make.
    fn longest(attempt: u32, first: Duration, most: Duration) -> Duration {
        first.saturating_mul(2_u32.saturating_pow(attempt.min(20))).min(most)
    }
    Rules { send_evidence: EVIDENCE, ai_give_up: Duration::from_secs(120), jitter: longest }
}

impl World {
    /// A customer who will write that many messages; `long` is answered in three parts.
    pub(super) fn new(messages: usize, long: bool, mutant: Option<Mutant>) -> Self {
        let now = Timestamp::from_second(1_800_000_000).expect("in range");
        let drafts = (1..=messages as u64).map(|n| {
            let text = format!("{} {}", Tag(n), if long { "long" } else { "hello" });
            let item = MailboxItem {
                id: MessageId::parse(&format!("wamid.in.{n}")).expect("valid"),
                phone_number_id: number(),
                timestamp: now,
                received_at: now,
                index: 0,
                message: Some(json!({"type": "text", "text": {"body": text}}).to_string()),
                resend_of: None,
                trace: None,
            };
            Draft { item, text, asks: None }
        });
        Self {
            now,
            record: Record::default(),
            drafts: drafts.collect(),
            confirmed: Vec::new(),
            asked_about: BTreeSet::new(),
            written: 0,
            queue: VecDeque::new(),
            state: None,
            last_claim: None,
            claims: 0,
            transcript: BTreeSet::new(),
            letters: BTreeMap::new(),
            workers: [const { None }; WORKERS],
            frozen: [false; WORKERS],
            statuses: VecDeque::new(),
            drained_at: None,
            replies: 0,
            wamids: 0,
            repeats_left: 2,
            mutant,
        }
    }

    /// Lets things happen until nothing is left to do, and judges what happened.
    pub(super) fn run(mut self, choices: &mut impl Choices) -> Result<(), String> {
        let mut story = Vec::new();
        for _ in 0..STEPS_MOST {
            if self.statuses.is_empty() {
                self.drained_at = Some(self.now);
            }
            let actions = self.possible();
            let Some(first) = actions.first() else {
                return self.judged().map_err(|why| format!("{why}\n{}", story.join("\n")));
            };
            let chosen = actions.get(choices.choose(actions.len())).unwrap_or(first);
            story.push(self.told(*chosen));
            self.happen(*chosen);
        }
        Err(format!("it never comes to rest:\n{}", story.join("\n")))
    }

    fn told(&self, action: Action) -> String {
        let effect = match action {
            Action::Go(n) | Action::GoAndDie(n) | Action::Die(n) | Action::GoAndLoseTheAnswer(n) => {
                self.workers[n].as_ref().map_or("", |running| running.effect.name())
            }
            _ => "",
        };
        let at = self.now.as_millisecond() - 1_800_000_000_000;
        format!("{at:>8} ms  {action:?} {effect}")
    }

    /// What may happen next, the good day first.
    fn possible(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.queue.is_empty() {
            actions.push(Action::Land);
        }
        let busy: Vec<usize> = (0..WORKERS).filter(|n| self.workers[*n].is_some() && !self.frozen[*n]).collect();
        let frozen: Vec<usize> = (0..WORKERS).filter(|n| self.frozen[*n]).collect();
        actions.extend(busy.iter().map(|n| Action::Go(*n)));
        if !self.statuses.is_empty() {
            actions.push(Action::Hear);
        }
        if self.state.as_ref().is_some_and(|state| state.due(self.now)) {
            actions.extend((0..WORKERS).filter(|n| self.workers[*n].is_none()).map(Action::Claim));
        }
        if self.written < self.drafts.len() {
            actions.push(Action::Write);
        }
        if self.next_time().is_some() {
            actions.push(Action::Wait);
        }
        actions.extend(frozen.iter().map(|n| Action::Thaw(*n)));
        if actions.is_empty() {
            return actions;
        }
        // From here on: faults.
        if !self.queue.is_empty() {
            actions.push(Action::LandAndDie);
        }
        for n in busy {
            actions.extend([Action::Die(n), Action::GoAndDie(n), Action::Stop(n), Action::FreezeOne(n)]);
            match self.workers[n].as_ref().map(|running| &running.effect) {
                Some(Effect::Send(_)) => {
                    actions.extend([Action::SendUnheard(n), Action::SendNowhere(n), Action::SendThrottled(n)]);
                }
                Some(Effect::Compose(_)) => {
                    actions.push(Action::AiFails(n));
                    let takes_more = self.workers[n].as_ref().is_some_and(|running| running.machine.takes_more_in());
                    actions.extend(takes_more.then_some(Action::Overtake(n)));
                }
                Some(Effect::Permit) => actions.push(Action::HoldBack(n)),
                Some(Effect::Listen { .. } | Effect::Prepare { .. } | Effect::Gather) | None => {}
                Some(_) => actions.push(Action::GoAndLoseTheAnswer(n)),
            }
        }
        if !self.statuses.is_empty() {
            actions.push(Action::HearTwice);
        }
        if self.repeats_left > 0 {
            actions.extend((0..self.written).map(Action::Repeat));
        }
        actions.extend(self.can_lose_the_claim().then_some(Action::LoseTheClaim));
        actions.extend([Action::Freeze, Action::Pause]);
        actions
    }

    /// Every other write is waited for until a majority has it, and with it what was written before.
    fn can_lose_the_claim(&self) -> bool {
        self.last_claim.as_ref().is_some_and(|claim| self.state.as_ref() == Some(&claim.after))
    }

    /// When something is due that is not yet.
    fn next_time(&self) -> Option<Timestamp> {
        let state = self.state.as_ref()?;
        let due_at = state.due_at?;
        let free_at = state.lease.as_ref().map_or(due_at, |lease| lease.until.max(due_at));
        (free_at > self.now).then_some(free_at)
    }

    fn happen(&mut self, action: Action) {
        match action {
            Action::Land => {
                self.land();
                self.queue.pop_front();
            }
            Action::LandAndDie => match self.mutant {
                // Acknowledged first: what dies now is gone.
                Some(Mutant::AcknowledgesFirst) => drop(self.queue.pop_front()),
                _ => self.land(),
            },
            Action::Go(n) => self.go(n, Fate::Good),
            Action::GoAndDie(n) => {
                self.go(n, Fate::Good);
                self.workers[n] = None;
            }
            Action::Die(n) => self.workers[n] = None,
            Action::GoAndLoseTheAnswer(n) => self.go_and_give_up(n),
            Action::SendUnheard(n) => self.go(n, Fate::Unheard),
            Action::SendNowhere(n) => self.go(n, Fate::Nowhere),
            Action::SendThrottled(n) => self.go(n, Fate::Throttled),
            Action::AiFails(n) => self.go(n, Fate::AiFails),
            Action::Overtake(n) => self.go(n, Fate::Overtaken),
            Action::HoldBack(n) => self.go(n, Fate::HeldBack),
            Action::Hear => self.hear(1),
            Action::HearTwice => self.hear(2),
            Action::Claim(n) => self.claim(n),
            Action::LoseTheClaim => self.state = self.last_claim.take().map(|claim| claim.before),
            Action::Write => self.write(),
            Action::Repeat(draft) => {
                self.repeats_left -= 1;
                self.post(draft);
            }
            Action::Wait => self.now = self.next_time().unwrap_or(self.now),
            Action::FreezeOne(n) => self.frozen[n] = true,
            Action::Thaw(n) => self.frozen[n] = false,
            Action::Freeze => self.now = later(self.now, LEASE + Duration::from_secs(1)),
            Action::Pause => self.now = later(self.now, QUIET),
            Action::Stop(n) => {
                self.workers[n] = None;
                if let Some(state) = &mut self.state {
                    state.release_all(&worker_name(n));
                }
            }
        }
    }

    fn write(&mut self) {
        let draft = self.written;
        self.written += 1;
        let now = Timestamp::from_second(self.now.as_second()).expect("in range");
        self.drafts[draft].item.timestamp = now;
        self.drafts[draft].item.received_at = self.now;
        self.post(draft);
        self.now = later(self.now, Duration::from_millis(50));
    }

    fn post(&mut self, draft: usize) {
        let Draft { item, text, asks } = &self.drafts[draft];
        if asks.is_none() {
            self.record.posted(self.now, item.id.expose(), text);
        }
        self.queue.push_back(draft);
    }

    fn land(&mut self) {
        let Some(draft) = self.queue.front().copied() else { return };
        let mut item = self.drafts[draft].item.clone();
        if self.mutant == Some(Mutant::KnowsNoDuplicates) {
            // Another id each time is what not looking for one comes to.
            let count = self.record.entries.len() + self.queue.len();
            item.id = MessageId::parse(&format!("{}.{count}", item.id.expose())).expect("valid");
        }
        let (session, business_id) = (session(), BusinessId("acme-id".to_owned()));
        let subdomain = Subdomain::parse("acme").ok();
        let customer = Customer { wa_id: WaId::parse(CUSTOMER).ok(), ..Customer::default() };
        let mut looked_up = false;
        loop {
            let quiet = quiet();
            let landing = Landing {
                session: &session,
                business_id: &business_id,
                subdomain: subdomain.as_ref(),
                customer: &customer,
                item: &item,
                quiet,
                looked_up,
            };
            let state = self.state.get_or_insert_with(|| State::begun_by(&landing));
            match state.land(self.now, &landing) {
                Landed::AskTranscript if !self.transcript.contains(&item.id) => looked_up = true,
                Landed::New { .. } | Landed::Duplicate | Landed::AskTranscript => return,
                Landed::NoRoomForContent | Landed::Moved(_) => unreachable!("nothing of the kind is in this world"),
            }
        }
    }

    fn claim(&mut self, worker: usize) {
        let Some(state) = &mut self.state else { return };
        let before = state.clone();
        let Some(mut claim) = state.claim(self.now, &worker_name(worker), self.claims, LEASE) else { return };
        self.claims += 1;
        self.last_claim = Some(LastClaim { before, after: state.clone() });
        if self.mutant == Some(Mutant::NewestFirst) {
            newest_first(&mut claim.conversation);
        }
        let (machine, effect) = Machine::begin(claim.conversation, rules());
        let now = self.now;
        let valid_until = later(self.now, LEASE);
        self.workers[worker] =
            Some(Running { lease: claim.lease, machine, effect, started: now, valid_until, begun_at: now });
    }

    fn hear(&mut self, times: usize) {
        let Some(status) = self.statuses.pop_front() else { return };
        if self.mutant == Some(Mutant::HearsNoStatus) {
            return;
        }
        for _ in 0..times {
            if let Some(state) = &mut self.state {
                state.evidence(self.now, &number(), &status.reply_id, status.part, &status.wamid);
            }
        }
    }

    /// Lets a worker do what its turn wants, and takes its turn one step on.
    fn go(&mut self, worker: usize, fate: Fate) {
        let Some(mut running) = self.workers[worker].take() else { return };
        let event = self.perform(&mut running, fate);
        running.effect = running.machine.step(event);
        match running.effect {
            Effect::End(Outcome::Lost) => self.release(&running.lease),
            Effect::End(_) => {}
            _ => self.workers[worker] = Some(running),
        }
    }

    /// The effect happens, the answer is lost, and the turn gives up: it postpones the conversation as it believes
    /// it to be.
    fn go_and_give_up(&mut self, worker: usize) {
        let Some(mut running) = self.workers[worker].take() else { return };
        let _unheard = self.perform(&mut running, Fate::Good);
        let (delay, detail) = (Duration::from_secs(1), String::new());
        let postponement = Postponement {
            delay,
            reason: "interrupted",
            detail,
            for_evidence: false,
            ai: None,
            not_sent: None,
            token: None,
        };
        let lease = self.lease_of(&running);
        if let Some(state) = &mut self.state {
            for accepted in running.machine.accepted() {
                let Accepted { reply_id, number, part, wamid } = accepted;
                state.evidence(self.now, number, reply_id, *part, wamid);
            }
            state.postpone(self.now, &lease, &postponement);
        }
    }

    fn release(&mut self, lease: &LeaseKey) {
        if let Some(state) = &mut self.state {
            state.release(lease);
        }
    }

    /// The lease that a guarded operation names.
    fn lease_of(&self, running: &Running) -> LeaseKey {
        let mine = running.lease.clone();
        let current = self.state.as_ref().and_then(|state| state.lease.as_ref());
        match current.filter(|_| self.mutant == Some(Mutant::IgnoresEpochs)) {
            Some(current) => LeaseKey { holder: current.holder(), ..mine },
            None => mine,
        }
    }

    fn perform(&mut self, running: &mut Running, fate: Fate) -> Event {
        let (now, lease) = (self.now, self.lease_of(running));
        let effect = running.effect.clone();
        if effect.begins_a_try() {
            running.begun_at = now;
        }
        let Some(state) = &mut self.state else { unreachable!("a turn has a conversation") };
        match effect {
            Effect::Prepare { items, .. } => {
                let wishes = wishes::among(&self.drafts, &items);
                let token = Token { id: "token".to_owned(), problem: None };
                let allowance = Allowance::default();
                let service = Service::Served { token, in_doubt: InDoubt::Resend, allowance };
                Event::Prepared {
                    service,
                    wants_answer: true,
                    asks_for_person: false,
                    wishes,
                    quotes: None,
                    filed: Vec::new(),
                }
            }
            Effect::Compose(_) if fate == Fate::Overtaken => Event::Overtaken,
            Effect::Compose(kind) => self.compose(running, kind, fate),
            Effect::Excuse(_) => unreachable!("this business has no limits"),
            Effect::Gather => Event::Gathered,
            Effect::Listen { within } => {
                let since = running.started.checked_sub(SignedDuration::try_from(within).expect("short"));
                let drained = self.drained_at.zip(since.ok()).is_some_and(|(drained, since)| drained >= since);
                Event::Heard(drained)
            }
            Effect::Permit => Event::Permitted((fate == Fate::HeldBack).then_some(HELD_BACK)),
            Effect::Commit { outbox, seen } => {
                let seen = seen.filter(|_| self.mutant != Some(Mutant::NewestFirst));
                let outcome = state.commit_reply(now, &lease, &outbox, seen.as_deref());
                if self.mutant == Some(Mutant::KeepsNoOutbox) {
                    state.outbox = None;
                }
                if self.mutant == Some(Mutant::SettlesFirst) {
                    state.mailbox.clear();
                }
                Event::Committed(outcome)
            }
            Effect::Reread => {
                let mut reread = state.reread(&lease);
                if let (Some(Mutant::NewestFirst), Some(conversation)) = (self.mutant, &mut reread) {
                    newest_first(conversation);
                }
                Event::Reread(reread.map(Box::new))
            }
            Effect::BeginTry { reply_id, part, tries, as_text, .. } => {
                Event::TryBegun(state.begin_try(now, &lease, &reply_id, part, tries, as_text))
            }
            Effect::Send(sending) => self.send(running, &sending, fate),
            Effect::FreshToken => Event::FreshToken(None),
            Effect::RecordPart { reply_id, part, wamid, begin_next } => Event::PartRecorded(match begin_next {
                true => state.part_sent(now, &lease, &reply_id, part, &wamid),
                false => {
                    state.evidence(now, &number(), &reply_id, part, &wamid);
                    true
                }
            }),
            Effect::File { items, burial } => {
                self.letters.extend(items.into_iter().map(|item| (item.id, burial.reason)));
                Event::Filed
            }
            Effect::Record { items, .. } => {
                self.transcript.extend(items.into_iter().map(|item| item.id));
                Event::Recorded
            }
            Effect::Settle { number, mut messages, memory } => {
                if self.mutant == Some(Mutant::SettlesEverything) {
                    messages = state.mailbox.iter().map(|waiting| waiting.item.id.clone()).collect();
                }
                if self.mutant == Some(Mutant::KeepsNoOutbox) {
                    state.outbox = None;
                }
                Event::Settled(state.settle(now, &lease, &number, &messages, &remembered(memory), quiet()))
            }
            Effect::Postpone(postponement) => Event::Postponed(state.postpone(now, &lease, &postponement)),
            Effect::Release => {
                state.release(&lease);
                Event::Released
            }
            Effect::End(_) => unreachable!("an end is not performed"),
        }
    }

    fn compose(&mut self, running: &Running, kind: ReplyKind, fate: Fate) -> Event {
        if fate == Fate::AiFails {
            let trouble = Trouble {
                after: Duration::ZERO,
                took: Duration::ZERO,
                retry_after: None,
                kind: TroubleKind::Ai,
                detail: "503".to_owned(),
            };
            return Event::Composed(Err(trouble));
        }
        if let Some(wish) = running.machine.wish().filter(|_| kind == ReplyKind::Answer) {
            return self.confirm(wish);
        }
        let said: Vec<_> = running.machine.run().iter().filter_map(|item| item.message.as_deref()).collect();
        let (about, answer) = (said.join("\n"), answer_to(&said.join("\n")));
        let parts = match kind {
            ReplyKind::Apology => vec!["sorry".to_owned()],
            ReplyKind::Resend => vec![about.clone()],
            // Each piece names every message, as the judge wants it.
            ReplyKind::Answer if about.contains("long") => {
                (1..=3).map(|piece| pieces(&answer, piece)).collect::<Vec<_>>()
            }
            ReplyKind::Answer => vec![answer],
        };
        if kind == ReplyKind::Answer {
            self.asked_about.extend(running.machine.run().iter().map(|item| item.id.clone()));
            self.record.asked(self.now, &about, &parts.join("\n\n"));
        }
        self.replied(parts)
    }

    pub(super) fn replied(&mut self, parts: Vec<String>) -> Event {
        self.replies += 1;
        let parts = parts.into_iter().map(|body| Part::waiting(body, PartForm::Text)).collect();
        let id = format!("reply{}", self.replies);
        Event::Composed(Ok(Reply { id, parts, aftermath: Aftermath::default() }))
    }

    fn send(&mut self, running: &mut Running, sending: &Sending, fate: Fate) -> Event {
        let now = self.now;
        let outlasts = |running: &Running| later(now, SEND_TIMEOUT) < running.valid_until;
        let late = now > later(running.begun_at, rules().try_most());
        if late && self.mutant != Some(Mutant::SendsWithoutLook) {
            return Event::Sent(Err(SendError::NotConnected("the try began too long ago".to_owned())));
        }
        if !outlasts(running) && self.mutant != Some(Mutant::SendsWithoutLook) {
            let state = self.state.as_mut().expect("a turn has a conversation");
            if state.renew(now, &running.lease, LEASE).is_some() {
                running.valid_until = later(now, LEASE);
            }
            if !outlasts(running) {
                return Event::Sent(Err(SendError::NotConnected("the lease is gone".to_owned())));
            }
        }
        if fate == Fate::Throttled {
            self.tell(sending, Decision::Refused, None);
            let body = br#"{"error":{"code":130429,"message":"too much"}}"#;
            return Event::Sent(Err(GraphError::from_answer(400, body, None).into()));
        }
        if fate == Fate::Nowhere {
            self.tell(sending, Decision::Dropped, None);
            return Event::Sent(Err(SendError::NoAnswer("timed out".to_owned())));
        }
        self.wamids += 1;
        let wamid = MessageId::parse(&format!("wamid.out.{}", self.wamids)).expect("valid");
        let decision = if fate == Fate::Unheard { Decision::AcceptedNoReply } else { Decision::Accepted };
        self.tell(sending, decision, Some(&wamid));
        let (reply_id, part) = (sending.reply_id.clone(), sending.part);
        self.statuses.push_back(Status { reply_id, part, wamid: wamid.clone() });
        match fate {
            Fate::Unheard if self.mutant == Some(Mutant::TakesDoubtForFailure) => {
                Event::Sent(Err(SendError::NotConnected("reset".to_owned())))
            }
            Fate::Unheard => Event::Sent(Err(SendError::NoAnswer("reset".to_owned()))),
            Fate::Good | Fate::AiFails | Fate::Overtaken | Fate::HeldBack | Fate::Nowhere | Fate::Throttled => {
                Event::Sent(Ok(wamid))
            }
        }
    }

    /// What reaches Meta, or does not.
    fn tell(&mut self, sending: &Sending, decision: Decision, wamid: Option<&MessageId>) {
        match wishes::confirmed_by(&sending.body) {
            Some(wish) => self.confirmed.extend(wamid.map(|_| wish)),
            None => self.record.sent(self.now, sending, decision, wamid.map(MessageId::expose)),
        }
    }

    /// The simulator's judge over what reached Meta, and the end of the world over what is left in it.
    fn judged(&self) -> Result<(), String> {
        let tenant = Tenant::new("acme", NUMBER).apologising("sorry");
        let chats = ChatLimits { per_answer: 9, per_message: 12 };
        let mut scenario = Scenario::of([tenant]).with_chats(chats).allowing("poison");
        for (id, reason) in &self.letters {
            scenario = scenario.excusing(Subject::Id(id.expose().to_owned()), *reason);
        }
        // A wish that killed its workers is in an operator's hands, and with it what was to follow from it.
        if self.drafts.iter().any(|draft| draft.asks.is_some() && self.letters.contains_key(&draft.item.id)) {
            return Ok(());
        }
        let opted_out = self.state.as_ref().is_some_and(|state| state.opted_out_at.is_some());
        for silent in self.silent(opted_out)? {
            scenario = scenario.allowing("silence").excusing(Subject::Id(silent.expose().to_owned()), "silence");
        }
        let report: Report = checker::judge(&self.record.entries, &scenario);
        report.verdict()?;
        if !report.residual.is_empty() {
            return Err(format!("repeated: {:?}", report.residual));
        }
        let left = self.state.as_ref().is_some_and(|state| !state.mailbox.is_empty() || state.outbox.is_some());
        if left { Err("something is left in the conversation".to_owned()) } else { Ok(()) }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    Unheard,
    Nowhere,
    Throttled,
    AiFails,
    Overtaken,
    HeldBack,
}

fn worker_name(worker: usize) -> String {
    format!("worker{worker}")
}

fn quiet() -> QuietTime {
    QuietTime::new(QUIET)
}

fn newest_first(conversation: &mut Conversation) {
    // Alone, and no older one is looked at: those have to wait.
    conversation.mailbox.reverse();
    conversation.mailbox.truncate(1);
}

/// `ANS #m000001.2` from `ANS #m000001`.
fn pieces(answer: &str, piece: u32) -> String {
    answer
        .split(' ')
        .map(|word| if word.starts_with('#') { format!("{word}.{piece}") } else { word.to_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

fn remembered(memory: Remember) -> Memory {
    let line = |speaker, text: &str| MemoryTurn { speaker, text: text.to_owned() };
    match memory {
        Remember::Nothing => Memory::default(),
        Remember::Wish(wish) => {
            Memory { aftermath: Aftermath { consent: Some(wish), ..Aftermath::default() }, ..Memory::default() }
        }
        Remember::Heard => Memory { turns: vec![line(Speaker::Customer, "heard")], ..Memory::default() },
        Remember::HeardAndSaid { kind, said, aftermath } => {
            let turns = vec![line(Speaker::Customer, "heard"), line(Speaker::Companion, &said)];
            Memory { turns, reply: Some(kind), aftermath: *aftermath }
        }
    }
}
