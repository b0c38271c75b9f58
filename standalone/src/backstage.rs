//! What the page shows of a conversation: the stored document, for a person who wants to see it work.

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::ids::PhoneNumberId;
use simulator::{Customer, phone};
use worker::{business::Lookup, conversation::state::State, intake::Intake, message::Sender};

/// Looks into the store as intake would.
#[derive(Debug)]
pub struct Backstage(Intake);

impl Backstage {
    /// Over an engine's intake.
    pub fn new(intake: &Intake) -> Self {
        Self(intake.clone())
    }

    async fn state(&self, number: &str, customer: &Customer) -> Option<State> {
        let number = PhoneNumberId::parse(number).ok()?;
        let Lookup::Served(business) = self.0.registry.lookup(&number).await.ok()? else { return None };
        let sender = Sender::from_values([customer.wa_id.as_deref(), customer.user_id.as_deref()]);
        let session = self.0.identities.find(&business, &sender).await.ok()??;
        self.0.store.state(&session).await.ok()?
    }
}

#[async_trait]
impl phone::Backstage for Backstage {
    async fn conversation(&self, phone_number_id: &str, customer: &Customer) -> Option<Value> {
        self.state(phone_number_id, customer).await.map(|state| told(&state))
    }
}

/// The parts of a conversation that say what happens, in the order in which it happens.
fn told(state: &State) -> Value {
    json!({
        "session": state.id,
        "mailbox": state.mailbox,
        "due_at": state.due_at,
        "lease": state.lease,
        "outbox": state.outbox,
        "memory": {
            "lines": state.memory,
            "summary": state.summary,
            "facts": state.facts,
        },
        "answered": state.answered.len(),
        "attempts": state.attempts,
        "takeovers": state.takeovers,
        "last_error": state.last_error,
        "handed_over_until": state.handed_over_until,
        "opted_out_at": state.opted_out_at,
    })
}
