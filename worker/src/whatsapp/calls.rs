//! Counts what Graph is asked, and how that ends.

use std::time::Instant;

use super::error::ErrorClass;

/// Counts a request. `call` is a closed word, and so is what `outcome` makes of an answer.
///
/// # Errors
/// Those of the request.
pub(super) async fn counted<T>(
    call: &'static str,
    request: impl Future<Output = reqwest::Result<T>>,
    outcome: impl FnOnce(&T) -> &'static str,
) -> reqwest::Result<T> {
    let started = Instant::now();
    let answered = request.await;
    let outcome = match &answered {
        Ok(answer) => outcome(answer),
        Err(error) if error.is_connect() => "unreachable",
        Err(_) => "unanswered",
    };
    metrics::counter!("switchboard_graph_calls_total", "call" => call, "outcome" => outcome).increment(1);
    metrics::histogram!("switchboard_graph_call_seconds", "call" => call).record(started.elapsed().as_secs_f64());
    answered
}

/// What an error says, for metrics.
pub(super) fn word(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Throttled(_) => "throttled",
        ErrorClass::Ambiguous => "failed",
        ErrorClass::Credentials => "credentials",
        ErrorClass::Account | ErrorClass::WindowClosed | ErrorClass::Permanent => "refused",
    }
}
