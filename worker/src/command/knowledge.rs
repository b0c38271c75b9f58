//! `worker knowledge load|list|remove|search`: what a business's companion can look up.
//!
//! All files are read and judged before the first is stored, so that a command with a wrong one changes nothing.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};

use super::business::say;
use crate::{
    companion::knowledge::{Format, Given, HELD_FOR, Knowledge, Passage, passages},
    scope::BusinessScope,
    store::{BusinessRecord, Store, recognised_language, stemmed_language},
};

/// Bytes of a file, at most.
const FILE_MOST: u64 = 2_000_000;
/// Characters of a source's name, at most.
const NAME_MOST: usize = 100;

/// `worker knowledge …`
#[derive(Debug, Subcommand)]
pub enum KnowledgeCommand {
    /// Load Markdown or plain text for the companion to look things up in; a source of the same name is replaced
    Load(LoadArguments),
    /// The sources of a business
    List {
        #[command(flatten)]
        business: Chosen,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a source
    Remove {
        /// Its name, as `list` shows it
        source: String,
        #[command(flatten)]
        business: Chosen,
    },
    /// What the companion would be given for a question
    Search {
        #[command(flatten)]
        business: Chosen,
        /// The question
        #[arg(required = true)]
        words: Vec<String>,
    },
}

/// `worker knowledge load …`
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// `.md`, `.markdown` or `.txt`, in UTF-8, of at most 2 MB each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    business: Chosen,
    /// The source's name; the file's own where it is not given
    #[arg(long)]
    name: Option<String>,
    /// What the text is written in, such as `German` or `de`, so that other forms of a word are found too; `none` for
    /// word by word. Recognised where it is not given, or else that of the business's companion
    #[arg(long)]
    language: Option<String>,
}

/// Whose knowledge.
#[derive(Debug, Args)]
pub struct Chosen {
    /// The business's `subDomain`
    #[arg(long = "business", value_name = "SUBDOMAIN")]
    subdomain: String,
}

/// A file that can be loaded.
struct Source {
    name: String,
    passages: Vec<Passage>,
    /// What it is written in, where that is beyond doubt.
    language: Option<&'static str>,
}

/// Runs the command.
///
/// # Errors
/// MongoDB is not reachable, there is no such business or source, or a file cannot be loaded.
pub(super) async fn execute(command: KnowledgeCommand, store: &Arc<dyn Store>) -> anyhow::Result<()> {
    match command {
        KnowledgeCommand::Load(arguments) => load(&**store, &arguments).await,
        KnowledgeCommand::List { business, json } => list(&**store, &business, json).await,
        KnowledgeCommand::Remove { source, business } => remove(&**store, &business, &source).await,
        KnowledgeCommand::Search { business, words } => search(store, &business, &words.join(" ")).await,
    }
}

async fn load(store: &dyn Store, arguments: &LoadArguments) -> anyhow::Result<()> {
    let sources = read_all(&arguments.files, arguments.name.as_deref())?;
    if let Some(language) = &arguments.language {
        ensure!(
            language == "none" || stemmed_language(language).is_some(),
            "`{language}` is not one language whose forms of words MongoDB knows; with `none` the text is searched \
             word for word"
        );
    }
    let business = record(store, &arguments.business.subdomain).await?;
    let own = business.companion.get("language").and_then(serde_json::Value::as_str);
    store.prepare().await.context("prepare the database")?;
    for Source { name, passages, language } in &sources {
        let language = arguments.language.as_deref().or(*language).or(own).and_then(stemmed_language);
        store.put_knowledge(&business.scope(), name, passages, language).await?;
        let characters: usize = passages.iter().map(Passage::characters).sum();
        let how = language.map_or_else(|| "searched word for word".to_owned(), |language| format!("in {language}"));
        say(&format!("loaded {name}: {}, {characters} characters, {how}", counted(passages.len() as u64)));
    }
    say(&format!("Running workers know it within {} s.", HELD_FOR.as_secs()));
    Ok(())
}

async fn list(store: &dyn Store, business: &Chosen, json: bool) -> anyhow::Result<()> {
    let sources = store.knowledge_sources(&business.scope(store).await?).await?;
    if json {
        let objects = sources.iter().map(|source| {
            let object = serde_json::json!({
                "source": source.source,
                "passages": source.passages,
                "characters": source.characters,
                "language": source.language,
                "loaded_at": source.loaded_at.to_string(),
            });
            format!("{object}\n")
        });
        print(&objects.collect::<String>());
        return Ok(());
    }
    if sources.is_empty() {
        let subdomain = &business.subdomain;
        say(&format!("{subdomain} has none; `worker knowledge load FILE --business {subdomain}` loads some."));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["SOURCE", "PASSAGES", "CHARACTERS", "LANGUAGE", "LOADED"]);
    for source in &sources {
        table.add_row([
            source.source.clone(),
            source.passages.to_string(),
            source.characters.to_string(),
            source.language.clone().unwrap_or_else(|| "–".to_owned()),
            source.loaded_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        ]);
    }
    say(&table.to_string());
    Ok(())
}

async fn remove(store: &dyn Store, business: &Chosen, source: &str) -> anyhow::Result<()> {
    let removed = store.drop_knowledge(&business.scope(store).await?, source).await?;
    let subdomain = &business.subdomain;
    ensure!(
        removed > 0,
        "{subdomain} has no source `{source}`; `worker knowledge list --business {subdomain}` shows those that there are"
    );
    say(&format!("removed {source}: {}", counted(removed)));
    Ok(())
}

async fn search(store: &Arc<dyn Store>, business: &Chosen, question: &str) -> anyhow::Result<()> {
    let scope = business.scope(&**store).await?;
    let shown = |score: &str, passage: &Passage| format!("── {score}  {}\n{}\n\n", passage.title, passage.text);
    match Knowledge::new(Arc::clone(store)).given(&scope, question).await? {
        Given::Whole(passages) if passages.is_empty() => {
            say(&format!("{} has no knowledge; `worker knowledge load` loads some.", business.subdomain));
        }
        Given::Whole(passages) => {
            print(&passages.iter().map(|passage| shown("always", passage)).collect::<String>());
            say(&format!(
                "All that there is ({}) is little enough to be given always.",
                counted(passages.len() as u64)
            ));
        }
        Given::Found(found) if found.is_empty() => say("Nothing: no word of the question is in any passage."),
        Given::Found(found) => {
            let shown = found.iter().map(|found| {
                let score = format!("{:.2}  {}", found.score, found.source);
                shown(&score, &found.passage)
            });
            print(&shown.collect::<String>());
        }
    }
    Ok(())
}

impl Chosen {
    async fn scope(&self, store: &dyn Store) -> anyhow::Result<BusinessScope> {
        Ok(record(store, &self.subdomain).await?.scope())
    }
}

async fn record(store: &dyn Store, subdomain: &str) -> anyhow::Result<BusinessRecord> {
    let mut records = store.businesses_with_subdomain(subdomain).await?;
    let Some(record) = records.pop() else {
        bail!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are");
    };
    ensure!(records.is_empty(), "{} businesses have the subdomain `{subdomain}`; it must be one", records.len() + 1);
    Ok(record)
}

fn read_all(files: &[PathBuf], name: Option<&str>) -> anyhow::Result<Vec<Source>> {
    ensure!(name.is_none() || files.len() == 1, "--name names one file; load the others by commands of their own");
    let mut sources: Vec<Source> = Vec::new();
    for file in files {
        let source = read(file, name)?;
        let is_twice = sources.iter().any(|other| other.name == source.name);
        ensure!(!is_twice, "two files are named `{}`; load one of them with --name", source.name);
        sources.push(source);
    }
    Ok(sources)
}

fn read(file: &Path, name: Option<&str>) -> anyhow::Result<Source> {
    let shown = file.display();
    ensure!(!file.is_dir(), "{shown} is a directory; name its files, such as {shown}/*.md");
    let format = Format::of(file)
        .with_context(|| format!("{shown} is neither Markdown (.md, .markdown) nor plain text (.txt)"))?;
    let mut bytes = Vec::new();
    let opened = File::open(file).with_context(|| format!("open {shown}"))?;
    opened.take(FILE_MOST + 1).read_to_end(&mut bytes).with_context(|| format!("read {shown}"))?;
    ensure!(
        bytes.len() as u64 <= FILE_MOST,
        "{shown} has more than 2 MB; a companion can look up nothing in so long a text"
    );
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("{shown} is not UTF-8: byte {} (in line {line}) belongs to no character", good.len() + 1)
    })?;
    let file_name = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let passages = passages(name.unwrap_or(&stem), text, format);
    ensure!(!passages.is_empty(), "{shown} is empty");
    let name = name.unwrap_or(&file_name).trim().to_owned();
    let is_name = !name.is_empty() && name.chars().count() <= NAME_MOST && !name.contains(char::is_control);
    ensure!(is_name, "a source's name has 1 to {NAME_MOST} characters, on one line; --name gives another");
    Ok(Source { name, passages, language: recognised_language(text) })
}

fn counted(passages: u64) -> String {
    format!("{passages} passage{}", if passages == 1 { "" } else { "s" })
}

/// Lines that end themselves.
fn print(lines: &str) {
    if !lines.is_empty() {
        say(lines.trim_end());
    }
}
