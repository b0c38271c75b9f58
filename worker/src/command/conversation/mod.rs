//! `worker conversation list|show|hand-over|resume|send`: how conversations stand, and who has them.
//!
//! Customers are redacted here as they are in the logs, unless their conversations' ids are asked for, and no text is
//! printed; except by `show --texts`. All but `send` need the database alone.

mod list;
mod show;
mod texts;
mod hand_over;
mod send;

use std::{io::ErrorKind, sync::Arc};

use anyhow::bail;
use clap::{Args, Subcommand};
use shared::{ids::SessionId, settings::Reader};

use super::{Failure, care::open, customer::session};
use crate::{
    conversation::state::State,
    desk::{Sought, find},
    store::Store,
};

/// `worker conversation …`
#[derive(Debug, Subcommand)]
pub enum ConversationCommand {
    /// Which there are and how they stand, those first whose customer wrote last
    List(ListArguments),
    /// Everything about one
    Show(ShowArguments),
    /// Give one to a person: the companion is quiet, and remembers what is said
    HandOver(HandOverArguments),
    /// Give one back to the companion, which answers what waits
    Resume(Which),
    /// Write to the customer as a person of the business, and take the conversation over
    Send(SendArguments),
}

/// `worker conversation list …`
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Of the business with this `subDomain`
    #[arg(long, value_name = "SUBDOMAIN")]
    business: Option<String>,
    /// Those that a person has
    #[arg(long)]
    handed_over: bool,
    /// Those that wait for a later try
    #[arg(long)]
    waiting: bool,
    /// Print the conversations' ids whole, with the customers' numbers in them: the other commands take these
    #[arg(long)]
    whole_ids: bool,
    /// No more than that many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Which conversation.
#[derive(Debug, Args)]
pub struct Which {
    /// Its id, such as lindenhof:4915123456789; `list --whole-ids` shows it
    #[arg(value_name = "SESSION", value_parser = session)]
    session: SessionId,
}

/// `worker conversation show …`
#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    which: Which,
    /// With what was said and what is known of the customer
    #[arg(long)]
    texts: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// `worker conversation hand-over …`
#[derive(Debug, Args)]
pub struct HandOverArguments {
    #[command(flatten)]
    which: Which,
    /// For so long, up to 720; `handOver.hours` of the business where nothing is said
    #[arg(long, value_name = "H", value_parser = hours)]
    hours: Option<std::time::Duration>,
}

/// `worker conversation send …`
#[derive(Debug, Args)]
pub struct SendArguments {
    #[command(flatten)]
    which: Which,
    /// What to say, or `-` for standard input
    text: String,
}

/// Runs the command. `find` says how the database is found.
///
/// # Errors
/// [`Failure`].
pub(super) async fn execute<F>(
    command: ConversationCommand,
    mut reader: Reader,
    find: impl FnOnce(&mut Reader) -> Option<F>,
) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    let store = find(&mut reader);
    // What sends needs more than the database.
    let means = match &command {
        ConversationCommand::Send(_) => send::Means::read(&mut reader),
        ConversationCommand::List(_)
        | ConversationCommand::Show(_)
        | ConversationCommand::HandOver(_)
        | ConversationCommand::Resume(_) => None,
    };
    let store = open(store, reader).await?;
    let done = match command {
        ConversationCommand::List(arguments) => list::list(&*store, &arguments).await,
        ConversationCommand::Show(arguments) => show::show(&*store, &arguments).await,
        ConversationCommand::HandOver(arguments) => hand_over::hand_over(&store, &arguments).await,
        ConversationCommand::Resume(which) => hand_over::resume(&*store, &which).await,
        ConversationCommand::Send(arguments) => {
            let means = means.expect("what is missing was noted, and ended the reading");
            send::send(&store, means, &arguments).await
        }
    };
    store.close().await;
    match done {
        // Whoever reads it, such as `head`, has seen enough.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        done => Ok(done?),
    }
}

impl Which {
    /// The conversation, or the one in which it went on.
    async fn find(&self, store: &dyn Store) -> anyhow::Result<State> {
        match find(store, &self.session).await? {
            Sought::Found(state) => Ok(*state),
            Sought::Unknown(session) => {
                bail!("no conversation has the id {session}; `worker conversation list --whole-ids` shows the ids")
            }
            Sought::Forgotten(session) => bail!("the customer of {session} was forgotten"),
            Sought::Lost => bail!("{} went on and on elsewhere; look at its document", self.session),
        }
    }
}

fn hours(text: &str) -> Result<std::time::Duration, String> {
    let hours = text.parse::<f64>().ok().filter(|hours| *hours > 0.0 && *hours <= 720.0);
    hours
        .map(|hours| std::time::Duration::from_secs_f64(hours * 3_600.0))
        .ok_or_else(|| "must be above 0, up to 720".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_a_time_that_a_person_may_have_a_conversation() {
        assert_eq!(hours("0.5"), Ok(std::time::Duration::from_secs(1_800)));
        for wrong in ["0", "-1", "721", "NaN", "inf", "two"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}
