//! How a business is, from what is stored of it: nobody at Meta is asked.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{
    account::AccountStanding,
    business::{CheckedBusiness, Finding, Origin, check_documents},
    dashboard::{Dashboard, layout::Tone, trouble::Trouble},
    desk::{served, token_state},
    store::BusinessRecord,
};

/// A token that ends sooner than this is worth a look.
const SOON_DAYS: i64 = 7;

/// What is known of all businesses, or of those of a subdomain.
pub(super) struct Known {
    findings: HashMap<String, Vec<Finding>>,
    standings: HashMap<String, AccountStanding>,
}

impl Known {
    /// Looks at their documents and accounts.
    pub(super) async fn look(dashboard: &Dashboard) -> Result<Self, Trouble> {
        let (store, cipher) = (&dashboard.store, dashboard.cipher.as_ref());
        let (documents, standings) = tokio::try_join!(store.business_documents(None), store.standings())?;
        let mut findings: HashMap<String, Vec<Finding>> = HashMap::new();
        // All at once: some faults are of two documents.
        for CheckedBusiness { subdomain, findings: found } in check_documents(&documents, Origin::Database, cipher) {
            findings.entry(subdomain).or_default().extend(found);
        }
        let standings = standings.into_iter().map(|standing| (standing.waba_id.clone(), standing)).collect();
        Ok(Self { findings, standings })
    }

    /// What is wrong in the document of a business.
    pub(super) fn findings(&self, record: &BusinessRecord) -> &[Finding] {
        self.findings.get(record.subdomain.as_deref().unwrap_or_default()).map_or(&[], Vec::as_slice)
    }

    /// What Meta lets its account do.
    pub(super) fn standing(&self, record: &BusinessRecord) -> Option<&AccountStanding> {
        self.standings.get(record.waba_id.as_deref()?)
    }

    /// In a word, the worst first.
    pub(super) fn word(&self, dashboard: &Dashboard, record: &BusinessRecord, now: Timestamp) -> (Tone, String) {
        let served = served(record);
        if let Some(why) = served.strip_prefix("no: ") {
            return (Tone::Plain, format!("not served: {why}"));
        }
        if let Some(pause) = self.standing(record).and_then(|standing| standing.pause(now)) {
            return (Tone::Bad, format!("may not send: {}", pause.cause.name()));
        }
        let token = token_state(record, dashboard.cipher.as_ref());
        if token == "none" || token.starts_with("unusable") {
            return (Tone::Bad, "no usable token".to_owned());
        }
        let days_left = record.token_expires_at.map(|end| end.duration_since(now).as_hours() / 24);
        if record.token_expires_at.is_some_and(|end| end <= now) {
            return (Tone::Bad, "token has ended".to_owned());
        }
        let findings = self.findings(record);
        match (findings.iter().filter(|finding| finding.is_error()).count(), findings.len()) {
            (0, _) if days_left.is_some_and(|days| days < SOON_DAYS) => {
                (Tone::Warm, format!("token ends in {} days", days_left.unwrap_or(0)))
            }
            (0, 0) => (Tone::Good, "fine".to_owned()),
            (0, warnings) => (Tone::Warm, format!("{warnings} to look at")),
            (1, _) => (Tone::Bad, "1 error".to_owned()),
            (errors, _) => (Tone::Bad, format!("{errors} errors")),
        }
    }
}
