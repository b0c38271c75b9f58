//! A look through the whole file for what still names a customer.
//!
//! Of the tables that this program writes it is known what is the customer's: that is counted exactly. Beyond that
//! every row of every table is looked through for a number, a user id or a conversation of theirs, in whatever field,
//! because others may keep things beside ours. A virtual table keeps what it has in others. Businesses are not customers'
//! data.

mod reading;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use rusqlite::{Connection, params, params_from_iter};
use worker::store::{Look, Looked, Remaining, Result, Sought, StoredCustomer, Trace, Traces};

use self::reading::{Read, columns, quoted};
use super::{
    SqliteStore,
    closed::is_closed,
    customers::{HOLDING, held},
    dead_letters::BYTES,
    erasure::list,
    row::{Done, Table},
};

#[async_trait]
impl Traces for SqliteStore {
    async fn look_for(&self, customer: &StoredCustomer, most: u64) -> Result<Look> {
        let customer = customer.clone();
        let begun = self.database.read(move |connection, _| {
            let (sought, others) = (Sought::new(&customer), others(connection, &customer)?);
            Ok((Arc::new(Search { customer, sought, others, most }), tables(connection)?))
        });
        let (search, tables) = begun.await?;
        let mut look = Look::default();
        // One by one, so that whoever else reads does not wait for all of them.
        for table in tables {
            let search = Arc::clone(&search);
            look.collections.push(self.database.read(move |connection, _| search.through(connection, table)).await?);
        }
        Ok(look)
    }
}

/// The names of all tables, but that of the businesses.
fn tables(connection: &Connection) -> Done<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') \
         AND substr(name, 1, 7) <> 'sqlite_' AND name <> 'businesses' ORDER BY name",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// The ids of all businesses but the customer's.
fn others(connection: &Connection, customer: &StoredCustomer) -> Done<HashSet<String>> {
    let others = Table::Businesses.ids(connection, "id <> ?1", params![customer.business.0])?;
    Ok(others.into_iter().collect())
}

struct Search {
    customer: StoredCustomer,
    sought: Sought,
    /// The other businesses.
    others: HashSet<String>,
    /// Rows of a table, at most.
    most: u64,
}

impl Search {
    fn through(&self, connection: &Connection, name: String) -> Done<Looked> {
        let known = HOLDING.iter().map(|(table, _)| *table).find(|table| table.name() == name);
        let counted = known.map_or(Ok(Vec::new()), |table| held(connection, table, &self.customer))?;
        let columns = columns(connection, &name)?;
        let chosen: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let (condition, parameters) = self.beyond(known, &counted);
        let sql = format!("SELECT {} FROM {} WHERE {condition}", chosen.join(", "), quoted(&name));
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(parameters))?;
        let (mut documents, mut found) = (0, BTreeMap::<Remaining, (u64, BTreeSet<String>)>::new());
        let stopped_early = loop {
            let Some(row) = rows.next()? else { break false };
            if documents == self.most {
                break true;
            }
            documents += 1;
            let read = Read::new(row, &columns)?;
            let fields = read.fields_with(&self.sought);
            if !fields.is_empty() {
                let (count, named) = found.entry(self.standing(known, &read)).or_default();
                *count += 1;
                named.extend(fields);
            }
        };
        let theirs = (Remaining::Theirs, (counted.len().try_into().unwrap_or(u64::MAX), BTreeSet::new()));
        let traces = (!counted.is_empty()).then_some(theirs).into_iter().chain(found);
        let traces = traces.map(|(remaining, (documents, fields))| Trace { remaining, documents, fields });
        Ok(Looked { collection: name, documents, stopped_early, traces: traces.collect() })
    }

    /// The condition that a row may name the customer, except for what is counted as theirs and for what is another
    /// business's.
    fn beyond(&self, known: Option<Table>, counted: &[String]) -> (String, Vec<String>) {
        let ours = match known {
            Some(Table::Conversations) => "business_id = ?1",
            Some(Table::Messages) => "(business_id = ?1 OR business_id IS NULL)",
            // What begins with the business and a colon lies between that and what begins with the next character.
            Some(Table::Identities) => "id > ?1 || ':' AND id < ?1 || ';'",
            Some(Table::DeadLetters) => {
                "(business_id = ?1 OR business_id IS NULL AND (phone_number_id IS NULL \
                  OR phone_number_id IN (SELECT value FROM json_each(?2))))"
            }
            Some(Table::AccountEvents) => {
                "(phone_number_id IN (SELECT value FROM json_each(?2)) OR phone_number_id IS NULL \
                  AND (waba_id IS NULL OR waba_id IN (SELECT value FROM json_each(?3))))"
            }
            Some(Table::Businesses | Table::AccountStanding | Table::Knowledge | Table::Usage | Table::Analytics)
            | None => {
                return ("TRUE".to_owned(), Vec::new());
            }
        };
        let whose = &self.customer.whose;
        let parameters =
            vec![self.customer.business.0.clone(), list(&whose.numbers), list(&whose.waba_ids), list(counted)];
        (format!("{ours} AND id NOT IN (SELECT value FROM json_each(?4))"), parameters)
    }

    /// Whose a row is that is not counted as the customer's, and names them all the same.
    fn standing(&self, known: Option<Table>, read: &Read) -> Remaining {
        match known {
            Some(Table::Conversations) if is_closed(&read.document) => Remaining::Closed,
            // A forgotten message is nobody's, and must not name anybody.
            Some(Table::Messages) if !read.document.contains_key("conversation") => Remaining::Theirs,
            // Bytes that are no text match no pattern, so that nobody could erase them by what they say.
            Some(Table::DeadLetters) if read.document.get("body").is_some_and(|body| body.get(BYTES).is_some()) => {
                Remaining::Theirs
            }
            Some(
                Table::Conversations | Table::Messages | Table::Identities | Table::DeadLetters | Table::AccountEvents,
            ) => Remaining::OfOthers,
            Some(Table::Businesses | Table::AccountStanding | Table::Knowledge | Table::Usage | Table::Analytics)
            | None
                if read.names_any(&self.others) =>
            {
                Remaining::OfAnotherBusiness
            }
            Some(Table::Businesses | Table::AccountStanding | Table::Knowledge | Table::Usage | Table::Analytics)
            | None => Remaining::Theirs,
        }
    }
}
