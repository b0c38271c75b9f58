//! How the dashboard is served.

use secrecy::{ExposeSecret, SecretString};
use shared::settings::{ListenAddr, Reader};

/// Fewer characters than this can be guessed.
const SECRET_LEAST: usize = 16;

/// Where the dashboard is, and who gets in.
#[derive(Debug, Clone)]
pub struct DashboardSettings {
    /// What operators sign in with.
    pub secret: SecretString,
    /// Where it listens.
    pub addr: ListenAddr,
}

impl DashboardSettings {
    /// Reads `DASHBOARD_SECRET` and `DASHBOARD_ADDR`. None: what is missing was noted as a problem.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let addr = dashboard_addr(reader);
        let secret = reader.required_secret("DASHBOARD_SECRET")?;
        if secret.expose_secret().chars().count() < SECRET_LEAST {
            let what = "must have at least 16 characters; `openssl rand -hex 32` makes one";
            reader.problem("DASHBOARD_SECRET", what);
            return None;
        }
        Some(Self { secret, addr })
    }
}

/// Reads `DASHBOARD_ADDR`.
pub fn dashboard_addr(reader: &mut Reader) -> ListenAddr {
    ListenAddr::read(reader, "DASHBOARD_ADDR", "127.0.0.1:8100")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_can_be_guessed_is_refused_and_not_repeated() {
        for (secret, is_enough) in [("fifteen-chars-!", false), ("sixteen-chars-!!", true)] {
            let mut reader = Reader::from_pairs([("DASHBOARD_SECRET", secret)]);
            assert_eq!(DashboardSettings::read(&mut reader).is_some(), is_enough);
            match reader.finish() {
                Ok(()) => assert!(is_enough),
                Err(problems) => {
                    let told = problems.to_string();
                    assert!(
                        told.contains("DASHBOARD_SECRET must have at least 16") && !told.contains(secret),
                        "{told}"
                    );
                }
            }
        }
    }
}
