//! The Graph API: sending a message, and showing that somebody reads and writes. Files are in `media.rs`
//! beside it, tokens in `tokens.rs`; `proof.rs` makes the requests and proves the tokens.
//!
//! Only this module can tell whether a request had left, so it is the one that classifies a failure. It never
//! repeats a send that may have been one: Meta has no idempotency key, and the same request twice is two messages.

use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, UserId, WaId},
    tls::Peer,
};

use super::{
    error::{ErrorClass, GraphError},
    form::content,
    media::Rooms,
    proof::Proofs,
};
use crate::{conversation::PartForm, settings::MetaApps};

/// Read receipts and typing are a courtesy; they must not hold up anything.
const COURTESY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any answer that is of use.
const ANSWER_BYTES_MOST: usize = 1024 * 1024;
const META: Peer = Peer {
    name: "Meta",
    authority: "the system's certificate store, or the file that SSL_CERT_FILE names instead of it, must have the \
                certificate of the authority that did",
    identity: None,
};

/// Whom a message goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// By phone number. Sent with a leading `+`: without it Meta may take the number for a local one.
    Phone(WaId),
    /// By business-scoped user id, for a customer who hides the number.
    User(UserId),
}

/// What identifies a try of a part of a reply in the statuses that come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Which conversation.
    pub session: SessionId,
    /// Which reply.
    pub reply_id: String,
    /// Which part, from 0.
    pub part: usize,
    /// Which try, from 1.
    pub attempt: u32,
}

/// A message to send.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// The number that it is sent from.
    pub from: &'a PhoneNumberId,
    /// To whom.
    pub to: &'a Recipient,
    /// WhatsApp markup, 1 to 4,096 UTF-16 units.
    pub body: &'a str,
    /// In which form the words are sent.
    pub form: &'a PartForm,
    /// The message that it quotes.
    pub quotes: Option<&'a MessageId>,
    /// Comes back in every status.
    pub callback: &'a Callback,
}

/// Why a send did not yield a message id.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Meta answered with an error; its class says whether the message can have gone out.
    #[error(transparent)]
    Answered(#[from] GraphError),
    /// No connection was made: certainly not sent.
    #[error("no connection to the Graph API: {0}")]
    NotConnected(String),
    /// The request had left, and no answer came: it may have been sent.
    #[error("no answer from the Graph API: {0}")]
    NoAnswer(String),
}

impl SendError {
    /// Whether the message can have gone out.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Answered(error) => error.class == ErrorClass::Ambiguous,
            Self::NotConnected(_) => false,
            Self::NoAnswer(_) => true,
        }
    }
}

impl Callback {
    /// The form that travels. Meta allows 512 characters.
    pub fn encode(&self) -> String {
        format!("v1:{}:{}:{}:{}", self.session.expose(), self.reply_id, self.part, self.attempt)
    }

    /// Reads the form that travels; none for what others have put there.
    pub fn decode(text: &str) -> Option<Self> {
        // A session id may hold colons, the rest may not.
        let mut fields = text.strip_prefix("v1:")?.rsplitn(4, ':');
        let (attempt, part) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (reply_id, session) = (fields.next()?.to_owned(), fields.next()?);
        let callback = Self { session: SessionId::from_stored(session), reply_id, part, attempt };
        // Numbers can be written in ways that are not ours, such as `01`.
        (!session.is_empty() && callback.encode() == text).then_some(callback)
    }
}

/// A client of the Graph API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) client: Client,
    pub(super) base_url: String,
    pub(super) rooms: Rooms,
    pub(super) proofs: Proofs,
    send_timeout: Duration,
}

impl Graph {
    /// `base_url` with a version and without a slash at its end; `send_timeout` covers a whole send.
    pub fn new(client: Client, base_url: impl Into<String>, send_timeout: Duration) -> Self {
        let proofs = Proofs::new(MetaApps::default());
        Self { client, base_url: base_url.into(), rooms: Rooms::default(), proofs, send_timeout }
    }

    /// The same, which proves to Meta that it has the secrets of these apps.
    #[must_use]
    pub fn proving(self, apps: MetaApps) -> Self {
        Self { proofs: Proofs::new(apps), ..self }
    }

    /// How long a send may take.
    pub fn send_timeout(&self) -> Duration {
        self.send_timeout
    }

    /// Sends a message, once. What Meta refuses for the sake of its proof goes without one, if that is before `leave_by`.
    ///
    /// Cancellation: the message may go out all the same.
    ///
    /// # Errors
    /// [`SendError`] tells whether the message can have gone out.
    pub async fn send(
        &self,
        token: &SecretString,
        message: &Outgoing<'_>,
        leave_by: Instant,
    ) -> Result<MessageId, SendError> {
        let mut body = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "biz_opaque_callback_data": message.callback.encode(),
        });
        let (kind, content) = content(message.form, message.body);
        insert(&mut body, "type", json!(kind));
        insert(&mut body, kind, content);
        match message.to {
            Recipient::Phone(number) => insert(&mut body, "to", json!(format!("+{}", number.expose()))),
            Recipient::User(user) => insert(&mut body, "recipient", json!(user.expose())),
        }
        if let Some(quoted) = message.quotes {
            insert(&mut body, "context", json!({ "message_id": quoted.expose() }));
        }
        let request = || self.post(message.from, &body);
        let sending = self.call_promptly("send", token, self.send_timeout, leave_by.into(), ANSWER_BYTES_MOST, request);
        let answer = sending.await.map_err(not_answered)?;
        sent(answer.status.as_u16(), answer.bytes.as_deref().unwrap_or_default(), answer.retry_after)
    }

    /// Marks a message (and those before it) as read and shows the typing indicator, for at most 25 seconds
    /// (Meta, "Typing indicators").
    ///
    /// # Errors
    /// Nothing depends on it; the error is for the log.
    pub async fn read_and_type(
        &self,
        token: &SecretString,
        number: &PhoneNumberId,
        message: &MessageId,
    ) -> Result<(), SendError> {
        let body = json!({
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": message.expose(),
            "typing_indicator": { "type": "text" },
        });
        let showing = self.call("read", token, COURTESY_TIMEOUT, ANSWER_BYTES_MOST, || self.post(number, &body));
        let answer = showing.await.map_err(not_answered)?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.error().into()) }
    }

    fn post(&self, number: &PhoneNumberId, body: &Value) -> RequestBuilder {
        let url = format!("{}/{}/messages", self.base_url, number.expose());
        self.client.post(url).json(body)
    }
}

/// What the answer to a send says: the message's id, or what is wrong.
///
/// # Errors
/// [`SendError`], also where a message may have gone out and its id is not told.
pub fn sent(status: u16, body: &[u8], retry_after: Option<Duration>) -> Result<MessageId, SendError> {
    if !(200..300).contains(&status) {
        return Err(GraphError::from_answer(status, body, retry_after).into());
    }
    let answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let id = answer.pointer("/messages/0/id").and_then(Value::as_str).and_then(|id| MessageId::parse(id).ok());
    id.ok_or_else(|| SendError::NoAnswer("it was 2xx, without a message id".to_owned()))
}

fn insert(body: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = body {
        fields.insert(name.to_owned(), value);
    }
}

pub(super) fn not_answered(error: reqwest::Error) -> SendError {
    // A connection that never came about carried nothing; a builder error never reached the network.
    if error.is_connect() || error.is_builder() {
        SendError::NotConnected(cause(&error))
    } else {
        SendError::NoAnswer(cause(&error))
    }
}

/// The innermost cause, without the URL, whose query holds proofs and tokens: the words of `reqwest::Error` itself have
/// it, those of its sources do not.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    if let Some(told) = META.explain(error) {
        return told;
    }
    let Some(mut innermost) = std::error::Error::source(error) else { return "the request failed".to_owned() };
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_callback_comes_back_as_it_went(session in "[a-z:.]{1,20}:[0-9A-Z.]{1,140}", part in 0_usize..50, attempt in 1_u32..9) {
            let callback = Callback {
                session: SessionId::from_stored(session),
                reply_id: uuid::Uuid::new_v4().simple().to_string(),
                part,
                attempt,
            };
            prop_assert!(callback.encode().len() <= 512);
            prop_assert_eq!(Callback::decode(&callback.encode()), Some(callback));
        }

        #[test]
        fn a_number_that_is_written_otherwise_is_not_ours(part in 0_usize..9, zeros in "0{0,3}|\\+") {
            let text = format!("v1:a:b:{zeros}{part}:1");
            prop_assert_eq!(Callback::decode(&text).is_some(), zeros.is_empty());
        }

        #[test]
        fn what_others_put_there_is_no_callback(text in "(v1:)?[a-z0-9:]{0,12}") {
            if let Some(callback) = Callback::decode(&text) {
                prop_assert_eq!(callback.encode(), text);
            }
        }
    }

    #[tokio::test]
    async fn no_cause_tells_the_url_of_a_request() {
        shared::install_tls_provider();
        let client = crate::http::client().expect("a client");
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (silent_at, rude_at) = (silent.local_addr().expect("bound"), rude.local_addr().expect("bound"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = rude.accept().await {
                drop(stream);
            }
        });
        for base in [
            "http://127.0.0.1:9".to_owned(),
            format!("http://{silent_at}"),
            format!("http://{rude_at}"),
            format!("https://{rude_at}"),
            "http://[broken".to_owned(),
            "data:x".to_owned(),
        ] {
            let request = client.get(format!("{base}/debug_token?appsecret_proof=hunter2"));
            let error = request.timeout(Duration::from_millis(300)).send().await.expect_err("nobody answers");
            let told = cause(&error);
            assert!(!told.contains("hunter2") && !told.contains("debug_token"), "{base}: {told}");
        }
    }
}
