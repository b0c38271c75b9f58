//! What a variant answered, what it cost, and what it would have changed: as an operator sees it, in JSON or a table.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{recording::Asked, rehearsal::fact_id, variant::Variant};
use crate::{
    companion::{AnswerError, Called, Composition},
    conversation::FactChange,
};

/// An answer, or why there is none.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answer {
    pub(super) variant: String,
    pub(super) model: String,
    /// What the customer would get, messages apart by a blank line.
    pub(super) answer: Option<String>,
    pub(super) error: Option<String>,
    pub(super) latency_ms: u64,
    /// None where there is no answer: nobody says what failed calls cost.
    pub(super) spent: Option<Spent>,
    /// What the model called, in this order.
    pub(super) tools: Vec<Tool>,
    pub(super) would_change: Changes,
}

/// What an answer cost.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Spent {
    /// Chat calls.
    pub(super) calls: u32,
    pub(super) tokens_in: u64,
    pub(super) tokens_out: u64,
    /// By the variant's prices, where it has some.
    pub(super) cost: Option<f64>,
}

/// A call of a tool.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tool {
    pub(super) name: String,
    /// A text, where they are not the JSON that they should be.
    pub(super) arguments: Value,
    /// Why nothing came of it.
    pub(super) problem: Option<String>,
}

/// What would be different afterwards, or sent besides words.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Changes {
    pub(super) remembered: Vec<String>,
    pub(super) forgotten: Vec<String>,
    /// A person would have the conversation for so long.
    pub(super) handed_over_secs: Option<u64>,
    pub(super) choices: Vec<String>,
    pub(super) places: Vec<String>,
}

impl Answer {
    /// What came of asking a variant.
    pub(super) fn of(
        variant: &Variant,
        asked: &Asked<'_>,
        outcome: Result<Composition, AnswerError>,
        latency: Duration,
    ) -> Self {
        let answer = Self {
            variant: variant.name.clone(),
            model: variant.model.clone(),
            answer: None,
            error: None,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            spent: None,
            tools: Vec::new(),
            would_change: Changes::default(),
        };
        let composition = match outcome {
            Ok(composition) => composition,
            Err(error) => return Self { error: Some(error.to_string()), ..answer },
        };
        let messages: Vec<String> = composition.written().into_iter().map(|part| part.body).collect();
        let usage = &composition.aftermath.usage;
        Self {
            answer: Some(messages.join("\n\n")),
            spent: Some(Spent {
                calls: usage.calls,
                tokens_in: usage.tokens_in,
                tokens_out: usage.tokens_out,
                cost: variant.prices.map(|prices| prices.cost(usage.tokens_in, usage.tokens_out)),
            }),
            tools: composition.calls.iter().map(Tool::of).collect(),
            would_change: Changes::of(&composition, &asked.recording.facts),
            ..answer
        }
    }
}

impl Tool {
    fn of(called: &Called) -> Self {
        let arguments = serde_json::from_str(&called.arguments);
        Self {
            name: called.name.clone(),
            arguments: arguments.unwrap_or_else(|_| Value::String(called.arguments.clone())),
            problem: called.problem.clone(),
        }
    }
}

impl Changes {
    fn of(composition: &Composition, facts: &[String]) -> Self {
        let known =
            |id: &str| facts.iter().enumerate().find(|(at, _)| fact_id(*at) == id).map(|(_, fact)| fact.clone());
        let mut changes = Self {
            handed_over_secs: composition.aftermath.hand_over.map(|duration| duration.as_secs()),
            places: composition.places.iter().map(|place| place.name.clone()).collect(),
            ..Self::default()
        };
        for change in &composition.aftermath.facts {
            match change {
                FactChange::Learned { text, .. } => changes.remembered.push(text.clone()),
                FactChange::Dropped { id } => changes.forgotten.push(known(id).unwrap_or_else(|| id.clone())),
            }
        }
        let choices = composition.offer.iter().flat_map(|offer| &offer.choices);
        changes.choices = choices.map(|choice| choice.title.clone()).collect();
        changes
    }
}
