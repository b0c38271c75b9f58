//! Listens in between the worker and MongoDB: which commands go over the wire.
//!
//! It reads `OP_MSG` (MongoDB, "Wire protocol") on its way to the server and passes on every byte as it is. Counting
//! here needs nothing of the worker, and what is seen can be done again without it; see `bare.rs`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::{Context, ensure};
use mongodb::bson::{Array, Bson, Document};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const HEADER_BYTES: usize = 16;
const OP_MSG: i32 = 2013;
/// A server takes 48 MB at most.
const MESSAGE_BYTES_MOST: usize = 48_000_000;

/// A listener in between. Dropping it cuts every connection.
#[derive(Debug)]
pub(super) struct Tap {
    addr: SocketAddr,
    heard: Arc<Mutex<Vec<Command>>>,
    stop: CancellationToken,
}

/// A command, and when it passed by.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) at: Instant,
    pub(super) document: Document,
}

impl Tap {
    /// Listens in front of the one server that a URI names; it must be without TLS.
    pub(super) async fn start(uri: &str) -> anyhow::Result<Self> {
        let server =
            host(uri).context("MONGODB_URI must name one host, by mongodb://, to be listened in on")?.to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (addr, heard, stop) = (listener.local_addr()?, Arc::default(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let accepting = accept(listener, server, Arc::clone(&heard), stop.clone(), tasks.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
        Ok(Self { addr, heard, stop })
    }

    /// The same URI by way of the tap.
    pub(super) fn uri(&self, uri: &str) -> String {
        host(uri).map_or_else(|| uri.to_owned(), |host| uri.replacen(host, &self.addr.to_string(), 1))
    }

    /// What was heard since the last time, in order.
    pub(super) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.heard.lock().expect("no code panics while it holds this lock"))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// `HOST:PORT` of a URI with one host.
fn host(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("mongodb://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.contains(',') && host.contains(':')).then_some(host)
}

async fn accept(
    listener: TcpListener,
    server: String,
    heard: Arc<Mutex<Vec<Command>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(&server).await else { continue };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let heard = Arc::clone(&heard);
        let listening = async move { drop(listen(from_client, to_server, &heard).await) };
        tasks.spawn(stop.clone().run_until_cancelled_owned(listening));
        tasks.spawn(stop.clone().run_until_cancelled_owned(pass_on(from_server, to_client)));
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    drop(tokio::io::copy(&mut from, &mut to).await);
}

async fn listen(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, heard: &Mutex<Vec<Command>>) -> anyhow::Result<()> {
    loop {
        let mut message = vec![0; HEADER_BYTES];
        from.read_exact(&mut message).await?;
        let length = number(&message, 0).and_then(|length| usize::try_from(length).ok()).context("a length")?;
        ensure!((HEADER_BYTES..=MESSAGE_BYTES_MOST).contains(&length), "no length of a message");
        message.resize(length, 0);
        from.read_exact(message.get_mut(HEADER_BYTES..).context("there is a body")?).await?;
        if let Some(document) = command(&message) {
            let command = Command { at: Instant::now(), document };
            heard.lock().expect("no code panics while it holds this lock").push(command);
        }
        to.write_all(&message).await?;
    }
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The command of a message, with what came beside it (kind 1) put where it belongs; none of other messages.
fn command(message: &[u8]) -> Option<Document> {
    if number(message, 12)? != OP_MSG {
        return None;
    }
    // Behind the header there are four bytes of flags. A checksum at the end is no section.
    let has_checksum = number(message, HEADER_BYTES)? & 1 == 1;
    let end = message.len() - if has_checksum { 4 } else { 0 };
    let mut rest = message.get(HEADER_BYTES + 4..end)?;
    let (mut command, mut beside) = (None, Vec::new());
    while let Some((kind, section)) = rest.split_first() {
        let length = usize::try_from(number(section, 0)?).ok()?;
        let (section, behind) = section.split_at_checked(length)?;
        match kind {
            0 => command = Document::from_reader(section).ok(),
            1 => beside.push(sequence(section.get(4..)?)?),
            _ => return None,
        }
        rest = behind;
    }
    let mut command = command?;
    command.extend(beside);
    Some(command)
}

/// A name and the documents under it.
fn sequence(section: &[u8]) -> Option<(String, Bson)> {
    let end = section.iter().position(|byte| *byte == 0)?;
    let name = String::from_utf8(section.get(..end)?.to_vec()).ok()?;
    let (mut rest, mut documents) = (section.get(end + 1..)?, Array::new());
    while !rest.is_empty() {
        documents.push(Bson::Document(Document::from_reader(&mut rest).ok()?));
    }
    Some((name, Bson::Array(documents)))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn bytes(document: &Document) -> Vec<u8> {
        document.to_vec().expect("it is plain")
    }

    fn message(flags: i32, sections: &[Vec<u8>], op: i32) -> Vec<u8> {
        let body: Vec<u8> = sections.concat();
        let length = i32::try_from(HEADER_BYTES + 4 + body.len()).expect("short");
        [length, 1, 0, op, flags].iter().flat_map(|n| n.to_le_bytes()).chain(body).collect()
    }

    #[test]
    fn a_command_is_read_with_the_documents_that_come_beside_it() {
        let body = doc! { "update": "messages", "$db": "x" };
        let updates = [doc! { "q": { "_id": 1 } }, doc! { "q": { "_id": 2 } }];
        let documents: Vec<u8> = updates.iter().flat_map(bytes).collect();
        let name = b"updates\0";
        let length = i32::try_from(4 + name.len() + documents.len()).expect("short").to_le_bytes();
        let beside = [&[1_u8][..], &length, name, &documents].concat();
        let main = [&[0_u8][..], &bytes(&body)].concat();
        for sections in [[main.clone(), beside.clone()], [beside, main.clone()]] {
            let read = command(&message(0, &sections, OP_MSG)).expect("a command");
            assert_eq!(read.get_array("updates").expect("beside").len(), 2);
            assert_eq!(read.get_str("update").expect("a text"), "messages");
        }
        let with_checksum = [message(1, std::slice::from_ref(&main), OP_MSG), vec![9; 4]].concat();
        assert_eq!(command(&with_checksum), Some(body));
        assert_eq!(command(&message(0, &[main], 2004)), None, "another kind of message");
        assert_eq!(command(&message(0, &[vec![0, 200, 0, 0, 0, 1]], OP_MSG)), None, "cut short");
    }

    #[test]
    fn one_host_can_be_listened_in_on_and_its_credentials_stay() {
        assert_eq!(host("mongodb://127.0.0.1:27027/?directConnection=true"), Some("127.0.0.1:27027"));
        assert_eq!(host("mongodb://me:pw@db:27017/x"), Some("db:27017"));
        assert_eq!(host("mongodb://a:1,b:2/"), None);
        assert_eq!(host("mongodb+srv://cluster.example.com"), None);
    }
}
