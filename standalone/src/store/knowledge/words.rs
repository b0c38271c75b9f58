//! The words of a text as they are compared: without case and marks, and by their stems where the language is known.

use std::collections::HashSet;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::ignored::ignored;

/// The words of a text, as they stand there.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    // Vowel signs of Hindi are marks, and parts of words.
    text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c)).filter(|word| !word.is_empty())
}

/// By which rules words of a language are the same.
pub(super) struct Rules {
    /// None: word for word.
    stemmer: Option<Stemmer>,
    ignored: HashSet<String>,
}

impl Rules {
    /// Those of a language, by MongoDB's name.
    pub(super) fn of(language: &str) -> Self {
        let ignored = ignored(language).split(' ').map(plain).collect();
        Self { stemmer: algorithm(language).map(Stemmer::create), ignored }
    }

    /// What all forms of a word have in common; none where it is in every text.
    pub(super) fn stem(&self, word: &str) -> Option<String> {
        let word = word.nfc().collect::<String>().to_lowercase();
        if self.ignored.contains(&plain(&word)) {
            return None;
        }
        // Stemmers know the marks of their language.
        Some(self.stemmer.as_ref().map_or_else(|| plain(&word), |stemmer| plain(&stemmer.stem(&word))))
    }
}

fn algorithm(language: &str) -> Option<Algorithm> {
    Some(match language {
        "danish" => Algorithm::Danish,
        "dutch" => Algorithm::Dutch,
        "english" => Algorithm::English,
        "finnish" => Algorithm::Finnish,
        "french" => Algorithm::French,
        "german" => Algorithm::German,
        "hungarian" => Algorithm::Hungarian,
        "italian" => Algorithm::Italian,
        "norwegian" => Algorithm::Norwegian,
        "portuguese" => Algorithm::Portuguese,
        "romanian" => Algorithm::Romanian,
        "russian" => Algorithm::Russian,
        "spanish" => Algorithm::Spanish,
        "swedish" => Algorithm::Swedish,
        "turkish" => Algorithm::Turkish,
        _ => return None,
    })
}

/// A word in small letters without its marks, as people write it who are in a hurry or have another keyboard.
fn plain(word: &str) -> String {
    let letter = |c| match c {
        'ı' => 'i',
        'ł' => 'l',
        'ø' => 'o',
        'đ' => 'd',
        c => c,
    };
    word.nfd().filter(|c| !is_left_out(*c)).map(letter).collect()
}

/// Accents, and the vowel points of Hebrew and Arabic. Marks of other scripts are letters.
fn is_left_out(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use worker::store::stemmed_language;

    use super::*;

    const CODES: &[&str] = &["da", "nl", "en", "fi", "fr", "de", "hu", "it", "no", "pt", "ro", "ru", "es", "sv", "tr"];

    fn stems(language: &str, text: &str) -> String {
        let rules = Rules::of(language);
        words(text).filter_map(|word| rules.stem(word)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn forms_of_a_word_have_one_stem_and_words_of_every_text_have_none() {
        assert_eq!(
            stems("english", "Are the BIKES rented?"),
            stems("english", "rent a bike").replace("rent bike", "bike rent")
        );
        assert_eq!(stems("german", "Habt ihr Öffnungszeiten?"), stems("german", "die offnungszeit"));
        assert_eq!(stems("german", "O\u{308}ffnungszeiten"), stems("german", "Öffnungszeiten"));
        assert_eq!(stems("french", "Où est l’entrée ?"), "entre");
        assert_eq!(stems("spanish", "¿Qué más hay?"), "");
        assert_eq!(stems("none", "The “Café”–menu"), "the cafe menu");
        assert_eq!(stems("none", "नमस्ते"), "नमस्ते");
        assert_eq!(stems("none", "Żółw ŁÓDŹ"), "zolw lodz");
    }

    #[test]
    fn every_language_that_has_stems_has_them_here() {
        for code in CODES {
            let language = stemmed_language(code).expect("it is stemmed");
            assert!(algorithm(language).is_some() && !ignored(language).is_empty(), "{language}");
        }
        assert!(algorithm("none").is_none() && ignored("none").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_that_customers_write_is_too_much_for_a_stemmer(text in "\\PC{0,40}|[a-zäöüßéèçñığşőæøåа-яё'’]{0,20}") {
            for code in CODES {
                stems(stemmed_language(code).expect("it is stemmed"), &text);
            }
        }
    }
}
