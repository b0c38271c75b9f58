//! The socket of a connection that is being made.
//!
//! lapin reads its socket in a thread of its own, which ends when the peer hangs up or sends what it should not. A peer
//! that accepts and stays silent, such as a load balancer with nothing behind it or a frozen server, would keep a thread
//! and a socket of each attempt that somebody gave up.

use std::{
    io,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use lapin::{
    Connection, ConnectionProperties,
    runtime::default_runtime,
    tcp::{AsyncTcpStream, OwnedTLSConfig},
    uri::{AMQPScheme, AMQPUri},
};
use tokio_util::sync::CancellationToken;

/// Connects, from the lookup of the name to AMQP's handshake. Whoever drops this gives up: the socket is shut down.
///
/// # Errors
/// lapin's.
pub(super) async fn dial(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: OwnedTLSConfig,
) -> lapin::Result<Connection> {
    let attempt = Attempt::default();
    let socket = attempt.socket.clone();
    let connecting = Connection::connector(
        uri,
        default_runtime()?,
        // Runs in lapin's thread.
        async move |AMQPUri { scheme, authority, .. }, runtime| {
            let opening = async {
                let addresses = tokio::net::lookup_host((authority.host.as_str(), authority.port)).await?;
                let stream = AsyncTcpStream::connect(&runtime, addresses.collect::<Vec<_>>()).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    socket.keep(plain.get_ref())?;
                }
                match scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => stream.into_tls(&authority.host, tls.as_ref()).await,
                }
            };
            let opened = socket.given_up.run_until_cancelled(opening).await;
            opened.unwrap_or_else(|| Err(io::ErrorKind::ConnectionAborted.into())).map_err(lapin::Error::from)
        },
        properties,
    );
    let connected = connecting.await;
    if connected.is_ok() {
        attempt.socket.let_go();
    }
    connected
}

/// Gives up when it goes.
#[derive(Default)]
struct Attempt {
    socket: Socket,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.socket.given_up.cancel();
        if let Some(socket) = self.socket.let_go() {
            // One that is not connected any more needs no end.
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

/// A second handle to the socket that lapin has. Cheap to clone.
#[derive(Clone, Default)]
struct Socket {
    given_up: CancellationToken,
    handle: Arc<Mutex<Option<TcpStream>>>,
}

impl Socket {
    /// Keeps a handle until [`Self::let_go`].
    fn keep(&self, socket: &impl AsFd) -> io::Result<()> {
        let handle = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let mut kept = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: whoever gives up looks for the handle afterwards.
        if self.given_up.is_cancelled() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *kept = Some(handle);
        Ok(())
    }

    fn let_go(&self) -> Option<TcpStream> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    /// Threads of lapin's in this process.
    fn lapin_threads() -> usize {
        let threads = std::fs::read_dir("/proc/self/task").expect("a process has threads");
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("lapin")).count()
    }

    async fn gone(what: &str, is_gone: impl Fn() -> bool) {
        for _ in 0..400 {
            if is_gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{what} stayed for ten seconds");
    }

    /// Both with TLS, where the handshake hangs, and without, where the loop does.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_attempt_that_was_given_up_leaves_neither_socket_nor_thread() {
        crate::install_tls_provider();
        for scheme in ["amqp", "amqps"] {
            let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("{scheme}://127.0.0.1:{}", silent.local_addr().expect("bound").port());
            let uri: AMQPUri = url.parse().expect("a URL");
            let dialing = tokio::spawn(dial(uri, ConnectionProperties::default(), OwnedTLSConfig::default()));
            let (mut peer, _) = silent.accept().await.expect("somebody connects");
            // It has said hello and waits for the answer.
            assert!(peer.read(&mut [0; 1024]).await.expect("a greeting") > 0, "{scheme}");
            assert_eq!(lapin_threads(), 1, "{scheme}");
            dialing.abort();
            let rest = tokio::time::timeout(Duration::from_secs(10), peer.read_to_end(&mut Vec::new())).await;
            rest.expect("the socket stays open").ok();
            gone("lapin's thread", || lapin_threads() == 0).await;
        }
    }
}
