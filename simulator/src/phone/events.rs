//! The live side of the page: server-sent events, each with the revision of what it tells.
//!
//! A browser that comes back names the last event that it got, and is told what is newer. After a restart revisions
//! mean something else, which the epoch in front of them shows: then it is told to forget, and everything. The stream
//! has no queue; a slow browser skips what has changed again meanwhile.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Shared, book::News};

const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
pub(super) struct Listen {
    number: String,
}

/// What one browser has been told.
struct Listener {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    number: String,
    known: u64,
    knows_switches: bool,
    waiting: VecDeque<News>,
}

pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    Query(listen): Query<Listen>,
    headers: HeaderMap,
) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let known = last.and_then(|id| id.strip_prefix(&shared.epoch)?.strip_prefix('.')?.parse().ok());
    let changed = shared.changed.subscribe();
    let mut listener = Listener {
        changed,
        number: listen.number,
        known: known.unwrap_or(0),
        knows_switches: false,
        waiting: VecDeque::new(),
        shared,
    };
    let hello = json!({"fresh": known.is_none()});
    listener.waiting.push_back((listener.known, "hello", hello));
    listener.look();
    listener.waiting.push_back((listener.known, "ready", Value::Null));
    let stop = listener.shared.stop.clone();
    let stream = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let stream = futures_util::StreamExt::take_until(stream, stop.cancelled_owned());
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

impl Listener {
    /// The next event; none once the page has ended.
    async fn next(&mut self) -> Option<Event> {
        while self.waiting.is_empty() {
            self.changed.changed().await.ok()?;
            self.look();
        }
        let (revision, kind, value) = self.waiting.pop_front()?;
        let id = format!("{}.{revision}", self.shared.epoch);
        Some(Event::default().id(id).event(kind).data(value.to_string()))
    }

    /// Fetches what is new.
    fn look(&mut self) {
        self.changed.borrow_and_update();
        let mut state = self.shared.lock();
        self.waiting.extend(state.book.since(self.known, &self.number));
        let revision = state.book.revision();
        if state.switches.revision > self.known || !self.knows_switches {
            self.knows_switches = true;
            self.waiting.push_back((revision, "faults", state.switches.told()));
        }
        self.known = revision;
    }
}
