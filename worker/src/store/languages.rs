//! The languages whose words MongoDB brings back to their stems, and the words that people write for them.
//!
//! What is not among them is searched word for word: an index refuses a document whose language it does not know.

/// MongoDB's name, its codes, and its own name (MongoDB, "Text Search Languages on Self-Managed Deployments").
const STEMMED: &[(&str, &[&str], &[&str])] = &[
    ("danish", &["da"], &["dansk"]),
    ("dutch", &["nl"], &["nederlands"]),
    ("english", &["en"], &[]),
    ("finnish", &["fi"], &["suomi"]),
    ("french", &["fr"], &["français", "francais"]),
    ("german", &["de"], &["deutsch"]),
    ("hungarian", &["hu"], &["magyar"]),
    ("italian", &["it"], &["italiano"]),
    ("norwegian", &["nb", "nn", "no"], &["norsk", "bokmål", "bokmal", "nynorsk"]),
    ("portuguese", &["pt"], &["português", "portugues"]),
    ("romanian", &["ro"], &["română", "romana"]),
    ("russian", &["ru"], &["русский"]),
    ("spanish", &["es"], &["español", "espanol", "castellano"]),
    ("swedish", &["sv"], &["svenska"]),
    ("turkish", &["tr"], &["türkçe", "turkce"]),
];

/// MongoDB's word for texts whose words are not changed.
pub(super) const NONE: &str = "none";

/// MongoDB's name of a language that it stems: of `de`, `pt-BR`, `German`, `Deutsch` or `Swiss German, informal`. None
/// where the text names another, or several.
pub fn stemmed_language(text: &str) -> Option<&'static str> {
    let text = text.trim().to_lowercase();
    let code = text.split(['-', '_']).next().unwrap_or_default();
    let of_code = STEMMED.iter().find(|(_, codes, _)| codes.contains(&code));
    if let Some((name, _, _)) = of_code {
        return Some(name);
    }
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    let is_named = |name: &str, own: &[&str]| words.iter().any(|word| *word == name || own.contains(word));
    let mut named = STEMMED.iter().filter(|(name, _, own)| is_named(name, own));
    match (named.next(), named.next()) {
        (Some((name, _, _)), None) => Some(name),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

/// The English name of the language that a text is written in, where that is beyond doubt.
pub fn recognised_language(text: &str) -> Option<&'static str> {
    whatlang::detect(text).filter(whatlang::Info::is_reliable).map(|info| info.lang().eng_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_known_by_what_people_call_them() {
        for text in ["de", "DE", "de-AT", "de_CH", "German", "Deutsch", "Swiss German, informal", " german "] {
            assert_eq!(stemmed_language(text), Some("german"), "{text}");
        }
        assert_eq!(stemmed_language("pt-BR"), Some("portuguese"));
        assert_eq!(stemmed_language("Español"), Some("spanish"));
    }

    #[test]
    fn the_language_of_a_text_is_recognised_where_it_is_beyond_doubt() {
        let of = |text| recognised_language(text).and_then(stemmed_language);
        let german = "Wir haben von Dienstag bis Sonntag geöffnet, und am Montag ist unser Café geschlossen.";
        assert_eq!(of(german), Some("german"));
        let english = "We are open from Tuesday to Sunday, and on Mondays our café is closed the whole day long.";
        assert_eq!(of(english), Some("english"));
        let polish = "Jesteśmy otwarci od wtorku do niedzieli, a w poniedziałki nasza kawiarnia jest zamknięta.";
        assert_eq!((recognised_language(polish), of(polish)), (Some("Polish"), None));
        assert_eq!([of(""), of("123"), of("Menu")], [None; 3]);
        let names = whatlang::Lang::all().iter().filter_map(|language| stemmed_language(language.eng_name()));
        assert_eq!(names.count(), STEMMED.len(), "each of them can be recognised");
    }

    #[test]
    fn an_unknown_language_and_more_than_one_are_searched_word_for_word() {
        for text in ["", "auto", "ja", "Polish", "German or English", "Answer it, no jokes", "Inglés"] {
            assert_eq!(stemmed_language(text), None, "{text}");
        }
    }
}
