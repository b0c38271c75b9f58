//! What an event of Meta about an account means (Meta, "Webhooks: account_update" and its neighbours).
//!
//! A pure function of the field and its value. What is not known is worth a note and stops nothing. Nothing that it says
//! names a customer: it repeats Meta's closed words only.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::{Cause, Mark, StandingChange};
use crate::message::text;

/// The fields that tell of an account, and not of one of its customers.
pub const FIELDS: &[&str] = &[
    "account_update",
    "account_review_update",
    "account_alerts",
    "account_settings_update",
    "phone_number_quality_update",
    "phone_number_name_update",
    "business_capability_update",
    "business_username_update",
    "business_username_updates",
    "security",
    "message_template_status_update",
    "message_template_quality_update",
    "message_template_components_update",
    "template_category_update",
    "template_correct_category_detection",
    "user_preferences",
    "payment_configuration_update",
    "partner_solutions",
];

/// Restrictions that leave answers to customers alone (Meta, "Policy enforcement"): of everything that is sent, answers
/// are all that we send.
const NOT_OF_ANSWERS: [&str; 2] = ["RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_ADD_PHONE_NUMBER_ACTION"];
/// Characters of a word of Meta's that is repeated.
const WORD_MOST: usize = 60;

/// How much an operator should care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeLevel {
    /// Good to know.
    Info,
    /// Somebody should look before it becomes worse.
    Warning,
    /// Customers go without answers.
    Error,
}

impl NoticeLevel {
    /// A closed word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What follows for sending.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Bearing {
    Nothing,
    Stops { cause: Cause, until: Option<Timestamp> },
    Lifts(&'static [Cause]),
}

/// What an event means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub level: NoticeLevel,
    /// Meta's words for it.
    words: Vec<String>,
    bearing: Bearing,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() { f.write_str("–") } else { f.write_str(&self.words.join(" ")) }
    }
}

impl Notice {
    /// The meaning of a change of this field.
    pub fn of(field: &str, value: &Value) -> Self {
        match field {
            "account_update" => update(value),
            "account_review_update" | "phone_number_name_update" => decision(value),
            "account_alerts" => alert(value.get("alert_info").unwrap_or(&Value::Null)),
            "phone_number_quality_update" => quality(value),
            "security" => Self::said(NoticeLevel::Warning, [word(value, "event")]),
            "user_preferences" => preference(value),
            "message_template_status_update" | "message_template_quality_update" => template(value),
            _ => Self::said(NoticeLevel::Info, [word(value, "event")]),
        }
    }

    /// Whether sending has to stop.
    pub fn stops(&self) -> bool {
        matches!(self.bearing, Bearing::Stops { .. })
    }

    /// What it changes of its account's standing.
    pub fn changes(&self, at: Timestamp) -> Vec<StandingChange> {
        let mark = |stops, until| Mark { at, stops, until, why: self.to_string() };
        match &self.bearing {
            Bearing::Nothing => Vec::new(),
            Bearing::Stops { cause, until } => vec![StandingChange { cause: *cause, mark: mark(true, *until) }],
            Bearing::Lifts(causes) => {
                causes.iter().map(|cause| StandingChange { cause: *cause, mark: mark(false, None) }).collect()
            }
        }
    }

    fn said<const N: usize>(level: NoticeLevel, words: [Option<String>; N]) -> Self {
        Self { level, words: words.into_iter().flatten().collect(), bearing: Bearing::Nothing }
    }

    fn with(self, bearing: Bearing) -> Self {
        Self { bearing, ..self }
    }
}

/// The account that a change is about. Where a partner is added or removed, the entry names the partner.
pub(crate) fn account_of(value: &Value) -> Option<shared::ids::WabaId> {
    let named = value.get("waba_info").and_then(|info| text(info, "waba_id"))?;
    shared::ids::WabaId::parse(&named).ok()
}

fn update(value: &Value) -> Notice {
    use NoticeLevel::{Error, Info, Warning};
    let event = word(value, "event");
    let name = event.clone().unwrap_or_default();
    let plain = |level| Notice::said(level, [event.clone()]);
    let stops = |cause| plain(Error).with(Bearing::Stops { cause, until: None });
    match name.as_str() {
        "DISABLED_UPDATE" => ban(event, value.get("ban_info").unwrap_or(&Value::Null)),
        "ACCOUNT_RESTRICTION" => restriction(event, value.get("restriction_info").unwrap_or(&Value::Null)),
        "ACCOUNT_DELETED" => stops(Cause::Ban),
        "PARTNER_REMOVED" | "PARTNER_APP_UNINSTALLED" | "ACCOUNT_OFFBOARDED" => stops(Cause::Removal),
        "PARTNER_ADDED" | "PARTNER_APP_INSTALLED" | "ACCOUNT_RECONNECTED" => {
            plain(Info).with(Bearing::Lifts(&[Cause::Removal, Cause::Refusal]))
        }
        "ACCOUNT_VIOLATION" => {
            let violation = value.get("violation_info").and_then(|info| word(info, "violation_type"));
            Notice::said(Warning, [event, violation])
        }
        _ => plain(Info),
    }
}

fn ban(event: Option<String>, info: &Value) -> Notice {
    let state = word(info, "waba_ban_state");
    let name = state.clone().unwrap_or_default();
    let told = |level| Notice::said(level, [event, state]);
    match name.as_str() {
        "REINSTATE" => told(NoticeLevel::Info).with(Bearing::Lifts(&[Cause::Ban, Cause::Restriction, Cause::Refusal])),
        "SCHEDULE_FOR_DISABLE" => told(NoticeLevel::Warning),
        // `DISABLE`; and whatever else a disabled account may be, it is disabled.
        _ => told(NoticeLevel::Error).with(Bearing::Stops { cause: Cause::Ban, until: None }),
    }
}

/// A list of restrictions, or a single one. An unknown one, or none at all, stops: better late than into a ban.
fn restriction(event: Option<String>, info: &Value) -> Notice {
    let all: Vec<&Value> = match info {
        Value::Array(all) => all.iter().collect(),
        Value::Object(_) => vec![info],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let kind = |one: &&Value| word(one, "restriction_type").unwrap_or_default();
    let stopping: Vec<&&Value> = all.iter().filter(|one| !NOT_OF_ANSWERS.contains(&kind(one).as_str())).collect();
    let words = event.into_iter().chain(all.iter().map(kind).filter(|kind| !kind.is_empty())).collect();
    let notice = Notice { level: NoticeLevel::Error, words, bearing: Bearing::Nothing };
    if stopping.is_empty() && !all.is_empty() {
        return Notice { level: NoticeLevel::Warning, ..notice };
    }
    // The longest; one without an end lasts until something lifts it.
    let ends: Option<Vec<Timestamp>> = stopping.iter().map(|one| time(one.get("expiration")?)).collect();
    let until = ends.and_then(|ends| ends.into_iter().max());
    notice.with(Bearing::Stops { cause: Cause::Restriction, until })
}

fn decision(value: &Value) -> Notice {
    let decision = word(value, "decision");
    let refused = matches!(decision.as_deref(), Some("REJECTED" | "DECLINED"));
    Notice::said(if refused { NoticeLevel::Warning } else { NoticeLevel::Info }, [decision])
}

fn alert(info: &Value) -> Notice {
    let severity = word(info, "alert_severity");
    let level = match severity.as_deref() {
        Some("CRITICAL") => NoticeLevel::Error,
        Some("WARNING") => NoticeLevel::Warning,
        Some(_) | None => NoticeLevel::Info,
    };
    Notice::said(level, [severity, word(info, "alert_status"), word(info, "alert_type")])
}

fn quality(value: &Value) -> Notice {
    let event = word(value, "event");
    let worse = matches!(event.as_deref(), Some("FLAGGED" | "DOWNGRADE" | "RESTRICTED"));
    let limit = word(value, "max_daily_conversations_per_business").or_else(|| word(value, "current_limit"));
    Notice::said(if worse { NoticeLevel::Warning } else { NoticeLevel::Info }, [event, limit])
}

fn template(value: &Value) -> Notice {
    const BAD: [&str; 6] = ["REJECTED", "PAUSED", "DISABLED", "FLAGGED", "LOCKED", "RED"];
    let event = word(value, "event").or_else(|| word(value, "new_quality_score"));
    let bad = event.as_deref().is_some_and(|event| BAD.contains(&event));
    Notice::said(if bad { NoticeLevel::Warning } else { NoticeLevel::Info }, [event, word(value, "reason")])
}

/// A customer's wish about marketing messages, of which we send none. Whose it is stays in the event.
fn preference(value: &Value) -> Notice {
    let wish = value.pointer("/user_preferences/0").unwrap_or(&Value::Null);
    Notice::said(NoticeLevel::Info, [word(wish, "category"), word(wish, "value")])
}

/// A word of Meta's: letters, digits and `_`, so that nothing else can be repeated by mistake.
fn word(value: &Value, name: &str) -> Option<String> {
    let found = text(value, name)?;
    let found: String = found.trim().chars().take(WORD_MOST).collect();
    let is_word = found.chars().all(|c| c.is_ascii_alphabetic() || c.is_ascii_digit() || c == '_');
    let digits = found.chars().filter(char::is_ascii_digit).count();
    (is_word && digits < 6).then_some(found)
}

/// Seconds since 1970, or a date as text.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(seconds) => Timestamp::from_second(seconds.as_i64()?).ok(),
        Value::String(text) => match text.trim().parse::<i64>() {
            Ok(seconds) => Timestamp::from_second(seconds).ok(),
            Err(_) => text.trim().parse().ok(),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn told(field: &str, value: Value) -> Notice {
        Notice::of(field, &value)
    }

    fn account(value: Value) -> Notice {
        told("account_update", value)
    }

    #[test]
    fn bans_and_removals_stop_until_they_are_lifted() {
        let ban = |state: &str| account(json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state}}));
        for state in ["DISABLE", "SOMETHING_NEW"] {
            assert!(matches!(ban(state).bearing, Bearing::Stops { cause: Cause::Ban, until: None }), "{state}");
        }
        let scheduled = ban("SCHEDULE_FOR_DISABLE");
        assert_eq!((scheduled.level, scheduled.stops()), (NoticeLevel::Warning, false));
        let lifted = ban("REINSTATE").changes(at(7));
        let causes: Vec<_> = lifted.iter().map(|change| change.cause).collect();
        assert_eq!(causes, [Cause::Ban, Cause::Restriction, Cause::Refusal]);
        assert!(lifted.iter().all(|change| !change.mark.stops && change.mark.at == at(7)));
        for event in ["PARTNER_REMOVED", "PARTNER_APP_UNINSTALLED", "ACCOUNT_OFFBOARDED"] {
            let notice = account(json!({ "event": event }));
            assert!(matches!(notice.bearing, Bearing::Stops { cause: Cause::Removal, until: None }), "{event}");
            assert_eq!((notice.level, notice.to_string()), (NoticeLevel::Error, event.to_owned()));
        }
        for event in ["PARTNER_ADDED", "PARTNER_APP_INSTALLED", "ACCOUNT_RECONNECTED"] {
            let changes = account(json!({ "event": event })).changes(at(7));
            assert!(changes.iter().all(|change| !change.mark.stops && change.cause != Cause::Ban), "{event}");
        }
        assert!(account(json!({"event": "ACCOUNT_DELETED"})).stops());
    }

    #[test]
    fn a_restriction_of_answers_stops_until_it_expires_and_others_do_not() {
        let restricted = |info: Value| account(json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": info}));
        let until = |info: Value| match restricted(info).bearing {
            Bearing::Stops { cause: Cause::Restriction, until } => Some(until.map(Timestamp::as_second)),
            Bearing::Nothing => None,
            other @ (Bearing::Stops { .. } | Bearing::Lifts(_)) => panic!("{other:?}"),
        };
        let answers = "RESTRICTED_CUSTOMER_INITIATED_MESSAGING";
        let one = |kind: &str, expiration: Value| json!({"restriction_type": kind, "expiration": expiration});
        for expiration in [json!(1_764_000_000), json!("1764000000"), json!("2025-11-24T16:00:00Z")] {
            assert_eq!(until(json!([one(answers, expiration)])), Some(Some(1_764_000_000)));
        }
        assert_eq!(until(one(answers, json!(5))), Some(Some(5)), "a single one");
        assert_eq!(until(json!([one(answers, json!(5)), one("NEW", json!(9))])), Some(Some(9)), "the longest");
        assert_eq!(until(json!([one(answers, json!(5)), one("NEW", json!("soon"))])), Some(None), "no end is told");
        assert_eq!(until(json!([])), Some(None), "nobody says of what");
        for kind in NOT_OF_ANSWERS {
            assert_eq!(until(json!([one(kind, json!(5))])), None, "{kind}");
            assert_eq!(until(json!([one(kind, json!(99)), one(answers, json!(5))])), Some(Some(5)), "{kind}");
        }
    }

    #[test]
    fn what_is_worth_a_look_is_told_from_what_is_not() {
        use NoticeLevel::{Error, Info, Warning};
        for (field, value, level, words) in [
            (
                "account_update",
                json!({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "SCAM"}}),
                Warning,
                "ACCOUNT_VIOLATION SCAM",
            ),
            ("account_update", json!({"event": "MM_LITE_TERMS_SIGNED"}), Info, "MM_LITE_TERMS_SIGNED"),
            (
                "account_alerts",
                json!({"alert_info": {"alert_severity": "CRITICAL", "alert_type": "X"}}),
                Error,
                "CRITICAL X",
            ),
            ("account_review_update", json!({"decision": "REJECTED"}), Warning, "REJECTED"),
            ("phone_number_name_update", json!({"decision": "APPROVED"}), Info, "APPROVED"),
            (
                "phone_number_quality_update",
                json!({"event": "FLAGGED", "current_limit": "TIER_1K"}),
                Warning,
                "FLAGGED TIER_1K",
            ),
            ("phone_number_quality_update", json!({"event": "THROUGHPUT_UPGRADE"}), Info, "THROUGHPUT_UPGRADE"),
            ("message_template_status_update", json!({"event": "PAUSED", "reason": "NONE"}), Warning, "PAUSED NONE"),
            ("security", json!({"event": "PIN_CHANGED", "requester": "61555500119"}), Warning, "PIN_CHANGED"),
            ("business_capability_update", json!({"max_phone_numbers_per_waba": 2}), Info, "–"),
        ] {
            let notice = told(field, value);
            assert_eq!((notice.level, notice.to_string().as_str()), (level, words), "{field}");
            assert!(!notice.stops() && notice.changes(at(1)).is_empty(), "{field}");
        }
    }

    #[test]
    fn nothing_of_a_customer_is_repeated_and_nothing_odd_breaks_it() {
        let wish = json!({"user_preferences": [{"wa_id": "16315550142", "category": "marketing_messages",
            "detail": "User 16315550142 requested", "value": "stop"}]});
        assert_eq!(told("user_preferences", wish).to_string(), "marketing_messages stop");
        for odd in
            [json!(null), json!([]), json!({"event": ["x"]}), json!({"event": "a b"}), json!({"event": "16315550142"})]
        {
            for field in FIELDS {
                assert_eq!(told(field, odd.clone()).to_string(), "–", "{field} {odd}");
            }
        }
    }

    #[test]
    fn the_account_is_the_one_that_a_partner_was_removed_from() {
        let removed = json!({"event": "PARTNER_REMOVED", "waba_info": {"waba_id": "215589313246017"}});
        assert_eq!(account_of(&removed).map(|id| id.expose().to_owned()), Some("215589313246017".to_owned()));
        assert_eq!(account_of(&json!({"event": "PARTNER_REMOVED"})), None);
    }
}
