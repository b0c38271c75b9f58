//! A bot in front of the real stand-ins, over HTTP: judged right while it is right, and caught under the promise that
//! each of its faults breaks.

use simulator::{
    Ai, AiOptions, Business, Customer, Journal, Meta, MetaOptions, Tag,
    ai::ChatRequest,
    checker::{Fairness, Report, Rule, Scenario, answer, judge},
    journal::UpdateKind,
    meta::{Fault, Refusal},
    webhook::{Body, Content, Message},
};

use super::{
    bot::{Bot, Mutant},
    broken,
    trace::{ANA, BEA, scenario},
};
use crate::setup::SOON;

const FLOOD: u64 = 40;
/// Two businesses take turns; a turn may be under way when the message comes.
const TURNS_BETWEEN_MOST: usize = 3;

/// How long a day may take on a busy machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A run of the bot and everything that it meets.
struct Run {
    meta: Meta,
    ai: Ai,
    journal: Journal,
    bot: Bot,
    acme: Business,
    bolt: Business,
}

impl Run {
    async fn start(mutant: Option<Mutant>) -> Self {
        let (journal, mut bot) = (Journal::in_memory(), Bot::listen(mutant).await);
        let options = MetaOptions::default().with_journal(&journal).with_webhook_url(&bot.webhook_url);
        let meta = Meta::start(options).await.expect("a free port");
        let ai = Ai::start(AiOptions::default().with_journal(&journal)).await.expect("a free port");
        ai.on_chat(|request: &ChatRequest| answer(request).after(std::time::Duration::from_millis(2)));
        let (acme, bolt) = (Business::new("acme", "1001"), Business::new("bolt", "2002"));
        [&acme, &bolt].into_iter().for_each(|business| meta.register(business.clone()));
        bot.work(meta.graph_url(), ai.url(), vec![acme.clone(), bolt.clone()]);
        Self { meta, ai, journal, bot, acme, bolt }
    }

    fn message(&self, customer: &str, tag: u64, words: &str) -> Message {
        let text = format!("{} {words}", Tag(tag));
        self.meta.sender(&self.acme).message(&Customer::phone(customer), Content::text(text))
    }

    async fn deliver(&self, body: &Body) {
        self.meta.sender(&self.acme).deliver(&body.to_json()).await.expect("taken");
    }

    async fn write(&self, business: &Business, customer: &str, tag: u64, words: &str) {
        self.deliver(&Body::of(business, &self.message(customer, tag, words))).await;
    }

    /// Everything that happens to the bot, in the order of the promises.
    async fn day(&self) {
        let sender = self.meta.sender(&self.acme);
        // Two bodies that come three times, one of them again after its answer.
        for tag in [1, 2] {
            let body = Body::of(&self.acme, &self.message(ANA, tag, "told-by-ana")).to_json();
            sender.duplicate(&body, 3).await.expect("taken");
            self.bot.idle().await;
            sender.deliver(&body).await.expect("taken");
        }
        // One id at two businesses, in one body.
        let both = self.message(ANA, 3, "hello");
        self.deliver(&Body::of(&self.acme, &both).message(&self.bolt, &both)).await;
        // A burst in one body, and at length.
        let burst = [4, 5, 6].map(|tag| self.message(BEA, tag, "one of three"));
        let body = burst.iter().fold(Body::default(), |body, message| body.message(&self.acme, message));
        self.deliver(&body).await;
        self.write(&self.bolt, BEA, 7, "please be long").await;
        // An answer that is lost after it was accepted, and one that is refused at first.
        self.bot.idle().await;
        let from_acme = || simulator::meta::Where::any().from("1001");
        self.meta.faults().next(from_acme(), Fault::AcceptThenDrop);
        self.write(&self.acme, ANA, 8, "hello").await;
        self.bot.idle().await;
        self.meta.faults().next(from_acme(), Fault::Refuse(Refusal::code(130_429)));
        self.write(&self.acme, ANA, 9, "hello").await;
        self.bot.idle().await;
        // Many customers of one business, and one of the other behind them.
        let flood = (0..FLOOD).map(|n| self.message(&format!("4915200000{n:03}"), 100 + n, "hello"));
        let body = flood.fold(Body::default(), |body, message| body.message(&self.acme, &message));
        self.deliver(&body.message(&self.bolt, &self.message(BEA, 10, "hello"))).await;
        self.bot.idle().await;
    }

    /// The report, once every status was taken.
    async fn end(self) -> Report {
        let is_reported = |journal: &Journal| {
            let posts = journal.posts().into_iter().filter(|post| post.http == Some(200));
            let statuses = posts.flat_map(|post| post.updates).filter(|update| update.update == UpdateKind::Status);
            statuses.count() >= 2 * journal.accepted().len()
        };
        self.journal.wait_until(is_reported, SOON).await.expect("two statuses of each message");
        self.meta.stop().await;
        self.ai.stop().await;
        judge(&self.journal.entries(), &expected())
    }
}

fn expected() -> Scenario {
    let quiet = ["bolt".to_owned()].into();
    let fairness = Fairness { quiet, quiet_time: std::time::Duration::ZERO, turns_between_most: TURNS_BETWEEN_MOST };
    scenario().with_fairness(fairness)
}

async fn judged(mutant: Option<Mutant>) -> Report {
    let run = Run::start(mutant).await;
    tokio::time::timeout(PATIENCE, run.day()).await.expect("the bot comes to rest");
    run.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_is_right_is_judged_right() {
    let report = judged(None).await;
    assert_eq!(report.verdict(), Ok(()));
    let figures = &report.figures;
    let messages = 11 + usize::try_from(FLOOD).expect("small");
    assert_eq!((figures.messages_acknowledged, figures.messages_answered), (messages, messages));
    assert_eq!((figures.messages_unjudged, figures.chats_failed, report.residual.len()), (0, 0, 0));
    assert_eq!(figures.sends_refused, 1);
    assert!(figures.chats_per_message_most == 1 && figures.turns_between_most.is_some(), "{report}");
}

/// Judges a bot with this fault: the promise that the fault is about is broken, and of the others only those which
/// cannot be kept then.
async fn is_caught(mutant: Mutant, rule: Rule, besides: &[Rule]) {
    let report = judged(Some(mutant)).await;
    let broken = broken(&report);
    assert!(broken.contains(&rule), "{mutant:?} breaks {broken:?} and not {rule}: {report}");
    let unexpected: Vec<_> = broken.iter().filter(|other| **other != rule && !besides.contains(other)).collect();
    assert!(unexpected.is_empty(), "{mutant:?} breaks {unexpected:?} too: {:?}", report.verdict());
    assert_eq!(report.residual.len(), 0, "{mutant:?}: no status was lost, so nothing is excused");
}

macro_rules! caught {
    ($($name:ident: $mutant:ident breaks $rule:ident $(and $besides:ident)*;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            is_caught(Mutant::$mutant, Rule::$rule, &[$(Rule::$besides),*]).await;
        }
    )*};
}

caught! {
    // What comes again is answered again, so it is paid for again.
    a_bot_that_forgets_to_deduplicate: ForgetsToDeduplicate breaks Duplicate and Cost;
    a_bot_that_takes_one_id_at_two_numbers_for_one_message: DeduplicatesAcrossNumbers breaks Loss;
    a_bot_that_acknowledges_before_it_stores: AcknowledgesBeforeItStores breaks Loss;
    a_bot_that_sends_again_at_once: SendsAgainAtOnce breaks Duplicate;
    // Meta refuses, so nothing is answered either.
    a_bot_that_uses_anothers_token: UsesAnothersToken breaks Isolation and Loss;
    a_bot_that_answers_newest_first: AnswersNewestFirst breaks Order;
    a_bot_that_shares_memory_between_businesses: SharesMemory breaks Isolation;
    a_bot_that_asks_twice: AsksTwice breaks Cost;
    a_bot_that_answers_the_wrong_customer: AnswersTheWrongCustomer breaks Phantom and Isolation and Loss;
    a_bot_that_starves_the_quiet: StarvesTheQuiet breaks Fairness;
}
