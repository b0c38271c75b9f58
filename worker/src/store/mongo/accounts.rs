//! What Meta lets accounts do: one standing an account, in which each cause only ever goes forward in time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mongodb::bson::{Bson, DateTime, Document, deserialize_from_document, doc};
use serde::Deserialize;
use shared::ids::WabaId;

use super::{MongoStore, corrupt, from_bson, is_duplicate_key, pipeline::literal, to_bson};
use crate::{
    account::{AccountStanding, Cause, Mark, StandingChange},
    store::{Accounts, KeptEvent, Result},
};

const STANDINGS: &str = "account_standing";

#[async_trait]
impl Accounts for MongoStore {
    async fn change_standing(&self, waba_id: &WabaId, changes: &[StandingChange]) -> Result<()> {
        let mut set = Document::new();
        for StandingChange { cause, mark } in changes {
            let field = format!("marks.{}", cause.name());
            // A missing time sorts before every time.
            let is_stale = doc! { "$gt": [format!("${field}.at"), to_bson(mark.at)] };
            set.insert(&field, doc! { "$cond": [is_stale, format!("${field}"), literal(mark_document(mark))] });
        }
        if set.is_empty() {
            return Ok(());
        }
        let standings = self.db.collection::<Document>(STANDINGS);
        loop {
            let update = vec![doc! { "$set": set.clone() }];
            match standings.update_one(doc! { "_id": waba_id.expose() }, update).upsert(true).await {
                Ok(_) => return Ok(()),
                // Two first events met; the standing is there now.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn standing(&self, waba_id: &WabaId) -> Result<Option<AccountStanding>> {
        let standings = self.db.collection::<Document>(STANDINGS);
        standings.find_one(doc! { "_id": waba_id.expose() }).await?.map(read).transpose()
    }

    async fn standings(&self) -> Result<Vec<AccountStanding>> {
        let mut cursor = self.db.collection::<Document>(STANDINGS).find(doc! {}).sort(doc! { "_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(read(cursor.deserialize_current()?)?);
        }
        Ok(found)
    }

    async fn last_events(&self, waba_id: &str, fields: &[&str], most: u32) -> Result<Vec<KeptEvent>> {
        let filter = doc! { "waba_id": waba_id, "field": { "$in": fields.to_vec() } };
        let events = self.db.collection::<Document>("account_events");
        let finding = events.find(filter).sort(doc! { "received_at": -1, "_id": -1 }).limit(i64::from(most));
        let mut cursor = finding.await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            let event = cursor.deserialize_current()?;
            found.push(KeptEvent {
                field: event.get_str("field").unwrap_or_default().to_owned(),
                received_at: from_bson(*event.get_datetime("received_at").map_err(corrupt("account event"))?),
                payload: event.get_str("payload").ok().map(str::to_owned),
            });
        }
        Ok(found)
    }
}

#[derive(Deserialize)]
struct StandingDocument {
    #[serde(rename = "_id")]
    waba_id: String,
    #[serde(default)]
    marks: BTreeMap<String, MarkDocument>,
}

#[derive(Deserialize)]
struct MarkDocument {
    at: DateTime,
    stops: bool,
    until: Option<DateTime>,
    #[serde(default)]
    why: String,
}

fn read(document: Document) -> Result<AccountStanding> {
    let stored: StandingDocument = deserialize_from_document(document).map_err(corrupt("account standing"))?;
    // One that a newer worker knows of says nothing to this one.
    let marks = stored.marks.into_iter().filter_map(|(cause, mark)| {
        let cause = Cause::ALL.into_iter().find(|known| known.name() == cause)?;
        let (at, until) = (from_bson(mark.at), mark.until.map(from_bson));
        Some((cause, Mark { at, stops: mark.stops, until, why: mark.why }))
    });
    Ok(AccountStanding { waba_id: stored.waba_id, marks: marks.collect() })
}

fn mark_document(mark: &Mark) -> Document {
    let mut document = doc! { "at": to_bson(mark.at), "stops": mark.stops, "why": mark.why.as_str() };
    if let Some(until) = mark.until {
        document.insert("until", Bson::from(to_bson(until)));
    }
    document
}
