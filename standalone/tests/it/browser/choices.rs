//! Lists and buttons.

use super::{
    demo::{BIKES, Demo},
    page::Page,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_brings_choices_and_the_chosen_one_is_answered() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.say("menu").await;
    // Who is new is greeted first.
    let offered = page.answered(2).await;
    assert!(offered[0].words.starts_with("Welcome to Harbour Bikes!"), "{offered:?}");
    assert_eq!(offered[1].kind, "interactive");
    page.click("[data-list]").await;
    let rows = page.value("[...document.querySelectorAll('#sheet [data-choice] strong')].map((row) => row.innerText)");
    let rows = rows.await.to_string();
    assert!(rows.contains("Deposit") && rows.contains("Opening hours"), "{rows}");
    page.run(
        "[...document.querySelectorAll('#sheet [data-choice]')].find((row) => row.innerText.includes('Deposit')).click()",
        &[],
    )
    .await;
    let answer = page.answered(3).await.remove(2).words;
    assert!(answer.contains("50 EUR"), "{answer}");
    let chosen = page.messages().await.remove(3);
    assert_eq!((chosen.from.as_str(), chosen.kind.as_str()), ("customer", "interactive"));
    assert!(chosen.words.contains("Deposit"), "{chosen:?}");
    assert_eq!(page.value("document.getElementById('sheet').open").await, false);
}
