//! Which passages fit a question best: Okapi BM25, with words of the title counting more.
//!
//! A word that few of the business's passages have tells most. The more often it is in one, the better, but ever less so;
//! and in a long one it tells less than in a short one.

use std::collections::HashMap;

use worker::{companion::knowledge::Passage, store::TITLE_WEIGHT};

use super::words::{Rules, words};

/// How soon it tells nothing more that a word is in a passage once more.
const SATURATION: f64 = 1.2;
/// How much the length of a passage counts, from 0 to 1.
const LENGTH_COUNTS: f64 = 0.5;

/// A passage, by the rules of whose language it is searched.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) source: String,
    pub(super) language: String,
    pub(super) passage: Passage,
}

/// How well each passage fits a question, in their order; zero where no word of the question is in it.
pub(super) fn scores(question: &[String], candidates: &[Candidate]) -> Vec<f64> {
    let mut readers = HashMap::<&str, Reader>::new();
    let seen: Vec<Seen> = candidates
        .iter()
        .map(|Candidate { language, passage, .. }| {
            readers.entry(language).or_insert_with(|| Reader::new(language, question)).read(passage)
        })
        .collect();
    let count = number(candidates.len());
    let average = (seen.iter().map(|seen| seen.length).sum::<f64>() / count).max(1.0);
    let score = |(candidate, seen): (&Candidate, &Seen)| {
        let Some(reader) = readers.get(candidate.language.as_str()) else { return 0.0 };
        let relative_length = 1.0 - LENGTH_COUNTS + LENGTH_COUNTS * seen.length / average;
        let worth = |(word, often): (&usize, &f64)| {
            let rarity = reader.passages_with.get(word).map_or(0.0, |with| rarity(count, *with));
            rarity * often * (SATURATION + 1.0) / (often + SATURATION * relative_length)
        };
        seen.found.iter().map(worth).sum()
    };
    candidates.iter().zip(&seen).map(score).collect()
}

/// More than nothing also where every passage has the word.
fn rarity(passages: f64, with: f64) -> f64 {
    ((passages - with + 0.5) / (with + 0.5)).ln_1p()
}

/// What of a question is in a passage.
struct Seen {
    /// By the place of the word in the question, how often it is there.
    found: HashMap<usize, f64>,
    /// In words.
    length: f64,
}

/// Looks for the words of a question in the passages of one language.
struct Reader {
    rules: Rules,
    /// The place of each stem in the question.
    sought: HashMap<String, usize>,
    /// Words that were met: how they are written, and what they are.
    met: HashMap<String, Met>,
    /// In how many passages each word of the question is.
    passages_with: HashMap<usize, f64>,
}

#[derive(Clone, Copy)]
enum Met {
    Ignored,
    Other,
    Sought(usize),
}

impl Reader {
    fn new(language: &str, question: &[String]) -> Self {
        let rules = Rules::of(language);
        let mut sought = HashMap::new();
        for stem in question.iter().flat_map(|word| words(word)).filter_map(|word| rules.stem(word)) {
            let place = sought.len();
            sought.entry(stem).or_insert(place);
        }
        Self { rules, sought, met: HashMap::new(), passages_with: HashMap::new() }
    }

    fn read(&mut self, passage: &Passage) -> Seen {
        let mut seen = Seen { found: HashMap::new(), length: 0.0 };
        for (text, weight) in [(&passage.title, f64::from(TITLE_WEIGHT)), (&passage.text, 1.0)] {
            for word in words(text) {
                match self.meet(word) {
                    Met::Ignored => continue,
                    Met::Other => {}
                    Met::Sought(place) => *seen.found.entry(place).or_default() += weight,
                }
                seen.length += 1.0;
            }
        }
        for place in seen.found.keys() {
            *self.passages_with.entry(*place).or_default() += 1.0;
        }
        seen
    }

    fn meet(&mut self, word: &str) -> Met {
        if let Some(met) = self.met.get(word) {
            return *met;
        }
        let met = match self.rules.stem(word) {
            None => Met::Ignored,
            Some(stem) => self.sought.get(&stem).map_or(Met::Other, |place| Met::Sought(*place)),
        };
        self.met.insert(word.to_owned(), met);
        met
    }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(question: &str, passages: &[(&str, &str, &str)]) -> Vec<usize> {
        let question: Vec<String> = question.split(' ').map(str::to_owned).collect();
        let candidate = |(language, title, text): &(&str, &str, &str)| Candidate {
            source: "faq.md".to_owned(),
            language: (*language).to_owned(),
            passage: Passage { title: (*title).to_owned(), text: (*text).to_owned() },
        };
        let scores = scores(&question, &passages.iter().map(candidate).collect::<Vec<_>>());
        let mut places: Vec<usize> = (0..scores.len()).filter(|place| scores[*place] > 0.0).collect();
        places.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        places
    }

    #[test]
    fn a_rare_word_tells_more_than_one_that_is_everywhere() {
        let passages = [
            ("english", "", "bread bread bread bread and butter"),
            ("english", "", "bread and a croissant"),
            ("english", "", "bread and jam"),
            ("english", "", "nothing of it"),
        ];
        assert_eq!(ranked("bread croissant", &passages)[0], 1);
        assert_eq!(ranked("breads", &passages)[0], 0, "more often is better");
        assert_eq!(ranked("bread", &passages).len(), 3);
    }

    #[test]
    fn a_title_and_a_short_text_tell_more() {
        let long = "bikes ".to_owned() + &"and much more than that ".repeat(40);
        let passages =
            [("english", "", long.as_str()), ("english", "", "bikes for all"), ("english", "Bikes", "for all")];
        assert_eq!(ranked("bike", &passages), [2, 1, 0]);
    }

    #[test]
    fn each_language_is_searched_by_its_own_rules_and_the_rest_word_for_word() {
        let passages = [
            ("german", "", "die Torten"),
            ("english", "", "the tortes"),
            ("none", "", "torte"),
            ("none", "", "torten"),
        ];
        let mut found = ranked("torten", &passages);
        found.sort_unstable();
        assert_eq!(found, [0, 3]);
        assert_eq!(ranked("die", &passages), [0; 0], "German");
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        assert_eq!(ranked("bread", &[]), [0; 0]);
        assert_eq!(ranked("bread", &[("none", "", ""), ("english", "the", "a")]), [0; 0]);
    }
}
