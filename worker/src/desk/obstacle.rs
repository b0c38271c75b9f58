//! Why a dead letter is not, or should not be, replayed.

use jiff::{SignedDuration, Timestamp};
use shared::envelope::{Envelope, Kind};

use super::{owner::Owners, words::utc};
use crate::store::{FiledLetter, LetterState, StoreError};

/// Workers answer nothing that is older (Meta's service window).
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// The message of a letter that can be replayed. The letter must have been read with what it holds.
///
/// # Errors
/// Why it can never be replayed; completes a sentence that begins with the letter.
pub(crate) fn replayable(letter: &FiledLetter) -> Result<Envelope, String> {
    match letter.state {
        LetterState::Discarded { .. } => return Err("it was discarded, and what it held is gone".to_owned()),
        LetterState::Replayed { at } => {
            let when = utc(at);
            return Err(format!("it was replayed already ({when}), and would land as what it is: a duplicate"));
        }
        LetterState::Undecided | LetterState::WaitsForBusiness { .. } | LetterState::ReplayRequested { .. } => {}
    }
    let envelope = Envelope::decode(letter.body.as_deref().unwrap_or_default()).map_err(|error| {
        format!(
            "it cannot be read, and would only be buried again ({error}); look at it with `worker dead-letter show`, \
             and discard it"
        )
    })?;
    let kind = match envelope.kind {
        Kind::Message => return Ok(envelope),
        Kind::Status => "the status of a message that was sent",
        Kind::Echo => "what a person of the business wrote",
        Kind::Account => "news of the account",
        Kind::Other => "a change that nobody could take apart",
    };
    Err(format!("it is no customer's message but {kind}, so there is nothing to answer"))
}

/// Why a message would be buried again, or should not be answered without another look.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn foreseen(
    owners: &mut Owners<'_>,
    letter: &FiledLetter,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let Some(number) = &envelope.phone_number_id else {
        return Ok(Some("it names no number of a business, and would be buried again".to_owned()));
    };
    let business = match owners.service(number).await? {
        Ok(business) => business,
        Err(why) => return Ok(Some(format!("it would be buried again as {}: {}", why.reason(), why.detail()))),
    };
    if let (Some(former), Some(business)) = (&letter.business_id, &business)
        && former != business
    {
        return Ok(Some("its number is another business's now, which would answer it".to_owned()));
    }
    let received_at = Timestamp::from_millisecond(envelope.received_at).unwrap_or(now);
    if now.duration_since(received_at) > WINDOW {
        return Ok(Some("it is older than 24 hours, and would be buried again as window_closed".to_owned()));
    }
    Ok(None)
}
