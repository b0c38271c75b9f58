//! The queued form of one WhatsApp update.
//!
//! Ingest writes envelopes, workers of any age read them: `v` counts up when the shape changes, and a worker
//! decodes every version up to its own. `payload` and `contact` are the bytes that Meta sent, so nothing is lost
//! on the way, whatever Meta adds. An envelope never holds a token or a secret.
//! The golden test below fixes the bytes.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{PhoneNumberId, WabaId};

/// The version that this code writes.
pub const VERSION: u32 = 1;

/// What an update is, as far as routing and treatment need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A customer's message: an element of `value.messages[]`.
    Message,
    /// What became of a message that was sent: an element of `value.statuses[]`.
    Status,
    /// A person answered from the business's own phone: an element of `value.message_echoes[]`.
    Echo,
    /// Something about the account, a customer's preference or a customer's id: the whole change.
    Account,
    /// Everything else that Meta signed: the whole change, or the whole entry where it has no changes.
    Other,
}

impl Kind {
    /// The name on the wire and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Status => "status",
            Self::Echo => "echo",
            Self::Account => "account",
            Self::Other => "other",
        }
    }
}

/// One update of a webhook on its way to a worker. See the module for the promises.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// What the payload is.
    pub kind: Kind,
    /// The business's number that the update belongs to; none for account-level updates.
    pub phone_number_id: Option<PhoneNumberId>,
    /// The account that the update belongs to, where Meta named one.
    pub waba_id: Option<WabaId>,
    /// The element of `value.contacts[]` that describes the sender, as Meta sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Box<RawValue>>,
    /// When ingest had read the body, in milliseconds since the Unix epoch.
    pub received_at: i64,
    /// The update's position in its body, counted over the whole body from 0.
    pub index: u32,
    /// The object as Meta sent it; see [`Kind`].
    pub payload: Box<RawValue>,
}

/// Why bytes from a queue are not an envelope that this binary can handle.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or not this shape.
    #[error("the body is not an envelope ({:?} error, line {}, column {})", .0.classify(), .0.line(), .0.column())]
    // Not the error's own words: they may repeat a value.
    Malformed(#[from] serde_json::Error),
    /// Written by a newer ingest.
    #[error("envelope version {0} is newer than this binary, which knows versions up to {VERSION}: upgrade it")]
    NewerVersion(u32),
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    #[serde(flatten)]
    envelope: Written<'a>,
}

/// The same fields by reference, in the order of the golden test: `flatten` on the owned type would copy.
#[derive(Serialize)]
struct Written<'a> {
    kind: Kind,
    phone_number_id: &'a Option<PhoneNumberId>,
    waba_id: &'a Option<WabaId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<&'a RawValue>,
    received_at: i64,
    index: u32,
    payload: &'a RawValue,
}

impl Envelope {
    /// The bytes to publish.
    pub fn encode(&self) -> Vec<u8> {
        let versioned = Versioned {
            v: VERSION,
            envelope: Written {
                kind: self.kind,
                phone_number_id: &self.phone_number_id,
                waba_id: &self.waba_id,
                contact: self.contact.as_deref(),
                received_at: self.received_at,
                index: self.index,
                payload: &self.payload,
            },
        };
        serde_json::to_vec(&versioned).expect("an envelope has string keys only and writes to memory")
    }

    /// Reads an envelope of any version up to [`VERSION`].
    ///
    /// # Errors
    /// [`DecodeError`]; repeating the call cannot help, the bytes belong into the dead letters.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let VersionOnly { v } = serde_json::from_slice(body)?;
        match v {
            1 => Ok(serde_json::from_slice(body)?),
            newer => Err(DecodeError::NewerVersion(newer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("valid JSON")
    }

    fn message() -> Envelope {
        Envelope {
            kind: Kind::Message,
            phone_number_id: Some(PhoneNumberId::parse("106540352242922").expect("an id")),
            waba_id: Some(WabaId::parse("102290129340398").expect("an id")),
            contact: Some(raw(r#"{"profile":{"name":"Sheena"},"wa_id":"16505551234"}"#)),
            received_at: 1_749_416_383_250,
            index: 3,
            payload: raw(
                r#"{"from":"16505551234","id":"wamid.A","text":{"body":"caf\u00e9 $1"},"n":12345678901234567890}"#,
            ),
        }
    }

    const GOLDEN_MESSAGE: &str = concat!(
        r#"{"v":1,"kind":"message","phone_number_id":"106540352242922","waba_id":"102290129340398","#,
        r#""contact":{"profile":{"name":"Sheena"},"wa_id":"16505551234"},"received_at":1749416383250,"index":3,"#,
        r#""payload":{"from":"16505551234","id":"wamid.A","text":{"body":"caf\u00e9 $1"},"n":12345678901234567890}}"#
    );
    const GOLDEN_ACCOUNT: &str = concat!(
        r#"{"v":1,"kind":"account","phone_number_id":null,"waba_id":"102290129340398","received_at":1,"index":0,"#,
        r#""payload":{"field":"account_update","value":{}}}"#
    );

    /// A change of these bytes needs a new version, with the old one still decoded.
    #[test]
    fn the_bytes_are_those_that_workers_in_the_field_know() {
        assert_eq!(String::from_utf8(message().encode()).expect("UTF-8"), GOLDEN_MESSAGE);
        let account = Envelope::decode(GOLDEN_ACCOUNT.as_bytes()).expect("decodes");
        assert_eq!(account.kind, Kind::Account);
        assert_eq!(String::from_utf8(account.encode()).expect("UTF-8"), GOLDEN_ACCOUNT);
    }

    #[test]
    fn the_payload_comes_back_byte_by_byte() {
        let decoded = Envelope::decode(GOLDEN_MESSAGE.as_bytes()).expect("decodes");
        assert_eq!(decoded.payload.get(), message().payload.get());
        assert_eq!(decoded.contact.as_deref().map(RawValue::get), message().contact.as_deref().map(RawValue::get));
        assert_eq!(decoded.encode(), message().encode());
    }

    #[test]
    fn unknown_fields_are_no_reason_to_refuse() {
        let with_more = GOLDEN_ACCOUNT.replacen("{\"v\":1,", "{\"v\":1,\"later\":[1],", 1);
        assert!(Envelope::decode(with_more.as_bytes()).is_ok());
    }

    #[test]
    fn a_newer_version_and_garbage_are_told_apart() {
        let newer = GOLDEN_ACCOUNT.replacen("\"v\":1", "\"v\":2", 1);
        assert!(matches!(Envelope::decode(newer.as_bytes()), Err(DecodeError::NewerVersion(2))));
        for garbage in ["", "{}", "[]", "nonsense", r#"{"v":1}"#, r#"{"v":1,"kind":"message","phone_number_id":""}"#] {
            assert!(matches!(Envelope::decode(garbage.as_bytes()), Err(DecodeError::Malformed(_))), "{garbage}");
        }
    }
}
