//! `worker dead-letter list`: which there are, without what they hold.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ListArguments, age,
    choice::{by_reason, filter, total},
    fate, harmless, say, utc,
};
use crate::{
    desk::Owners,
    store::{FiledLetter, LetterFilter, LetterState, Reading, Standing, Store},
};

/// Rows of a table, where nobody says how many.
const ROWS: u32 = 50;
/// Characters of a detail in a table; `show` has all of it.
const DETAIL: usize = 80;

/// Prints the letters that are meant: a table and how many there are, or JSON.
///
/// # Errors
/// MongoDB is not reachable, or no business has the subdomain.
pub(super) async fn list(store: &dyn Store, arguments: &ListArguments, now: Timestamp) -> anyhow::Result<()> {
    let standing = if arguments.replayed { Standing::Closed } else { Standing::Open };
    let filter = filter(store, &arguments.filters, standing, now).await?;
    if arguments.json {
        lines(store, &filter, arguments, now).await
    } else {
        table(store, &filter, arguments, now).await
    }
}

async fn table(
    store: &dyn Store,
    filter: &LetterFilter,
    arguments: &ListArguments,
    now: Timestamp,
) -> anyhow::Result<()> {
    let counts = store.count_letters(filter).await?;
    let what = if arguments.replayed { "Replayed or discarded letters" } else { "Dead letters" };
    if counts.is_empty() {
        return nothing(store, filter.standing, what).await;
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "ID",
        "BURIED",
        "AGE",
        "REASON",
        "BUSINESS",
        "CONVERSATION",
        "TIMES",
        "COMES BACK",
        "DETAIL",
    ]);
    let mut owners = Owners::new(store, None);
    let most = Some(arguments.filters.limit.unwrap_or(ROWS));
    let mut letters = store.filed_letters(filter, Reading { most, ..Reading::default() }).await?;
    let mut shown: u64 = 0;
    while let Some(letter) = letters.next_letter().await? {
        let dash = || "–".to_owned();
        table.add_row([
            letter.handle.clone(),
            utc(letter.buried_at),
            age(letter.buried_at, now),
            letter.reason.clone(),
            owners.name(&letter).await?.unwrap_or_else(dash),
            letter.session.as_ref().map_or_else(dash, ToString::to_string),
            letter.burials.to_string(),
            fate(&letter),
            cut(&harmless(&letter.detail)),
        ]);
        shown += 1;
    }
    say(&table.to_string())?;
    let all = total(&counts);
    let rest = if shown < all { format!(" Shown: the newest {shown}; --limit shows more.") } else { String::new() };
    Ok(say(&format!("{what}: {all} ({}).{rest}", by_reason(&counts)))?)
}

/// Says that nothing is meant, and what there is instead.
async fn nothing(store: &dyn Store, standing: Standing, what: &str) -> anyhow::Result<()> {
    let counts = store.count_letters(&LetterFilter { standing, ..LetterFilter::default() }).await?;
    Ok(say(&if counts.is_empty() {
        format!("{what}: none.")
    } else {
        format!("No letter is like that. {what} in all: {} ({}).", total(&counts), by_reason(&counts))
    })?)
}

async fn lines(
    store: &dyn Store,
    filter: &LetterFilter,
    arguments: &ListArguments,
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut owners = Owners::new(store, None);
    let mut letters =
        store.filed_letters(filter, Reading { most: arguments.filters.limit, ..Reading::default() }).await?;
    while let Some(letter) = letters.next_letter().await? {
        let business = owners.name(&letter).await?;
        say(&object(&letter, business.as_deref(), now).to_string())?;
    }
    Ok(())
}

fn object(letter: &FiledLetter, business: Option<&str>, now: Timestamp) -> Value {
    let (mut until, mut requested_at, mut replayed_at, mut discarded_at) = (None, None, None, None);
    let state = match letter.state {
        LetterState::Undecided => "undecided",
        LetterState::WaitsForBusiness { until: end } => {
            until = end;
            "waits_for_business"
        }
        LetterState::ReplayRequested { at } => {
            requested_at = at;
            "replay_requested"
        }
        LetterState::Replayed { at } => {
            replayed_at = Some(at);
            "replayed"
        }
        LetterState::Discarded { at } => {
            discarded_at = Some(at);
            "discarded"
        }
    };
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "id": letter.handle,
        "reason": letter.reason,
        "detail": letter.detail,
        "buried_at": text(Some(letter.buried_at)),
        "last_buried_at": text(Some(letter.last_buried_at)),
        "age_seconds": now.duration_since(letter.buried_at).as_secs(),
        "times_buried": letter.burials,
        "business": business,
        "business_id": letter.business_id,
        "phone_number_id": letter.phone_number_id,
        "conversation": letter.session.as_ref().map(ToString::to_string),
        "message_id": letter.message_id.as_ref().map(ToString::to_string),
        "state": state,
        "comes_back_until": text(until),
        "replay_requested_at": text(requested_at),
        "replayed_at": text(replayed_at),
        "discarded_at": text(discarded_at),
        "expires_at": text(letter.expires_at),
    })
}

fn cut(text: &str) -> String {
    let line: String = text.chars().take(DETAIL).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > DETAIL { format!("{line}…") } else { line }
}
