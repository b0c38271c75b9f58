//! `simulator bench`: the product measured on one machine, over a real RabbitMQ and a real MongoDB.
//!
//! Each scenario is a file: `broker.rs`, `ingest.rs`, `reference.rs`, `start.rs`, `worker.rs`, `end_to_end.rs`,
//! `growth.rs`, `backlog.rs`. They add rows to one [`report::Report`], from which `judge.rs` says whether the ratios
//! are reached that the project promises; nothing else decides. Load and stand-ins share the machine with what is
//! measured, so a ratio is worth more than a figure, and both sides of a ratio come from the same run.

mod options;
mod report;
mod judge;
mod chart;
mod machine;

mod http;
mod requests;
mod load;
mod queues;
mod process;
mod stage;
mod ledger;
mod stand_in;
mod dialogue;
mod tap;
mod bare;

mod broker;
mod ingest;
mod reference;
mod start;
mod worker;
mod end_to_end;
mod growth;
mod backlog;

use std::process::ExitCode;

use anyhow::Context;

pub(crate) use options::Bench;

use self::{
    judge::Judgement,
    options::Scenario,
    report::{Report, line},
    stage::Stage,
};

impl Bench {
    /// Runs the scenarios, prints a table, and writes `report.json`, `report.md` and `report.svg`.
    ///
    /// # Errors
    /// A server or a binary is missing, or a scenario could not be carried out. What was measured before is written.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let stage = Stage::set(&self)?;
        let mut report = Report::default();
        let machine = machine::describe(&stage).await;
        for fact in &machine {
            line(&format!("{:<12} {}", fact.what, fact.value));
        }
        let mut done = Ok(());
        for scenario in self.scenarios() {
            line(&format!("\n{}: {}", scenario.name(), scenario.meaning()));
            let from = report.rows().len();
            done =
                perform(scenario, &stage, &mut report).await.with_context(|| format!("scenario {}", scenario.name()));
            report.print_from(from);
            if done.is_err() {
                break;
            }
        }
        let judgements = judge::judge(&report);
        report.write(&stage.out, &machine, &stage.size, &judgements).context("write the report")?;
        done?;
        line("");
        judge::print(&judgements);
        line(&format!("\nreport       {}: report.json, report.md, report.svg", stage.out.display()));
        let failed = self.judge && judgements.iter().any(Judgement::is_not_reached);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

async fn perform(scenario: Scenario, stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    match scenario {
        Scenario::Broker => broker::run(stage, report).await,
        Scenario::Ingest => ingest::run(stage, report).await,
        Scenario::Reference => reference::run(stage, report).await,
        Scenario::Start => start::run(stage, report).await,
        Scenario::Worker => worker::run(stage, report).await,
        Scenario::EndToEnd => end_to_end::run(stage, report).await,
        Scenario::Growth => growth::run(stage, report).await,
        Scenario::Backlog => backlog::run(stage, report).await,
    }
}
