//! `standalone import`: the businesses of an installation on MongoDB, with everything that stands in their documents.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use shared::settings::Reader;
use worker::{
    command::Failure,
    settings::StoreSettings,
    store::{Businesses, MongoStore, Store},
};

use crate::{settings::path_of, store::SqliteStore};

/// `standalone import`.
#[derive(Debug, Args)]
pub struct ImportCommand {
    /// Where they are: `mongodb://…` or `mongodb+srv://…`; without it, what MONGODB_URI says
    #[arg(long, value_name = "URI")]
    pub from: Option<String>,
    /// The database there [default: switchboard, or MONGODB_DB_NAME]
    #[arg(long, value_name = "NAME")]
    pub from_db: Option<String>,
}

/// Copies them. One that is here already, by its subdomain, gets the fields of the other.
///
/// # Errors
/// [`Failure`].
pub async fn execute(command: ImportCommand, reader: Reader, db: Option<PathBuf>) -> Result<(), Failure> {
    let reader = command.from.iter().fold(reader, |reader, uri| reader.with("MONGODB_URI", uri));
    let mut reader = command.from_db.iter().fold(reader, |reader, name| reader.with("MONGODB_DB_NAME", name));
    let (settings, path) = (StoreSettings::read(&mut reader), path_of(&mut reader, db));
    reader.finish()?;
    let settings = settings.expect("what is missing was noted, and ended the reading");
    Ok(import(&settings, &path).await?)
}

async fn import(settings: &StoreSettings, path: &std::path::Path) -> anyhow::Result<()> {
    let there = MongoStore::open(settings).await?;
    let documents = there.business_documents(None).await.context("read the businesses")?;
    there.close().await;
    let here = SqliteStore::open(path)?;
    let done = put_all(&here, documents, path).await;
    here.close().await;
    done
}

#[expect(clippy::print_stdout, reason = "the command line's own output")]
async fn put_all(here: &SqliteStore, documents: Vec<Value>, path: &std::path::Path) -> anyhow::Result<()> {
    let (mut count, mut skipped) = (0, 0);
    for document in documents {
        let Some(subdomain) = document.get("subDomain").and_then(Value::as_str).map(str::to_owned) else {
            skipped += 1;
            continue;
        };
        let added = here.take_over_business(&subdomain, document).await?;
        println!("{} {subdomain}", if added { "added" } else { "changed" });
        count += 1;
    }
    println!(
        "{count} businesses are in {}. Their tokens stay encrypted: set ENCRYPTION_SECRET as it is there.",
        path.display()
    );
    if skipped > 0 {
        println!("{skipped} have no `subDomain` and were left out.");
    }
    Ok(())
}
