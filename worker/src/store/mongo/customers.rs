//! One customer of one business as an operator knows them: what is stored of them, and its end.
//!
//! `identities` decides whose a number is. What merely bears the number, such as the conversation of a former owner,
//! is another customer's, and is left alone.

use std::collections::BTreeSet;

use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc};
use shared::ids::{SessionId, Subdomain, UserId};

use super::{
    MongoStore,
    conversations::{ids_of, is_named, numbers_of},
    dead_letters::whole,
    erasure::{events, letters},
    from_bson,
};
use crate::store::{
    Aliases, BusinessRecord, CustomerKey, Customers, Forgetting, Forgotten, Holding, Result, StoredCustomer, verbatim,
};

#[async_trait]
impl Customers for MongoStore {
    async fn find_customer(&self, business: &BusinessRecord, key: &CustomerKey) -> Result<StoredCustomer> {
        let mut found = StoredCustomer::new(business);
        match key {
            CustomerKey::Phone(phone) => found.whose.add_id(phone.expose()),
            CustomerKey::User(user_id) => found.whose.add_id(user_id.expose()),
            CustomerKey::Session(session) => {
                // One that is not there tells by its name alone whose it would be.
                let subdomain = found.subdomain.as_ref().map(Subdomain::expose);
                let is_ours = session.expose().split_once(':').map(|(subdomain, _)| subdomain) == subdomain;
                if is_ours || self.link(session).await?.is_some() {
                    self.enter(&mut found, session).await?;
                }
            }
        }
        if let CustomerKey::Phone(phone) = key
            && let Some(other) = phone.other_form()
            && self.alias(&found.business, phone.expose()).await?.is_none()
        {
            found.whose.add_id(other.expose());
        }
        let mut followed = BTreeSet::new();
        while let Some(id) = found.whose.ids.difference(&followed).next().cloned() {
            self.follow(&mut found, &id).await?;
            followed.insert(id);
        }
        Ok(found)
    }

    async fn holdings(&self, customer: &StoredCustomer) -> Result<Vec<Holding>> {
        let mut holdings = Vec::new();
        for (collection, filter, time) in held(customer) {
            let time = format!("${time}");
            let counting = vec![
                doc! { "$match": filter },
                doc! { "$group": {
                    "_id": Bson::Null, "documents": { "$sum": 1_i64 },
                    "oldest": { "$min": &time }, "newest": { "$max": &time },
                } },
            ];
            let mut cursor = self.db.collection::<Document>(collection).aggregate(counting).await?;
            let counted = if cursor.advance().await? { cursor.deserialize_current()? } else { Document::new() };
            let time = |field: &str| counted.get_datetime(field).ok().map(|time| from_bson(*time));
            holdings.push(Holding {
                collection,
                documents: whole(&counted, "documents").and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
                oldest: time("oldest"),
                newest: time("newest"),
            });
        }
        Ok(holdings)
    }

    async fn forget_customer(&self, customer: &StoredCustomer) -> Result<Forgotten> {
        // First what is known goes where it outlives us: each conversation that ends takes some of it along.
        let names = self.close_ids(&customer.business, customer.subdomain.as_ref(), &customer.whose).await?;
        let others = names.into_iter().filter(|name| !customer.whose.sessions.contains(name.expose()));
        let mut forgotten = Forgotten::default();
        for session in customer.sessions().chain(others.collect::<Vec<_>>()) {
            forgotten.add(self.forget_unless_open(customer, &session).await?);
        }
        Ok(forgotten)
    }
}

impl MongoStore {
    /// Adds the conversations to which a number or a user id leads, or led before it was forgotten.
    async fn follow(&self, found: &mut StoredCustomer, id: &str) -> Result<()> {
        if let Some(alias) = self.alias(&found.business, id).await? {
            alias.user_id.iter().for_each(|user_id| found.whose.add_id(user_id.expose()));
            self.enter(found, &alias.session).await?;
        }
        let name = SessionId::new(found.subdomain.as_ref(), id);
        let later = format!("^{}~", verbatim(name.expose()));
        let closed = doc! {
            "$or": [{ "_id": name.expose() }, { "_id": { "$regex": later } }],
            "business_id": found.business.0.as_str(),
            "forgotten_at": { "$exists": true },
        };
        let mut cursor = self.conversations().find(closed).projection(doc! { "_id": 1 }).await?;
        while cursor.advance().await? {
            if let Ok(session) = cursor.deserialize_current()?.get_str("_id") {
                self.enter(found, &SessionId::from_stored(session)).await?;
            }
        }
        Ok(())
    }

    /// Adds a conversation, those that are one with it, and everything that leads to them.
    async fn enter(&self, found: &mut StoredCustomer, session: &SessionId) -> Result<()> {
        if found.whose.sessions.contains(session.expose()) {
            return Ok(());
        }
        let mut family = Vec::new();
        for session in self.family(session).await? {
            let stored = self.conversations().find_one(doc! { "_id": session.expose() }).await?.unwrap_or_default();
            if stored.get_str("business_id").is_ok_and(|owner| owner != found.business.0) {
                continue;
            }
            found.whose.sessions.insert(session.expose().to_owned());
            family.push((session, stored));
        }
        for (session, stored) in family {
            for alias in self.aliases_of(&session).await? {
                found.whose.add_id(&alias);
            }
            found.whose.numbers.extend(numbers_of(&stored));
            let mut ids = ids_of(&stored);
            ids.extend(is_named(&stored).then(|| session.customer().to_owned()));
            for id in ids {
                if self.is_theirs(found, &id).await? {
                    found.whose.add_id(&id);
                }
            }
            let forgotten_at = stored.get_datetime("forgotten_at").ok().map(|at| from_bson(*at));
            found.forgotten_at = found.forgotten_at.max(forgotten_at);
        }
        Ok(())
    }

    /// Whether an id that one of their conversations has is not somebody else's by now.
    async fn is_theirs(&self, found: &StoredCustomer, id: &str) -> Result<bool> {
        let alias = self.alias(&found.business, id).await?;
        Ok(alias.is_none_or(|alias| {
            let is_known = |user_id: &UserId| found.whose.ids.contains(user_id.expose());
            found.whose.sessions.contains(alias.session.expose()) || alias.user_id.as_ref().is_some_and(is_known)
        }))
    }

    /// A name that is open and not among the customer's conversations is somebody else's.
    async fn forget_unless_open(&self, customer: &StoredCustomer, session: &SessionId) -> Result<Forgotten> {
        let is_theirs = customer.whose.sessions.contains(session.expose());
        let link = if is_theirs { None } else { self.link(session).await? };
        match link {
            Some(link) if !link.is_forgotten => Ok(Forgotten::default()),
            Some(_) | None => self.forget(session).await,
        }
    }
}

/// What each collection holds of them: a filter, and the field with the time.
pub(super) fn held(customer: &StoredCustomer) -> [(&'static str, Document, &'static str); 5] {
    let sessions: Vec<&str> = customer.whose.sessions.iter().map(String::as_str).collect();
    // Closed and not finished, it still has the ids.
    let is_held = doc! { "$or": [{ "forgotten_at": Bson::Null }, { "customer": { "$exists": true } }] };
    let mut conversations = doc! { "_id": { "$in": &sessions } };
    conversations.extend(is_held);
    let aliases: Vec<String> = customer.whose.ids.iter().map(|id| format!("{}:{id}", customer.business.0)).collect();
    let mut bodies = doc! { "body": { "$exists": true } };
    bodies.extend(letters(&customer.whose));
    [
        ("conversations", conversations, "last_land.at"),
        ("messages", doc! { "conversation": { "$in": &sessions } }, "timestamp"),
        (
            "identities",
            doc! { "$or": [{ "conversation": { "$in": &sessions } }, { "_id": { "$in": aliases } }] },
            "created_at",
        ),
        ("dead_letters", bodies, "buried_at"),
        ("account_events", events(&customer.whose), "recorded_at"),
    ]
}
