//! Posts webhooks as Meta does: signed, and again until the receiver answers 200.
//!
//! Every post is in the journal before it leaves, and so is its answer. The same sender carries customers' messages
//! and the statuses of the Graph API stand-in. Meta tries for seven days; here the number of tries is bounded.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Body, Content, Customer, Ids, Message, bytes_on_the_wire, updates};
use crate::{
    Seed,
    journal::{Event, Journal, WebhookAnswer, WebhookPost},
    meta::Business,
};

/// How a delivery that was not answered with 200 is repeated.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The pause after the first try.
    pub first: Duration,
    /// What the pause grows by.
    pub growth: f64,
    /// The longest pause.
    pub most: Duration,
    /// How many tries there are.
    pub tries: u32,
    /// How long one answer may take. Meta's is not published; 5 to 10 seconds are reported.
    pub timeout: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first, most) = (Duration::from_millis(200), Duration::from_secs(5));
        Self { first, growth: 1.7, most, tries: 60, timeout: Duration::from_secs(10) }
    }
}

/// A delivery that was answered with 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// How many tries it took.
    pub tries: u32,
}

/// A delivery that never was.
#[derive(Debug, thiserror::Error)]
#[error("not delivered after {tries} tries; the last one: {last}")]
pub struct Undelivered {
    tries: u32,
    last: String,
}

/// Posts webhooks to one address. Cheap to clone; clones share ids and journal.
#[derive(Debug, Clone)]
pub struct Sender {
    url: String,
    app_secret: Option<SecretString>,
    journal: Journal,
    seed: Seed,
    ids: Arc<Ids>,
    patience: Patience,
    client: reqwest::Client,
}

impl Sender {
    /// A sender which signs with this secret; without one it does not sign. Two senders made with one seed give the
    /// same message ids; clones do not.
    ///
    /// # Panics
    /// Where no HTTP client can be made.
    pub fn new(url: impl Into<String>, app_secret: Option<SecretString>, journal: &Journal, seed: Seed) -> Self {
        shared::install_tls_provider();
        // Without a certificate store, as in an image, there would be none, and no client.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| reqwest::Certificate::from_der(root));
        let roots: Vec<_> = roots.collect::<reqwest::Result<_>>().expect("they were built in");
        let client =
            reqwest::Client::builder().tls_certs_merge(roots).connect_timeout(Duration::from_secs(5)).no_proxy();
        let client =
            client.build().expect("the TLS provider is installed, with roots, and nothing else can be missing");
        let (journal, ids) = (journal.clone(), Arc::new(Ids::new(seed, "inbound")));
        Self { url: url.into(), app_secret, journal, seed, ids, patience: Patience::default(), client }
    }

    /// The same sender with another secret.
    #[must_use]
    pub fn signing(self, app_secret: Option<SecretString>) -> Self {
        Self { app_secret, ..self }
    }

    /// The same sender with other patience.
    #[must_use]
    pub fn patient(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// A new message with an id of this sender.
    pub fn message(&self, customer: &Customer, content: Content) -> Message {
        Message::new(&self.ids, customer, content)
    }

    /// Delivers a text and returns the message.
    ///
    /// # Errors
    /// The receiver never answered 200.
    pub async fn text(&self, business: &Business, customer: &Customer, text: &str) -> Result<Message, Undelivered> {
        let message = self.message(customer, Content::text(text));
        self.deliver(&Body::of(business, &message).to_json()).await?;
        Ok(message)
    }

    /// Posts until the receiver answers 200, with growing pauses, the same bytes each time. Dropping the future
    /// gives up; what was posted stays posted.
    ///
    /// # Errors
    /// The tries are used up.
    pub async fn deliver(&self, body: &Value) -> Result<Delivered, Undelivered> {
        match self.post(body, 1).await {
            Ok(200) => Ok(Delivered { tries: 1 }),
            Ok(status) => self.insist(body, format!("HTTP {status}")).await,
            Err(error) => self.insist(body, error).await,
        }
    }

    /// Goes on with a delivery whose first try failed as `last` says.
    pub(crate) async fn insist(&self, body: &Value, mut last: String) -> Result<Delivered, Undelivered> {
        let mut pause = self.patience.first;
        for tries in 2..=self.patience.tries {
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(self.patience.growth).min(self.patience.most);
            last = match self.post(body, tries).await {
                Ok(200) => return Ok(Delivered { tries }),
                Ok(status) => format!("HTTP {status}"),
                Err(error) => error,
            };
        }
        Err(Undelivered { tries: self.patience.tries, last })
    }

    /// Posts once and returns the HTTP status.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn deliver_once(&self, body: &Value) -> Result<u16, Undelivered> {
        self.post(body, 1).await.map_err(|last| Undelivered { tries: 1, last })
    }

    /// Delivers the same body several times at once, as Meta sometimes does though all is well.
    ///
    /// # Errors
    /// One of the deliveries never got its 200.
    pub async fn duplicate(&self, body: &Value, times: u32) -> Result<(), Undelivered> {
        let mut deliveries = tokio::task::JoinSet::new();
        for _ in 0..times {
            let (sender, body) = (self.clone(), body.clone());
            deliveries.spawn(async move { sender.deliver(&body).await });
        }
        deliveries.join_all().await.into_iter().try_for_each(|delivered| delivered.map(drop))
    }

    /// The same things in another order, which the seed decides.
    pub fn shuffle<T>(&self, things: Vec<T>) -> Vec<T> {
        let mut things: Vec<_> = things.into_iter().enumerate().collect();
        things.sort_by_key(|(position, _)| self.seed.number("shuffle", &position.to_string()));
        things.into_iter().map(|(_, thing)| thing).collect()
    }

    /// The signature that a post of this body carries; none from a sender that does not sign.
    pub fn signature(&self, body: &Value) -> Option<String> {
        let secret = self.app_secret.as_ref()?;
        Some(shared::signature::sign(secret, &bytes_on_the_wire(body)))
    }

    async fn post(&self, body: &Value, attempt: u32) -> Result<u16, String> {
        let post = self.journal.number();
        let bytes = bytes_on_the_wire(body);
        let body_id = hex::encode(Sha256::digest(&bytes)).chars().take(16).collect();
        let mut request = self.client.post(&self.url).timeout(self.patience.timeout);
        request = request.header("content-type", "application/json").header("user-agent", "facebookexternalua");
        if let Some(secret) = &self.app_secret {
            request = request.header(shared::signature::HEADER, shared::signature::sign(secret, &bytes));
        }
        self.journal.record(Event::WebhookPost(WebhookPost { post, body_id, attempt, updates: updates(body) }));
        let answer = request.body(bytes).send().await.map(|response| response.status().as_u16());
        let answer = answer.map_err(|error| root_cause(&error));
        let (http, error) = (answer.clone().ok(), answer.clone().err());
        self.journal.record(Event::WebhookAnswer(WebhookAnswer { post, http, error }));
        answer
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}
