//! One connection through the proxy: two streams of bytes, one each way, until both have ended or fate steps in.
//!
//! Each way is a reader and a writer with a bounded queue between them, so that a delay holds bytes back without
//! slowing them down, and a stall keeps what is on its way.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Direction,
    shared::{Conditions, Fate, Shared},
};

const PIECE_BYTES: usize = 16 * 1024;
/// 1 MiB on the way in each direction; more waits with its sender.
const PIECES: usize = 64;

/// How a connection ends.
enum End {
    /// Both sides have said goodbye, and each has been told.
    Closed,
    /// Both sides see a reset.
    Reset,
    /// The client has got its last bytes.
    Truncated,
    /// The server is gone, and the client shall not know.
    Vanished,
}

/// Something on its way.
struct Piece {
    /// Not before; none for at once, because even the shortest timer takes a millisecond.
    due: Option<Instant>,
    content: Content,
}

enum Content {
    Bytes(Bytes),
    /// The sender has said all.
    Finished,
    /// The sender has reset the connection.
    Broken,
}

pub(super) async fn carry(mut client: TcpStream, mut fate: watch::Receiver<Fate>, shared: Arc<Shared>) {
    let mut server = None;
    let end = tokio::select! {
        biased;
        end = doom(&mut fate) => end,
        end = pass(&mut client, &mut server, &shared) => end,
    };
    match end {
        End::Closed => {}
        End::Reset => reset(client),
        // What was written arrives; a reset could overtake it.
        End::Truncated => drop(client.shutdown().await),
        End::Vanished => {
            // A member of no generation any more: only the proxy's own end concerns it.
            drop(fate);
            server.take().into_iter().for_each(reset);
            shared.stop.run_until_cancelled(swallow(&mut client)).await;
            reset(client);
        }
    }
    if !matches!(end, End::Closed) {
        server.into_iter().for_each(reset);
    }
}

/// Waits until this connection is no longer to go on.
async fn doom(fate: &mut watch::Receiver<Fate>) -> End {
    // Without a sender the proxy is gone.
    match fate.wait_for(|fate| *fate != Fate::Open).await.map_or(Fate::Cut, |fate| *fate) {
        Fate::Open | Fate::Cut => End::Reset,
        Fate::Vanished => End::Vanished,
    }
}

/// Reads and forgets. A peer that is not there does not answer a goodbye either.
async fn swallow(client: &mut TcpStream) {
    let mut buffer = vec![0; PIECE_BYTES];
    while !matches!(client.read(&mut buffer).await, Ok(0) | Err(_)) {}
    std::future::pending().await
}

/// Closes with a reset: the peer's next read or write fails, and what it has not got yet is lost.
fn reset(stream: TcpStream) {
    // It fails on a socket that is closed already, where nothing is left to be reset.
    drop(stream.set_zero_linger());
}

async fn pass(client: &mut TcpStream, server: &mut Option<TcpStream>, shared: &Shared) -> End {
    let Ok(connected) = TcpStream::connect(&shared.target).await else { return End::Reset };
    let server = server.insert(connected);
    // Whoever cares has switched off Nagle's algorithm; the proxy must not bring it back.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let ways = tokio::try_join!(
        way(Direction::ToServer, from_client, to_server, shared),
        way(Direction::ToClient, from_server, to_client, shared),
    );
    ways.map_or_else(|end| end, |_| End::Closed)
}

/// Carries one way until its end has been passed on.
async fn way(direction: Direction, from: ReadHalf<'_>, to: WriteHalf<'_>, shared: &Shared) -> Result<(), End> {
    let (queue, queued) = mpsc::channel(PIECES);
    let mut conditions = shared.conditions.subscribe();
    let reading = read(from, queue, shared);
    let writing = write(direction, to, queued, &mut conditions, shared);
    tokio::try_join!(reading, writing).map(drop)
}

async fn read(mut from: ReadHalf<'_>, queue: mpsc::Sender<Piece>, shared: &Shared) -> Result<(), End> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE_BYTES);
        let content = match from.read_buf(&mut buffer).await {
            Ok(0) => Content::Finished,
            Ok(_) => Content::Bytes(buffer.split().freeze()),
            Err(_) => Content::Broken,
        };
        let is_last = !matches!(content, Content::Bytes(_));
        let delay = shared.conditions.borrow().delay;
        let due = (delay > Duration::ZERO).then(|| Instant::now() + delay);
        // The writer ends first only where the connection does.
        queue.send(Piece { due, content }).await.map_err(|_| End::Reset)?;
        if is_last {
            return Ok(());
        }
    }
}

async fn write(
    direction: Direction,
    mut to: WriteHalf<'_>,
    mut queued: mpsc::Receiver<Piece>,
    conditions: &mut watch::Receiver<Conditions>,
    shared: &Shared,
) -> Result<(), End> {
    while let Some(Piece { due, content }) = queued.recv().await {
        if let Some(due) = due {
            tokio::time::sleep_until(due).await;
        }
        flowing(direction, conditions).await?;
        match content {
            Content::Finished => return to.shutdown().await.map_err(|_| End::Reset),
            Content::Broken => return Err(End::Reset),
            Content::Bytes(mut bytes) => {
                let (allowed, are_last) = match direction {
                    Direction::ToClient => shared.allowance(bytes.len()),
                    Direction::ToServer | Direction::Both => (bytes.len(), false),
                };
                bytes.truncate(allowed);
                if to.write_all(&bytes).await.is_err() {
                    // The news that this side is gone goes the other way, and must get through there.
                    flowing(direction.back(), conditions).await?;
                    return Err(End::Reset);
                }
                if are_last {
                    shared.cut(&mut shared.lock(), "cut");
                    return Err(End::Truncated);
                }
            }
        }
    }
    Ok(())
}

async fn flowing(direction: Direction, conditions: &mut watch::Receiver<Conditions>) -> Result<(), End> {
    conditions.wait_for(|now| now.flows(direction)).await.map(drop).map_err(|_| End::Reset)
}
