//! WhatsApp on the way out: the Graph API, what its errors mean, and what its messages may look like.

mod client;
mod error;
mod pace;
mod markup;
mod split;

pub use client::{Callback, Graph, Recipient, SendError, Text};
pub use error::{ErrorClass, GraphError, Scope, classify};
pub use markup::from_markdown;
pub use pace::{Pace, Permit};
pub use split::{MESSAGE_UNITS, split};
pub(crate) use split::{cut, utf16};
