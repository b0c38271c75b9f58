//! What tests of several crates need: where the real servers are, and names of one test's own.

/// The URL of a real server, from the environment.
///
/// # Panics
/// Where the variable is unset: a test without its server must fail, never pass unrun.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set. Run deploy/test.sh, or: deploy/services.sh up && eval \"$(deploy/services.sh env)\""
        )
    })
}

/// A name that no other test uses, for a queue prefix or a database.
pub fn unique(what: &str) -> String {
    format!("test_{what}_{}", uuid::Uuid::new_v4().simple())
}
