//! Under what names one customer of one business may be stored, and how Meta's JSON tells that it names them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::ids::{UserId, WaId};

use super::BusinessRecord;

/// Under these names Meta's webhooks tell who writes, is written to, takes part, or has another id from now on (Meta,
/// "Webhooks reference" and "Business-scoped user IDs"). Nothing else in them is called so and looks like a number or
/// a user id.
const NAMES: &[&str] = &[
    "from",
    "to",
    "id",
    "input",
    "wa_id",
    "phone_number",
    "user_id",
    "parent_user_id",
    "previous_user_id",
    "previous_parent_user_id",
    "from_user_id",
    "from_parent_user_id",
    "to_user_id",
    "to_parent_user_id",
    "previous",
    "current",
    "recipient_id",
    "recipient_user_id",
    "recipient_parent_user_id",
    "parent_recipient_user_id",
    "recipient_participant_id",
    "participant_recipient_id",
    "recipient_participant_user_id",
];

/// One customer of one business, by everything under which something of theirs may be stored.
#[derive(Debug, Clone, Default)]
pub struct Whose {
    /// Ids of the business's numbers.
    pub numbers: BTreeSet<String>,
    /// Ids of the business's accounts.
    pub waba_ids: BTreeSet<String>,
    /// The customer's own numbers and user ids.
    pub ids: BTreeSet<String>,
    /// The customer's conversations.
    pub sessions: BTreeSet<String>,
    /// Of what names the customer, only what had reached us by then: what came later is another story.
    pub arrived_by: Option<Timestamp>,
}

impl Whose {
    /// Adds where a business is written to.
    pub fn add_business(&mut self, business: &BusinessRecord) {
        self.numbers.extend(business.phone_number_ids.iter().cloned());
        self.waba_ids.extend(business.waba_id.clone());
    }

    /// Adds a number or a user id; anything else names nobody.
    pub fn add_id(&mut self, id: &str) {
        if WaId::parse(id).is_ok() || UserId::parse(id).is_ok() {
            self.ids.insert(id.to_owned());
        }
    }

    /// A pattern for JSON that names the customer as somebody who takes part. A status may name nobody but the
    /// conversation, in what was sent along with the message.
    pub fn naming(&self) -> String {
        let (names, ids) = (NAMES.join("|"), any_of(&self.ids));
        let sessions = any_of(&self.sessions);
        format!(
            r#""({names})"\s*:\s*("\s*\+?({ids})\s*"|({ids})\s*[,\]}}])|"biz_opaque_callback_data"\s*:\s*"v1:({sessions}):"#
        )
    }

    /// A pattern for an envelope that came to one of the business's numbers.
    pub fn to_us(&self) -> String {
        format!(r#""phone_number_id"\s*:\s*"({})""#, any_of(&self.numbers))
    }
}

/// Alternatives of a pattern, of which each stands for itself. None of them matches nothing.
fn any_of(texts: &BTreeSet<String>) -> String {
    if texts.is_empty() {
        return r"[^\s\S]".to_owned();
    }
    texts.iter().map(|text| verbatim(text)).collect::<Vec<_>>().join("|")
}

/// A pattern that matches this text and no other, in the dialects of PCRE and of the `regex` crate.
pub fn verbatim(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        // An escaped angle bracket is the edge of a word in one of them.
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '<' | '>') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
