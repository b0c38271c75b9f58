//! A look through the whole database for what still names a customer.
//!
//! Of the collections that this program writes it is known what is the customer's: that is counted exactly. Beyond
//! that every document of every collection is looked through for a number, a user id or a conversation of theirs, in
//! whatever field, because others may keep things beside ours. Businesses are not customers' data.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::{MongoStore, customers::held};
use crate::store::{Customers, Look, Looked, Remaining, Result, Sought, StoredCustomer, Trace, Traces};

/// Documents that a cursor holds at once.
const AT_ONCE: u32 = 500;
/// Not of customers.
const BUSINESSES: &str = "businesses";

#[async_trait]
impl Traces for MongoStore {
    async fn look_for(&self, customer: &StoredCustomer, most: u64) -> Result<Look> {
        let mut names = self.db.list_collection_names().filter(doc! { "type": { "$ne": "view" } }).await?;
        names.retain(|name| name != BUSINESSES && !name.starts_with("system."));
        names.sort();
        let holdings = self.holdings(customer).await?;
        let businesses = self.other_businesses(customer).await?;
        let sought = Sought::new(customer);
        let mut look = Look::default();
        for collection in names {
            let mut looked = self.look_through(&collection, customer, &sought, &businesses, most).await?;
            let held = holdings.iter().find(|holding| holding.collection == collection);
            if let Some(held) = held.filter(|held| held.documents > 0) {
                let trace = Trace { remaining: Remaining::Theirs, documents: held.documents, fields: BTreeSet::new() };
                looked.traces.insert(0, trace);
            }
            look.collections.push(looked);
        }
        Ok(look)
    }
}

impl MongoStore {
    async fn look_through(
        &self,
        collection: &str,
        customer: &StoredCustomer,
        sought: &Sought,
        businesses: &HashSet<String>,
        most: u64,
    ) -> Result<Looked> {
        let filter = beyond_the_known(collection, customer);
        let mut cursor = self.db.collection::<Document>(collection).find(filter).batch_size(AT_ONCE).await?;
        let (mut documents, mut stopped_early) = (0, false);
        let mut traces = BTreeMap::<Remaining, (u64, BTreeSet<String>)>::new();
        while cursor.advance().await? {
            if documents == most {
                stopped_early = true;
                break;
            }
            documents += 1;
            let document = cursor.deserialize_current()?;
            let fields = fields_of(sought, &document);
            if !fields.is_empty() {
                let trace = traces.entry(standing(collection, &document, businesses)).or_default();
                trace.0 += 1;
                trace.1.extend(fields);
            }
        }
        let traces = traces.into_iter().map(|(remaining, (documents, fields))| Trace { remaining, documents, fields });
        Ok(Looked { collection: collection.to_owned(), documents, stopped_early, traces: traces.collect() })
    }

    /// The ids of all businesses but the customer's.
    async fn other_businesses(&self, customer: &StoredCustomer) -> Result<HashSet<String>> {
        let businesses = self.db.collection::<Document>(BUSINESSES);
        let mut cursor = businesses.find(doc! {}).projection(doc! { "_id": 1 }).await?;
        let mut others = HashSet::new();
        while cursor.advance().await? {
            others.extend(cursor.deserialize_current()?.get("_id").and_then(id_text));
        }
        others.remove(&customer.business.0);
        Ok(others)
    }
}

/// What may name the customer, except for what is counted as theirs and for what is another business's.
fn beyond_the_known(collection: &str, customer: &StoredCustomer) -> Document {
    let business = customer.business.0.as_str();
    let numbers: Vec<&str> = customer.whose.numbers.iter().map(String::as_str).collect();
    let wabas: Vec<&str> = customer.whose.waba_ids.iter().map(String::as_str).collect();
    let no_number = Bson::Null;
    let ours = match collection {
        "conversations" => doc! { "business_id": business },
        "messages" => doc! { "business_id": { "$in": [business, Bson::Null] } },
        "identities" => doc! { "_id": { "$regex": format!("^{}:", crate::store::verbatim(business)) } },
        "dead_letters" => doc! { "$or": [
            { "business_id": business },
            { "business_id": Bson::Null, "phone_number_id": { "$in": numbers } },
            { "business_id": Bson::Null, "phone_number_id": no_number },
        ] },
        "account_events" => doc! { "$or": [
            { "phone_number_id": { "$in": numbers } },
            { "phone_number_id": no_number.clone(), "waba_id": { "$in": wabas } },
            { "phone_number_id": no_number, "waba_id": Bson::Null },
        ] },
        _ => return doc! {},
    };
    let counted = held(customer).into_iter().find(|(name, ..)| *name == collection).map(|(_, filter, _)| filter);
    doc! { "$and": [ours, { "$nor": [counted.unwrap_or_default()] }] }
}

/// Whose a document is that is not counted as the customer's, and names them all the same.
fn standing(collection: &str, document: &Document, businesses: &HashSet<String>) -> Remaining {
    match collection {
        "conversations" if document.contains_key("forgotten_at") => Remaining::Closed,
        // A forgotten message is nobody's, and must not name anybody.
        "messages" if !document.contains_key("conversation") => Remaining::Theirs,
        // Bytes that are no text match no pattern, so that nobody could erase them by what they say.
        "dead_letters" if matches!(document.get("body"), Some(Bson::Binary(_))) => Remaining::Theirs,
        "conversations" | "messages" | "identities" | "dead_letters" | "account_events" => Remaining::OfOthers,
        _ if document.values().filter_map(id_text).any(|id| businesses.contains(&id)) => Remaining::OfAnotherBusiness,
        _ => Remaining::Theirs,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "BSON's types are a foreign enum; any other is no business's id")]
fn id_text(value: &Bson) -> Option<String> {
    match value {
        Bson::String(text) => Some(text.clone()),
        Bson::ObjectId(id) => Some(ObjectId::to_hex(*id)),
        _ => None,
    }
}

/// The fields of a document that name the customer, without the customer.
fn fields_of(sought: &Sought, document: &Document) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    walk(sought, document, "", &mut fields);
    fields
}

fn walk(sought: &Sought, document: &Document, within: &str, fields: &mut BTreeSet<String>) {
    for (name, value) in document {
        let (path, is_sought) = sought.path(within, name);
        if is_sought {
            fields.insert(path.clone());
        }
        walk_value(sought, value, &path, fields);
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "BSON's types are a foreign enum; any other holds no text")]
fn walk_value(sought: &Sought, value: &Bson, path: &str, fields: &mut BTreeSet<String>) {
    let is_named = match value {
        Bson::Document(document) => return walk(sought, document, path, fields),
        Bson::Array(items) => return items.iter().for_each(|item| walk_value(sought, item, path, fields)),
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => sought.is_in(text),
        Bson::Int64(number) => sought.is_in(&number.to_string()),
        Bson::Double(number) if number.fract() == 0.0 => sought.is_in(&format!("{number:.0}")),
        Bson::Binary(binary) => sought.is_in(&String::from_utf8_lossy(&binary.bytes)),
        _ => false,
    };
    if is_named {
        fields.insert(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Binary, spec::BinarySubtype};

    use super::*;
    use crate::{conversation::BusinessId, store::Whose};

    const NUMBER: &str = "4915112345678";

    fn fields(document: &Document) -> Vec<String> {
        let whose = Whose { ids: BTreeSet::from([NUMBER.to_owned()]), ..Whose::default() };
        let business = BusinessId("b1".to_owned());
        let sought = Sought::new(&StoredCustomer { business, subdomain: None, whose, forgotten_at: None });
        fields_of(&sought, document).into_iter().collect()
    }

    #[test]
    fn a_number_is_found_in_any_field_whatever_its_type() {
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: [b"\xff ", NUMBER.as_bytes()].concat() };
        let document = doc! {
            "a": NUMBER, "b": { "c": [1, { "d": "call +49 (151) 123-456 78, please" }] }, "e": 4_915_112_345_678_i64,
            "f": 4_915_112_345_678.0, "g": bytes, "h": { NUMBER: 1 },
        };
        assert_eq!(fields(&document), ["a", "b.c.d", "e", "f", "g", "h.…"]);
    }

    #[test]
    fn what_only_looks_like_the_customer_is_not_taken_for_them() {
        let document = doc! {
            "longer": 49_151_123_456_780_i64, "shorter": "915112345678", "empty": "", "nothing": Bson::Null,
            "time": mongodb::bson::DateTime::now(),
        };
        assert_eq!(fields(&document), [""; 0]);
    }
}
