//! `worker dead-letter show`: everything about one letter, with what it holds.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use shared::ids::SessionId;

use super::{age, choice::unknown, fate, harmless, say, utc};
use crate::{
    desk::{Owners, content},
    store::{FiledLetter, LetterFilter, Reading, Standing, Store},
};

/// Prints one letter.
///
/// # Errors
/// MongoDB is not reachable, or there is no such letter.
pub(super) async fn show(store: &dyn Store, id: &str, now: Timestamp) -> anyhow::Result<()> {
    let filter = LetterFilter { ids: vec![id.to_owned()], standing: Standing::Any, ..LetterFilter::default() };
    let reading = Reading { most: Some(1), with_bodies: true, ..Reading::default() };
    let letter = store.filed_letters(&filter, reading).await?.next_letter().await?;
    let letter = letter.ok_or_else(|| unknown(id))?;
    let business = Owners::new(store, None).name(&letter).await?;
    say(&table(&letter, business, now).to_string())?;
    Ok(say(&match &letter.body {
        None => "What it held was removed when it was discarded.".to_owned(),
        Some(body) => content(body),
    })?)
}

fn table(letter: &FiledLetter, business: Option<String>, now: Timestamp) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let ago = |time| format!("{} ({} ago)", utc(time), age(time, now));
    let dash = || "–".to_owned();
    let rows = [
        ("Id", letter.handle.clone()),
        ("Document", harmless(&letter.id)),
        ("Reason", letter.reason.clone()),
        ("Detail", harmless(&letter.detail)),
        ("First buried", ago(letter.buried_at)),
        ("Last buried", ago(letter.last_buried_at)),
        ("Times buried", letter.burials.to_string()),
        ("Comes back", fate(letter)),
        ("Business", business.unwrap_or_else(dash)),
        ("Business id", letter.business_id.as_ref().map_or_else(dash, |id| id.0.clone())),
        ("Number id", letter.phone_number_id.as_ref().map_or_else(dash, |id| id.expose().to_owned())),
        ("Conversation", letter.session.as_ref().map(SessionId::expose).map_or_else(dash, harmless)),
        ("Message id", letter.message_id.as_ref().map_or_else(dash, |id| harmless(id.expose()))),
        ("Deleted", letter.expires_at.map_or_else(dash, utc)),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    table
}
