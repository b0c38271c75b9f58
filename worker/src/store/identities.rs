//! Which conversation a customer's phone number or user id leads to. No alias crosses from one business to another.

use async_trait::async_trait;
use shared::ids::{SessionId, UserId};

use super::Result;
use crate::conversation::BusinessId;

/// What an alias leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The conversation.
    pub session: SessionId,
    /// For a phone number: the user id that was last seen with it.
    pub user_id: Option<UserId>,
}

/// Where numbers and user ids lead.
#[async_trait]
pub trait Aliases {
    /// What an alias of this business's customers leads to.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn alias(&self, business: &BusinessId, alias: &str) -> Result<Option<Alias>>;

    /// Claims an alias for a session unless it leads somewhere already, and says where it leads now.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn claim_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: Option<&UserId>,
    ) -> Result<Alias>;

    /// Whether a session is somebody's already: another alias than this leads there, or it holds a conversation.
    /// For one who begins a session, so that nobody inherits what is not theirs.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn is_taken(&self, session: &SessionId, business: &BusinessId, alias: &str) -> Result<bool>;

    /// Forgets an alias that leads to this session: its number or id now belongs to nobody we know.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn drop_alias(&self, business: &BusinessId, alias: &str, session: &SessionId) -> Result<()>;

    /// Notes with whom a phone number was seen that leads to this session. False: it leads elsewhere, or was seen with
    /// somebody else.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn link_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: &UserId,
    ) -> Result<bool>;

    /// Points an alias at a session, wherever it led before, and says where that was.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn move_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: Option<&UserId>,
    ) -> Result<Option<Alias>>;
}
