//! The way of a message through all processes, as one trace: contexts that travel (W3C `traceparent`), and the spans
//! that begin in them.
//!
//! A context goes with the AMQP message, waits in the mailbox, in the outbox and in the transcript, and is taken up
//! again by whoever goes on. It identifies nobody. Without a collector (`OTEL_EXPORTER_OTLP_ENDPOINT`) no span is
//! recorded, and the trace id still tells which log lines belong together.

use std::{fmt, str::FromStr};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of spans that stand in JSON log lines, too: what is being done for whom. They have a field `trace`.
pub const SPAN: &str = "switchboard::span";
/// The target of the steps within them, which only a collector gets.
pub const STEP: &str = "switchboard::span::step";

/// The AMQP header that carries a context (W3C, "Trace Context").
pub const HEADER: &str = "traceparent";

/// Who began something that others go on with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceParent {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

/// A text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct NotATraceParent;

impl TraceParent {
    /// A trace of which nothing is recorded yet.
    pub fn random() -> Self {
        let [trace, span] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|id| id.as_u128());
        // A version 4 id is never zero, and neither is its lower half, which holds the variant.
        let span = u64::try_from(span & u128::from(u64::MAX)).unwrap_or(1);
        Self { trace: TraceId::from(trace), span: SpanId::from(span), sampled: true }
    }

    /// What all spans and log lines of it have in common: 32 hexadecimal digits.
    pub fn trace_id(&self) -> impl fmt::Display + use<> {
        self.trace
    }

    fn of(context: &SpanContext) -> Option<Self> {
        context.is_valid().then(|| Self {
            trace: context.trace_id(),
            span: context.span_id(),
            sampled: context.is_sampled(),
        })
    }

    fn remote(&self) -> SpanContext {
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        SpanContext::new(self.trace, self.span, flags, true, TraceState::default())
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    /// Reads any version: a later one begins with the same four fields.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.splitn(5, '-').collect();
        let (version, trace, span, flags) = match fields.as_slice() {
            [version @ "00", trace, span, flags] => (version, trace, span, flags),
            [version, trace, span, flags, ..] if *version != "00" => (version, trace, span, flags),
            _ => return Err(NotATraceParent),
        };
        let is_hex = |field: &str, digits: usize| {
            field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !(is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)) || *version == "ff" {
            return Err(NotATraceParent);
        }
        let trace = TraceId::from_hex(trace).map_err(|_| NotATraceParent)?;
        let span = SpanId::from_hex(span).map_err(|_| NotATraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NotATraceParent)?;
        if trace == TraceId::INVALID || span == SpanId::INVALID {
            return Err(NotATraceParent);
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.to_string()
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NotATraceParent;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Begins a span that was not entered yet in the trace of `parent`, or in one of its own, notes the trace id in its
/// field `trace`, and says where others go on: in this span if it is recorded, else where it came from.
pub fn begin(span: &Span, parent: Option<TraceParent>) -> TraceParent {
    if let Some(parent) = parent {
        // An error says that nobody records spans.
        drop(span.set_parent(Context::new().with_remote_span_context(parent.remote())));
    }
    let recorded = TraceParent::of(span.context().span().span_context());
    let onward = recorded.or(parent).unwrap_or_else(TraceParent::random);
    span.record("trace", tracing::field::display(onward.trace_id()));
    onward
}

/// Says of a span that it has to do with another trace, too.
pub fn link(span: &Span, other: TraceParent) {
    span.add_link(other.remote());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";
    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_comes_back_as_it_went() {
        for text in [EXAMPLE.to_owned(), EXAMPLE.replace("-01", "-00"), TraceParent::random().to_string()] {
            let parsed: TraceParent = text.parse().expect("a context");
            assert_eq!(parsed.to_string(), text);
            let json = serde_json::to_string(&parsed).expect("serializes");
            assert_eq!(serde_json::from_str::<TraceParent>(&json).expect("deserializes"), parsed);
        }
        assert_eq!(EXAMPLE.parse::<TraceParent>().expect("a context").trace_id().to_string(), TRACE);
        assert_ne!(TraceParent::random(), TraceParent::random());
    }

    #[test]
    fn later_versions_are_understood_and_other_texts_are_not() {
        let later = format!("cc-{TRACE}-{PARENT}-01-what-comes-then");
        assert_eq!(later.parse::<TraceParent>(), EXAMPLE.parse());
        let (zero_trace, zero_span) =
            (EXAMPLE.replace(TRACE, &"0".repeat(32)), EXAMPLE.replace(PARENT, &"0".repeat(16)));
        let (more, invalid) = (format!("{EXAMPLE}-00"), format!("ff-{TRACE}-{PARENT}-01"));
        let (upper, short) = (EXAMPLE.to_uppercase(), EXAMPLE.trim_end_matches('1'));
        for text in ["", "00", "é", &zero_trace, &zero_span, &more, &invalid, &upper, short] {
            assert_eq!(text.parse::<TraceParent>(), Err(NotATraceParent), "{text}");
        }
    }

    #[test]
    fn where_nobody_records_the_trace_goes_on_all_the_same() {
        let parent: TraceParent = EXAMPLE.parse().expect("a context");
        let span = tracing::info_span!(target: SPAN, "test", trace = tracing::field::Empty);
        assert_eq!(begin(&span, Some(parent)), parent);
        assert_ne!(begin(&span, None), begin(&span, None), "each its own");
    }
}
