//! All chats in memory: a fold over records, in which everything has the revision of its last change, and no two
//! things have the same.
//!
//! A browser that knows revision `n` needs what is newer, and nothing else; one that knows nothing needs all. So there
//! is no queue for a browser to fall behind on. Each chat keeps its newest lines and scenes only.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Value, json};

use super::{
    album::Album,
    file::Record,
    line::{Debt, Line, Side, content},
    people::{Person, user_id},
    scene::Scene,
};
use crate::{Business, journal::GraphSend};

const MAX_LINES: usize = 1000;
const MAX_SCENES: usize = 200;
/// How long a typing indicator shows where nothing comes (Meta, "Typing indicators").
const TYPING_MS: i64 = 25_000;

/// A chat: the business's number id, and the number of the person.
pub(super) type Key = (String, String);

/// What is told to browsers: the revision, the kind of event, the event.
pub(super) type News = (u64, &'static str, Value);

#[derive(Debug, Default)]
pub(super) struct Chat {
    pub(super) lines: VecDeque<Line>,
    scenes: VecDeque<Scene>,
    /// Until when the business is seen typing, and since which revision.
    typing: (u64, Option<i64>),
}

#[derive(Debug)]
pub(super) struct Book {
    businesses: Vec<Business>,
    revision: u64,
    people: BTreeMap<String, (u64, Person)>,
    /// Whose user id that is.
    user_ids: HashMap<String, String>,
    pub(super) chats: BTreeMap<Key, Chat>,
    /// Which chat a message belongs to, or a file that was sent in it.
    owners: HashMap<String, Key>,
    pub(super) album: Album,
    /// Scenes that nobody knows a chat of.
    strays: VecDeque<Scene>,
}

impl Book {
    pub(super) fn new(businesses: Vec<Business>) -> Self {
        Self {
            businesses,
            revision: 0,
            people: BTreeMap::new(),
            user_ids: HashMap::new(),
            chats: BTreeMap::new(),
            owners: HashMap::new(),
            album: Album::default(),
            strays: VecDeque::new(),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The number of the next change.
    pub(super) fn revise(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    pub(super) fn person(&self, number: &str) -> Option<&Person> {
        self.people.get(number).map(|(_, person)| person)
    }

    /// The number of the person that a message to this phone number or user id is for, if one at this page.
    pub(super) fn number_of(&self, customer: &str) -> Option<String> {
        let number = self.user_ids.get(customer).map_or(customer, String::as_str);
        self.people.contains_key(number).then(|| number.to_owned())
    }

    pub(super) fn owner(&self, id: &str) -> Option<Key> {
        self.owners.get(id).cloned()
    }

    pub(super) fn line(&self, key: &Key, id: &str) -> Option<&Line> {
        self.chats.get(key)?.lines.iter().rev().find(|line| line.id == id)
    }

    /// Changes what became of a message, where it is still kept.
    pub(super) fn change_line(&mut self, id: &str, change: impl FnOnce(&mut Line)) {
        let revision = self.revision + 1;
        let chat = self.owners.get(id).and_then(|key| self.chats.get_mut(key));
        if let Some(line) = chat.and_then(|chat| chat.lines.iter_mut().rev().find(|line| line.id == id)) {
            change(line);
            line.revision = revision;
            self.revision = revision;
        }
    }

    /// Takes a record, from the file or new.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Person(person) => self.meet(person),
            Record::Media { id, phone_number_id, mime_type, base64 } => {
                self.album.put(id, phone_number_id, mime_type, base64);
            }
            Record::Written { id, phone_number_id, number, at, webhook } => {
                let key = (phone_number_id.clone(), number.clone());
                self.write(key, Line::written(id, phone_number_id, *at, webhook));
            }
            Record::Taken { id, at } => self.change_line(id, |line| {
                line.fate.taken.get_or_insert(*at);
                line.fate.trouble = None;
                line.debt = Debt::Nothing;
            }),
            Record::Read { id, at, typing } => self.read(id, *at, *typing),
            Record::Arrived { number, at, send } => self.arrive(number, *at, send),
            Record::Reported { id, status } => self.change_line(id, |line| {
                if matches!(status.as_str(), "delivered" | "read" | "failed") {
                    line.debt = Debt::Nothing;
                }
                line.fate.reported = Some(status.clone());
            }),
        }
    }

    fn meet(&mut self, person: &Person) {
        let revision = self.revise();
        let ids = self.businesses.iter().map(|business| (user_id(&person.number, business), person.number.clone()));
        self.user_ids.extend(ids);
        self.people.insert(person.number.clone(), (revision, person.clone()));
    }

    fn write(&mut self, key: Key, mut line: Line) {
        line.revision = self.revise();
        line.place = line.revision;
        let file = ["audio", "image"].iter().find_map(|kind| line.body.get(kind)?.get("id")?.as_str());
        let ids = [Some(line.id.clone()), file.map(str::to_owned)];
        self.owners.extend(ids.into_iter().flatten().map(|id| (id, key.clone())));
        let chat = self.chats.entry(key).or_default();
        chat.lines.push_back(line);
        if chat.lines.len() > MAX_LINES {
            let forgotten = chat.lines.pop_front();
            forgotten.map(|line| self.owners.remove(&line.id));
        }
    }

    /// A read receipt counts for the earlier messages too, as at Meta.
    fn read(&mut self, id: &str, at: i64, typing: bool) {
        let Some(chat) = self.owners.get(id).and_then(|key| self.chats.get_mut(key)) else { return };
        let last = chat.lines.iter().position(|line| line.id == id).map_or(0, |position| position + 1);
        for line in chat.lines.iter_mut().take(last).filter(|line| line.from == Side::Customer) {
            let is_news = line.fate.read.is_none() || (typing && line.fate.typing.is_none());
            if is_news {
                line.fate.read.get_or_insert(at);
                line.fate.typing = line.fate.typing.or(typing.then_some(at));
                self.revision += 1;
                line.revision = self.revision;
            }
        }
        if typing {
            self.revision += 1;
            chat.typing = (self.revision, Some(at + TYPING_MS));
        }
    }

    fn arrive(&mut self, number: &str, at: i64, send: &GraphSend) {
        let key = (send.phone_number_id.clone(), number.to_owned());
        let chat = self.chats.entry(key.clone()).or_default();
        self.revision += 1;
        chat.typing = (self.revision, None);
        let waits = |line: &Line| line.from == Side::Customer && line.fate.answered.is_none();
        // What was written while an answer was on its way is answered by a later one, once it has been read.
        let some_were_read = chat.lines.iter().any(|line| waits(line) && line.fate.read.is_some());
        let is_meant = |line: &&mut Line| waits(line) && (!some_were_read || line.fate.read.is_some());
        for line in chat.lines.iter_mut().filter(is_meant) {
            line.fate.answered = Some(at);
            self.revision += 1;
            line.revision = self.revision;
        }
        self.write(key, Line::arrived(at, send));
    }

    /// Whether a message says what another has said since the person last wrote.
    pub(super) fn is_repetition(&self, key: &Key, send: &GraphSend) -> bool {
        let Some(chat) = self.chats.get(key) else { return false };
        let said = chat.lines.iter().rev().take_while(|line| line.from == Side::Business);
        let body = content(&send.message_type, &send.body);
        said.into_iter().any(|line| line.body == body)
    }

    /// The customer's messages that have no answer yet.
    pub(super) fn waiting(&self, key: &Key) -> Vec<String> {
        let lines = self.chats.get(key).into_iter().flat_map(|chat| &chat.lines);
        let waiting = lines.filter(|line| line.from == Side::Customer && line.fate.answered.is_none());
        waiting.map(|line| line.id.clone()).collect()
    }

    pub(super) fn scene(&self, key: &Key, id: &str) -> Option<Scene> {
        self.chats.get(key)?.scenes.iter().rev().find(|scene| scene.id == id).cloned()
    }

    /// Puts a scene where it belongs, instead of one with the same id.
    pub(super) fn show(&mut self, key: Option<&Key>, mut scene: Scene) {
        scene.revision = self.revise();
        scene.chat = key.map(|(phone_number_id, _)| phone_number_id.clone());
        let scenes = match key {
            Some(key) => &mut self.chats.entry(key.clone()).or_default().scenes,
            None => &mut self.strays,
        };
        match scenes.iter_mut().rev().find(|known| known.id == scene.id) {
            Some(known) => *known = scene,
            None => scenes.push_back(scene),
        }
        if scenes.len() > MAX_SCENES {
            scenes.pop_front();
        }
    }

    pub(super) fn change_scene(&mut self, key: &Key, id: &str, change: impl FnOnce(&mut Scene)) {
        let revision = self.revise();
        let chat = self.chats.get_mut(key);
        if let Some(scene) = chat.and_then(|chat| chat.scenes.iter_mut().rev().find(|scene| scene.id == id)) {
            change(scene);
            scene.revision = revision;
        }
    }

    /// What is newer than a revision, for one person, oldest change first.
    pub(super) fn since(&self, revision: u64, number: &str) -> Vec<News> {
        let mut news = Vec::new();
        let person = self.people.get(number).filter(|(changed, _)| *changed > revision);
        news.extend(person.map(|(changed, person)| (*changed, "person", json!(person))));
        for ((phone_number_id, _), chat) in self.chats.iter().filter(|((_, whose), _)| whose == number) {
            let (changed, until) = chat.typing;
            if changed > revision {
                news.push((changed, "typing", json!({"chat": phone_number_id, "until": until})));
            }
            let lines = chat.lines.iter().filter(|line| line.revision > revision);
            news.extend(lines.map(|line| (line.revision, "message", json!(line))));
            let scenes = chat.scenes.iter().filter(|scene| scene.revision > revision);
            news.extend(scenes.map(|scene| (scene.revision, "scene", json!(scene))));
        }
        let strays = self.strays.iter().filter(|scene| scene.revision > revision);
        news.extend(strays.map(|scene| (scene.revision, "scene", json!(scene))));
        news.sort_by_key(|(revision, ..)| *revision);
        news
    }
}
