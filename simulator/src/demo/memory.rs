//! What the demo remembers: lines of this chat, notes about the customer, and how those are made and dropped.
//!
//! It keeps nothing itself. Lines, facts and notes stand in the request, and the tool `remember` changes the facts.

use serde_json::json;

use super::{
    answers::{Answers, Call, Piece, REPEATED_UNITS},
    phrases::Language,
    prompt::Fact,
    text::{akin, fill, shortened, words},
    wish::Told,
};

/// Lines that are recited.
const RECITED_MOST: usize = 4;
/// Facts that are recited or dropped at once.
const FACTS_MOST: usize = 8;

impl Answers<'_> {
    pub(super) fn recite(&self) -> String {
        let phrases = self.phrases;
        let skipped = self.chat.earlier.len().saturating_sub(RECITED_MOST);
        let lines = self.chat.earlier.iter().skip(skipped).map(|line| shortened(line, REPEATED_UNITS));
        let lines: Vec<String> = lines.collect();
        let mut said = match lines.as_slice() {
            [] => phrases.wrote_nothing.to_owned(),
            lines => fill(phrases.you_wrote, &phrases.list(lines.iter().map(String::as_str), phrases.and)),
        };
        if let Some(notes) = &self.prompt.notes {
            said.push(' ');
            said.push_str(&fill(phrases.notes, &shortened(notes, 4 * REPEATED_UNITS)));
        }
        said
    }

    pub(super) fn facts(&self) -> String {
        let phrases = self.phrases;
        let facts = self.prompt.facts.iter().take(FACTS_MOST).map(|fact| fact.text.as_str());
        match phrases.list(facts, phrases.and) {
            facts if facts.is_empty() => phrases.no_facts.to_owned(),
            facts => fill(phrases.facts_known, &facts),
        }
    }

    pub(super) fn learn(&self, told: &Told) -> Piece {
        let phrases = self.phrases;
        let before = told.form.filter(|form| form.is_single).and_then(|form| form.noted.strip_suffix("{}"));
        let old = before.and_then(|before| self.prompt.facts.iter().find(|fact| fact.text.starts_with(before)));
        let mut arguments = json!({ "fact": told.text });
        // Of a name or a home there is one at a time.
        if let (Some(old), Some(fields)) = (old.filter(|old| old.text != told.text), arguments.as_object_mut()) {
            fields.insert("replaces".to_owned(), json!(old.id));
        }
        let quoted = phrases.quoted(&told.text);
        Piece::Call(Call {
            tool: "remember",
            arguments,
            done: fill(phrases.noted, &quoted),
            needless: fill(phrases.known_already, &quoted),
            failed: phrases.not_noted.to_owned(),
            coda: phrases.kept,
        })
    }

    pub(super) fn forget(&self, text: &str) -> Vec<Piece> {
        let phrases = self.phrases;
        let dropped = self.meant(text).into_iter().map(|fact| {
            let done = fill(phrases.dropped, &phrases.quoted(&fact.text));
            let (needless, failed) = (done.clone(), phrases.not_noted.to_owned());
            let arguments = json!({ "forget": fact.id });
            Piece::Call(Call { tool: "remember", arguments, done, needless, failed, coda: "" })
        });
        let dropped: Vec<Piece> = dropped.collect();
        if dropped.is_empty() { vec![Piece::Say(phrases.nothing_to_drop.to_owned())] } else { dropped }
    }

    /// The facts that are to be dropped: all, or the one that has most words in common with what was said.
    fn meant(&self, text: &str) -> Vec<&Fact> {
        let said = words(text);
        if said.iter().all(|word| self.phrases.everything.contains(&word.as_str()) || self.phrases.is_everyday(word)) {
            return self.prompt.facts.iter().take(FACTS_MOST).collect();
        }
        let common = |fact: &Fact| {
            let forms = Language::ALL.into_iter().flat_map(|language| language.phrases().facts);
            let forms =
                forms.filter(|form| form.noted.strip_suffix("{}").is_some_and(|noted| fact.text.starts_with(noted)));
            let about = forms.flat_map(|form| form.about).map(|word| (*word).to_owned());
            let known: Vec<String> = self.phrases.telling(&fact.text).into_iter().chain(about).collect();
            said.iter().filter(|word| known.iter().any(|known| akin(known, word))).count()
        };
        let most = self.prompt.facts.iter().rev().max_by_key(|fact| common(fact));
        most.filter(|fact| common(fact) > 0).into_iter().collect()
    }
}
