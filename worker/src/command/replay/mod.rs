//! `worker replay`: what other models or prompts would have answered in recorded conversations, side by side.
//!
//! A rehearsal: the AI is asked, and nobody else. Nothing is sent, no tool of a business is called, the database is only
//! read, and of what an answer would change the operator is told. Everything that can be wrong with what was given is
//! found before the first call is paid for.

mod answer;
mod business;
mod recording;
mod rehearsal;
mod table;
mod tally;
mod variant;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, anyhow, ensure};
use clap::{Args, value_parser};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::json;
use shared::settings::Reader;

use self::{
    answer::Answer,
    business::Subject,
    recording::{Asked, Recording, recordings},
    rehearsal::Rehearsal,
    tally::Tally,
    variant::{Specification, variants},
};
use super::{Failure, business::say};
use crate::{
    companion::{Companion, knowledge::Knowledge},
    settings::{AiSettings, StoreSettings},
    store::{MongoStore, Store},
};

/// `worker replay …`
#[derive(Debug, Args)]
pub struct ReplayCommand {
    /// JSON lines, one conversation a line: `{"turns": [{"speaker": "customer", "text": "…"}, …]}`
    file: PathBuf,
    /// What is to be different, up to four times; `prompt` is a text in the place of `companion.instructions`, or a
    /// `.json` file with fields of `companion`; prices are for a million tokens
    #[arg(long = "variant", value_name = "NAME[,model=M][,prompt=FILE][,temperature=T][,in=PRICE][,out=PRICE]")]
    variants: Vec<Specification>,
    /// The companion of the business with this `subDomain`, with what it can look up
    #[arg(long, value_name = "SUBDOMAIN", conflicts_with = "companion")]
    business: Option<String>,
    /// The companion in a JSON file, alone or in a business's document; needs no database
    #[arg(long, value_name = "FILE")]
    companion: Option<PathBuf>,
    /// Answer every question of a conversation, not only the last one
    #[arg(long)]
    every: bool,
    /// Only the first conversations
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    most: Option<u32>,
    /// Answers that are asked for at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// One JSON object a line: the questions, then the summary
    #[arg(long)]
    json: bool,
}

/// Replays and prints.
///
/// # Errors
/// Something that was given is wrong, MongoDB is not reachable, or nothing could be answered.
pub(super) async fn execute(command: ReplayCommand, mut reader: Reader) -> Result<(), Failure> {
    let ai = AiSettings::read(&mut reader);
    let store = if command.business.is_some() { StoreSettings::read(&mut reader) } else { None };
    reader.finish()?;
    let recordings = command.recordings()?;
    let store: Option<Arc<dyn Store>> = match &store {
        Some(settings) => Some(Arc::new(MongoStore::open(settings).await?)),
        None => None,
    };
    let done = command.replay(&recordings, &ai, store.as_ref()).await;
    if let Some(store) = store {
        store.close().await;
    }
    Ok(done?)
}

impl ReplayCommand {
    fn recordings(&self) -> anyhow::Result<Vec<Recording>> {
        let shown = self.file.display();
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("read {shown}"))?;
        let most = self.most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let recordings = recordings(&text, most).map_err(|problems| anyhow!("{shown} cannot be read:\n{problems}"))?;
        ensure!(!recordings.is_empty(), "{shown} has no conversation");
        Ok(recordings)
    }

    async fn subject(&self, store: Option<&Arc<dyn Store>>) -> anyhow::Result<Subject> {
        let subject = match (&self.business, store, &self.companion) {
            (Some(subdomain), Some(store), _) => Subject::stored(&**store, subdomain).await?,
            (_, _, Some(file)) => Subject::of_file(file)?,
            (_, _, None) => Subject::nobody(),
        };
        subject.problems().for_each(|problem| warn(&problem));
        Ok(subject)
    }

    fn asked<'a>(&self, recordings: &'a [Recording]) -> Vec<Asked<'a>> {
        let of_one = |recording: &'a Recording| {
            let mut questions = recording.questions();
            let passed_over = if self.every { 0 } else { questions.len().saturating_sub(1) };
            questions.drain(..passed_over);
            questions
        };
        recordings.iter().flat_map(of_one).collect()
    }

    async fn replay(
        &self,
        recordings: &[Recording],
        ai: &AiSettings,
        store: Option<&Arc<dyn Store>>,
    ) -> anyhow::Result<()> {
        let variants = variants(&self.variants, &self.subject(store).await?, &ai.chat_model)?;
        let client = ai.client().context("set up the HTTP client")?;
        let (knowledge, now) = (store.map(|store| Knowledge::new(Arc::clone(store))), Timestamp::now());
        let rehearsals = variants.iter().map(|variant| {
            let companion = Companion::rehearsing(&client, ai, &variant.model, knowledge.clone());
            Rehearsal { variant, companion, now }
        });
        let rehearsals: Vec<Rehearsal<'_>> = rehearsals.collect();
        let mut tallies: Vec<Tally> = variants.iter().map(Tally::of).collect();

        let asked = self.asked(recordings);
        let answering = asked.iter().flat_map(|asked| rehearsals.iter().map(move |one| one.answer(asked)));
        // In the order of the file, whoever is done first.
        let mut answers = stream::iter(answering).buffered(usize::from(self.parallel)).chunks(rehearsals.len());
        for asked in &asked {
            let Some(answers) = answers.next().await else { break };
            tallies.iter_mut().zip(&answers).for_each(|(tally, answer)| tally.add(answer));
            self.show(asked, &answers);
        }
        self.conclude(&tallies);
        ensure!(tallies.iter().any(|tally| tally.answered > 0), "nothing could be answered");
        Ok(())
    }

    fn show(&self, asked: &Asked<'_>, answers: &[Answer]) {
        if !self.json {
            return say(&table::question(asked, answers));
        }
        let line = json!({
            "conversation": asked.recording.id,
            "line": asked.recording.line,
            "number": asked.number,
            "question": asked.question(),
            "recorded": asked.recorded(),
            "answers": answers,
        });
        say(&line.to_string());
    }

    fn conclude(&self, tallies: &[Tally]) {
        let summaries: Vec<_> = tallies.iter().map(Tally::summary).collect();
        if self.json {
            return say(&json!({ "summary": summaries }).to_string());
        }
        say(&table::summary(&summaries));
    }
}

/// Beside the output, which may be read by a program.
#[expect(clippy::print_stderr, reason = "what the operator should know of a command's input")]
fn warn(problem: &str) {
    eprintln!("warning: {problem}");
}
