//! Operations by chance: mostly what a turn would do next, sometimes anything.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, seq::IndexedRandom};
use shared::{
    ids::{MessageId, PhoneNumberId, Subdomain},
    trace::TraceParent,
};
use worker::{
    conversation::{
        Aftermath, Announcement, BusinessId, Choice, Consent, Customer, CustomerIdChange, FactChange, HandOverReason,
        Holder, MailboxItem, MemoryTurn, Outbox, Part, PartForm, PartState, QuietTime, ReplyKind, Speaker, Summary,
        next_run, state::Operation,
    },
    store::{Memory, Postponement},
};

use super::{
    super::{AT_ONCE, NUMBER, OTHER_NUMBER, id, number, user_id, wa_id},
    Walk,
};

const WORKERS: &[&str] = &["ann", "bob", "$cleo"];
const TOKENS: &[&str] = &["first", "$second"];
const REASONS: &[&str] = &["throttled", "ai", "credentials", "in_doubt"];
const KINDS: &[ReplyKind] = &[ReplyKind::Answer, ReplyKind::Apology, ReplyKind::Resend];
const SPEAKERS: &[Speaker] = &[Speaker::Customer, Speaker::Companion, Speaker::Person];
/// Nothing of this length ends by itself during a test.
const LONG: Duration = Duration::from_secs(3 * 60 * 60);

/// Draws an operation of one kind.
type Draw = fn(&mut Walk) -> Operation;

impl Walk {
    /// Weighted by what a turn or a customer could do now; but anything may come at any time.
    pub(super) fn draw(&mut self) -> Operation {
        let model = self.model.as_ref();
        let if_so = |so: bool, weight: u32| if so { weight } else { 1 };
        let held = model.is_some_and(|model| model.lease.is_some());
        let replying = model.is_some_and(|model| model.outbox.is_some());
        let replied = model.is_some_and(|model| model.last_reply.is_some());
        let waits = model.is_some_and(|model| model.waits_for.is_some());
        let noticed = model.is_some_and(|model| !model.notices.is_empty());
        let kinds: [(Draw, u32); 20] = [
            (Self::land, 12),
            (Self::land_resend, if_so(replied && !replying, 12)),
            (Self::claim, if_so(!held, 20)),
            (Self::reread, if_so(held, 2)),
            (Self::commit, if_so(held && !replying, 12)),
            (Self::begin_try, if_so(held && replying, 9)),
            (Self::part_sent, if_so(held && replying, 8)),
            (Self::settle, if_so(held, 6)),
            (Self::postpone, if_so(held, 5)),
            (Self::renew, if_so(held, 2)),
            (Self::release, if_so(held, 2)),
            (Self::release_all, if_so(held, 2)),
            (Self::evidence, if_so(replying, 4)),
            (Self::hand_over, 1),
            (Self::resume, 1),
            (Self::take_notice, if_so(noticed, 4)),
            (Self::end_notice, if_so(noticed, 2)),
            (Self::postpone_notice, if_so(noticed, 3)),
            (Self::change_id, 2),
            (Self::release_waiting, if_so(waits, 16)),
        ];
        let (operation, _) =
            kinds.choose_weighted(&mut self.rng, |(_, weight)| *weight).expect("the weights are sound");
        operation(self)
    }

    fn land(&mut self) -> Operation {
        let known = self.model.as_ref().and_then(|model| {
            let waiting = model.mailbox.iter().map(|waiting| waiting.item.clone());
            let answered = model.answered.iter().map(|answered| MailboxItem {
                id: answered.id.clone(),
                phone_number_id: answered.phone_number_id.clone(),
                timestamp: answered.timestamp,
                received_at: answered.timestamp,
                index: 0,
                message: None,
                resend_of: None,
                trace: None,
            });
            waiting.chain(answered).collect::<Vec<_>>().choose(&mut self.rng).cloned()
        });
        let mut item = known.filter(|_| self.rng.random_bool(0.2)).unwrap_or_else(|| self.item());
        if self.rng.random_bool(0.05) {
            item.phone_number_id = self.number();
        }
        let subdomain = match self.rng.random_range(0..20) {
            0 => Some(Subdomain::parse("renamed").expect("a subdomain")),
            1 => None,
            _ => self.subdomain.clone(),
        };
        let stranger = self.rng.random_bool(0.05);
        let business_id = if stranger { BusinessId("another".to_owned()) } else { self.business.clone() };
        let (customer, quiet) = (self.customer(), self.quiet());
        Operation::Land { business_id, subdomain, customer, item, quiet, looked_up: self.rng.random_bool(0.3) }
    }

    fn trace(&mut self) -> Option<TraceParent> {
        self.rng.random_bool(0.5).then(TraceParent::random)
    }

    fn item(&mut self) -> MailboxItem {
        self.count += 1;
        let ages = [0, 0, 0, 1, 10, 25, 40];
        let age = SignedDuration::from_hours(*ages.choose(&mut self.rng).expect("some"));
        // More than a database keeps.
        let timestamp = Timestamp::now() - age - SignedDuration::from_nanos(self.rng.random_range(0..5_000_000_000));
        MailboxItem {
            id: id(&format!("$wamid.{}", self.count)),
            phone_number_id: self.number(),
            timestamp,
            received_at: timestamp + SignedDuration::from_micros(self.rng.random_range(0..5_000_000)),
            index: self.rng.random_range(0..3),
            message: self.rng.random_bool(0.8).then(|| format!("$message {}", self.count)),
            resend_of: self.rng.random_bool(0.1).then(|| id("$failed")),
            trace: self.trace(),
        }
    }

    fn customer(&mut self) -> Customer {
        let known = |known: bool, text: &str| known.then(|| text.to_owned());
        Customer {
            wa_id: self.rng.random_bool(0.6).then(|| wa_id("16505551234")),
            user_id: self.rng.random_bool(0.3).then(|| user_id("US.1349")),
            name: known(self.rng.random_bool(0.3), "$$ROOT"),
            language: None,
        }
    }

    fn land_resend(&mut self) -> Operation {
        let last = self.model.as_ref().and_then(|model| model.last_reply.as_ref()).map(|last| last.id.clone());
        let reply_id = last.filter(|_| self.rng.random_bool(0.9)).unwrap_or_else(|| self.reply_id());
        // One that cannot become the id of a mailbox's message.
        let wamid = if self.rng.random_bool(0.05) { id(&"w".repeat(512)) } else { self.wamid() };
        Operation::LandResend {
            number: self.number(),
            reply_id,
            part: self.rng.random_range(0..3),
            wamid,
            body: "$body".to_owned(),
            failed_at: Timestamp::now() - SignedDuration::from_nanos(self.rng.random_range(0..5_000_000_000)),
            quiet: self.quiet(),
            trace: self.trace(),
        }
    }

    fn claim(&mut self) -> Operation {
        Operation::Claim { worker: self.worker(), nonce: self.nonce(), length: self.length() }
    }

    fn reread(&mut self) -> Operation {
        Operation::Reread { holder: self.holder() }
    }

    fn renew(&mut self) -> Operation {
        Operation::Renew { holder: self.holder(), length: self.length() }
    }

    fn release(&mut self) -> Operation {
        Operation::Release { holder: self.holder() }
    }

    fn release_all(&mut self) -> Operation {
        Operation::ReleaseAll { worker: self.worker() }
    }

    fn release_waiting(&mut self) -> Operation {
        let stranger = self.rng.random_bool(0.1);
        let business = if stranger { BusinessId("another".to_owned()) } else { self.business.clone() };
        Operation::ReleaseWaiting { business, current: self.pick(TOKENS).to_owned() }
    }

    fn part_sent(&mut self) -> Operation {
        let (holder, reply_id, part) = (self.holder(), self.reply_id(), self.part());
        Operation::PartSent { holder, reply_id, part, wamid: self.wamid() }
    }

    fn evidence(&mut self) -> Operation {
        let outbox = self.model.as_ref().and_then(|model| model.outbox.as_ref());
        let number = outbox.map(|outbox| outbox.phone_number_id.clone()).filter(|_| self.rng.random_bool(0.9));
        let number = number.unwrap_or_else(|| self.number());
        let (reply_id, part) = (self.reply_id(), self.part());
        Operation::Evidence { number, reply_id, part, wamid: self.wamid() }
    }

    fn commit(&mut self) -> Operation {
        self.count += 1;
        let holder = self.holder();
        let mailbox = self.mailbox();
        let run = next_run(&mailbox, 5);
        let own = run.first().map(|first| first.phone_number_id.clone());
        let phone_number_id = own.filter(|_| self.rng.random_bool(0.9)).unwrap_or_else(|| self.number());
        let repeated = self.rng.random_bool(0.1);
        let reply_id = if repeated { self.reply_id() } else { format!("$reply {}", self.count) };
        let parts = (0..self.rng.random_range(0..4)).map(|n| Part::waiting(format!("$part {n}"), self.form()));
        let parts = parts.collect();
        let outbox = Outbox {
            reply_id,
            kind: self.pick(KINDS),
            phone_number_id,
            answers: run.iter().map(|item| item.id.clone()).collect(),
            parts,
            aftermath: self.aftermath(),
            trace: self.trace(),
        };
        let seen: Vec<MessageId> = mailbox.iter().map(|item| item.id.clone()).collect();
        let seen = match self.rng.random_range(0..5) {
            0 => None,
            1 => Some(seen.into_iter().skip(1).collect()),
            _ => Some(seen),
        };
        Operation::CommitReply { holder, outbox, seen }
    }

    fn begin_try(&mut self) -> Operation {
        let part = self.part();
        let outbox = self.model.as_ref().and_then(|model| model.outbox.as_ref());
        let tries = outbox.and_then(|outbox| outbox.parts.get(part)).map_or(0, |part| part.tries.len());
        let tries = u32::try_from(tries).expect("few");
        let tries_so_far = if self.rng.random_bool(0.9) { tries } else { tries + 1 };
        let as_text = self.rng.random_bool(0.3);
        Operation::BeginTry { holder: self.holder(), reply_id: self.reply_id(), part, tries_so_far, as_text }
    }

    fn form(&mut self) -> PartForm {
        match self.rng.random_range(0..4) {
            0 => PartForm::Voice { media_id: "$7".to_owned() },
            1 => {
                let choice = Choice { title: "$title".to_owned(), description: Some("$$NOW".to_owned()) };
                PartForm::Choices { text: "$text".to_owned(), button: "$b".to_owned(), choices: vec![choice] }
            }
            _ => PartForm::Text,
        }
    }

    /// What a reply changes: facts that are there and that are not, and a summary of some of the lines.
    fn aftermath(&mut self) -> Aftermath {
        let model = self.model.as_ref();
        let known: Vec<String> =
            model.map(|model| model.facts.iter().map(|fact| fact.id.clone()).collect()).unwrap_or_default();
        let times: Vec<Timestamp> =
            model.map(|model| model.memory.iter().map(|line| line.at).collect()).unwrap_or_default();
        let mut facts = Vec::new();
        for _ in 0..self.rng.random_range(0..4) {
            self.count += 1;
            let old = known.choose(&mut self.rng).filter(|_| self.rng.clone().random_bool(0.5)).cloned();
            facts.push(match old {
                Some(id) if self.rng.random() => FactChange::Dropped { id },
                old => {
                    let id = old.unwrap_or_else(|| format!("$f{}", self.count));
                    FactChange::Learned { id, text: self.line().text }
                }
            });
        }
        let until = times.choose(&mut self.rng).copied().filter(|_| self.rng.clone().random_bool(0.3));
        Aftermath {
            facts,
            summary: until.map(|until| Summary { text: self.line().text, until }),
            hand_over: self.rng.random_bool(0.1).then(|| self.pick(&[Duration::ZERO, Duration::from_millis(3), LONG])),
            limited_until: self
                .rng
                .random_bool(0.1)
                .then(|| Timestamp::now() + self.pick(&[Duration::ZERO, Duration::from_millis(3), LONG])),
            announcement: self.rng.random_bool(0.4).then(|| Box::new(self.announcement())),
            language: self.rng.random_bool(0.1).then(|| "$de".to_owned()),
            consent: match self.rng.random_range(0..20) {
                0 => Some(Consent::Withdrawn),
                1..4 => Some(Consent::Given),
                _ => None,
            },
            ..Aftermath::default()
        }
    }

    fn announcement(&mut self) -> Announcement {
        let reasons = [HandOverReason::Tool, HandOverReason::Keyword, HandOverReason::Failure];
        let known = self.rng.random_bool(0.1).then(|| self.notice_id());
        self.count += 1;
        Announcement { id: known.unwrap_or_else(|| format!("$n{}", self.count)), reason: self.pick(&reasons) }
    }

    /// Mostly one that is there.
    fn notice_id(&mut self) -> String {
        let notices = self.model.as_ref().map(|model| model.notices.clone()).unwrap_or_default();
        let known = notices.choose(&mut self.rng).map(|notice| notice.id.clone());
        known.filter(|_| self.rng.random_bool(0.8)).unwrap_or_else(|| "$nobody's".to_owned())
    }

    fn take_notice(&mut self) -> Operation {
        Operation::TakeNotice { length: self.length() }
    }

    fn end_notice(&mut self) -> Operation {
        Operation::EndNotice { id: self.notice_id() }
    }

    fn postpone_notice(&mut self) -> Operation {
        let id = self.notice_id();
        let notices = self.model.iter().flat_map(|model| &model.notices);
        let tries = notices.filter(|notice| notice.id == id).map(|notice| notice.tries).next().unwrap_or(1);
        let tries = if self.rng.random_bool(0.8) { tries } else { tries + 1 };
        let delay = self.pick(&[Duration::ZERO, Duration::from_millis(3), LONG]);
        Operation::PostponeNotice { id, tries, delay }
    }

    fn resume(&mut self) -> Operation {
        Operation::Resume
    }

    fn settle(&mut self) -> Operation {
        let holder = self.holder();
        let mailbox = self.mailbox();
        let run = match self.rng.random_range(0..4) {
            0 => mailbox.choose_multiple(&mut self.rng, 3).cloned().collect(),
            1 => mailbox,
            _ => next_run(&mailbox, 5).to_vec(),
        };
        let number = run.first().map_or_else(|| self.number(), |first| first.phone_number_id.clone());
        let kinds = [None, Some(ReplyKind::Answer), Some(ReplyKind::Apology), Some(ReplyKind::Resend)];
        let turns = (0..self.rng.random_range(0..4)).map(|_| self.line()).collect();
        let memory = Memory { turns, reply: self.pick(&kinds), aftermath: self.aftermath() };
        let messages = run.into_iter().map(|item| item.id).collect();
        Operation::Settle { holder, number, messages, memory, quiet: self.quiet() }
    }

    fn line(&mut self) -> MemoryTurn {
        let texts = ["$$NOW".to_owned(), "a".repeat(5_000), format!("a{}", "é".repeat(2_500)), "short".to_owned()];
        MemoryTurn { speaker: self.pick(SPEAKERS), text: texts.choose(&mut self.rng).expect("some").clone() }
    }

    fn postpone(&mut self) -> Operation {
        let delays = [Duration::ZERO, Duration::from_millis(3), LONG];
        let postponement = Postponement {
            delay: self.pick(&delays),
            reason: self.pick(REASONS),
            detail: "$detail".to_owned(),
            for_evidence: self.rng.random_bool(0.3),
            ai: self.rng.random_bool(0.3).then(|| Duration::from_millis(self.rng.random_range(0..3_000))),
            not_sent: self.rng.random_bool(0.4).then(|| self.part()),
            token: self.rng.random_bool(0.7).then(|| self.pick(TOKENS).to_owned()),
        };
        Operation::Postpone { holder: self.holder(), postponement }
    }

    fn hand_over(&mut self) -> Operation {
        let length = if self.rng.random_bool(0.6) { Duration::ZERO } else { LONG };
        Operation::HandOver { length, said: self.rng.random_bool(0.5).then(|| self.line().text) }
    }

    fn change_id(&mut self) -> Operation {
        let phones = ["16505551234", "16505559999"].map(wa_id);
        let users = ["US.1349", "US.9999"].map(user_id);
        Operation::ReplaceCustomerId(if self.rng.random() {
            let new = self.rng.random_bool(0.5).then(|| self.pick(&phones));
            CustomerIdChange::Phone { old: self.pick(&phones), new }
        } else {
            CustomerIdChange::User { old: self.pick(&users), new: self.pick(&users) }
        })
    }

    /// Mostly the lease that is held.
    fn holder(&mut self) -> Holder {
        let held = self.model.as_ref().and_then(|model| model.lease.as_ref());
        if let Some(lease) = held.filter(|_| self.rng.random_bool(0.9)) {
            return lease.holder();
        }
        let newest = self.model.as_ref().map_or(0, |model| model.epoch);
        // One of another worker, with the right number, among them.
        let worker = self.worker().as_str().into();
        Holder { worker, epoch: self.rng.random_range(0..=newest + 1), nonce: self.nonce() }
    }

    /// Mostly the reply that is under way.
    fn reply_id(&mut self) -> String {
        let outbox = self.model.as_ref().and_then(|model| model.outbox.as_ref());
        match outbox {
            Some(outbox) if self.rng.random_bool(0.9) => outbox.reply_id.clone(),
            Some(_) | None => format!("$reply {}", self.rng.random_range(0..=self.count)),
        }
    }

    /// Mostly the part that comes next.
    fn part(&mut self) -> usize {
        let outbox = self.model.as_ref().and_then(|model| model.outbox.as_ref());
        let next = outbox.and_then(|outbox| outbox.parts.iter().position(|part| part.state != PartState::Sent));
        next.filter(|_| self.rng.random_bool(0.7)).unwrap_or_else(|| self.rng.random_range(0..4))
    }

    fn mailbox(&self) -> Vec<MailboxItem> {
        self.model.iter().flat_map(|model| &model.mailbox).map(|waiting| waiting.item.clone()).collect()
    }

    fn number(&mut self) -> PhoneNumberId {
        number(if self.rng.random_bool(0.8) { NUMBER } else { OTHER_NUMBER })
    }

    fn wamid(&mut self) -> MessageId {
        id(&format!("$sent {}", self.rng.random_range(0..5)))
    }

    fn nonce(&mut self) -> i64 {
        self.rng.random_range(0..2)
    }

    fn worker(&mut self) -> String {
        let holder = self.model.as_ref().and_then(|model| model.lease.as_ref()).map(|lease| lease.worker.clone());
        holder.filter(|_| self.rng.random_bool(0.5)).unwrap_or_else(|| self.pick(WORKERS).to_owned())
    }

    fn length(&mut self) -> Duration {
        if self.rng.random_bool(0.1) { Duration::from_millis(1) } else { LONG }
    }

    fn quiet(&mut self) -> QuietTime {
        let resting = QuietTime { quiet: LONG / 2, ceiling: LONG };
        let short = QuietTime { quiet: Duration::from_millis(3), ceiling: Duration::from_millis(5) };
        self.pick(&[AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, short, resting])
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among.choose(&mut self.rng).expect("there are some").clone()
    }
}
