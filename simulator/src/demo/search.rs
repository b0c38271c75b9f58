//! What of all that the business says fits a question best: by the words they have in common, rare ones counting more.

use super::{
    phrases::Phrases,
    prompt::Passage,
    text::{akin, sentences, shortened, spaced, words},
};

/// Units of what is quoted of one passage.
const QUOTE_MOST: usize = 600;
/// Of the telling words of a question at least this share must be found: one in so many.
const FOUND_OF: usize = 5;
/// Sentences that are compared.
const SENTENCES_MOST: usize = 600;
/// Telling words of a question that are compared.
const WORDS_MOST: usize = 40;
/// What an amount is worth to a question for one.
const AMOUNT_WORTH: f64 = 0.5;

/// A sentence of the business with the words that it is found by.
struct Candidate {
    text: String,
    words: Vec<String>,
}

/// The sentence that fits a question best; none where nothing fits.
pub(super) fn best(passages: &[Passage], question: &str, phrases: &Phrases) -> Option<String> {
    let mut asked = phrases.telling(question);
    asked.dedup();
    asked.truncate(WORDS_MOST);
    let spoken = spaced(question);
    // Some of these words have another meaning where they stand alone.
    let is_sentence = words(question).len() > 1;
    let asks_price = is_sentence && phrases.asks_price.iter().any(|word| spoken.contains(&format!(" {word} ")));
    let candidates = candidates(passages, phrases);
    let worths: Vec<f64> = asked.iter().map(|word| worth(word, &candidates)).collect();
    let mut best: Option<(f64, &Candidate)> = None;
    for candidate in &candidates {
        let has = |word: &&String| candidate.words.iter().any(|known| akin(known, word));
        let found = asked.iter().filter(has).count();
        let sum: f64 = asked.iter().zip(&worths).filter(|(word, _)| has(word)).map(|(_, worth)| worth).sum();
        let has_amount = asks_price && names_amount(&candidate.text);
        let fits = found > 0 && found * FOUND_OF >= asked.len() || (asked.is_empty() && has_amount);
        let score = sum + if has_amount { AMOUNT_WORTH } else { 0.0 };
        if fits && best.is_none_or(|(most, _)| score > most) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| shortened(&candidate.text, QUOTE_MOST))
}

/// All of a passage, as it is quoted.
pub(super) fn whole(passage: &Passage) -> String {
    shortened(&passage.text, QUOTE_MOST)
}

fn candidates(passages: &[Passage], phrases: &Phrases) -> Vec<Candidate> {
    let all = passages.iter().flat_map(|passage| {
        let title = phrases.telling(passage.title.as_deref().unwrap_or_default());
        sentences(&passage.text).into_iter().map(move |text| (text, title.clone()))
    });
    all.take(SENTENCES_MOST)
        .map(|(text, title)| {
            let words = phrases.telling(&text).into_iter().chain(title).collect();
            Candidate { text, words }
        })
        .collect()
}

/// The fewer sentences have a word, the more it says.
fn worth(word: &str, candidates: &[Candidate]) -> f64 {
    let having = candidates.iter().filter(|candidate| candidate.words.iter().any(|known| akin(known, word))).count();
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    1.0 + (count(candidates.len()) / count(having.max(1))).max(1.0).ln()
}

fn names_amount(text: &str) -> bool {
    let has_currency = text.contains(['€', '$', '£'])
        || words(text).iter().any(|word| matches!(word.as_str(), "eur" | "euro" | "euros" | "usd" | "gbp"));
    has_currency && text.contains(|sign: char| sign.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::phrases::Language;

    fn passages() -> Vec<Passage> {
        let passage =
            |title: Option<&str>, text: &str| Passage { title: title.map(str::to_owned), text: text.to_owned() };
        vec![
            passage(Some("Deposit"), "50 EUR for each bike. You get it back with the bike."),
            passage(Some("Routes"), "The harbour loop has 14 km and is flat. The lighthouse is 9 km away."),
            passage(None, "City bikes cost 18 EUR a day, helmets are free."),
            passage(None, "The owner is called Kim."),
        ]
    }

    #[test]
    fn the_best_sentence_is_found_by_its_rare_words_its_title_and_amounts() {
        for (question, expected) in [
            ("And do you have helmets?", "City bikes"),
            ("How much is the deposit?", "50 EUR"),
            ("How far is the lighthouse?", "The lighthouse"),
            ("Which routes are there?", "The harbour loop"),
            ("How much is a bike for a day?", "City bikes"),
            ("How much is it?", "50 EUR"),
        ] {
            let found = best(&passages(), question, Language::English.phrases()).expect("it is there");
            assert!(found.starts_with(expected), "{question}: {found}");
        }
    }

    #[test]
    fn what_the_business_says_nothing_about_is_not_answered() {
        for question in ["What is the capital of France?", "And you?", "", "zebra yak gnu emu elk bike"] {
            assert_eq!(best(&passages(), question, Language::English.phrases()), None, "{question}");
        }
    }
}
