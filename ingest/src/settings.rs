//! What ingest is told by its environment, checked as a whole before a port is bound.
//!
//! A signature is verified wherever there is a secret to verify it with: `ALLOW_UNSIGNED` replaces a missing
//! secret and never weakens one that is set.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use shared::{
    settings::{BrokerSettings, ListenAddr, Problems, Reader, Variable, app_secrets, stop_timeout},
    telemetry::TelemetrySettings,
};

use crate::signatures::Signatures;

const METRICS_ADDR: &str = "127.0.0.1:9100";

/// The variables that ingest alone reads, besides [`shared::settings::SHARED_VARIABLES`].
pub const VARIABLES: &[Variable] = &[
    Variable { name: "INGEST_ADDR", default: "0.0.0.0:8000", secret: false, meaning: "where Meta's webhooks arrive" },
    Variable {
        name: "METRICS_ADDR",
        default: METRICS_ADDR,
        secret: false,
        meaning: "serves `/metrics`, `/healthz` and `/readyz`",
    },
    Variable {
        name: "WHATSAPP_VERIFY_TOKEN",
        default: "required",
        secret: true,
        meaning: "the verify token that Meta's app dashboard was given",
    },
    Variable {
        name: "WHATSAPP_APP_SECRET",
        default: "required",
        secret: true,
        meaning: "secrets of the Meta apps, comma-separated, each `secret` or `app_id:secret`",
    },
    Variable {
        name: "ALLOW_UNSIGNED",
        default: "false",
        secret: false,
        meaning: "`true` takes webhooks from anybody, where no app secret is set",
    },
];

/// Everything that ingest is told. Prints without its secrets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Meta's webhooks arrive; port 0 takes any free one.
    pub addr: SocketAddr,
    /// Where operators look.
    pub metrics: ListenAddr,
    /// Whose webhooks are taken.
    pub webhooks: WebhookSettings,
    /// How to reach RabbitMQ.
    pub broker: BrokerSettings,
    /// How logs look.
    pub telemetry: TelemetrySettings,
    /// How long a stop may take.
    pub stop_timeout: Duration,
}

/// Whose webhooks are taken. Prints without its secrets.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// What Meta must present in the handshake.
    pub verify_token: SecretString,
    /// How webhooks are told from forgeries.
    pub signatures: Signatures,
    /// Whether `ALLOW_UNSIGNED` is set although there is a secret, which wins.
    pub allow_unsigned_ignored: bool,
}

impl WebhookSettings {
    /// Reads `WHATSAPP_VERIFY_TOKEN`, `WHATSAPP_APP_SECRET` and `ALLOW_UNSIGNED`; `allow_unsigned` is the command line's
    /// flag. None: what is missing was noted.
    pub fn read(reader: &mut Reader, allow_unsigned: bool) -> Option<Self> {
        let verify_token = reader.required_secret("WHATSAPP_VERIFY_TOKEN");
        let secrets: Vec<_> = app_secrets(reader).into_iter().map(|app| app.secret).collect();
        let allow_unsigned = reader.flag("ALLOW_UNSIGNED") || allow_unsigned;
        let secret_is_set = reader.is_set("WHATSAPP_APP_SECRET");
        if !secret_is_set && !allow_unsigned {
            let what = "is required (or WHATSAPP_APP_SECRET_FILE; for tests, ALLOW_UNSIGNED=true does without)";
            reader.problem("WHATSAPP_APP_SECRET", what);
        }
        Some(Self {
            verify_token: verify_token?,
            signatures: if secret_is_set { Signatures::Verified(secrets) } else { Signatures::Unsigned },
            allow_unsigned_ignored: secret_is_set && allow_unsigned,
        })
    }

    /// Says at each start what an operator should not forget.
    pub fn warn(&self) {
        if matches!(self.signatures, Signatures::Unsigned) {
            tracing::warn!("ALLOW_UNSIGNED: webhooks are NOT verified, anybody can send messages in a customer's name");
        }
        if self.allow_unsigned_ignored {
            tracing::warn!("ALLOW_UNSIGNED is ignored, because WHATSAPP_APP_SECRET is set: webhooks are verified");
        }
    }
}

impl Settings {
    /// Reads everything; `allow_unsigned` is the command line's flag.
    ///
    /// # Errors
    /// Every problem at once, by variable name.
    pub fn read(mut reader: Reader, allow_unsigned: bool) -> Result<Self, Problems> {
        let settings = Self::read_from(&mut reader, allow_unsigned);
        reader.finish()?;
        Ok(settings.expect("whatever keeps the settings from being complete was noted as a problem"))
    }

    fn read_from(reader: &mut Reader, allow_unsigned: bool) -> Option<Self> {
        let addr = ListenAddr::read(reader, "INGEST_ADDR", "0.0.0.0:8000").addr;
        let metrics = ListenAddr::read(reader, "METRICS_ADDR", METRICS_ADDR);
        let webhooks = WebhookSettings::read(reader, allow_unsigned);
        let broker = BrokerSettings::read(reader);
        let telemetry = TelemetrySettings::read(reader);
        let stop_timeout = stop_timeout(reader);
        Some(Self { addr, metrics, webhooks: webhooks?, broker: broker?, telemetry, stop_timeout })
    }
}

/// The operators' address alone, for `healthcheck`, which must work whatever else is set.
///
/// # Errors
/// `METRICS_ADDR` is no address.
pub fn metrics_addr(mut reader: Reader) -> Result<SocketAddr, Problems> {
    let listen = ListenAddr::read(&mut reader, "METRICS_ADDR", METRICS_ADDR);
    reader.finish().map(|()| listen.addr)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::settings::SHARED_VARIABLES;

    use super::*;

    const COMPLETE: [(&str, &str); 3] = [
        ("RABBITMQ_URL", "amqp://user:hunter1@localhost"),
        ("WHATSAPP_VERIFY_TOKEN", "hunter2"),
        ("WHATSAPP_APP_SECRET", "hunter3,77:hunter4"),
    ];

    fn read(pairs: &[(&str, &str)], allow_unsigned: bool) -> Result<Settings, Problems> {
        Settings::read(Reader::from_pairs(pairs.iter().copied()), allow_unsigned)
    }

    #[test]
    fn what_is_asked_for_is_what_the_tables_say() {
        let mut reader = Reader::from_pairs(COMPLETE);
        assert!(Settings::read_from(&mut reader, false).is_some());
        let asked: BTreeSet<_> = reader.asked().iter().copied().collect();
        let listed: BTreeSet<_> = VARIABLES.iter().chain(SHARED_VARIABLES).map(|variable| variable.name).collect();
        assert_eq!(asked, listed);
    }

    #[test]
    fn defaults_are_those_of_the_table() {
        let settings = read(&COMPLETE, false).expect("complete");
        assert_eq!(settings.addr.to_string(), "0.0.0.0:8000");
        assert_eq!(settings.metrics.addr.to_string(), METRICS_ADDR);
        assert!(matches!(&settings.webhooks.signatures, Signatures::Verified(secrets) if secrets.len() == 2));
        assert!(!settings.webhooks.allow_unsigned_ignored);
        assert_eq!(settings.stop_timeout, Duration::from_secs(40));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let text = read(&[("INGEST_ADDR", "here"), ("ALLOW_UNSIGNED", "maybe"), ("METRICS_ADDR", "there")], false)
            .expect_err("nothing is right")
            .to_string();
        for name in [
            "INGEST_ADDR",
            "METRICS_ADDR",
            "WHATSAPP_VERIFY_TOKEN",
            "WHATSAPP_APP_SECRET",
            "ALLOW_UNSIGNED",
            "RABBITMQ_URL",
        ] {
            assert_eq!(text.matches(&format!("\n  {name} ")).count(), 1, "{name} once in: {text}");
        }
    }

    #[test]
    fn unsigned_replaces_a_missing_secret_and_never_weakens_one() {
        let without = &COMPLETE[..2];
        assert!(read(without, false).is_err());
        assert!(matches!(read(without, true).expect("the flag").webhooks.signatures, Signatures::Unsigned));
        let by_variable = [COMPLETE[0], COMPLETE[1], ("ALLOW_UNSIGNED", "true")];
        assert!(matches!(read(&by_variable, false).expect("the variable").webhooks.signatures, Signatures::Unsigned));
        let both = read(&COMPLETE, true).expect("the secret wins");
        assert!(both.webhooks.allow_unsigned_ignored && matches!(both.webhooks.signatures, Signatures::Verified(_)));
        let broken = [COMPLETE[0], COMPLETE[1], ("WHATSAPP_APP_SECRET", ","), ("ALLOW_UNSIGNED", "true")];
        assert!(read(&broken, false).is_err(), "a broken secret is not a missing one");
    }

    #[test]
    fn settings_do_not_print_their_secrets() {
        let printed = format!("{:?}", read(&COMPLETE, false).expect("complete"));
        assert!(!printed.contains("hunter"), "{printed}");
    }
}
