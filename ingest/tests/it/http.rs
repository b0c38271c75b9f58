//! HTTP by hand, so that a test can be as slow, as large and as wrong as it likes.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use shared::signature;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::process::APP_SECRET;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self(TcpStream::connect(addr).await.expect("connected"))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// Sends as much as the peer takes: it may answer and close before the end.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// One answer; none where the connection ends without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(Duration::from_secs(60), self.read()).await.expect("an answer or an end")
    }

    async fn read(&mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let end_of_head = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if self.0.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end_of_head]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let mut body = bytes.split_off(end_of_head + 4);
        while body.len() < length.unwrap_or(0) && self.0.read_buf(&mut body).await.unwrap_or(0) > 0 {}
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Whether the server closes the connection, without a further answer, within the time.
    pub(crate) async fn is_closed_within(&mut self, time: Duration) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(time, self.0.read_to_end(&mut rest)).await.is_ok()
    }
}

pub(crate) fn signature_of(body: &[u8]) -> String {
    signature::sign(&SecretString::from(APP_SECRET), body)
}

pub(crate) fn head(path: &str, length: usize, signature: Option<&str>) -> String {
    let signature = signature.map(|value| format!("X-Hub-Signature-256: {value}\r\n")).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{signature}\r\n"
    )
}

/// POSTs a body with a signature of the caller's choice.
pub(crate) async fn post_signed_as(addr: SocketAddr, body: &[u8], signature: Option<&str>) -> Answer {
    let mut client = Client::connect(addr).await;
    client.send(head("/webhook", body.len(), signature)).await;
    client.try_send(body).await;
    client.answer().await.expect("an answer")
}

/// POSTs a body as Meta does.
pub(crate) async fn post(addr: SocketAddr, body: &[u8]) -> Answer {
    post_signed_as(addr, body, Some(&signature_of(body))).await
}

/// Sends a request without a body.
pub(crate) async fn ask(addr: SocketAddr, method: &str, target: &str) -> Answer {
    let mut client = Client::connect(addr).await;
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
    client.answer().await.expect("an answer")
}

/// Asks until the condition holds: for states that nothing signals.
pub(crate) async fn until(addr: SocketAddr, target: &str, condition: impl Fn(&Answer) -> bool) -> Answer {
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask(addr, "GET", target).await;
        if condition(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "{target} still says {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
