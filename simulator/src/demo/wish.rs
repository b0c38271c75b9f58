//! What a sentence wants, by the words in it. A customer may write another language than the business, so each is
//! looked for in all of them.

use super::{
    phrases::{FactForm, Language, Phrases},
    text::{fold, spaced},
};

/// Characters of a fact.
const FACT_MOST: usize = 160;

/// What some words always mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    WhatAreYou,
    WhatDidISay,
    WhatDoYouKnow,
    Person,
    Menu,
    Hours,
    Where,
    /// Like [`Trigger::Menu`], but only where nothing else is said.
    Topics,
    Hello,
    Thanks,
    Bye,
}

impl Trigger {
    /// Beside something to answer these words are a courtesy, or part of a question.
    fn counts_alone_only(self) -> bool {
        match self {
            Self::Topics | Self::Hello | Self::Thanks | Self::Bye => true,
            Self::WhatAreYou | Self::WhatDidISay | Self::WhatDoYouKnow => false,
            Self::Person | Self::Menu | Self::Hours | Self::Where => false,
        }
    }

    /// Words of a question about the customer, which tell nothing about them.
    fn asks_back(self) -> bool {
        matches!(self, Self::WhatAreYou | Self::WhatDidISay | Self::WhatDoYouKnow)
    }
}

/// A fact that was told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// What is to be noted.
    pub(super) text: String,
    /// Its form; none where it is noted as it was said.
    pub(super) form: Option<&'static FactForm>,
}

/// What a customer wants.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    Simple(Trigger),
    Learn(Told),
    /// What is to be dropped.
    Forget(String),
    /// Anything else.
    Ask(String),
}

/// What a sentence wants; at least one thing.
pub(super) fn wishes(sentence: &str, language: Language) -> Vec<Wish> {
    let others = Language::ALL.into_iter().filter(|other| *other != language);
    let tables: Vec<&'static Phrases> = [language].into_iter().chain(others).map(Language::phrases).collect();
    if let Some(kept) = tables.iter().find_map(|phrases| behind(sentence, phrases.remember)) {
        let facts = told(&kept, &tables);
        let as_said = || vec![Told { text: bounded(&kept), form: None }];
        return if facts.is_empty() { as_said() } else { facts }.into_iter().map(Wish::Learn).collect();
    }
    if let Some(dropped) = tables.iter().find_map(|phrases| behind(sentence, phrases.forget)) {
        return vec![Wish::Forget(bounded(&dropped))];
    }
    let trigger = tables.iter().find_map(|phrases| trigger(sentence, phrases));
    let mut wishes: Vec<Wish> = Vec::new();
    if !trigger.is_some_and(Trigger::asks_back) {
        let is_question = sentence.ends_with('?');
        let facts = told(sentence, &tables).into_iter();
        let facts = facts.filter(|fact| !is_question || fact.form.is_some_and(|form| form.is_single));
        wishes.extend(facts.map(Wish::Learn));
    }
    match trigger {
        Some(trigger) => wishes.push(Wish::Simple(trigger)),
        None if wishes.is_empty() || sentence.ends_with('?') => wishes.push(Wish::Ask(sentence.to_owned())),
        None => {}
    }
    wishes
}

fn trigger(sentence: &str, phrases: &Phrases) -> Option<Trigger> {
    let written = spaced(sentence);
    let says = |phrase: &&&str| written.contains(&format!(" {phrase} "));
    let found = phrases.triggers.iter().filter_map(|(trigger, known)| Some((*trigger, known.iter().find(says)?)));
    let is_alone = |phrase: &str| phrases.telling(&written.replacen(phrase, " ", 1)).is_empty();
    found.into_iter().find(|(trigger, phrase)| !trigger.counts_alone_only() || is_alone(phrase)).map(|(found, _)| found)
}

/// The facts that a sentence tells, in their order; each ends where the next begins.
fn told(sentence: &str, tables: &[&'static Phrases]) -> Vec<Told> {
    let forms = tables.iter().flat_map(|phrases| phrases.facts);
    let mut found: Vec<(usize, usize, &'static FactForm)> = forms
        .flat_map(|form| form.told.iter().filter_map(move |phrase| find(sentence, phrase).map(|at| (at, phrase, form))))
        .map(|(at, phrase, form)| (at, at + phrase.chars().count(), form))
        .collect();
    found.sort_by_key(|(at, ..)| *at);
    let ends = found.iter().skip(1).map(|(at, ..)| *at).chain([usize::MAX]).collect::<Vec<_>>();
    let told = found.into_iter().zip(ends).filter_map(|((_, from, form), to)| {
        let value: String = sentence.chars().take(to).skip(from).collect();
        let value = if form.is_single { value.split([',', ';']).next().unwrap_or_default() } else { &value };
        let value = without_joint(value);
        (!value.is_empty() || !form.noted.contains("{}"))
            .then(|| Told { text: form.noted.replacen("{}", &bounded(value), 1), form: Some(form) })
    });
    told.collect()
}

/// Without what only led to the next fact, and without the end of the sentence.
fn without_joint(value: &str) -> &str {
    let value = value.trim().trim_end_matches(|sign: char| !sign.is_alphanumeric() && sign != ')');
    let joints = Language::ALL.into_iter().map(|language| language.phrases().and);
    let cut = joints.into_iter().find_map(|joint| value.strip_suffix(joint)?.strip_suffix(' '));
    cut.unwrap_or(value).trim_end_matches([',', ' '])
}

/// What stands behind the first of these phrases that a sentence has; none where that is nothing.
fn behind(sentence: &str, phrases: &[&str]) -> Option<String> {
    let (at, phrase) = phrases.iter().find_map(|phrase| Some((find(sentence, phrase)?, phrase)))?;
    let rest: String = sentence.chars().skip(at + phrase.chars().count()).collect();
    let rest = rest.trim_matches(|sign: char| !sign.is_alphanumeric());
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// At which character a phrase stands, as whole words.
fn find(sentence: &str, phrase: &str) -> Option<usize> {
    let folded: Vec<char> = sentence.chars().map(fold).collect();
    let phrase: Vec<char> = phrase.chars().collect();
    let is_word = |at: Option<usize>| at.and_then(|at| folded.get(at)).is_some_and(|sign| sign.is_alphanumeric());
    let mut windows = folded.windows(phrase.len().max(1)).enumerate();
    windows.find_map(|(at, window)| {
        let is_whole = !is_word(at.checked_sub(1)) && !is_word(Some(at + phrase.len()));
        (window == phrase && is_whole).then_some(at)
    })
}

fn bounded(text: &str) -> String {
    text.chars().take(FACT_MOST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sentence: &str, language: Language) -> Vec<String> {
        let show = |wish| match wish {
            Wish::Simple(trigger) => format!("{trigger:?}"),
            Wish::Learn(told) => format!("+{}", told.text),
            Wish::Forget(text) => format!("-{text}"),
            Wish::Ask(_) => "?".to_owned(),
        };
        wishes(sentence, language).into_iter().map(show).collect()
    }

    #[test]
    fn english_wishes_are_recognised() {
        for (sentence, expected) in [
            ("Are you a bot?", "WhatAreYou"),
            ("What did I say before?", "WhatDidISay"),
            ("what do you know about me", "WhatDoYouKnow"),
            ("I want to talk to a human!", "Person"),
            ("Menu", "Menu"),
            ("Prices?", "Topics"),
            ("Help", "Topics"),
            ("Where are you?", "Where"),
            ("Are you open on Sunday?", "Hours"),
            ("Hi!", "Hello"),
            ("Thank you very much", "Thanks"),
            ("Hi, do you have helmets?", "?"),
            ("Can you help with a flat tyre?", "?"),
            ("You can call me Bo.", "+is called Bo"),
            ("I'm vegan, by the way", "+is vegan"),
            ("Cool, thank you!", "Thanks"),
            ("Please remember: my dog bites", "+my dog bites"),
            ("Don’t forget that I live in Delft.", "+lives in Delft"),
            ("Forget that I live in Delft", "-I live in Delft"),
            ("What do I like?", "?"),
            ("I would like two bikes", "?"),
        ] {
            assert_eq!(shown(sentence, Language::English), [expected], "{sentence}");
        }
    }

    #[test]
    fn spanish_wishes_are_recognised_whatever_the_business_speaks() {
        for (sentence, expected) in [
            ("¿Eres un bot?", "WhatAreYou"),
            ("¿Qué te dije?", "WhatDidISay"),
            ("¿Cómo me llamo?", "WhatDoYouKnow"),
            ("Quiero hablar con una persona", "Person"),
            ("¿Dónde estáis?", "Where"),
            ("¿Abrís el domingo?", "Hours"),
            ("Soy alérgica a los frutos secos.", "+tiene alergia a los frutos secos"),
            ("Recuerda que soy zurdo", "+soy zurdo"),
            ("Olvida que vivo en Lugo", "-vivo en Lugo"),
        ] {
            assert_eq!(shown(sentence, Language::Spanish), [expected], "{sentence}");
            assert_eq!(shown(sentence, Language::English), [expected], "{sentence}");
        }
    }

    #[test]
    fn a_sentence_may_tell_several_things_and_ask_one() {
        let both = shown("My name is Robin and I am allergic to nuts and milk.", Language::English);
        assert_eq!(both, ["+is called Robin", "+is allergic to nuts and milk"]);
        assert_eq!(shown("My name is Ana, where are you?", Language::English), ["+is called Ana", "Where"]);
        assert_eq!(shown("My name is Ana, do you have tea?", Language::English), ["+is called Ana", "?"]);
        assert_eq!(shown("Me llamo Ana y vivo en Lugo", Language::Spanish), ["+se llama Ana", "+vive en Lugo"]);
    }
}
