//! The configuration: read as `run` reads it, but so that what is missing keeps nobody from looking at the rest.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use shared::{
    settings::{BrokerSettings, Problems, Reader, stop_timeout},
    telemetry::TelemetrySettings,
};

use super::{
    Source,
    check::{Check, Part},
};
use crate::settings::{
    AiSettings, EncryptionSettings, FallbackSettings, MetaApps, TurnSettings, graph_url, metrics_addr,
};

/// What the examination goes by.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) broker: Option<BrokerSettings>,
    pub(super) encryption: Option<EncryptionSettings>,
    pub(super) fallback: Option<FallbackSettings>,
    pub(super) apps: MetaApps,
    pub(super) graph_url: String,
    pub(super) ai: AiSettings,
}

impl Told {
    pub(super) fn read(reader: &mut Reader, source: Source) -> Self {
        drop(TelemetrySettings::read(reader));
        metrics_addr(reader);
        TurnSettings::read(reader);
        stop_timeout(reader);
        Self {
            broker: match source {
                Source::Queues => BrokerSettings::read(reader),
                Source::Direct => None,
            },
            encryption: EncryptionSettings::read(reader),
            fallback: FallbackSettings::read(reader),
            apps: MetaApps::read(reader),
            graph_url: graph_url(reader),
            ai: AiSettings::read(reader),
        }
    }
}

/// What the reading found.
pub(super) fn judge(problems: Option<&Problems>, told: &Told) -> Vec<Check> {
    // Two of the readers may have looked at the same variable.
    let problems: BTreeSet<_> = problems.into_iter().flat_map(Problems::list).collect();
    let wrong = |(name, problem): &(String, String)| {
        let mend =
            format!("set {name} in the environment, or in the file `.env`; README.md has the table of variables");
        Check::error(Part::Configuration, name, problem, mend)
    };
    let mut checks: Vec<_> = problems.into_iter().map(wrong).collect();
    if checks.is_empty() {
        checks.push(Check::ok(
            Part::Configuration,
            "variables",
            "every variable that is needed is set and can be read",
        ));
    }
    if told.apps.is_empty() {
        let problem =
            "the Meta app is not known, so that its secret cannot be tried, and tokens are asked about themselves";
        let mend = "set META_APP_ID and WHATSAPP_APP_SECRET (App settings, Basic) for the worker, too";
        checks.push(Check::warning(Part::Configuration, "META_APP_ID", problem, mend));
    }
    checks.extend(told.encryption.as_ref().and_then(|encryption| weak(&encryption.current)));
    checks
}

/// A secret that a person made up.
fn weak(secret: &SecretString) -> Option<Check> {
    const CHARACTERS_LEAST: usize = 16;
    (secret.expose_secret().chars().count() < CHARACTERS_LEAST).then(|| {
        let problem =
            format!("has fewer than {CHARACTERS_LEAST} characters, so that whoever has the database can guess it");
        let mend = "make one (openssl rand -hex 32), and rotate to it: README.md, \"Add a business\"";
        Check::warning(Part::Configuration, "ENCRYPTION_SECRET", problem, mend)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::check::Severity, *};

    #[test]
    fn every_problem_is_a_check_with_its_variable_and_no_value() {
        let mut reader = Reader::from_pairs([
            ("ENCRYPTION_SECRET", "hunter2"),
            ("GRAPH_API_URL", "graph.facebook.com"),
            ("LEASE_SECS", "0"),
        ]);
        let told = Told::read(&mut reader, Source::Queues);
        let problems = reader.finish().expect_err("it is wrong");
        let checks = judge(Some(&problems), &told);
        let errors: Vec<_> = checks.iter().filter(|check| check.severity == Severity::Error).collect();
        for name in ["RABBITMQ_URL", "GRAPH_API_URL", "LEASE_SECS", "GROQ_API_KEY"] {
            assert!(errors.iter().any(|check| check.subject == name), "{name}: {errors:?}");
        }
        assert!(checks.iter().any(|check| check.subject == "ENCRYPTION_SECRET" && check.severity == Severity::Warning));
        assert!(checks.iter().any(|check| check.subject == "META_APP_ID"));
        assert!(!format!("{checks:?}").contains("hunter2"));
    }

    #[test]
    fn without_queues_no_broker_is_asked_for() {
        let mut reader = Reader::from_pairs([("ENCRYPTION_SECRET", "0123456789abcdef"), ("GROQ_API_KEY", "k")]);
        let told = Told::read(&mut reader, Source::Direct);
        reader.finish().expect("nothing is missing");
        assert!(told.broker.is_none());
    }
}
