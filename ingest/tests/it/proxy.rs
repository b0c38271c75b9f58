//! A TCP proxy in front of RabbitMQ that can fail in the ways that networks do.

use std::net::SocketAddr;

use shared::testing;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything passes.
    Pass,
    /// Connections stay open, and what RabbitMQ answers is withheld.
    Stall,
    /// Connections are closed, new ones at once.
    Refuse,
}

pub(crate) struct Proxy {
    addr: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub(crate) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let (mode, watched) = watch::channel(mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, watched.clone()));
            }
        });
        Self { addr, mode }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// RabbitMQ's URL by way of the proxy.
    pub(crate) fn url(&self) -> String {
        let url = testing::server("RABBITMQ_URL");
        url.replacen(&broker_address(&url), &self.addr.to_string(), 1)
    }
}

fn broker_address(url: &str) -> String {
    let rest = url.split_once("://").expect("a URL").1;
    let authority = rest.split('/').next().expect("not empty");
    authority.rsplit('@').next().expect("not empty").to_owned()
}

async fn carry(client: TcpStream, mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Refuse {
        return;
    }
    let broker = broker_address(&testing::server("RABBITMQ_URL"));
    let Ok(server) = TcpStream::connect(&broker).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut refused = mode.clone();
    tokio::select! {
        () = forward(client_read, server_write, None) => {}
        () = forward(server_read, client_write, Some(mode)) => {}
        _ = refused.wait_for(|mode| *mode == Mode::Refuse) => {}
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, gate: Option<watch::Receiver<Mode>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(mut gate) = gate.clone()
            && gate.wait_for(|mode| *mode != Mode::Stall).await.is_err()
        {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
