//! What is no customer's message: people of the business who write, news of the account, and the rest.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use shared::ids::{MessageId, PhoneNumberId, WabaId};

use super::{Intake, IntakeError, Update};
use crate::{
    account::{Notice, NoticeLevel, account_of},
    business::Business,
    conversation::{Beginning, Customer},
    message::{Sender, Treatment, parse, text, treatment},
    store::{AccountEvent, Outbound},
};

impl Intake {
    /// A person wrote from the business's phone: the conversation is theirs for a while.
    pub(super) async fn take_echo(&self, update: &Update) -> Result<(), IntakeError> {
        let envelope = &update.envelope;
        let Some(number) = &envelope.phone_number_id else {
            return Err(IntakeError::unhandled("no_phone_number_id", "the echo names no business number"));
        };
        let business = self.served(number).await?;
        let echo = parse(envelope.payload.get()).unwrap_or_default();
        let customer = Sender::from_values([text(&echo, "to").as_deref(), text(&echo, "to_user_id").as_deref()]);
        let wamid = text(&echo, "id").and_then(|id| MessageId::parse(&id).ok());
        if let Some(wamid) = &wamid
            && self.store.is_recorded_outbound(number, wamid).await?
        {
            return Ok(());
        }
        // Also where they write first: who answers them expects a person.
        let session = match self.identities.find(&business, &customer).await? {
            None => self.identities.resolve(&business, &customer).await?,
            found => found,
        };
        if let Some(session) = session {
            let words = match treatment(&echo) {
                Treatment::Answer(words) | Treatment::Remember(words) => Some(words),
                Treatment::Record => None,
            };
            let (zone, length) = (business.companion.zone(), business.companion.hand_over.hours);
            if !self.diary.hand_over(&session, &zone, length, words.as_deref()).await? {
                let customer = Customer { wa_id: customer.wa_id, user_id: customer.user_id, ..Customer::default() };
                let (business_id, subdomain) = (&business.id, business.subdomain.as_ref());
                let beginning = Beginning { session: &session, business_id, subdomain, customer: &customer };
                self.store.begin(&beginning).await?;
                self.diary.hand_over(&session, &zone, length, words.as_deref()).await?;
            }
            self.diary.note(&business.id, &zone, Timestamp::now());
            if let Some(wamid) = &wamid {
                let body = words.as_deref().unwrap_or_default();
                let written = Outbound::by_a_person(&session, &business.id, number, wamid, body);
                self.store.record_outbound(&Outbound { trace: update.trace, ..written }).await?;
            }
            tracing::info!(%session, "a person of the business wrote: the companion is quiet for a while");
            return Ok(());
        }
        // To a group, for example: nobody's conversation.
        self.record(update, "smb_message_echoes").await
    }

    pub(super) async fn take_account(&self, update: &Update) -> Result<(), IntakeError> {
        let change = parse(update.envelope.payload.get()).unwrap_or_default();
        let field = text(&change, "field").unwrap_or_default().into_owned();
        // The same as with a message of the system: only the first time. What Meta sends again, days later, must neither
        // move the old number's next owner nor bring a ban back that was lifted since.
        if !self.store.has_event(&update.message_id).await? {
            if field == "user_id_update" {
                self.rename_customers(update, &change).await?;
            } else {
                self.take_notice(update, &field, change.get("value").unwrap_or(&Value::Null)).await?;
            }
        }
        self.record(update, &field).await
    }

    /// What an event says of its account, and what follows for sending.
    async fn take_notice(&self, update: &Update, field: &str, value: &Value) -> Result<(), IntakeError> {
        let notice = Notice::of(field, value);
        let waba_id = account_of(value).or_else(|| update.envelope.waba_id.clone());
        let (account, stops) = (waba_id.as_ref().map(WabaId::expose), notice.stops());
        match notice.level {
            NoticeLevel::Info => tracing::info!(field, account, %notice, "news of an account"),
            NoticeLevel::Warning => tracing::warn!(field, account, %notice, "an account needs a look"),
            NoticeLevel::Error => tracing::error!(field, account, %notice, stops, "an account is in trouble"),
        }
        let changes = notice.changes(received_at(update));
        let (Some(waba_id), false) = (waba_id, changes.is_empty()) else { return Ok(()) };
        self.store.change_standing(&waba_id, &changes).await?;
        let businesses = self.store.businesses_of_account(waba_id.expose()).await?;
        self.registry.drop_cached(&businesses).await;
        Ok(())
    }

    /// Customers whose ids changed, of every business of the account.
    async fn rename_customers(&self, update: &Update, change: &Value) -> Result<(), IntakeError> {
        // The number's own business need not know its account.
        let mut numbers: Vec<_> = update.envelope.phone_number_id.iter().cloned().collect();
        if let Some(waba_id) = &update.envelope.waba_id {
            for record in self.store.businesses_of_account(waba_id.expose()).await? {
                numbers.extend(record.phone_number_ids.iter().find_map(|id| PhoneNumberId::parse(id).ok()));
            }
        }
        let mut businesses: Vec<Arc<Business>> = Vec::new();
        for number in numbers {
            match self.served(&number).await {
                Ok(business) if businesses.iter().any(|known| known.id == business.id) => {}
                Ok(business) => businesses.push(business),
                Err(error @ IntakeError::Store(_)) => return Err(error),
                // Its customers' ids are learned again when it is served.
                Err(IntakeError::Unhandled { .. }) => {}
            }
        }
        let updates = change.pointer("/value/user_id_update").and_then(Value::as_array).into_iter().flatten();
        for customer in updates {
            let phone = text(customer, "wa_id");
            let id = |which: &str| customer.pointer(&format!("/user_id/{which}")).and_then(Value::as_str);
            let old = Sender::from_values([phone.as_deref(), id("previous")]);
            let new = Sender::from_values([phone.as_deref(), id("current")]);
            for business in &businesses {
                self.identities.rename(business, &old, &new).await?;
            }
        }
        Ok(())
    }

    /// Everything else. A `messages` change that ingest could not take apart is somebody's message all the same.
    pub(super) async fn take_other(&self, update: &Update) -> Result<(), IntakeError> {
        let change = parse(update.envelope.payload.get()).unwrap_or_default();
        let field = text(&change, "field").unwrap_or_default().into_owned();
        let value = change.get("value");
        let has = |name: &str| value.is_some_and(|value| value.get(name).is_some_and(|found| !found.is_null()));
        if (field == "messages" || field.is_empty()) && (has("messages") || has("statuses") || !has("errors")) {
            return Err(IntakeError::unhandled("malformed_update", "ingest could not take it apart"));
        }
        self.record(update, &field).await
    }

    /// Records what nobody acts on any more.
    pub(super) async fn record(&self, update: &Update, field: &str) -> Result<(), IntakeError> {
        let envelope = &update.envelope;
        let event = AccountEvent {
            id: &update.message_id,
            field,
            phone_number_id: envelope.phone_number_id.as_ref(),
            waba_id: envelope.waba_id.as_ref(),
            received_at: received_at(update),
            payload: envelope.payload.get(),
        };
        self.store.record_event(&event).await?;
        tracing::info!(field, waba_id = event.waba_id.map(WabaId::expose), "an account event was recorded");
        Ok(())
    }
}

fn received_at(update: &Update) -> Timestamp {
    Timestamp::from_millisecond(update.envelope.received_at).unwrap_or(Timestamp::UNIX_EPOCH)
}
