//! What Meta lets accounts do: one standing an account, in which each cause only ever goes forward in time.

use async_trait::async_trait;
use rusqlite::params;
use serde_json::Value;
use shared::ids::WabaId;
use worker::{
    account::{AccountStanding, StandingChange},
    store::{Accounts, KeptEvent, Result},
};

use super::{
    SqliteStore,
    row::{Row, Table, text, time_in},
};

const STANDINGS: Table = Table::AccountStanding;

#[async_trait]
impl Accounts for SqliteStore {
    async fn change_standing(&self, waba_id: &WabaId, changes: &[StandingChange]) -> Result<()> {
        let (id, changes) = (waba_id.expose().to_owned(), changes.to_vec());
        self.database
            .write(move |connection, _| {
                let known: Option<AccountStanding> = STANDINGS.get(connection, &id)?;
                let mut standing = known.unwrap_or_else(|| AccountStanding::new(&id));
                changes.iter().for_each(|change| standing.apply(change));
                STANDINGS.put(connection, &id, &standing)
            })
            .await
    }

    async fn standing(&self, waba_id: &WabaId) -> Result<Option<AccountStanding>> {
        let id = waba_id.expose().to_owned();
        self.database.read(move |connection, _| STANDINGS.get(connection, &id)).await
    }

    async fn standings(&self) -> Result<Vec<AccountStanding>> {
        let found =
            self.database.read(|connection, _| STANDINGS.find(connection, "TRUE ORDER BY id", params![])).await?;
        Ok(found.into_iter().map(|(_, standing)| standing).collect())
    }

    async fn last_events(&self, waba_id: &str, fields: &[&str], most: u32) -> Result<Vec<KeptEvent>> {
        let (waba_id, fields) = (waba_id.to_owned(), fields.iter().copied().collect::<Value>().to_string());
        let newest = "waba_id = ?1 AND document ->> '$.field' IN (SELECT value FROM json_each(?2)) \
                      ORDER BY document ->> '$.received_at' DESC, id DESC LIMIT ?3";
        let found = self.database.read(move |connection, _| {
            Table::AccountEvents.find::<Row>(connection, newest, params![waba_id, fields, most])
        });
        let event = |(_, row): &(String, Row)| {
            let (field, received_at) = (text(row, "field")?.to_owned(), time_in(row, "received_at")?);
            Some(KeptEvent { field, received_at, payload: text(row, "payload").map(str::to_owned) })
        };
        Ok(found.await?.iter().filter_map(event).collect())
    }
}
