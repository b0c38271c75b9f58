//! Customers who want to hear no more, and those who want to hear again: the words for it, and what they are told.
//!
//! Only a message that is such a word as a whole counts; accents, case and punctuation do not. "Please don't stop" asks
//! for nothing, and "stop the delivery" is for the companion to understand. A language is a row of `languages.rs`.

mod languages;

use serde_json::Value;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use self::languages::{LANGUAGES, Language};
use crate::{
    conversation::Consent,
    message::{kind, text},
};

/// A keyword is shorter than this, in bytes; a longer message need not be looked at.
const KEYWORD_MOST: usize = 80;

/// What a message asks for, where it is a keyword as a whole: a text, or a button of a template.
pub fn asked(message: &Value) -> Option<Consent> {
    let written = written(message)?;
    let is_in = |words: fn(&Language) -> &'static [&'static str]| {
        LANGUAGES.iter().flat_map(words).any(|word| folded(word) == written)
    };
    if is_in(|language| language.stop) {
        Some(Consent::Withdrawn)
    } else if is_in(|language| language.start) {
        Some(Consent::Given)
    } else {
        None
    }
}

/// The language of a keyword, by ISO 639-1; none where several have it.
pub fn language_of(message: &Value) -> Option<&'static str> {
    let written = written(message)?;
    let has_it = |language: &&Language| language.stop.iter().chain(language.start).any(|word| folded(word) == written);
    let mut having = LANGUAGES.iter().filter(has_it);
    match (having.next(), having.next()) {
        (Some(language), None) => Some(language.code),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

/// What a customer is told, once, in their language, by ISO 639-1; in English where it is not among ours.
pub fn confirmation(consent: Consent, language: Option<&str>) -> &'static str {
    let known = LANGUAGES.iter().find(|known| Some(known.code) == language);
    let language = known.unwrap_or(&languages::ENGLISH);
    match consent {
        Consent::Withdrawn => language.stopped,
        Consent::Given => language.started,
    }
}

/// What a customer wrote, as keywords are compared.
fn written(message: &Value) -> Option<String> {
    let kind = kind(message);
    let field = match kind.as_str() {
        "text" => "body",
        "button" => "text",
        _ => return None,
    };
    let written = text(message.get(kind.as_str())?, field)?;
    let folded = (written.len() <= KEYWORD_MOST).then(|| folded(&written))?;
    (!folded.is_empty()).then_some(folded)
}

/// Small letters without accents, and digits; one space for everything between.
fn folded(text: &str) -> String {
    let letters = text.to_lowercase().nfd().filter(|c| !is_combining_mark(*c)).collect::<String>();
    let words = letters.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn said(body: &str) -> Option<Consent> {
        asked(&json!({"type": "text", "text": {"body": body}}))
    }

    #[test]
    fn a_keyword_counts_as_the_whole_message_only() {
        for stop in [
            "STOP",
            "stop",
            " Stop! ",
            "*Stop.*",
            "STOP 🛑",
            "Unsubscribe",
            "¡Baja!",
            "arrêt",
            "ARRET",
            "Désabonner",
            "désabonner",
            "Stopp",
            "abbestellen",
            "Parar",
            "disiscrivimi",
            "Afmelden",
            "стоп",
            "opt-out",
        ] {
            assert_eq!(said(stop), Some(Consent::Withdrawn), "{stop}");
        }
        for start in ["START", "start.", "Alta", "Reprendre", "começar", "Starten", "INIZIA", "старт"] {
            assert_eq!(said(start), Some(Consent::Given), "{start}");
        }
        for other in [
            "please don't stop",
            "Stop the delivery",
            "stop?no",
            "don't stop",
            "non-stop",
            "bus stop",
            "cancel",
            "I cannot start it",
            "",
            " ",
            "!",
            "stopping",
            "s t o p",
            "end",
            "no",
        ] {
            assert_eq!(said(other), None, "{other}");
        }
        assert_eq!(said(&"stop ".repeat(40)), None);
    }

    #[test]
    fn a_button_of_a_template_counts_and_what_is_no_text_does_not() {
        assert_eq!(
            asked(&json!({"type": "button", "button": {"text": "Stop", "payload": "x"}})),
            Some(Consent::Withdrawn)
        );
        let chosen = json!({"type": "interactive", "interactive": {"button_reply": {"id": "0", "title": "Stop"}}});
        let reaction = json!({"type": "reaction", "reaction": {"emoji": "🛑"}});
        let caption = json!({"type": "image", "image": {"caption": "stop"}});
        for other in [chosen, reaction, caption, json!({}), json!({"type": "text"}), json!(null)] {
            assert_eq!(asked(&other), None, "{other}");
        }
    }

    #[test]
    fn a_word_of_one_language_tells_it_and_everybody_is_told_in_theirs() {
        let language = |body: &str| language_of(&json!({"type": "text", "text": {"body": body}}));
        for (word, code) in [("baja", Some("es")), ("arrêt", Some("fr")), ("abbestellen", Some("de")), ("stop", None)]
        {
            assert_eq!(language(word), code, "{word}");
        }
        let stopped = |code| confirmation(Consent::Withdrawn, code);
        assert!(stopped(Some("de")).contains("Schreib"));
        assert_eq!(stopped(Some("xx")), stopped(None));
        assert_eq!(stopped(None), stopped(Some("en")));
    }

    #[test]
    fn no_language_contradicts_itself_or_another() {
        let all = |words: fn(&Language) -> &'static [&'static str]| {
            LANGUAGES.iter().flat_map(words).map(|word| folded(word)).collect::<BTreeSet<_>>()
        };
        let (stops, starts) = (all(|language| language.stop), all(|language| language.start));
        assert!(stops.is_disjoint(&starts));
        let codes: BTreeSet<_> = LANGUAGES.iter().map(|language| language.code).collect();
        assert_eq!(codes.len(), LANGUAGES.len());
        for Language { code, stop, start, stopped, started } in LANGUAGES {
            assert!(
                stop.iter().chain(*start).all(|word| word.len() <= KEYWORD_MOST && !folded(word).is_empty()),
                "{code}"
            );
            // How to go back is a word that works.
            assert!(stopped.contains("START") && started.contains("STOP"), "{code}");
        }
    }
}
