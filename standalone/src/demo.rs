//! The demonstration: stand-ins for Meta and, without a key, for the AI; two demo businesses; and the page.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use axum::Router;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use simulator::{
    Ai, AiOptions, Business, Journal, Meta, MetaOptions, Seed,
    demo::{self, Language},
    phone::{Phone, PhoneBusiness, PhoneOptions},
};
use worker::{business::TokenCipher, intake::Intake, settings::AnsweringSettings, store::Store};

use crate::{backstage::Backstage, settings::DemoSettings};

const BUSINESSES: &str = include_str!("../../deploy/demo/businesses.json");
/// Events that the stand-ins remember: what the page shows of them is older nowhere.
const JOURNAL_EVENTS: usize = 10_000;

/// Everything that stands in for something.
#[derive(Debug)]
pub struct Demo {
    meta: Arc<Meta>,
    ai: Option<Arc<Ai>>,
    phone: Phone,
    businesses: Vec<PhoneBusiness>,
    backstage: Arc<Late>,
}

impl Demo {
    /// Starts the stand-ins, points the settings at them, and puts the demo businesses into the store.
    ///
    /// # Errors
    /// A port cannot be bound, the page's file cannot be used, or the store does not take the businesses.
    pub async fn start(
        settings: &DemoSettings,
        addr: SocketAddr,
        answering: &mut AnsweringSettings,
        db: &Path,
        store: &Arc<dyn Store>,
    ) -> anyhow::Result<Self> {
        let documents: Vec<Map<String, Value>> =
            serde_json::from_str(BUSINESSES).context("read the demo businesses")?;
        let journal = Journal::of_the_last(JOURNAL_EVENTS);
        let options = MetaOptions {
            webhook_url: Some(format!("http://{}/webhook", reachable(addr))),
            seed: Seed::random(),
            ..MetaOptions::default()
        };
        let options = options.with_app_secret(settings.app_secret.expose_secret()).with_journal(&journal);
        let meta = Arc::new(Meta::start(options).await.context("start the stand-in for Meta")?);
        answering.graph_url = meta.graph_url();
        let ai = match settings.ai_stands_in {
            true => Some(start_ai(&journal, answering).await?),
            false => None,
        };
        let businesses: Vec<PhoneBusiness> = documents.iter().filter_map(presented).collect();
        let cipher = TokenCipher::new(&answering.encryption);
        refuse_real_businesses(&**store, &cipher, &businesses, db).await?;
        let backstage = Arc::new(Late::default());
        let options = PhoneOptions {
            businesses: businesses.clone(),
            backstage: Some(backstage.clone()),
            file: Some(chats_of(db)),
            hosts: Vec::new(),
        };
        let phone = Phone::new(options, Arc::clone(&meta), ai.clone())
            .with_context(|| format!("open the page's chats, {}", chats_of(db).display()))
            .context("another standalone may have this file; name another one with --db")?;
        // Whoever has the page has the file: the tokens in it are for this start's secret.
        for (business, document) in businesses.iter().zip(documents) {
            meta.register(business.business.clone());
            put(&**store, &cipher, &business.business, document).await?;
        }
        Ok(Self { meta, ai, phone, businesses, backstage })
    }

    /// The page, beside the paths for webhooks.
    pub fn router(&self) -> Router {
        self.phone.router()
    }

    /// Whom one can write to.
    pub fn businesses(&self) -> &[PhoneBusiness] {
        &self.businesses
    }

    /// Whether rules answer in the AI's place.
    pub fn ai_stands_in(&self) -> bool {
        self.ai.is_some()
    }

    /// From now on the page can show conversations.
    pub fn watch(&self, intake: &Intake) {
        self.backstage.set(Backstage::new(intake));
    }

    /// Ends the page's connections, and what it posts.
    pub async fn leave_the_page(&self) {
        self.phone.stop().await;
    }

    /// Ends the stand-ins.
    pub async fn stop(&self) {
        self.meta.stop().await;
        if let Some(ai) = &self.ai {
            ai.stop().await;
        }
    }
}

async fn start_ai(journal: &Journal, answering: &mut AnsweringSettings) -> anyhow::Result<Arc<Ai>> {
    let ai = Ai::start(AiOptions::default().with_journal(journal)).await.context("start the stand-in for the AI")?;
    demo::install(&ai);
    answering.ai.base_url = ai.url();
    if let Some(speech) = &mut answering.ai.speech {
        speech.base_url = ai.speech_url();
    }
    Ok(Arc::new(ai))
}

/// A business as the page presents it.
fn presented(document: &Map<String, Value>) -> Option<PhoneBusiness> {
    let text = |field: &str| document.get(field).and_then(Value::as_str);
    let companion = |field: &str| document.get("companion")?.get(field)?.as_str();
    let number = document.get("whatsappPhoneNumberIds")?.get(0)?.as_str()?;
    let business = Business::new(text("subDomain")?, number).with_waba_id(text("wabaId")?);
    let language = companion("language").and_then(Language::named).unwrap_or(Language::English);
    let tag = match language {
        Language::English => "en",
        Language::Spanish => "es",
    };
    Some(PhoneBusiness {
        business,
        title: text("name")?.to_owned(),
        about: companion("scope").unwrap_or_default().to_owned(),
        language: tag.to_owned(),
        suggestions: demo::suggestions(language).iter().map(|text| (*text).to_owned()).collect(),
    })
}

/// A demonstration would answer the waiting customers of a real business by a stand-in for Meta, which takes nothing of
/// theirs: their messages would be buried. Real is one whose token can be read, besides the demonstration's own.
async fn refuse_real_businesses(
    store: &dyn Store,
    cipher: &TokenCipher,
    ours: &[PhoneBusiness],
    db: &Path,
) -> anyhow::Result<()> {
    for record in store.businesses().await? {
        let is_ours = ours.iter().any(|ours| Some(ours.business.name.as_str()) == record.subdomain.as_deref());
        let is_read = record.access_token.as_ref().is_some_and(|token| cipher.decrypt(token).is_ok());
        anyhow::ensure!(
            is_ours || !is_read,
            "{} serves a real business, `{}`: set WHATSAPP_APP_SECRET and WHATSAPP_VERIFY_TOKEN to serve it, or name another \
             file for a demonstration with --db",
            db.display(),
            record.subdomain.as_deref().unwrap_or(&record.id)
        );
    }
    Ok(())
}

/// Adds a demo business. One that is there keeps its settings, and gets a token that this start's secret decrypts.
async fn put(
    store: &dyn Store,
    cipher: &TokenCipher,
    business: &Business,
    mut document: Map<String, Value>,
) -> anyhow::Result<()> {
    let is_there = !store.businesses_with_subdomain(&business.name).await?.is_empty();
    if is_there {
        document.clear();
    }
    let token = SecretString::from(business.token.expose_secret());
    document.insert("whatsappAccessToken".to_owned(), Value::from(cipher.encrypt(&token)));
    store.put_business(&business.name, &document).await.context("put the demo businesses into the file")?;
    Ok(())
}

/// Where the stand-in for Meta finds us: a process that listens everywhere listens here.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port())),
        SocketAddr::V4(_) | SocketAddr::V6(_) => addr,
    }
}

/// The page's own file, beside the database: what the phone remembers is no business of the store's.
fn chats_of(db: &Path) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(".phone");
    PathBuf::from(name)
}

/// A backstage that is known later than the page: the engine behind it needs to know where the stand-ins are.
#[derive(Debug, Default)]
struct Late(std::sync::OnceLock<Backstage>);

impl Late {
    fn set(&self, backstage: Backstage) {
        // Once a start.
        drop(self.0.set(backstage));
    }
}

#[async_trait::async_trait]
impl simulator::phone::Backstage for Late {
    async fn conversation(&self, phone_number_id: &str, customer: &simulator::Customer) -> Option<Value> {
        self.0.get()?.conversation(phone_number_id, customer).await
    }
}
