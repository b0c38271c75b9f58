//! Faults on demand, from the page: what they do, and what the page says of it.

use super::{
    demo::{BIKES, Demo},
    page::Page,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_delivered_twice_gets_one_answer_and_the_page_says_so() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.turn("duplicate", true).await;
    page.say("Hello").await;
    page.answered(1).await;
    demo.at_rest(BIKES, page.number).await;
    page.until("document.querySelector('[data-seen=duplicate]')?.innerText.includes('1 answer')").await;
    assert_eq!(page.seen("duplicate").await, "1 message posted 2 times: 1 answer, none twice.");
    assert_eq!(page.messages().await.len(), 2);
    assert_eq!(page.value("document.body.dataset.faults").await, "1");
    page.turn("duplicate", false).await;
    page.look_behind("wire").await;
    page.until("document.querySelector('[data-what=webhook] .outcome')?.innerText.includes('2×')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_ai_is_down_the_customer_gets_one_apology_and_later_an_answer() {
    let demo = Demo::start(&[("AI_GIVE_UP_SECS", "2")]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.turn("ai_down", true).await;
    page.say("How much is a city bike?").await;
    let apology = page.answered(1).await.remove(0).words;
    assert!(apology.starts_with("Our hire desk has trouble answering"), "{apology}");
    demo.at_rest(BIKES, page.number).await;
    assert_eq!(page.messages().await.len(), 2);
    assert!(page.seen("ai_down").await.contains("failed"), "{}", page.seen("ai_down").await);
    page.turn("ai_down", false).await;
    page.say("How much is an electric bike?").await;
    let answers = page.answered(2).await;
    assert!(answers[1].words.contains("32 EUR"), "{answers:?}");
    demo.at_rest(BIKES, page.number).await;
    assert_eq!(page.messages().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_acceptance_is_lost_is_not_sent_again() {
    let demo = Demo::start(&[("SEND_EVIDENCE_SECS", "5")]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.turn("lose_answer", true).await;
    page.say("Hello").await;
    page.answered(1).await;
    demo.at_rest(BIKES, page.number).await;
    page.until("document.querySelector('[data-seen=lose_answer]')?.innerText.includes('1 proven')").await;
    assert_eq!(page.seen("lose_answer").await, "1 answer lost, 1 proven by its status, 0 sent twice.");
    assert_eq!(page.messages().await.len(), 2);
}
