//! How `serve` answers chats: short, friendly, and always the same to the same request.
//!
//! A model reads its prompt; this one reads as much of it as shows that all of it arrived: the greeting, the
//! language, what the customer did, what was said before. What it does not recognise it quotes.

use simulator::ai::{ChatReply, ChatRequest};

/// The answer to a chat.
pub(super) fn answer(request: &ChatRequest) -> ChatReply {
    let system = request.system();
    let phrases = if system.contains("Spanish") { &SPANISH } else { &ENGLISH };
    let mut said = request.texts("user");
    let newest = said.pop().unwrap_or_default();
    let earlier = said.iter().rev().find(|text| !text.starts_with('['));
    let mut sentences: Vec<String> = greeting(&system).map(str::to_owned).into_iter().collect();
    let (did, wrote): (Vec<_>, Vec<_>) = newest.lines().partition(|line| line.starts_with('['));
    sentences.extend(did.iter().map(|line| phrases.acknowledge(line)));
    if !wrote.is_empty() {
        sentences.push(format!("{} {}.", phrases.wrote, phrases.quoted(&wrote)));
    }
    if let Some(earlier) = earlier {
        sentences.push(format!("{} {}.", phrases.before, phrases.quoted(&earlier.lines().collect::<Vec<_>>())));
    }
    ChatReply::text(sentences.join(" "))
}

fn greeting(system: &str) -> Option<&str> {
    let (_, rest) = system.split_once("Begin with this greeting: ")?;
    rest.lines().next().map(str::trim).filter(|greeting| !greeting.is_empty())
}

/// What is said in one language.
struct Phrases {
    wrote: &'static str,
    before: &'static str,
    and: &'static str,
    /// Words of a description, what is said to it, and whether its particulars are repeated.
    kinds: &'static [(&'static str, &'static str, bool)],
    anything: &'static str,
}

impl Phrases {
    /// Answers a line such as `[The customer ordered:] 2 × mug`.
    fn acknowledge(&self, line: &str) -> String {
        let (description, particulars) = line.split_once(']').unwrap_or((line, ""));
        let known = self.kinds.iter().find(|(words, _, _)| description.contains(words));
        match (known, particulars.trim()) {
            (Some((_, phrase, true)), particulars) if !particulars.is_empty() => format!("{phrase}: {particulars}"),
            (Some((_, phrase, _)), _) => format!("{phrase}."),
            (None, _) => format!("{} {}", self.anything, line.replace(['[', ']'], "").trim()),
        }
    }

    fn quoted(&self, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| format!("“{line}”")).collect();
        lines.join(&format!(" {} ", self.and))
    }
}

const ENGLISH: Phrases = Phrases {
    wrote: "You wrote",
    before: "And I remember",
    and: "and",
    kinds: &[
        ("location", "Thank you, I see where you are", true),
        ("sticker", "What a lovely sticker", false),
        ("ordered", "Thank you for your order", true),
        ("picture", "Thank you for the picture", false),
        ("voice", "Thank you for the voice note", false),
        ("not pass on", "WhatsApp kept that one to itself, could you send it as text", false),
    ],
    anything: "Thank you, I understood this:",
};

const SPANISH: Phrases = Phrases {
    wrote: "Has escrito",
    before: "Y recuerdo",
    and: "y",
    kinds: &[
        ("location", "Gracias, ya veo dónde estás", true),
        ("sticker", "Qué sticker tan bonito", false),
        ("ordered", "Gracias por tu pedido", true),
        ("picture", "Gracias por la foto", false),
        ("voice", "Gracias por la nota de voz", false),
        ("not pass on", "WhatsApp no me ha dejado verlo, escríbelo por favor", false),
    ],
    anything: "Gracias, he entendido esto:",
};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use simulator::journal::Credential;

    use super::*;

    fn answered(system: &str, said: &[&str]) -> String {
        let said = said.iter().map(|text| json!({"role": "user", "content": text}));
        let messages: Vec<Value> = [json!({"role": "system", "content": system})].into_iter().chain(said).collect();
        let body = json!({"messages": messages});
        let request = ChatRequest { number: 0, model: String::new(), credential: Credential::Missing, body };
        let ChatReply::Text(text) = answer(&request) else { panic!("it always answers with words") };
        text
    }

    #[test]
    fn it_greets_where_the_prompt_says_so_and_remembers_what_was_said() {
        let first = "Be kind.\nBegin with this greeting: Welcome!\nThe end.";
        assert_eq!(answered(first, &["Hi"]), "Welcome! You wrote “Hi”.");
        assert_eq!(answered("", &["Hi", "One\nTwo"]), "You wrote “One” and “Two”. And I remember “Hi”.");
    }

    #[test]
    fn it_writes_the_language_of_the_prompt() {
        assert_eq!(answered("Write in this language: Spanish.", &["Hola"]), "Has escrito “Hola”.");
    }

    #[test]
    fn it_says_what_the_customer_did() {
        let sees = |line: &str| answered("", &[line]);
        assert_eq!(
            sees("[The customer shared a location:] Café (1, 2)"),
            "Thank you, I see where you are: Café (1, 2)"
        );
        assert_eq!(sees("[The customer sent a sticker, which …] "), "What a lovely sticker.");
        assert_eq!(sees("[Something else:] x"), "Thank you, I understood this: Something else: x");
        assert_eq!(answered("", &["[The customer sent a sticker.]", "Hi"]), "You wrote “Hi”.");
    }
}
