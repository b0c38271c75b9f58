//! One business's flood, bad token or failing model is nobody else's trouble.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use mongodb::bson::doc;
use secrecy::SecretString;
use simulator::{
    Seed, Tag, Traffic,
    ai::ChatReply,
    checker::{self, Fairness},
};
use tokio::time::sleep;

use super::{judged::Judged, rounds, seed};
use crate::system::harness::{Options, PATIENCE, acme, bolt, cipher, corn, customer};

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_at_one_business_lets_a_quiet_one_have_its_turn_in_the_next_round() {
    let seed = seed();
    let turns = 16;
    let mut judged = Judged::start(Options::default().with("MAX_CONVERSATIONS", turns.to_string())).await;
    // A quarter of the turns is the most for one business, so the quiet one finds a free place whenever it comes. What
    // begins meanwhile is what was due already in this round. Its number is of another partition: within one, a queue
    // is a queue.
    let quiet = BTreeSet::from(["corn".to_owned()]);
    let quiet_time = Duration::from_millis(100);
    judged.scenario.fairness = Some(Fairness { quiet, quiet_time, turns_between_most: turns });
    judged.scenario.chats.per_message = 8;
    judged.system.ai.on_chat(|request| checker::answer(request).after(Duration::from_millis(150)));
    let flood = Traffic::new(Seed(seed))
        .businesses([acme()])
        .customers_each(300)
        .messages_each(usize::try_from(rounds(10)).expect("few"))
        .pauses(Duration::ZERO..=Duration::ZERO);
    let quiet = Traffic::new(Seed(seed + 1))
        .businesses([corn()])
        .customers_each(2)
        .messages_each(10)
        .first_tag(Tag(1_000_000))
        .pauses(Duration::from_secs(2)..=Duration::from_secs(2));
    let (flood, quiet) = (judged.traffic(flood), judged.traffic(quiet));
    let messages = flood.await.expect("no panic").messages.len() + quiet.await.expect("no panic").messages.len();
    let report = judged.kept(messages).await;
    assert!(report.figures.turns_between_most.is_some(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_and_a_failing_model_slow_nobody_else_and_a_new_token_releases_all() {
    let mut judged = Judged::start(Options { workers: 2, ..Options::default() }).await;
    let refused = SecretString::from("EAAacmeTOKENacmeTOKENacme");
    judged.system.meta.revoke(&refused);
    judged.system.ai.on_chat(|request| match request.system().contains("canary-of-bolt") {
        true => ChatReply::status(503).after(Duration::from_secs(2)),
        false => checker::answer(request),
    });
    let customers = 20;
    for n in 0..customers {
        for (at, business) in [acme(), bolt(), corn()].iter().enumerate() {
            judged.write(business, &customer(n * 3 + at as u64), "hello").await;
        }
    }
    for n in 0..customers {
        judged.system.answers(&corn(), &customer(n * 3 + 2), 1).await;
    }
    let answered_to = |name: &str| {
        judged.system.journal.accepted().iter().filter(|send| send.business.as_deref() == Some(name)).count()
    };
    assert_eq!((answered_to("acme"), answered_to("bolt")), (0, 0), "they have their troubles, and corn has none of it");
    // Nobody touches a queue or a conversation: the back end writes a token, the provider mends its model.
    let waiting = doc! { "subdomain": "acme", "waits_for": { "$exists": true } };
    let end = Instant::now() + PATIENCE;
    while judged.system.count("conversations", waiting.clone()).await < customers {
        assert!(Instant::now() < end, "not every conversation waits for a token");
        sleep(Duration::from_millis(100)).await;
    }
    let asked = judged.system.journal.chats().len();
    let token = SecretString::from("EAAnextTOKENnextTOKENnext");
    judged.system.meta.grant("acme", &token);
    judged.system.update_business(&acme(), doc! { "whatsappAccessToken": cipher().encrypt(&token) }).await;
    for n in 0..customers {
        judged.system.answers(&acme(), &customer(n * 3), 1).await;
    }
    // An answer is heard of before its turn has ended.
    let end = Instant::now() + PATIENCE;
    while judged.system.count("conversations", waiting.clone()).await > 0 {
        assert!(Instant::now() < end, "conversations wait for a token that is there");
        sleep(Duration::from_millis(100)).await;
    }
    let bolts = judged
        .system
        .journal
        .chats()
        .iter()
        .skip(asked)
        .filter(|chat| chat.body.to_string().contains("canary-of-acme"))
        .count();
    assert!(bolts <= usize::try_from(customers).expect("few"), "a reply that waits for a token is paid for once");
    judged.system.ai.on_chat(checker::answer);
    judged.scenario.chats.per_message = 8;
    judged.kept(usize::try_from(customers).expect("few") * 3).await;
}
