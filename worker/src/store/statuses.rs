//! Statuses, many at once: each is evidence for its conversation and a step of its message in the transcript.

use std::fmt;

use async_trait::async_trait;
use futures_util::future::join_all;
use shared::ids::SessionId;

use super::{OnRecord, Replies, Result, StatusUpdate, Transcript};

/// A status that came.
#[derive(Debug, Clone)]
pub struct NewStatus {
    /// What became of its message.
    pub update: StatusUpdate,
    /// What it proves to have reached Meta.
    pub proves: Option<SentPart>,
}

/// A part of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPart {
    /// Which conversation.
    pub session: SessionId,
    /// Which reply.
    pub reply_id: String,
    /// Which part, from 0.
    pub part: usize,
}

/// What came of taking some statuses.
#[derive(Debug)]
pub struct StatusesTaken {
    /// Parts that were in doubt, or whose record was still to come, and are known to be sent now.
    pub proofs: u64,
    /// Of each, in the order given: its message, where it is on record. An error is of that status alone, unless
    /// nothing could be written.
    pub each: Vec<Result<Option<OnRecord>>>,
}

/// What becomes of messages to customers.
#[async_trait]
pub trait Statuses: fmt::Debug + Send + Sync {
    /// Takes statuses: first what each of them proves ([`Replies::evidence`]), then what it says of its message
    /// ([`Transcript::record_status`]). What failed may be given again, and so may all of it.
    async fn take_statuses(&self, statuses: &[NewStatus]) -> StatusesTaken;
}

/// Takes each by itself, at the same time.
pub async fn take_each_by_itself(
    store: &(impl Replies + Transcript + Sync + ?Sized),
    statuses: &[NewStatus],
) -> StatusesTaken {
    let taking = statuses.iter().map(async |NewStatus { update, proves }| {
        let proved = match proves {
            Some(SentPart { session, reply_id, part }) => {
                store.evidence(session, &update.number, reply_id, *part, &update.wamid).await?
            }
            None => false,
        };
        Ok((proved, store.record_status(update).await?))
    });
    let taken: Vec<Result<_>> = join_all(taking).await;
    let proofs = taken.iter().filter(|taken| taken.as_ref().is_ok_and(|(proved, _)| *proved)).count();
    let each = taken.into_iter().map(|taken| taken.map(|(_, message)| message)).collect();
    StatusesTaken { proofs: u64::try_from(proofs).unwrap_or(u64::MAX), each }
}
