//! One customer of one business as an operator knows them: what is stored of them, and its end.
//!
//! The aliases decide whose a number is. What merely bears the number, such as the conversation of a former owner, is
//! another customer's, and is left alone.

use async_trait::async_trait;
use jiff::Timestamp;
use shared::ids::{SessionId, Subdomain, UserId, WaId};

use super::{BusinessRecord, Forgotten, Result, Whose};
use crate::conversation::BusinessId;

/// How an operator names a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerKey {
    /// By the phone number. Where it leads nowhere, its other form is meant, too ([`WaId::other_form`]).
    Phone(WaId),
    /// By the business-scoped user id.
    User(UserId),
    /// By the conversation.
    Session(SessionId),
}

/// A customer of a business, by every id and conversation that leads to them.
#[derive(Debug, Clone)]
pub struct StoredCustomer {
    /// Whose customer.
    pub business: BusinessId,
    /// The business's subdomain.
    pub subdomain: Option<Subdomain>,
    /// Under what names.
    pub whose: Whose,
    /// When they were forgotten last.
    pub forgotten_at: Option<Timestamp>,
}

/// What one collection holds of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The collection.
    pub collection: &'static str,
    /// Documents with something of the customer's in them.
    pub documents: u64,
    /// The time of the oldest.
    pub oldest: Option<Timestamp>,
    /// The time of the newest.
    pub newest: Option<Timestamp>,
}

impl StoredCustomer {
    /// A customer of whom nothing is known yet.
    pub fn new(business: &BusinessRecord) -> Self {
        let subdomain = business.subdomain.as_deref().and_then(|text| Subdomain::parse(text).ok());
        let mut whose = Whose::default();
        whose.add_business(business);
        Self { business: BusinessId(business.id.clone()), subdomain, whose, forgotten_at: None }
    }

    /// The customer's conversations, also those that were merged or forgotten.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.whose.sessions.iter().map(|session| SessionId::from_stored(session.as_str()))
    }

    /// Adds what another look found.
    pub fn extend(&mut self, other: Self) {
        self.whose.numbers.extend(other.whose.numbers);
        self.whose.waba_ids.extend(other.whose.waba_ids);
        self.whose.ids.extend(other.whose.ids);
        self.whose.sessions.extend(other.whose.sessions);
        self.forgotten_at = self.forgotten_at.max(other.forgotten_at);
    }
}

/// One customer of one business, as an operator knows them.
#[async_trait]
pub trait Customers {
    /// A customer of a business, with everything that is known to be theirs; nobody need ever have written.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn find_customer(&self, business: &BusinessRecord, key: &CustomerKey) -> Result<StoredCustomer>;

    /// What each collection that knows customers holds of one.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn holdings(&self, customer: &StoredCustomer) -> Result<Vec<Holding>>;

    /// Erases a customer: every conversation of theirs, and what names them without one. May be repeated.
    ///
    /// # Errors
    /// [`super::StoreError`]; what was closed is finished by [`super::Forgetting::forgotten_to_look_after`], and a repetition does
    /// the rest.
    async fn forget_customer(&self, customer: &StoredCustomer) -> Result<Forgotten>;
}
