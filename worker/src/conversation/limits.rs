//! The bounds of a conversation document, for every implementation of its operations.
//!
//! They keep a document far below the 16 MiB that MongoDB takes, however much a customer writes.

use std::time::Duration;

/// Messages that a mailbox holds with their content; further ones leave it in the transcript.
pub const MAILBOX_WITH_CONTENT: usize = 200;
/// Ids of answered messages that are always kept, whatever their age.
pub const ANSWERED_KEPT: usize = 100;
/// Ids that are kept however young; older ones are found in the transcript.
pub const ANSWERED_MOST: usize = 5_000;
/// Ids of messages younger than this are kept.
pub const ANSWERED_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Remembered lines.
pub const MEMORY_TURNS: usize = 40;
/// Lines that the messages of one turn leave there, where they are short: so few that a turn pushes out nothing that no
/// summary has seen.
pub const TURN_LINES: usize = 20;
/// Facts about a customer; the oldest goes first.
pub const FACTS_MOST: usize = 50;
/// Bytes of one remembered line, of a summary and of a fact.
pub const MEMORY_TURN_BYTES: usize = 4_096;
/// A customer's service window after each message (Meta, "Send messages", 2026).
pub const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// The time of which a business may limit the messages of one customer.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Messages that one number may send to one customer at once (Meta, "Messaging limits", per-pair rate limit: a burst
/// of 45 messages, paid back at the pace of [`BUCKET_REFILL`]).
pub const BUCKET_MOST: u32 = 45;
/// How long one number's bucket towards one customer takes to hold one more message (same source: one in 6 s).
pub const BUCKET_REFILL: Duration = Duration::from_secs(6);
