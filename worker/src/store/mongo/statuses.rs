//! Statuses: three requests, however many there are; two for one alone.

use std::collections::HashMap;

use async_trait::async_trait;
use mongodb::bson::{Document, doc};

use super::{
    MongoStore,
    batch::Order,
    conversations::proof,
    transcript::{advanced, key, on_record, whose},
};
use crate::store::{NewStatus, OnRecord, Result, SentPart, Statuses, StatusesTaken, StoreError, take_each_by_itself};

#[async_trait]
impl Statuses for MongoStore {
    async fn take_statuses(&self, statuses: &[NewStatus]) -> StatusesTaken {
        if statuses.len() < 2 {
            return take_each_by_itself(self, statuses).await;
        }
        self.take_together(statuses).await.unwrap_or_else(|error| StatusesTaken {
            proofs: 0,
            each: statuses.iter().map(|_| Err(error.clone())).collect(),
        })
    }
}

impl MongoStore {
    async fn take_together(&self, statuses: &[NewStatus]) -> Result<StatusesTaken> {
        let mut failed: HashMap<usize, StoreError> = HashMap::new();
        let proofs = self.prove(statuses, &mut failed).await?;
        let recording = statuses.iter().map(|NewStatus { update, .. }| {
            doc! { "q": { "_id": key(&update.number, &update.wamid) }, "u": advanced(update), "upsert": true }
        });
        let recorded = self.update_many_by_id("messages", recording.collect(), Order::EachByItself).await?;
        failed.extend(recorded.failed);
        let on_record = self.on_record(statuses).await?;
        let of_each = |(place, NewStatus { update, .. }): (usize, &NewStatus)| match failed.remove(&place) {
            Some(error) => Err(error),
            None => Ok(on_record.get(&key(&update.number, &update.wamid)).cloned()),
        };
        Ok(StatusesTaken { proofs, each: statuses.iter().enumerate().map(of_each).collect() })
    }

    /// How many of them somebody waited for.
    async fn prove(&self, statuses: &[NewStatus], failed: &mut HashMap<usize, StoreError>) -> Result<u64> {
        let (places, proofs): (Vec<usize>, Vec<Document>) = statuses
            .iter()
            .enumerate()
            .filter_map(|(place, NewStatus { update, proves })| {
                let SentPart { session, reply_id, part } = proves.as_ref()?;
                let (filter, change) = proof(session, &update.number, reply_id, *part, &update.wamid);
                Some((place, doc! { "q": filter, "u": change }))
            })
            .unzip();
        if proofs.is_empty() {
            return Ok(0);
        }
        let proved = self.update_many_by_id("conversations", proofs, Order::EachByItself).await?;
        failed.extend(proved.failed.into_iter().filter_map(|(nth, error)| Some((*places.get(nth)?, error))));
        Ok(proved.matched)
    }

    async fn on_record(&self, statuses: &[NewStatus]) -> Result<HashMap<String, OnRecord>> {
        let keys: Vec<String> =
            statuses.iter().map(|NewStatus { update, .. }| key(&update.number, &update.wamid)).collect();
        let messages = self.db.collection::<Document>("messages");
        // All of them in the first answer.
        let at_once = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let finding = messages.find(doc! { "_id": { "$in": keys } }).projection(whose()).batch_size(at_once);
        let mut cursor = finding.await?;
        let mut found = HashMap::new();
        while cursor.advance().await? {
            let message = cursor.deserialize_current()?;
            if let (Ok(id), Some(on_record)) = (message.get_str("_id"), on_record(&message)) {
                found.insert(id.to_owned(), on_record);
            }
        }
        Ok(found)
    }
}
