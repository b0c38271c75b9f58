//! Secrets of businesses while they change: each write is one update, filtered by what it replaces.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::{
    bson::{Bson, Document, deserialize_from_bson, doc},
    options::ReturnDocument,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    MongoStore,
    businesses::{has_id, read},
    from_bson, millis,
    pipeline::literal,
    to_bson,
};
use crate::{
    conversation::BusinessId,
    store::{
        ExpiringToken, RefreshClaim, Result, StoreError, StoredSecret, Taken, TokenReplacement, Tokens, secrets_in,
    },
};

#[async_trait]
impl Tokens for MongoStore {
    async fn tokens_expiring(&self, before: Timestamp) -> Result<Vec<ExpiringToken>> {
        // A date that was stored as text cannot be compared here; those are few, and read.
        let filter = doc! {
            "$or": [
                { "whatsappTokenExpiresAt": { "$lt": to_bson(before) } },
                { "whatsappTokenExpiresAt": { "$type": "string" } },
            ],
            "whatsappEnabled": true,
            "isActive": true,
        };
        let mut cursor = self.businesses().find(filter).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let business = read(&document);
            if business.token_expires_at.is_some_and(|at| at < before) {
                let taken = document.get_document("tokenRefresh").ok().and_then(taken);
                found.push(ExpiringToken { business, taken });
            }
        }
        found.sort_by_key(|token| token.business.token_expires_at);
        Ok(found)
    }

    async fn claim_refresh(&self, claim: &RefreshClaim<'_>) -> Result<Option<u32>> {
        let other_token = doc! { "$ne": ["$tokenRefresh.token", literal(claim.token_id)] };
        // A missing date sorts before every date.
        let free = doc! { "$or": [{ "$lte": ["$tokenRefresh.until", "$$NOW"] }, other_token.clone()] };
        let mut filter = has_id(claim.business);
        filter.insert("$expr", free);
        let tries = doc! { "$cond": [other_token, 0, { "$ifNull": ["$tokenRefresh.tries", 0] }] };
        let update = vec![doc! { "$set": { "tokenRefresh": {
            "worker": literal(claim.worker),
            "token": literal(claim.token_id),
            "tries": { "$add": [tries, 1] },
            "until": { "$add": ["$$NOW", millis(claim.time)] },
        } } }];
        let businesses = self.businesses();
        let claimed = businesses.find_one_and_update(filter, update).return_document(ReturnDocument::After);
        let Some(document) = claimed.projection(doc! { "tokenRefresh": 1 }).await? else { return Ok(None) };
        let tries = document.get_document("tokenRefresh").ok().and_then(|refresh| whole(refresh.get("tries")));
        Ok(Some(tries.unwrap_or(1)))
    }

    async fn postpone_refresh(&self, business: &BusinessId, worker: &str, pause: Duration) -> Result<bool> {
        let mut filter = has_id(business);
        filter.insert("tokenRefresh.worker", worker);
        let update = vec![
            doc! { "$set": { "tokenRefresh.until": { "$add": ["$$NOW", millis(pause)] } } },
            doc! { "$unset": "tokenRefresh.worker" },
        ];
        Ok(self.businesses().update_one(filter, update).await?.matched_count == 1)
    }

    async fn replace_token(&self, replacement: &TokenReplacement<'_>) -> Result<bool> {
        let mut filter = has_id(replacement.business);
        let same = [
            is_stored("whatsappAccessToken", Some(replacement.seen)),
            is_stored("whatsappRefreshToken", replacement.seen_refresh),
        ];
        filter.insert("$expr", doc! { "$and": same.to_vec() });
        let mut set = doc! { "whatsappAccessToken": replacement.access_token };
        let mut unset = doc! { "tokenRefresh": "" };
        if let Some(refresh) = replacement.refresh_token {
            set.insert("whatsappRefreshToken", refresh);
        }
        match replacement.expires_at {
            Some(at) => set.insert("whatsappTokenExpiresAt", to_bson(at)),
            None => unset.insert("whatsappTokenExpiresAt", ""),
        };
        let updated = self.businesses().update_one(filter, doc! { "$set": set, "$unset": unset }).await?;
        Ok(updated.matched_count == 1)
    }

    async fn stored_secrets(&self) -> Result<Vec<StoredSecret>> {
        let fields = doc! {
            "subDomain": 1, "whatsappAccessToken": 1, "whatsappRefreshToken": 1, "companion.tools": 1,
            "companion.handOver.notify.secret": 1,
        };
        let mut cursor = self.businesses().find(doc! {}).projection(fields).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let business = read(&document);
            let json: Value = deserialize_from_bson(Bson::Document(document))
                .map_err(|error| StoreError::Corrupt { what: "business", problem: error.to_string() })?;
            found.extend(secrets_in(&json).into_iter().map(|(place, value)| StoredSecret {
                business: BusinessId(business.id.clone()),
                subdomain: business.subdomain.clone(),
                place,
                value,
            }));
        }
        Ok(found)
    }

    async fn replace_secret(&self, secret: &StoredSecret, stored: &str) -> Result<bool> {
        let path = secret.place.pointer().trim_start_matches('/').replace('/', ".");
        let mut filter = has_id(&secret.business);
        filter.insert(&path, secret.value.expose_secret());
        let updated = self.businesses().update_one(filter, doc! { "$set": { path: stored } }).await?;
        Ok(updated.matched_count == 1)
    }
}

/// Whether a field holds this text, blanks around it aside; none where it is blank or missing.
fn is_stored(field: &str, value: Option<&SecretString>) -> Document {
    let text = doc! { "$convert": { "input": format!("${field}"), "to": "string", "onError": "", "onNull": "" } };
    let value = value.map(ExposeSecret::expose_secret).unwrap_or_default();
    doc! { "$eq": [{ "$trim": { "input": text } }, literal(value)] }
}

fn taken(refresh: &Document) -> Option<Taken> {
    let (token, until) = (refresh.get_str("token").ok()?, refresh.get_datetime("until").ok()?);
    Some(Taken { token_id: token.to_owned(), until: from_bson(*until) })
}

fn whole(value: Option<&Bson>) -> Option<u32> {
    let value = value?;
    value.as_i32().map(i64::from).or(value.as_i64()).and_then(|whole| u32::try_from(whole).ok())
}
