//! Workers that race, die and come back, by chance: nothing is answered twice, nothing vanishes, all in order.

use std::{collections::HashSet, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use shared::ids::MessageId;
use worker::{
    conversation::{Conversation, LeaseKey, MailboxItem, Outbox, PartState, ReplyKind, next_run},
    store::{CommitOutcome, Landed, Postponement, Resend},
};

use super::{AT_ONCE, Fresh, LONG, SHORT, Talk, failed, id, ids, message, reply, to_the_other_number};

const STEPS: usize = 400;
const WORKERS: usize = 3;

/// What a worker believes. One that died keeps believing it, as a frozen process does.
struct Belief {
    lease: LeaseKey,
    conversation: Conversation,
    outbox: Option<Outbox>,
    /// The next part may be sent without asking again.
    begun: bool,
}

struct World {
    talk: Talk,
    rng: StdRng,
    landed: Vec<MailboxItem>,
    settled: Vec<MessageId>,
    /// The last answer, and which of its parts were never sent once more.
    last_answer: Option<(Outbox, HashSet<usize>)>,
    /// Every request to Meta: reply, part, try.
    sends: HashSet<(String, usize, u32)>,
    beliefs: [Option<Belief>; WORKERS],
    takeovers: u32,
    fenced: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_three_workers_do_each_message_is_settled_once_and_in_order() {
    let given = std::env::var("SWITCHBOARD_SEED").ok().map(|seed| seed.parse().expect("SWITCHBOARD_SEED is a number"));
    let seed: u64 = given.unwrap_or_else(|| rand::rng().random());
    println!("SWITCHBOARD_SEED={seed}");
    let store = Fresh::prepared("interleavings").await;
    let worlds = (0..4).map(|n| World::new(&store, n, seed).live());
    let ends = futures_util::future::join_all(worlds).await;
    let (takeovers, fenced) = ends.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    // Else it has shown nothing.
    assert!(takeovers > 0 && fenced > 0, "{takeovers} takeovers, {fenced} writes without effect");
}

impl World {
    fn new(store: &Fresh, n: u64, seed: u64) -> Self {
        Self {
            talk: Talk::of(store, Some("acme"), &format!("1650555{n:04}")),
            rng: StdRng::seed_from_u64(seed.wrapping_add(n)),
            landed: Vec::new(),
            settled: Vec::new(),
            last_answer: None,
            sends: HashSet::new(),
            beliefs: [const { None }; WORKERS],
            takeovers: 0,
            fenced: 0,
        }
    }

    async fn live(mut self) -> (u32, u32) {
        for _ in 0..STEPS {
            let worker = self.rng.random_range(0..WORKERS);
            match self.rng.random_range(0..100) {
                0..15 => self.land().await,
                15..18 => self.land_a_known_one().await,
                18..22 => self.land_a_failed_one().await,
                22..45 => self.claim(worker).await,
                45..60 => self.commit(worker).await,
                60..75 => self.send_next(worker).await,
                75..78 => self.prove(worker).await,
                78..92 => self.settle(worker).await,
                92..95 => self.postpone(worker).await,
                95..97 => self.release(worker).await,
                97..98 => self.renew_a_token().await,
                // The worker dies or freezes until its lease has run out.
                _ => tokio::time::sleep(SHORT).await,
            }
            self.check();
        }
        self.finish().await;
        (self.takeovers, self.fenced)
    }

    fn name(&self, worker: usize) -> String {
        format!("worker {worker}")
    }

    async fn land(&mut self) {
        let mut item = message(u32::try_from(self.landed.len()).expect("few"));
        if self.rng.random_bool(0.3) {
            item = to_the_other_number(item);
        }
        self.talk.receive(std::slice::from_ref(&item)).await;
        self.landed.push(item);
    }

    async fn land_a_known_one(&mut self) {
        let Some(item) = self.landed.choose(&mut self.rng).cloned() else { return };
        assert_eq!(self.talk.land(&item).await, Landed::Duplicate, "{} is in mailbox or answered", item.id);
    }

    /// Meta accepted a part and could not deliver it.
    async fn land_a_failed_one(&mut self) {
        let Some((answer, left)) = &mut self.last_answer else { return };
        let part = self.rng.random_range(0..answer.parts.len());
        let n = u32::try_from(self.landed.len()).expect("few");
        let mut item = MailboxItem { phone_number_id: answer.phone_number_id.clone(), ..message(n) };
        let wamid = id(&format!("wamid.{}.{part}", answer.reply_id));
        let resend = Resend {
            session: &self.talk.session,
            number: &answer.phone_number_id,
            reply_id: &answer.reply_id,
            part,
            wamid: &wamid,
            body: &answer.parts[part].body,
            failed_at: item.timestamp,
            quiet: AT_ONCE,
            trace: None,
        };
        if self.talk.store.land_resend(&resend).await.expect("the store answers").is_some() {
            assert!(left.remove(&part), "no part is sent more than once more");
            item.id = id(&format!("resend:{}", wamid.expose()));
            self.landed.push(item);
        }
    }

    async fn claim(&mut self, worker: usize) {
        let Some(claim) = self.talk.try_claim(&self.name(worker), SHORT).await else { return };
        for other in self.beliefs.iter().flatten() {
            assert!(claim.lease.holder.epoch > other.lease.holder.epoch, "epochs count up");
        }
        self.takeovers += u32::from(claim.conversation.takeovers > 0);
        let outbox = claim.conversation.outbox.clone();
        // What is neither in the mailbox nor settled would be lost.
        let waiting = ids(&claim.conversation.mailbox);
        let expected: Vec<_> = ids(&self.landed).into_iter().filter(|id| !self.settled.contains(id)).collect();
        assert_eq!(waiting, expected, "the mailbox holds what is not settled, in the customer's order");
        let belief = Belief { lease: claim.lease, conversation: claim.conversation, outbox, begun: false };
        self.beliefs[worker] = Some(belief);
    }

    async fn commit(&mut self, worker: usize) {
        let Some(belief) = &mut self.beliefs[worker] else { return };
        if belief.outbox.is_some() {
            return;
        }
        let run = next_run(&belief.conversation.mailbox, 5);
        let again = run.first().is_some_and(|first| first.resend_of.is_some());
        let (kind, most) = if again { (ReplyKind::Resend, 1) } else { (ReplyKind::Answer, 3) };
        let bodies = &["one", "two", "three"][..self.rng.random_range(1..=most)];
        let outbox = Outbox { kind, ..reply(&format!("r{}", self.rng.random::<u64>()), run, bodies) };
        let seen = ids(&belief.conversation.mailbox);
        let seen = self.rng.random_bool(0.5).then_some(seen.as_slice());
        match self.talk.commit_having_seen(&belief.lease, &outbox, seen).await {
            CommitOutcome::Committed => {
                (belief.outbox, belief.begun) = (Some(outbox), true);
            }
            CommitOutcome::Fenced => self.lose(worker),
            CommitOutcome::NewerMessages => {
                match self.talk.store.reread(&belief.lease).await.expect("the store answers") {
                    Some(conversation) => belief.conversation = conversation,
                    None => self.lose(worker),
                }
            }
            CommitOutcome::HandedOver | CommitOutcome::OptedOut => panic!("nobody took it over, or wants silence"),
        }
    }

    /// Sends the next part as a turn does: begin a try unless it is begun, ask Meta, record the answer.
    async fn send_next(&mut self, worker: usize) {
        let Some(Belief { lease, outbox: Some(outbox), begun, .. }) = &mut self.beliefs[worker] else { return };
        let Some(n) = outbox.parts.iter().position(|part| part.state != PartState::Sent) else { return };
        let tries = outbox.parts[n].tries;
        if !*begun && !self.talk.begin_try(lease, outbox, n, tries).await {
            return self.lose(worker);
        }
        *begun = false;
        outbox.parts[n].tries = tries + 1;
        assert!(self.sends.insert((outbox.reply_id.clone(), n, tries + 1)), "no try is made by two workers");
        // Sometimes Meta's answer gets lost; then the next step tries again.
        if self.rng.random_bool(0.8) {
            let wamid = format!("wamid.{}.{n}", outbox.reply_id);
            if !self.talk.part_sent(lease, outbox, n, &wamid).await {
                return self.lose(worker);
            }
            outbox.parts[n].state = PartState::Sent;
            *begun = outbox.parts.get(n + 1).is_some_and(|next| next.state == PartState::Waiting);
        }
    }

    async fn prove(&mut self, worker: usize) {
        let Some(Belief { outbox: Some(outbox), .. }) = &self.beliefs[worker] else { return };
        let part = self.rng.random_range(0..outbox.parts.len());
        self.talk.evidence(outbox, part, &format!("wamid.{}.{part}", outbox.reply_id)).await;
    }

    async fn settle(&mut self, worker: usize) {
        let Some(belief) = &self.beliefs[worker] else { return };
        let run: Vec<MailboxItem> = match &belief.outbox {
            Some(outbox) if outbox.parts.iter().any(|part| part.state != PartState::Sent) => return,
            Some(outbox) => {
                let mailbox = belief.conversation.mailbox.iter();
                mailbox.filter(|item| outbox.answers.contains(&item.id)).cloned().collect()
            }
            // A turn that needs no reply.
            None => next_run(&belief.conversation.mailbox, 5).to_vec(),
        };
        match self.talk.settle(&belief.lease, &run).await {
            Some(_) => {
                self.settled.extend(ids(&run));
                let replied = self.beliefs[worker].as_mut().and_then(|belief| belief.outbox.take());
                if let Some(outbox) = replied {
                    let parts = (0..outbox.parts.len()).collect();
                    self.last_answer = (outbox.kind == ReplyKind::Answer).then_some((outbox, parts));
                }
            }
            None => self.fenced += 1,
        }
        self.beliefs[worker] = None;
    }

    async fn postpone(&mut self, worker: usize) {
        let Some(belief) = self.beliefs[worker].take() else { return };
        let not_sent = belief.outbox.as_ref().and(Some(0)).filter(|_| self.rng.random_bool(0.5));
        let for_evidence = not_sent.is_none() && self.rng.random();
        let delay = Duration::from_millis(self.rng.random_range(0..20));
        let token = self.rng.random_bool(0.5).then(|| "refused".to_owned());
        let postponement = Postponement { not_sent, for_evidence, token, ..failed(delay) };
        self.fenced += u32::from(!self.talk.postpone(&belief.lease, &postponement).await);
    }

    async fn release(&mut self, worker: usize) {
        if self.rng.random() {
            self.talk.store.release_all(&self.name(worker)).await.expect("the store answers");
        } else if let Some(belief) = self.beliefs[worker].take() {
            let mine = self.talk.store.release(&belief.lease).await.expect("the store answers");
            self.fenced += u32::from(!mine);
        }
    }

    async fn renew_a_token(&mut self) {
        let business = &self.talk.business;
        self.talk.store.release_waiting(business, "accepted").await.expect("the store answers");
    }

    fn lose(&mut self, worker: usize) {
        self.fenced += 1;
        self.beliefs[worker] = None;
    }

    fn check(&self) {
        let is_written = |id: &MessageId| !id.expose().starts_with("resend:");
        let settled: Vec<_> = self.settled.iter().filter(|id| is_written(id)).cloned().collect();
        let landed: Vec<_> = ids(&self.landed).into_iter().filter(is_written).take(settled.len()).collect();
        assert_eq!(settled, landed, "each once, in the customer's order");
        // What is sent once more goes before them.
        let once: HashSet<_> = self.settled.iter().collect();
        assert_eq!(once.len(), self.settled.len(), "each once");
    }

    /// A last worker answers what is left; then nothing waits.
    async fn finish(&mut self) {
        while self.settled.len() < self.landed.len() {
            let claim = self.talk.claim_when_free("the last", LONG).await;
            let run = match &claim.conversation.outbox {
                Some(outbox) => {
                    let mailbox = claim.conversation.mailbox.iter();
                    mailbox.filter(|item| outbox.answers.contains(&item.id)).cloned().collect()
                }
                None => next_run(&claim.conversation.mailbox, 50).to_vec(),
            };
            assert!(!run.is_empty(), "what is under way answers something that waits");
            self.talk.settle(&claim.lease, &run).await.expect("the lease is held");
            self.settled.extend(ids(&run));
            self.check();
        }
        assert!(self.talk.try_claim("nobody", LONG).await.is_none(), "nothing is due any more");
        let landed = ids(&self.landed);
        assert_eq!(self.settled.iter().collect::<HashSet<_>>(), landed.iter().collect(), "nothing is left out");
    }
}
