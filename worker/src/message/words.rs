//! What a message says, in words for the companion, and whether it wants an answer.
//!
//! What the customer wrote stands as it is; what we say about it stands in square brackets. Nothing here fails:
//! a message of an unheard-of type is still somebody waiting for an answer.

use serde_json::Value;

use super::{TEXT_MOST, bounded, kind, text};

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// Answer it; this is what it says.
    Answer(String),
    /// Remember it; no answer is expected.
    Remember(String),
    /// Keep it in the transcript only.
    Record,
}

/// How a message is treated.
pub fn treatment(message: &Value) -> Treatment {
    // A group is a conversation of others, and an answer to its sender would come out of nowhere.
    if text(message, "group_id").is_some() {
        return Treatment::Record;
    }
    let kind = kind(message);
    let content = message.get(kind.as_str()).unwrap_or(&Value::Null);
    let answer = |words: Option<String>| {
        Treatment::Answer(words.unwrap_or_else(|| "[The customer sent a message that cannot be shown.]".to_owned()))
    };
    match kind.as_str() {
        "text" => answer(says(content, "body").map(|body| with_context(message, body))),
        "button" => answer(says(content, "text").map(|chosen| format!("[The customer pressed the button:] {chosen}"))),
        "interactive" => answer(interactive(content)),
        "location" => answer(location(content)),
        "contacts" => answer(contacts(content)),
        "order" => answer(order(content)),
        "reaction" => Treatment::Remember(reaction(content)),
        "image" | "video" | "document" | "audio" | "voice" | "sticker" => answer(Some(media(&kind, content))),
        "request_welcome" => {
            answer(Some("[The customer opened the chat and has not written yet. Greet them.]".to_owned()))
        }
        // Of messages that were answered already; what still waits is changed itself.
        "edit" => Treatment::Remember(edit(content)),
        "revoke" => Treatment::Remember("[The customer deleted an earlier message.]".to_owned()),
        // Number changes and the like are handled by identity; nobody wrote them.
        "system" => Treatment::Record,
        _ => answer(Some(unsupported(message))),
    }
}

pub(super) fn says(object: &Value, name: &str) -> Option<String> {
    super::said(object, name, TEXT_MOST)
}

/// The id of the message that this one answers, where it does.
pub fn quoted(message: &Value) -> Option<String> {
    // A tap on a button quotes the message with the buttons, which says nothing.
    let is_tap = matches!(kind(message).as_str(), "button" | "interactive" | "reaction");
    text(message.get("context")?, "id").filter(|_| !is_tap).map(|id| id.into_owned())
}

/// What the customer said themselves: wrote, also beside a file, or chose. Not what they forward, which somebody else
/// wrote, nor what they say by a file.
pub fn own_words(message: &Value) -> Option<String> {
    if is_forwarded(message) {
        return None;
    }
    let kind = kind(message);
    let content = message.get(kind.as_str())?;
    let chosen = |name: &str| content.get(name).and_then(|reply| says(reply, "title"));
    match kind.as_str() {
        "text" => says(content, "body"),
        "button" | "order" => says(content, "text"),
        "interactive" => chosen("button_reply").or_else(|| chosen("list_reply")),
        "image" | "video" | "document" => says(content, "caption"),
        _ => None,
    }
}

/// The message that this edit is of, and what it is now.
pub fn edited(message: &Value) -> Option<(String, &Value)> {
    let edit = message.get("edit").filter(|_| kind(message) == "edit")?;
    Some((text(edit, "original_message_id")?.into_owned(), edit.get("message").filter(|new| new.is_object())?))
}

/// The message that the customer takes back with this one.
pub fn revoked(message: &Value) -> Option<String> {
    let revoke = message.get("revoke").filter(|_| kind(message) == "revoke")?;
    Some(text(revoke, "original_message_id")?.into_owned())
}

fn edit(content: &Value) -> String {
    let now = content.get("message").map(treatment).and_then(|treatment| match treatment {
        Treatment::Answer(words) | Treatment::Remember(words) => Some(words),
        Treatment::Record => None,
    });
    match now {
        Some(words) => format!("[The customer edited an earlier message; it says now:] {words}"),
        None => "[The customer edited an earlier message.]".to_owned(),
    }
}

fn with_context(message: &Value, body: String) -> String {
    let product = message.pointer("/context/referred_product").and_then(|p| says(p, "product_retailer_id"));
    let advert = message.get("referral").and_then(|referral| says(referral, "headline"));
    match (product, advert) {
        (Some(product), _) => format!("[About the product {product} of the catalogue:] {body}"),
        (None, Some(headline)) => format!("[Coming from the advertisement \"{headline}\":] {body}"),
        (None, None) if is_forwarded(message) => format!("[Forwarded by the customer:] {body}"),
        (None, None) => body,
    }
}

/// Whether somebody else wrote or spoke it.
pub fn is_forwarded(message: &Value) -> bool {
    let flag = |name: &str| message.get("context").and_then(|context| context.get(name)) == Some(&Value::Bool(true));
    flag("forwarded") || flag("frequently_forwarded")
}

fn interactive(content: &Value) -> Option<String> {
    let reply = |name: &str| content.get(name).filter(|reply| reply.is_object());
    if let Some(title) = reply("button_reply").and_then(|reply| says(reply, "title")) {
        return Some(format!("[The customer pressed the button:] {title}"));
    }
    if let Some(chosen) = reply("list_reply") {
        let title = says(chosen, "title")?;
        let description = says(chosen, "description").map(|text| format!(" ({text})")).unwrap_or_default();
        return Some(format!("[The customer chose from the list:] {title}{description}"));
    }
    let form = reply("nfm_reply")?;
    // A text that holds JSON, or the object itself.
    let filled = form.get("response_json").map(|json| json.as_str().map_or_else(|| json.to_string(), str::to_owned));
    Some(format!("[The customer filled in a form:] {}", bounded(&filled.unwrap_or_default(), TEXT_MOST)))
}

fn location(content: &Value) -> Option<String> {
    let (latitude, longitude) = (says(content, "latitude")?, says(content, "longitude")?);
    let label = [says(content, "name"), says(content, "address")].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let label = if label.is_empty() { String::new() } else { format!(" {label}") };
    Some(format!("[The customer shared a location:]{label} ({latitude}, {longitude})"))
}

fn contacts(content: &Value) -> Option<String> {
    let people = content.as_array()?.iter().take(10).map(|person| {
        let name =
            person.get("name").and_then(|name| says(name, "formatted_name")).unwrap_or_else(|| "no name".to_owned());
        let phones = person.get("phones").and_then(Value::as_array).into_iter().flatten();
        let phones: Vec<String> = phones.filter_map(|phone| says(phone, "phone")).take(3).collect();
        if phones.is_empty() { name } else { format!("{name} ({})", phones.join(", ")) }
    });
    Some(format!("[The customer shared contacts:] {}", people.collect::<Vec<_>>().join("; ")))
}

fn order(content: &Value) -> Option<String> {
    let items = content.get("product_items")?.as_array()?.iter().take(30).map(|item| {
        let product = says(item, "product_retailer_id").unwrap_or_else(|| "unknown product".to_owned());
        let quantity = says(item, "quantity").unwrap_or_else(|| "1".to_owned());
        let price = match (says(item, "item_price"), says(item, "currency")) {
            (Some(price), Some(currency)) => format!(" at {price} {currency}"),
            _ => String::new(),
        };
        format!("{quantity} × {product}{price}")
    });
    let note = says(content, "text").map(|note| format!(" Note: {note}")).unwrap_or_default();
    Some(format!("[The customer ordered:] {}.{note}", items.collect::<Vec<_>>().join("; ")))
}

fn reaction(content: &Value) -> String {
    match says(content, "emoji") {
        Some(emoji) => format!("[The customer reacted with {emoji}.]"),
        None => "[The customer took a reaction back.]".to_owned(),
    }
}

/// Of what cannot be understood, or not by this installation. What can be is put in its place when it is.
fn media(kind: &str, content: &Value) -> String {
    let what = match kind {
        "image" => "a picture, which you cannot see",
        "video" => "a video, which you cannot watch",
        "document" => "a document, which you cannot open",
        "sticker" => "a sticker, which you cannot see",
        _ => "a voice message, which you cannot hear",
    };
    let name = says(content, "filename").map(|name| format!(" Its name: {name}.")).unwrap_or_default();
    let hint =
        if kind == "sticker" { "Answer kindly." } else { "Say so kindly and ask them to write what it is about." };
    let caption = says(content, "caption").map(|caption| format!(" {caption}")).unwrap_or_default();
    format!("[The customer sent {what}.{name} {hint}]{caption}")
}

fn unsupported(message: &Value) -> String {
    let what = message.get("unsupported").and_then(|unsupported| says(unsupported, "type"));
    if what.as_deref() == Some("edit") {
        return "[The customer edited an earlier message, but WhatsApp does not pass on what it says now. If it may \
                matter, ask them to write it again.]"
            .to_owned();
    }
    let what = what.map(|what| format!(" ({})", bounded(&what, 40))).unwrap_or_default();
    format!(
        "[The customer sent something that WhatsApp does not pass on to you{what}. Say so kindly, and that text, voice messages, pictures, documents and locations can be sent.]"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(message: Value) -> String {
        match treatment(&message) {
            Treatment::Answer(words) => words,
            other @ (Treatment::Remember(_) | Treatment::Record) => panic!("{other:?} for {message}"),
        }
    }

    #[test]
    fn every_type_that_wants_an_answer_says_something() {
        let cases = [
            (json!({"type":"text","text":{"body":"Hi"}}), "Hi"),
            (
                json!({"type":"text","text":{"body":"Still there?"},"context":{"referred_product":{"product_retailer_id":"di9"}}}),
                "[About the product di9 of the catalogue:] Still there?",
            ),
            (
                json!({"type":"text","text":{"body":"Info?"},"referral":{"headline":"Chat with us"}}),
                "[Coming from the advertisement \"Chat with us\":] Info?",
            ),
            (json!({"type":"button","button":{"payload":"p","text":"Yes"}}), "[The customer pressed the button:] Yes"),
            (
                json!({"type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"c","title":"Cancel"}}}),
                "[The customer pressed the button:] Cancel",
            ),
            (
                json!({"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"c","title":"Express","description":"2 days"}}}),
                "[The customer chose from the list:] Express (2 days)",
            ),
            (
                json!({"type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"response_json":"{\"rating\":\"4\"}"}}}),
                "[The customer filled in a form:] {\"rating\":\"4\"}",
            ),
            (
                json!({"type":"location","location":{"latitude":37.4,"longitude":-122.1,"name":"Café"}}),
                "[The customer shared a location:] Café (37.4, -122.1)",
            ),
            (
                json!({"type":"contacts","contacts":[{"name":{"formatted_name":"Eva"},"phones":[{"phone":"+1 2"}]},{}]}),
                "[The customer shared contacts:] Eva (+1 2); no name",
            ),
            (
                json!({"type":"order","order":{"text":"soon","product_items":[{"product_retailer_id":"d","quantity":2,"item_price":30,"currency":"USD"}]}}),
                "[The customer ordered:] 2 × d at 30 USD. Note: soon",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(answered(message), expected);
        }
        for kind in ["image", "video", "document", "audio", "sticker", "request_welcome", "unsupported", "unheard-of"] {
            let words = answered(json!({"type": kind, kind: {"caption": "look"}}));
            assert!(words.starts_with('['), "{kind}: {words}");
        }
    }

    #[test]
    fn missing_and_odd_content_is_still_somebody_waiting() {
        for odd in [
            json!({}),
            json!({"type": 7}),
            json!({"type": "\u{7f}\u{7f}"}),
            json!({"type":"text"}),
            json!({"type":"text","text":[]}),
            json!({"type":"text","text":{"body":""}}),
            json!({"type":"interactive","errors":[{"code":1}]}),
            json!({"type":"order","order":{"product_items":"x"}}),
            json!({"type":"contacts","contacts":{}}),
            json!([]),
            json!(null),
        ] {
            assert!(!kind(&odd).is_empty(), "{odd}");
            assert!(!answered(odd).is_empty());
        }
    }

    #[test]
    fn no_field_of_a_message_brings_more_than_its_share_of_text() {
        let flood = format!("\u{1b}[2J{}", "9".repeat(100_000));
        let place = answered(json!({"type":"location","location":{"latitude": flood, "longitude": flood}}));
        let item = json!({"quantity": flood, "item_price": flood, "currency": flood});
        let order = answered(json!({"type":"order","order":{"product_items":[item]}}));
        for words in [place, order] {
            assert!(words.chars().count() < 4 * TEXT_MOST && !words.contains('\u{1b}'));
        }
    }

    #[test]
    fn reactions_edits_system_notes_and_groups_get_no_answer() {
        assert!(matches!(treatment(&json!({"type":"reaction","reaction":{"emoji":"👍"}})), Treatment::Remember(_)));
        assert!(matches!(treatment(&json!({"type":"reaction","reaction":{}})), Treatment::Remember(_)));
        let edit = json!({"type":"edit","edit":{"original_message_id":"wamid.A","message":
            {"type":"text","text":{"body":"at nine"}}}});
        let now = "[The customer edited an earlier message; it says now:] at nine";
        assert_eq!(treatment(&edit), Treatment::Remember(now.to_owned()));
        assert_eq!(edited(&edit).map(|(id, _)| id).as_deref(), Some("wamid.A"));
        assert!(matches!(treatment(&json!({"type":"edit","edit":{}})), Treatment::Remember(_)));
        let revoke = json!({"type":"revoke","revoke":{"original_message_id":"wamid.A"}});
        assert_eq!(revoked(&revoke).as_deref(), Some("wamid.A"));
        assert!(revoked(&edit).is_none() && edited(&revoke).is_none());
        assert_eq!(treatment(&json!({"type":"system","system":{"type":"user_changed_number"}})), Treatment::Record);
        assert_eq!(treatment(&json!({"type":"text","text":{"body":"x"},"group_id":"G"})), Treatment::Record);
    }

    #[test]
    fn what_customers_say_themselves_is_told_from_what_is_said_about_it() {
        let own = |message: Value| own_words(&message);
        let human = Some("a human".to_owned());
        for said in [
            json!({"type":"text","text":{"body":"a human"}}),
            json!({"type":"text","text":{"body":"a human"},"referral":{"headline":"Chat with us"}}),
            json!({"type":"text","text":{"body":"a human"},"context":{"referred_product":{"product_retailer_id":"di9"}}}),
            json!({"type":"button","button":{"payload":"p","text":"a human"}}),
            json!({"type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"c","title":"a human"}}}),
            json!({"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"c","title":"a human"}}}),
            json!({"type":"image","image":{"id":"1","caption":"a human"}}),
        ] {
            assert_eq!(own(said.clone()), human, "{said}");
        }
        for silent in [
            json!({"type":"text","text":{"body":"a human"},"context":{"forwarded":true}}),
            json!({"type":"document","document":{"id":"1","filename":"a human.pdf"}}),
            json!({"type":"location","location":{"latitude":1,"longitude":2,"name":"a human"}}),
            json!({"type":"sticker","sticker":{"id":"1"}}),
            json!({"type":7}),
        ] {
            assert_eq!(own(silent.clone()), None, "{silent}");
        }
    }
}
