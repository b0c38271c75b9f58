//! One result of the examination, and all of them together.

use std::fmt;

use serde::Serialize;

/// A part of the chain, in the order in which a message goes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    Configuration,
    RabbitMq,
    Database,
    Encryption,
    Ai,
    Meta,
    Business,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "Configuration",
            Self::RabbitMq => "RabbitMQ",
            Self::Database => "Database",
            Self::Encryption => "Encryption",
            Self::Ai => "AI",
            Self::Meta => "Meta",
            Self::Business => "Businesses",
        })
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Nothing to do.
    Ok,
    /// It works, and may soon not, or could not be looked at.
    Warning,
    /// Messages are not answered, or not as they should be.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One result. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) part: Part,
    /// What was looked at: a variable, a queue, a collection, a business's subdomain.
    pub(super) subject: String,
    pub(super) severity: Severity,
    /// What was found.
    pub(super) problem: String,
    /// What to do about it; none where there is nothing to do.
    pub(super) mend: Option<String>,
}

impl Check {
    pub(super) fn ok(part: Part, subject: impl Into<String>, found: impl Into<String>) -> Self {
        let (subject, problem) = (subject.into(), found.into());
        Self { part, subject, severity: Severity::Ok, problem, mend: None }
    }

    pub(super) fn warning(
        part: Part,
        subject: impl Into<String>,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(part, subject, problem, mend) }
    }

    pub(super) fn error(
        part: Part,
        subject: impl Into<String>,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let (subject, problem, mend) = (subject.into(), problem.into(), Some(mend.into()));
        Self { part, subject, severity: Severity::Error, problem, mend }
    }
}

/// Everything that was found, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) checks: Vec<Check>,
}

impl Report {
    /// By part; within a part in the order in which things were found.
    pub(super) fn of(mut checks: Vec<Check>) -> Self {
        checks.sort_by_key(|check| check.part);
        let count = |severity| checks.iter().filter(|check| check.severity == severity).count();
        Self { errors: count(Severity::Error), warnings: count(Severity::Warning), checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_in_the_order_of_the_chain_and_counts_what_is_wrong() {
        let report = Report::of(vec![
            Check::warning(Part::Business, "acme", "a", "b"),
            Check::ok(Part::Business, "bolt", "fine"),
            Check::error(Part::RabbitMq, "q", "c", "d"),
        ]);
        assert_eq!((report.errors, report.warnings), (1, 1));
        let subjects: Vec<_> = report.checks.iter().map(|check| check.subject.as_str()).collect();
        assert_eq!(subjects, ["q", "acme", "bolt"]);
        let printed = serde_json::to_value(&report).expect("JSON");
        let first = serde_json::json!(
            {"part": "rabbitmq", "subject": "q", "severity": "error", "problem": "c", "mend": "d"}
        );
        assert_eq!((&printed["errors"], &printed["checks"][0]), (&serde_json::json!(1), &first));
        assert!(printed["checks"][2]["mend"].is_null());
    }
}
