//! Words as rules need them: folded, cut into sentences, shortened. Nothing here depends on a language.

/// Sentences of one text that are looked at.
const SENTENCES_MOST: usize = 400;
/// Letters that two words of one family have in common at their beginning.
const FAMILY: usize = 5;

/// The same sign in lower case and without its accent: one for one, so that places in a text stay where they are.
pub(super) fn fold(sign: char) -> char {
    match sign.to_lowercase().next().unwrap_or(sign) {
        'á' | 'à' | 'â' | 'ä' | 'ã' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        '’' | '‘' => '\'',
        other => other,
    }
}

/// The words of a text, folded; an apostrophe stays inside its word.
pub(super) fn words(text: &str) -> Vec<String> {
    let folded: String = text.chars().map(fold).collect();
    let pieces = folded.split(|sign: char| !sign.is_alphanumeric() && sign != '\'');
    let pieces = pieces.map(|piece| piece.trim_matches('\'')).filter(|piece| !piece.is_empty());
    pieces.map(str::to_owned).collect()
}

/// A text as its folded words with a space around each, in which a phrase is found as whole words.
pub(super) fn spaced(text: &str) -> String {
    format!(" {} ", words(text).join(" "))
}

/// Whether two folded words are of one family: the same but for an ending.
pub(super) fn akin(one: &str, other: &str) -> bool {
    let (one, other) = (stem(one), stem(other));
    if one == other {
        return true;
    }
    let alike = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    alike >= FAMILY && one.chars().all(char::is_alphabetic)
}

fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").unwrap_or(word);
    word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word)
}

/// The sentences of a text, a line break ending one too. A point within a number ends none.
pub(super) fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut sentence = String::new();
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        let is_last = signs.peek().is_none_or(|next| next.is_whitespace());
        if sign != '\n' {
            sentence.push(sign);
        }
        if sign == '\n' || (is_last && matches!(sign, '.' | '!' | '?' | '…')) {
            sentences.push(std::mem::take(&mut sentence));
        }
        if sentences.len() == SENTENCES_MOST {
            break;
        }
    }
    sentences.push(sentence);
    let trimmed = sentences.iter().map(|sentence| sentence.trim());
    trimmed.filter(|sentence| sentence.chars().any(char::is_alphanumeric)).map(str::to_owned).collect()
}

/// At most so many UTF-16 units, as WhatsApp counts, cut between words and with an ellipsis where something is left
/// out.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if units(&flat) <= most {
        return flat;
    }
    let mut short = String::new();
    for word in flat.split(' ') {
        let needed = units(&short) + usize::from(!short.is_empty()) + units(word) + 1;
        if needed > most {
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    if short.is_empty() {
        let mut room = most.saturating_sub(1);
        short.extend(flat.chars().take_while(|sign| {
            let fits = sign.len_utf16() <= room;
            room = room.saturating_sub(sign.len_utf16());
            fits
        }));
    }
    short.push('…');
    short
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A text with what belongs in its place. What is put in is not looked at again.
pub(super) fn fill(template: &str, words: &str) -> String {
    template.replacen("{}", words, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_sentences_and_numbers_stay_whole() {
        assert_eq!(sentences("Hi! It is 12.50 EUR. At 18:00?\n¿Sí?"), ["Hi!", "It is 12.50 EUR.", "At 18:00?", "¿Sí?"]);
        assert!(sentences(" … !\n\n").is_empty());
    }

    #[test]
    fn words_of_one_family_are_akin_and_others_are_not() {
        for (one, other) in [("bike", "bikes"), ("children", "children's"), ("ceramica", "ceramico"), ("taza", "tazas")]
        {
            assert!(akin(one, other), "{one} {other}");
        }
        for (one, other) in [("bike", "bicycle"), ("day", "daily"), ("12345", "12346"), ("is", "i")] {
            assert!(!akin(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_shortened_fits_and_ends_with_a_whole_word() {
        assert_eq!(shortened("Opening hours and more", 14), "Opening hours…");
        assert_eq!(shortened("Opening\nhours", 20), "Opening hours");
        assert_eq!(shortened("😀😀😀😀", 4), "😀…");
    }
}
