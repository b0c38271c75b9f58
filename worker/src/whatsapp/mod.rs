//! WhatsApp on the way out: the Graph API, what its errors mean, and what its messages may look like.

mod client;
mod proof;
mod calls;
mod account;
mod form;
mod media;
mod tokens;
mod error;
mod pace;
mod markup;
mod split;

pub use account::{AccountNumber, AskError, TokenInfo};
pub use client::{Callback, Graph, Outgoing, Recipient, SendError, sent};
pub use error::{ErrorClass, GraphError, Scope, classify};
pub use form::{BUTTON_UNITS, BUTTONS_MOST, CHOICES_BODY_UNITS, CHOICES_MOST, DESCRIPTION_UNITS, TITLE_UNITS};
pub use markup::from_markdown;
pub(crate) use media::bare_mime_type;
pub use media::{Media, MediaError, MediaId, MediaPlace, Room};
pub use pace::{Pace, Permit};
pub use split::{MESSAGE_UNITS, split};
pub(crate) use split::{cut, utf16};
pub use tokens::{Exchanged, Issued, Lifetime};
