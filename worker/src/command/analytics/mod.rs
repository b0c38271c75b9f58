//! `worker analytics`: what the days of businesses were like, in numbers.

mod csv;
mod period;
mod table;

use std::{io::ErrorKind, sync::Arc};

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use shared::settings::Reader;

use self::period::{OneBusiness, Period, read};
use super::{Failure, care::open, dead_letter::say};
use crate::{
    analytics::{Numbers, Prices, recount},
    store::Store,
};

/// More is not kept.
const DAYS_MOST: u32 = 800;
/// Of more days there is no transcript.
const RECOUNT_MOST: u32 = 89;

/// `worker analytics …`
#[derive(Debug, Args)]
pub struct AnalyticsCommand {
    /// Of the business with this `subDomain`, day by day; of all where none is given
    subdomain: Option<String>,
    /// The last so many days, by each business's own clock; today is one of them
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MOST)))]
    days: u32,
    /// One JSON object a business and day
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// One line a business and day, with a line of names above
    #[arg(long)]
    csv: bool,
    /// Count these days anew first, from what is stored of them: after an upgrade, or with other prices. 89 at most
    #[arg(long)]
    recount: bool,
}

/// Runs the command. `find` says how the database is found.
///
/// # Errors
/// [`Failure`].
pub(super) async fn execute<F>(
    command: AnalyticsCommand,
    mut reader: Reader,
    find: impl FnOnce(&mut Reader) -> Option<F>,
) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    let (store, prices) = (find(&mut reader), Prices::read(&mut reader));
    let store = open(store, reader).await?;
    let done = show(&*store, &prices, &command).await;
    store.close().await;
    match done {
        // Whoever reads it, such as `head`, has seen enough.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        done => Ok(done?),
    }
}

async fn show(store: &dyn Store, prices: &Prices, command: &AnalyticsCommand) -> anyhow::Result<()> {
    let period = Period::last(command.days, Timestamp::now());
    if command.recount {
        recount_all(store, prices, command).await?;
    }
    let businesses = read(store, command.subdomain.as_deref(), period).await?;
    if command.json {
        for business in &businesses {
            for (day, numbers) in business.counted() {
                say(&object(&business.name, &day.to_string(), numbers)?.to_string())?;
            }
        }
        return Ok(());
    }
    if command.csv {
        return Ok(csv::write(&businesses, std::io::stdout().lock())?);
    }
    match businesses.as_slice() {
        [business] if command.subdomain.is_some() => say(&table::of_one(business))?,
        businesses => say(&table::of_all(businesses))?,
    }
    Ok(())
}

async fn recount_all(store: &dyn Store, prices: &Prices, command: &AnalyticsCommand) -> anyhow::Result<()> {
    if command.days > RECOUNT_MOST {
        bail!("the transcript is kept for 90 days: --recount takes --days up to {RECOUNT_MOST}");
    }
    let period = Period::last(command.days, Timestamp::now());
    for business in read(store, command.subdomain.as_deref(), period).await? {
        for (day, _) in &business.days {
            recount(store, prices, &business.id, *day).await?;
        }
    }
    Ok(())
}

/// A day for a script: the numbers as they are stored, with what follows from them.
fn object(business: &str, day: &str, numbers: &Numbers) -> anyhow::Result<Value> {
    let millis = |time: Option<std::time::Duration>| time.map(|time| time.as_millis());
    let mut object = Map::new();
    object.insert("business".to_owned(), business.into());
    object.insert("day".to_owned(), day.into());
    if let Value::Object(numbers) = serde_json::to_value(numbers)? {
        object.extend(numbers);
    }
    object.remove("answer_times");
    for (name, value) in [
        ("received", json!(numbers.received())),
        ("sent", json!(numbers.sent())),
        ("answers", json!(numbers.answer_times.count())),
        ("answer_p50_millis", json!(millis(numbers.answer_times.p50()))),
        ("answer_p95_millis", json!(millis(numbers.answer_times.p95()))),
        ("delivered_share", json!(numbers.delivered_share())),
        ("read_share", json!(numbers.read_share())),
        ("billable", json!(numbers.billable())),
        ("tokens", json!(numbers.tokens())),
    ] {
        object.insert(name.to_owned(), value);
    }
    Ok(Value::Object(object))
}
