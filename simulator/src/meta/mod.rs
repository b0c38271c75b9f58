//! The Graph API stand-in: what a worker talks to instead of graph.facebook.com.
//!
//! Businesses are registered with their tokens; a request with the wrong token is refused as Meta refuses it, and the
//! journal says whose token it was. Messages and files are checked as Meta checks them. After an accepted message the
//! statuses go back to the webhook, signed. Rates and windows are not enforced: [`Faults`] produces every refusal, delay
//! and lost answer on demand instead.
//!
//! A client that goes away does not undo its request: what has arrived is decided and recorded, as at Meta.

mod account;
mod attachment;
mod business;
mod call;
mod chances;
mod content;
mod faults;
mod interactive;
mod kinds;
mod media;
mod messages;
mod refusal;
mod registry;
mod routes;
mod statuses;
mod tokens;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::SecretString;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use business::Business;
pub use chances::Chances;
pub use faults::{Attempt, Call, Fault, Faults, Where};
pub use media::StoredMedia;
pub use refusal::Refusal;
pub use statuses::StatusPlan;

use crate::{
    Journal, Seed,
    serving::Serving,
    webhook::{Ids, Media, Patience, Sender},
};

/// A Meta app: whose secret signs webhooks and proves tokens.
#[derive(Debug, Clone)]
pub struct App {
    /// The app id.
    pub id: String,
    /// The app secret.
    pub secret: SecretString,
}

impl App {
    /// An app whose id does not matter: `1000000000000001`.
    pub fn new(secret: SecretString) -> Self {
        Self { id: "1000000000000001".to_owned(), secret }
    }
}

/// How a stand-in for Meta is started.
#[derive(Debug, Clone)]
pub struct MetaOptions {
    /// Where it listens; port 0 takes any free one.
    pub addr: SocketAddr,
    /// Where statuses are posted; nowhere if none.
    pub webhook_url: Option<String>,
    /// The apps, the first one being the default. Without any, webhooks are not signed and proofs not checked.
    pub apps: Vec<App>,
    /// Whether any number and any token will do.
    pub open: bool,
    /// What is reported back after a send.
    pub statuses: StatusPlan,
    /// How webhooks are repeated.
    pub patience: Patience,
    /// Decides ids and chance.
    pub seed: Seed,
    /// Where everything is recorded.
    pub journal: Journal,
}

impl Default for MetaOptions {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            webhook_url: None,
            apps: Vec::new(),
            open: false,
            statuses: StatusPlan::default(),
            patience: Patience::default(),
            seed: Seed(1),
            journal: Journal::in_memory(),
        }
    }
}

impl MetaOptions {
    /// One app with this secret.
    #[must_use]
    pub fn with_app_secret(self, secret: &str) -> Self {
        Self { apps: vec![App::new(SecretString::from(secret))], ..self }
    }

    /// Statuses go to this URL.
    #[must_use]
    pub fn with_webhook_url(self, url: impl Into<String>) -> Self {
        Self { webhook_url: Some(url.into()), ..self }
    }

    /// Everything is recorded here.
    #[must_use]
    pub fn with_journal(self, journal: &Journal) -> Self {
        Self { journal: journal.clone(), ..self }
    }
}

/// A running stand-in for Meta. Dropping it cuts every connection and stops its statuses.
#[derive(Debug)]
pub struct Meta {
    serving: Serving,
    state: Arc<State>,
}

/// What the tasks of one stand-in share.
#[derive(Debug)]
struct State {
    options: MetaOptions,
    addr: SocketAddr,
    registry: registry::Registry,
    media: media::Store,
    /// Where files are said to be; none for this very server.
    media_host: std::sync::RwLock<Option<String>>,
    faults: Faults,
    plan: std::sync::RwLock<StatusPlan>,
    /// Of tokens that are exchanged; none: they never end.
    token_lifetime: std::sync::RwLock<Option<Duration>>,
    /// Whether a token alone is not enough.
    proof_required: AtomicBool,
    ids: Ids,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Meta {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(options: MetaOptions) -> io::Result<Self> {
        let mut made = None;
        let serving = Serving::start(options.addr, |addr, tasks, stop| {
            let state = Arc::new(State::new(options, addr, tasks.clone(), stop.clone()));
            made = Some(state.clone());
            routes::router(state)
        });
        let serving = serving.await?;
        Ok(Self { serving, state: made.expect("the server asked for its router") })
    }

    /// The base URL without a version, such as `http://127.0.0.1:8200`.
    pub fn url(&self) -> String {
        format!("http://{}", self.serving.addr)
    }

    /// The base URL as a worker is given it.
    pub fn graph_url(&self) -> String {
        format!("{}/v25.0", self.url())
    }

    /// Where everything is recorded.
    pub fn journal(&self) -> &Journal {
        &self.state.options.journal
    }

    /// The faults, to add to.
    pub fn faults(&self) -> &Faults {
        &self.state.faults
    }

    /// Makes a business's number and token known. Several numbers of one business have one name.
    pub fn register(&self, business: Business) {
        self.state.registry.register(business);
    }

    /// Gives a business one more token; the others keep working.
    pub fn grant(&self, business: &str, token: &SecretString) {
        self.state.registry.grant(business, token, None);
    }

    /// The same, with a token that ends after that time.
    pub fn grant_for(&self, business: &str, token: &SecretString, lifetime: Duration) {
        self.state.registry.grant(business, token, Some(tokens::end_of(lifetime)));
    }

    /// Changes how long tokens last that are exchanged from now on, 60 days at first; none: for ever, and then the
    /// answer does not say.
    pub fn exchange_for(&self, lifetime: Option<Duration>) {
        *self.state.token_lifetime.write().expect("no code panics while it holds this lock") = lifetime;
    }

    /// Whether every request to Graph needs an `appsecret_proof` from now on, as where an app has "Require App Secret"
    /// switched on. Downloads need none: files lie elsewhere.
    pub fn require_proofs(&self, required: bool) {
        self.state.proof_required.store(required, Ordering::Relaxed);
    }

    /// Makes a token invalid, so that Meta answers 190.
    pub fn revoke(&self, token: &SecretString) {
        self.state.registry.revoke(token);
    }

    /// Ends a token at that time, which may have passed.
    pub fn expire(&self, token: &SecretString, at: jiff::Timestamp) {
        self.state.registry.change(token, |grant| grant.expires_at = Some(at.as_second()));
    }

    /// Leaves a token these scopes only.
    pub fn limit(&self, token: &SecretString, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.state.registry.change(token, |grant| grant.scopes = scopes);
    }

    /// Takes the app's subscription to an account away, until somebody asks for it again. Webhooks are sent all the
    /// same: who sends one wants it to arrive.
    pub fn unsubscribe(&self, waba_id: &str) {
        self.state.registry.unsubscribe(waba_id);
    }

    /// Links a customer's phone number and user id, so that statuses name both.
    pub fn introduce(&self, customer: &crate::Customer) {
        self.state.registry.introduce(customer);
    }

    /// Changes what is reported back, from the next send on.
    pub fn report(&self, plan: StatusPlan) {
        *self.state.plan.write().expect("no code panics while it holds this lock") = plan;
    }

    /// Stores a customer's file, to be put into a [`crate::webhook::Content`].
    pub fn store_media(&self, business: &Business, mime_type: &str, bytes: impl Into<bytes::Bytes>) -> Media {
        self.state.store_media(&business.phone_number_id, mime_type, bytes.into())
    }

    /// From now on the URL of each file is `BASE_URL/MEDIA_ID`, at another server, such as a [`crate::Host`].
    pub fn serve_media_from(&self, base_url: impl Into<String>) {
        let host = base_url.into().trim_end_matches('/').to_owned();
        *self.state.media_host.write().expect("no code panics while it holds this lock") = Some(host);
    }

    /// A file that is in the store, such as one that the worker uploaded.
    pub fn media(&self, id: &str) -> Option<StoredMedia> {
        self.state.media.get(id)
    }

    /// Puts a file back under the id that an earlier run gave it: at Meta a file outlives whoever sent it.
    pub fn restore_media(&self, id: &str, media: StoredMedia) {
        self.state.media.restore(id, media);
    }

    /// Forgets a file; whoever asks for it is told that there is none.
    pub fn forget_media(&self, id: &str) {
        self.state.media.forget(id);
    }

    /// Reports what became of a message that an earlier run accepted, as if it was accepted now. Without a webhook URL,
    /// or where it was not accepted, nothing is reported.
    pub fn report_again(&self, send: &crate::journal::GraphSend) {
        if let Some(wamid) = send.wamid.as_deref().filter(|_| send.is_accepted()) {
            self.state.report_back(self.state.accepted(send, wamid), None);
        }
    }

    /// A sender of webhooks which signs as this business's app and shares the journal and the seed.
    ///
    /// # Panics
    /// Where no webhook URL was configured.
    pub fn sender(&self, business: &Business) -> Sender {
        self.state.sender(business).expect("MetaOptions::webhook_url is set")
    }

    /// Cuts every connection and waits until all has ended. Statuses under way are given up.
    pub async fn stop(&self) {
        self.serving.stop().await;
    }
}

impl State {
    fn new(options: MetaOptions, addr: SocketAddr, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let senders = options.webhook_url.as_deref().map(|url| registry::senders(url, &options));
        Self {
            addr,
            registry: registry::Registry::new(senders),
            media: media::Store::default(),
            media_host: std::sync::RwLock::default(),
            faults: Faults::default(),
            plan: std::sync::RwLock::new(options.statuses.clone()),
            token_lifetime: std::sync::RwLock::new(Some(tokens::LIFETIME)),
            proof_required: AtomicBool::new(false),
            ids: Ids::new(options.seed, "outbound"),
            options,
            tasks,
            stop,
        }
    }

    /// The app that a business belongs to: the one it names, else the first.
    fn app(&self, business: Option<&Business>) -> Option<&App> {
        let id = business.and_then(|business| business.app_id.as_deref());
        match id {
            Some(id) => self.options.apps.iter().find(|app| app.id == id),
            None => self.options.apps.first(),
        }
    }

    fn sender(&self, business: &Business) -> Option<Sender> {
        self.registry.sender(self.app(Some(business)).map(|app| app.id.as_str()))
    }
}
