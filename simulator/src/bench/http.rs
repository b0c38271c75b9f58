//! As much of an HTTP/1.1 client as a load needs: a request that is bytes already, and the status of its answer.
//!
//! The generator shares the machine with what it measures, so it must cost little. Answers have a `content-length`.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An open connection that is used again and again. Dropping an exchange half-way spoils it.
#[derive(Debug)]
pub(super) struct Connection {
    addr: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { addr, stream: connect(addr).await?, buffer: Vec::with_capacity(4 * 1024) })
    }

    /// Sends a request and returns the status. A server closes connections that idle, so one that turns out to be
    /// closed before the answer began is opened anew, once.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        match self.try_exchange(request).await {
            Err(error) if is_closed(&error) && self.buffer.is_empty() => {
                self.stream = connect(self.addr).await?;
                self.try_exchange(request).await
            }
            answered => answered,
        }
    }

    async fn try_exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = Answer::read(&self.buffer)?
                && self.buffer.len() >= answer.length
            {
                return Ok(answer.status);
            }
        }
    }
}

/// The beginning of an answer: its status, and how many bytes it has in all.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    length: usize,
}

impl Answer {
    /// None as long as the head is not complete.
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
        let mut lines = head.ok_or(io::ErrorKind::InvalidData)?.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        match (status, length) {
            (Some(status), Some(length)) => Ok(Some(Self { status, length: end + 4 + length })),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an answer without a status or a content-length")),
        }
    }
}

async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// A POST of these bytes, ready to be sent.
pub(super) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

/// A GET, ready to be sent.
pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_read_when_its_head_is_complete() {
        let whole = b"HTTP/1.1 503 Service Unavailable\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello";
        for part in 0..whole.len() - 5 {
            assert_eq!(Answer::read(&whole[..part]).expect("no error"), None, "{part}");
        }
        let expected = Some(Answer { status: 503, length: whole.len() });
        assert_eq!(Answer::read(&whole[..whole.len() - 2]).expect("valid"), expected);
        assert!(Answer::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "it would be waited for for ever");
        assert!(Answer::read(b"nonsense\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn a_connection_that_idled_too_long_is_opened_anew_and_one_that_breaks_off_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let addr = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            // Each connection answers once; the third breaks off in the middle.
            for answer in
                ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 201 OK\r\ncontent-length: 0\r\n\r\n", "HTTP"]
            {
                let (mut stream, _) = listener.accept().await.expect("accepted");
                let mut request = [0; 512];
                assert!(stream.read(&mut request).await.expect("read") > 0);
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
        });
        let mut connection = Connection::open(addr).await.expect("open");
        assert_eq!(connection.exchange(&get("/")).await.expect("answered"), 200);
        assert_eq!(connection.exchange(&get("/")).await.expect("answered by the second"), 201);
        assert!(connection.exchange(&get("/")).await.is_err());
        server.await.expect("no panic");
    }
}
