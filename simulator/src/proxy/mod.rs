//! A TCP proxy that fails as networks and servers fail, to put in front of RabbitMQ, MongoDB, Graph or the AI.
//!
//! It carries bytes and knows no protocol. Every fault can be switched while connections run, and each is a mark
//! named `proxy` in the journal, with the target and what was done: the beginning of a fault is written before it
//! has any effect, its end after the last.

mod connection;
mod shared;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use serde_json::json;
use tokio::net::TcpSocket;

use crate::Journal;
use shared::{Conditions, Fate, Shared, accept, listen, socket};

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Either way.
    Both,
}

impl Direction {
    fn includes(self, other: Self) -> bool {
        self == Self::Both || self == other
    }

    /// The way on which a peer hears of what went this way.
    fn back(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
            Self::Both => Self::Both,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ToServer => "to_server",
            Self::ToClient => "to_client",
            Self::Both => "both",
        }
    }
}

/// A running proxy. Dropping it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// Bound and never listening: while connections are refused nobody else gets the port.
    _reservation: TcpSocket,
}

impl Proxy {
    /// Listens on a free loopback port, in front of `target`, a `host:port`.
    ///
    /// # Errors
    /// The target is no `host:port` or its host is not known, or no port can be bound.
    pub async fn start(target: &str, journal: &Journal) -> io::Result<Self> {
        // Only to find out here rather than with the first connection: the target itself may well be down.
        drop(tokio::net::lookup_host(target).await?);
        let reservation = socket(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let addr = reservation.local_addr()?;
        let shared = Arc::new(Shared::new(target, journal, listen(addr)?));
        tokio::spawn(shared.stop.clone().run_until_cancelled_owned(accept(shared.clone())));
        Ok(Self { addr, shared, _reservation: reservation })
    }

    /// The same in front of the server that a URL names, with that URL by way of the proxy (see [`Proxy::url`]).
    ///
    /// # Errors
    /// As [`Proxy::start`]; the URL must name one host and its port.
    pub async fn before(url: &str, journal: &Journal) -> io::Result<(Self, String)> {
        let (_, address, _) = split(url);
        let proxy = Self::start(address, journal).await?;
        let through = proxy.url(url);
        Ok((proxy, through))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A URL (`amqp://`, `mongodb://`, `http://`, any other) by way of the proxy: only host and port change. Several
    /// hosts become one. The driver of MongoDB leaves the proxy for the members that a replica set names, unless the
    /// URL has `directConnection=true`.
    pub fn url(&self, original: &str) -> String {
        let (before, _, behind) = split(original);
        format!("{before}{}{behind}", self.addr)
    }

    /// Resets every connection, on both sides. New ones work.
    pub fn cut(&self) {
        self.shared.cut(&mut self.shared.lock(), "cut");
    }

    /// Resets every connection and refuses new ones, as when the server is down.
    pub fn refuse(&self) {
        let mut state = self.shared.lock();
        self.shared.cut(&mut state, "refuse");
        state.listener = None;
    }

    /// Takes new connections again.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, or where the operating system has no file descriptor left.
    pub fn accept(&self) {
        self.shared.open(self.addr);
        self.shared.note("accept", json!({}));
    }

    /// Bytes stop flowing in this direction, on the connections there are and on new ones, all of which stay open;
    /// even the end of a stream is held back. Nothing is lost: all of it flows on after [`Proxy::resume`]. Stalling
    /// one direction and then the other stalls both.
    pub fn stall(&self, direction: Direction) {
        self.shared.note("stall", json!({"direction": direction.name()}));
        self.shared.conditions.send_modify(|conditions| {
            conditions.to_server_stalled |= direction.includes(Direction::ToServer);
            conditions.to_client_stalled |= direction.includes(Direction::ToClient);
        });
    }

    /// The server vanishes from every connection, and the client is never told: its bytes are swallowed, nothing
    /// comes back, no end and no reset, for as long as the proxy lives. The server sees a reset, and goes on without
    /// that client. New connections work.
    pub fn half_open(&self) {
        let mut state = self.shared.lock();
        self.shared.note("half_open", json!({"connections": state.connections()}));
        state.end_all(Fate::Vanished);
    }

    /// After so many more bytes from the server, counted over all connections, everything is cut: the client that got
    /// the last of them sees its stream end there, in the middle of whatever it was, all others see a reset. Happens
    /// once; new connections work.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.note("cut_after", json!({"bytes": bytes}));
        self.shared.lock().cut_after = Some(bytes);
    }

    /// Everything takes so much longer, each way; what is sent meanwhile follows in its own time, not one after the
    /// other.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.note("delay", json!({"millis": millis}));
        self.shared.conditions.send_modify(|conditions| conditions.delay = delay);
    }

    /// Everything is well again: no stall, no delay, no cut to come, and new connections are taken.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, or where the operating system has no file descriptor left.
    pub fn resume(&self) {
        self.shared.lock().cut_after = None;
        self.shared.open(self.addr);
        self.shared.conditions.send_replace(Conditions::default());
        self.shared.note("resume", json!({}));
    }
}

/// A URL as what stands before its hosts, the hosts with their ports, and what stands behind.
fn split(url: &str) -> (&str, &str, &str) {
    let scheme = url.find("://").map_or(0, |at| at + 3);
    let (_, rest) = url.split_at(scheme);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    let (before, _) = url.split_at(scheme + user);
    let (_, hosts) = authority.split_at(user);
    (before, hosts, path)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        self.shared.cut(&mut state, "stop");
        state.listener = None;
        drop(state);
        self.shared.stop.cancel();
    }
}
