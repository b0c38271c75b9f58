//! Writing and being answered: whose words go where, and how many answers come.

use super::{
    demo::{BIKES, Demo, TAZA},
    page::{ENTER, Page},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_customers_chat_with_two_businesses_at_once_and_see_nothing_of_each_other() {
    let demo = Demo::start(&[]).await;
    let open = (Page::open(&demo, BIKES, "4915110000001"), Page::open(&demo, TAZA, "34600100002"));
    let (ana, luis) = tokio::join!(open.0, open.1);
    tokio::join!(ana.say("Hello, my name is Ana"), luis.say("Hola, me llamo Luis"));
    let (from_bikes, from_taza) = tokio::join!(ana.answered(1), luis.answered(1));
    assert!(from_bikes[0].words.starts_with("Welcome to Harbour Bikes!"), "{from_bikes:?}");
    assert!(from_taza[0].words.starts_with("¡Bienvenida a Taza Azul!"), "{from_taza:?}");
    assert_eq!((from_bikes[0].language.as_str(), from_taza[0].language.as_str()), ("en", "es"));
    tokio::join!(demo.at_rest(BIKES, ana.number), demo.at_rest(TAZA, luis.number));
    for (page, other, foreign) in [(&ana, TAZA, "Luis"), (&luis, BIKES, "Ana")] {
        assert_eq!(page.messages().await.len(), 2);
        let whole = page.value("document.body.textContent").await.to_string();
        assert!(!whole.contains(foreign), "{foreign}: {whole}");
        page.choose(other).await;
        assert!(page.messages().await.is_empty(), "with the other business nothing was said");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_of_one_business_are_remembered_apart() {
    let demo = Demo::start(&[]).await;
    let ana = Page::open(&demo, BIKES, "4915110000001").await;
    ana.say("My name is Ana and I am allergic to nuts").await;
    ana.answered(1).await;
    let ben = Page::open(&demo, BIKES, "4915110000002").await;
    assert!(ben.messages().await.is_empty());
    for page in [&ana, &ben] {
        let before = page.answers().await.len();
        page.say("What do you know about me?").await;
        let answers = page.answered(before + 1).await;
        let knows = answers[before].words.contains("nuts");
        assert_eq!(knows, page.number == ana.number, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_in_a_row_get_one_answer() {
    // Half of it after a question, within which a busy machine has to type the next one.
    let demo = Demo::start(&[("QUIET_MILLIS", "20000")]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    let parts = ["Hello", "Are you open on Sunday?", "How much is a city bike?", "And the deposit?"];
    page.type_into("#text", &parts.map(|part| format!("{part}{ENTER}")).concat()).await;
    let answer = page.answered(1).await.remove(0).words;
    demo.at_rest(BIKES, page.number).await;
    let shown = page.messages().await;
    assert_eq!(shown.len(), parts.len() + 1, "{shown:?}");
    let written: Vec<&str> = shown.iter().take(parts.len()).map(|message| message.words.as_str()).collect();
    assert_eq!(written, parts, "in the order in which they were written");
    assert!(answer.contains("opening hours") && answer.contains("18 EUR") && answer.contains("50 EUR"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suggestion_is_sent_by_a_click_and_a_new_line_is_no_message() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, TAZA, "34600100001").await;
    page.click("[data-suggestion]").await;
    page.answered(1).await;
    assert_eq!(page.value("document.querySelectorAll('[data-suggestion]').length").await, 0);
    let line = format!("uno\u{e008}{ENTER}\u{e008}dos");
    page.type_into("#text", &line).await;
    assert_eq!(page.value("document.getElementById('text').value").await, "uno\ndos");
    demo.at_rest(TAZA, page.number).await;
    let written = page.messages().await.into_iter().filter(|message| message.from == "customer");
    assert_eq!(written.count(), 1, "nothing more was sent yet");
}
