//! What the AI is asked, as the page shows it, beside the chat that the words belong to.

use serde_json::Value;

use super::{
    book::Key,
    follow::{Request, State, remember},
    line::Side,
    scene::{Scene, What},
};
use crate::journal::{AiAnswer, AiRequest};

impl State {
    /// The AI is asked.
    pub(super) fn asked(&mut self, began_ns: u64, at: i64, request: &AiRequest) {
        let title = match request.endpoint.as_str() {
            "chat" => "The model is asked",
            "transcription" => "A recording is transcribed",
            "speech" => "Words are spoken",
            _ => return,
        };
        let id = format!("ai/{}", request.request);
        let mut scene = Scene::new(What::Ai, id, at, title);
        scene.body = request.body.clone();
        let place = self.asked_for(&request.body);
        self.book.show(place.as_ref(), scene.clone());
        remember(&mut self.requests, request.request, Request { began_ns, place, uploaded: None, scene });
    }

    /// It has answered, or nobody waited.
    pub(super) fn told(&mut self, answer: &AiAnswer) {
        let Some(Request { place, mut scene, .. }) = self.requests.remove(&answer.request) else { return };
        (scene.http, scene.ms, scene.done) = (answer.http, Some(answer.elapsed_ms), true);
        scene.answer.clone_from(&answer.text);
        self.book.show(place.as_ref(), scene);
    }

    /// The chat in which somebody last wrote what the model is asked. Nobody tells the AI who writes, so the words do.
    fn asked_for(&self, body: &Value) -> Option<Key> {
        let messages = body.get("messages")?.as_array()?;
        let newest = messages.iter().rev().find(|message| message.get("role").is_some_and(|role| role == "user"))?;
        let asked = newest.get("content")?.to_string();
        let found = self.book.chats.iter().filter_map(|(key, chat)| {
            let line = chat.lines.iter().rev().find(|line| {
                let text = line.body.pointer("/text/body").filter(|_| line.from == Side::Customer);
                // As JSON writes it, without the quotation marks around it.
                let quoted = text.map(Value::to_string).unwrap_or_default();
                quoted
                    .get(1..quoted.len().saturating_sub(1))
                    .is_some_and(|text| !text.is_empty() && asked.contains(text))
            })?;
            Some((line.at, key))
        });
        found.max_by_key(|(at, _)| *at).map(|(_, key)| key.clone())
    }
}
