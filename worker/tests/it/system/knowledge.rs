//! What an operator teaches a business, with the real command line and nothing but the database.

use std::path::PathBuf;

use mongodb::bson::doc;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    harness::{Options, System, acme, document},
    process::{Ended, run},
};

/// Runs the command as an operator does: without a secret of the worker.
fn knowledge(system: &System, arguments: &[&str]) -> Ended {
    let of_the_store = |(name, _): &&(String, String)| name.starts_with("MONGODB_");
    let environment: Vec<_> = system.environment().iter().filter(of_the_store).cloned().collect();
    run("worker", &[&["knowledge"], arguments].concat(), &environment, "")
}

/// The same, where it must succeed; returns what it printed.
fn printed(system: &System, arguments: &[&str]) -> String {
    let ended = knowledge(system, arguments);
    assert!(ended.status.success(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// The same, where it must fail; returns why.
fn refused(system: &System, arguments: &[&str]) -> String {
    let ended = knowledge(system, arguments);
    assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.stderr
}

/// Files of a test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        std::fs::write(&path, content).expect("written");
        shown(path)
    }
}

fn shown(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("UTF-8")
}

fn listed(system: &System, business: &str) -> Vec<Value> {
    let lines = printed(system, &["list", "--business", business, "--json"]);
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_loaded_listed_searched_replaced_and_removed() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    system.update_business(&acme(), doc! { "companion": { "language": "English" } }).await;
    let files = Files::new();
    let menu = files.write("menu.md", "# Menu\n\n## Desserts\n\n| Dish | Price |\n|---|---|\n| Flan | 4 € |\n");
    let notes = files.write("notes.txt", format!("Parking is behind the house.\n\n{}", "More words. ".repeat(700)));

    let none = printed(&system, &["list", "--business", "acme"]);
    assert!(none.contains("acme has none; `worker knowledge load"), "{none}");
    assert!(printed(&system, &["search", "--business", "acme", "flan"]).contains("acme has no knowledge"));
    let loaded = printed(&system, &["load", &menu, "--business", "acme"]);
    assert!(loaded.contains("loaded menu.md: 1 passage, 38 characters, in english"), "{loaded}");
    let whole = printed(&system, &["search", "--business", "acme", "anything"]);
    assert!(whole.contains("── always  Menu › Desserts\nDish | Price\nFlan | 4 €\n"), "{whole}");

    let loaded = printed(&system, &["load", &menu, &notes, "--business", "acme"]);
    assert!(
        loaded.contains("loaded menu.md: 1 passage,") && loaded.contains("loaded notes.txt: 8 passages,"),
        "{loaded}"
    );
    let found = printed(&system, &["search", "--business", "acme", "how", "much", "is", "your", "dessert?"]);
    assert!(found.contains("menu.md  Menu › Desserts\nDish | Price\n"), "{found}");
    assert!(printed(&system, &["search", "--business", "acme", "submarine"]).contains("no word of the question"));
    assert!(printed(&system, &["search", "--business", "bolt", "flan"]).contains("bolt has no knowledge"));

    let words = files.write("hallo.txt", "Wir haben von Dienstag bis Sonntag geöffnet, am Montag ist geschlossen.");
    let recognised = printed(&system, &["load", &words, "--business", "bolt"]);
    assert!(recognised.contains("in german"), "{recognised}");

    let sources = listed(&system, "acme");
    assert_eq!(sources[0]["source"], "menu.md");
    assert_eq!((&sources[0]["passages"], &sources[0]["language"]), (&Value::from(1), &Value::from("english")));
    assert_eq!(sources[1]["source"], "notes.txt");
    let table = printed(&system, &["list", "--business", "acme"]);
    assert!(table.contains("SOURCE") && table.contains("notes.txt") && table.contains("english"), "{table}");

    let named = ["load", &notes, "--business", "acme", "--name", "menu.md", "--language", "de"];
    assert!(printed(&system, &named).contains("loaded menu.md: 8 passages,"));
    assert!(printed(&system, &["search", "--business", "acme", "flan"]).contains("Nothing"), "the old one is gone");
    assert_eq!(listed(&system, "acme")[0]["language"], "german");
    for source in ["menu.md", "notes.txt"] {
        assert!(printed(&system, &["remove", source, "--business", "acme"]).contains("8 passages"));
    }
    assert!(listed(&system, "acme").is_empty());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_loaded_says_why_and_changes_nothing() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let files = Files::new();
    let good = files.write("good.md", "# Hours\n9–17");
    let directory = shown(files.0.path().to_owned());
    let cases = [
        (directory.clone(), format!("{directory} is a directory; name its files, such as {directory}/*.md")),
        (
            files.write("menu.pdf", "%PDF"),
            "menu.pdf is neither Markdown (.md, .markdown) nor plain text (.txt)".to_owned(),
        ),
        (files.write("latin.txt", b"one\ntwo caf\xe9"), "latin.txt is not UTF-8: byte 12 (in line 2)".to_owned()),
        (files.write("empty.md", " \n\r\n<!-- nothing -->\n"), "empty.md is empty".to_owned()),
        (files.write("large.txt", "x".repeat(2_000_001)), "large.txt has more than 2 MB".to_owned()),
        (format!("{directory}/gone.md"), "gone.md: No such file".to_owned()),
        (
            files.write("other/good.md", "twice"),
            "two files are named `good.md`; load one of them with --name".to_owned(),
        ),
    ];
    for (file, why) in &cases {
        let refused = refused(&system, &["load", &good, file, "--business", "acme"]);
        assert!(refused.contains(why), "{why}: {refused}");
    }
    let two = refused(&system, &["load", &good, &good, "--business", "acme", "--name", "hours"]);
    assert!(two.contains("--name names one file"), "{two}");
    let long = refused(&system, &["load", &good, "--business", "acme", "--name", &"x".repeat(101)]);
    assert!(long.contains("1 to 100 characters"), "{long}");
    let language = refused(&system, &["load", &good, "--business", "acme", "--language", "Klingon"]);
    assert!(language.contains("`Klingon` is not one language"), "{language}");
    let source = refused(&system, &["remove", "good.md", "--business", "acme"]);
    assert!(source.contains("acme has no source `good.md`; `worker knowledge list --business acme`"), "{source}");
    assert_eq!(system.count("knowledge", doc! {}).await, 0);

    let unknown: [&[&str]; 4] = [&["load", &good], &["list"], &["remove", "good.md"], &["search", "hours"]];
    for command in unknown {
        let refused = refused(&system, &[command, &["--business", "nobody"]].concat());
        assert!(refused.contains("no business has the subdomain `nobody`; `worker business list`"), "{refused}");
    }
    system.insert_business(document(&acme())).await;
    let disputed = refused(&system, &["load", &good, "--business", "acme"]);
    assert!(disputed.contains("2 businesses have the subdomain `acme`"), "{disputed}");
    let unset = run("worker", &["knowledge", "list", "--business", "acme"], &[], "");
    assert_eq!(unset.status.code(), Some(64));
    assert!(unset.stderr.contains("MONGODB_URI is required"), "{}", unset.stderr);
    system.stop().await;
}
