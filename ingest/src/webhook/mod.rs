//! Takes a webhook's body apart into updates, without ever refusing what Meta signed.
//!
//! Everything is borrowed: a payload is the very bytes of the body. The law, which the property test holds: every
//! element of a known list is either an update of its own or covered by its change, carried whole (once) as
//! [`Kind::Other`]; every change and entry that yields nothing else is carried whole. A worker answers
//! [`Kind::Message`] only, so whatever looks odd becomes `Other` rather than a guess.
//!
//! Nothing here recurses into the body, so no nesting can exhaust the stack. Payloads nested deeper than
//! [`MAX_DEPTH`] are `Other` too, since a worker's JSON parser would refuse them (serde_json stops at 128).

mod change;
mod contact;
mod element;
mod json;

use serde_json::value::RawValue;
use shared::{
    envelope::Kind,
    ids::{PhoneNumberId, WabaId},
};

use json::Object;

/// The deepest nesting of a payload that is more than `Other`; Meta's own need about ten.
const MAX_DEPTH: usize = 64;
/// Five times what Meta puts into a body at most (Meta, "Webhooks": up to 1,000 updates). A signed body with more
/// is kept whole instead of becoming a flood of queue messages that cannot be confirmed in time.
const MAX_UPDATES: usize = 5_000;

/// One update of a webhook, borrowed from its body.
#[derive(Debug)]
pub(crate) struct Update<'a> {
    pub(crate) kind: Kind,
    pub(crate) phone_number_id: Option<PhoneNumberId>,
    pub(crate) waba_id: Option<WabaId>,
    pub(crate) contact: Option<&'a RawValue>,
    /// What tells this update from every other one of its kind, where Meta sent such a thing.
    pub(crate) natural_id: Option<String>,
    pub(crate) payload: &'a RawValue,
}

/// Why a body is not taken apart: it is kept as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAWebhook {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("not JSON")]
    NotJson,
    #[error("no entry array")]
    NoEntries,
    #[error("more updates than any webhook has")]
    TooMany,
}

/// The updates of a body, in the order of the body.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<Update<'_>>, NotAWebhook> {
    let text = std::str::from_utf8(body).map_err(|_| NotAWebhook::NotUtf8)?;
    let root: &RawValue = serde_json::from_str(text).map_err(|_| NotAWebhook::NotJson)?;
    let root = Object::parse(root).ok_or(NotAWebhook::NoEntries)?;
    let mut updates = Updates::default();
    let mut lists = root.all("entry").peekable();
    if lists.peek().is_none() {
        return Err(NotAWebhook::NoEntries);
    }
    for list in lists {
        for entry in json::array(list).ok_or(NotAWebhook::NoEntries)? {
            read_entry(entry, &mut updates);
        }
    }
    if updates.too_many { Err(NotAWebhook::TooMany) } else { Ok(updates.list) }
}

fn read_entry<'a>(entry: &'a RawValue, updates: &mut Updates<'a>) {
    let Some(object) = Object::parse(entry) else {
        return updates.push_whole(None, None, entry);
    };
    let waba_id = object.get("id").and_then(json::text).and_then(|id| WabaId::parse(&id).ok());
    let before = updates.list.len();
    let mut odd = false;
    for list in object.all("changes") {
        match json::array(list) {
            Some(changes) => changes.into_iter().for_each(|change| change::read(change, waba_id.as_ref(), updates)),
            None => odd = true,
        }
    }
    if odd || updates.list.len() == before {
        updates.push_whole(None, waba_id.as_ref(), entry);
    }
}

/// The list under construction, bounded.
#[derive(Debug, Default)]
struct Updates<'a> {
    list: Vec<Update<'a>>,
    too_many: bool,
}

impl<'a> Updates<'a> {
    fn push(&mut self, update: Update<'a>) {
        if self.list.len() < MAX_UPDATES {
            self.list.push(update);
        } else {
            self.too_many = true;
        }
    }

    fn push_whole(&mut self, phone: Option<&PhoneNumberId>, waba: Option<&WabaId>, payload: &'a RawValue) {
        self.push(Update {
            kind: Kind::Other,
            phone_number_id: phone.cloned(),
            waba_id: waba.cloned(),
            contact: None,
            natural_id: None,
            payload,
        });
    }
}

#[cfg(test)]
mod tests;
