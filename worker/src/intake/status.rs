//! A status: evidence that a send happened, a step on the transcript, or a failure to file.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use shared::{
    ids::{MessageId, PhoneNumberId},
    trace::{self, STEP, TraceParent},
};
use tracing::info_span;

use super::{Intake, IntakeError, Update};
use crate::{
    business::Lookup,
    conversation::{QuietTime, Resend, resend_id},
    message::{Status, parse},
    store::{NewStatus, OnRecord, ReplayPolicy, SentPart, SentText, StatusUpdate},
    whatsapp::{Callback, ErrorClass, classify},
};

/// Meta took a message and then could not process its file (Meta, "Error codes"). The only files that we send are voice
/// notes, whose words can be written.
const MEDIA_UPLOAD_ERROR: i64 = 131_053;
/// The reason of the dead letter.
pub(super) const DELIVERY_FAILED: &str = "delivery_failed";
/// The rank of a status from which on the customer has the message.
const DELIVERED: i32 = 2;
/// How often, and how far apart, it is looked whether a reply has been settled whose part has failed already.
const SETTLING_LOOKS: u128 = 15;
const SETTLING_LOOK: Duration = Duration::from_millis(200);

impl Intake {
    pub(super) async fn take_status(&self, update: &Update) -> Result<(), IntakeError> {
        let envelope = &update.envelope;
        let payload = parse(envelope.payload.get()).unwrap_or_default();
        let (Some(number), Some(status)) = (&envelope.phone_number_id, Status::read(&payload)) else {
            return Err(IntakeError::unhandled("malformed_status", "the status names no number or no message"));
        };
        metrics::counter!("switchboard_statuses_total", "rank" => rank_name(status.rank())).increment(1);
        // A message that failed for good counts as sent, too, for it must not be sent again; one that failed for now
        // does not, and is sent again after the evidence time.
        let code = status.error.as_ref().map_or(0, |(code, _)| *code);
        let transient = matches!(classify(code), Some(ErrorClass::Throttled(_) | ErrorClass::Ambiguous));
        let is_proof = status.proves_acceptance() || (status.is_failure() && !transient);
        let callback = status.callback.as_deref().and_then(Callback::decode).filter(|_| is_proof);
        let proves = callback.map(|Callback { session, reply_id, part, .. }| SentPart { session, reply_id, part });
        let received_at = Timestamp::from_millisecond(envelope.received_at).unwrap_or(Timestamp::UNIX_EPOCH);
        let update_of_message = StatusUpdate {
            number: number.clone(),
            wamid: status.wamid.clone(),
            status: status.status.clone(),
            rank: status.rank(),
            at: status.at.unwrap_or(received_at),
            pricing: status.pricing.clone(),
            error_code: status.error.as_ref().map(|(code, _)| *code),
        };
        let message = self.statuses.write(NewStatus { update: update_of_message, proves }).await?;
        if let Some(OnRecord { business, sent_at, .. }) = &message {
            let zone = match self.registry.lookup(number).await? {
                Lookup::Served(owner) if owner.id == *business => owner.companion.zone(),
                Lookup::Served(_) | Lookup::Unserved(_) => TimeZone::UTC,
            };
            self.diary.note(business, &zone, *sent_at);
        }
        self.trace_status(update, &status, message.and_then(|message| message.trace)).await;
        if !status.is_failure() {
            return Ok(());
        }
        let failure = match transient || code == MEDIA_UPLOAD_ERROR {
            true => self.send_once_more(update, number, &status, received_at).await?,
            false => Failure::Final,
        };
        let replay = match failure {
            Failure::Mended => return Ok(()),
            Failure::OfLater => ReplayPolicy::WhenServedWithinADay,
            Failure::Final => ReplayPolicy::ByHand,
        };
        let (code, title) = status.error.unwrap_or((0, "no error given".to_owned()));
        Err(IntakeError::Unhandled { reason: DELIVERY_FAILED, detail: format!("error {code}: {title}"), replay })
    }

    /// Makes the status the end of its message's trace, where traces are recorded: a webhook of its own brought it. A
    /// trace that cannot be found is no reason to take the status again.
    async fn trace_status(&self, update: &Update, status: &Status, on_record: Option<TraceParent>) {
        let span = info_span!(target: STEP, "status", otel.name = rank_name(status.rank()));
        if span.is_disabled() {
            return;
        }
        // What comes before its reply is on record finds it in the outbox.
        let callback = status.callback.as_deref().and_then(Callback::decode);
        let message = match (on_record, callback) {
            (None, Some(Callback { session, reply_id, .. })) => {
                self.store.trace_of_reply(&session, &reply_id).await.unwrap_or(None)
            }
            (on_record, _) => on_record,
        };
        if let Some(message) = message {
            trace::begin(&span, Some(message));
            update.trace.iter().for_each(|webhook| trace::link(&span, *webhook));
        }
    }

    /// Puts the words of a message that failed for a passing reason, or for its form, back into its conversation, to be
    /// sent as text, once.
    async fn send_once_more(
        &self,
        update: &Update,
        number: &PhoneNumberId,
        status: &Status,
        received_at: Timestamp,
    ) -> Result<Failure, IntakeError> {
        let callback = status.callback.as_deref().and_then(Callback::decode);
        let part = callback.as_ref().map_or(0, |callback| callback.part);
        let failed_at = status.at.unwrap_or(received_at);
        // Longer than that no status is in hand; see `handle_until_settled`. A letter is looked at again soon enough.
        let looks = self.settings.heartbeat().as_millis() / SETTLING_LOOK.as_millis();
        let mut left = if update.is_revived { 1 } else { looks.clamp(1, SETTLING_LOOKS) };
        loop {
            let sent = self.store.sent_text(number, &status.wamid).await?;
            // It has arrived, whatever was said of it since: statuses may overtake each other.
            if sent.as_ref().is_some_and(|sent| sent.rank.is_some_and(|rank| rank >= DELIVERED)) {
                return Ok(Failure::Mended);
            }
            if let Some(SentText { session, reply_id, body, trace, .. }) = &sent {
                let (wamid, quiet, trace) = (&status.wamid, QuietTime::new(self.settings.quiet), *trace);
                let resend = Resend { session, number, reply_id, part, wamid, body, failed_at, quiet, trace };
                if self.store.land_resend(&resend).await?.is_some() {
                    tracing::info!(%session, part, "a message failed that need not fail again: it is sent once more");
                    metrics::counter!("switchboard_resends_total").increment(1);
                    return Ok(Failure::Mended);
                }
            }
            // The failure may have overtaken the end of its own turn.
            let under_way = match (&sent, &callback) {
                (Some(sent), _) => self.store.is_under_way(&sent.session, &sent.reply_id).await?,
                (None, Some(callback)) => self.store.is_under_way(&callback.session, &callback.reply_id).await?,
                (None, None) => false,
            };
            if !under_way {
                // Told again, or taken by two at a time, it is one failure.
                let was_resent = match &sent {
                    Some(sent) => self.was_resent(sent, part, &status.wamid).await?,
                    None => false,
                };
                return Ok(if was_resent { Failure::Mended } else { Failure::Final });
            }
            left -= 1;
            if left == 0 {
                return Ok(Failure::OfLater);
            }
            tokio::time::sleep(SETTLING_LOOK).await;
        }
    }
}

impl Intake {
    /// Whether this very message was put back into its conversation already.
    async fn was_resent(&self, sent: &SentText, part: usize, wamid: &MessageId) -> Result<bool, IntakeError> {
        let (Some(state), Some(id)) = (self.store.state(&sent.session).await?, resend_id(wamid)) else {
            return Ok(false);
        };
        let last = state.last_reply.as_ref().filter(|last| last.id == sent.reply_id);
        Ok(last.is_some_and(|last| last.resent.contains(&part))
            || state.mailbox.iter().any(|waiting| waiting.item.id == id)
            || state.answered.iter().any(|known| known.id == id))
    }
}

/// What follows from a message that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nothing: it is sent once more, or has arrived all the same.
    Mended,
    /// Its reply is still under way, behind a worker that died or a part that waits; only then it can be sent once more.
    OfLater,
    /// Somebody should know: the customer has had another answer since, or a second try of this one, or it would fail again.
    Final,
}

/// A closed word for metrics.
fn rank_name(rank: i32) -> &'static str {
    match rank {
        0 => "failed",
        1 => "sent",
        2 => "delivered",
        3 => "read",
        4 => "played",
        _ => "other",
    }
}
