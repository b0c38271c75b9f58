//! Whether the ratios are reached that the project promises. A pure function of the report: each rule names its
//! figures, and one whose figures are missing was not measured.

use serde::Serialize;

use super::{
    options::Scenario,
    report::{Report, line, readable},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Reached,
    NotReached,
    NotMeasured,
}

/// One promise and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Judgement {
    pub(super) what: &'static str,
    pub(super) target: f64,
    pub(super) at_least: bool,
    pub(super) unit: &'static str,
    pub(super) measured: Option<f64>,
    pub(super) verdict: Verdict,
}

impl Judgement {
    pub(super) fn is_not_reached(&self) -> bool {
        self.verdict == Verdict::NotReached
    }

    pub(super) fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Reached => "reached",
            Verdict::NotReached => "NOT REACHED",
            Verdict::NotMeasured => "not measured",
        }
    }

    pub(super) fn bound(&self) -> String {
        let bound = if self.at_least { "at least" } else { "at most" };
        format!("{bound} {} {}", readable(self.target), self.unit).trim_end().to_owned()
    }

    pub(super) fn value(&self) -> String {
        let shown = |value| format!("{} {}", readable(value), self.unit).trim_end().to_owned();
        self.measured.map(shown).unwrap_or_default()
    }
}

struct Rule {
    what: &'static str,
    bound: Bound,
    unit: &'static str,
    measured: fn(&Report) -> Option<f64>,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Under(f64),
}

const RULES: &[Rule] = &[
    Rule {
        what: "ingest, single messages: times the reference",
        bound: Bound::AtLeast(8.0),
        unit: "×",
        measured: |report| of_the_reference(report, "1 process"),
    },
    Rule {
        what: "the same, with a reference of two processes",
        bound: Bound::AtLeast(8.0),
        unit: "×",
        measured: |report| of_the_reference(report, "2 processes"),
    },
    Rule {
        what: "ingest, single messages: of the bare publisher",
        bound: Bound::AtLeast(45.0),
        unit: "%",
        measured: |report| of_the_broker(report, "single"),
    },
    Rule {
        what: "ingest, batches of 50: of the bare publisher",
        bound: Bound::AtLeast(80.0),
        unit: "%",
        measured: |report| of_the_broker(report, "batches of 50"),
    },
    Rule {
        what: "ingest at half its top rate: p99",
        bound: Bound::Under(10.0),
        unit: "ms",
        measured: |report| report.value(Scenario::Ingest, "half of the top rate", "p99"),
    },
    Rule {
        what: "ingest at 256 connections: resident",
        bound: Bound::Under(40.0),
        unit: "MB",
        measured: |report| report.value(Scenario::Ingest, "single, 256", "resident"),
    },
    Rule {
        what: "ingest: 1,000 updates in one body",
        bound: Bound::Under(250.0),
        unit: "ms",
        measured: |report| report.value(Scenario::Ingest, "one body of 1,000 updates", "longest"),
    },
    Rule {
        what: "ingest: ready after its start",
        bound: Bound::Under(200.0),
        unit: "ms",
        measured: |report| report.value(Scenario::Start, "ingest", "median"),
    },
    Rule {
        what: "ingest: stripped binary",
        bound: Bound::Under(12.0),
        unit: "MB",
        measured: |report| report.value(Scenario::Start, "ingest", "binary"),
    },
    Rule {
        what: "worker: round trips to MongoDB per answer",
        bound: Bound::AtMost(5.0),
        unit: "",
        measured: |report| report.value(Scenario::Worker, "MongoDB, one answered text", "round trips"),
    },
    Rule {
        what: "worker: of what its bare writes reach",
        bound: Bound::AtLeast(60.0),
        unit: "%",
        measured: |report| {
            let bare = report.best(Scenario::Worker, "bare writes", "rate")?;
            Some(100.0 * report.best(Scenario::Worker, "top rate", "rate")? / bare)
        },
    },
    Rule {
        what: "worker at 50 in flight: p95 of what it adds",
        bound: Bound::Under(20.0),
        unit: "ms",
        measured: |report| report.value(Scenario::Worker, "50 in flight", "p95"),
    },
    Rule {
        what: "worker at 10,000 in flight: resident",
        bound: Bound::Under(300.0),
        unit: "MB",
        measured: |report| report.value(Scenario::Worker, "10,000 in flight", "resident"),
    },
    Rule {
        what: "four workers: times one, with an AI of 1 s",
        bound: Bound::AtLeast(3.6),
        unit: "×",
        measured: |report| {
            let one = report.value(Scenario::Growth, "1 worker", "rate")?;
            Some(report.value(Scenario::Growth, "4 workers", "rate")? / one)
        },
    },
    Rule {
        what: "backlog: time per message, four times the length",
        bound: Bound::AtMost(1.15),
        unit: "×",
        measured: |report| {
            let short = report.value(Scenario::Backlog, "a quarter of it", "each")?;
            Some(report.value(Scenario::Backlog, "all of it", "each")? / short)
        },
    },
];

/// Ingest's best rate in one process, by the reference's best with so many.
fn of_the_reference(report: &Report, processes: &str) -> Option<f64> {
    let reference = report.best(Scenario::Reference, &format!("{processes}, single"), "rate")?;
    Some(report.best(Scenario::Ingest, "single", "rate")? / reference)
}

fn of_the_broker(report: &Report, what: &str) -> Option<f64> {
    Some(100.0 * report.best(Scenario::Ingest, what, "rate")? / report.best(Scenario::Broker, what, "rate")?)
}

pub(super) fn judge(report: &Report) -> Vec<Judgement> {
    let judged = RULES.iter().map(|rule| {
        let measured = (rule.measured)(report).filter(|value| value.is_finite());
        let holds = |value: f64| match rule.bound {
            Bound::AtLeast(target) => value >= target,
            Bound::AtMost(target) => value <= target,
            Bound::Under(target) => value < target,
        };
        let verdict = match measured {
            None => Verdict::NotMeasured,
            Some(value) if holds(value) => Verdict::Reached,
            Some(_) => Verdict::NotReached,
        };
        let (target, at_least) = match rule.bound {
            Bound::AtLeast(target) => (target, true),
            Bound::AtMost(target) | Bound::Under(target) => (target, false),
        };
        Judgement { what: rule.what, target, at_least, unit: rule.unit, measured, verdict }
    });
    judged.collect()
}

pub(super) fn print(judgements: &[Judgement]) {
    for one in judgements {
        line(&format!("{:<50} {:<18} {:<12} {}", one.what, one.bound(), one.value(), one.word()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::{figure, in_flight};

    fn verdict(report: &Report, what: &str) -> (Verdict, Option<f64>) {
        let judged = judge(report);
        let one = judged.iter().find(|one| one.what.contains(what)).expect("there is such a rule");
        (one.verdict, one.measured)
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let judged = judge(&Report::default());
        assert!(judged.iter().all(|one| one.verdict == Verdict::NotMeasured && !one.is_not_reached()));
    }

    #[test]
    fn a_ratio_takes_the_best_of_both_sides() {
        let mut report = Report::default();
        let mut add = |scenario, what: &str, rate| report.add(scenario, what, vec![figure("rate", rate, "/s")]);
        add(Scenario::Reference, "1 process, single, 1", 500.0);
        add(Scenario::Reference, "1 process, single, 16", 1_000.0);
        add(Scenario::Reference, "2 processes, single, 16", 1_600.0);
        add(Scenario::Ingest, "single, 16", 3_000.0);
        add(Scenario::Ingest, "single, 64", 8_000.0);
        add(Scenario::Broker, "single, 64", 20_000.0);
        assert_eq!(verdict(&report, "times the reference"), (Verdict::Reached, Some(8.0)));
        assert_eq!(verdict(&report, "reference of two processes"), (Verdict::NotReached, Some(5.0)));
        assert_eq!(verdict(&report, "single messages: of the bare"), (Verdict::NotReached, Some(40.0)));
        assert_eq!(verdict(&report, "batches of 50").0, Verdict::NotMeasured, "one side is missing");
    }

    #[test]
    fn under_excludes_the_bound_and_at_most_does_not() {
        let mut report = Report::default();
        report.add(Scenario::Worker, "50 in flight", vec![figure("p95", 20.0, "ms")]);
        report.add(Scenario::Worker, "MongoDB, one answered text", vec![figure("round trips", 5.0, "")]);
        report.add(Scenario::Ingest, "single, 256", vec![figure("resident", 39.9, "MB")]);
        assert_eq!(verdict(&report, "50 in flight").0, Verdict::NotReached);
        assert_eq!(verdict(&report, "round trips").0, Verdict::Reached);
        assert_eq!(verdict(&report, "256 connections").0, Verdict::Reached);
    }

    #[test]
    fn every_rule_finds_the_rows_that_a_full_run_writes() {
        let mut report = Report::default();
        let figures = |names: &[&'static str]| names.iter().map(|name| figure(name, 1.0, "")).collect::<Vec<_>>();
        for (scenario, what, names) in [
            (Scenario::Broker, "single, 256", &["rate"][..]),
            (Scenario::Broker, "batches of 50, 256", &["rate"]),
            (Scenario::Ingest, "single, 256", &["rate", "resident"]),
            (Scenario::Ingest, "batches of 50, 256", &["rate"]),
            (Scenario::Ingest, "half of the top rate", &["p99"]),
            (Scenario::Ingest, "one body of 1,000 updates", &["longest"]),
            (Scenario::Reference, "1 process, single, 256", &["rate"]),
            (Scenario::Reference, "2 processes, single, 256", &["rate"]),
            (Scenario::Start, "ingest", &["median", "binary"]),
            (Scenario::Worker, "MongoDB, one answered text", &["round trips"]),
            (Scenario::Worker, "top rate, 64 in flight", &["rate"]),
            (Scenario::Worker, "bare writes, 64 at once", &["rate"]),
            (Scenario::Worker, &in_flight(50), &["p95"]),
            (Scenario::Worker, &in_flight(10_000), &["resident"]),
            (Scenario::Growth, "1 worker", &["rate"]),
            (Scenario::Growth, "4 workers", &["rate"]),
            (Scenario::Backlog, "a quarter of it", &["each"]),
            (Scenario::Backlog, "all of it", &["each"]),
        ] {
            report.add(scenario, what, figures(names));
        }
        let missed: Vec<_> = judge(&report).into_iter().filter(|one| one.measured.is_none()).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }

    #[test]
    fn nothing_answered_is_not_a_ratio() {
        let mut report = Report::default();
        report.add(Scenario::Growth, "1 worker", vec![figure("rate", 0.0, "/s")]);
        report.add(Scenario::Growth, "4 workers", vec![figure("rate", 100.0, "/s")]);
        assert_eq!(verdict(&report, "four workers").0, Verdict::NotMeasured);
    }
}
