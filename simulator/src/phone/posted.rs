//! What is posted to ingest, as the page shows it: a scene for each message, one for all statuses of a message.

use serde_json::{Value, json};

use super::{
    file::Record,
    follow::{Posted, State, millis, remember},
    scene::{Scene, Try, What},
};
use crate::journal::{UpdateKind, WebhookAnswer, WebhookPost};

impl State {
    /// A webhook leaves.
    pub(super) fn posting(&mut self, began_ns: u64, at: i64, post: &WebhookPost) {
        let mut updates = Vec::new();
        for update in &post.updates {
            let Some(key) = self.book.owner(&update.id) else { continue };
            let found = Try { post: post.post, at, http: None, error: None, ms: None };
            match update.update {
                UpdateKind::Message => {
                    self.book.change_line(&update.id, |line| line.fate.posts += 1);
                    self.book.change_scene(&key, &webhook_scene(&update.id), |scene| scene.tries.push(found));
                    self.switches.posted(&update.id);
                }
                UpdateKind::Status => {
                    let status = update.status.clone().unwrap_or_default();
                    let mut scene = self.book.scene(&key, &status_scene(&update.id)).unwrap_or_else(|| {
                        let mut scene = Scene::new(What::Status, status_scene(&update.id), at, "");
                        scene.body = json!({"id": update.id, "statuses": []});
                        scene
                    });
                    let told = scene.body.get_mut("statuses").and_then(Value::as_array_mut);
                    if let Some(told) = told.filter(|told| !told.contains(&json!(status))) {
                        scene.title.push_str(if told.is_empty() { "" } else { ", " });
                        scene.title.push_str(&status);
                        told.push(json!(status));
                    }
                    scene.tries.push(found);
                    self.book.show(Some(&key), scene);
                }
                UpdateKind::Echo | UpdateKind::Other => continue,
            }
            updates.push((update.update, update.id.clone(), update.status.clone()));
        }
        if !updates.is_empty() {
            remember(&mut self.posts, post.post, Posted { began_ns, updates });
        }
    }

    /// It was answered, or not.
    pub(super) fn posted(&mut self, now_ns: u64, at: i64, answer: &WebhookAnswer) {
        let Some(posted) = self.posts.remove(&answer.post) else { return };
        let ms = millis(posted.began_ns, now_ns);
        for (kind, id, status) in posted.updates {
            let Some(key) = self.book.owner(&id) else { continue };
            let is_message = kind == UpdateKind::Message;
            let status = status.unwrap_or_default();
            let scene = if is_message { webhook_scene(&id) } else { status_scene(&id) };
            let (http, error) = (answer.http, answer.error.clone());
            self.book.change_scene(&key, &scene, |scene| scene.answered(answer.post, http, error, ms));
            let taken = self.book.line(&key, &id).is_none_or(|line| line.fate.taken.is_some());
            match (is_message, answer.http) {
                (true, Some(200)) if !taken => self.note(&Record::Taken { id, at }),
                (true, Some(200)) => {}
                (true, http) if !taken => {
                    let trouble = http.map(|http| format!("HTTP {http}")).or_else(|| answer.error.clone());
                    self.book.change_line(&id, |line| line.fate.trouble = trouble);
                }
                (false, Some(200)) => {
                    self.switches.reported(&id);
                    self.note(&Record::Reported { id, status });
                }
                (true | false, _) => {}
            }
        }
    }
}

pub(super) fn webhook_scene(id: &str) -> String {
    format!("webhook/{id}")
}

fn status_scene(id: &str) -> String {
    format!("status/{id}")
}
