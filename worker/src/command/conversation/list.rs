//! `worker conversation list`: which there are, without what was said.

use anyhow::bail;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::ids::{SessionId, Subdomain};

use super::{
    super::dead_letter::{say, utc},
    ListArguments,
};
use crate::{
    conversation::{BusinessId, state::State},
    desk::{Standing, customer, last_activity},
    store::{ConversationFilter, Store},
};

/// Prints the conversations that are meant.
///
/// # Errors
/// The database is not reachable, or no business has the subdomain.
pub(super) async fn list(store: &dyn Store, arguments: &ListArguments) -> anyhow::Result<()> {
    let businesses = match &arguments.business {
        Some(subdomain) => Some(businesses(store, subdomain).await?),
        None => None,
    };
    // What MongoDB's clock says is learned from this.
    store.ping().await?;
    let (handed_over, waiting) = (arguments.handed_over, arguments.waiting);
    let filter = ConversationFilter { businesses, handed_over, waiting };
    let listed = store.list_conversations(&filter, i64::from(arguments.limit)).await?;
    let (now, shown) = (Timestamp::now(), listed.conversations.len());
    if arguments.json {
        for state in &listed.conversations {
            say(&object(state, arguments.whole_ids, now).to_string())?;
        }
    } else {
        say(&table(&listed.conversations, arguments.whole_ids, now).to_string())?;
        let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
        let rest = if shown == limit { " There may be more; --limit shows more." } else { "" };
        say(&format!("Conversations: {shown}.{rest}"))?;
    }
    match listed.unreadable {
        0 => Ok(()),
        count => bail!("documents that cannot be read, and are not shown: {count}; look at them in the database"),
    }
}

async fn businesses(store: &dyn Store, subdomain: &str) -> anyhow::Result<Vec<BusinessId>> {
    let records = store.businesses_with_subdomain(subdomain).await?;
    if records.is_empty() {
        bail!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are");
    }
    Ok(records.into_iter().map(|record| BusinessId(record.id)).collect())
}

fn table(conversations: &[State], whole_ids: bool, now: Timestamp) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "CONVERSATION",
        "CUSTOMER",
        "STATE",
        "MAILBOX",
        "LAST ACTIVITY",
    ]);
    for state in conversations {
        table.add_row([
            name(&state.id, whole_ids),
            customer(state).unwrap_or_else(|| "–".to_owned()),
            Standing::of(state, now).words(),
            state.mailbox.len().to_string(),
            last_activity(state).map_or_else(|| "–".to_owned(), utc),
        ]);
    }
    table
}

fn object(state: &State, whole_ids: bool, now: Timestamp) -> Value {
    let standing = Standing::of(state, now);
    let (until, because) = match &standing {
        Standing::HandedOver(until) => (Some(*until), None),
        Standing::Waits { until, because } => (Some(*until), Some(because.as_str())),
        Standing::Answering | Standing::Due | Standing::Idle => (None, None),
    };
    json!({
        "conversation": name(&state.id, whole_ids),
        "business": state.subdomain.as_ref().map(Subdomain::expose),
        "customer": customer(state),
        "state": standing.word(),
        "until": until,
        "because": because,
        "handed_over_until": state.handed_over_until,
        "mailbox": state.mailbox.len(),
        "last_activity": last_activity(state),
    })
}

fn name(session: &SessionId, whole: bool) -> String {
    if whole { session.expose().to_owned() } else { session.to_string() }
}
