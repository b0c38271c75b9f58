//! `--variant`: what is to be different, and a companion made so.
//!
//! A variant that would not change what it says it changes is an error, never an answer that looks like one of it.

use std::{collections::BTreeSet, fs, path::PathBuf, str::FromStr};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};

use super::business::{Subject, companion_of};
use crate::business::{Business, CompanionSettings};

/// What a variant is called where none is named.
const AS_IT_IS: &str = "as it is";
const FORM: &str = "NAME[,model=M][,prompt=FILE][,temperature=T][,in=PRICE][,out=PRICE]";
const VARIANTS_MOST: usize = 4;
const TEMPERATURE_MOST: f64 = 2.0;
const MILLION: f64 = 1_000_000.0;

/// What the command line says of a variant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Specification {
    pub(super) name: String,
    model: Option<String>,
    prompt: Option<PathBuf>,
    temperature: Option<f64>,
    prices: Option<Prices>,
}

/// In any currency, for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prices {
    input: f64,
    output: f64,
}

/// A companion that can be asked.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: String,
    /// The model that is asked, and no other.
    pub(super) model: String,
    /// The business with the companion as this variant has it.
    pub(super) business: Business,
    pub(super) prices: Option<Prices>,
}

impl Prices {
    /// What so many tokens cost.
    #[expect(clippy::cast_precision_loss, reason = "a bill of 2^53 tokens may be off by one")]
    pub(super) fn cost(&self, tokens_in: u64, tokens_out: u64) -> f64 {
        (tokens_in as f64 * self.input + tokens_out as f64 * self.output) / MILLION
    }
}

impl FromStr for Specification {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty() && !name.contains('='));
        let name = name.ok_or_else(|| format!("a name comes first: {FORM}"))?.to_owned();
        let mut specification = Self { name, model: None, prompt: None, temperature: None, prices: None };
        let (mut seen, mut prices) = (BTreeSet::new(), (None, None));
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no KEY=VALUE: {FORM}"))?;
            let (key, value) = (key.trim(), value.trim());
            if value.is_empty() {
                return Err(format!("`{key}` has no value"));
            }
            if !seen.insert(key) {
                return Err(format!("`{key}` is there twice"));
            }
            match key {
                "model" => specification.model = Some(value.to_owned()),
                "prompt" => specification.prompt = Some(PathBuf::from(value)),
                "temperature" => specification.temperature = Some(number(key, value, TEMPERATURE_MOST)?),
                "in" => prices.0 = Some(number(key, value, f64::MAX)?),
                "out" => prices.1 = Some(number(key, value, f64::MAX)?),
                _ => return Err(format!("`{key}` is not known: {FORM}")),
            }
        }
        specification.prices = match prices {
            (Some(input), Some(output)) => Some(Prices { input, output }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err("a cost needs both prices, `in` and `out`; one of them may be 0".to_owned());
            }
        };
        Ok(specification)
    }
}

fn number(key: &str, value: &str, most: f64) -> Result<f64, String> {
    let number = value.parse().ok().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| match most {
        f64::MAX => format!("`{key}` must be a price for a million tokens, such as 0.15"),
        most => format!("`{key}` must be a number from 0 to {most}"),
    })
}

/// The variants that are asked for; without any, the companion as it is.
///
/// # Errors
/// Two have one name, a prompt cannot be read, or the companion would not be as the variant says.
pub(super) fn variants(
    asked: &[Specification],
    subject: &Subject,
    installations_model: &str,
) -> anyhow::Result<Vec<Variant>> {
    let as_it_is =
        Specification { name: AS_IT_IS.to_owned(), model: None, prompt: None, temperature: None, prices: None };
    let asked = if asked.is_empty() { std::slice::from_ref(&as_it_is) } else { asked };
    let names: BTreeSet<&str> = asked.iter().map(|variant| variant.name.as_str()).collect();
    ensure!(names.len() == asked.len(), "two variants have the same name");
    ensure!(asked.len() <= VARIANTS_MOST, "at most {VARIANTS_MOST} variants fit beside each other");
    let made = asked.iter().map(|variant| {
        variant.apply(subject, installations_model).with_context(|| format!("variant `{}`", variant.name))
    });
    made.collect()
}

impl Specification {
    fn apply(&self, subject: &Subject, installations_model: &str) -> anyhow::Result<Variant> {
        let companion = match &self.prompt {
            Some(file) => with_prompt(&subject.companion, file)?,
            None => subject.companion.clone(),
        };
        let known: BTreeSet<String> = subject.problems().collect();
        let wrong = CompanionSettings::check(&companion).iter().map(ToString::to_string).find(|p| !known.contains(p));
        if let Some(problem) = wrong {
            bail!("{problem}");
        }
        let mut settings = CompanionSettings::read(&companion);
        settings.temperature = self.temperature.or(settings.temperature);
        let own = settings.model.take();
        let model = self.model.clone().or(own).unwrap_or_else(|| installations_model.to_owned());
        Ok(Variant { name: self.name.clone(), model, business: subject.business(settings), prices: self.prices })
    }
}

/// The companion with a text in the place of its instructions, or with fields of its own laid over it.
fn with_prompt(companion: &Value, file: &PathBuf) -> anyhow::Result<Value> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("read {shown}"))?;
    ensure!(!text.trim().is_empty(), "{shown} is empty");
    let mut fields = companion.as_object().cloned().unwrap_or_default();
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let laid: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        fields.extend(laid_over(&laid).with_context(|| format!("{shown} must be an object, such as a `companion`"))?);
    } else {
        fields.insert("instructions".to_owned(), Value::String(text));
    }
    Ok(Value::Object(fields))
}

fn laid_over(laid: &Value) -> Option<Map<String, Value>> {
    companion_of(laid).as_object().cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(asked: &[&str], companion: Value) -> anyhow::Result<Vec<Variant>> {
        let asked: Vec<Specification> = asked.iter().map(|text| text.parse().expect("valid")).collect();
        let mut subject = Subject::nobody();
        subject.companion = companion;
        variants(&asked, &subject, "installation")
    }

    #[test]
    fn a_variant_says_what_is_different() {
        let read: Specification = "b, model=m/x:1,temperature=0.5,in=0.1,out=3,prompt=a b.txt".parse().expect("valid");
        assert_eq!((read.name.as_str(), read.model.as_deref()), ("b", Some("m/x:1")));
        assert_eq!((read.temperature, read.prompt), (Some(0.5), Some(PathBuf::from("a b.txt"))));
        assert_eq!(read.prices.map(|prices| prices.cost(2_000_000, 500_000)), Some(0.2 + 1.5));
    }

    #[test]
    fn what_is_wrong_with_a_variant_is_told_with_the_form() {
        for (text, problem) in [
            ("", "a name comes first: NAME["),
            ("model=m", "a name comes first"),
            ("a,fast", "`fast` is no KEY=VALUE: NAME["),
            ("a,modell=m", "`modell` is not known: NAME["),
            ("a,model=", "`model` has no value"),
            ("a,model=m,model=n", "`model` is there twice"),
            ("a,temperature=2.1", "`temperature` must be a number from 0 to 2"),
            ("a,temperature=warm", "`temperature` must be a number from 0 to 2"),
            ("a,in=-1,out=1", "`in` must be a price for a million tokens"),
            ("a,in=1,out=NaN", "`out` must be a price"),
            ("a,in=1", "a cost needs both prices"),
            ("a,out=inf,in=1", "`out` must be a price"),
        ] {
            let told = text.parse::<Specification>().expect_err("wrong");
            assert!(told.starts_with(problem), "{text}: {told}");
        }
    }

    #[test]
    fn the_variants_model_is_asked_else_the_businesss_else_the_installations() {
        let own = json!({"model": "own", "temperature": 1.0});
        let variants = made(&["a", "b,model=other,temperature=0"], own).expect("fine");
        assert_eq!((variants[0].model.as_str(), variants[1].model.as_str()), ("own", "other"));
        let settings: Vec<_> = variants.iter().map(|variant| &variant.business.companion).collect();
        assert_eq!((settings[0].temperature, settings[1].temperature), (Some(1.0), Some(0.0)));
        assert!(settings.iter().all(|settings| settings.model.is_none()), "a refused one would be replaced");
        let alone = made(&[], Value::Null).expect("fine");
        assert_eq!((alone.len(), alone[0].name.as_str(), alone[0].model.as_str()), (1, AS_IT_IS, "installation"));
        assert!(made(&["a", "a"], Value::Null).is_err());
        assert!(made(&["a", "b", "c", "d"], Value::Null).is_ok());
        assert!(made(&["a", "b", "c", "d", "e"], Value::Null).is_err());
    }

    #[test]
    fn a_prompt_is_a_text_or_fields_laid_over_the_companion() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let own = json!({"persona": "Lina", "instructions": "Be long.", "scope": "bread", "mood": 1});
        let text = file("p.txt", "Be brief.\n");
        let laid = file("p.json", r#"{"scope": null, "persona": "Kim", "temperature": 0.1}"#);
        let whole = file("w.JSON", r#"{"name": "Acme", "companion": {"persona": "Whole"}}"#);
        let asked = [format!("a,prompt={text}"), format!("b,prompt={laid},temperature=1"), format!("c,prompt={whole}")];
        let made_of = made(&asked.each_ref().map(String::as_str), own.clone()).expect("fine");
        let [text, laid, whole] = made_of.as_slice() else { panic!("three") };
        let parts = |variant: &Variant| {
            let companion = &variant.business.companion;
            [&companion.persona, &companion.instructions, &companion.scope].map(|part| part.clone().unwrap_or_default())
        };
        assert_eq!(parts(text), ["Lina", "Be brief.", "bread"]);
        assert_eq!(parts(laid), ["Kim", "Be long.", ""]);
        assert_eq!(laid.business.companion.temperature, Some(1.0), "what the command line says counts for more");
        assert_eq!(parts(whole), ["Whole", "Be long.", "bread"]);

        let missing = directory.path().join("gone.txt").display().to_string();
        for (path, problem) in [
            (file("empty.txt", " \n"), "is empty"),
            (file("bad.json", "{"), "is not JSON"),
            (file("list.json", "[1]"), "must be an object"),
            (file("typo.json", r#"{"instruction": "x"}"#), "companion.instruction is not known"),
            (file("hot.json", r#"{"temperature": 3}"#), "companion.temperature is 3"),
            (file("long.txt", &"x".repeat(8_001)), "only the first 8000 are used"),
            (missing, "No such file"),
        ] {
            let error = made(&[&format!("v,prompt={path}")], own.clone()).expect_err("wrong");
            let told = format!("{error:#}");
            assert!(told.starts_with("variant `v`: ") && told.contains(problem), "{path}: {told}");
        }
    }
}
