//! What the Graph API tells of tokens, accounts and numbers, for who looks after businesses. Nothing is changed at Meta.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    client::{Graph, cause},
    error::GraphError,
};

const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MOST: usize = 1024 * 1024;
/// Numbers of one account that are looked at; Meta allows an account far fewer.
const NUMBERS_MOST: &str = "200";

/// Why Graph did not tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It refused.
    #[error(transparent)]
    Refused(#[from] GraphError),
    /// It cannot be reached, or what answers is not Graph.
    #[error("no answer from the Graph API: {0}")]
    NoAnswer(String),
}

/// What Meta says of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenInfo {
    /// The app that issued it.
    pub app_id: Option<String>,
    /// Whether Meta takes it.
    pub is_valid: bool,
    /// Why not, in Meta's words.
    pub problem: Option<String>,
    /// When it ends; none where it does not.
    pub expires_at: Option<Timestamp>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// For a scope that counts for some accounts only: their ids.
    pub targets: BTreeMap<String, Vec<String>>,
}

/// A number of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountNumber {
    /// The id, which webhooks and sends name.
    pub id: String,
    /// The number, as people write it.
    pub display: String,
}

impl Graph {
    /// What Meta says of a token. `by` is the token of the app that issued it, or the token itself.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn inspect_token(&self, token: &SecretString, by: &SecretString) -> Result<TokenInfo, AskError> {
        let query = [("input_token", token.expose_secret())];
        let answer = self.ask("debug_token", by, &query).await?;
        answer
            .get("data")
            .map(TokenInfo::read)
            .ok_or_else(|| AskError::NoAnswer("it says nothing of the token".to_owned()))
    }

    /// The numbers of an account.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn account_numbers(&self, token: &SecretString, waba_id: &str) -> Result<Vec<AccountNumber>, AskError> {
        let fields = [("fields", "id,display_phone_number"), ("limit", NUMBERS_MOST)];
        let answer = self.ask(&format!("{waba_id}/phone_numbers"), token, &fields).await?;
        Ok(list(&answer).filter_map(number).collect())
    }

    /// The ids of the apps that get an account's webhooks.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn subscribed_apps(&self, token: &SecretString, waba_id: &str) -> Result<Vec<String>, AskError> {
        let answer = self.ask(&format!("{waba_id}/subscribed_apps"), token, &[]).await?;
        let id = |app: &Value| Some(app.pointer("/whatsapp_business_api_data/id")?.as_str()?.to_owned());
        Ok(list(&answer).filter_map(id).collect())
    }

    /// The number of this id; none, where it is the id of something else.
    ///
    /// # Errors
    /// [`AskError`], also where there is nothing of that id, or not for this token.
    pub async fn number(&self, token: &SecretString, id: &str) -> Result<Option<AccountNumber>, AskError> {
        Ok(number(&self.ask(id, token, &[("fields", "id,display_phone_number")]).await?))
    }

    /// Whether anything answers at all.
    ///
    /// # Errors
    /// [`AskError::NoAnswer`].
    pub async fn is_there(&self) -> Result<(), AskError> {
        let answer = self.client.get(format!("{}/debug_token", self.base_url)).timeout(TIMEOUT).send().await;
        answer.map(drop).map_err(|error| AskError::NoAnswer(cause(&error)))
    }

    async fn ask(&self, path: &str, token: &SecretString, query: &[(&str, &str)]) -> Result<Value, AskError> {
        let url = format!("{}/{path}", self.base_url);
        let asking = self.call("account", token, TIMEOUT, ANSWER_BYTES_MOST, || self.client.get(&url).query(query));
        let answer = asking.await.map_err(|error| AskError::NoAnswer(cause(&error)))?;
        let bytes = answer.bytes.as_ref().ok_or_else(|| AskError::NoAnswer("it has no end".to_owned()))?;
        if !answer.status.is_success() {
            return Err(answer.error().into());
        }
        serde_json::from_slice(bytes).map_err(|_| AskError::NoAnswer("it is no JSON".to_owned()))
    }
}

fn list(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.get("data").and_then(Value::as_array).into_iter().flatten()
}

fn number(value: &Value) -> Option<AccountNumber> {
    let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    Some(AccountNumber { id: text("id")?, display: text("display_phone_number")? })
}

impl TokenInfo {
    /// From the `data` of the answer.
    pub fn read(data: &Value) -> Self {
        let texts = |value: Option<&Value>| -> Vec<String> {
            let items = value.and_then(Value::as_array).into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let granular = data.get("granular_scopes").and_then(Value::as_array).into_iter().flatten();
        let targets = granular.filter_map(|scope| {
            // Without targets a scope counts for all of them.
            let ids = texts(Some(scope.get("target_ids").filter(|ids| ids.is_array())?));
            Some((scope.get("scope")?.as_str()?.to_owned(), ids))
        });
        // 0 stands for "never".
        let expires_at = data.get("expires_at").and_then(Value::as_i64).filter(|at| *at > 0);
        Self {
            app_id: data.get("app_id").and_then(Value::as_str).map(str::to_owned),
            is_valid: data.get("is_valid").and_then(Value::as_bool).unwrap_or(false),
            problem: data.get("error").map(|_| GraphError::from_answer(400, data.to_string().as_bytes(), None).detail),
            expires_at: expires_at.and_then(|at| Timestamp::from_second(at).ok()),
            scopes: texts(data.get("scopes")),
            targets: targets.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_of_meta_s_sample_is_read() {
        let info = TokenInfo::read(&json!({
            "app_id": "634974688087057", "type": "SYSTEM_USER", "expires_at": 0, "is_valid": true,
            "scopes": ["whatsapp_business_management", "whatsapp_business_messaging"],
            "granular_scopes": [{"scope": "whatsapp_business_management", "target_ids": ["102290129340398"]},
                                {"scope": "whatsapp_business_messaging"}],
        }));
        assert!(info.is_valid && info.expires_at.is_none() && info.problem.is_none());
        assert_eq!(info.scopes.len(), 2);
        assert_eq!(info.targets.len(), 1, "a scope without targets counts for all");
    }

    #[test]
    fn an_invalid_token_is_told_in_meta_s_words() {
        let error = json!({"code": 190, "message": "Error validating access token: Session has expired."});
        let info = TokenInfo::read(&json!({"is_valid": false, "error": error, "expires_at": 1_700_000_000}));
        assert!(!info.is_valid && info.problem.is_some_and(|problem| problem.contains("Session has expired")));
        assert_eq!(TokenInfo::read(&json!({})), TokenInfo::default(), "what says nothing is not valid");
    }
}
