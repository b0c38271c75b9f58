//! `companion` in a business's document: all of it optional, read leniently.

use std::time::Duration;

use serde_json::Value;

/// Texts of an operator, bounded so that no document can fill the prompt.
const TEXT_MOST: usize = 8_000;

/// How a business's companion should be. A field of the wrong type counts as absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CompanionSettings {
    /// Who speaks, such as "Lina, who runs the front desk".
    pub persona: Option<String>,
    /// What to do and not to do.
    pub instructions: Option<String>,
    /// What it may talk about.
    pub scope: Option<String>,
    /// A language, or none to follow the customer (`auto`).
    pub language: Option<String>,
    /// A chat model of the provider, instead of the installation's.
    pub model: Option<String>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// How a new customer is greeted.
    pub greeting: Option<String>,
    /// What a customer gets when the AI fails for good.
    pub apology: Option<String>,
    /// How long to wait for more messages.
    pub quiet: Option<Duration>,
    /// What becomes of a message where nobody can tell whether it was sent: `resend` or `dead`.
    pub in_doubt: InDoubt,
}

/// What a business wants where nobody can tell whether a message was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum InDoubt {
    /// It is sent again: twice rather than never.
    #[default]
    Resend,
    /// It is left to a person: never rather than twice.
    Dead,
}

impl CompanionSettings {
    /// Reads the sub-document.
    pub fn read(companion: &Value) -> Self {
        let text = |name: &str| -> Option<String> {
            let text = companion.get(name)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.chars().take(TEXT_MOST).collect())
        };
        Self {
            persona: text("persona"),
            instructions: text("instructions"),
            scope: text("scope"),
            language: text("language").filter(|language| !language.eq_ignore_ascii_case("auto")),
            model: text("model"),
            temperature: companion.get("temperature").and_then(Value::as_f64).filter(|t| (0.0..=2.0).contains(t)),
            greeting: text("greeting"),
            apology: text("apology"),
            in_doubt: if text("inDoubt").as_deref() == Some("dead") { InDoubt::Dead } else { InDoubt::Resend },
            quiet: companion.get("quietMillis").and_then(millis).filter(|quiet| *quiet <= Duration::from_secs(60)),
        }
    }
}

/// JavaScript has one kind of number, so a whole one may have been stored as a fraction.
fn millis(value: &Value) -> Option<Duration> {
    let millis = value.as_f64().filter(|millis| (0.0..=1e9).contains(millis))?;
    Some(Duration::from_secs_f64(millis / 1_000.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_or_of_another_type_is_left_out() {
        for odd in [json!(null), json!([]), json!("x"), json!({"persona": 7, "temperature": "hot", "quietMillis": -1})]
        {
            assert_eq!(CompanionSettings::read(&odd), CompanionSettings::default(), "{odd}");
        }
    }

    #[test]
    fn what_is_there_is_read() {
        let settings = CompanionSettings::read(&json!({
            "persona": " Lina ", "language": "auto", "temperature": 0.3, "quietMillis": 1200.0, "apology": "Sorry!",
            "inDoubt": "dead",
        }));
        assert_eq!(settings.persona.as_deref(), Some("Lina"));
        assert_eq!(settings.language, None);
        assert_eq!(settings.temperature, Some(0.3));
        assert_eq!(settings.quiet, Some(Duration::from_millis(1200)));
        assert_eq!(settings.apology.as_deref(), Some("Sorry!"));
        assert_eq!(settings.in_doubt, InDoubt::Dead);
    }
}
