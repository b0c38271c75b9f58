//! From wishes to what is said and called for them: each wish has its one answer here.
//!
//! A tool is called first and spoken about after: what is said then depends on what came of it.

use serde_json::Value;

use super::{
    chat::{Chat, Heard, Kind},
    phrases::{Language, Phrases},
    prompt::Prompt,
    search,
    text::{fill, shortened, spaced},
    topics,
    wish::{Trigger, Wish, wishes},
};

/// Units of what is repeated of a line.
pub(super) const REPEATED_UNITS: usize = 120;
/// Tools that are called at once (as many as a worker calls).
const CALLS_MOST: usize = 8;

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Words.
    Say(String),
    /// A tool, and the words for what may come of it.
    Call(Call),
}

/// A tool that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) tool: &'static str,
    pub(super) arguments: Value,
    pub(super) done: String,
    /// Where nothing had to be done.
    pub(super) needless: String,
    pub(super) failed: String,
    /// Said once at the end, where it is done.
    pub(super) coda: &'static str,
}

/// Answers the newest messages of a chat.
pub(super) struct Answers<'a> {
    pub(super) chat: &'a Chat,
    pub(super) prompt: &'a Prompt,
    pub(super) language: Language,
    pub(super) phrases: &'static Phrases,
    pub(super) topics: Vec<topics::Topic>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(chat: &'a Chat, prompt: &'a Prompt, language: Language) -> Self {
        let phrases = language.phrases();
        Self { chat, prompt, language, phrases, topics: topics::topics(chat, prompt, phrases) }
    }

    /// The parts of the answer, in the customer's order, none of them twice.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let heard = self.chat.heard.iter().flat_map(|heard| self.answer(heard));
        let person = self.prompt.person_comes.then(|| self.simple(Trigger::Person));
        for piece in person.into_iter().flatten().chain(heard) {
            if !pieces.contains(&piece) {
                pieces.push(piece);
            }
        }
        let mut room = CALLS_MOST;
        pieces.retain(|piece| match piece {
            Piece::Say(_) => true,
            Piece::Call(_) if room == 0 => false,
            Piece::Call(_) => {
                room -= 1;
                true
            }
        });
        // Beside an answer nobody misses these.
        let fillers = [Piece::Say(self.hello()), Piece::Say(self.nothing_fits())];
        if pieces.iter().any(|piece| !fillers.contains(piece)) {
            pieces.retain(|piece| !fillers.contains(piece));
        } else if self.prompt.greeting.is_some() {
            pieces.retain(|piece| Some(piece) != fillers.first());
        }
        pieces
    }

    fn answer(&self, heard: &Heard) -> Vec<Piece> {
        match heard {
            // Where nothing can be tapped, a choice is written.
            Heard::Wrote(sentence) if self.is_topic(sentence) => self.chosen(sentence),
            Heard::Wrote(sentence) => {
                wishes(sentence, self.language).into_iter().flat_map(|wish| self.grant(wish)).collect()
            }
            Heard::Chose(title) => self.chosen(title),
            Heard::Sent(kind, particulars) => vec![Piece::Say(self.acknowledge(*kind, particulars))],
            Heard::Came => vec![Piece::Say(self.hello())],
        }
    }

    fn grant(&self, wish: Wish) -> Vec<Piece> {
        match wish {
            Wish::Simple(trigger) => self.simple(trigger),
            Wish::Learn(told) => vec![self.learn(&told)],
            Wish::Forget(text) => self.forget(&text),
            Wish::Ask(question) => vec![Piece::Say(self.look_up(&question))],
        }
    }

    fn simple(&self, trigger: Trigger) -> Vec<Piece> {
        let phrases = self.phrases;
        vec![match trigger {
            Trigger::WhatAreYou => Piece::Say(fill(phrases.what_i_am, self.business())),
            Trigger::WhatDidISay => Piece::Say(self.recite()),
            Trigger::WhatDoYouKnow => Piece::Say(self.facts()),
            Trigger::Person => self.hand_over(),
            Trigger::Menu | Trigger::Topics => self.menu(),
            Trigger::Hours => Piece::Say(self.hours()),
            Trigger::Where => return self.places(),
            Trigger::Hello => Piece::Say(self.hello()),
            Trigger::Thanks => Piece::Say(phrases.thanks.to_owned()),
            Trigger::Bye => Piece::Say(phrases.bye.to_owned()),
        }]
    }

    pub(super) fn business(&self) -> &str {
        self.prompt.business.as_deref().unwrap_or(self.phrases.business)
    }

    fn is_topic(&self, words: &str) -> bool {
        topics::trigger(words, self.phrases).is_some() || topics::passage(words, self.prompt).is_some()
    }

    fn chosen(&self, title: &str) -> Vec<Piece> {
        if let Some(trigger) = topics::trigger(title, self.phrases) {
            return self.simple(trigger);
        }
        match topics::passage(title, self.prompt) {
            Some(passage) => vec![Piece::Say(self.says(&search::whole(passage)))],
            None => self.answer(&Heard::Wrote(title.to_owned())),
        }
    }

    pub(super) fn says(&self, quote: &str) -> String {
        format!("{} {}", fill(self.phrases.says, self.business()), self.phrases.quoted(quote))
    }

    pub(super) fn find(&self, question: &str) -> Option<String> {
        let sources = [&self.prompt.passages, &self.prompt.instructions];
        sources.into_iter().find_map(|passages| search::best(passages, question, self.phrases))
    }

    /// What the business says about a question, perhaps one that goes on with the one before.
    pub(super) fn look_up(&self, question: &str) -> String {
        let phrases = self.phrases;
        if let Some(quote) = self.find(question) {
            let asked = spaced(question);
            let is_again = self.chat.earlier.iter().any(|line| spaced(line) == asked);
            let says = self.says(&quote);
            return if is_again { format!("{} {says}", phrases.as_before) } else { says };
        }
        // "And for children?" goes on with what was asked before; a question of its own does not.
        let before = self.chat.earlier.last().filter(|_| phrases.telling(question).is_empty());
        let quote = before.and_then(|before| Some((before, self.find(before)?)));
        if let Some((before, quote)) = quote {
            let before = phrases.quoted(&shortened(before, REPEATED_UNITS));
            return format!("{} {}", fill(phrases.follows, &before), self.says(&quote));
        }
        // "Ok" asks nothing.
        if phrases.telling(question).is_empty() && !question.ends_with('?') {
            return format!("{}.", self.ask_about());
        }
        self.nothing_fits()
    }

    fn nothing_fits(&self) -> String {
        format!("{} {}.", fill(self.phrases.nothing_fits, self.business()), self.ask_about())
    }

    /// `Ask about “Routes” or “Deposit”`.
    pub(super) fn ask_about(&self) -> String {
        let named = topics::named(&self.topics, self.phrases);
        fill(self.phrases.ask_about, if named.is_empty() { self.business() } else { &named })
    }

    fn hello(&self) -> String {
        let form = self.phrases.facts.first().and_then(|form| form.noted.strip_suffix("{}"));
        let name = form.and_then(|before| self.prompt.facts.iter().find_map(|fact| fact.text.strip_prefix(before)));
        let hello = name.map_or_else(|| self.phrases.hello.to_owned(), |name| fill(self.phrases.hello_you, name));
        format!("{hello} {}.", self.ask_about())
    }

    fn acknowledge(&self, kind: Kind, particulars: &str) -> String {
        let sent = &self.phrases.sent;
        let template = match kind {
            Kind::Location => sent.location,
            Kind::Sticker => sent.sticker,
            Kind::Order => sent.order,
            Kind::Picture => sent.picture,
            Kind::Video => sent.video,
            Kind::Voice if particulars.is_empty() => sent.voice,
            Kind::Voice => sent.voice_of,
            Kind::Document => sent.document,
            Kind::Contacts => sent.contacts,
            Kind::Form => sent.form,
            Kind::Withheld => sent.withheld,
            Kind::Other => sent.other,
        };
        fill(template, &shortened(particulars, 4 * REPEATED_UNITS))
    }
}
