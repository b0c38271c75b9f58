//! How probable it is that more comes: people send a thought in several messages, and a question is the end of one.

use serde_json::Value;

use super::{kind, text};
use crate::conversation::Rhythm;

/// Greetings that are rarely all that somebody has to say, without signs and in small letters.
const GREETINGS: &[&str] = &[
    "hi",
    "hello",
    "hey",
    "hiya",
    "good morning",
    "good afternoon",
    "good evening",
    "hola",
    "buenas",
    "buenos días",
    "buenos dias",
    "buenas tardes",
    "buenas noches",
    "hallo",
    "guten tag",
    "guten morgen",
    "guten abend",
    "moin",
    "servus",
    "grüezi",
    "grüß gott",
    "salut",
    "bonjour",
    "bonsoir",
    "coucou",
    "ciao",
    "salve",
    "buongiorno",
    "buonasera",
    "olá",
    "ola",
    "oi",
    "bom dia",
    "boa tarde",
    "boa noite",
    "hoi",
    "goedemorgen",
    "goedemiddag",
    "hej",
    "hei",
    "cześć",
    "dzień dobry",
    "ahoj",
    "dobrý den",
    "привет",
    "здравствуйте",
    "добрый день",
    "привіт",
    "merhaba",
    "selam",
    "günaydın",
    "مرحبا",
    "السلام عليكم",
    "سلام",
    "שלום",
    "namaste",
    "नमस्ते",
    "halo",
    "selamat pagi",
    "xin chào",
    "สวัสดี",
    "你好",
    "您好",
    "こんにちは",
    "안녕하세요",
];
/// Words that are still an opening, or a piece.
const FRAGMENT_WORDS: usize = 3;

/// What the rhythm of a message is.
pub fn rhythm(message: &Value) -> Rhythm {
    let kind = kind(message);
    match kind.as_str() {
        "text" => message.get("text").and_then(|content| text(content, "body")).map_or(Rhythm::Plain, |body| of(&body)),
        // A tap, a spoken message, an order: nobody does half of one.
        "button" | "interactive" | "audio" | "voice" | "order" | "location" => Rhythm::Complete,
        // Pictures come in albums, or with a question behind them.
        "image" | "document" | "video" | "contacts" => {
            let caption = message.get(kind.as_str()).and_then(|content| text(content, "caption"));
            caption.map_or(Rhythm::Unfinished, |caption| of(&caption))
        }
        _ => Rhythm::Plain,
    }
}

fn of(text: &str) -> Rhythm {
    let text = text.trim();
    let last = text.chars().rev().find(|c| !c.is_whitespace() && !is_picture(*c));
    match last {
        Some('?' | '？' | '؟' | ';') if !text.ends_with(';') || text.chars().any(is_greek) => {
            return Rhythm::Complete;
        }
        Some(',' | '，' | '、' | '،' | ':' | '-' | '–' | '…') => return Rhythm::Unfinished,
        Some('.') if text.ends_with("...") => return Rhythm::Unfinished,
        _ => {}
    }
    let bare: String = text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    let bare = bare.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    if GREETINGS.contains(&bare.as_str()) {
        return Rhythm::Unfinished;
    }
    let ended = last.is_none_or(|c| !c.is_alphabetic());
    let piece = !ended && text.split_whitespace().count() <= FRAGMENT_WORDS && !text.chars().any(char::is_numeric);
    if piece && text.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || c == '\'') {
        Rhythm::Unfinished
    } else {
        Rhythm::Plain
    }
}

fn is_greek(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{3ff}')
}

fn is_picture(c: char) -> bool {
    matches!(u32::from(c), 0x2600..=0x27bf | 0x1f000..=0x1faff | 0xfe0f | 0x200d)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(body: &str) -> Rhythm {
        rhythm(&json!({"type": "text", "text": {"body": body}}))
    }

    #[test]
    fn a_question_is_complete_and_a_greeting_is_not() {
        for complete in ["Do you deliver?", "¿Abren hoy? 😀", "营业吗？", "Πού είστε;"] {
            assert_eq!(said(complete), Rhythm::Complete, "{complete}");
        }
        for unfinished in ["Hi", "hello!", "Guten Tag 👋", "你好", "I wanted to ask...", "I need,", "blue one", "and"]
        {
            assert_eq!(said(unfinished), Rhythm::Unfinished, "{unfinished}");
        }
        for plain in ["I would like two of them tomorrow", "Thank you.", "Order 17", "yes!", "17", "👍", "a;"] {
            assert_eq!(said(plain), Rhythm::Plain, "{plain}");
        }
    }

    #[test]
    fn a_tap_and_a_voice_note_are_complete_and_a_picture_waits_for_its_question() {
        for kind in ["interactive", "button", "audio", "location"] {
            assert_eq!(rhythm(&json!({"type": kind, kind: {}})), Rhythm::Complete, "{kind}");
        }
        assert_eq!(rhythm(&json!({"type": "image", "image": {"id": "1"}})), Rhythm::Unfinished);
        let asked = json!({"type": "image", "image": {"id": "1", "caption": "Do you have this?"}});
        assert_eq!(rhythm(&asked), Rhythm::Complete);
        for odd in [json!({}), json!({"type": "text"}), json!({"type": "text", "text": {"body": 7}}), json!(null)] {
            assert_eq!(rhythm(&odd), Rhythm::Plain, "{odd}");
        }
    }
}
