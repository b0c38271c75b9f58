//! What MongoDB's errors mean: whether the same call may work later, and what of their text may be told.

use mongodb::error::{ErrorKind, WriteFailure};

use shared::tls::Peer;

use crate::store::StoreError;

const DATABASE: &str = "MongoDB";
/// The driver trusts Mozilla's authorities, or those of `tlsCAFile` instead.
const MONGODB: Peer = Peer {
    name: DATABASE,
    authority: "the option tlsCAFile of MONGODB_URI must name a file with the certificate of the authority that did",
    identity: Some("the option tlsCertificateKeyFile of MONGODB_URI names a file with the one that it is shown"),
};
/// rustls's words.
const UNTRUSTED: &str = "invalid peer certificate: UnknownIssuer";
/// Codes with which MongoDB refuses a command or a document for what it is (`error_codes.yml` of the server).
const PERMANENT_CODES: &[i32] = &[2, 9, 14, 16, 17, 52, 53, 56, 57, OPTIONS_CONFLICT, KEY_SPECS_CONFLICT, 121];
/// Codes from here on are names of places in the server's source: checks that the same command fails again …
const LOCATIONS: i32 = 10_000;
/// … except for these, which tell of elections, interruptions and a full disk.
const TRANSIENT_LOCATIONS: &[i32] = &[10_107, DUPLICATE_KEY, 11_600, 11_601, 11_602, 13_388, 13_435, 13_436, 14_031];
const DUPLICATE_KEY: i32 = 11000;
/// There is an index over the same fields under another name …
const OPTIONS_CONFLICT: i32 = 85;
/// … or one of the same name that is otherwise.
const KEY_SPECS_CONFLICT: i32 = 86;

impl From<mongodb::error::Error> for StoreError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the driver's errors are a foreign enum that grows; an unknown one may pass"
    )]
    fn from(error: mongodb::error::Error) -> Self {
        let permanent = match error.kind.as_ref() {
            ErrorKind::Write(WriteFailure::WriteError(write)) => is_permanent(write.code),
            ErrorKind::Command(command) => is_permanent(command.code),
            ErrorKind::Bson(_) => true,
            ErrorKind::BsonDeserialization(_) | ErrorKind::BsonSerialization(_) | ErrorKind::InvalidArgument { .. } => {
                true
            }
            _ => false,
        };
        let problem = describe(&error);
        if permanent {
            Self::Refused { database: DATABASE, problem }
        } else {
            Self::Unavailable { database: DATABASE, problem }
        }
    }
}

fn is_permanent(code: i32) -> bool {
    PERMANENT_CODES.contains(&code) || (code >= LOCATIONS && !TRANSIENT_LOCATIONS.contains(&code))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are a foreign enum that grows")]
pub(super) fn is_duplicate_key(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// Whether an index cannot be made because of another one.
#[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are a foreign enum that grows")]
pub(super) fn is_index_conflict(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => matches!(command.code, OPTIONS_CONFLICT | KEY_SPECS_CONFLICT),
        _ => false,
    }
}

/// What one update among several met, by its code. Two first updates of one document that met may be repeated.
pub(super) fn failed_write(code: i32) -> StoreError {
    let problem = format!("write error {code}");
    if is_permanent(code) {
        StoreError::Refused { database: DATABASE, problem }
    } else {
        StoreError::Unavailable { database: DATABASE, problem }
    }
}

/// A document that cannot be read.
pub(super) fn corrupt(what: &'static str) -> impl Fn(mongodb::bson::error::Error) -> StoreError {
    // The error's own text may hold the value that did not fit.
    move |_| StoreError::Corrupt { what, problem: "a field is missing or of another type".to_owned() }
}

/// What went wrong, without the documents and keys that the driver's own text may repeat.
#[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are a foreign enum that grows")]
fn describe(error: &mongodb::error::Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => format!("{} ({})", command.code_name, command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => format!("write error {}", write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => {
            format!("{} ({}), the outcome is unknown", concern.code_name, concern.code)
        }
        ErrorKind::Io(io) => MONGODB.explain(&**io).unwrap_or_else(|| format!("the connection failed: {io}")),
        ErrorKind::ServerSelection { message, .. } | ErrorKind::ConnectionPoolCleared { message, .. } => {
            // What a monitor met the driver hands on as text.
            if message.contains(UNTRUSTED) { MONGODB.untrusted() } else { message.clone() }
        }
        ErrorKind::Authentication { .. } => "authentication failed".to_owned(),
        ErrorKind::InvalidTlsConfig { message, .. } | ErrorKind::DnsResolve { message, .. } => message.clone(),
        ErrorKind::BsonSerialization(_) | ErrorKind::BsonDeserialization(_) | ErrorKind::Bson(_) => {
            "a document does not have the expected shape".to_owned()
        }
        _ => "an error of the driver".to_owned(),
    }
}
