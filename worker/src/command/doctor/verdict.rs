//! What Meta's answers about one business mean, and how to mend what is wrong. Asks nobody.

use super::{
    check::{Check, Part},
    examinee::Examinee,
    meta::{Account, Answers},
};
use crate::{
    settings::MetaApp,
    whatsapp::{AccountNumber, AskError, ErrorClass, TokenInfo},
};
use jiff::{SignedDuration, Timestamp};

/// Both are needed (Meta, "Permissions").
const SCOPES: [(&str, &str); 2] = [
    ("whatsapp_business_messaging", "nothing can be sent"),
    ("whatsapp_business_management", "its account cannot be looked at, or subscribed"),
];
/// A token that ends sooner is worth a word.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One business under examination.
pub(super) struct Verdict<'a> {
    pub(super) examinee: &'a Examinee,
    pub(super) apps: &'a [MetaApp],
    pub(super) now: Timestamp,
}

impl Verdict<'_> {
    /// Everything that is not as it should be.
    pub(super) fn of(&self, answers: &Answers) -> Vec<Check> {
        let mut checks = self.token(&answers.token);
        if let Some(account) = &answers.account {
            checks.extend(self.subscription(account, answers.token.as_ref().ok()));
            checks.extend(self.account(account));
        } else if answers.token.as_ref().is_ok_and(|info| info.is_valid) && self.examinee.findings_allow_an_account() {
            let problem = "it has no wabaId, so nobody can tell whether its account is subscribed";
            checks.push(self.warning(problem, self.examinee.set("wabaId", "WABA_ID")));
        }
        checks.extend(self.numbers(answers));
        checks
    }

    fn error(&self, problem: impl Into<String>, mend: impl Into<String>) -> Check {
        Check::error(Part::Business, &self.examinee.subject, problem, mend)
    }

    fn warning(&self, problem: impl Into<String>, mend: impl Into<String>) -> Check {
        Check::warning(Part::Business, &self.examinee.subject, problem, mend)
    }

    fn token(&self, answer: &Result<TokenInfo, AskError>) -> Vec<Check> {
        let new_token = self.examinee.new_token();
        match answer {
            Err(AskError::Refused(error)) if error.class == ErrorClass::Credentials => {
                vec![self.error(format!("Meta refuses its access token: {}", error.detail), new_token)]
            }
            Err(error) => vec![self.warning(format!("its access token could not be inspected: {error}"), "try again")],
            Ok(info) if !info.is_valid => {
                let problem = match info.expires_at.filter(|at| *at <= self.now) {
                    Some(at) => format!("its access token has expired on {}", day(at)),
                    None => {
                        format!("its access token is not valid: {}", info.problem.as_deref().unwrap_or("no reason"))
                    }
                };
                vec![self.error(problem, new_token)]
            }
            Ok(info) => self.valid_token(info),
        }
    }

    fn valid_token(&self, info: &TokenInfo) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(at) = info.expires_at.filter(|at| at.duration_since(self.now) < SOON) {
            checks.push(self.warning(format!("its access token ends on {}", day(at)), self.examinee.new_token()));
        }
        for (scope, without) in SCOPES {
            let targets = info.targets.get(scope);
            let other_account = targets.zip(self.examinee.waba_id.as_ref()).filter(|(ids, own)| !ids.contains(own));
            if !info.scopes.iter().any(|granted| granted == scope) {
                let problem = format!("its access token lacks the permission {scope}: {without}");
                checks.push(self.error(problem, self.examinee.new_token()));
            } else if other_account.is_some() {
                let problem = format!("its access token has {scope} for other accounts only, not for its wabaId");
                let mend = "assign the account to the system user (business settings, Accounts, WhatsApp accounts)";
                checks.push(self.error(problem, mend));
            }
        }
        if let Some(app) = info.app_id.as_ref().filter(|app| self.is_foreign(app)) {
            let problem = format!("its access token was issued by app {app}, whose secret is not configured");
            let mend = format!("add `{app}:SECRET` to WHATSAPP_APP_SECRET, or use a token of your app");
            checks.push(self.warning(problem, mend));
        }
        checks
    }

    fn is_foreign(&self, app: &str) -> bool {
        !self.apps.is_empty() && self.apps.iter().all(|known| known.id != *app)
    }

    fn subscription(&self, account: &Account, token: Option<&TokenInfo>) -> Option<Check> {
        // Why it cannot be told is said with the account's numbers.
        let subscribed = account.apps.as_ref().ok()?;
        let own = token.and_then(|info| info.app_id.as_ref());
        if own.map_or(!subscribed.is_empty(), |own| subscribed.contains(own)) {
            return None;
        }
        let waba_id = self.examinee.waba_id.as_deref().unwrap_or("WABA_ID");
        let problem = format!("its account {waba_id} is not subscribed to the app: no message arrives");
        let mend = format!("POST /{waba_id}/subscribed_apps with its token (README.md, \"Set up Meta's webhook\", 4)");
        Some(self.error(problem, mend))
    }

    /// That the account itself is not one, or not the token's.
    fn account(&self, account: &Account) -> Option<Check> {
        let Err(AskError::Refused(error)) = &account.numbers else {
            let error = account.numbers.as_ref().err()?;
            return Some(self.warning(format!("its account could not be looked at: {error}"), "try again"));
        };
        if error.class == ErrorClass::Credentials {
            // The missing permission is an error already.
            return None;
        }
        let waba_id = self.examinee.waba_id.as_deref().unwrap_or_default();
        let what =
            if self.examinee.number_ids.iter().any(|id| id == waba_id) { "is the id of a number" } else { "is not" };
        let problem = format!("its wabaId {waba_id} {what}, or not one that its token may see ({})", error.detail);
        let mend = format!("copy the account's id from API Setup: {}", self.examinee.set("wabaId", "WABA_ID"));
        Some(self.error(problem, mend))
    }

    fn numbers(&self, answers: &Answers) -> Vec<Check> {
        let known = answers.account.iter().flat_map(|account| account.numbers.iter().flatten());
        let known: Vec<&AccountNumber> = known.collect();
        let listed = answers.account.as_ref().is_some_and(|account| account.numbers.is_ok());
        let judged = self.examinee.number_ids.iter().filter_map(|id| match answers.strangers.get(id) {
            Some(found) => self.stranger(id, found, &known, listed),
            None if self.examinee.waba_id.as_ref() == Some(id) => {
                Some(self.slip("is the id of its account, not of a number", id, &known))
            }
            None => None,
        });
        judged.collect()
    }

    /// An id that is none of the account's.
    fn stranger(
        &self,
        id: &str,
        found: &Result<Option<AccountNumber>, AskError>,
        known: &[&AccountNumber],
        listed: bool,
    ) -> Option<Check> {
        if let Some(number) = known.iter().find(|number| is_same_number(&number.display, id)) {
            return Some(self.slip("is the phone number itself, not its id", id, &[number]));
        }
        match found {
            Ok(Some(_)) if listed => {
                let mend = format!("correct its wabaId, or {}", self.set_ids(known));
                Some(self.error(format!("the number id {id} is that of another account than its wabaId"), mend))
            }
            Ok(Some(_)) => None,
            Ok(None) => Some(self.slip("is the id of something else than a number", id, known)),
            Err(AskError::Refused(error)) if error.class != ErrorClass::Credentials => {
                Some(self.slip("is not known at Meta, or not to its token", id, known))
            }
            Err(error) => {
                Some(self.warning(format!("the number id {id} could not be looked up: {error}"), "try again"))
            }
        }
    }

    fn slip(&self, what: &str, id: &str, right: &[&AccountNumber]) -> Check {
        self.error(format!("the number id {id} {what}: no message leads here, none can be sent"), self.set_ids(right))
    }

    fn set_ids(&self, right: &[&AccountNumber]) -> String {
        if right.is_empty() {
            return self.examinee.set("whatsappPhoneNumberIds", "'[\"ID\"]'") + " with the id from API Setup";
        }
        let ids: Vec<_> = right.iter().map(|number| format!("\"{}\"", number.id)).collect();
        let numbers: Vec<_> = right.iter().map(|number| number.display.as_str()).collect();
        let set = self.examinee.set("whatsappPhoneNumberIds", &format!("'[{}]'", ids.join(", ")));
        format!("{set} ({})", numbers.join(", "))
    }
}

impl Examinee {
    /// The fallback number has no place for an account.
    fn findings_allow_an_account(&self) -> bool {
        self.waba_id.is_none() && !self.subject.starts_with('(')
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// Whether an entry is a number, however either is written. A person may leave the country code out.
fn is_same_number(display: &str, entry: &str) -> bool {
    const DIGITS_LEAST: usize = 7;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (display, entry) = (digits(display), digits(entry));
    let national = entry.trim_start_matches('0');
    national.len() >= DIGITS_LEAST && display.ends_with(national)
}

/// For tests of other modules, and of this one.
#[cfg(test)]
pub(super) fn examinee(subject: &str) -> Examinee {
    let token = secrecy::SecretString::from("EAAsecret");
    Examinee {
        subject: subject.to_owned(),
        off: None,
        findings: Vec::new(),
        token: Ok(token),
        waba_id: Some("waba".to_owned()),
        number_ids: vec!["1001".to_owned()],
        model: None,
        voice: crate::business::VoiceSettings::default(),
    }
}

#[cfg(test)]
mod tests;
