//! A business's document, as far as it says how its companion should be.
//!
//! The back end writes it, and so does who imports one. Whatever it holds, the companion is set up leniently, and
//! what is wrong is named; no secret of a tool or a notice stands in what is named or printed.

#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use serde_json::Value;
use worker::{
    business::{CompanionSettings, TokenCipher},
    settings::EncryptionSettings,
};

/// What stands in place of every secret that the document holds.
const SECRET: &str = "hunter2hunter2";

/// Among them the hour that is missing and the one that comes twice where clocks are put forward and back.
const TIMES: [&str; 4] =
    ["2026-01-20T11:59:59Z", "2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z", "2026-12-31T23:59:00Z"];

static CIPHER: LazyLock<TokenCipher> = LazyLock::new(|| {
    TokenCipher::new(&EncryptionSettings { current: SecretString::from("fuzz-secret-of-today"), previous: None })
});

fuzz_target!(|data: &[u8]| {
    let Ok(mut companion) = serde_json::from_slice::<Value>(data) else { return };
    plant(&mut companion);
    for finding in CompanionSettings::check(&companion) {
        let told = finding.to_string();
        assert!(!told.trim().is_empty());
        assert!(!told.contains(SECRET), "{told}");
    }
    for settings in [CompanionSettings::read(&companion), CompanionSettings::read_with(&companion, &CIPHER)] {
        assert!(!format!("{settings:?}").contains(SECRET));
        check_hours(&settings);
    }
});

/// What customers are told of the hours can be told at any time, and a change comes after the time that it is asked
/// for.
fn check_hours(settings: &CompanionSettings) {
    let Some(hours) = &settings.opening_hours else { return };
    let zone = settings.zone();
    for now in TIMES.map(|time| time.parse().expect("a time")) {
        assert!(!hours.describe(now, &zone).is_empty());
        let change = hours.next_change(now, &zone);
        assert!(change.is_none_or(|change| change > now));
        let local = |at: Timestamp| at.to_zoned(zone.clone()).datetime();
        assert!(change.is_none_or(|change| hours.is_open(local(change)) != hours.is_open(local(now))));
    }
}

/// Puts the secret where one belongs.
fn plant(companion: &mut Value) {
    let secret = Value::from(SECRET);
    for tool in companion.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(value) = tool.pointer_mut("/header/value") {
            *value = secret.clone();
        }
    }
    if let Some(value) = companion.pointer_mut("/handOver/notify/secret") {
        *value = secret;
    }
}
