//! Two conversations that turn out to be one customer's become one.
//!
//! The one that ends becomes a tombstone that leads to the other. Before that nobody has it in hand and no reply is
//! under way; from then on it takes nothing in, and nothing of it is lost, repeated, or answered twice.

use async_trait::async_trait;
use shared::ids::{SessionId, Subdomain, UserId, WaId};

use super::Result;
use crate::conversation::{BusinessId, QuietTime};

/// Two conversations that a message with both ids, or news of a changed id, shows to be one customer's.
#[derive(Debug, Clone, Copy)]
pub struct MergeRequest<'a> {
    /// Whose they are.
    pub business_id: &'a BusinessId,
    /// The business's subdomain.
    pub subdomain: Option<&'a Subdomain>,
    /// The one that ends: the phone number's, or the new id's.
    pub from: &'a SessionId,
    /// The one that goes on: the user id's.
    pub into: &'a SessionId,
    /// The number, where it is what led to the one that ends.
    pub phone: Option<&'a WaId>,
    /// The user id.
    pub user_id: &'a UserId,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeRequested {
    /// It will be done, by whoever comes to it.
    Recorded,
    /// They are one.
    Done,
    /// The number's customer has a user id of their own, or the user id's another number: nothing was changed.
    OtherCustomer,
    /// One of them was forgotten: nothing was changed.
    Forgotten,
}

/// What a step of a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeStep {
    /// The tombstone is written.
    Closed,
    /// The content is in the conversation that goes on.
    Copied,
    /// It is over.
    Finished,
    /// Somebody has one of them in hand, or a reply is under way: later.
    Waits,
    /// No merge is under way.
    Nothing,
}

/// Two conversations that turn out to be one customer's become one.
#[async_trait]
pub trait Merges {
    /// Wants two conversations to be one. The first wish counts.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` it may be recorded, and may be repeated.
    async fn request_merge(&self, request: &MergeRequest<'_>) -> Result<MergeRequested>;

    /// The merges that are to be tried now, the longest waiting first.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn merges_under_way(&self, most: i64) -> Result<Vec<SessionId>>;

    /// Merges as far as is possible now; one that has to wait is left to [`Self::merges_under_way`]. Messages that are
    /// merged into another mailbox are due there by `quiet`.
    ///
    /// # Errors
    /// [`super::StoreError`]; it goes on where it was.
    async fn merge(&self, from: &SessionId, quiet: QuietTime) -> Result<MergeStep>;
}
