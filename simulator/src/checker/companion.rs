//! The companion of a judged run: its answers name the messages that they answer, and nothing else of the prompt.

use super::piece::Piece;
use crate::{
    Tag,
    ai::{ChatReply, ChatRequest},
};

/// A customer whose text holds this word gets an answer of [`LONG_PIECES`] paragraphs, which is more than one message
/// of WhatsApp holds.
pub const LONG: &str = "long";
/// The paragraphs of a long answer.
pub const LONG_PIECES: u32 = 9;

/// What a paragraph is filled with, so that nine of them are two messages of 4,096 units, or more where many messages
/// are answered at once. Two paragraphs about fifty messages still fit into one message, so a text that is split at
/// paragraph ends where it can be is never split elsewhere.
const FILLER: &str = "Here is what there is to say about it, at the length that was asked for.";
const FILLER_TIMES: usize = 8;

/// Answers a chat by naming the tag of each message in the newest user message, in their order: `ANS #m000017
/// #m000018`. Where that message holds the word [`LONG`], each paragraph of the answer names them with its number:
/// `ANS #m000017.2 #m000018.2 …`. To be given to [`crate::Ai::on_chat`].
pub fn answer(request: &ChatRequest) -> ChatReply {
    let newest = request.last_user();
    let mut tags = Vec::new();
    for tag in Tag::find_all(&newest) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let is_long = newest.split(|c: char| !c.is_alphanumeric()).any(|word| word == LONG);
    if !is_long {
        return ChatReply::Text(named(&tags, None));
    }
    let filler = [FILLER; FILLER_TIMES].join(" ");
    let paragraphs = (1..=LONG_PIECES).map(|number| format!("{} {filler}", named(&tags, Some(number))));
    ChatReply::Text(paragraphs.collect::<Vec<_>>().join("\n\n"))
}

fn named(tags: &[Tag], number: Option<u32>) -> String {
    tags.iter().fold("ANS".to_owned(), |text, tag| format!("{text} {}", Piece { tag: *tag, number }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::journal::Credential;

    fn answered(said: &str) -> String {
        let messages = json!([
            {"role": "system", "content": "You write for acme. canary-of-acme #m000001"},
            {"role": "user", "content": "#m000002 long ago"},
            {"role": "assistant", "content": "ANS #m000002"},
            {"role": "user", "content": said},
        ]);
        let (model, body) = (String::new(), json!({"messages": messages}));
        let request = ChatRequest { number: 0, model, credential: Credential::Missing, body };
        let ChatReply::Text(text) = answer(&request) else { panic!("it always answers with words") };
        text
    }

    #[test]
    fn the_newest_messages_are_named_once_each_in_their_order() {
        assert_eq!(answered("#m000018 hello\n#m000017 longing #m000018 is it blue?"), "ANS #m000018 #m000017");
        assert_eq!(answered("[The customer sent a sticker.]"), "ANS");
    }

    proptest! {
        #[test]
        fn a_long_answer_needs_several_messages_and_can_be_split_at_paragraphs(
            first in 0_u64..100_000_000,
            count in 1_u64..=50,
        ) {
            let said: Vec<_> = (first..first + count).map(|n| format!("{} please be long", Tag(n))).collect();
            let text = answered(&said.join("\n"));
            prop_assert!(text.len() > 4_096);
            let paragraphs: Vec<_> = text.split("\n\n").collect();
            prop_assert_eq!(paragraphs.len(), LONG_PIECES as usize);
            for (number, paragraph) in (1..).zip(paragraphs) {
                prop_assert!(paragraph.is_ascii() && paragraph.len() < 2_000);
                prop_assert!(Piece::find_all(paragraph).keys().all(|piece| piece.number == Some(number)));
                prop_assert_eq!(Tag::find_all(paragraph), (first..first + count).map(Tag).collect::<Vec<_>>());
            }
        }
    }
}
