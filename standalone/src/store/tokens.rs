//! Secrets of businesses while they change. What is compared and written is one transaction.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use worker::{
    conversation::BusinessId,
    store::{ExpiringToken, RefreshClaim, Result, StoredSecret, Taken, TokenReplacement, Tokens, secrets_in},
};

use super::{
    SqliteStore,
    businesses::{read, time_of},
    row::{Done, Row, Table},
};

const BUSINESSES: Table = Table::Businesses;
const REFRESH: &str = "tokenRefresh";
const EXPIRES: &str = "whatsappTokenExpiresAt";

#[async_trait]
impl Tokens for SqliteStore {
    async fn tokens_expiring(&self, before: Timestamp) -> Result<Vec<ExpiringToken>> {
        self.database
            .read(move |connection, _| {
                let dated = format!("document -> '$.{EXPIRES}' IS NOT NULL");
                let businesses = BUSINESSES.find::<Row>(connection, &dated, [])?;
                let tokens = businesses.iter().map(|(_, row)| ExpiringToken { business: read(row), taken: taken(row) });
                let mut found: Vec<_> = tokens.filter(|token| is_served_and_ends(token, before)).collect();
                found.sort_by_key(|token| token.business.token_expires_at);
                Ok(found)
            })
            .await
    }

    async fn claim_refresh(&self, claim: &RefreshClaim<'_>) -> Result<Option<u32>> {
        let (token, worker, time) = (claim.token_id.to_owned(), claim.worker.to_owned(), signed(claim.time));
        self.change_business(claim.business, move |row, now| {
            let same = taken(row).filter(|taken| taken.token_id == token);
            if same.as_ref().is_some_and(|taken| taken.until > now) {
                return None;
            }
            let known = row.get(REFRESH).and_then(|refresh| refresh.get("tries")?.as_u64());
            let tries = known.filter(|_| same.is_some()).unwrap_or(0) + 1;
            let claim = json!({ "worker": worker, "token": token, "tries": tries, "until": date(now + time) });
            row.insert(REFRESH.to_owned(), claim);
            Some(u32::try_from(tries).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn postpone_refresh(&self, business: &BusinessId, worker: &str, pause: Duration) -> Result<bool> {
        let (worker, pause) = (worker.to_owned(), signed(pause));
        let postponed = self.change_business(business, move |row, now| {
            let refresh = row.get_mut(REFRESH).and_then(Value::as_object_mut)?;
            (refresh.get("worker")?.as_str() == Some(worker.as_str())).then_some(())?;
            refresh.remove("worker");
            refresh.insert("until".to_owned(), date(now + pause));
            Some(())
        });
        Ok(postponed.await?.is_some())
    }

    async fn replace_token(&self, replacement: &TokenReplacement<'_>) -> Result<bool> {
        let seen = [Some(replacement.seen.clone()), replacement.seen_refresh.cloned()];
        let access_token = replacement.access_token.to_owned();
        let refresh_token = replacement.refresh_token.map(str::to_owned);
        let expires_at = replacement.expires_at;
        let replaced = self.change_business(replacement.business, move |row, _| {
            let stored = read(row);
            let same = is_same(stored.access_token.as_ref(), seen[0].as_ref())
                && is_same(stored.refresh_token.as_ref(), seen[1].as_ref());
            same.then_some(())?;
            row.insert("whatsappAccessToken".to_owned(), Value::String(access_token));
            if let Some(refresh) = refresh_token {
                row.insert("whatsappRefreshToken".to_owned(), Value::String(refresh));
            }
            match expires_at {
                Some(at) => row.insert(EXPIRES.to_owned(), date(at)),
                None => row.remove(EXPIRES),
            };
            row.remove(REFRESH);
            Some(())
        });
        Ok(replaced.await?.is_some())
    }

    async fn stored_secrets(&self) -> Result<Vec<StoredSecret>> {
        self.database
            .read(move |connection, _| {
                let mut found = Vec::new();
                for (id, row) in BUSINESSES.find::<Row>(connection, "TRUE", [])? {
                    let subdomain = read(&row).subdomain;
                    found.extend(secrets_in(&Value::Object(row)).into_iter().map(|(place, value)| StoredSecret {
                        business: BusinessId(id.clone()),
                        subdomain: subdomain.clone(),
                        place,
                        value,
                    }));
                }
                Ok(found)
            })
            .await
    }

    async fn replace_secret(&self, secret: &StoredSecret, stored: &str) -> Result<bool> {
        let (place, seen, stored) = (secret.place, secret.value.clone(), stored.to_owned());
        let replaced = self.change_business(&secret.business, move |row, _| {
            let mut document = Value::Object(std::mem::take(row));
            let value = document.pointer_mut(&place.pointer())?;
            (value.as_str() == Some(seen.expose_secret())).then_some(())?;
            *value = Value::String(stored);
            let Value::Object(changed) = document else { return None };
            *row = changed;
            Some(())
        });
        Ok(replaced.await?.is_some())
    }
}

impl SqliteStore {
    /// Changes a business's document; where `work` says none, or there is no such business, nothing is written.
    async fn change_business<T: Send + 'static>(
        &self,
        business: &BusinessId,
        work: impl FnOnce(&mut Row, Timestamp) -> Option<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let id = business.0.clone();
        self.database.write(move |connection, now| change(connection, &id, |row| work(row, now))).await
    }
}

fn change<T>(connection: &Connection, id: &str, work: impl FnOnce(&mut Row) -> Option<T>) -> Done<Option<T>> {
    let Some(mut row) = BUSINESSES.get::<Row>(connection, id)? else { return Ok(None) };
    let Some(done) = work(&mut row) else { return Ok(None) };
    BUSINESSES.put(connection, id, &row)?;
    Ok(Some(done))
}

fn is_served_and_ends(token: &ExpiringToken, before: Timestamp) -> bool {
    let business = &token.business;
    business.whatsapp_enabled && business.is_active && business.token_expires_at.is_some_and(|at| at < before)
}

fn taken(row: &Row) -> Option<Taken> {
    let refresh = row.get(REFRESH)?;
    let (token, until) = (refresh.get("token")?.as_str()?, time_of(refresh.get("until")?)?);
    Some(Taken { token_id: token.to_owned(), until })
}

fn is_same(stored: Option<&SecretString>, seen: Option<&SecretString>) -> bool {
    stored.map(ExposeSecret::expose_secret) == seen.map(ExposeSecret::expose_secret)
}

/// A time as the documents of businesses have it.
fn date(at: Timestamp) -> Value {
    json!({ "$date": at.to_string() })
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
