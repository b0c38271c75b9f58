//! Names of languages as ISO 639-1 codes: transcription wants the code, answers with the name, and people write either.

/// Those that Whisper transcribes (OpenAI, "Speech to text"), by English name and own name.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("af", &["afrikaans"]),
    ("ar", &["arabic", "العربية"]),
    ("az", &["azerbaijani", "azərbaycanca"]),
    ("be", &["belarusian", "беларуская"]),
    ("bg", &["bulgarian", "български"]),
    ("bn", &["bengali", "bangla", "বাংলা"]),
    ("bs", &["bosnian", "bosanski"]),
    ("ca", &["catalan", "català"]),
    ("cs", &["czech", "čeština"]),
    ("cy", &["welsh", "cymraeg"]),
    ("da", &["danish", "dansk"]),
    ("de", &["german", "deutsch"]),
    ("el", &["greek", "ελληνικά"]),
    ("en", &["english"]),
    ("es", &["spanish", "español", "castilian"]),
    ("et", &["estonian", "eesti"]),
    ("fa", &["persian", "farsi", "فارسی"]),
    ("fi", &["finnish", "suomi"]),
    ("fr", &["french", "français"]),
    ("gl", &["galician", "galego"]),
    ("he", &["hebrew", "עברית"]),
    ("hi", &["hindi", "हिन्दी"]),
    ("hr", &["croatian", "hrvatski"]),
    ("hu", &["hungarian", "magyar"]),
    ("hy", &["armenian", "հայերեն"]),
    ("id", &["indonesian", "bahasa indonesia"]),
    ("is", &["icelandic", "íslenska"]),
    ("it", &["italian", "italiano"]),
    ("ja", &["japanese", "日本語"]),
    ("kk", &["kazakh", "қазақ"]),
    ("kn", &["kannada", "ಕನ್ನಡ"]),
    ("ko", &["korean", "한국어"]),
    ("lt", &["lithuanian", "lietuvių"]),
    ("lv", &["latvian", "latviešu"]),
    ("mi", &["maori", "māori"]),
    ("mk", &["macedonian", "македонски"]),
    ("mr", &["marathi", "मराठी"]),
    ("ms", &["malay", "bahasa melayu"]),
    ("ne", &["nepali", "नेपाली"]),
    ("nl", &["dutch", "nederlands", "flemish"]),
    ("no", &["norwegian", "norsk"]),
    ("pl", &["polish", "polski"]),
    ("pt", &["portuguese", "português"]),
    ("ro", &["romanian", "română", "moldavian"]),
    ("ru", &["russian", "русский"]),
    ("sk", &["slovak", "slovenčina"]),
    ("sl", &["slovenian", "slovenščina"]),
    ("sr", &["serbian", "српски"]),
    ("sv", &["swedish", "svenska"]),
    ("sw", &["swahili", "kiswahili"]),
    ("ta", &["tamil", "தமிழ்"]),
    ("th", &["thai", "ไทย"]),
    ("tl", &["tagalog", "filipino"]),
    ("tr", &["turkish", "türkçe"]),
    ("uk", &["ukrainian", "українська"]),
    ("ur", &["urdu", "اردو"]),
    ("vi", &["vietnamese", "tiếng việt"]),
    ("zh", &["chinese", "中文", "mandarin"]),
];

/// The code of a language that is given as a code (`de`, `de-AT`, `pt_BR`) or by its name; none where it is unknown.
pub fn language_code(text: &str) -> Option<&'static str> {
    let text = text.trim().to_lowercase();
    let code = text.split(['-', '_']).next().unwrap_or_default();
    let named = |(known, names): &&(&str, &[&str])| *known == code || names.contains(&text.as_str());
    LANGUAGES.iter().find(named).map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_to_the_code() {
        for (text, code) in [("de", "de"), ("DE-at", "de"), ("pt_BR", "pt"), ("Spanish", "es"), (" Türkçe ", "tr")] {
            assert_eq!(language_code(text), Some(code), "{text}");
        }
        for odd in ["", "auto", "Klingon", "xx"] {
            assert_eq!(language_code(odd), None, "{odd}");
        }
    }
}
