//! `worker customer forget`: erases, then looks for itself whether that is true.

use std::io::{IsTerminal, Write};

use anyhow::bail;

use super::{ForgetArguments, report, say};
use crate::store::{Forgotten, Store};

/// Forgets a customer.
///
/// # Errors
/// MongoDB is not reachable, nobody confirmed, or something is left that should not be.
pub(super) async fn forget(store: &dyn Store, arguments: &ForgetArguments) -> anyhow::Result<()> {
    let choice = &arguments.choice;
    let mut customer = choice.find(store).await?;
    let holdings = store.holdings(&customer).await?;
    let is_stored = holdings.iter().any(|holding| holding.documents > 0);
    if !choice.json {
        say(&report::standing(&customer, &holdings))?;
        say(&report::table(&holdings).to_string())?;
    }
    let mut forgotten = Forgotten::default();
    if is_stored {
        confirm(arguments)?;
        forgotten = store.forget_customer(&customer).await?;
    }
    // Afresh, for somebody may have written meanwhile: the customer, or a worker.
    let now = choice.find(store).await?;
    customer.extend(now);
    let look = store.look_for(&customer, choice.scan_most).await?;
    if choice.json {
        say(&report::object(choice, &customer, &holdings, Some(&forgotten), &look).to_string())?;
    } else {
        if is_stored {
            say(&report::removed(&forgotten))?;
        }
        report::looked(&look, "Left")?;
        say(
            "Workers that run may still write for a moment what they had in hand; they erase it themselves, within minutes. \
             `worker customer show` looks again.",
        )?;
    }
    match look.left() {
        0 => Ok(()),
        left => bail!(
            "not everything is gone; documents that are left: {left}. If the customer wrote again, or a worker was about \
             it, repeat the command; what is not this program's must be removed by hand"
        ),
    }
}

/// Asks on a terminal; elsewhere nobody could answer.
fn confirm(arguments: &ForgetArguments) -> anyhow::Result<()> {
    if arguments.yes {
        return Ok(());
    }
    if arguments.choice.json || !std::io::stdin().is_terminal() {
        bail!("all of this would be erased, and nothing brings it back; repeat it with --yes");
    }
    let mut out = std::io::stdout();
    write!(out, "All of this will be erased, and nothing brings it back. Type `forget` to go on: ")?;
    out.flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() != "forget" {
        bail!("nothing was changed");
    }
    Ok(())
}
