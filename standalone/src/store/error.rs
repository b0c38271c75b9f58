//! What SQLite's errors mean: whether the same call may work later, and what of their text may be told.

use rusqlite::{Error, ErrorCode, types::FromSqlError};
use worker::store::StoreError;

const DATABASE: &str = "SQLite";

/// Nobody answers any more.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable { database: DATABASE, problem: "it is closed".to_owned() }
}

/// A job that fell over; its part of the transaction is undone.
pub(super) fn panicked() -> StoreError {
    StoreError::Refused { database: DATABASE, problem: "handling it panicked; the log has the place".to_owned() }
}

/// A row that does not have the shape that it must have.
pub(super) fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt { what, problem: "a field is missing or of another type".to_owned() }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
#[expect(clippy::wildcard_enum_match_arm, reason = "rusqlite's errors are a foreign enum that grows")]
pub(super) fn of_sqlite(error: Error) -> StoreError {
    // The errors' own texts may hold the value that did not fit.
    match &error {
        Error::SqliteFailure(failure, _) => {
            let problem = failure.to_string();
            if is_permanent(failure.code) {
                StoreError::Refused { database: DATABASE, problem }
            } else {
                StoreError::Unavailable { database: DATABASE, problem }
            }
        }
        Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..) => {
            StoreError::Corrupt { what: "row", problem: "a column is of another type".to_owned() }
        }
        _ => StoreError::Refused { database: DATABASE, problem: "a statement of ours is wrong".to_owned() },
    }
}

/// Whether the same statement can never work. A full disk, a lock and an unreadable file may pass.
fn is_permanent(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TooBig
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::ApiMisuse
            | ErrorCode::ParameterOutOfRange
    )
}

impl From<Broken> for StoreError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Sqlite(error) => of_sqlite(error),
            Broken::Store(error) => error,
        }
    }
}

/// What may go wrong in a transaction.
#[derive(Debug)]
pub(super) enum Broken {
    Sqlite(Error),
    Store(StoreError),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<FromSqlError> for Broken {
    fn from(error: FromSqlError) -> Self {
        Self::Sqlite(error.into())
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
