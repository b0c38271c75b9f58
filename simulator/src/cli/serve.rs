//! `simulator serve`: both stand-ins on fixed addresses, and on the terminal what customers receive.
//!
//! Any number and any token will do, unless `--strict`: then the token of a business is `token-of-NAME`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use shared::shutdown::Shutdown;
use simulator::{
    Ai, AiOptions, Business, Journal, Meta, MetaOptions, Phone, PhoneBusiness, PhoneOptions, Seed, demo, meta::App,
};

use super::show;

/// How much of the journal is kept where it is not written to a file.
const MAX_ENTRIES: usize = 10_000;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where the Graph API is served.
    #[arg(long, default_value = "127.0.0.1:8200")]
    graph_addr: SocketAddr,
    /// Where chat, transcription and speech are served.
    #[arg(long, default_value = "127.0.0.1:8201")]
    ai_addr: SocketAddr,
    /// Where ingest takes webhooks, for the statuses.
    #[arg(long, value_parser = super::url, default_value = "http://127.0.0.1:8000/webhook")]
    webhook_url: String,
    /// A business, for its name on the terminal; repeat it for several.
    #[arg(long = "business", value_name = "NAME=PHONE_NUMBER_ID", value_parser = super::business)]
    businesses: Vec<Business>,
    /// Accept only the businesses given, each with the token `token-of-NAME`.
    #[arg(long)]
    strict: bool,
    /// Write everything that happens to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Serve a page on which a person is the customer, such as on 127.0.0.1:8202; for the businesses that are given.
    #[arg(long, value_name = "ADDRESS", requires = "businesses")]
    phone_addr: Option<SocketAddr>,
    /// Keep the chats of that page in this file, over restarts.
    #[arg(long, value_name = "FILE", requires = "phone_addr", conflicts_with = "seed")]
    phone_file: Option<PathBuf>,
    /// Make ids and chance repeatable.
    #[arg(long)]
    seed: Option<u64>,
}

impl Serve {
    pub(super) async fn run(self, apps: Vec<App>) -> anyhow::Result<ExitCode> {
        let shutdown = Shutdown::on_signals(Duration::from_secs(5)).context("listen to signals")?;
        let journal = match &self.journal {
            Some(path) => Journal::to_file(path).with_context(|| format!("create {}", path.display()))?,
            // It may run for weeks.
            None => Journal::of_the_last(MAX_ENTRIES),
        };
        let seed = self.seed.map_or_else(Seed::random, Seed);
        let signed = !apps.is_empty();
        let options = MetaOptions {
            addr: self.graph_addr,
            webhook_url: Some(self.webhook_url.clone()),
            apps,
            open: !self.strict,
            seed,
            journal: journal.clone(),
            ..MetaOptions::default()
        };
        let meta = Meta::start(options).await.with_context(|| format!("bind {}", self.graph_addr))?;
        let options = AiOptions { addr: self.ai_addr, seed, journal: journal.clone(), ..AiOptions::default() };
        let ai = Ai::start(options).await.with_context(|| format!("bind {}", self.ai_addr))?;
        demo::install(&ai);
        for business in &self.businesses {
            meta.register(business.clone());
        }
        let (meta, ai) = (Arc::new(meta), Arc::new(ai));
        show::greeting(&meta, &ai, &self.webhook_url, signed);
        let phone = self.phone(&meta, &ai).await?;
        tokio::select! {
            () = show::follow(&journal) => {}
            // What is under way is a simulation: nothing is lost with it.
            () = shutdown.draining.cancelled() => {}
        }
        if let Some(phone) = phone {
            phone.stop().await;
        }
        meta.stop().await;
        ai.stop().await;
        Ok(ExitCode::SUCCESS)
    }

    /// The page, where it is wanted. Whoever serves it elsewhere than on loopback may reach it under that address.
    async fn phone(&self, meta: &Arc<Meta>, ai: &Arc<Ai>) -> anyhow::Result<Option<Phone>> {
        let Some(addr) = self.phone_addr else { return Ok(None) };
        let options = PhoneOptions {
            businesses: self.businesses.iter().cloned().map(PhoneBusiness::new).collect(),
            file: self.phone_file.clone(),
            hosts: vec![addr.ip().to_string()],
            ..PhoneOptions::default()
        };
        let phone = Phone::new(options, meta.clone(), Some(ai.clone())).context("read the file of the chats")?;
        let addr = phone.serve(addr).await.with_context(|| format!("bind {addr}"))?;
        show::line(&format!("phone      http://{addr}/"));
        Ok(Some(phone))
    }
}
