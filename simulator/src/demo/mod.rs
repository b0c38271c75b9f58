//! The demo companion: what answers where Switchboard is tried without an AI.
//!
//! It is rules and no model, and says so. It stands behind the same endpoints as a model and speaks the same protocol:
//! it reads the prompt, the chat and the tools of a request, calls tools, and puts into words what came of them. So
//! whoever tries it sees what the system does: memory, facts, choices, places, a person who takes over, voice.
//!
//! The same request always gets the same answer. No request makes it panic, none makes it call a tool twice, and
//! whatever is long is cut short (`whatever_is_asked_it_answers_in_words_after_one_round_of_tools`).

mod answers;
mod chat;
mod ears;
mod memory;
mod offers;
mod phrases;
mod prompt;
mod search;
mod text;
mod topics;
mod voice;
mod wish;
#[cfg(test)]
mod tests;

pub use ears::hear;
pub use phrases::Language;
pub use voice::speak;

use self::{
    answers::{Answers, Call, Piece},
    chat::Chat,
    prompt::Prompt,
    text::{fill, shortened},
};
use crate::{
    Ai,
    ai::{ChatReply, ChatRequest, ToolCall},
};

/// UTF-16 units of an answer, which is one message of WhatsApp.
const ANSWER_MOST: usize = 3_000;
/// Units of a customer's line in notes of an older chat.
const NOTED_UNITS: usize = 100;
/// Lines in such notes.
const NOTED_MOST: usize = 12;
/// How the result of a tool begins that did nothing.
const FAILED: &str = "Error";
/// The result of noting what was noted before.
const KNOWN: &str = "Known already";

/// From now on the demo answers, listens and speaks.
pub fn install(ai: &Ai) {
    ai.on_chat(answer);
    ai.on_transcription_request(hear);
    ai.on_speech(speak);
}

/// Things to try, in the words of a customer.
pub fn suggestions(language: Language) -> &'static [&'static str] {
    language.phrases().suggestions
}

/// The answer to a chat.
pub fn answer(request: &ChatRequest) -> ChatReply {
    let (prompt, chat) = (Prompt::read(&request.system()), Chat::read(request));
    let language = spoken(&prompt, &chat);
    if prompt.is_about_notes() && !chat.may_call("remember") {
        return ChatReply::text(notes(&prompt, language));
    }
    let answers = Answers::new(&chat, &prompt, language);
    let pieces = answers.pieces();
    let calls: Vec<&Call> = pieces.iter().filter_map(|piece| wanted(piece, &chat)).collect();
    if chat.has_acted || calls.is_empty() {
        return ChatReply::text(words(&answers, &pieces));
    }
    // Choices are sent with their question, and nobody asks what else there is to say.
    let with_words = calls.iter().any(|call| call.tool == "offer_choices");
    let text = with_words.then(|| words(&answers, &pieces)).filter(|_| pieces.len() > 1 || is_new(&answers));
    let calls = calls.into_iter().map(|call| ToolCall::new(call.tool, call.arguments.clone())).collect();
    ChatReply::ToolCalls { text, calls }
}

fn spoken(prompt: &Prompt, chat: &Chat) -> Language {
    match &prompt.language {
        Some(named) => Language::named(named).unwrap_or(Language::English),
        None => chat.written().find_map(Language::of_words).unwrap_or(Language::English),
    }
}

/// The tool of a piece, where it may be called.
fn wanted<'a>(piece: &'a Piece, chat: &Chat) -> Option<&'a Call> {
    match piece {
        Piece::Call(call) => chat.may_call(call.tool).then_some(call),
        Piece::Say(_) => None,
    }
}

fn is_new(answers: &Answers<'_>) -> bool {
    answers.chat.is_first && answers.prompt.notes.is_none()
}

/// All words of an answer; never blank.
fn words(answers: &Answers<'_>, pieces: &[Piece]) -> String {
    let mut said: Vec<String> = Vec::new();
    if is_new(answers) {
        said.extend(answers.prompt.greeting.clone());
        said.push(fill(answers.phrases.introduction, &lower_first(&answers.ask_about())));
    }
    let mut results = answers.chat.results.iter();
    let mut codas: Vec<&str> = Vec::new();
    let says = fill(answers.phrases.says, answers.business());
    let mut has_quoted = false;
    for piece in pieces {
        let (words, coda) = told(piece, answers.chat, &mut results);
        codas.extend(coda);
        let quotes = words.starts_with(&says);
        said.push(if quotes && has_quoted { words.replacen(&says, answers.phrases.also, 1) } else { words });
        has_quoted |= quotes;
    }
    codas.dedup();
    said.extend(codas.into_iter().map(str::to_owned));
    said.retain(|words| !words.trim().is_empty());
    said.dedup();
    if said.is_empty() {
        said.push(answers.phrases.which.to_owned());
    }
    let said = said.join(" ");
    // Only what must be is flattened: a greeting may have lines.
    if said.encode_utf16().count() > ANSWER_MOST { shortened(&said, ANSWER_MOST) } else { said }
}

/// What is said of a piece, and what is said once at the end.
fn told<'a>(
    piece: &Piece,
    chat: &Chat,
    results: &mut impl Iterator<Item = &'a String>,
) -> (String, Option<&'static str>) {
    let call = match piece {
        Piece::Say(words) => return (words.clone(), None),
        Piece::Call(call) => call,
    };
    if !chat.may_call(call.tool) {
        return (call.failed.clone(), None);
    }
    // Not called yet: what goes with the call is said as if it were done, and asked for again if it is not.
    let result = if chat.has_acted { results.next().map(String::as_str) } else { Some("") };
    match result {
        Some(result) if result.starts_with(KNOWN) => (call.needless.clone(), None),
        Some(result) if !result.starts_with(FAILED) => (call.done.clone(), Some(call.coda)),
        Some(_) | None => (call.failed.clone(), None),
    }
}

fn lower_first(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map(|first| first.to_lowercase().chain(signs).collect()).unwrap_or_default()
}

/// Older lines in fewer words, for whoever asks for that.
fn notes(prompt: &Prompt, language: Language) -> String {
    let phrases = language.phrases();
    let skipped = prompt.older_lines.len().saturating_sub(NOTED_MOST);
    let lines: Vec<String> = prompt.older_lines.iter().skip(skipped).map(|line| shortened(line, NOTED_UNITS)).collect();
    phrases.list(lines.iter().map(String::as_str), phrases.and)
}
