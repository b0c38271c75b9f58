//! A business's own tools: HTTP endpoints that the business named in its document.
//!
//! They are called within the bounds of [`crate::outside`]. The model gives the arguments; who the customer is comes
//! from the conversation, so that a tool can trust it.

use std::time::Duration;

use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    business::{CompanionSettings, ToolSettings},
    companion::situation::Situation,
    outside,
};

/// A whole call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of arguments.
const ARGUMENTS_MOST: usize = 8 * 1024;
/// Bytes of an answer; what is beyond goes.
const ANSWER_MOST: usize = 16 * 1024;
/// What the model gets in a rehearsal instead of an answer.
const NOT_CALLED: &str = "[This is a rehearsal: the tool was not called, and there is no result. Answer as well as you \
                          can without it, and invent none.]";

/// Calls the tools of businesses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Strangers {
    /// None in a rehearsal: there is nothing that a request could leave by.
    client: Option<Client>,
    insecure: bool,
}

impl Strangers {
    /// `insecure`: also by plain HTTP, and to private addresses.
    ///
    /// # Errors
    /// TLS could not be set up.
    pub fn new(insecure: bool) -> reqwest::Result<Self> {
        Ok(Self { client: Some(outside::client(insecure)?), insecure })
    }

    /// Offers what [`Self::new`] would, also tools whose secret is sealed, and calls none: the model is told so.
    pub fn rehearsal(insecure: bool) -> Self {
        Self { client: None, insecure }
    }

    /// The tools that can be called at all: their secret decrypts, and their address may be called.
    pub(super) fn callable<'a>(&self, companion: &'a CompanionSettings) -> impl Iterator<Item = &'a ToolSettings> {
        let (insecure, is_rehearsal) = (self.insecure, self.client.is_none());
        companion.tools.iter().filter(move |tool| {
            let has_secret = tool.header.as_ref().is_none_or(|header| header.value.is_ok());
            (has_secret || is_rehearsal) && Url::parse(&tool.url).is_ok_and(|url| outside::may_call(&url, insecure))
        })
    }

    /// Calls a tool, once. What it answers is for the model, and so is what went wrong.
    pub(super) async fn call(
        &self,
        tool: &ToolSettings,
        situation: &Situation<'_>,
        arguments: Map<String, Value>,
    ) -> Result<String, String> {
        let arguments = Value::Object(arguments);
        if arguments.to_string().len() > ARGUMENTS_MOST {
            return Err("the arguments are too long".to_owned());
        }
        let Some(client) = &self.client else { return Ok(NOT_CALLED.to_owned()) };
        let customer = situation.customer();
        // The same for the same wish, so that a tool which changes something can tell a repetition.
        let wish = [situation.session(), situation.first_message(), &tool.name, &arguments.to_string()].join("\n");
        let key = hex::encode(Sha256::digest(wish));
        let body = json!({
            "tool": tool.name,
            "key": key,
            "arguments": arguments,
            "conversation": situation.session(),
            "customer": {
                "phoneNumber": customer.wa_id.as_ref().map(|id| id.expose()),
                "userId": customer.user_id.as_ref().map(|id| id.expose()),
                "name": customer.name,
            },
        });
        let mut request = client.post(&tool.url).timeout(TIMEOUT).json(&body);
        if let Some(header) = &tool.header {
            let Ok(value) = &header.value else { return Err("the tool cannot be used now".to_owned()) };
            request = request.header(&header.name, value.expose_secret());
        }
        self.answer(tool, situation, request).await
    }

    async fn answer(
        &self,
        tool: &ToolSettings,
        situation: &Situation<'_>,
        request: reqwest::RequestBuilder,
    ) -> Result<String, String> {
        let subdomain = situation.business().subdomain.as_ref().map(|subdomain| subdomain.expose());
        let failed = |what: String| {
            tracing::warn!(subdomain, tool = tool.name, what, "a business's tool failed");
            format!("the tool{what}")
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return Err(failed(" timed out".to_owned())),
            Err(_) => return Err(failed(" cannot be reached".to_owned())),
        };
        if !response.status().is_success() {
            return Err(failed(format!(" answered with HTTP {}", response.status().as_u16())));
        }
        // Half an answer may say the opposite of the whole.
        let answer = read(response)
            .await
            .map_err(|_| failed("'s answer broke off; what it has done is not known".to_owned()))?;
        let answer = String::from_utf8_lossy(&answer).trim().to_owned();
        Ok(if answer.is_empty() { "Done.".to_owned() } else { answer })
    }
}

/// The beginning of an answer, of [`ANSWER_MOST`] bytes at most.
async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        answer.extend_from_slice(&chunk);
        if answer.len() >= ANSWER_MOST {
            answer.truncate(ANSWER_MOST);
            break;
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use jiff::Timestamp;

    use super::*;
    use crate::companion::testing::{business, conversation};

    #[tokio::test]
    async fn a_rehearsal_offers_every_tool_and_nothing_leaves() {
        let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/stock", host.local_addr().expect("bound"));
        let tool = |name: &str| json!({"name": name, "description": "Stock", "url": url});
        let mut sealed = tool("sealed");
        sealed["header"] = json!({"name": "Authorization", "value": "6741"});
        let business = business(json!({"tools": [tool("open"), sealed]}));
        let conversation = conversation();
        let acted = AtomicBool::new(false);
        let situation = Situation::of(&business, &conversation, Timestamp::UNIX_EPOCH, &acted);
        let situation = situation.expect("they belong together");
        let names = |strangers: &Strangers| -> Vec<String> {
            strangers.callable(&business.companion).map(|tool| tool.name.clone()).collect()
        };
        assert_eq!(names(&Strangers::new(true).expect("a client")), ["open"]);
        assert!(names(&Strangers::rehearsal(false)).is_empty(), "what could never be called is not offered");
        let rehearsal = Strangers::rehearsal(true);
        assert_eq!(names(&rehearsal), ["open", "sealed"]);
        for tool in &business.companion.tools {
            assert_eq!(rehearsal.call(tool, &situation, Map::new()).await.as_deref(), Ok(NOT_CALLED));
        }
        let knock = tokio::time::timeout(Duration::from_millis(50), host.accept()).await;
        assert!(knock.is_err(), "a connection was made");
        // The same call without a rehearsal does arrive.
        let strangers = Strangers::new(true).expect("a client");
        tokio::select! {
            answered = strangers.call(&business.companion.tools[0], &situation, Map::new()) => panic!("{answered:?}"),
            knock = host.accept() => assert!(knock.is_ok()),
        }
    }
}
