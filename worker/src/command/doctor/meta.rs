//! Meta: what Graph is asked about the apps and about each business. What the answers mean is in `verdict.rs`.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{
    check::{Check, Part},
    examinee::Examinee,
};
use crate::{
    settings::MetaApp,
    whatsapp::{AccountNumber, AskError, Graph, TokenInfo},
};

/// What Graph answered about one business.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) token: Result<TokenInfo, AskError>,
    /// None, where the business names no account, or its token is good for nothing.
    pub(super) account: Option<Account>,
    /// What the ids are that stand in the document and in no account.
    pub(super) strangers: BTreeMap<String, Result<Option<AccountNumber>, AskError>>,
}

/// What Graph answered about a business's account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) numbers: Result<Vec<AccountNumber>, AskError>,
    pub(super) apps: Result<Vec<String>, AskError>,
}

/// Whether Graph is there, and the apps' secrets are theirs. Without Graph nobody need be asked about.
pub(super) async fn look_at_apps(graph: &Graph, apps: &[MetaApp], url: &str) -> (bool, Vec<Check>) {
    if let Err(error) = graph.is_there().await {
        let mend = format!("correct GRAPH_API_URL ({url}), or let this host out to it");
        return (false, vec![Check::error(Part::Meta, "GRAPH_API_URL", error.to_string(), mend)]);
    }
    let mut checks = vec![Check::ok(Part::Meta, "Graph API", "it answers")];
    for app in apps {
        checks.extend(judge_app(app, &graph.inspect_token(&app.token(), &app.token()).await));
    }
    (true, checks)
}

fn judge_app(app: &MetaApp, answer: &Result<TokenInfo, AskError>) -> Option<Check> {
    let subject = format!("app {}", app.id);
    match answer {
        Ok(_) => Some(Check::ok(Part::Meta, subject, "its secret is right")),
        Err(AskError::Refused(error)) => {
            let problem = format!("Meta refuses its secret ({error}), so that its webhooks are refused, too");
            let mend =
                "set META_APP_ID and WHATSAPP_APP_SECRET to what App settings, Basic, shows, for ingest and worker";
            Some(Check::error(Part::Meta, subject, problem, mend))
        }
        Err(AskError::NoAnswer(_)) => None,
    }
}

/// Asks everything that the answers before leave sense in.
pub(super) async fn ask(graph: &Graph, apps: &[MetaApp], examinee: &Examinee, token: &SecretString) -> Answers {
    let info = inspect(graph, apps, token).await;
    let mut answers = Answers { token: info, account: None, strangers: BTreeMap::new() };
    if !answers.token.as_ref().is_ok_and(|info| info.is_valid) {
        return answers;
    }
    let mut unknown = examinee.number_ids.clone();
    if let Some(waba_id) = examinee.waba_id.as_deref().filter(|id| is_id(id)) {
        let account = Account {
            numbers: graph.account_numbers(token, waba_id).await,
            apps: graph.subscribed_apps(token, waba_id).await,
        };
        let known = account.numbers.iter().flatten();
        let known: Vec<_> = known.map(|number| number.id.clone()).collect();
        unknown.retain(|id| !known.contains(id) && id != waba_id);
        answers.account = Some(account);
    }
    for id in unknown.into_iter().filter(|id| is_id(id)) {
        let found = graph.number(token, &id).await;
        answers.strangers.insert(id, found);
    }
    answers
}

/// By the app that issued it, which tells most; else by the token itself.
async fn inspect(graph: &Graph, apps: &[MetaApp], token: &SecretString) -> Result<TokenInfo, AskError> {
    for app in apps {
        if let Ok(info) = graph.inspect_token(token, &app.token()).await {
            return Ok(info);
        }
    }
    graph.inspect_token(token, token).await
}

/// What may stand in a path; anything else is a finding of the document's check.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::doctor::check::Severity, whatsapp::GraphError};

    #[test]
    fn a_secret_that_meta_refuses_is_an_error_and_one_that_it_takes_is_fine() {
        let app = MetaApp { id: "11".to_owned(), secret: SecretString::from("s3cret") };
        let refused =
            AskError::Refused(GraphError::from_answer(400, br#"{"error":{"code":190,"message":"no"}}"#, None));
        let check = judge_app(&app, &Err(refused)).expect("a check");
        assert!(check.severity == Severity::Error && check.subject == "app 11");
        assert!(!format!("{check:?}").contains("s3cret"));
        let taken = judge_app(&app, &Ok(TokenInfo::default())).expect("a check");
        assert_eq!(taken.severity, Severity::Ok);
    }

    #[test]
    fn only_ids_become_part_of_a_path() {
        assert!(is_id("102290129340398") && is_id("waba-acme"));
        assert!(!is_id("") && !is_id("../me") && !is_id("1?fields=x") && !is_id("+49 151"));
    }
}
