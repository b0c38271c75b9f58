//! The documents at the root say what the code says: variables, metrics, reasons, files and tests by their names.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    path::{Path, PathBuf},
};

use shared::{
    settings::{SHARED_VARIABLES, Variable},
    telemetry::SECONDS,
};

const MEMBERS: [&str; 5] = ["shared", "ingest", "worker", "simulator", "standalone"];

/// A row of the table of variables: name, who reads it, default, whether it is a secret.
type Row = (String, &'static str, String, bool);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The rows, cell by cell, of the one table whose header begins with these cells.
fn table(document: &str, header: &str) -> Vec<Vec<String>> {
    let mut lines = document.lines().skip_while(|line| !line.starts_with(header));
    assert!(lines.next().is_some(), "README.md has no table that begins with {header}");
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands between single backticks, outside the blocks of code.
fn code(document: &str) -> Vec<String> {
    let blocks = document.split("\n```").step_by(2);
    blocks.flat_map(|prose| prose.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The Rust sources of the workspace in these directories of its members, one after the other.
fn sources(directories: &[&str]) -> String {
    fn collect(directory: &Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                collect(&entry, text);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&entry).expect("a source"));
            }
        }
    }
    let mut text = String::new();
    for (member, directory) in MEMBERS.iter().flat_map(|member| directories.iter().map(move |name| (member, name))) {
        let path = root().join(member).join(directory);
        if path.is_dir() {
            collect(&path, &mut text);
        }
    }
    text
}

fn variables() -> impl Iterator<Item = (&'static Variable, &'static str)> {
    let of = |list: &'static [Variable], reader| list.iter().map(move |variable| (variable, reader));
    of(SHARED_VARIABLES, "both").chain(of(ingest::VARIABLES, "ingest")).chain(of(worker::settings::VARIABLES, "worker"))
}

fn assert_same<T: Ord + Debug>(written: &BTreeSet<T>, known: &BTreeSet<T>, what: &str) {
    let (missing, extra): (Vec<_>, Vec<_>) = (known.difference(written).collect(), written.difference(known).collect());
    assert!(missing.is_empty() && extra.is_empty(), "{what}\nmissing: {missing:#?}\nnot in the code: {extra:#?}");
}

#[test]
fn the_table_of_variables_is_that_of_the_code() {
    let rows = table(&read("README.md"), "| Variable | Read by | Default |");
    let written: Vec<Row> = rows
        .iter()
        .map(|row| {
            let [name, reader, default, meaning] = row.as_slice() else { panic!("four cells, not {row:?}") };
            assert!(!meaning.is_empty(), "{name} has no meaning");
            let reader = ["both", "ingest", "worker"].into_iter().find(|known| known == reader);
            let secret = name.ends_with("(secret)");
            let name = name.trim_end_matches("(secret)").trim().trim_matches('`').to_owned();
            (name, reader.expect("both, ingest or worker"), default.trim_matches('`').to_owned(), secret)
        })
        .collect();
    let known = variables()
        .map(|(variable, reader)| (variable.name.to_owned(), reader, variable.default.to_owned(), variable.secret));
    let distinct: BTreeSet<Row> = written.iter().cloned().collect();
    assert_eq!(distinct.len(), written.len(), "a variable stands in the table twice");
    assert_same(&distinct, &known.collect(), "variables in README.md: name, read by, default, secret");
}

#[test]
fn the_example_of_an_environment_names_every_variable_and_sets_no_other() {
    /// A second name of `GROQ_API_KEY`, and what docker-compose.yml reads for itself.
    const ELSEWHERE: [&str; 12] = [
        "AI_API_KEY",
        "WORKERS",
        "INGEST_PORT",
        "DASHBOARD_PORT",
        "PROMETHEUS_PORT",
        "GRAFANA_PORT",
        "GRAFANA_PASSWORD",
        "COMPOSE_PROFILES",
        "SWITCHBOARD_VERSION",
        "SWITCHBOARD_REGISTRY",
        "WEBHOOK_DOMAIN",
        "PHONE_PORT",
    ];
    let text = read(".env.example");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let known: BTreeSet<&str> = variables().map(|(variable, _)| variable.name).collect();
    let missing: Vec<_> = known.difference(&words).collect();
    assert!(missing.is_empty(), ".env.example does not name {missing:?}");
    let assignments = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let unknown: Vec<_> = assignments.map(|(name, _)| name).filter(|name| !known.contains(name)).collect();
    assert!(unknown.iter().all(|name| ELSEWHERE.contains(name)), "nothing reads all of {unknown:?}");
}

#[test]
fn images_are_tagged_with_the_version_that_is_built() {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    /// The files for Kubernetes, what stands before a tag in them, and how often.
    const ON_KUBERNETES: [(&str, &str, usize); 5] = [
        ("base/kustomization.yaml", "newTag: ", 2),
        ("production/kustomization.yaml", "newTag: ", 2),
        ("components/dashboard/dashboard.yaml", "image: switchboard-worker:", 1),
        ("README.md", "/switchboard-$name:", 2),
        ("README.md", "registry.example.com/…:", 1),
    ];
    let version = concat!("${SWITCHBOARD_VERSION:-", env!("CARGO_PKG_VERSION"), "}");
    let compose = read("docker-compose.yml");
    let tags: Vec<_> = compose.lines().filter(|line| line.contains("SWITCHBOARD_VERSION")).collect();
    assert!(tags.len() > 4 && tags.iter().all(|line| line.contains(version)), "{tags:?}");
    assert!(read(".env.example").contains(concat!("tag of its images (", env!("CARGO_PKG_VERSION"), ")")));

    let ends_a_tag = |c: char| !c.is_ascii_alphanumeric() && !['.', '-', '_'].contains(&c);
    for (file, before, times) in ON_KUBERNETES {
        let text = read(&format!("deploy/kubernetes/{file}"));
        let tags: Vec<_> = text.split(before).skip(1).filter_map(|rest| rest.split(ends_a_tag).next()).collect();
        assert_eq!(tags, [VERSION].repeat(times), "deploy/kubernetes/{file}, after {before:?}");
    }
}

#[test]
fn metrics_and_reasons_exist_in_the_code() {
    let (readme, source) = (read("README.md"), sources(&["src"]));
    let quoted = |name: &str| source.contains(&format!("\"{name}\""));
    let words = readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics: BTreeSet<_> = words.filter(|word| word.starts_with("switchboard_")).collect();
    assert!(metrics.len() > 10, "README.md lists metrics: {metrics:?}");
    let unknown: Vec<_> = metrics.into_iter().filter(|name| !quoted(name)).collect();
    assert!(unknown.is_empty(), "README.md lists metrics that no code has: {unknown:?}");

    let rows = table(&readme, "| Reason |");
    let reasons: BTreeSet<_> = rows.iter().flat_map(|row| code(&row[0])).collect();
    assert!(reasons.len() > 10, "README.md lists reasons: {reasons:?}");
    let unknown: Vec<_> = reasons.into_iter().filter(|name| !quoted(name)).collect();
    assert!(unknown.is_empty(), "README.md lists reasons of dead letters that no code has: {unknown:?}");
}

/// What alerts and dashboards ask for is counted by somebody; each alert has a line that says what to do, and a test, and
/// asks for no duration that no bucket can tell.
#[test]
fn alerts_and_dashboards_ask_for_what_there_is_and_every_alert_is_explained_and_tested() {
    let (rules, tests) = (read("deploy/prometheus/rules.yml"), read("deploy/prometheus/rules_test.yml"));
    let dashboard = read("deploy/grafana/dashboards/switchboard.json");
    let source = sources(&["src"]);
    let asked = [&rules, &tests, &dashboard].map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let metrics: BTreeSet<&str> = asked
        .into_iter()
        .flatten()
        .filter(|word| word.starts_with("switchboard_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect();
    assert!(metrics.len() > 20, "{metrics:?}");
    let unknown: Vec<_> = metrics.into_iter().filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(unknown.is_empty(), "nobody counts {unknown:?}");

    let alerts: BTreeSet<String> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect();
    let rows = table(&read("README.md"), "| Alert |");
    assert_same(&rows.iter().flat_map(|row| code(&row[0])).collect(), &alerts, "alerts in README.md");
    let runbook = read("docs/OPERATIONS.md");
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let unexplained: Vec<_> = alerts.iter().filter(|alert| !headings.contains(alert.as_str())).collect();
    assert!(unexplained.is_empty(), "docs/OPERATIONS.md has no entry for {unexplained:?}");
    let untested: Vec<_> = alerts.iter().filter(|alert| !tests.contains(&format!("alertname=\"{alert}\""))).collect();
    assert!(untested.is_empty(), "no test has {untested:?} fire");

    let is_bound = |le: &str| le == "+Inf" || le.parse().is_ok_and(|le: f64| SECONDS.contains(&le));
    let bounds: BTreeSet<_> = tests.split("le=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let invented: Vec<_> = bounds.iter().filter(|le| !is_bound(le)).collect();
    assert!(bounds.len() > 5 && invented.is_empty(), "tests of rules have buckets that the code has not: {invented:?}");
    let quantiles = rules.lines().filter(|line| line.contains("histogram_quantile"));
    let thresholds: Vec<f64> = quantiles.filter_map(|line| line.rsplit_once("> ")?.1.parse().ok()).collect();
    let largest = SECONDS.iter().copied().fold(0.0, f64::max);
    assert!(
        thresholds.len() > 2 && thresholds.iter().all(|most| *most < largest),
        "no quantile exceeds {thresholds:?}"
    );

    let expressions: Vec<_> =
        rules.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).collect();
    let expressions = expressions.join(" ");
    let rare: Vec<_> = expressions.split("sum( ").skip(1).filter_map(|rest| rest.split(" ) > ").next()).collect();
    assert!(rare.len() > 8 && rare.len() == expressions.matches("min_over_time").count(), "{rare:#?}");
    assert!(!expressions.contains(" offset "), "a series may be missing at one moment, and not be new");
    for sum in rare {
        assert_eq!(sum, new_in(sum), "another form than the one that is explained at the head of rules.yml");
    }
}

/// What is new in a rare counter, by the form that all rules have: of the counter and of the time that this one has.
fn new_in(sum: &str) -> String {
    let counter = sum.split(" and ").next().expect("a counter");
    let time = sum.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']')).expect("a time").0;
    let seconds = match time {
        "15m" => 900,
        "1h" => 3_600,
        "2h" => 7_200,
        other => panic!("how many seconds are {other}?"),
    };
    let start = "switchboard_start_time_seconds";
    format!(
        "{counter} and on (job, instance) {start} > time() - {seconds} or {counter} and count_over_time({counter}[{time}]) \
         < on (job, instance) group_left count_over_time({start}[{time}]) or {counter} - min_over_time({counter}[{time}])"
    )
}

/// In ARCHITECTURE.md, SECURITY.md and docs/OPERATIONS.md a name in backticks with four underscores or more is a test's.
#[test]
fn files_and_tests_that_the_documents_name_exist() {
    let (readme, architecture, security) = (read("README.md"), read("ARCHITECTURE.md"), read("SECURITY.md"));
    let operations = read("docs/OPERATIONS.md");
    let is_path = |text: &str| {
        let first = text.split('/').next().unwrap_or_default();
        text.contains('/')
            && !text.contains([' ', '*', ':'])
            && (MEMBERS.contains(&first) || ["deploy", "docs", "fuzz"].contains(&first))
    };
    let named = [&readme, &architecture, &security, &operations].into_iter().flat_map(|document| code(document));
    let gone: Vec<_> = named.filter(|text| is_path(text) && !root().join(text).exists()).collect();
    assert!(gone.is_empty(), "files that are not there: {gone:?}");

    let source = sources(&["src", "tests"]);
    let is_test = |text: &str| {
        text.matches('_').count() >= 4
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let of = |document| code(document).into_iter().filter(|text| is_test(text)).collect::<BTreeSet<_>>();
    let (of_promises, of_attacks, of_disasters) = (of(&architecture), of(&security), of(&operations));
    assert!(of_promises.len() > 20, "ARCHITECTURE.md names tests: {of_promises:?}");
    assert!(of_attacks.len() > 20, "SECURITY.md names tests: {of_attacks:?}");
    assert!(of_disasters.len() > 5, "docs/OPERATIONS.md names tests: {of_disasters:?}");
    let tests: BTreeSet<_> = of_promises.into_iter().chain(of_attacks).chain(of_disasters).collect();
    let gone: Vec<_> = tests.into_iter().filter(|name| !source.contains(&format!("fn {name}("))).collect();
    assert!(gone.is_empty(), "tests that are not there: {gone:?}");
}
