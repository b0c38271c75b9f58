//! A message's way to its conversation, as intake takes it: identity, redirections, the question to the transcript.

use std::sync::Arc;

use std::time::Duration;

use secrecy::SecretString;
use shared::ids::{SessionId, Subdomain};
use worker::{
    business::{Business, CompanionSettings},
    conversation::{BusinessId, Customer, MailboxItem},
    identity::{Identities, Resolved},
    message::Sender,
    store::{Inbound, Landed, Landing, Store},
};

use super::{AT_ONCE, Talk, user_id, wa_id};

pub(super) fn business(id: &str, subdomain: Option<&str>) -> Business {
    Business {
        id: BusinessId(id.to_owned()),
        subdomain: subdomain.map(|text| Subdomain::parse(text).expect("a subdomain")),
        name: "Acme".to_owned(),
        waba_id: None,
        phone_number_ids: vec![],
        token: Ok(SecretString::from("token")),
        token_id: "t".to_owned(),
        token_expires_at: None,
        pause: None,
        companion: CompanionSettings::default(),
    }
}

pub(super) fn acme() -> Business {
    business("b1", Some("acme"))
}

pub(super) fn phone(text: &str) -> Sender {
    Sender { wa_id: Some(wa_id(text)), user_id: None }
}

pub(super) fn user(text: &str) -> Sender {
    Sender { wa_id: None, user_id: Some(user_id(text)) }
}

pub(super) fn both(phone: &str, user: &str) -> Sender {
    Sender { wa_id: Some(wa_id(phone)), user_id: Some(user_id(user)) }
}

pub(super) fn identities(store: &Arc<dyn Store>) -> Identities {
    Identities::new(store.clone(), Duration::ZERO)
}

/// One worker's intake for acme, with a cache of its own.
pub(super) struct Arrivals {
    store: Arc<dyn Store>,
    identities: Identities,
}

impl Arrivals {
    pub(super) fn new(store: &Arc<dyn Store>) -> Self {
        Self { store: store.clone(), identities: identities(store) }
    }

    /// Where a sender's messages go now.
    pub(super) async fn session(&self, sender: &Sender) -> SessionId {
        let resolved = self.identities.resolve(&acme(), sender).await.expect("the store answers");
        resolved.expect("the sender has an id")
    }

    /// Takes a message where it belongs: new or a duplicate there. Says also which conversation that is.
    pub(super) async fn take(&self, sender: &Sender, item: &MailboxItem) -> (Landed, SessionId) {
        let mut session = self.session(sender).await;
        for _ in 0..8 {
            match self.land(session, sender, item).await {
                (Landed::Moved(forgotten), _) => {
                    let begun = self.identities.begin_anew(&acme(), sender, &forgotten, None).await;
                    let Ok(Resolved::To(begun)) = begun else { panic!("{begun:?}") };
                    session = begun;
                }
                landed => return landed,
            }
        }
        panic!("{} never lands", item.id);
    }

    /// Moved only where the conversation was forgotten.
    async fn land(&self, mut session: SessionId, sender: &Sender, item: &MailboxItem) -> (Landed, SessionId) {
        let customer =
            Customer { wa_id: sender.wa_id.clone(), user_id: sender.user_id.clone(), name: None, language: None };
        let business = acme();
        let mut looked_up = false;
        for _ in 0..8 {
            if session.has_former_owner() && self.was_answered(item).await {
                return (Landed::Duplicate, session);
            }
            let landing = Landing {
                session: &session,
                business_id: &business.id,
                subdomain: business.subdomain.as_ref(),
                customer: &customer,
                item,
                quiet: AT_ONCE,
                looked_up,
            };
            match self.store.land(&landing).await.expect("the store answers") {
                Landed::AskTranscript if self.was_answered(item).await => return (Landed::Duplicate, session),
                Landed::AskTranscript => looked_up = true,
                Landed::Moved(target) if target != session => session = target,
                landed @ (Landed::New { .. } | Landed::Duplicate | Landed::Moved(_)) => return (landed, session),
                Landed::NoRoomForContent => panic!("few messages wait"),
            }
        }
        panic!("{} is sent round in a circle", item.id);
    }

    async fn was_answered(&self, item: &MailboxItem) -> bool {
        self.store.was_answered(&item.phone_number_id, &item.id).await.expect("the store answers")
    }
}

/// A conversation of one of acme's customers.
pub(super) fn talk(store: &Arc<dyn Store>, session: &SessionId, sender: &Sender) -> Talk {
    Talk {
        session: session.clone(),
        business: acme().id,
        customer: Customer { wa_id: sender.wa_id.clone(), user_id: sender.user_id.clone(), name: None, language: None },
        ..Talk::of(store, Some("acme"), "16505551234")
    }
}

/// The transcript of what a turn answered, as it is written before `settle`.
pub(super) async fn record(talk: &Talk, items: &[MailboxItem]) {
    for item in items {
        let (session, business_id) = (&talk.session, &talk.business);
        let inbound =
            Inbound { session, business_id, item, kind: "text", answered: true, words: None, taken_back: false };
        talk.store.record_inbound(&inbound).await.expect("the store answers");
    }
}
