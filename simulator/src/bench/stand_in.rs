//! The AI and the Graph API, as cheap as can be: they take a body, find the tag in it, note it, and answer.
//!
//! The simulator's own stand-ins check and record everything, which is what tests want and what would be measured here
//! in place of the worker. How much these take by themselves is a row of the report.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use axum::body::{Body, to_bytes};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use simulator::Tag;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::ledger::Ledger;

/// Far more than any prompt has.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Both stand-ins on one port. Dropping it cuts every connection.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) addr: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    ledger: RwLock<Arc<Ledger>>,
    ai_micros: AtomicU64,
    /// Whether the AI answers at all; else it keeps who asks waiting.
    open: watch::Sender<bool>,
    sends: AtomicU64,
    /// How many chats were asked for, and how many bytes they had together.
    chats: AtomicU64,
    chat_bytes: AtomicU64,
    /// The last `biz_opaque_callback_data` and the id that was given for it.
    last_send: RwLock<Option<Send>>,
}

/// A message as Graph took it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Send {
    pub(super) body: String,
    pub(super) wamid: String,
}

impl StandIn {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("serve the stand-ins")?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State {
            ledger: RwLock::new(Arc::new(Ledger::new(0, 1))),
            ai_micros: AtomicU64::new(0),
            open: watch::Sender::new(true),
            sends: AtomicU64::new(0),
            chats: AtomicU64::new(0),
            chat_bytes: AtomicU64::new(0),
            last_send: RwLock::default(),
        });
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            Arc::clone(&state),
            stop.clone(),
        )));
        Ok(Self { addr, state, stop })
    }

    pub(super) fn ai_url(&self) -> String {
        format!("http://{}/openai/v1", self.addr)
    }

    pub(super) fn graph_url(&self) -> String {
        format!("http://{}/v25.0", self.addr)
    }

    /// From now on this is where it is noted.
    pub(super) fn note_in(&self, ledger: &Arc<Ledger>) {
        *self.state.ledger.write().expect("no code panics while it holds this lock") = Arc::clone(ledger);
    }

    /// From now on the AI takes that long.
    pub(super) fn think(&self, time: Duration) {
        self.state.ai_micros.store(super::load::micros(time), Ordering::Relaxed);
    }

    /// Whether the AI answers; what is asked while it does not is answered afterwards.
    pub(super) fn answer(&self, open: bool) {
        self.state.open.send_replace(open);
    }

    /// What one chat had on the average, so far.
    pub(super) fn prompt_bytes(&self) -> f64 {
        self.state.chat_bytes.load(Ordering::Relaxed) as f64 / self.state.chats.load(Ordering::Relaxed).max(1) as f64
    }

    pub(super) fn last_send(&self) -> Option<Send> {
        self.state.last_send.read().expect("no code panics while it holds this lock").clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: the connections that end free some.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        drop(stream.set_nodelay(true));
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        let serving = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move { drop(serving.await) }));
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, axum::Error> {
    let path = request.uri().path().to_owned();
    let body = to_bytes(Body::new(request.into_body()), MAX_BODY_BYTES).await?;
    let text = String::from_utf8_lossy(&body);
    let answer = if path.ends_with("/chat/completions") {
        state.chat(&text).await
    } else if path.ends_with("/messages") {
        state.message(&text)
    } else {
        // The list of models, at a worker's start.
        json!({"object": "list", "data": []}).to_string()
    };
    let mut response = Response::new(Body::from(answer));
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}

impl State {
    async fn chat(&self, body: &str) -> String {
        self.chats.fetch_add(1, Ordering::Relaxed);
        self.chat_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let ledger = self.ledger();
        // What was said before stands before it.
        let tag = Tag::find_all(body).pop();
        if let Some(tag) = tag {
            ledger.asked(tag);
        }
        let mut open = self.open.subscribe();
        // The sender lives as long as this does, so the wait ends with an opening.
        drop(open.wait_for(|open| *open).await);
        let time = Duration::from_micros(self.ai_micros.load(Ordering::Relaxed));
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        let said = tag.map_or_else(
            || "Good morning!".to_owned(),
            |tag| format!("A city bike is 18 EUR a day, and helmets for both children are free. {tag}"),
        );
        let message = json!({"role": "assistant", "content": said});
        let answer = json!({
            "id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 700, "completion_tokens": 30, "total_tokens": 730},
        });
        if let Some(tag) = tag {
            ledger.replied(tag);
        }
        answer.to_string()
    }

    fn message(&self, body: &str) -> String {
        if body.contains("\"status\":\"read\"") {
            return json!({"success": true}).to_string();
        }
        let wamid = format!("wamid.BENCHOUT{:012}", self.sends.fetch_add(1, Ordering::Relaxed));
        let send = Send { body: body.to_owned(), wamid: wamid.clone() };
        *self.last_send.write().expect("no code panics while it holds this lock") = Some(send);
        if let Some(tag) = Tag::find_all(body).pop() {
            self.ledger().sent(tag);
        }
        json!({"messaging_product": "whatsapp", "messages": [{"id": wamid}]}).to_string()
    }

    fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger.read().expect("no code panics while it holds this lock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        http::{Connection, post},
        requests::text,
    };

    #[tokio::test]
    async fn a_question_and_its_answer_are_noted_and_a_closed_ai_keeps_it_waiting() {
        let stand_in = StandIn::start().await.expect("started");
        let ledger = Arc::new(Ledger::new(10, 10));
        stand_in.note_in(&ledger);
        stand_in.answer(false);
        let chat = json!({"messages": [{"content": text(Tag(3))}, {"content": text(Tag(4))}]}).to_string();
        let addr = stand_in.addr;
        let asking = tokio::spawn(async move {
            let mut connection = Connection::open(addr).await.expect("open");
            connection.exchange(&post("/openai/v1/chat/completions", &[], chat.as_bytes())).await
        });
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while ledger.asked_count() == 0 {
            assert!(tokio::time::Instant::now() < deadline, "nobody asked");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!asking.is_finished() && stand_in.prompt_bytes() > 100.0);
        stand_in.answer(true);
        assert_eq!(asking.await.expect("no panic").expect("answered"), 200);
        let mut connection = Connection::open(addr).await.expect("open");
        for body in [r#"{"status":"read"}"#.to_owned(), json!({"text": {"body": text(Tag(4))}}).to_string()] {
            assert_eq!(
                connection.exchange(&post("/v25.0/1/messages", &[], body.as_bytes())).await.expect("answered"),
                200
            );
        }
        ledger.written(Tag(4));
        assert_eq!(ledger.sent_count(), 1, "a read receipt is no answer");
        assert!(ledger.time_of(Tag(4)).is_some() && ledger.time_of(Tag(3)).is_none());
        assert!(stand_in.last_send().is_some_and(|send| send.body.contains("#m000004")));
    }
}
