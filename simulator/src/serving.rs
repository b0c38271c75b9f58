//! The HTTP server under both stand-ins: any router, on any port, with the one thing that a good server cannot do,
//! hanging up on purpose.
//!
//! A response that carries [`HangUp`] is not sent: the connection closes without a byte, as when a real server dies
//! or the network breaks after the request arrived. Dropping [`Serving`] cuts every connection.

use std::{io, net::SocketAddr};

use axum::{Router, body::Body, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Marks a response that must not be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HangUp;

impl HangUp {
    /// The response that closes the connection instead.
    pub(crate) fn response() -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Self);
        response
    }
}

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Serving {
    /// Binds the address (port 0 takes any free one). `router` gets the tracker of the server's tasks and the token
    /// that ends them, for work that outlives its request.
    pub(crate) async fn start(
        addr: SocketAddr,
        router: impl FnOnce(SocketAddr, &TaskTracker, &CancellationToken) -> Router,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let addr = listener.local_addr()?;
        let router = router(addr, &tasks, &stop);
        tasks.spawn(stop.clone().run_until_cancelled_owned(accept(listener, router, stop.clone(), tasks.clone())));
        Ok(Self { addr, stop, tasks })
    }

    /// Cuts every connection and waits until all tasks have ended.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tasks.spawn(stop.clone().run_until_cancelled_owned(connection(stream, router.clone())));
            }
            // Out of file descriptors, mostly: the connections that end will free some.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            if response.extensions().get::<HangUp>().is_some() {
                // hyper closes a connection whose service failed without writing anything.
                return Err(io::Error::other("hung up on purpose"));
            }
            Ok(response)
        }
    });
    // Without the timeout for headers: cutting an idle pooled connection would be a fault that nobody asked for.
    let served = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
