//! Whose things may be read: one business's, or one customer's of one business.
//!
//! Memory, knowledge and the transcript are read under a scope only. A scope is made from the business or the
//! conversation itself, never from an id that came from elsewhere, so that code which would read for one tenant or
//! customer what belongs to another does not compile:
//!
//! ```compile_fail,E0451
//! use worker::{conversation::BusinessId, scope::BusinessScope};
//! // An id from a message, a tool call or a document is no scope.
//! let theirs = BusinessScope { id: BusinessId("somebody else".to_owned()) };
//! ```
//!
//! ```compile_fail,E0451
//! use worker::{conversation::BusinessId, scope::CustomerScope};
//! let theirs = CustomerScope { business_id: BusinessId("b".to_owned()), session: todo!() };
//! ```

use shared::ids::SessionId;

use crate::{
    business::Business,
    conversation::{BusinessId, Conversation},
    store::BusinessRecord,
};

/// The right to read what belongs to one business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessScope {
    id: BusinessId,
}

/// The right to read what belongs to one customer of one business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerScope {
    business_id: BusinessId,
    session: SessionId,
}

impl BusinessScope {
    /// Whose it is.
    pub fn id(&self) -> &BusinessId {
        &self.id
    }
}

impl CustomerScope {
    /// The business that the customer writes to.
    pub fn business_id(&self) -> &BusinessId {
        &self.business_id
    }

    /// The customer's conversation.
    pub fn session(&self) -> &SessionId {
        &self.session
    }
}

impl Business {
    /// The right to read what is this business's.
    pub fn scope(&self) -> BusinessScope {
        BusinessScope { id: self.id.clone() }
    }
}

impl BusinessRecord {
    /// The right to read what is this business's, whether it is served or not.
    pub fn scope(&self) -> BusinessScope {
        BusinessScope { id: BusinessId(self.id.clone()) }
    }
}

impl Conversation {
    /// The right to read what is this customer's.
    pub fn scope(&self) -> CustomerScope {
        CustomerScope { business_id: self.business_id.clone(), session: self.id.clone() }
    }
}
