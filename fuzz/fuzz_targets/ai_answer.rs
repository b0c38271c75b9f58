//! Answers of AI providers: chat with calls of tools, transcription, the list of models, speech, and their errors.
//!
//! A completion has words or calls, and no thinking in front. What becomes of it can be sent: every part within
//! Meta's limits, choices too. An error says the provider's code and nothing else that it was told.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use switchboard_fuzz::{Answer, PARTS_MOST, assert_can_be_sent, units};
use worker::{
    companion::{
        AiError, Composition, Offer,
        provider::{Completion, Heard, Served, is_mono_opus, language_code},
    },
    conversation::PartForm,
    whatsapp::{BUTTON_UNITS, CHOICES_BODY_UNITS, CHOICES_MOST, DESCRIPTION_UNITS, TITLE_UNITS},
};

fuzz_target!(|data: &[u8]| {
    let Some(answer) = Answer::read(data) else { return };
    if !answer.is_success() {
        return check_error(&answer);
    }
    match Completion::from_answer(answer.body, "model") {
        Ok(completion) => check_completion(completion),
        Err(error) => assert!(matches!(error, AiError::Useless(_)), "{error}"),
    }
    match Heard::from_answer(answer.body) {
        Ok(Heard::Words { text, language, .. }) => {
            assert!(!text.trim().is_empty());
            assert!(language.is_none_or(|code| language_code(code) == Some(code)));
        }
        Ok(Heard::Nothing) => {}
        Err(error) => assert!(matches!(error, AiError::Useless(_)), "{error}"),
    }
    if let Ok(served) = Served::from_answer(answer.body) {
        assert!(served.like("gpt-4o").len() <= 8);
    }
    if is_mono_opus(answer.body) {
        assert!(answer.body.starts_with(b"OggS") && answer.body.windows(8).any(|bytes| bytes == b"OpusHead"));
    }
});

fn check_error(answer: &Answer<'_>) {
    let error = AiError::from_answer(answer.status, answer.body, answer.retry_after);
    assert_eq!(error.retry_after(), answer.retry_after);
    assert!(!(error.is_refusal() && matches!(answer.status, 401 | 403 | 408 | 429 | 500..)));
    assert!(!error.is_failed_tool_call() || error.is_refusal());
    let told = error.to_string();
    let code = told.strip_prefix(&format!("the AI provider answered HTTP {} (", answer.status));
    let code = code.and_then(|rest| rest.strip_suffix(')')).expect("nothing else is said");
    let wordly = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    assert!(code == "no code" || ((1..=40).contains(&code.len()) && code.chars().all(wordly)), "{code:?}");
}

fn check_completion(completion: Completion) {
    assert_eq!(completion.text, completion.text.trim());
    assert!(!completion.text.is_empty() || !completion.tool_calls.is_empty(), "neither words nor calls");
    assert!(!completion.text.starts_with("<think>"), "the customer would read what the model thinks");
    assert!(completion.tool_calls.iter().all(|call| !call.id.is_empty() && !call.name.is_empty()));
    let mut composition = Composition { text: completion.text, ..Composition::default() };
    check_parts(&composition);
    for call in &completion.tool_calls {
        let Ok(arguments) = serde_json::from_str::<Map<String, Value>>(&call.arguments) else { continue };
        let Ok(offer) = Offer::read(&arguments) else { continue };
        composition.offer = Some(offer);
        check_parts(&composition);
        assert_eq!(composition.spoken(), None, "choices are seen");
    }
}

fn check_parts(composition: &Composition) {
    let parts = composition.written();
    assert!(parts.len() <= PARTS_MOST + usize::from(composition.offer.is_some()));
    for part in &parts {
        assert_can_be_sent(&part.body);
        if let PartForm::Choices { text, button, choices } = &part.form {
            assert!((1..=CHOICES_BODY_UNITS).contains(&units(text)) && !text.trim().is_empty());
            assert!((1..=BUTTON_UNITS).contains(&units(button)) && !button.trim().is_empty());
            assert!((1..=CHOICES_MOST).contains(&choices.len()));
            for choice in choices {
                assert!((1..=TITLE_UNITS).contains(&units(&choice.title)) && !choice.title.trim().is_empty());
                let description = choice.description.as_deref();
                assert!(description.is_none_or(|text| (1..=DESCRIPTION_UNITS).contains(&units(text))));
            }
        }
    }
    if let Some(words) = composition.spoken() {
        assert!(!words.trim().is_empty());
    }
}
