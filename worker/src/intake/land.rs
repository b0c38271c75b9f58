//! A customer's message: whose it is, which conversation, into the mailbox.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::{
    fail_point,
    ids::{MessageId, PhoneNumberId, REPLAY_MARK, SessionId},
};

use super::{Intake, IntakeError, Update};
use crate::{
    business::{Business, Lookup},
    conversation::{Customer, MailboxItem, QuietTime},
    identity::{NamedBy, Resolved},
    message::{Sender, Treatment, contact_name, kind, parse, rhythm, sender, text, timestamp, treatment},
    store::{Inbound, Landed, Landing, StoreError},
    turn::real_id,
};

/// A larger message leaves its content in the transcript, so that a document stays far below MongoDB's 16 MiB.
const CONTENT_MOST: usize = 32 * 1024;
/// A message that is older when it lands is not shown as being answered right now.
const TYPING_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// Tombstones that are followed; more would be a loop.
const MOVES_MOST: usize = 5;

impl Intake {
    pub(super) async fn take_message(&self, update: &Update) -> Result<(), IntakeError> {
        let envelope = &update.envelope;
        let Some(number) = &envelope.phone_number_id else {
            return Err(IntakeError::unhandled("no_phone_number_id", "the update names no business number"));
        };
        let served = self.served(number).await;
        if !update.is_revived {
            match &served {
                Ok(_) => self.let_letters_go_first(number).await,
                // A letter is about to be filed.
                Err(_) => self.caught_up.forget(number).await,
            }
        }
        let business = served?;
        let Some(message) = parse(envelope.payload.get()) else {
            return Err(IntakeError::unhandled("malformed_message", "its JSON is beyond what can be read"));
        };
        let contact = envelope.contact.as_ref().and_then(|contact| parse(contact.get()));
        if treatment(&message) == Treatment::Record {
            return self.record_only(update, &business, &message).await;
        }
        let sender = sender(&message, contact.as_ref());
        let item = item(update, number, &message)?;
        let known = real_id(&item.id).unwrap_or_else(|| item.id.clone());
        let named_by = NamedBy { number, id: &known, is_replay: known != item.id };
        let mut resolved = self.identities.resolve_message(&business, &sender, named_by).await?;
        let customer = Customer {
            wa_id: sender.wa_id.clone(),
            user_id: sender.user_id.clone(),
            name: contact_name(contact.as_ref()),
            language: None,
        };
        for _ in 0..=MOVES_MOST {
            let session = match resolved {
                Resolved::To(session) => session,
                Resolved::Answered => {
                    count("duplicate");
                    return Ok(());
                }
                Resolved::Nobody => {
                    let why = "the message names neither a phone number nor a user id";
                    return Err(IntakeError::unhandled("no_customer", why));
                }
            };
            match self.land(&business, session, &customer, item.clone(), &message).await? {
                Ended::Handled => return Ok(()),
                Ended::Forgotten(session) => {
                    resolved = self.identities.begin_anew(&business, &sender, &session, Some(named_by)).await?;
                }
            }
        }
        Err(merge_loop())
    }

    /// The business of a number.
    pub(super) async fn served(&self, number: &PhoneNumberId) -> Result<std::sync::Arc<Business>, IntakeError> {
        let why = match self.registry.lookup(number).await? {
            Lookup::Served(business) => return Ok(business),
            Lookup::Unserved(why) => why,
        };
        Err(IntakeError::Unhandled { reason: why.reason(), detail: why.detail().to_owned(), replay: why.replay() })
    }

    async fn land(
        &self,
        business: &Business,
        session: SessionId,
        customer: &Customer,
        mut item: MailboxItem,
        message: &Value,
    ) -> Result<Ended, IntakeError> {
        let quiet = QuietTime::new(business.companion.quiet.unwrap_or(self.settings.quiet)).after(rhythm(message));
        let (mut session, mut looked_up, mut moves) = (session, false, 0);
        if self.was_answered_to_former_owner(&session, &item).await? {
            count("duplicate");
            return Ok(Ended::Handled);
        }
        if item.message.as_ref().is_some_and(|content| content.len() > CONTENT_MOST) {
            self.keep_content_apart(business, &session, &mut item, message).await?;
        }
        loop {
            let landing = Landing {
                session: &session,
                business_id: &business.id,
                subdomain: business.subdomain.as_ref(),
                customer,
                item: &item,
                quiet,
                looked_up,
            };
            fail_point!("intake.before.land");
            match self.store.land(&landing).await? {
                Landed::New { due_in, first } => {
                    fail_point!("intake.after.land");
                    self.tell_of_landing(business, &session, &item, due_in);
                    if first {
                        self.show_typing(business, &item, message);
                    }
                    return Ok(Ended::Handled);
                }
                Landed::Duplicate => {
                    count("duplicate");
                    return Ok(Ended::Handled);
                }
                Landed::AskTranscript if self.store.was_answered(&item.phone_number_id, &item.id).await? => {
                    count("duplicate");
                    return Ok(Ended::Handled);
                }
                Landed::AskTranscript => looked_up = true,
                Landed::NoRoomForContent => self.keep_content_apart(business, &session, &mut item, message).await?,
                Landed::Moved(target) if target == session => return Ok(Ended::Forgotten(session)),
                Landed::Moved(target) if moves < MOVES_MOST => {
                    if self.was_answered_to_former_owner(&target, &item).await? {
                        count("duplicate");
                        return Ok(Ended::Handled);
                    }
                    (session, moves) = (target, moves + 1);
                }
                Landed::Moved(_) => return Err(merge_loop()),
            }
        }
    }

    fn tell_of_landing(&self, business: &Business, session: &SessionId, item: &MailboxItem, due_in: Duration) {
        tracing::debug!(%session, message = %item.id, "landed");
        count("new");
        let lag = Timestamp::now().duration_since(item.received_at).as_secs_f64();
        metrics::histogram!("switchboard_queue_age_seconds").record(lag.max(0.0));
        self.waker.wake(business.subdomain.as_ref(), session, due_in);
        self.leases.landed(session, &item.id);
        self.diary.note(&business.id, &business.companion.zone(), item.timestamp);
    }

    /// The customer sees at once that somebody reads and writes, although it is still waited for what else they have to
    /// say. A courtesy: nothing waits for it.
    fn show_typing(&self, business: &Business, item: &MailboxItem, message: &Value) {
        let wants_answer = matches!(treatment(message), Treatment::Answer(_));
        let will_answer = wants_answer && business.paused(Timestamp::now()).is_none();
        let (Ok(token), Some(id), true) = (&business.token, real_id(&item.id), will_answer) else { return };
        // Of a backlog nobody sees it.
        let age = Timestamp::now().duration_since(item.timestamp);
        if age < TYPING_WITHIN {
            self.indicators.show_landed(token.clone(), item.phone_number_id.clone(), id);
        }
    }

    /// What Meta sends again may have been answered in the session that somebody else, or the same customer before they
    /// were forgotten, had under this name.
    async fn was_answered_to_former_owner(&self, session: &SessionId, item: &MailboxItem) -> Result<bool, StoreError> {
        Ok(session.has_former_owner() && self.store.was_answered(&item.phone_number_id, &item.id).await?)
    }

    async fn keep_content_apart(
        &self,
        business: &Business,
        session: &SessionId,
        item: &mut MailboxItem,
        message: &Value,
    ) -> Result<(), StoreError> {
        let (business_id, kind) = (&business.id, &kind(message));
        self.store
            .record_inbound(&Inbound {
                session,
                business_id,
                item,
                kind,
                answered: false,
                words: None,
                taken_back: false,
            })
            .await?;
        item.message = None;
        Ok(())
    }

    /// A group's message, or a note of the system about the customer.
    async fn record_only(&self, update: &Update, business: &Business, message: &Value) -> Result<(), IntakeError> {
        let system = message.get("system").unwrap_or(&Value::Null);
        let is_change = matches!(text(system, "type").as_deref(), Some("user_changed_number" | "user_changed_user_id"));
        // A change that comes again, days later, must not move the old number's next owner.
        if is_change && !self.store.has_event(&update.message_id).await? {
            let (old, new) = changed(message, system);
            self.identities.rename(business, &old, &new).await?;
        }
        let field = if message.get("group_id").is_some() { "group_message" } else { "system" };
        self.record(update, field).await
    }
}

/// Who a customer was before a change of number or user id, and who they are now. Since August 2026 the old id stands
/// beside the new one (Meta, "System messages webhook reference"); before that it could only be the sender's.
fn changed(message: &Value, system: &Value) -> (Sender, Sender) {
    let previous = text(system, "previous_user_id").filter(|id| !id.is_empty());
    let previous = previous.or_else(|| text(message, "from_user_id"));
    let old = Sender::from_values([text(message, "from").as_deref(), previous.as_deref()]);
    (old, Sender::from_values([text(system, "wa_id").as_deref(), text(system, "user_id").as_deref()]))
}

/// How a landing ended.
enum Ended {
    /// The message is where it belongs.
    Handled,
    /// This conversation was forgotten, and takes nothing more.
    Forgotten(SessionId),
}

fn merge_loop() -> IntakeError {
    IntakeError::unhandled("merge_loop", "the conversation's tombstones lead in a circle")
}

fn count(outcome: &'static str) {
    metrics::counter!("switchboard_landed_total", "outcome" => outcome).increment(1);
}

fn item(update: &Update, number: &PhoneNumberId, message: &Value) -> Result<MailboxItem, IntakeError> {
    let own = text(message, "id").and_then(|id| MessageId::parse(&id).ok());
    let id = match own {
        Some(id) => id,
        None => MessageId::parse(&update.message_id)
            .map_err(|error| IntakeError::unhandled("malformed_message", error.to_string()))?,
    };
    let id = match update.replay {
        Some(replay) => MessageId::parse(&format!("{}{REPLAY_MARK}{replay}", id.expose())).unwrap_or(id),
        None => id,
    };
    let received_at = Timestamp::from_millisecond(update.envelope.received_at).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(MailboxItem {
        id,
        phone_number_id: number.clone(),
        timestamp: timestamp(message).unwrap_or(received_at),
        received_at,
        index: update.envelope.index,
        message: Some(update.envelope.payload.get().to_owned()),
        resend_of: None,
        trace: update.trace,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_tells_who_the_customer_was_in_the_form_of_today_and_in_older_ones() {
        let sender = |phone: &str, user_id: &str| Sender::from_values([Some(phone), Some(user_id)]);
        let system = |fields: Value| json!({ "from": "16505551234", "system": fields });
        let changed = |message: &Value| changed(message, message.get("system").expect("one"));
        let told = system(json!({ "wa_id": "16505559876", "user_id": "US.2", "previous_user_id": "US.1" }));
        let expected = (sender("16505551234", "US.1"), sender("16505559876", "US.2"));
        assert_eq!(changed(&told), expected);
        // As it was told before August 2026, by whoever the message is from.
        let mut told = system(json!({ "wa_id": "16505559876", "user_id": "US.2" }));
        told["from_user_id"] = json!("US.1");
        assert_eq!(changed(&told), expected);
        told["system"]["previous_user_id"] = json!("");
        assert_eq!(changed(&told), expected);
        assert_eq!(changed(&json!({ "system": {} })), (Sender::default(), Sender::default()));
    }
}
