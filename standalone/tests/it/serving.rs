//! Standalone as a small business runs it: with credentials, Meta and the AI stood in for by the simulator outside.

use std::{net::SocketAddr, path::Path, sync::Arc};

use secrecy::SecretString;
use serde_json::json;
use simulator::{Ai, AiOptions, Business, Customer, Journal, Meta, MetaOptions, Seed, webhook::Patience};
use worker::{business::TokenCipher, settings::EncryptionSettings};

use super::process::{PATIENCE, Process, free_addr, run};

pub(crate) const APP_SECRET: &str = "the-app-secret-of-the-test";
const VERIFY_TOKEN: &str = "the-verify-token-of-the-test";
pub(crate) const ENCRYPTION_SECRET: &str = "the-encryption-secret-of-the-test";

/// A running installation.
pub(crate) struct Installation {
    pub(crate) meta: Arc<Meta>,
    pub(crate) ai: Ai,
    pub(crate) journal: Journal,
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
    environment: Vec<(&'static str, String)>,
    directory: tempfile::TempDir,
    logs: Vec<String>,
}

impl Installation {
    /// Starts it with these businesses, and whatever else stands in the environment.
    pub(crate) async fn start(businesses: &[(Business, serde_json::Value)], more: &[(&'static str, &str)]) -> Self {
        Self::start_before(Patience::default(), businesses, more).await
    }

    /// The same before a Meta that repeats webhooks like this.
    pub(crate) async fn start_before(
        patience: Patience,
        businesses: &[(Business, serde_json::Value)],
        more: &[(&'static str, &str)],
    ) -> Self {
        shared::install_tls_provider();
        let (journal, addr) = (Journal::in_memory(), free_addr());
        let options = MetaOptions { seed: Seed::random(), patience, ..MetaOptions::default() };
        let options = options.with_app_secret(APP_SECRET).with_webhook_url(format!("http://{addr}/webhook"));
        let meta = Arc::new(Meta::start(options.with_journal(&journal)).await.expect("a port"));
        let ai = Ai::start(AiOptions::default().with_journal(&journal)).await.expect("a port");
        let mut environment = vec![
            ("WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN.to_owned()),
            ("WHATSAPP_APP_SECRET", APP_SECRET.to_owned()),
            ("ENCRYPTION_SECRET", ENCRYPTION_SECRET.to_owned()),
            ("GRAPH_API_URL", meta.graph_url()),
            ("AI_API_URL", ai.url()),
            ("INGEST_ADDR", addr.to_string()),
            ("METRICS_ADDR", "127.0.0.1:0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", "debug,hyper=info,h2=info,reqwest=info,rustls=info".to_owned()),
        ];
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let directory = tempfile::tempdir().expect("a directory");
        import(businesses, &environment, directory.path());
        businesses.iter().for_each(|(business, _)| meta.register(business.clone()));
        let process = Process::start(&[], &environment, directory.path());
        let mut started = Self { meta, ai, journal, process, addr, environment, directory, logs: Vec::new() };
        started.ready().await;
        started
    }

    async fn ready(&mut self) {
        self.process.wait_for("listening for webhooks").await;
    }

    /// Starts it again on the same file.
    pub(crate) async fn restart(&mut self) {
        self.logs.push(self.process.log());
        self.process = Process::start(&[], &self.environment, self.directory.path());
        self.ready().await;
    }

    /// Runs a command of the program beside it.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Output {
        run(arguments, &self.environment, self.directory.path())
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The logs of all its lives.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.logs.iter().cloned().chain([self.process.log()]).collect()
    }

    /// A customer writes, and Meta delivers until it is acknowledged.
    pub(crate) async fn write(&self, business: &Business, customer: &Customer, text: &str) {
        self.meta.sender(business).text(business, customer, text).await.expect("it is acknowledged");
    }

    /// Waits until that many messages of a business have reached a customer, and gives their words.
    pub(crate) async fn received(&self, business: &Business, customer: &Customer, count: usize) -> Vec<String> {
        let (number, id) = (business.phone_number_id.clone(), customer.wa_id.clone().expect("the number is known"));
        let texts = |journal: &Journal| journal.texts_for(&number, &id);
        let waited = self.journal.wait_until(|journal| texts(journal).len() >= count, PATIENCE).await;
        assert!(waited.is_ok(), "no answer:\n{}", self.process.log());
        texts(&self.journal)
    }
}

/// Puts businesses into the file by the command line, as an operator does.
fn import(businesses: &[(Business, serde_json::Value)], environment: &[(&'static str, String)], directory: &Path) {
    let encryption = EncryptionSettings { current: SecretString::from(ENCRYPTION_SECRET), previous: None };
    let cipher = TokenCipher::new(&encryption);
    let entry = |(business, companion): &(Business, serde_json::Value)| {
        json!({
            "subDomain": business.name,
            "name": business.name,
            "wabaId": business.waba_id,
            "whatsappPhoneNumberIds": [business.phone_number_id],
            "whatsappAccessToken": cipher.encrypt(&business.token),
            "whatsappEnabled": true,
            "isActive": true,
            "companion": companion,
        })
    };
    let entries: Vec<_> = businesses.iter().map(entry).collect();
    let file = directory.join("businesses.json");
    std::fs::write(&file, serde_json::to_string(&entries).expect("JSON")).expect("written");
    std::fs::File::create(directory.join("switchboard.db")).expect("an empty file is a database, too");
    let done = run(&["business", "import", "businesses.json"], environment, directory);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
