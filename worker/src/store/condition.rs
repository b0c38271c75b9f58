//! How the database itself is, for who looks after an installation: which server, and what it lacks.

use async_trait::async_trait;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCondition {
    /// The database in words, such as `MongoDB 8.0.4, replica set rs0`.
    pub server: String,
    /// What is wrong with it; nothing, where it is fine.
    pub faults: Vec<StoreFault>,
}

/// Something that the database lacks, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFault {
    /// What of it, such as the name of a collection.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

impl StoreFault {
    /// A fault of this part.
    pub fn new(subject: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject: subject.into(), problem: problem.into(), mend: mend.into() }
    }
}

/// A database that can be looked at.
#[async_trait]
pub trait Inspected {
    /// Looks at the database, and changes nothing.
    ///
    /// # Errors
    /// It does not answer.
    async fn condition(&self) -> super::Result<StoreCondition>;
}
