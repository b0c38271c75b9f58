//! How the file is, for who looks after an installation.

use async_trait::async_trait;
use worker::store::{Inspected, Result, StoreCondition, StoreFault};

use super::{SqliteStore, error::Broken};

const WHOLE: &str = "ok";

#[async_trait]
impl Inspected for SqliteStore {
    async fn condition(&self) -> Result<StoreCondition> {
        let checked = |connection: &rusqlite::Connection| -> rusqlite::Result<String> {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        };
        let checked = self.database.read(move |connection, _| checked(connection).map_err(Broken::from)).await?;
        let mend = "stop the program, keep the file, and go on with a backup of it (sqlite3 FILE \".recover\" saves what it can)";
        let fault = StoreFault::new("file", "it is damaged: a part of it cannot be read", mend);
        let faults = Some(fault).filter(|_| checked != WHOLE).into_iter().collect();
        Ok(StoreCondition { server: format!("SQLite {}", rusqlite::version()), faults })
    }
}
