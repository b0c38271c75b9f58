//! Three workers that land, answer, die, come back and merge, by chance.

use std::collections::{BTreeSet, HashSet};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use shared::ids::MessageId;
use worker::{
    conversation::next_run,
    store::{Claim, CommitOutcome},
};

use super::super::failed;
use super::*;

const WORLDS: u64 = 10;
const STEPS: usize = 220;
const WORKERS: usize = 3;
/// So few that the memory keeps a line of each.
const MESSAGES_MOST: usize = 40;

/// What has to happen in some world, or the test has shown nothing.
const MET: &[&str] = &["Finished", "Waits", "fenced", "both ids", "landed in the other one"];
/// The same, where a merge is made in steps: what is between them can be seen.
const MET_BETWEEN_STEPS: &[&str] = &["Closed", "Copied", "known to a tombstone"];

/// What a worker believes. One that froze goes on believing it.
struct Belief {
    talk: Talk,
    claim: Claim,
    committed: bool,
}

struct World {
    pair: Pair,
    rng: StdRng,
    arrivals: [Arrivals; WORKERS],
    beliefs: [Option<Belief>; WORKERS],
    landed: Vec<(Sender, MailboxItem)>,
    settled: Vec<MessageId>,
    wanted: bool,
    met: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_three_workers_do_two_conversations_become_one_and_each_message_is_settled_once() {
    let given = std::env::var("SWITCHBOARD_SEED").ok().map(|seed| seed.parse().expect("SWITCHBOARD_SEED is a number"));
    let seed: u64 = given.unwrap_or_else(|| rand::rng().random());
    println!("SWITCHBOARD_SEED={seed}");
    let worlds = (0..WORLDS).map(|n| async move { World::begin(seed.wrapping_add(n)).await.live().await });
    // Their databases go when all are over: that blocks whoever else is polled by this task.
    let (met, _databases): (Vec<_>, Vec<_>) = join_all(worlds).await.into_iter().unzip();
    let met: BTreeSet<String> = met.into_iter().flatten().collect();
    let between = if Backend::STEPWISE { MET_BETWEEN_STEPS } else { &[] };
    let missed: Vec<_> = MET.iter().chain(between).filter(|case| !met.contains(**case)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

impl World {
    async fn begin(seed: u64) -> Self {
        let pair = Pair::of(Fresh::open("merge_walk").await).await;
        let arrivals = std::array::from_fn(|_| Arrivals::new(&pair.store));
        Self {
            pair,
            rng: StdRng::seed_from_u64(seed),
            arrivals,
            beliefs: [const { None }; WORKERS],
            landed: Vec::new(),
            settled: Vec::new(),
            wanted: false,
            met: BTreeSet::new(),
        }
    }

    async fn live(mut self) -> (BTreeSet<String>, Pair) {
        for step in 0..STEPS {
            let worker = self.rng.random_range(0..WORKERS);
            match self.rng.random_range(0..100) {
                0..16 => self.land(worker).await,
                16..32 => self.land_a_known_one(worker).await,
                32..52 => self.claim(worker).await,
                52..60 => self.commit(worker).await,
                60..80 => self.settle(worker).await,
                80..84 => self.give_up(worker).await,
                84..96 if step > STEPS / 4 => self.merge(step).await,
                84..97 => {}
                // The worker dies or freezes until its lease has run out.
                _ => tokio::time::sleep(SHORT).await,
            }
        }
        self.finish().await;
        (self.met, self.pair)
    }

    async fn land(&mut self, worker: usize) {
        if self.landed.len() == MESSAGES_MOST {
            return;
        }
        let item = message(u32::try_from(self.landed.len()).expect("few"));
        let item = if self.rng.random_bool(0.2) { to_the_other_number(item) } else { item };
        let sender = match self.rng.random_range(0..20) {
            0..10 => phone(PHONE),
            // It brings the wish and every step that is possible at once.
            10 if self.wanted => both(PHONE, ANA),
            _ => user(ANA),
        };
        let (landed, session) = self.arrivals[worker].take(&sender, &item).await;
        assert!(matches!(landed, Landed::New { .. }), "{} is new: {landed:?}", item.id);
        if sender.wa_id.is_some() && session == self.pair.new.session {
            self.met.insert("landed in the other one".to_owned());
        }
        if sender == both(PHONE, ANA) {
            self.met.insert("both ids".to_owned());
        }
        self.landed.push((sender, item));
    }

    async fn land_a_known_one(&mut self, worker: usize) {
        let Some((sender, item)) = self.landed.choose(&mut self.rng).cloned() else { return };
        let is_closed = self.pair.store.state(&self.pair.old.session).await.expect("the store answers");
        let is_closed = is_closed.is_some_and(|state| state.merged_into.is_some());
        let (landed, session) = self.arrivals[worker].take(&sender, &item).await;
        assert_eq!(landed, Landed::Duplicate, "{} waits or was answered", item.id);
        if is_closed && session == self.pair.old.session {
            self.met.insert("known to a tombstone".to_owned());
        }
    }

    async fn claim(&mut self, worker: usize) {
        let talk = if self.rng.random() { &self.pair.old } else { &self.pair.new };
        let Some(claim) = talk.try_claim(&format!("worker {worker}"), SHORT).await else { return };
        let committed = claim.conversation.outbox.is_some();
        self.beliefs[worker] = Some(Belief { talk: talk.clone(), claim, committed });
    }

    /// What a turn answers: what it committed to, or the head of the mailbox as it was claimed.
    fn run(&self, claim: &Claim) -> Vec<MailboxItem> {
        let mailbox = &claim.conversation.mailbox;
        let order: Vec<_> = mailbox.iter().map(|item| (item.timestamp, item.received_at)).collect();
        assert!(order.is_sorted(), "in the customer's order");
        match &claim.conversation.outbox {
            Some(outbox) => outbox.answered_in(mailbox),
            None => next_run(mailbox, 3).to_vec(),
        }
    }

    async fn commit(&mut self, worker: usize) {
        let Some(belief) = self.beliefs[worker].as_ref().filter(|belief| !belief.committed) else { return };
        let run = self.run(&belief.claim);
        if run.is_empty() {
            return;
        }
        let outbox = reply(&format!("r{}", self.rng.random::<u64>()), &run, &["one"]);
        match belief.talk.commit_having_seen(&belief.claim.lease, &outbox, None).await {
            CommitOutcome::Committed => {
                if let Some(belief) = &mut self.beliefs[worker] {
                    (belief.claim.conversation.outbox, belief.committed) = (Some(outbox), true);
                }
            }
            CommitOutcome::Fenced => self.lose(worker),
            outcome @ (CommitOutcome::NewerMessages | CommitOutcome::HandedOver | CommitOutcome::OptedOut) => {
                panic!("{outcome:?}")
            }
        }
    }

    async fn settle(&mut self, worker: usize) {
        let Some(belief) = self.beliefs[worker].take() else { return };
        let run = self.run(&belief.claim);
        self.settle_run(&belief.talk, &belief.claim.lease, &run).await;
    }

    async fn settle_run(&mut self, talk: &Talk, lease: &LeaseKey, run: &[MailboxItem]) {
        record(talk, run).await;
        let said = |item: &MailboxItem| MemoryTurn { speaker: Speaker::Customer, text: item.id.expose().to_owned() };
        let memory = Memory { turns: run.iter().map(said).collect(), ..Memory::default() };
        match talk.settle_and_remember(lease, run, &memory).await {
            Some(_) => {
                self.settled.extend(ids(run));
                let distinct: HashSet<_> = self.settled.iter().collect();
                assert_eq!(distinct.len(), self.settled.len(), "each once");
            }
            None => {
                self.met.insert("fenced".to_owned());
            }
        }
    }

    async fn give_up(&mut self, worker: usize) {
        let Some(belief) = self.beliefs[worker].take() else { return };
        let delay = Duration::from_millis(self.rng.random_range(0..20));
        if !belief.talk.postpone(&belief.claim.lease, &failed(delay)).await {
            self.lose(worker);
        }
    }

    /// Another worker than whoever made the step before may make the next one.
    async fn merge(&mut self, step: usize) {
        if !self.wanted {
            self.pair.want().await;
            self.wanted = true;
        } else if self.rng.random_bool(0.8) {
            let made = self.pair.step().await;
            self.met.insert(format!("{made:?}"));
        } else if step > STEPS / 2 {
            self.pair.merge().await;
        }
    }

    fn lose(&mut self, worker: usize) {
        self.met.insert("fenced".to_owned());
        self.beliefs[worker] = None;
    }

    /// A last worker answers and merges what is left; then one conversation is.
    async fn finish(&mut self) {
        if !self.wanted {
            self.pair.want().await;
        }
        for talk in [self.pair.old.clone(), self.pair.new.clone()].iter().cycle().take(200) {
            if let Some(claim) = talk.try_claim("the last", LONG).await {
                let run = self.run(&claim);
                assert!(!run.is_empty(), "what is due waits for an answer");
                self.settle_run(talk, &claim.lease, &run).await;
            }
            self.pair.merge().await;
            if self.settled.len() == self.landed.len() && self.pair.step().await == MergeStep::Nothing {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let known: HashSet<_> = self.landed.iter().map(|(_, item)| &item.id).collect();
        assert_eq!(self.settled.iter().collect::<HashSet<_>>(), known, "all of them");
        let bare = self.pair.raw(&self.pair.old).await;
        assert!(bare.contains_key("merged_at") && !bare.contains_key("memory"), "{bare}");
        let state =
            self.pair.store.state(&self.pair.new.session).await.expect("the store answers").expect("it is there");
        assert_eq!((state.mailbox, state.due_at, state.outbox, state.lease), (vec![], None, None, None));
        assert!(state.memory.iter().map(|line| line.at).is_sorted(), "in the order of time");
        let mut lines: Vec<_> = state.memory.iter().map(|line| line.text.as_str()).collect();
        let mut expected: Vec<_> = self.settled.iter().map(MessageId::expose).collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected, "one memory of both");
        for (sender, item) in &self.landed {
            for arrivals in &self.arrivals {
                assert_eq!(arrivals.take(sender, item).await.0, Landed::Duplicate);
            }
        }
    }
}
