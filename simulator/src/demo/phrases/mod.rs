//! A language: the words by which a wish is recognised, and those in which it is answered.
//!
//! Each language is one table in a file of its own; another one is another table, a line of [`Language`], and nothing
//! else. What is recognised is written folded: in lower case and without accents.

mod english;
mod spanish;

use super::{text::words, wish::Trigger};

/// A language that the demo speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English, also where a language is none of these.
    English,
    /// Spanish.
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Spanish];

    /// By its name, in itself or in English, or by its code of ISO 639-1; none where it is not spoken here.
    pub fn named(name: &str) -> Option<Self> {
        let name = words(name).into_iter().next()?;
        Self::ALL.into_iter().find(|language| language.phrases().names.contains(&name.as_str()))
    }

    /// The one whose everyday words are most frequent in a text; none where there are none.
    pub(super) fn of_words(text: &str) -> Option<Self> {
        let words = words(text);
        let count = |language: &Self| words.iter().filter(|word| language.phrases().is_everyday(word)).count();
        // Of two that are as frequent, the first.
        let most = Self::ALL.into_iter().rev().max_by_key(count)?;
        (count(&most) > 0).then_some(most)
    }

    pub(super) fn phrases(self) -> &'static Phrases {
        match self {
            Self::English => &english::PHRASES,
            Self::Spanish => &spanish::PHRASES,
        }
    }
}

/// A fact that a customer may tell about themselves.
#[derive(Debug)]
pub(super) struct FactForm {
    /// How it is told, up to what is told.
    pub(super) told: &'static [&'static str],
    /// How it is noted; without a place for what is told, where nothing more is.
    pub(super) noted: &'static str,
    /// Words by which it is meant when it is to be dropped.
    pub(super) about: &'static [&'static str],
    /// A new one replaces the old one.
    pub(super) is_single: bool,
}

/// What is said to each kind of thing that is not words; `{}` takes the particulars.
#[derive(Debug)]
pub(super) struct Courtesies {
    pub(super) location: &'static str,
    pub(super) sticker: &'static str,
    pub(super) order: &'static str,
    pub(super) picture: &'static str,
    pub(super) video: &'static str,
    pub(super) voice: &'static str,
    pub(super) voice_of: &'static str,
    pub(super) document: &'static str,
    pub(super) contacts: &'static str,
    pub(super) form: &'static str,
    pub(super) withheld: &'static str,
    pub(super) other: &'static str,
}

/// The table of a language.
#[derive(Debug)]
pub(super) struct Phrases {
    pub(super) names: &'static [&'static str],
    /// Words that say nothing about what a sentence is about, with blanks between them.
    pub(super) everyday: &'static str,
    /// By what a wish is recognised; the first that fits counts.
    pub(super) triggers: &'static [(Trigger, &'static [&'static str])],
    pub(super) facts: &'static [FactForm],
    /// Before a fact in the customer's own words.
    pub(super) remember: &'static [&'static str],
    /// Before what is to be dropped.
    pub(super) forget: &'static [&'static str],
    pub(super) everything: &'static [&'static str],
    /// Words that ask for an amount.
    pub(super) asks_price: &'static [&'static str],
    pub(super) suggestions: &'static [&'static str],

    pub(super) quotes: (&'static str, &'static str),
    pub(super) and: &'static str,
    pub(super) or: &'static str,
    pub(super) business: &'static str,
    pub(super) introduction: &'static str,
    pub(super) what_i_am: &'static str,
    pub(super) hello: &'static str,
    pub(super) hello_you: &'static str,
    pub(super) thanks: &'static str,
    pub(super) bye: &'static str,
    pub(super) ask_about: &'static str,
    pub(super) says: &'static str,
    /// Before what is said in the same way again.
    pub(super) also: &'static str,
    pub(super) as_before: &'static str,
    pub(super) follows: &'static str,
    pub(super) nothing_fits: &'static str,
    pub(super) you_wrote: &'static str,
    pub(super) wrote_nothing: &'static str,
    pub(super) notes: &'static str,
    pub(super) facts_known: &'static str,
    pub(super) no_facts: &'static str,
    pub(super) noted: &'static str,
    pub(super) kept: &'static str,
    pub(super) known_already: &'static str,
    pub(super) not_noted: &'static str,
    pub(super) dropped: &'static str,
    pub(super) nothing_to_drop: &'static str,
    pub(super) person: &'static str,
    pub(super) person_why: &'static str,
    pub(super) no_person: &'static str,
    pub(super) place: &'static str,
    pub(super) no_place: &'static str,
    pub(super) which: &'static str,
    pub(super) which_button: &'static str,
    pub(super) topic_hours: &'static str,
    pub(super) topic_place: &'static str,
    pub(super) topic_facts: &'static str,
    pub(super) topic_person: &'static str,
    pub(super) open: &'static str,
    pub(super) closed: &'static str,
    pub(super) hours: &'static str,
    /// Words of a week as they stand in a prompt, and what they are here.
    pub(super) week: &'static [(&'static str, &'static str)],
    pub(super) sent: Courtesies,
}

impl Phrases {
    /// Whether a folded word says nothing by itself.
    pub(super) fn is_everyday(&self, word: &str) -> bool {
        self.everyday.split(' ').any(|everyday| everyday == word)
    }

    /// The folded words of a text that say what it is about.
    pub(super) fn telling(&self, text: &str) -> Vec<String> {
        words(text).into_iter().filter(|word| !self.is_everyday(word)).collect()
    }

    /// A text in this language's quotation marks.
    pub(super) fn quoted(&self, text: &str) -> String {
        format!("{}{text}{}", self.quotes.0, self.quotes.1)
    }

    /// `“a”, “b” and “c”`, or with another word before the last.
    pub(super) fn list<'a>(&self, texts: impl IntoIterator<Item = &'a str>, joint: &str) -> String {
        let mut quoted: Vec<String> = texts.into_iter().map(|text| self.quoted(text)).collect();
        let Some(last) = quoted.pop() else { return String::new() };
        if quoted.is_empty() { last } else { format!("{} {joint} {last}", quoted.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::text::spaced;

    #[test]
    fn languages_are_found_by_name_code_and_words() {
        for name in ["Spanish", "español", "es", "es-MX", "Castellano"] {
            assert_eq!(Language::named(name), Some(Language::Spanish), "{name}");
        }
        assert_eq!(Language::named("en_GB"), Some(Language::English));
        assert_eq!(Language::named("German"), None);
        assert_eq!(Language::of_words("¿Cuánto cuesta una taza?"), Some(Language::Spanish));
        assert_eq!(Language::of_words("How much is a cup?"), Some(Language::English));
        assert_eq!(Language::of_words("Xyz 123"), None);
    }

    #[test]
    fn whatever_is_to_be_recognised_is_written_as_it_is_compared() {
        for language in Language::ALL {
            let phrases = language.phrases();
            let told = phrases.facts.iter().flat_map(|form| form.told);
            let triggers = phrases.triggers.iter().flat_map(|(_, triggers)| *triggers);
            let others = [phrases.remember, phrases.forget, phrases.everything, phrases.names];
            for phrase in told.chain(triggers).chain(others.into_iter().flatten()) {
                assert_eq!(spaced(phrase), format!(" {phrase} "), "{language:?}");
            }
            assert_eq!(spaced(phrases.everyday), format!(" {} ", phrases.everyday));
        }
    }

    #[test]
    fn what_takes_something_has_a_place_for_it() {
        for language in Language::ALL {
            let phrases = language.phrases();
            for template in [
                phrases.introduction,
                phrases.what_i_am,
                phrases.hello_you,
                phrases.ask_about,
                phrases.says,
                phrases.follows,
                phrases.nothing_fits,
                phrases.you_wrote,
                phrases.notes,
                phrases.facts_known,
                phrases.noted,
                phrases.known_already,
                phrases.dropped,
                phrases.person,
                phrases.hours,
                phrases.sent.location,
                phrases.sent.order,
                phrases.sent.voice_of,
                phrases.sent.contacts,
            ] {
                assert_eq!(template.matches("{}").count(), 1, "{template}");
            }
        }
    }
}
