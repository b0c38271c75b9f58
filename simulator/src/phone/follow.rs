//! From the journal to the page: each event becomes a record that is kept, or a scene that is shown, or both.
//!
//! Called for every entry under the journal's lock, before the request that it is about is answered.

use std::{collections::BTreeMap, fs::File, io, sync::Arc};

use serde_json::{Value, json};

use super::{
    Shared,
    book::{Book, Key},
    faults::Switches,
    file::{self, Record},
    scene::{Scene, What},
};
use crate::{
    Business,
    journal::{Entry, Event, GraphAnswer, GraphRead, GraphRequest, GraphSend, UpdateKind},
};

/// How many requests may be open, and how many uploads may wait for their message, before the oldest is forgotten.
const MAX_PENDING: usize = 256;

/// Everything that changes.
pub(super) struct State {
    pub(super) book: Book,
    pub(super) switches: Switches,
    file: Option<File>,
    pub(super) requests: BTreeMap<u64, Request>,
    pub(super) posts: BTreeMap<u64, Posted>,
    /// Uploads by the id of their file, until a message names it.
    pub(super) uploads: BTreeMap<String, Scene>,
}

/// A request to a stand-in that is not answered yet.
pub(super) struct Request {
    pub(super) began_ns: u64,
    pub(super) place: Option<Key>,
    pub(super) uploaded: Option<String>,
    pub(super) scene: Scene,
}

/// A post that is not answered yet: the kind and the id of what is in it, and the id of its scene.
pub(super) struct Posted {
    pub(super) began_ns: u64,
    pub(super) updates: Vec<(UpdateKind, String, Option<String>)>,
}

/// From now on the state follows the journal.
pub(super) fn follow(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    shared.meta.journal().observe(move |entry| {
        if let Some(shared) = weak.upgrade() {
            // Read before the state is locked: the store has a lock of its own.
            let media = if let Event::GraphUpload(upload) = &entry.fact {
                shared.meta.media(&upload.media_id).map(|file| (&upload.media_id, file))
            } else {
                None
            };
            let record = media.map(|(id, file)| Record::media(id, &file));
            shared.change(|state| state.see(entry, record));
        }
    });
}

impl State {
    pub(super) fn new(businesses: Vec<Business>, file: Option<File>, records: &[Record]) -> Self {
        let mut book = Book::new(businesses);
        records.iter().for_each(|record| book.apply(record));
        let (requests, posts, uploads) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { book, switches: Switches::default(), file, requests, posts, uploads }
    }

    /// Keeps a record, on file first.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub(super) fn keep(&mut self, record: &Record) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file::append(file, record)?;
        }
        self.book.apply(record);
        Ok(())
    }

    /// Keeps a record of something that has happened, whether or not it can be written.
    pub(super) fn note(&mut self, record: &Record) {
        if let Err(error) = self.keep(record) {
            tracing::error!(%error, "the file of the phone page cannot be written; what happens now is not kept");
            self.book.apply(record);
        }
    }

    fn see(&mut self, entry: &Entry, media: Option<Record>) {
        let at = entry.wall.as_millisecond();
        match &entry.fact {
            Event::WebhookPost(post) => self.posting(entry.mono_ns, at, post),
            Event::WebhookAnswer(answer) => self.posted(entry.mono_ns, at, answer),
            Event::GraphRequest(request) => self.requested(entry.mono_ns, at, request),
            Event::GraphSend(send) => self.sent(at, send),
            Event::GraphRead(read) => self.read(at, read),
            Event::GraphUpload(upload) => {
                if let Some(record) = media {
                    self.note(&record);
                }
                if let Some(request) = self.requests.get_mut(&upload.request) {
                    request.scene.title = format!("Upload of {}, {} bytes", upload.mime_type, upload.bytes);
                    request.uploaded = Some(upload.media_id.clone());
                }
            }
            Event::GraphAnswer(answer) => self.answered(entry.mono_ns, answer),
            Event::AiRequest(request) => self.asked(entry.mono_ns, at, request),
            Event::AiAnswer(answer) => self.told(answer),
            Event::AiSpeech(_) | Event::StatusWithheld(_) | Event::HostRequest(_) | Event::Mark(_) => {}
        }
    }

    fn requested(&mut self, began_ns: u64, at: i64, request: &GraphRequest) {
        let id = format!("graph/{}", request.request);
        let mut scene = Scene::new(What::Graph, id, at, format!("{} /{}", request.method, request.path));
        if let Some(file) = request.path.split('/').next_back().and_then(|id| self.book.owner(id)) {
            let what =
                if request.path.starts_with("media-download/") { "Download of the file" } else { "Where is the file?" };
            what.clone_into(&mut scene.title);
            scene.body = json!({"method": request.method, "path": request.path});
            remember(
                &mut self.requests,
                request.request,
                Request { began_ns, place: Some(file), uploaded: None, scene },
            );
            return;
        }
        remember(&mut self.requests, request.request, Request { began_ns, place: None, uploaded: None, scene });
    }

    fn sent(&mut self, at: i64, send: &GraphSend) {
        let Some(number) = self.book.number_of(send.customer()) else { return };
        let key = (send.phone_number_id.clone(), number.clone());
        if let Some(request) = self.requests.get_mut(&send.request) {
            request.place = Some(key.clone());
            request.scene.title = format!("Message: {}", send.message_type);
            request.scene.body = send.body.clone();
            request.scene.fault.clone_from(&send.fault);
        }
        let file = send.body.get(&send.message_type).and_then(|file| file.get("id")?.as_str());
        if let Some(upload) = file.and_then(|id| self.uploads.remove(id)) {
            self.book.show(Some(&key), upload);
        }
        if send.is_accepted() {
            let repeated = self.book.is_repetition(&key, send);
            let waiting = self.book.waiting(&key);
            self.switches.accepted(send, repeated, &waiting);
            self.note(&Record::Arrived { number, at, send: Box::new(send.clone()) });
        }
    }

    fn read(&mut self, at: i64, read: &GraphRead) {
        let Some(key) = self.book.owner(&read.message_id) else { return };
        if let Some(request) = self.requests.get_mut(&read.request) {
            request.place = Some(key);
            let what = if read.typing { "Read, and typing" } else { "Read receipt" };
            what.clone_into(&mut request.scene.title);
            request.scene.body = json!({"status": "read", "message_id": read.message_id, "typing": read.typing});
        }
        self.note(&Record::Read { id: read.message_id.clone(), at, typing: read.typing });
    }

    fn answered(&mut self, now_ns: u64, answer: &GraphAnswer) {
        let Some(Request { began_ns, place, uploaded, mut scene }) = self.requests.remove(&answer.request) else {
            return;
        };
        (scene.http, scene.code, scene.done) = (answer.http, answer.code, true);
        scene.ms = Some(millis(began_ns, now_ns));
        match (place, uploaded) {
            (Some(key), _) => self.book.show(Some(&key), scene),
            (None, Some(id)) => remember(&mut self.uploads, id, scene),
            (None, None) => {}
        }
    }

    /// Shows a request that was refused before it could be recorded as what it is.
    pub(super) fn refused(&mut self, key: &Key, title: &str, code: i64, body: &Value) {
        let at = jiff::Timestamp::now().as_millisecond();
        let mut scene = Scene::new(What::Graph, format!("refused/{}", self.book.revision()), at, title);
        (scene.code, scene.done, scene.body) = (Some(code), true, body.clone());
        scene.fault = Some("refuse".to_owned());
        self.book.show(Some(key), scene);
    }
}

pub(super) fn millis(began_ns: u64, now_ns: u64) -> u64 {
    now_ns.saturating_sub(began_ns) / 1_000_000
}

/// Remembers a thing, and forgets the one with the smallest key where there are too many.
pub(super) fn remember<K: Ord, T>(things: &mut BTreeMap<K, T>, key: K, thing: T) {
    things.insert(key, thing);
    if things.len() > MAX_PENDING {
        things.pop_first();
    }
}
