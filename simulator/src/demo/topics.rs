//! What a customer can be offered to talk about: titles of what the business says, and what the demo can do besides.

use serde_json::{Value, json};

use super::{
    chat::Chat,
    phrases::Phrases,
    prompt::{Passage, Prompt},
    text::{sentences, shortened, spaced},
    wish::Trigger,
};

/// UTF-16 units of a choice's title and of its description (Meta, "Interactive list messages").
const TITLE_UNITS: usize = 20;
const DESCRIPTION_UNITS: usize = 72;
/// Choices of the business's own; with the demo's four there are ten at most.
const OWN_MOST: usize = 6;
/// Topics that are named in a sentence.
const NAMED_MOST: usize = 3;

/// One thing to talk about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) title: String,
    description: String,
}

/// All topics, the business's own first.
pub(super) fn topics(chat: &Chat, prompt: &Prompt, phrases: &Phrases) -> Vec<Topic> {
    let mut topics: Vec<Topic> = Vec::new();
    // The beginning of a sentence is a poor title, and better than none.
    let passages = sources(prompt);
    let has_titles = passages.iter().any(|passage| passage.title.is_some());
    let passages = passages.iter().filter(|passage| passage.title.is_some() == has_titles);
    for topic in passages.filter_map(topic) {
        if topics.len() < OWN_MOST && !topics.iter().any(|other| same(&other.title, &topic.title)) {
            topics.push(topic);
        }
    }
    let week =
        prompt.hours.as_ref().map(|hours| shortened(&super::offers::week(&hours.week, phrases), DESCRIPTION_UNITS));
    let built_in = [
        week.map(|week| (phrases.topic_hours, week)),
        chat.may_call("send_location")
            .then(|| (phrases.topic_place, shortened(&chat.places.join(", "), DESCRIPTION_UNITS))),
        chat.may_call("remember").then(|| (phrases.topic_facts, String::new())),
        chat.may_call("hand_over_to_human").then(|| (phrases.topic_person, String::new())),
    ];
    let built_in =
        built_in.into_iter().flatten().map(|(title, description)| Topic { title: title.to_owned(), description });
    for topic in built_in {
        topics.retain(|own| !same(&own.title, &topic.title));
        topics.push(topic);
    }
    topics
}

/// The titles of a few topics, for a sentence; what the business is about comes first.
pub(super) fn named(topics: &[Topic], phrases: &Phrases) -> String {
    let built_in = [phrases.topic_facts, phrases.topic_person];
    let titles = topics.iter().map(|topic| topic.title.as_str()).filter(|title| !built_in.contains(title));
    phrases.list(titles.take(NAMED_MOST), phrases.or)
}

/// The arguments of `offer_choices`.
pub(super) fn choices(topics: &[Topic], phrases: &Phrases) -> Value {
    let choices = topics.iter().map(|topic| match topic.description.as_str() {
        "" => json!({ "title": topic.title }),
        description => json!({ "title": topic.title, "description": description }),
    });
    json!({ "text": phrases.which, "button": phrases.which_button, "choices": choices.collect::<Vec<_>>() })
}

/// What a chosen title asks for, where it is one of the demo's own.
pub(super) fn trigger(title: &str, phrases: &Phrases) -> Option<Trigger> {
    let built_in = [
        (phrases.topic_hours, Trigger::Hours),
        (phrases.topic_place, Trigger::Where),
        (phrases.topic_facts, Trigger::WhatDoYouKnow),
        (phrases.topic_person, Trigger::Person),
    ];
    built_in.into_iter().find(|(built_in, _)| same(built_in, title)).map(|(_, trigger)| trigger)
}

/// What a chosen title stands for, where it is one of the business's own.
pub(super) fn passage<'a>(title: &str, prompt: &'a Prompt) -> Option<&'a Passage> {
    sources(prompt).iter().find(|passage| topic(passage).is_some_and(|topic| same(&topic.title, title)))
}

fn sources(prompt: &Prompt) -> &[Passage] {
    if prompt.passages.is_empty() { &prompt.instructions } else { &prompt.passages }
}

fn topic(passage: &Passage) -> Option<Topic> {
    let first = sentences(&passage.text).into_iter().next()?;
    // A text that was loaded has the titles above it, too: `Menu › Tea`.
    let title = passage.title.as_deref().and_then(|title| title.rsplit('›').next()).unwrap_or(&first);
    let title = shortened(title.trim().trim_end_matches('.'), TITLE_UNITS);
    (!title.is_empty()).then(|| Topic { title, description: shortened(&first, DESCRIPTION_UNITS) })
}

fn same(one: &str, other: &str) -> bool {
    one == other || (spaced(one) == spaced(other) && !spaced(one).trim().is_empty())
}
