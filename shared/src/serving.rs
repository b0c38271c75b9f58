//! Accepting connections, within bounds, until the process stops.
//!
//! An accept loop of our own, because axum's has no timeout for the head of a request: a sender who never ends
//! one would hold its connection for ever. What is beyond the bound on connections waits in the kernel's backlog.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

use crate::shutdown::Shutdown;

/// For a whole request head. hyper's clock runs from the moment it could begin, so this also bounds how long a
/// connection may idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// hyper's read buffer of one connection, which must hold a request's head.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// Out of file descriptors or memory, accepting fails again at once, until something is closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until the stop has drained or is aborted. In its first phase the port is closed and the requests in
/// flight are finished; those that are left in the second are dropped. False where there were some. Each request has
/// its peer's [`ConnectInfo`].
///
/// At most so many `connections` are open at once.
pub async fn serve(listener: TcpListener, router: Router, connections: usize, shutdown: &Shutdown) -> bool {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(connections));
    loop {
        // Cancelling an accept loses nothing: a connection is either returned or still in the backlog.
        let accepted = tokio::select! {
            biased;
            () = shutdown.draining.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => start(stream, peer, permit, router.clone(), &graceful, shutdown),
            Err(error) => pause_after(&error, shutdown).await,
        }
    }
    drop(listener);
    tokio::select! {
        // First, because it ends the connections, which would then look as if they had been answered.
        biased;
        () = shutdown.aborting.cancelled() => false,
        () = graceful.shutdown() => true,
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.expect("this semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

async fn pause_after(error: &io::Error, shutdown: &Shutdown) {
    // The peer's own doing, over before we saw it.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::error!(%error, "cannot accept connections; trying again");
    tokio::select! {
        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
        () = shutdown.draining.cancelled() => {}
    }
}

fn start(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    router: Router,
    graceful: &GracefulShutdown,
    shutdown: &Shutdown,
) {
    // Answers are one small packet each; where this fails they are only later.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    let aborting = shutdown.aborting.clone();
    tokio::spawn(async move {
        let _permit = permit;
        // Cancelling drops the request that the connection is at; see ingest's `webhooks` for what that means there.
        tokio::select! {
            served = connection => if let Err(error) = served {
                tracing::debug!(%peer, %error, "a connection ended early");
            },
            () = aborting.cancelled() => {}
        }
    });
}
