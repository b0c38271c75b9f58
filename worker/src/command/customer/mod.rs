//! `worker customer show|forget`: what is stored of one customer of one business, and its end.
//!
//! Neither prints a text or a number; the operator who typed one sees it again in what clap says of a wrong argument,
//! at most. Both need the database alone: what running workers write meanwhile they erase themselves.

mod forget;
mod report;

use std::io::ErrorKind;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::ids::{SessionId, UserId, WaId};

use super::dead_letter::{say, utc};
use crate::store::{BusinessRecord, CustomerKey, Store, StoredCustomer};

/// `worker customer …`
#[derive(Debug, Subcommand)]
pub enum CustomerCommand {
    /// What is stored of a customer, and where: counts and times, no texts
    Show(ShowArguments),
    /// Erase everything that is stored of a customer, and look through the whole database whether anything is left
    Forget(ForgetArguments),
}

/// `worker customer show …`
#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    choice: Choice,
}

/// `worker customer forget …`
#[derive(Debug, Args)]
pub struct ForgetArguments {
    #[command(flatten)]
    choice: Choice,
    /// Do not ask; required where nobody can be asked
    #[arg(long)]
    yes: bool,
}

/// Which customer, and how to tell of them.
#[derive(Debug, Args)]
struct Choice {
    /// Of the business with this `subDomain`
    #[arg(long, value_name = "SUBDOMAIN")]
    business: String,
    #[command(flatten)]
    who: Who,
    /// Look through that many documents of each collection at most
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    scan_most: u64,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// With this phone number, such as "+49 151 23456789", with its country code
    #[arg(long, value_name = "NUMBER", value_parser = phone)]
    phone: Option<WaId>,
    /// With this business-scoped user id, such as US.13491208655302741918
    #[arg(long, value_name = "ID")]
    user_id: Option<UserId>,
    /// With this conversation, such as lindenhof:4915123456789
    #[arg(long, value_name = "ID", value_parser = session)]
    session: Option<SessionId>,
}

/// Runs the command.
///
/// # Errors
/// MongoDB is not reachable, no business has the subdomain, nobody confirmed, or something is left that should not be.
pub(super) async fn execute(command: CustomerCommand, store: &dyn Store) -> anyhow::Result<()> {
    let done = match command {
        CustomerCommand::Show(arguments) => show(store, &arguments.choice).await,
        CustomerCommand::Forget(arguments) => forget::forget(store, &arguments).await,
    };
    match done {
        // Whoever reads it, such as `head`, has seen enough.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        done => done,
    }
}

/// Prints what is stored of a customer.
async fn show(store: &dyn Store, choice: &Choice) -> anyhow::Result<()> {
    let customer = choice.find(store).await?;
    let (holdings, look) = (store.holdings(&customer).await?, store.look_for(&customer, choice.scan_most).await?);
    let silent_since = silent_since(store, &customer).await?;
    if choice.json {
        let mut shown = report::object(choice, &customer, &holdings, None, &look);
        if let Value::Object(fields) = &mut shown {
            fields.insert("opted_out_at".to_owned(), json!(silent_since));
        }
        return Ok(say(&shown.to_string())?);
    }
    say(&report::standing(&customer, &holdings))?;
    say(&report::table(&holdings).to_string())?;
    if let Some(since) = silent_since {
        say(&format!("The customer wants to hear no more, since {}; START ends that.", utc(since)))?;
    }
    report::looked(&look, "Stored")
}

/// Since when the customer wants to hear no more.
async fn silent_since(store: &dyn Store, customer: &StoredCustomer) -> anyhow::Result<Option<Timestamp>> {
    let mut since = None;
    for session in &customer.whose.sessions {
        since = since.max(store.state(&SessionId::from_stored(session)).await?.and_then(|state| state.opted_out_at));
    }
    Ok(since)
}

impl Choice {
    fn key(&self) -> anyhow::Result<CustomerKey> {
        let Who { phone, user_id, session } = &self.who;
        let by_phone = phone.clone().map(CustomerKey::Phone);
        let by_user = || user_id.clone().map(CustomerKey::User);
        let key = by_phone.or_else(by_user).or_else(|| session.clone().map(CustomerKey::Session));
        key.ok_or_else(|| anyhow::anyhow!("name the customer with --phone, --user-id or --session"))
    }

    /// The customer as they are stored now.
    async fn find(&self, store: &dyn Store) -> anyhow::Result<StoredCustomer> {
        Ok(store.find_customer(&self.business(store).await?, &self.key()?).await?)
    }

    async fn business(&self, store: &dyn Store) -> anyhow::Result<BusinessRecord> {
        let subdomain = &self.business;
        let mut records = store.businesses_with_subdomain(subdomain).await?;
        match (records.pop(), records.len()) {
            (Some(record), 0) => Ok(record),
            (Some(_), more) => bail!("{} businesses have the subdomain `{subdomain}`; it must be one", more + 1),
            (None, _) => {
                bail!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are")
            }
        }
    }
}

/// A phone number as people write it.
fn phone(text: &str) -> Result<WaId, String> {
    let written: String =
        text.chars().filter(|c| !c.is_whitespace() && !"-()/.\u{2010}\u{2011}".contains(*c)).collect();
    let digits = written.strip_prefix('+').or_else(|| written.strip_prefix("00")).unwrap_or(&written);
    match WaId::parse(digits) {
        Ok(phone) if !digits.starts_with('0') => Ok(phone),
        Ok(_) | Err(_) => Err("must be digits with the country code in front, such as +49 151 23456789".to_owned()),
    }
}

/// A conversation's id as somebody typed it.
pub(super) fn session(text: &str) -> Result<SessionId, String> {
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(SessionId::from_stored(text.trim())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_may_be_written_as_people_do() {
        for written in ["4915123456789", "+49 151 23456789", "0049 (151) 2345-6789", "+49.151/23456789 "] {
            assert_eq!(phone(written).expect("a number").expose(), "4915123456789", "{written}");
        }
        for wrong in ["", "+", "0151 23456789", "US.1349", "12", "call me", "+491512345678901234567"] {
            assert!(phone(wrong).is_err(), "{wrong}");
        }
    }
}
