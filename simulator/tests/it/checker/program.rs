//! The judge as a program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use simulator::journal::{Credential, Decision, Event};

use super::trace::{ANA, APOLOGY, Trace};

fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
    let command = command.env_clear().env("WHATSAPP_APP_SECRET", "the-app-secret").arg("check").args(arguments);
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let printed = [stdout, stderr].concat();
    (status.code(), String::from_utf8(printed).expect("UTF-8"))
}

fn write(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A journal's file.
fn file(directory: &Path, name: &str, trace: &Trace) -> PathBuf {
    let lines = trace.entries.iter().map(|entry| serde_json::to_string(entry).expect("plain data") + "\n");
    write(directory, name, &lines.collect::<String>())
}

/// One message, answered with an apology, because the AI failed.
fn apologised() -> Trace {
    let mut trace = Trace::default();
    trace.write("1001", ANA, 1, "hello");
    trace.answer("1001", ANA, APOLOGY);
    trace
}

fn answered() -> Trace {
    let mut trace = Trace::default();
    trace.write("1001", ANA, 1, "hello");
    let answer = trace.chat("1001", &[], "#m000001 hello");
    trace.answer("1001", ANA, &answer);
    trace
}

#[test]
fn a_journal_alone_is_enough_and_the_exit_code_is_the_verdict() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = file(directory.path(), "good.jsonl", &answered());
    let (code, printed) = check(&[path(&good)]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("1 acknowledged of 1 posted: 1 answered") && printed.contains("loss        kept"));

    let mut twice = answered();
    twice.answer("1001", ANA, "ANS #m000001");
    let (code, printed) = check(&[path(&file(directory.path(), "twice.jsonl", &twice))]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.starts_with("duplicate: #m000001 of 1001/…0001 was answered again"), "{printed}");
    assert!(!printed.contains(ANA), "{printed}");
}

#[test]
fn options_say_what_the_journal_does_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = file(directory.path(), "journal.jsonl", &apologised());
    assert_eq!(check(&[path(&journal)]).0, Some(1), "an unknown apology answers nothing");
    let apology = format!("acme={APOLOGY}");
    assert_eq!(check(&[path(&journal), "--apology", &apology]).0, Some(0));

    let journal = file(directory.path(), "answered.jsonl", &answered());
    assert_eq!(check(&[path(&journal), "--canary", "acme=canary-of-acme"]).0, Some(0));
    let (code, printed) = check(&[path(&journal), "--canary", "acme=another-word"]);
    assert!(code == Some(1) && printed.contains("without the secret of acme"), "{printed}");
    let (code, printed) = check(&[path(&journal), "--business", "bolt=1001"]);
    assert!(code == Some(1) && printed.contains("a request about 1001 of bolt carried the token of acme"), "{printed}");
}

#[test]
fn logs_are_looked_through_and_secrets_stay_unsaid() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = file(directory.path(), "journal.jsonl", &answered());
    let secrets = write(directory.path(), "secrets", "the token=EAAtoken==\n\nthe key=gsk_key\n");
    let clean = write(directory.path(), "clean.log", "ready\nanswered …0001\n");
    let arguments = [path(&journal), "--secret-file", path(&secrets), "--log", path(&clean)];
    assert_eq!(check(&arguments).0, Some(0));

    let leaking = write(directory.path(), "leaking.log", &format!("EAAtoken==\nthe-app-secret\nto +{ANA}\n#m000001\n"));
    let (code, printed) = check(&[&arguments[..], &["--log", path(&leaking)]].concat());
    assert_eq!(code, Some(1), "{printed}");
    let told: Vec<_> = printed.lines().take_while(|line| line.starts_with("logs: ")).collect();
    let expected =
        ["the token stands in line 1", "an app secret stands in line 2", "a customer in full stands in line 3"];
    let expected = expected.into_iter().chain(["the text of a message stands in line 4"]);
    let expected: Vec<_> = expected.map(|what| format!("logs: {what} of {}", path(&leaking))).collect();
    assert_eq!(told, expected, "{printed}");
    assert!(!printed.contains("EAAtoken") && !printed.contains("the-app-secret") && !printed.contains(ANA));

    let malformed = write(directory.path(), "malformed", "the token=EAAtoken\nEAAother\n");
    let (code, printed) = check(&[path(&journal), "--secret-file", path(&malformed), "--log", path(&clean)]);
    assert!(code == Some(1) && printed.contains("line 2 of") && !printed.contains("EAA"), "{printed}");
}

#[test]
fn residual_repetitions_are_told_and_what_cannot_be_read_is_a_failure() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut trace = Trace::default();
    trace.write("1001", ANA, 1, "hello");
    let answer = trace.chat("1001", &[], "#m000001 hello");
    let wamid = trace.send("1001", ANA, &answer, Decision::AcceptedNoReply).expect("accepted");
    trace.withhold(&wamid, "sent");
    trace.answer("1001", ANA, &answer);
    let (code, printed) = check(&[path(&file(directory.path(), "residual.jsonl", &trace))]);
    assert_eq!(code, Some(0), "{printed}");
    let told = "residual: the answer to #m000001 was sent again: its statuses were all lost (entry 5 at 0.050 s";
    assert!(printed.starts_with(told) && printed.contains("residual    1"), "{printed}");

    assert_eq!(check(&["/nowhere/journal.jsonl"]).0, Some(1));
    assert_eq!(check(&[path(&write(directory.path(), "no.jsonl", "{}\n"))]).0, Some(1));
    assert_eq!(check(&["x.jsonl", "--canary", "acme=two words"]).0, Some(64));
    assert_eq!(check(&[]).0, Some(64));
}

#[test]
fn a_token_of_somebody_else_shows_without_any_option() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut trace = answered();
    for entry in &mut trace.entries {
        if let Event::GraphSend(send) = &mut entry.fact {
            send.credential = Credential::Of("bolt".to_owned());
        }
    }
    let (code, printed) = check(&[path(&file(directory.path(), "token.jsonl", &trace))]);
    assert!(code == Some(1) && printed.starts_with("isolation: "), "{printed}");
}
