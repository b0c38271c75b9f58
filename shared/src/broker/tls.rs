//! TLS with RabbitMQ: whom this process believes, and what it shows of itself.
//!
//! lapin trusts Mozilla's authorities, which are compiled in (its feature `rustls-webpki-roots-certs`), and adds those of
//! `OwnedTLSConfig::cert_chain` to them; the system's store counts for nothing. It parses the text anew for each
//! connection and leaves out what it cannot use, so the files are checked when they are read (`tls.rs` beside this
//! module). The name in the URL must always be in the certificate; nothing turns that off.

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use secrecy::SecretString;

use super::connection::is_encrypted;
use crate::{
    settings::Reader,
    tls::{Authorities, Identity, Peer},
};

/// Whose certificates count, and whose fault it is where they do not.
pub(super) const RABBITMQ: Peer = Peer {
    name: "RabbitMQ",
    authority: "RABBITMQ_CA_FILE must name a file with the certificate of the authority that did",
    identity: Some("RABBITMQ_CERT_FILE and RABBITMQ_KEY_FILE name the one that it is shown"),
};

/// What `amqps://` takes besides the URL.
#[derive(Debug, Clone, Default)]
pub struct BrokerTls {
    /// Authorities of RabbitMQ's certificate, besides the public ones.
    pub authorities: Option<Authorities>,
    /// What RabbitMQ is shown where it asks.
    pub identity: Option<Identity>,
}

impl BrokerTls {
    /// Reads `RABBITMQ_CA_FILE`, `RABBITMQ_CERT_FILE` and `RABBITMQ_KEY_FILE`. They are a problem beside a URL without
    /// TLS: whoever sets them believes that nobody listens.
    pub fn read(reader: &mut Reader, url: Option<&SecretString>) -> Self {
        const VARIABLES: [&str; 3] = ["RABBITMQ_CA_FILE", "RABBITMQ_CERT_FILE", "RABBITMQ_KEY_FILE"];
        let [authorities, chain, key] = VARIABLES;
        let tls =
            Self { authorities: Authorities::read(reader, authorities), identity: Identity::read(reader, chain, key) };
        if url.is_some_and(|url| !is_encrypted(url)) {
            for name in VARIABLES.into_iter().filter(|name| reader.is_set(name)).collect::<Vec<_>>() {
                reader.problem(name, "is set, but RABBITMQ_URL does not begin with `amqps://`");
            }
        }
        tls
    }

    pub(super) fn config(&self) -> OwnedTLSConfig {
        OwnedTLSConfig {
            identity: self.identity.as_ref().map(|identity| OwnedIdentity::PKCS8 {
                pem: identity.chain.as_bytes().to_vec(),
                key: identity.key().as_bytes().to_vec(),
            }),
            cert_chain: self.authorities.as_ref().map(|authorities| authorities.pem().to_owned()),
        }
    }
}
