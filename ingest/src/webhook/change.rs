//! One change of an entry: its field says how its value is to be read.
//!
//! Only the field `messages` brings messages: what other fields carry in the same shape (copies for a standby
//! app, history, echoes) must never be answered.

use serde_json::value::RawValue;
use shared::{
    envelope::Kind,
    ids::{PhoneNumberId, WabaId},
};

use super::{
    MAX_DEPTH, Update, Updates,
    contact::Contacts,
    element::{self, Owner},
    json::{self, Object},
};

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Each element of these lists is an update.
    Lists(&'static [(&'static str, Kind)]),
    /// The change as a whole is one.
    Whole(Kind),
}

/// Meta sends messages and statuses under the same field; which list is there tells.
const MESSAGES: Treatment = Treatment::Lists(&[("messages", Kind::Message), ("statuses", Kind::Status)]);
const ECHOES: Treatment = Treatment::Lists(&[("message_echoes", Kind::Echo)]);

/// The field names of Meta's webhook reference for WhatsApp Business Accounts.
fn treatment(field: &str) -> Treatment {
    match field {
        "messages" => MESSAGES,
        "smb_message_echoes" => ECHOES,
        "account_update"
        | "account_review_update"
        | "account_alerts"
        | "account_settings_update"
        | "phone_number_quality_update"
        | "phone_number_name_update"
        | "business_capability_update"
        | "business_username_update"
        | "business_username_updates"
        | "security"
        | "user_preferences"
        | "user_id_update"
        | "payment_configuration_update"
        | "partner_solutions" => Treatment::Whole(Kind::Account),
        field if field.starts_with("message_template_") || field.starts_with("template_") => {
            Treatment::Whole(Kind::Account)
        }
        _ => Treatment::Whole(Kind::Other),
    }
}

/// Appends the updates of one change.
pub(super) fn read<'a>(change: &'a RawValue, waba_id: Option<&WabaId>, updates: &mut Updates<'a>) {
    let Some(object) = Object::parse(change) else {
        return updates.push_whole(None, waba_id, change);
    };
    let value = object.get("value").and_then(Object::parse);
    let phone = value.as_ref().and_then(phone_number_id);
    let treatment = match object.get("field").and_then(json::text) {
        Some(field) => treatment(&field),
        // Some gateways strip the field; one that is there and is no text says nothing that we know.
        None if object.has("field") => Treatment::Whole(Kind::Other),
        None => MESSAGES,
    };
    match (treatment, value) {
        (Treatment::Lists(lists), Some(value)) => {
            let owner = Owner { phone_number_id: phone.as_ref(), waba_id };
            if !read_lists(&value, lists, owner, updates) {
                updates.push_whole(phone.as_ref(), waba_id, change);
            }
        }
        (Treatment::Whole(kind), Some(_)) if json::is_within(change, MAX_DEPTH) => {
            let waba_id = waba_id.cloned();
            updates.push(Update {
                kind,
                phone_number_id: phone,
                waba_id,
                contact: None,
                natural_id: None,
                payload: change,
            });
        }
        (Treatment::Lists(_) | Treatment::Whole(_), _) => updates.push_whole(phone.as_ref(), waba_id, change),
    }
}

fn phone_number_id(value: &Object<'_>) -> Option<PhoneNumberId> {
    let id = Object::parse(value.get("metadata")?)?.get("phone_number_id").and_then(json::text)?;
    PhoneNumberId::parse(&id).ok()
}

/// Appends an update for each element; false where that leaves something out which the whole change must cover.
fn read_lists<'a>(value: &Object<'a>, lists: &[(&str, Kind)], owner: Owner<'_>, updates: &mut Updates<'a>) -> bool {
    let contacts = Contacts::read(value);
    let mut complete = contacts.complete;
    let before = updates.list.len();
    for (key, raw) in value.iter() {
        let kind = lists.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, kind)| *kind);
        match (kind, json::array(raw)) {
            (Some(kind), Some(elements)) => {
                for raw in elements {
                    match element::read(kind, raw, owner, &contacts) {
                        Some(update) => updates.push(update),
                        None => complete = false,
                    }
                    if updates.too_many {
                        return true;
                    }
                }
            }
            (Some(_), None) => complete = false,
            // `errors`, and any list that Meta may add beside the known ones.
            (None, Some(elements)) if key != b"contacts" && !elements.is_empty() => complete = false,
            (None, _) if key == b"errors" => complete = false,
            (None, _) => {}
        }
    }
    complete && updates.list.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_field_brings_messages() {
        assert_eq!(treatment("messages"), MESSAGES);
        for field in ["standby", "history", "smb_app_state_sync", "messaging_handovers", "calls", "flows", "Messages"] {
            assert_eq!(treatment(field), Treatment::Whole(Kind::Other), "{field}");
        }
        for field in ["account_update", "message_template_status_update", "template_category_update", "security"] {
            assert_eq!(treatment(field), Treatment::Whole(Kind::Account), "{field}");
        }
    }
}
