//! `worker conversation hand-over|resume`: who has a conversation.

use std::sync::Arc;

use anyhow::bail;
use jiff::Timestamp;

use super::{
    super::dead_letter::{say, utc},
    HandOverArguments, Which,
};
use crate::{desk, store::Store};

/// Gives a conversation to a person. The business is not told: whoever types this knows.
///
/// # Errors
/// The database is not reachable, or there is no such conversation.
pub(super) async fn hand_over(store: &Arc<dyn Store>, arguments: &HandOverArguments) -> anyhow::Result<()> {
    let state = arguments.which.find(&**store).await?;
    if !desk::hand_over(store, &state, arguments.hours).await? {
        bail!("the conversation went on elsewhere meanwhile; try again");
    }
    // Who has it for longer already keeps it.
    let until = arguments.which.find(&**store).await?.handed_over_until;
    let until = until.map_or_else(|| "now".to_owned(), utc);
    let under_way = if state.outbox.is_some() { " A reply that is under way is sent to its end." } else { "" };
    Ok(say(&format!("{} is handed over until {until}.{under_way}", state.id))?)
}

/// Gives a conversation back to the companion.
///
/// # Errors
/// The database is not reachable, or there is no such conversation.
pub(super) async fn resume(store: &dyn Store, which: &Which) -> anyhow::Result<()> {
    let state = which.find(store).await?;
    if !store.resume(&state.id).await? {
        bail!("the conversation went on elsewhere meanwhile; try again");
    }
    let had = state.handed_over_until.is_some_and(|until| until > Timestamp::now());
    let before = if had { "The companion has" } else { "Nobody had it; the companion has" };
    let waits = match state.mailbox.len() {
        0 => "nothing waits there".to_owned(),
        count => format!("what waits there is answered now: {count}"),
    };
    Ok(say(&format!("{before} {}; {waits}.", state.id))?)
}
