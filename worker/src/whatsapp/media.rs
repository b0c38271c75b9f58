//! Files: fetched by their id when a turn needs them, and uploaded for voice notes (Meta, "Media").
//!
//! A webhook's own URL lives for five minutes, its id for seven days, so the id is asked for a fresh URL each time. The
//! access token goes with the download, so it goes to Meta's hosts and to the configured Graph's only, whatever URL is
//! answered, and no redirect is followed; a proof, which only Graph asks for, does not go with it. Nothing larger than
//! asked for is kept in memory.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Response, StatusCode, Url,
    multipart::{Form, Part},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use shared::ids::PhoneNumberId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Graph,
    calls::counted,
    client::cause,
    error::{ErrorClass, GraphError},
};
use crate::http::{body, retry_after};

/// Asking for a URL.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole download or upload.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(45);
/// A URL that is gone is asked for anew, once.
const LOOKUPS_MOST: usize = 2;
/// "Access token expired or invalid", "needs a proof" (Meta, "Error codes").
const INVALID_TOKEN: &[i64] = &[0, 104, 190];
const ANSWER_BYTES_MOST: usize = 64 * 1024;
/// Bytes that all files in hand may take up, counted as [`WEIGHT`] times their size, and how long one waits for room.
const ROOM: usize = 512 * 1024 * 1024;
const ROOM_WAIT: Duration = Duration::from_secs(15);
/// A file is in memory as it came, as base64, and as the request that it is a part of.
const WEIGHT: usize = 4;
/// What room is counted in.
const UNIT: usize = 1_024;
/// Where Meta serves media from.
const META_HOSTS: &[&str] = &["fbsbx.com", "fbcdn.net", "graph.facebook.com"];

/// Meta's id of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaId(String);

impl MediaId {
    /// None for what cannot be an id: it comes from a payload, and becomes a part of a URL.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        (fits && plain).then(|| Self(text.to_owned()))
    }
}

/// A file.
#[derive(Debug, Clone)]
pub struct Media {
    /// Its MIME type without parameters, lower case; as Meta says, else as the download says.
    pub mime_type: String,
    /// Itself.
    pub bytes: Bytes,
    /// The room that it takes up, for as long as it is used.
    pub room: Room,
}

/// Where a file lies, as Meta answers when it is asked for it by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPlace {
    /// To which the token may go.
    pub url: Url,
    /// Without parameters, lower case, not empty.
    pub mime_type: Option<String>,
    /// In bytes, as Meta says.
    pub size: Option<usize>,
}

impl MediaPlace {
    /// What the Graph API at `graph` answered with HTTP 2xx about a file that may have `most` bytes.
    ///
    /// # Errors
    /// [`MediaError::TooLarge`], [`MediaError::ForeignHost`], or [`MediaError::Unreachable`] where no URL is named.
    pub fn read(answer: &[u8], graph: &str, most: usize) -> Result<Self, MediaError> {
        let answer: Value = serde_json::from_slice(answer).unwrap_or(Value::Null);
        let size = answer.get("file_size").and_then(|size| size.as_u64().or_else(|| size.as_str()?.parse().ok()));
        let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        if size.is_some_and(|size| size > most) {
            return Err(MediaError::TooLarge { most });
        }
        let url = answer.get("url").and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
        let url = url.ok_or_else(|| MediaError::Unreachable("Meta named no URL".to_owned()))?;
        if !is_trusted(&url, graph) {
            return Err(MediaError::ForeignHost(url.host_str().unwrap_or("no host").to_owned()));
        }
        let mime_type = answer.get("mime_type").and_then(Value::as_str).map(bare_mime_type);
        Ok(Self { url, mime_type: mime_type.filter(|mime_type| !mime_type.is_empty()), size })
    }
}

/// Room for a file, given back with the last clone.
#[derive(Debug, Clone)]
pub struct Room {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Room for all files that are in hand at once. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Arc<Semaphore>);

impl Default for Rooms {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM / UNIT)))
    }
}

impl Rooms {
    async fn take(&self, bytes: usize) -> Result<Room, MediaError> {
        let units = u32::try_from((bytes * WEIGHT / UNIT).clamp(1, ROOM / UNIT)).unwrap_or(u32::MAX);
        let taking = Arc::clone(&self.0).acquire_many_owned(units);
        let permit = tokio::time::timeout(ROOM_WAIT, taking).await.ok().and_then(Result::ok);
        permit.map(|permit| Room { _permit: Arc::new(permit) }).ok_or(MediaError::Busy)
    }
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// It is not there, or not any more.
    #[error("Meta has no such file")]
    Gone,
    /// It is larger than asked for.
    #[error("the file is larger than {most} bytes")]
    TooLarge {
        /// What was asked for.
        most: usize,
    },
    /// Meta named a URL to which no token may go.
    #[error("the file lies at {0}, which is not a host of Meta's")]
    ForeignHost(String),
    /// Meta does not take the business's token at all.
    #[error(transparent)]
    Token(GraphError),
    /// Meta refuses this file.
    #[error(transparent)]
    Refused(GraphError),
    /// The Graph API cannot be reached.
    #[error("the Graph API is away: {0}")]
    Away(String),
    /// Meta throttles: later.
    #[error(transparent)]
    Throttled(GraphError),
    /// The file does not come: later, perhaps.
    #[error("the file could not be transferred: {0}")]
    Unreachable(String),
    /// Too many large files are in hand here: later.
    #[error("too many files are being handled")]
    Busy,
}

impl MediaError {
    /// Whether a later try may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Gone | Self::TooLarge { .. } | Self::ForeignHost(_) | Self::Refused(_) => false,
            Self::Token(_) | Self::Away(_) | Self::Throttled(_) | Self::Unreachable(_) | Self::Busy => true,
        }
    }

    /// What the Graph API said about a file or an upload.
    fn of_graph(error: GraphError) -> Self {
        match error.class {
            ErrorClass::Throttled(_) => Self::Throttled(error),
            // It answers, and may go on so for this file alone: nobody waits for that for ever.
            ErrorClass::Ambiguous => Self::Unreachable(error.to_string()),
            // Codes of other credential errors are about a permission or an object: about this file.
            ErrorClass::Credentials if error.is_about_proof || INVALID_TOKEN.contains(&error.code) => {
                Self::Token(error)
            }
            ErrorClass::Credentials | ErrorClass::Account => Self::Refused(error),
            ErrorClass::WindowClosed | ErrorClass::Permanent => Self::Refused(error),
        }
    }
}

impl Graph {
    /// Fetches a file that a customer sent to this number, of at most that many bytes.
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn download(
        &self,
        token: &SecretString,
        number: &PhoneNumberId,
        id: &MediaId,
        most: usize,
    ) -> Result<Media, MediaError> {
        for _ in 0..LOOKUPS_MOST {
            let MediaPlace { url, mime_type, size } = self.media_place(token, number, id, most).await?;
            let room = self.rooms.take(size.unwrap_or(most)).await?;
            let request = self.client.get(url).bearer_auth(token.expose_secret()).timeout(TRANSFER_TIMEOUT);
            let outcome = |response: &Response| match response.status() {
                status if status.is_success() => "ok",
                status if is_passing(status) => "failed",
                _ => "refused",
            };
            let response = counted("download", request.send(), outcome).await.map_err(unreachable)?;
            match response.status() {
                // The URL ran out between the two requests.
                StatusCode::NOT_FOUND => {}
                status if status.is_success() => {
                    let said = header(&response, "content-type");
                    let bytes = read(response, most).await?;
                    return Ok(Media { mime_type: mime_type.or(said).unwrap_or_default(), bytes, room });
                }
                // The token does not follow.
                status if status.is_redirection() => {
                    let to = response.headers().get("location").and_then(|to| Url::parse(to.to_str().ok()?).ok());
                    let host = to.as_ref().and_then(Url::host_str).unwrap_or("no host");
                    return Err(MediaError::ForeignHost(host.to_owned()));
                }
                status if is_passing(status) => {
                    return Err(MediaError::Unreachable(format!("HTTP {}", status.as_u16())));
                }
                status => {
                    let wait = retry_after(response.headers());
                    let answered = read(response, 64 * 1024).await.unwrap_or_default();
                    // It answers about the file: the same token has just been good for its URL.
                    return Err(MediaError::Refused(GraphError::from_answer(status.as_u16(), &answered, wait)));
                }
            }
        }
        Err(MediaError::Gone)
    }

    async fn media_place(
        &self,
        token: &SecretString,
        number: &PhoneNumberId,
        id: &MediaId,
        most: usize,
    ) -> Result<MediaPlace, MediaError> {
        let url = format!("{}/{}", self.base_url, id.0);
        // With the number, so that Meta answers only for a file that was sent to it.
        let request = || self.client.get(&url).query(&[("phone_number_id", number.expose())]);
        let answer = self.call("media", token, LOOKUP_TIMEOUT, ANSWER_BYTES_MOST, request).await;
        let answer = answer.map_err(not_looked_up)?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Err(MediaError::Gone);
        }
        if !answer.status.is_success() {
            let error = answer.error();
            // "Does not exist, or is not this number's": code 100 with subcode 33.
            let gone = error.class == ErrorClass::Permanent;
            return Err(if gone { MediaError::Gone } else { MediaError::of_graph(error) });
        }
        MediaPlace::read(&answer.bytes.unwrap_or_default(), &self.base_url, most)
    }

    /// Uploads a voice note, OGG with Opus, to be sent from this number. Says Meta's id, which is valid for 30 days.
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn upload_voice(
        &self,
        token: &SecretString,
        number: &PhoneNumberId,
        bytes: Bytes,
    ) -> Result<String, MediaError> {
        const OPUS: &str = "audio/ogg; codecs=opus";
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let url = format!("{}/{}/media", self.base_url, number.expose());
        let request = || {
            let file = Part::stream_with_length(bytes.clone(), length).file_name("voice.ogg");
            let file = file.mime_str(OPUS).expect("it is a MIME type");
            let form = Form::new().text("messaging_product", "whatsapp").text("type", OPUS).part("file", file);
            self.client.post(&url).multipart(form)
        };
        let answer =
            self.call("upload", token, TRANSFER_TIMEOUT, ANSWER_BYTES_MOST, request).await.map_err(unreachable)?;
        if !answer.status.is_success() {
            return Err(MediaError::of_graph(answer.error()));
        }
        let answer = answer.json();
        let id =
            answer.get("id").and_then(|id| id.as_str().map(str::to_owned).or_else(|| Some(id.as_u64()?.to_string())));
        id.ok_or_else(|| MediaError::Unreachable("Meta named no id".to_owned()))
    }
}

/// Whether the token may go there: to Meta's hosts by TLS, or to where the configured Graph API is. A host of one's own
/// may serve its files on another port.
fn is_trusted(url: &Url, graph: &str) -> bool {
    let Some(host) = url.host_str() else { return false };
    let is_metas = |meta: &&str| host == *meta || host.strip_suffix(*meta).is_some_and(|rest| rest.ends_with('.'));
    if META_HOSTS.iter().any(is_metas) && url.scheme() == "https" && url.port().is_none() {
        return true;
    }
    let Ok(graph) = Url::parse(graph) else { return false };
    let is_its_host = graph.scheme() == url.scheme() && graph.host() == url.host();
    is_its_host && (graph.port() == url.port() || !META_HOSTS.iter().any(is_metas))
}

/// A body of at most that many bytes.
async fn read(response: Response, most: usize) -> Result<Bytes, MediaError> {
    body(response, most).await.map_err(unreachable)?.ok_or(MediaError::TooLarge { most })
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    Some(bare_mime_type(value)).filter(|value| !value.is_empty())
}

/// `audio/ogg; codecs=opus` as `audio/ogg`.
pub(crate) fn bare_mime_type(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the same request may succeed later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// Without a connection nothing can be sent either. One that is cut, or says nothing, may be so for this file alone.
fn not_looked_up(error: reqwest::Error) -> MediaError {
    match error.is_connect() {
        true => MediaError::Away(cause(&error)),
        false => unreachable(error),
    }
}

fn unreachable(error: reqwest::Error) -> MediaError {
    MediaError::Unreachable(cause(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPH: &str = "https://graph.facebook.com/v25.0";

    fn trusted(url: &str, graph: &str) -> bool {
        is_trusted(&Url::parse(url).expect("a URL"), graph)
    }

    #[test]
    fn the_token_goes_to_metas_hosts_only() {
        for url in [
            "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1",
            "https://scontent.fbcdn.net/x",
            "https://graph.facebook.com/x",
        ] {
            assert!(trusted(url, GRAPH), "{url}");
        }
        for url in [
            "http://lookaside.fbsbx.com/x",
            "https://lookaside.fbsbx.com:8443/x",
            "https://evilfbsbx.com/x",
            "https://fbsbx.com.evil.example/x",
            "https://lookaside.fbsbx.com@evil.example/x",
            "https://evil.example/lookaside.fbsbx.com",
            "https://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
        ] {
            assert!(!trusted(url, GRAPH), "{url}");
        }
    }

    #[test]
    fn a_graph_of_ones_own_serves_its_own_files_and_nobody_elses() {
        let own = "http://127.0.0.1:8200/v25.0";
        for url in ["http://127.0.0.1:8200/media/1", "http://127.0.0.1:8201/media/1", "http://127.0.0.1/media/1"] {
            assert!(trusted(url, own), "{url}");
        }
        for url in [
            "https://127.0.0.1:8200/media/1",
            "http://localhost:8200/media/1",
            "http://127.0.0.2:8200/media/1",
            "http://127.0.0.1:8200@evil.example/media/1",
            "http://127.0.0.1.evil.example:8200/media/1",
            "http://lookaside.fbsbx.com/media/1",
        ] {
            assert!(!trusted(url, own), "{url}");
        }
        let by_tls = "https://graph.example:8200/v25.0";
        assert!(trusted("https://graph.example/media/1", by_tls));
        assert!(!trusted("http://graph.example:8200/media/1", by_tls), "the token goes by TLS where Graph does");
        assert!(!trusted("https://files.graph.example/media/1", by_tls));
    }

    #[test]
    fn a_graph_that_is_metas_own_vouches_for_no_other_port() {
        assert!(!trusted("https://graph.facebook.com:8443/x", GRAPH));
        assert!(!trusted("http://graph.facebook.com/x", GRAPH));
        assert!(trusted("https://graph.facebook.com:8443/x", "https://graph.facebook.com:8443/v25.0"));
    }

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        assert!(MediaId::parse("1003383421387256").is_some());
        for odd in ["", "1/2", "..", "1?x=1", "1#", "a b", "%2e", &"1".repeat(200)] {
            assert!(MediaId::parse(odd).is_none(), "{odd}");
        }
    }
}
