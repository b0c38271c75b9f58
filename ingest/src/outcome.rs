//! How a webhook may end, and what each end means to Meta, to the metrics and to the connection.
//!
//! Meta reads the status only: 200 is "durable", anything else is "send it again", for up to 7 days. Bodies are
//! empty, so nothing inner shows outside.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use shared::envelope::Kind;

/// The end of one webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All updates are durable.
    Accepted,
    /// The body as a whole is durable among the dead letters.
    Dead,
    /// No signature, or a wrong one.
    Unauthorized,
    /// Like `Unauthorized`, from an address that has had many of those lately.
    Limited,
    /// The body is larger than any of Meta's.
    TooLarge,
    /// The body came too slowly.
    Timeout,
    /// The body broke off.
    BadRequest,
    /// More at once than this process takes.
    Overloaded,
    /// RabbitMQ did not confirm.
    Unavailable,
}

impl Outcome {
    const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Dead,
        Self::Unauthorized,
        Self::Limited,
        Self::TooLarge,
        Self::Timeout,
        Self::BadRequest,
        Self::Overloaded,
        Self::Unavailable,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Dead => "dead",
            Self::Unauthorized => "unauthorized",
            Self::Limited => "limited",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::BadRequest => "bad_request",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Accepted | Self::Dead => StatusCode::OK,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Limited => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Overloaded | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the rest of the body, if any, is not worth reading for the sake of the connection.
    fn ends_connection(self) -> bool {
        match self {
            Self::Limited | Self::TooLarge | Self::Timeout | Self::BadRequest | Self::Overloaded => true,
            Self::Accepted | Self::Dead | Self::Unauthorized | Self::Unavailable => false,
        }
    }

    /// Counts the webhook and how long its sender waited.
    pub(crate) fn record(self, waited: Duration) {
        counter!("switchboard_ingest_webhooks_total", "outcome" => self.name()).increment(1);
        histogram!("switchboard_ingest_ack_seconds").record(waited);
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if self.ends_connection() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// A request in flight, as the gauge counts it.
#[derive(Debug)]
pub(crate) struct InFlight(());

impl InFlight {
    pub(crate) fn enter() -> Self {
        gauge!("switchboard_ingest_in_flight").increment(1);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!("switchboard_ingest_in_flight").decrement(1);
    }
}

/// Describes the metrics and shows each closed label at zero, so that a rate has its first point before the first
/// event.
pub fn describe_metrics() {
    describe_counter!("switchboard_ingest_webhooks_total", "POSTs by how they ended");
    describe_counter!("switchboard_ingest_updates_total", "updates published and confirmed, by kind");
    describe_histogram!("switchboard_ingest_ack_seconds", "from the head of a POST to its answer");
    describe_histogram!("switchboard_ingest_publish_confirm_seconds", "from publishing to the last confirm");
    describe_gauge!("switchboard_ingest_in_flight", "POSTs being handled now");
    gauge!("switchboard_ingest_in_flight").set(0);
    for outcome in Outcome::ALL {
        counter!("switchboard_ingest_webhooks_total", "outcome" => outcome.name()).increment(0);
    }
    for kind in [Kind::Message, Kind::Status, Kind::Echo, Kind::Account, Kind::Other] {
        counter!("switchboard_ingest_updates_total", "kind" => kind.name()).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_durable_is_answered_200() {
        for outcome in Outcome::ALL {
            let durable = matches!(outcome, Outcome::Accepted | Outcome::Dead);
            assert_eq!(outcome.into_response().status() == StatusCode::OK, durable, "{outcome:?}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
