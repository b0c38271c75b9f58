//! `worker doctor`: looks at the whole chain, from the configuration to each business at Meta, and says what is wrong and
//! how to mend it.
//!
//! Each part has a module that judges, and whoever is asked knows nothing of the judgement: so the judgements are tested
//! by themselves. Whatever is away keeps nobody from looking at the rest. Nothing is changed, and every question has its
//! time. No check holds a token or a secret.

mod check;
mod configuration;
mod rabbitmq;
mod database;
mod encryption;
mod ai;
mod meta;
mod examinee;
mod verdict;
mod business;
mod table;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use clap::Args;
use shared::{broker, settings::Reader};

use self::{
    business::Outside,
    check::{Check, Part, Report},
    configuration::Told,
    examinee::Examinee,
    table::counted,
};
use super::{Failure, business::say};
use crate::{
    business::{Origin, TokenCipher, check_documents},
    http,
    store::{BusinessRecord, Store, StoreCondition, in_time},
    whatsapp::Graph,
};

/// Businesses and voices that are asked about at once.
const AT_ONCE: usize = 8;
/// Sends have their own; the doctor sends nothing.
const NO_SEND: Duration = Duration::from_secs(1);

/// `worker doctor`.
#[derive(Debug, Args)]
pub struct DoctorCommand {
    /// Only the business with this `subDomain`, and what it takes to serve it
    pub subdomain: Option<String>,
    /// Print JSON: `{errors, warnings, checks: [{part, subject, severity, problem, mend}]}`
    #[arg(long)]
    pub json: bool,
}

/// Where messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From RabbitMQ.
    Queues,
    /// From Meta itself.
    Direct,
}

/// Examines the installation. `find` reads how the database is found, and gives what opens it.
///
/// # Errors
/// Something is wrong: warnings are not. Or there is no business of that subdomain.
pub async fn examine<F>(
    command: DoctorCommand,
    mut reader: Reader,
    source: Source,
    find: impl FnOnce(&mut Reader) -> Option<F>,
) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    let told = Told::read(&mut reader, source);
    let opening = find(&mut reader);
    let problems = reader.finish().err();
    let mut checks = configuration::judge(problems.as_ref(), &told);
    if let Some(settings) = &told.broker {
        checks.extend(rabbitmq::judge(&broker::inspect(settings).await));
    }
    let mut examinees: Vec<_> = told.fallback.iter().map(Examinee::fallback).collect();
    if let Some(opening) = opening {
        let (found, of_database) = read_store(opening, &told, command.subdomain.as_deref()).await;
        if let (Some(subdomain), Some([])) = (&command.subdomain, found.as_deref()) {
            return Err(anyhow!("no business has the subdomain `{subdomain}`; `worker business list` shows all").into());
        }
        checks.extend(of_database);
        examinees.extend(found.unwrap_or_default());
    }
    if command.subdomain.is_some() {
        examinees.retain(|examinee| Some(&examinee.subject) == command.subdomain.as_ref());
    }
    checks.extend(ask_outside(&told, &examinees).await?);
    tell(&Report::of(checks), command.json)
}

fn tell(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        say(&serde_json::to_string_pretty(report).map_err(anyhow::Error::from)?);
    } else {
        table::print(report);
    }
    match report.errors {
        0 => Ok(()),
        errors => Err(anyhow!("{}; each is named above, with what to do about it", counted(errors, "error")).into()),
    }
}

/// The database, and the businesses in it; none where it does not answer.
async fn read_store<F>(opening: F, told: &Told, subdomain: Option<&str>) -> (Option<Vec<Examinee>>, Vec<Check>)
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    let store = match opening.await {
        Ok(store) => store,
        Err(error) => return (None, database::judge(&Err(error))),
    };
    let condition: anyhow::Result<StoreCondition> = in_time(store.condition()).await.map_err(anyhow::Error::from);
    let mut checks = database::judge(&condition);
    let cipher = told.encryption.as_ref().map(TokenCipher::new);
    let mut examinees = None;
    if condition.is_ok() {
        match read_businesses(&*store, cipher.as_ref(), subdomain).await {
            Ok((records, read)) => {
                checks.extend(cipher.map(|cipher| encryption::examine(&records, &cipher)));
                if records.is_empty() {
                    let found = "no business has WhatsApp yet (`worker business add`)";
                    checks.push(Check::ok(Part::Business, "businesses", found));
                }
                examinees = Some(read);
            }
            Err(error) => checks.extend(database::judge(&Err(error))),
        }
    }
    store.close().await;
    (examinees, checks)
}

async fn read_businesses(
    store: &dyn Store,
    cipher: Option<&TokenCipher>,
    subdomain: Option<&str>,
) -> anyhow::Result<(Vec<BusinessRecord>, Vec<Examinee>)> {
    let records = match subdomain {
        Some(subdomain) => in_time(store.businesses_with_subdomain(subdomain)).await,
        None => in_time(store.businesses()).await,
    };
    let records = records.context("read the businesses")?;
    // All of them: two may claim one number.
    let documents = in_time(store.business_documents(subdomain)).await.context("read the businesses")?;
    let checked = check_documents(&documents, Origin::Database, cipher);
    let examinees = records.iter().map(|record| Examinee::new(record, &checked, cipher)).collect();
    Ok((records, examinees))
}

/// The AI, Meta, and the businesses at both.
async fn ask_outside(told: &Told, examinees: &[Examinee]) -> anyhow::Result<Vec<Check>> {
    let client = http::client().context("set up the HTTP client")?;
    let graph = Graph::new(client, told.graph_url.clone(), NO_SEND).proving(told.apps.clone());
    let ai_client = told.ai.client().context("set up the AI's HTTP client")?;
    let (answers, (is_there, mut checks)) = tokio::join!(
        ai::ask(&ai_client, &told.ai, examinees),
        meta::look_at_apps(&graph, told.apps.as_slice(), &told.graph_url)
    );
    let answers = answers.context("set up the AI's client")?;
    checks.extend(ai::judge(&answers));
    let outside = Outside {
        graph: Some(&graph).filter(|_| is_there),
        apps: told.apps.as_slice(),
        ai: Some(&answers).filter(|answers| answers.tell_models()),
    };
    checks.extend(outside.examine(examinees).await);
    Ok(checks)
}
