//! What the demo offers besides words: a person, choices to tap, opening hours, places on the map.

use serde_json::json;

use super::{
    answers::{Answers, Call, Piece},
    phrases::Phrases,
    text::{akin, fill, words},
    topics,
};

/// Places that are shown at once (as many as the tool takes).
const PLACES_MOST: usize = 3;

impl Answers<'_> {
    pub(super) fn hand_over(&self) -> Piece {
        let phrases = self.phrases;
        let done = fill(phrases.person, self.business());
        Piece::Call(Call {
            tool: "hand_over_to_human",
            arguments: json!({ "reason": phrases.person_why }),
            // The worker may do it by itself, for a keyword of the business.
            failed: if self.prompt.person_comes { done.clone() } else { phrases.no_person.to_owned() },
            needless: done.clone(),
            done,
            coda: "",
        })
    }

    pub(super) fn menu(&self) -> Piece {
        let in_words = format!("{}.", self.ask_about());
        if self.topics.is_empty() {
            return Piece::Say(in_words);
        }
        let arguments = topics::choices(&self.topics, self.phrases);
        // The question stands above the choices.
        let done = String::new();
        Piece::Call(Call { tool: "offer_choices", arguments, needless: done.clone(), done, failed: in_words, coda: "" })
    }

    pub(super) fn hours(&self) -> String {
        let phrases = self.phrases;
        let Some(hours) = &self.prompt.hours else { return self.look_up(phrases.topic_hours) };
        let state = if hours.open_now { phrases.open } else { phrases.closed };
        format!("{state} {}", fill(phrases.hours, &week(&hours.week, phrases)))
    }

    /// The places that were asked for by name, or all. Where something else is, the business may have said.
    pub(super) fn places(&self) -> Vec<Piece> {
        let phrases = self.phrases;
        let written = self.chat.written().next().unwrap_or_default();
        let asked = phrases.telling(written);
        let names = |place: &&String| words(place).iter().any(|word| asked.iter().any(|asked| akin(word, asked)));
        let mut places: Vec<&String> = self.chat.places.iter().filter(names).collect();
        if places.is_empty() {
            let quote = self.find(written).filter(|_| !asked.is_empty());
            if let Some(quote) = quote {
                return vec![Piece::Say(self.says(&quote))];
            }
            places = self.chat.places.iter().collect();
        }
        if places.is_empty() {
            return vec![Piece::Say(phrases.no_place.to_owned())];
        }
        let calls = places.into_iter().take(PLACES_MOST).map(|place| {
            let (done, needless, failed) = (String::new(), String::new(), phrases.no_place.to_owned());
            let arguments = json!({ "name": place });
            Piece::Call(Call { tool: "send_location", arguments, done, needless, failed, coda: phrases.place })
        });
        calls.collect()
    }
}

/// A week of opening hours in the words of a language.
pub(super) fn week(week: &str, phrases: &Phrases) -> String {
    phrases.week.iter().fold(week.to_owned(), |week, (english, own)| week.replace(english, own))
}
