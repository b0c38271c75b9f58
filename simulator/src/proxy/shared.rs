//! What the proxy and its connections share: the listener, which fate the open connections have, what they all have
//! to live with.
//!
//! A connection is taken and gets its fate in one step under the lock under which fates are decided, so whoever cuts
//! all connections misses none.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, watch},
};
use tokio_util::sync::CancellationToken;

use super::{Direction, connection};
use crate::Journal;

/// One proxy, as its connections know it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) target: String,
    journal: Journal,
    state: Mutex<State>,
    pub(super) conditions: watch::Sender<Conditions>,
    /// Told when there is a listener again.
    opened: Notify,
    /// The proxy is gone.
    pub(super) stop: CancellationToken,
}

#[derive(Debug)]
pub(super) struct State {
    /// None while connections are refused.
    pub(super) listener: Option<TcpListener>,
    /// Shared by the connections that are open. One fate is for all of them: those that come later get a new one.
    fate: watch::Sender<Fate>,
    /// How many more bytes from the server pass.
    pub(super) cut_after: Option<u64>,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Open,
    /// Both sides are told, with a reset.
    Cut,
    /// The client is told nothing.
    Vanished,
}

/// What all connections have to live with at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Conditions {
    pub(super) to_server_stalled: bool,
    pub(super) to_client_stalled: bool,
    pub(super) delay: Duration,
}

impl Conditions {
    pub(super) fn flows(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => !self.to_server_stalled,
            Direction::ToClient => !self.to_client_stalled,
            Direction::Both => !self.to_server_stalled && !self.to_client_stalled,
        }
    }
}

impl Shared {
    pub(super) fn new(target: &str, journal: &Journal, listener: TcpListener) -> Self {
        let state = State { listener: Some(listener), fate: watch::Sender::new(Fate::Open), cut_after: None };
        Self {
            target: target.to_owned(),
            journal: journal.clone(),
            state: Mutex::new(state),
            conditions: watch::Sender::default(),
            opened: Notify::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Writes down what was done.
    pub(super) fn note(&self, did: &str, mut particulars: Value) {
        if let Some(fields) = particulars.as_object_mut() {
            fields.insert("did".to_owned(), json!(did));
            fields.insert("target".to_owned(), json!(self.target));
        }
        self.journal.mark("proxy", particulars);
    }

    /// Resets every connection, and writes down under this name that it was done.
    pub(super) fn cut(&self, state: &mut State, did: &str) {
        self.note(did, json!({"connections": state.connections()}));
        state.end_all(Fate::Cut);
    }

    /// Listens, unless it does already.
    pub(super) fn open(&self, addr: SocketAddr) {
        let mut state = self.lock();
        if state.listener.is_none() {
            state.listener = Some(listen(addr).expect("the port is reserved, and there are file descriptors left"));
            self.opened.notify_one();
        }
    }

    /// A connection with its fate. Without a listener it waits for [`Shared::opened`].
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, watch::Receiver<Fate>)>> {
        let state = self.lock();
        let Some(listener) = &state.listener else { return Poll::Pending };
        listener.poll_accept(context).map_ok(|(client, _)| (client, state.fate.subscribe()))
    }

    /// How many of so many bytes from the server may pass, and whether they are the last.
    pub(super) fn allowance(&self, bytes: usize) -> (usize, bool) {
        let mut state = self.lock();
        let Some(left) = state.cut_after else { return (bytes, false) };
        let wanted = bytes as u64;
        state.cut_after = (wanted < left).then(|| left - wanted);
        if wanted < left { (bytes, false) } else { (usize::try_from(left).unwrap_or(bytes), true) }
    }

    /// A panic for want of file descriptors leaves the state whole, and the proxy must still be dropped after it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many connections go on.
    pub(super) fn connections(&self) -> usize {
        self.fate.receiver_count()
    }

    pub(super) fn end_all(&mut self, fate: Fate) {
        let ended = std::mem::replace(&mut self.fate, watch::Sender::new(Fate::Open));
        ended.send_replace(fate);
    }
}

/// A socket bound to this address, which it may share with others of this user that ask for the same.
pub(super) fn socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// A listener on an address that [`socket`] has reserved.
pub(super) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    socket(addr)?.listen(1024)
}

/// Takes connections for as long as the proxy lives.
pub(super) async fn accept(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            accepted = std::future::poll_fn(|context| shared.poll_accept(context)) => match accepted {
                Ok((client, fate)) => drop(tokio::spawn(connection::carry(client, fate, shared.clone()))),
                // Out of file descriptors, mostly: the connections that end will free some.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = shared.opened.notified() => {}
        }
    }
}
