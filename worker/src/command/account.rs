//! `worker account list|lift`: what Meta lets each account do, and what it said last.
//!
//! Nothing that is printed names a customer: of events Meta's closed words are shown only.

use anyhow::bail;
use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::ids::WabaId;

use super::{
    business::{or_dash, say},
    dead_letter::utc,
};
use crate::{
    account::{Cause, Mark, Pause, StandingChange},
    desk::{Account, accounts, notice},
    store::{KeptEvent, Store},
};

/// `worker account …`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Every account of a business, or of which Meta has said something: whether it may send, and its last events
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Let an account send again, where Meta does but its event never came
    Lift {
        /// The account's id, the `wabaId` of its businesses
        waba_id: String,
    },
}

/// Executes a command.
///
/// # Errors
/// The database does not answer, or nothing keeps the account from sending.
pub(super) async fn execute(command: AccountCommand, store: &dyn Store) -> anyhow::Result<()> {
    match command {
        AccountCommand::List { json } => list(store, json, Timestamp::now()).await,
        AccountCommand::Lift { waba_id } => lift(store, &waba_id, Timestamp::now()).await,
    }
}

async fn list(store: &dyn Store, json: bool, now: Timestamp) -> anyhow::Result<()> {
    let accounts = accounts(store).await?;
    if json {
        accounts.iter().for_each(|account| say(&object(account, now).to_string()));
        return Ok(());
    }
    if accounts.is_empty() {
        say("No business names an account, and Meta has said nothing of any.");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["ACCOUNT", "BUSINESSES", "SENDS", "LAST EVENTS"]);
    for account in &accounts {
        let events: Vec<String> = account.events.iter().map(line).collect();
        table.add_row([
            account.standing.waba_id.clone(),
            or_dash(Some(&account.businesses.join("\n"))),
            sends(account.standing.pause(now).as_ref()),
            or_dash(Some(&events.join("\n"))),
        ]);
    }
    say(&table.to_string());
    Ok(())
}

async fn lift(store: &dyn Store, waba_id: &str, now: Timestamp) -> anyhow::Result<()> {
    let Ok(account) = WabaId::parse(waba_id) else { bail!("that is no account's id") };
    let standing = store.standing(&account).await?;
    if standing.and_then(|standing| standing.pause(now)).is_none() {
        bail!("nothing keeps this account from sending; `worker account list` shows those that there are");
    }
    let mark = Mark { at: now, stops: false, until: None, why: "lifted by hand".to_owned() };
    let changes = Cause::ALL.map(|cause| StandingChange { cause, mark: mark.clone() });
    store.change_standing(&account, &changes).await?;
    say("It may send again; running workers know within seconds, and answer what waits.");
    Ok(())
}

fn object(account: &Account, now: Timestamp) -> Value {
    let pause = account.standing.pause(now);
    let pause = pause.map(|pause| json!({ "cause": pause.cause, "until": pause.until, "why": pause.why }));
    let events = account.events.iter().map(|event| {
        json!({ "received_at": event.received_at, "field": event.field, "says": notice(event).map(|n| n.to_string()),
                "level": notice(event).map(|notice| notice.level.name()) })
    });
    json!({
        "waba_id": account.standing.waba_id,
        "businesses": account.businesses,
        "sends": pause.is_none(),
        "pause": pause,
        "marks": account.standing.marks,
        "events": events.collect::<Vec<_>>(),
    })
}

fn sends(pause: Option<&Pause>) -> String {
    let Some(Pause { cause, until, why }) = pause else { return "yes".to_owned() };
    let end = until.map(|until| format!(", until {}", utc(until))).unwrap_or_default();
    format!("no: {}{end}\n{why}", cause.name())
}

fn line(event: &KeptEvent) -> String {
    let says = notice(event).map_or_else(|| "erased".to_owned(), |notice| notice.to_string());
    format!("{}  {}  {says}", utc(event.received_at), event.field)
}
