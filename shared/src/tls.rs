//! Certificates that operators give, and what is wrong with those that servers show.
//!
//! A file is read once, at the start, and checked as rustls will use it: one that is missing, holds no certificate or one
//! that cannot be an authority's is a problem of the configuration. Unchecked it would be one of every connection: lapin
//! and the driver of MongoDB leave out what they cannot use, and then trust nobody.

use std::{error::Error, fmt, io, path::Path};

use rustls::{
    AlertDescription, CertificateError, Error as TlsError, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret, SecretString};

use crate::settings::Reader;

/// Certificates of authorities, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    pem: String,
    certificates: Vec<CertificateDer<'static>>,
}

/// A certificate with its key, for servers that want to know who asks.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate and those between it and its authority, PEM.
    pub chain: String,
    /// Its key, PEM.
    pub key: SecretString,
}

impl Authorities {
    /// Reads the file that a variable names. None: it is unset, or what is wrong was noted as a problem.
    pub fn read(reader: &mut Reader, name: &'static str) -> Option<Self> {
        let path = reader.text(name)?;
        Self::from_file(Path::new(&path)).map_err(|problem| reader.problem(name, problem)).ok()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it; completes a sentence that begins with the name of who names the file.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let (pem, certificates) = certificates(path)?;
        let mut store = RootCertStore::empty();
        for (position, certificate) in certificates.iter().enumerate() {
            store.add(certificate.clone()).map_err(|error| {
                format!(
                    "names a file with a certificate that is of no use (number {}): {error}: {}",
                    position + 1,
                    path.display()
                )
            })?;
        }
        Ok(Self { pem, certificates })
    }

    /// The text of the file.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Each certificate, DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(AsRef::as_ref)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.certificates.len())
    }
}

impl Identity {
    /// Reads the two files that two variables name. None: both are unset, or what is wrong was noted as a problem.
    pub fn read(reader: &mut Reader, chain: &'static str, key: &'static str) -> Option<Self> {
        let (chain_path, key_path) = match (reader.text(chain), reader.text(key)) {
            (Some(chain_path), Some(key_path)) => (chain_path, key_path),
            (None, None) => return None,
            (Some(_), None) => {
                reader.problem(key, format!("is required where {chain} is set"));
                return None;
            }
            (None, Some(_)) => {
                reader.problem(chain, format!("is required where {key} is set"));
                return None;
            }
        };
        let certificates = certificates(Path::new(&chain_path)).map_err(|problem| reader.problem(chain, problem));
        let read = private_key(Path::new(&key_path)).map_err(|problem| reader.problem(key, problem));
        let ((chain_text, certificates), (key_text, private_key)) = (certificates.ok()?, read.ok()?);
        if let Err(error) = fit(certificates, private_key) {
            reader.problem(key, format!("does not name the key of the certificate in {chain}: {error}"));
            return None;
        }
        Some(Self { chain: chain_text, key: SecretString::from(key_text) })
    }

    /// Reads a file that holds both.
    ///
    /// # Errors
    /// As of [`Authorities::from_file`].
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let ((chain, certificates), (key, private_key)) = (certificates(path)?, private_key(path)?);
        fit(certificates, private_key)
            .map_err(|error| format!("names a file whose key is not its certificate's, {}: {error}", path.display()))?;
        Ok(Self { chain, key: SecretString::from(key) })
    }

    /// The key, for who shows the certificate.
    pub fn key(&self) -> &str {
        self.key.expose_secret()
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("names a file that cannot be read, {}: {error}", path.display()))
}

/// The text, and what is in it.
fn certificates(path: &Path) -> Result<(String, Vec<CertificateDer<'static>>), String> {
    let pem = text_of(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|_| format!("names a file with a broken certificate, {}", path.display()))?;
    if found.is_empty() {
        return Err(format!(
            "names a file without a certificate in PEM (`-----BEGIN CERTIFICATE-----`), {}",
            path.display()
        ));
    }
    Ok((pem, found))
}

/// The text, and what is in it.
fn private_key(path: &Path) -> Result<(String, PrivateKeyDer<'static>), String> {
    const FORMS: &str = "PKCS #8, PKCS #1 or SEC 1, without a password";
    let pem = text_of(path)?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
    let key = key.map_err(|_| format!("names a file without a private key in PEM ({FORMS}), {}", path.display()))?;
    Ok((pem, key))
}

fn fit(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), TlsError> {
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map(drop)
}

/// A server, and what an operator can do where it is not believed or does not believe.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Such as "RabbitMQ".
    pub name: &'static str,
    /// How its authority is made known.
    pub authority: &'static str,
    /// How it is shown a certificate of ours; none where it asks for none.
    pub identity: Option<&'static str>,
}

impl Peer {
    /// What a failure says where TLS is what failed; none otherwise.
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls's errors are a foreign enum that grows")]
    pub fn explain(&self, error: &(dyn Error + 'static)) -> Option<String> {
        let name = self.name;
        Some(match tls_error(error)? {
            TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => self.untrusted(),
            TlsError::InvalidCertificate(problem) => format!("the certificate of {name} is not accepted: {problem}"),
            TlsError::AlertReceived(alert) if is_about_us(*alert) => {
                let identity = self.identity.unwrap_or("nobody here has one");
                format!("{name} does not accept this client's certificate, or misses one ({alert:?}): {identity}")
            }
            TlsError::InvalidMessage(_) => format!("{name} does not speak TLS at this port"),
            other => format!("no TLS with {name}: {other}"),
        })
    }

    /// That nobody whom we know vouches for it.
    pub fn untrusted(&self) -> String {
        let Self { name, authority, .. } = self;
        format!("the certificate of {name} is not trusted, for no known authority issued it: {authority}")
    }
}

/// Whether a server's certificate is what failed.
pub fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    matches!(tls_error(error), Some(TlsError::InvalidCertificate(_)))
}

fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    let about_us = [
        Alert::CertificateRequired,
        Alert::NoCertificate,
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::UnknownCA,
        Alert::AccessDenied,
    ];
    about_us.contains(&alert)
}

/// Where TLS failed: the innermost causes of I/O errors are not among their sources.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::InvalidMessage;

    use super::*;

    const NAMES: (&str, &str, &str) = ("CA_FILE", "CERT_FILE", "KEY_FILE");

    fn certificate() -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["rabbit.example".to_owned()]).expect("a name");
        (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn problems(pairs: &[(&str, &Path)], read: impl FnOnce(&mut Reader) -> bool) -> String {
        let pairs = pairs.iter().map(|(name, path)| (*name, path.to_str().expect("UTF-8")));
        let mut reader = Reader::from_pairs(pairs);
        assert!(!read(&mut reader), "nothing may come of it");
        reader.finish().expect_err("there are problems").to_string()
    }

    #[test]
    fn a_file_of_authorities_has_every_certificate_or_is_a_problem_by_the_variables_name() {
        let (one, two) = (certificate().0, certificate().0);
        let both = file(&format!("a comment\n{one}\n{two}"));
        let mut reader = Reader::from_pairs([(NAMES.0, both.path().to_str().expect("UTF-8"))]);
        let read = Authorities::read(&mut reader, NAMES.0).expect("two");
        assert_eq!((read.certificates().count(), format!("{read:?}").as_str()), (2, "Authorities(2)"));
        reader.finish().expect("no problem");
        assert!(Authorities::read(&mut Reader::from_pairs([("OTHER", "x")]), NAMES.0).is_none());

        let broken = one.replacen("MII", "!!!", 1);
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, expected) in [
            ("", "without a certificate"),
            ("hello", "without a certificate"),
            (certificate().1.as_str(), "without a certificate"),
            (broken.as_str(), "broken certificate"),
            (no_certificate, "of no use (number 1)"),
            (&format!("{one}{no_certificate}"), "of no use (number 2)"),
        ] {
            let file = file(text);
            let told = problems(&[(NAMES.0, file.path())], |r| Authorities::read(r, NAMES.0).is_some());
            assert!(told.contains("\n  CA_FILE names a file") && told.contains(expected), "{told}");
        }
        let told = problems(&[(NAMES.0, Path::new("/nowhere"))], |r| Authorities::read(r, NAMES.0).is_some());
        assert!(told.contains("CA_FILE names a file that cannot be read, /nowhere"), "{told}");
    }

    #[test]
    fn an_identity_is_a_certificate_and_its_own_key_or_neither() {
        let ((chain, key), (_, other)) = (certificate(), certificate());
        let (chain, key, other, empty) = (file(&chain), file(&key), file(&other), file("nothing"));
        let path = |file: &tempfile::NamedTempFile| file.path().to_str().expect("UTF-8").to_owned();
        let mut reader = Reader::from_pairs([(NAMES.1, path(&chain)), (NAMES.2, path(&key))]);
        let identity = Identity::read(&mut reader, NAMES.1, NAMES.2).expect("both");
        assert!(!format!("{identity:?}").contains("PRIVATE KEY"));
        reader.finish().expect("no problem");

        let read = |r: &mut Reader| Identity::read(r, NAMES.1, NAMES.2).is_some();
        let told = problems(&[(NAMES.1, chain.path())], read);
        assert!(told.contains("KEY_FILE is required where CERT_FILE is set"), "{told}");
        let told = problems(&[(NAMES.2, key.path())], read);
        assert!(told.contains("CERT_FILE is required where KEY_FILE is set"), "{told}");
        let told = problems(&[(NAMES.1, chain.path()), (NAMES.2, other.path())], read);
        assert!(told.contains("KEY_FILE does not name the key of the certificate in CERT_FILE"), "{told}");
        let told = problems(&[(NAMES.1, empty.path()), (NAMES.2, empty.path())], read);
        assert!(told.contains("CERT_FILE names a file without a certificate"), "{told}");
        assert!(told.contains("KEY_FILE names a file without a private key"), "{told}");
    }

    #[test]
    fn a_failure_of_tls_says_what_to_do_however_deep_it_lies() {
        let peer = Peer { name: "RabbitMQ", authority: "set CA_FILE", identity: Some("set CERT_FILE") };
        let deep = |error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        let explain = |error| peer.explain(&deep(error)).expect("TLS failed");
        let unknown = explain(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(unknown.contains("RabbitMQ is not trusted") && unknown.ends_with("set CA_FILE"), "{unknown}");
        let expired = explain(TlsError::InvalidCertificate(CertificateError::Expired));
        assert!(expired.contains("is not accepted") && !expired.contains("CA_FILE"), "{expired}");
        let required = explain(TlsError::AlertReceived(AlertDescription::CertificateRequired));
        assert!(required.ends_with("set CERT_FILE"), "{required}");
        let plain = explain(TlsError::InvalidMessage(InvalidMessage::InvalidContentType));
        assert!(plain.contains("does not speak TLS"), "{plain}");
        assert_eq!(peer.explain(&io::Error::other("refused")), None);
    }
}
