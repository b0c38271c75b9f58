//! Tells businesses that a person is wanted: the notices that hand-overs leave in their conversations, each as a signed
//! webhook to where the business says.
//!
//! Any worker delivers any notice. It is taken for longer than a delivery lasts, so that of several workers one delivers
//! it, and whoever dies over it leaves it to the next; it is gone once the business has answered with 2xx. So a business
//! is told at least once, and knows a repetition by its id. What fails is tried again, at growing intervals, for a day,
//! and is a dead letter then. A notice says who wants what kind of help, never what was said.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use reqwest::{Client, Url, header::CONTENT_TYPE};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::{ids::SessionId, shutdown::Shutdown, signature};

use crate::{
    business::{Business, NotifySettings, Registry},
    conversation::NoticeTaken,
    outside,
    periodic::every,
    store::{DeadLetter, ReplayPolicy, Store, StoreError, in_time},
};

const EVERY: Duration = Duration::from_secs(2);
/// Businesses of one round, and notices of each: one whose server hangs does not hold up the others for long.
const BUSINESSES: usize = 100;
const EACH: i64 = 4;
const AT_ONCE: usize = 32;
/// A whole request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than a delivery lasts, with what the database needs for it.
const TAKEN_FOR: Duration = Duration::from_secs(20);
const SIGNATURE: &str = "X-Switchboard-Signature-256";

/// Delivers notices.
#[derive(Debug)]
pub struct Notifier {
    store: Arc<dyn Store>,
    registry: Registry,
    client: Client,
    /// Whether addresses may be anywhere.
    insecure: bool,
}

/// What came of a delivery.
enum Delivery {
    /// The business has it.
    Done,
    /// The business does not want to be told any more.
    Unwanted,
    /// Why not, without anything of the URL.
    Failed(String),
}

impl Notifier {
    /// # Errors
    /// TLS could not be set up.
    pub fn new(store: Arc<dyn Store>, registry: Registry, insecure: bool) -> reqwest::Result<Self> {
        Ok(Self { store, registry, client: outside::client(insecure)?, insecure })
    }

    /// Looks for notices and delivers them until the drain.
    pub async fn run(self, shutdown: Shutdown) {
        // One that is dropped on its way is due again by itself.
        every(EVERY, &shutdown, "notices could not be looked through", || self.deliver_all()).await;
    }

    async fn deliver_all(&self) -> Result<(), StoreError> {
        let due = in_time(self.store.notices_due(BUSINESSES, EACH)).await?;
        let deliver = async |session: SessionId| {
            // One that fails must not keep the others from being delivered.
            if let Err(error) = self.deliver(&session).await {
                tracing::warn!(%session, %error, "a notice waits for the database");
            }
        };
        stream::iter(due).for_each_concurrent(AT_ONCE, deliver).await;
        Ok(())
    }

    async fn deliver(&self, session: &SessionId) -> Result<(), StoreError> {
        let Some(taken) = in_time(self.store.take_notice(session, TAKEN_FOR)).await? else { return Ok(()) };
        let outcome = match self.try_once(&taken).await? {
            Delivery::Done => "delivered",
            Delivery::Unwanted => "unwanted",
            Delivery::Failed(problem) if taken.notice.is_overdue(taken.taken_at) => {
                self.give_up(&taken, &problem).await?;
                "given_up"
            }
            Delivery::Failed(problem) => {
                let (notice, tries) = (&taken.notice, taken.notice.tries);
                tracing::warn!(%session, problem, tries, "a business could not be told of a hand-over; it is tried again");
                count("failed");
                let put_off = self.store.postpone_notice(session, &notice.id, tries, notice.pause());
                return in_time(put_off).await.map(drop);
            }
        };
        in_time(self.store.end_notice(session, &taken.notice.id)).await?;
        tracing::info!(%session, outcome, tries = taken.notice.tries, "a notice of a hand-over is done with");
        count(outcome);
        Ok(())
    }

    async fn try_once(&self, taken: &NoticeTaken) -> Result<Delivery, StoreError> {
        Ok(match in_time(self.registry.current(&taken.business_id)).await? {
            Ok(business) => match &business.companion.hand_over.notify {
                Some(settings) => self.post(settings, &told(taken, &business, settings)).await,
                None => Delivery::Unwanted,
            },
            // It may come back.
            Err(why) => Delivery::Failed(why.detail().to_owned()),
        })
    }

    async fn post(&self, settings: &NotifySettings, told: &Value) -> Delivery {
        let failed = |problem: &str| Delivery::Failed(problem.to_owned());
        let secret = match &settings.secret {
            Ok(secret) => secret,
            Err(problem) => return Delivery::Failed(format!("handOver.notify.secret: {problem}")),
        };
        if !Url::parse(&settings.url).is_ok_and(|url| outside::may_call(&url, self.insecure)) {
            return failed("its URL is not https, or leads to no public address");
        }
        match self.send(settings, secret, told).await {
            Ok(status) if status.is_success() => Delivery::Done,
            Ok(status) => Delivery::Failed(format!("it answered with HTTP {}", status.as_u16())),
            Err(error) if error.is_timeout() => failed("it did not answer in time"),
            Err(_) => failed("it cannot be reached"),
        }
    }

    async fn send(
        &self,
        settings: &NotifySettings,
        secret: &SecretString,
        told: &Value,
    ) -> reqwest::Result<reqwest::StatusCode> {
        // The bytes that are signed are those that are sent.
        let body = told.to_string().into_bytes();
        let request = self.client.post(&settings.url).timeout(TIMEOUT).header(CONTENT_TYPE, "application/json");
        let request = request.header(SIGNATURE, signature::sign(secret, &body)).body(body);
        Ok(request.send().await?.status())
    }

    /// Files the notice before it is ended: whoever dies in between files the same letter again.
    async fn give_up(&self, taken: &NoticeTaken, problem: &str) -> Result<(), StoreError> {
        let notice = &taken.notice;
        let body = json!({ "event": "hand_over", "id": notice.id, "at": notice.at, "reason": notice.reason });
        let letter = DeadLetter {
            id: format!("notice:{}", notice.id),
            reason: "notification_failed",
            detail: format!("the business was not told of a hand-over, after {} tries: {problem}", notice.tries),
            phone_number_id: None,
            business_id: Some(taken.business_id.clone()),
            session: Some(taken.session.clone()),
            message_id: None,
            body: body.to_string().into_bytes(),
            replay: ReplayPolicy::ByHand,
            counted_as_answered: false,
        };
        in_time(self.store.bury(&letter)).await?;
        metrics::counter!("switchboard_dead_letters_total", "reason" => "notification_failed").increment(1);
        tracing::error!(session = %taken.session, problem, "a business could not be told of a hand-over for a day");
        Ok(())
    }
}

/// What the business is told.
fn told(taken: &NoticeTaken, business: &Business, settings: &NotifySettings) -> Value {
    let NoticeTaken { session, customer, notice, .. } = taken;
    json!({
        "event": "hand_over",
        "id": notice.id,
        "at": notice.at,
        "reason": notice.reason.word(),
        "business": business.subdomain.as_ref().map(|subdomain| subdomain.expose()),
        "conversation": session.expose(),
        "customer": {
            "phoneNumber": customer.wa_id.as_ref().map(|id| id.expose()),
            "userId": customer.user_id.as_ref().map(|id| id.expose()),
            "name": customer.name,
        },
        "until": taken.until,
        "link": settings.link_to(session.expose(), customer),
    })
}

fn count(outcome: &'static str) {
    metrics::counter!("switchboard_notifications_total", "outcome" => outcome).increment(1);
}
