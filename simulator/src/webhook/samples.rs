//! One ready body of every kind, for the command line and for anyone who wants to see what Meta sends.

use serde_json::{Value, json};

use super::{Body, Content, Customer, Ids, Media, Message, Status};
use crate::meta::Business;

/// The names that [`sample`] knows.
pub const SAMPLES: &[&str] = &[
    "text",
    "image",
    "voice",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "button",
    "button_reply",
    "list_reply",
    "form_reply",
    "reaction",
    "order",
    "number_change",
    "user_id_change",
    "unsupported",
    "request_welcome",
    "edit",
    "revoke",
    "quote",
    "group",
    "hidden_number",
    "echo",
    "status",
    "failed_status",
    "account_update",
    "batch",
];

/// The content of a message by the name of its type, with made-up particulars; `text` is used where the type has
/// words. None for a name that is no type of message.
pub fn sample_content(name: &str, text: &str) -> Option<Content> {
    let media = |mime: &str| Media {
        id: "1003383421387256".to_owned(),
        mime_type: mime.to_owned(),
        sha256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
    };
    let earlier = "wamid.HBgLNDkxNTEyMzQ1Njc4FQIAEhggRUFSTElFUgA=";
    let content = match name {
        "text" => Content::text(text),
        "image" => Content::image(&media("image/jpeg"), Some(text)),
        "voice" => Content::voice(&media("audio/ogg; codecs=opus")),
        "audio" => Content::audio(&media("audio/mpeg")),
        "video" => Content::video(&media("video/mp4"), Some(text)),
        "document" => Content::document(&media("application/pdf"), "offer.pdf"),
        "sticker" => Content::sticker(&media("image/webp")),
        "location" => Content::location(52.5163, 13.3777, Some(text)),
        "contacts" => Content::contact_card(text, "+49 1512 3456789"),
        "button" => Content::button("yes-payload", text),
        "button_reply" => Content::button_reply("yes", text),
        "list_reply" => Content::list_reply("express", text, "Tomorrow before noon"),
        "form_reply" => Content::form_reply(&json!({"flow_token": "t-1", "answer": text})),
        "reaction" => Content::reaction(earlier, Some("👍")),
        "order" => Content::order(&[("mug-blue", 2), ("mug-red", 1)], text),
        "number_change" => Content::number_change("4915112345678", "4915187654321"),
        "user_id_change" => Content::user_id_change("4915112345678", "DE.9876543210"),
        "unsupported" => Content::unsupported("poll_creation"),
        "request_welcome" => Content::request_welcome(),
        "edit" => Content::edit(earlier, text),
        "revoke" => Content::revoke(earlier),
        _ => return None,
    };
    Some(content)
}

/// A ready body of this name; none where there is no such sample.
pub fn sample(name: &str, business: &Business, customer: &Customer, ids: &Ids) -> Option<Value> {
    let words = "Do you have it in blue? Café/Bar ☕";
    let text = || Message::new(ids, customer, Content::text(words));
    let status = |status: &str, error| Status {
        wamid: ids.next(customer.key()),
        status: status.to_owned(),
        customer: customer.clone(),
        timestamp: jiff::Timestamp::now().as_second(),
        opaque: Some("order-42".to_owned()),
        error,
    };
    let body = match name {
        "quote" => Body::of(business, &text().quoting(&business.display_number, &ids.next("x"))),
        "group" => Body::of(business, &text().in_group("Y2FwaV9ncm91cDox")),
        "hidden_number" => {
            let hidden = Customer::hidden("DE.13491208655302741918");
            Body::of(business, &Message::new(ids, &hidden, Content::text(words)))
        }
        "echo" => Body::default().echo(business, customer, &ids.next(customer.key()), &Content::text("I take over.")),
        "status" => Body::default().status(business, &status("delivered", None)),
        "failed_status" => Body::default()
            .status(business, &status("failed", Some(crate::meta::Refusal::code(131_047).status_error()))),
        "account_update" => {
            // Of what is not an answer: answers go on.
            let restriction = json!([{ "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING" }]);
            let fields = [("event", json!("ACCOUNT_RESTRICTION")), ("restriction_info", restriction)];
            let value = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Body::default().other(business, "account_update", value)
        }
        "batch" => {
            let other = Business::new("other", "990000000000002");
            Body::of(business, &text())
                .message(business, &text())
                .message(&other, &text())
                .status(business, &status("sent", None))
        }
        kind => Body::of(business, &Message::new(ids, customer, sample_content(kind, words)?)),
    };
    Some(body.to_json())
}
