//! The store in one SQLite file, for one machine.
//!
//! The tables are MongoDB's collections, and their rows its documents, as JSON. An operation on a conversation is the
//! method of [`worker::conversation::state::State`] of the same name, applied in a transaction; what takes MongoDB several
//! steps over several documents is one transaction here. What an operation wrote is on the disk when it answers.
//!
//! Several processes may have the file open, such as the server and its command line.

mod database;
mod schema;
mod error;
mod row;
mod stored;
mod conversations;
mod people;
mod merges;
mod forgetting;
mod identities;
mod businesses;
mod tokens;
mod condition;
mod events;
mod accounts;
mod transcript;
mod story;
mod dead_letters;
mod filed_letters;
mod closed;
mod erasure;
mod customers;
mod traces;
mod knowledge;
mod usage;
mod days;

use std::path::Path;

use anyhow::Context;
use async_trait::async_trait;
use worker::store::{Result, Store};

use database::Database;

/// The store of one installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Opens the file, or begins it.
    ///
    /// # Errors
    /// It cannot be opened or written, is no database, or was written by a newer version of this program.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let database = Database::open(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { database })
    }

    /// Opens the file, which must be there.
    ///
    /// # Errors
    /// It is not there, or as with [`Self::open`].
    pub fn open_existing(path: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            path.exists(),
            "there is no {}: start `standalone` once, or name another file with --db",
            path.display()
        );
        Self::open(path)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn prepare(&self) -> anyhow::Result<()> {
        // Opening the file made the tables.
        Ok(self.ping().await?)
    }

    async fn ping(&self) -> Result<()> {
        self.database.write(|_, _| Ok(())).await
    }

    async fn close(&self) {
        self.database.close().await;
    }
}
