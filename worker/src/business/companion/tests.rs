use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{super::TokenError, *};
use crate::{business::Severity, settings::EncryptionSettings};

fn cipher() -> TokenCipher {
    TokenCipher::new(&EncryptionSettings { current: SecretString::from("one"), previous: None })
}

fn tool() -> Value {
    json!({"name": "check_stock", "description": "Says what is in stock.", "url": "https://api.example.com/stock",
           "parameters": {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
           "header": {"name": "Authorization", "value": "Bearer x"}})
}

/// The tool with some of its fields changed.
fn tool_with(changes: Value) -> Value {
    let mut tool = tool();
    for (name, value) in changes.as_object().expect("an object") {
        tool[name] = value.clone();
    }
    json!({"tools": [tool]})
}

/// Every field, as a JavaScript back end stores it: numbers are doubles, sub-documents have ids.
fn everything() -> Value {
    json!({
        "_id": {"$oid": "665f00000000000000000000"},
        "persona": " Lina ", "instructions": "Be brief.", "scope": "tea", "language": "German", "model": "small",
        "temperature": 1.0, "greeting": "Hi!", "apology": "Sorry!", "quietMillis": 1200.0, "inDoubt": "dead",
        "optOut": false, "voice": {"reply": "always", "voiceId": "v1"},
        "knowledge": ["Parking is free.", {"_id": {"$oid": "665f00000000000000000001"}, "title": "Tea", "text": "Green."}],
        "handOver": {"keywords": ["human", " Mensch "], "hours": 2.0},
        "limits": {"message": "Later!", "messagesPerMinute": 10.0, "repliesPerDay": 100.0, "tokensPerDay": 1_000_000.0,
                   "speechCharactersPerDay": 5000.0, "tokensPerReply": 400.0},
        "timezone": "Europe/Berlin", "openingHours": {"mon": "09:00-17:00", "tue": null},
        "locations": [{"name": "Shop", "address": "Hauptstr. 1", "latitude": 52.0, "longitude": 13.4}],
        "tools": [tool()],
    })
}

#[test]
fn everything_is_read_and_nothing_is_found_wrong_with_it() {
    assert_eq!(CompanionSettings::check(&everything()), []);
    let settings = CompanionSettings::read(&everything());
    assert_eq!(settings.persona.as_deref(), Some("Lina"));
    assert_eq!((settings.scope.as_deref(), settings.language.as_deref()), (Some("tea"), Some("German")));
    assert_eq!((settings.model.as_deref(), settings.temperature), (Some("small"), Some(1.0)));
    assert_eq!((settings.greeting.as_deref(), settings.apology.as_deref()), (Some("Hi!"), Some("Sorry!")));
    assert!(settings.ignores_stop && !CompanionSettings::default().ignores_stop);
    assert_eq!((settings.quiet, settings.in_doubt), (Some(Duration::from_millis(1200)), InDoubt::Dead));
    assert_eq!(settings.voice, VoiceSettings { reply: VoiceReply::Always, voice_id: Some("v1".to_owned()) });
    let [parking, tea] = settings.knowledge.as_slice() else { panic!("{:?}", settings.knowledge) };
    assert_eq!((parking.title.as_deref(), parking.text.as_str()), (None, "Parking is free."));
    assert_eq!((tea.title.as_deref(), tea.text.as_str()), (Some("Tea"), "Green."));
    let keywords = vec!["human".to_owned(), "Mensch".to_owned()];
    assert_eq!((&settings.hand_over.keywords, settings.hand_over.hours), (&keywords, Duration::from_secs(7_200)));
    assert_eq!(
        settings.limits,
        Limits {
            messages_per_minute: Some(10),
            replies_per_day: Some(100),
            tokens_per_day: Some(1_000_000),
            speech_characters_per_day: Some(5_000),
            tokens_per_reply: Some(400),
            message: Some("Later!".to_owned()),
        }
    );
    assert_eq!(settings.zone().iana_name(), Some("Europe/Berlin"));
    assert!(settings.opening_hours.is_some());
    assert_eq!((settings.locations[0].name.as_str(), settings.locations[0].latitude), ("Shop", 52.0));
    assert_eq!((settings.tools[0].name.as_str(), settings.tools.len()), ("check_stock", 1));
}

#[test]
fn what_is_absent_is_left_to_the_defaults_without_a_word() {
    let nothing = format!("{:?}", CompanionSettings::default());
    let blank = json!({"persona": "", "language": "auto", "voice": null, "knowledge": [], "handOver": {},
                       "openingHours": {}, "tools": [], "timezone": " ", "model": "  "});
    for companion in [json!(null), json!({}), blank] {
        assert_eq!(format!("{:?}", CompanionSettings::read(&companion)), nothing, "{companion}");
        assert_eq!(CompanionSettings::check(&companion), [], "{companion}");
    }
    assert_eq!(CompanionSettings::default().hand_over.hours, Duration::from_secs(12 * 3_600));
    assert_eq!(CompanionSettings::default().zone(), TimeZone::UTC);
}

#[test]
fn a_field_of_the_wrong_type_counts_as_absent_and_is_named() {
    let nothing = format!("{:?}", CompanionSettings::default());
    // The one that is to be true or false is among those below.
    for name in KNOWN.into_iter().filter(|name| *name != "optOut") {
        let companion = json!({name: true});
        assert_eq!(format!("{:?}", CompanionSettings::read(&companion)), nothing, "{companion}");
        let found = CompanionSettings::check(&companion);
        assert_eq!((found.len(), found[0].field.as_str()), (1, format!("companion.{name}").as_str()), "{found:?}");
        assert!(found[0].is_error() && found[0].problem.starts_with("is true or false, but must be "), "{found:?}");
    }
}

/// What is wrong, and for each finding its path and a part of what it says.
fn wrong() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!("Lina"), "companion", "is a text, but must be an object"),
        (json!({"temperature": 2.1}), "companion.temperature", "is 2.1, but must be a number from 0 to 2"),
        (json!({"temperature": "hot"}), "companion.temperature", "is a text"),
        (json!({"quietMillis": -1}), "companion.quietMillis", "is -1"),
        (json!({"quietMillis": 60_001}), "companion.quietMillis", "from 0 to 60000"),
        (json!({"optOut": "no"}), "companion.optOut", "is a text, but must be `true` or `false`"),
        (json!({"inDoubt": "drop"}), "companion.inDoubt", "is `drop`, but must be `resend` or `dead`"),
        (json!({"language": "x".repeat(201)}), "companion.language", "has 201 characters"),
        (json!({"voice": {"reply": "sometimes"}}), "companion.voice.reply", "`mirror` or `never` or `always`"),
        (json!({"voice": {"voiceId": 7}}), "companion.voice.voiceId", "is a number"),
        (json!({"knowledge": ["a", 7]}), "companion.knowledge[1]", "a text or an object with `text`"),
        (json!({"knowledge": [{"title": "a"}]}), "companion.knowledge[0].text", "is missing"),
        (json!({"knowledge": [{"text": []}]}), "companion.knowledge[0].text", "is a list"),
        (json!({"knowledge": [{"text": "a", "title": 1}]}), "companion.knowledge[0].title", "is a number"),
        (json!({"handOver": {"hours": 0}}), "companion.handOver.hours", "is 0, but must be more"),
        (json!({"handOver": {"hours": 721}}), "companion.handOver.hours", "from 0 to 720"),
        (json!({"handOver": {"keywords": "human"}}), "companion.handOver.keywords", "must be a list"),
        (json!({"handOver": {"keywords": ["a", {}]}}), "companion.handOver.keywords[1]", "is an object"),
        (json!({"limits": {"repliesPerDay": 0}}), "companion.limits.repliesPerDay", "is 0, but must be a whole"),
        (json!({"limits": {"tokensPerDay": 1.5}}), "companion.limits.tokensPerDay", "is 1.5"),
        (json!({"limits": {"messagesPerMinute": "10"}}), "companion.limits.messagesPerMinute", "is a text"),
        (json!({"limits": {"tokensPerReply": -4}}), "companion.limits.tokensPerReply", "is -4"),
        (json!({"limits": {"speechCharactersPerDay": []}}), "companion.limits.speechCharactersPerDay", "is a list"),
        (json!({"timezone": "Europe/Berlim"}), "companion.timezone", "did you mean `Europe/Berlin`?"),
        (json!({"timezone": "+02:00"}), "companion.timezone", "write one such as"),
        (json!({"timezone": "Etc/Unknown"}), "companion.timezone", "is no name"),
        (json!({"locations": [{"latitude": 1, "longitude": 1}]}), "companion.locations[0].name", "is missing"),
        (json!({"locations": [{"name": "a", "longitude": 1}]}), "companion.locations[0].latitude", "is missing"),
        (
            json!({"locations": [{"name": "a", "latitude": 91, "longitude": 1}]}),
            "companion.locations[0].latitude",
            "from -90 to 90",
        ),
        (
            json!({"locations": [{"name": "a", "latitude": 1, "longitude": -181}]}),
            "companion.locations[0].longitude",
            "from -180 to 180",
        ),
        (
            json!({"locations": [{"name": "a", "latitude": 1, "longitude": 1}, {"name": "A", "latitude": 2, "longitude": 2}]}),
            "companion.locations[1]",
            "name of an earlier place",
        ),
        (json!({"tools": ["x"]}), "companion.tools[0]", "is a text, but must be an object"),
        (json!({"tools": [tool(), tool()]}), "companion.tools[1]", "name of an earlier tool"),
        (tool_with(json!({"name": null})), "companion.tools[0].name", "is missing"),
        (tool_with(json!({"name": "Stock"})), "companion.tools[0].name", "must be a small letter"),
        (tool_with(json!({"name": "1a"})), "companion.tools[0].name", "must be a small letter"),
        (tool_with(json!({"name": "a".repeat(42)})), "companion.tools[0].name", "at most 41"),
        (tool_with(json!({"name": "remember"})), "companion.tools[0].name", "is taken"),
        (tool_with(json!({"name": "offer_choices"})), "companion.tools[0].name", "is taken"),
        (tool_with(json!({"description": " "})), "companion.tools[0].description", "is missing"),
        (tool_with(json!({"url": null})), "companion.tools[0].url", "is missing"),
        (tool_with(json!({"url": "api.example.com"})), "companion.tools[0].url", "begins with `https://`"),
        (tool_with(json!({"url": "ftp://example.com"})), "companion.tools[0].url", "begins with `https://`"),
        (tool_with(json!({"url": "https://u:p@example.com"})), "companion.tools[0].url", "user or a password"),
        (tool_with(json!({"parameters": []})), "companion.tools[0].parameters", "must be an object"),
        (tool_with(json!({"parameters": {}})), "companion.tools[0].parameters.type", "must be `object`"),
        (tool_with(json!({"parameters": {"type": "array"}})), "companion.tools[0].parameters.type", "`object`"),
        (
            tool_with(json!({"parameters": {"type": "object", "properties": []}})),
            "companion.tools[0].parameters.properties",
            "is a list",
        ),
        (tool_with(json!({"header": "x"})), "companion.tools[0].header", "is a text"),
        (tool_with(json!({"header": {"name": "X-Key"}})), "companion.tools[0].header.value", "is missing"),
        (tool_with(json!({"header": {"value": "x"}})), "companion.tools[0].header.name", "is missing"),
        (tool_with(json!({"header": {"name": "X Key", "value": "x"}})), "companion.tools[0].header.name", "is no name"),
        (tool_with(json!({"header": {"name": "HOST", "value": "x"}})), "companion.tools[0].header.name", "already"),
    ]
}

#[test]
fn whatever_is_wrong_is_named_by_its_path_and_not_used() {
    for (companion, field, part) in wrong() {
        let found = CompanionSettings::check(&companion);
        assert_eq!(found.len(), 1, "{companion}: {found:?}");
        assert_eq!((found[0].field.as_str(), found[0].severity), (field, Severity::Error), "{found:?}");
        assert!(found[0].problem.contains(part), "{part}: {found:?}");
        let settings = CompanionSettings::read(&companion);
        assert!(settings.temperature.is_none() && settings.quiet.is_none() && settings.timezone.is_none());
        assert!(settings.limits == Limits::default() && settings.voice == VoiceSettings::default());
        assert_eq!(settings.hand_over.hours, HandOverSettings::default().hours);
        assert!(settings.tools.len() + settings.locations.len() <= 1, "{settings:?}");
    }
}

#[test]
fn wrong_hours_are_named_by_day_and_none_of_them_are_told() {
    for (hours, field, part) in [
        (json!("9-5"), "", "is a text, but must be an object"),
        (json!({"mon": "9-17"}), ".mon", "is `9-17`, which is no range of hours"),
        (json!({"tuesday": ["09:00-12:00", "12-13"]}), ".tuesday[1]", "is `12-13`"),
        (json!({"tuesday": ["09:00-12:00", 7]}), ".tuesday[1]", "is a number"),
        (json!({"wed": "09:00-25:00"}), ".wed", "no range"),
        (json!({"wed": "09:60-10:00"}), ".wed", "no range"),
        (json!({"wed": "09:00-24:01"}), ".wed", "no range"),
        (json!({"wed": "24:00-02:00"}), ".wed", "begins at 24:00"),
        (json!({"wed": "09:00-09:00"}), ".wed", "ends where it begins"),
        (json!({"wed": {"from": 9}}), ".wed", "is an object"),
        (json!({"wed": ["09:00-12:00", "11:00-13:00"]}), ".wed", "overlap"),
        (json!({"thu": "closed", "thursday": "closed"}), ".thu", "is the same day as `thursday`"),
        (json!({"mon": "closed", "tusday": "09:00-17:00"}), ".tusday", "did you mean `tuesday`?"),
        (json!({"mon": vec!["closed"; 9]}), ".mon", "has 9 entries"),
    ] {
        let companion = json!({"timezone": "UTC", "openingHours": hours});
        let found = CompanionSettings::check(&companion);
        assert_eq!(found.len(), 1, "{companion}: {found:?}");
        assert_eq!(found[0].field, format!("companion.openingHours{field}"));
        assert!(found[0].is_error() && found[0].problem.contains(part), "{part}: {found:?}");
        assert_eq!(CompanionSettings::read(&companion).opening_hours, None, "{companion}");
    }
    let german = CompanionSettings::check(&json!({"timezone": "UTC", "openingHours": {"montag": "09:00-17:00"}}));
    assert!(german.iter().any(|finding| finding.is_error() && finding.problem.contains("names no day")), "{german:?}");
}

#[test]
fn what_is_used_although_it_may_not_be_meant_is_a_warning() {
    for (companion, field, part) in [
        (json!({"instruction": "x"}), "companion.instruction", "did you mean `instructions`?"),
        (json!({"mood": "x"}), "companion.mood", "is not known and not used; known are `persona`, "),
        (json!({"voice": {"voice_id": "x"}}), "companion.voice.voice_id", "did you mean `voiceId`?"),
        (json!({"limits": {"repliesPerHour": 1}}), "companion.limits.repliesPerHour", "is not known"),
        (json!({"knowledge": [{"text": "a", "titel": "b"}]}), "companion.knowledge[0].titel", "did you mean `title`?"),
        (tool_with(json!({"headers": {}})), "companion.tools[0].headers", "did you mean `header`?"),
        (json!({"openingHours": {"mon": "09:00-17:00"}}), "companion.timezone", "count in UTC"),
        (
            json!({"timezone": "UTC", "openingHours": {"mon": "09:00-17:00", "holidays": "closed"}}),
            "companion.openingHours.holidays",
            "is no day and not used",
        ),
        (json!({"persona": "é".repeat(8_001)}), "companion.persona", "has 8001 characters; only the first 8000"),
        (json!({"greeting": "x".repeat(1_001)}), "companion.greeting", "only the first 1000"),
        (json!({"knowledge": ["é".repeat(6_001)]}), "companion.knowledge", "`worker knowledge load`"),
        (tool_with(json!({"url": "http://10.0.0.1/x"})), "companion.tools[0].url", "only where ALLOW_INSECURE_TOOLS"),
        (
            tool_with(json!({"parameters": {"type": "object", "required": ["item"]}})),
            "companion.tools[0].parameters.required[0]",
            "is none of `properties`",
        ),
    ] {
        let found = CompanionSettings::check(&companion);
        assert_eq!(found.len(), 1, "{companion}: {found:?}");
        assert_eq!((found[0].field.as_str(), found[0].severity), (field, Severity::Warning), "{found:?}");
        assert!(found[0].problem.contains(part), "{part}: {found:?}");
    }
    let hours = json!({"timezone": "UTC", "openingHours": {"mon": "09:00-17:00", "holidays": "closed"}});
    assert!(CompanionSettings::read(&hours).opening_hours.is_some());
    assert_eq!(CompanionSettings::read(&tool_with(json!({"url": "http://10.0.0.1/x"}))).tools.len(), 1);
}

#[test]
fn time_zones_are_those_of_the_binary() {
    // The machine's own database is never asked: this one is compiled in, and has its rules for the years to come.
    let zone = CompanionSettings::read(&json!({"timezone": "america/sao_paulo"})).zone();
    assert_eq!(zone.iana_name(), Some("America/Sao_Paulo"));
    let winter = "2030-01-15T12:00:00Z".parse().expect("a time");
    let berlin = CompanionSettings::read(&json!({"timezone": "Europe/Berlin"})).zone();
    assert_eq!(local_time(winter, &berlin), "Tuesday, 15 January 2030, 13:00 (Europe/Berlin)");
}

#[test]
fn no_document_can_fill_the_prompt() {
    let long = "x".repeat(100_000);
    let places: Vec<_> = (0..99)
        .map(|n| json!({"name": format!("{n}{}", "p".repeat(90)), "address": long, "latitude": 1, "longitude": 1}))
        .collect();
    let tools: Vec<_> = (0..99)
        .map(|n| json!({"name": format!("tool_{n}"), "description": long, "url": "https://example.com"}))
        .collect();
    let companion = json!({
        "persona": long, "instructions": long, "scope": long, "greeting": long, "apology": long, "language": long,
        "knowledge": vec![json!({"title": long, "text": long}); 99], "locations": places, "tools": tools,
        "handOver": {"keywords": vec![long.clone(); 99]},
        "openingHours": {"mon": vec![long.clone(); 99]},
    });
    let read = CompanionSettings::read(&companion);
    let texts = [&read.persona, &read.instructions, &read.scope, &read.greeting, &read.language];
    let length: usize = texts.into_iter().flatten().map(String::len).sum();
    let knowledge: usize =
        read.knowledge.iter().map(|text| text.text.len() + text.title.as_deref().map_or(0, str::len)).sum();
    let places: usize =
        read.locations.iter().map(|place| place.name.len() + place.address.as_deref().map_or(0, str::len)).sum();
    let tools: usize = read.tools.iter().map(|tool| tool.description.len() + tool.parameters.to_string().len()).sum();
    assert_eq!(knowledge, 6_000, "as much as is possible");
    assert!(length <= 25_000 && places <= 6_000 && tools <= 16_000, "{length}, {places}, {tools}");
    assert!((1..=16).contains(&read.tools.len()) && read.locations.len() == 20, "{}", read.tools.len());
    let huge = tool_with(json!({"parameters": {"type": "object", "properties": {"a": {"description": long}}}}));
    let found = CompanionSettings::check(&huge);
    assert!(found.iter().any(|finding| finding.is_error() && finding.problem.contains("does not fit")), "{found:?}");
    assert!(CompanionSettings::read(&huge).tools.is_empty());
}

#[test]
fn a_header_is_its_decrypted_value_or_an_error_and_never_what_is_stored() {
    let value = |stored: &str, cipher: Option<&TokenCipher>| {
        let companion = tool_with(json!({"header": {"name": "Authorization", "value": stored}}));
        let settings = match cipher {
            Some(cipher) => CompanionSettings::read_with(&companion, cipher),
            None => CompanionSettings::read(&companion),
        };
        let header = settings.tools[0].header.clone().expect("a header");
        header.value.map(|value| value.expose_secret().to_owned())
    };
    let one = cipher();
    let sealed = one.encrypt(&SecretString::from("Bearer key-1"));
    assert_eq!(value(&sealed, Some(&one)).as_deref(), Ok("Bearer key-1"));
    assert_eq!(value(&sealed, None), Err(TokenError::Undecrypted));
    assert_eq!(value("Bearer key-1", Some(&one)), Err(TokenError::NotHex));
    assert_eq!(value("0123456789abcdef", Some(&one)), Err(TokenError::NotFernet));
    let lines = one.encrypt(&SecretString::from("two\nlines"));
    assert_eq!(value(&lines, Some(&one)), Err(TokenError::NotAToken));
}

#[test]
fn no_secret_of_a_tool_shows_in_what_is_printed() {
    let sealed = cipher().encrypt(&SecretString::from("Bearer KEY-1"));
    for stored in [sealed.as_str(), "Bearer KEY-1", "KEY-1\u{7}"] {
        let companion = tool_with(json!({"url": "https://example.com/hook?key=KEY-1",
                                         "header": {"name": "Authorization", "value": stored}}));
        let settings = CompanionSettings::read_with(&companion, &cipher());
        let printed = format!("{settings:?} {:?}", CompanionSettings::check(&companion));
        assert!(printed.contains("example.com") && printed.contains("Authorization"), "{printed}");
        assert!(!printed.contains("KEY-1") && !printed.contains(&sealed), "{printed}");
    }
}

/// The block of README.md without its comments, which begin behind a blank; an address has none in front of `//`.
fn documented() -> Value {
    let readme = include_str!("../../../../README.md");
    let block =
        readme.split("\n```").find(|block| block.contains("\"subDomain\": \"lindenhof\"")).expect("the example");
    let lines = block.lines().map(|line| line.split(" //").next().unwrap_or_default());
    let json = lines.collect::<Vec<_>>().join("\n").replace("ISODate(", "").replace("\"),", "\",");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {json}"))
}

#[test]
fn the_documented_example_has_every_field_and_none_is_wrong() {
    let companion = &documented()["companion"];
    assert_eq!(CompanionSettings::check(companion), []);
    let mut named: Vec<_> = companion.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut known = KNOWN;
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}
