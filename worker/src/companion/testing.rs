//! A business and a conversation of it, for unit tests of the companion.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use shared::ids::{SessionId, WaId};

use crate::{
    business::{Business, CompanionSettings},
    conversation::{BusinessId, Conversation, Customer, Recollection},
};

pub(crate) fn business(companion: Value) -> Business {
    Business {
        id: BusinessId("b".to_owned()),
        subdomain: None,
        name: "Acme".to_owned(),
        waba_id: None,
        phone_number_ids: vec![],
        token: Ok("EAAsecretTOKEN".into()),
        token_id: "t".to_owned(),
        token_expires_at: None,
        pause: None,
        companion: CompanionSettings::read(&companion),
    }
}

pub(crate) fn conversation() -> Conversation {
    Conversation {
        id: SessionId::from_stored("acme:4915100000"),
        business_id: BusinessId("b".to_owned()),
        subdomain: None,
        customer: Customer { wa_id: WaId::parse("4915100000").ok(), ..Customer::default() },
        mailbox: Vec::new(),
        outbox: None,
        memory: Recollection::default(),
        attempts: 0,
        takeovers: 0,
        ai_failing_since: None,
        apologised_at: None,
        handed_over_until: None,
        opted_out_at: None,
        minute: None,
        limited_until: None,
        windows: BTreeMap::new(),
        buckets: BTreeMap::new(),
        claimed_at: Timestamp::UNIX_EPOCH,
    }
}
