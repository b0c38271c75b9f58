//! What operators see and ask, wherever they sit: the command line and the dashboard say it in the same words.
//!
//! Nothing here names a customer whole or repeats what was said, but [`content`], which is what it is for.

mod words;
mod standing;
mod conversation;
mod owner;
mod obstacle;
mod content;
mod accounts;
mod business;
pub(crate) mod figures;

pub(crate) use accounts::{Account, accounts, notice};
pub(crate) use business::{expires, served, token_state};
pub(crate) use content::content;
pub(crate) use conversation::{Sought, companion, customer, facts, find, hand_over};
pub(crate) use obstacle::{foreseen, replayable};
pub(crate) use owner::Owners;
pub(crate) use standing::{Standing, last_activity};
pub(crate) use words::{age, fate, harmless, utc};
