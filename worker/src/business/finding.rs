//! What is wrong with a business's document: where it is wrong, and what to write instead.
//!
//! A finding never repeats a secret. It may repeat the beginning of a short value that was to be one of a few words.

use std::{cell::RefCell, fmt};

use serde::Serialize;

/// Something that the operator of a business should mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, such as `companion.openingHours.tuesday[0]`.
    pub field: String,
    /// What is wrong and what to write instead; completes a sentence that begins with the field.
    pub problem: String,
    /// How bad it is.
    pub severity: Severity,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is not used as it stands, or keeps the business from being served.
    Error,
    /// It is used, though perhaps not as it was meant; or nothing reads it.
    Warning,
}

impl Finding {
    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

/// Findings as they come up while a document is read. Shared by all its fields, hence the cell.
#[derive(Debug, Default)]
pub(super) struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    pub(super) fn note(&self, severity: Severity, field: &str, problem: impl Into<String>) {
        self.0.borrow_mut().push(Finding { field: field.to_owned(), problem: problem.into(), severity });
    }

    /// How many errors were noted so far.
    pub(super) fn errors(&self) -> usize {
        self.0.borrow().iter().filter(|finding| finding.is_error()).count()
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.0.into_inner()
    }
}
