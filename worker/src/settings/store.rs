//! Which database, and the files that its connection string names.
//!
//! The options for TLS are MongoDB's own. The driver reads their files where it is too late to tell anybody, and goes on
//! without what it cannot use, so they are read here as well.

use mongodb::options::{ConnectionString, Tls};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    settings::Reader,
    tls::{Authorities, Identity},
};

const URI: &str = "MONGODB_URI";

/// Which database.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `mongodb://…`, with the password.
    pub uri: SecretString,
    /// The database's name.
    pub database: String,
}

impl StoreSettings {
    /// Reads `MONGODB_URI` and `MONGODB_DB_NAME`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let uri = reader.required_secret(URI);
        let database = reader.text("MONGODB_DB_NAME").unwrap_or_else(|| "switchboard".to_owned());
        if database.len() > 63 || database.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
            reader.problem("MONGODB_DB_NAME", "must be at most 63 bytes without / \\ . \" $ or spaces");
        }
        let uri = uri?;
        check(reader, uri.expose_secret()).then_some(Self { uri, database })
    }
}

fn check(reader: &mut Reader, uri: &str) -> bool {
    if !uri.starts_with("mongodb://") && !uri.starts_with("mongodb+srv://") {
        reader.problem(URI, "must begin with `mongodb://` or `mongodb+srv://`");
        return false;
    }
    // The driver's message may repeat a part of the password that it took for an address.
    let Ok(parsed) = ConnectionString::parse(uri) else {
        reader.problem(
            URI,
            "cannot be parsed: special characters in the user and the password must be percent-encoded, and every \
             option be known",
        );
        return false;
    };
    let Some(Tls::Enabled(options)) = parsed.tls else { return true };
    let authorities = options.ca_file_path.map(|path| Authorities::from_file(&path).map(drop));
    let identity = options.cert_key_file_path.map(|path| Identity::from_file(&path).map(drop));
    let mut right = true;
    for (option, read) in [("tlsCAFile", authorities), ("tlsCertificateKeyFile", identity)] {
        if let Some(Err(problem)) = read {
            reader.problem(URI, format!("has the option {option}, which {problem}"));
            right = false;
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(uri: &str) -> Option<String> {
        let mut reader = Reader::from_pairs([(URI, uri)]);
        let read = StoreSettings::read(&mut reader);
        let told = reader.finish().err().map(|problems| problems.to_string());
        assert_eq!(read.is_some(), told.is_none(), "{uri}: {told:?}");
        told
    }

    #[test]
    fn a_connection_string_that_the_driver_does_not_take_is_a_problem_without_its_text() {
        for uri in
            ["mongodb://localhost", "mongodb+srv://u:p@cluster.example/?retryWrites=true", "mongodb://h/?tls=true"]
        {
            assert_eq!(problems(uri), None);
        }
        for uri in ["mongodb://u:hunt/er2@host", "mongodb://u:hunter2@host/?tls=true&tls=false", "mongodb://"] {
            let told = problems(uri).expect(uri);
            assert!(told.contains("MONGODB_URI cannot be parsed") && !told.contains("hunt"), "{told}");
        }
    }

    #[test]
    fn files_of_a_connection_string_are_there_and_hold_what_they_should() {
        let empty = tempfile::NamedTempFile::new().expect("a file");
        let path = empty.path().display();
        for (option, expected) in [
            ("tlsCAFile=/nowhere", "tlsCAFile, which names a file that cannot be read, /nowhere"),
            (&format!("tlsCAFile={path}"), "tlsCAFile, which names a file without a certificate"),
            (
                &format!("tlsCertificateKeyFile={path}"),
                "tlsCertificateKeyFile, which names a file without a certificate",
            ),
        ] {
            let told = problems(&format!("mongodb://u:hunter2@localhost/?tls=true&{option}")).expect(option);
            assert!(told.contains(expected) && !told.contains("hunter2"), "{told}");
        }
    }
}
