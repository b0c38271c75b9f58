//! The businesses: each one's document, and what Meta and the AI say of it; a few at once.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::{
    AT_ONCE, ai,
    check::{Check, Part},
    examinee::Examinee,
    meta,
    verdict::Verdict,
};
use crate::{
    business::{Finding, Severity},
    settings::MetaApp,
    whatsapp::Graph,
};

/// Whom to ask. Who does not answer at all is not asked about each.
pub(super) struct Outside<'a> {
    pub(super) graph: Option<&'a Graph>,
    pub(super) apps: &'a [MetaApp],
    pub(super) ai: Option<&'a ai::Answers>,
}

impl Outside<'_> {
    /// Examines them all, and gives the checks in the order of the businesses.
    pub(super) async fn examine(&self, examinees: &[Examinee]) -> Vec<Check> {
        let examined = stream::iter(examinees.iter().map(|examinee| self.examine_one(examinee)));
        let checks: Vec<Vec<Check>> = examined.buffered(AT_ONCE).collect().await;
        checks.into_iter().flatten().collect()
    }

    async fn examine_one(&self, examinee: &Examinee) -> Vec<Check> {
        let mut checks: Vec<_> = examinee.findings.iter().map(|finding| finding_check(examinee, finding)).collect();
        if let Some(flag) = examinee.off {
            let found = format!("it is not served: {flag} is off (`worker business enable {}`)", examinee.subject);
            checks.push(Check::ok(Part::Business, &examinee.subject, found));
            return checks;
        }
        if let (Some(graph), Ok(token)) = (self.graph, &examinee.token) {
            let answers = meta::ask(graph, self.apps, examinee, token).await;
            checks.extend(Verdict { examinee, apps: self.apps, now: Timestamp::now() }.of(&answers));
        }
        checks.extend(self.ai.into_iter().flat_map(|answers| ai::judge_business(answers, examinee)));
        if checks.is_empty() {
            checks.push(Check::ok(Part::Business, &examinee.subject, self.praise()));
        }
        checks
    }

    fn praise(&self) -> &'static str {
        match (self.graph.is_some(), self.ai.is_some()) {
            (true, true) => "document, token, numbers, subscription, model and voice are as they should be",
            (true, false) => "document, token, numbers and subscription are as they should be; the AI was not asked",
            (false, true) => "document, model and voice are as they should be; Meta was not asked",
            (false, false) => "the document is as it should be; nobody outside was asked",
        }
    }
}

fn finding_check(examinee: &Examinee, finding: &Finding) -> Check {
    let is_token = finding.field == "whatsappAccessToken";
    let mend = if is_token && finding.problem.contains("another secret") {
        let new_token = examinee.set("whatsappAccessToken", "- < token.txt");
        format!("set ENCRYPTION_SECRET (or _PREVIOUS) to the secret that it was encrypted with, or {new_token}")
    } else if is_token {
        examinee.new_token()
    } else if finding.field == "subDomain" {
        "change it in the database, where the back end keeps it".to_owned()
    } else {
        // An element of a list is changed with its list.
        let field = finding.field.split('[').next().unwrap_or_default();
        examinee.set(field, "VALUE")
    };
    match finding.severity {
        Severity::Error => Check::error(Part::Business, &examinee.subject, finding.to_string(), mend),
        Severity::Warning => Check::warning(Part::Business, &examinee.subject, finding.to_string(), mend),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::verdict::examinee, *};

    const NOBODY: Outside<'static> = Outside { graph: None, apps: &[], ai: None };

    fn finding(field: &str, problem: &str) -> Finding {
        Finding { field: field.to_owned(), problem: problem.to_owned(), severity: Severity::Error }
    }

    #[tokio::test]
    async fn what_is_wrong_in_a_document_comes_with_the_command_that_mends_it() {
        let mut wrong = examinee("acme");
        wrong.findings = vec![
            finding("whatsappAccessToken", "cannot be used: encrypted with another secret than ENCRYPTION_SECRET"),
            finding("companion.locations[2].latitude", "is 100"),
        ];
        let checks = NOBODY.examine(&[wrong, examinee("bolt")]).await;
        let mends: Vec<_> = checks.iter().map(|check| check.mend.as_deref().unwrap_or("none")).collect();
        assert!(mends[0].contains("ENCRYPTION_SECRET"), "{mends:?}");
        assert_eq!(mends[1..], ["`worker business set acme companion.locations VALUE`", "none"]);
        assert!(checks[2].subject == "bolt" && checks[2].problem.contains("nobody outside was asked"));
    }

    #[tokio::test]
    async fn a_business_that_is_off_is_no_trouble() {
        let mut off = examinee("acme");
        off.off = Some("isActive");
        let checks = NOBODY.examine(&[off]).await;
        assert!(checks.len() == 1 && checks[0].mend.is_none() && checks[0].problem.contains("isActive is off"));
    }
}
