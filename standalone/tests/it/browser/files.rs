//! What is no text: recordings, pictures, places.

use simulator::files::tiny_png;

use super::{
    demo::{BIKES, Demo},
    driver::{Browser, Microphone},
    page::Page,
};

/// Plays the last recording of a side from its beginning, until it has gone on for a while.
async fn plays(page: &Page, side: &str) {
    let item = format!("[...document.querySelectorAll('[data-from={side}] .player')].at(-1)");
    let audio = format!("{item}.querySelector('audio')");
    // It begins again at its end: it is short, and must not be over before it is looked at.
    page.run(&format!("{item}.querySelector('button').id = 'to-play'; {audio}.loop = true;"), &[]).await;
    page.click("#to-play").await;
    page.until(&format!("{audio}.currentTime > 0.2 && Number.isFinite({audio}.duration) && {audio}.duration > 0.5"))
        .await;
    assert_eq!(page.value(&format!("{audio}.error")).await, serde_json::Value::Null);
    page.until(&format!("{item}.querySelector('input').value > 0")).await;
    page.run("document.getElementById('to-play').removeAttribute('id');", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_answered_by_voice_and_both_can_be_played() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.click("#record").await;
    page.until("document.getElementById('record-time').textContent >= '0:01'").await;
    page.click("#record-send").await;
    let answers = page.answered(1).await;
    assert_eq!(answers[0].kind, "audio", "{answers:?}");
    let written = page.messages().await.remove(0);
    assert_eq!((written.from.as_str(), written.kind.as_str()), ("customer", "audio"));
    for side in ["customer", "business"] {
        plays(&page, side).await;
    }
    // One is enough at a time.
    let on = "[...document.querySelectorAll('.player audio')].filter((audio) => !audio.paused).length";
    assert_eq!(page.value(on).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_can_be_discarded_and_a_refused_microphone_is_told() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.click("#record").await;
    page.click("#record-drop").await;
    page.until("!document.getElementById('composer').hidden").await;
    assert!(page.messages().await.is_empty());
    let page = Page::open_in(Browser::start(Microphone::Refused).await, &demo, BIKES, "4915110000001").await;
    page.click("#record").await;
    page.until("document.getElementById('notice').innerText.includes('may not use the microphone')").await;
    page.say("Then I write").await;
    page.answered(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_sent_with_its_caption_and_is_seen() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("bike.png");
    std::fs::write(&file, tiny_png()).expect("written");
    page.type_into("#picture", file.to_str().expect("UTF-8")).await;
    page.type_into("#caption", "My broken bike").await;
    page.click("#sheet .primary").await;
    page.until("document.querySelector('[data-type=image] img')?.naturalWidth > 0").await;
    let written = page.messages().await.remove(0);
    assert!(written.words.contains("My broken bike"), "{written:?}");
    let answer = page.answered(1).await.remove(0).words;
    assert!(answer.contains("Thank you for the picture"), "{answer}");
    // What is no picture is not sent.
    let file = directory.path().join("page.html");
    std::fs::write(&file, "<p>").expect("written");
    page.type_into("#picture", file.to_str().expect("UTF-8")).await;
    page.click("#sheet .primary").await;
    page.until("document.getElementById('sheet-error').innerText.includes('Only voice messages and pictures')").await;
    assert_eq!(page.messages().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_sent_as_coordinates_or_as_where_the_browser_is() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.click("#attach").await;
    page.click("[data-action=pin]").await;
    page.type_into("#place-name", "Central Station").await;
    page.type_into("#latitude", "52.3791").await;
    page.type_into("#longitude", "4.9003").await;
    page.click("#sheet .primary").await;
    let answer = page.answered(1).await.remove(0).words;
    assert!(answer.contains("I see where you are") && answer.contains("Central Station"), "{answer}");
    let written = page.messages().await.remove(0);
    assert_eq!(written.kind, "location");
    assert!(written.words.contains("Central Station") && written.words.contains("52.3791"), "{written:?}");

    let origin = format!("http://{}", demo.addr);
    let granted = serde_json::json!({"origin": origin, "permissions": ["geolocation"]});
    page.devtools("Browser.grantPermissions", granted).await;
    let here = serde_json::json!({"latitude": 40.4221, "longitude": -3.7034, "accuracy": 5});
    page.devtools("Emulation.setGeolocationOverride", here).await;
    page.click("#attach").await;
    page.click("[data-action=pin]").await;
    page.click("#sheet [data-action=pin]").await;
    page.until("document.getElementById('longitude').value === '-3.70340'").await;
    page.click("#sheet .primary").await;
    page.until("document.querySelectorAll('[data-from=customer][data-type=location]').length === 2").await;
}
