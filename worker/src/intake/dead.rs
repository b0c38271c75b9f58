//! The broker's dead letters: filed with their bytes, except those that only came back too often.

use shared::{broker::Delivery, ids::PhoneNumberId};

use super::{Intake, Update, fingerprint};
use crate::store::{DeadLetter, ReplayPolicy, StoreError};

impl Intake {
    pub(super) async fn take_dead_letter(&self, delivery: &Delivery, update: Option<Update>) -> Result<(), StoreError> {
        let by_limit = delivery.death_reason.as_deref() == Some("delivery_limit");
        if let (true, Some(update)) = (by_limit, &update) {
            // Nothing is wrong with it: workers were restarted, or died, a hundred times.
            return self.take(update, &delivery.body).await;
        }
        // Ingest names its reason in a header; the broker's own word is `rejected`.
        let given = delivery.headers.iter().find(|(name, _)| name == "reason").map(|(_, reason)| reason.as_str());
        let detail = given.or(delivery.death_reason.as_deref()).unwrap_or("no reason given");
        let number = update.and_then(|update| update.envelope.phone_number_id);
        self.file_undecodable(&delivery.body, delivery.message_id.as_deref(), detail, number).await
    }

    /// Files bytes that nobody can take apart.
    pub(super) async fn file_undecodable(
        &self,
        body: &[u8],
        message_id: Option<&str>,
        detail: &str,
        number: Option<PhoneNumberId>,
    ) -> Result<(), StoreError> {
        // Whoever put it there may have given several the same id.
        let id = match message_id {
            Some(id) => format!("{id}:{}", fingerprint(body).get(..16).unwrap_or_default()),
            None => fingerprint(body),
        };
        metrics::counter!("switchboard_dead_letters_total", "reason" => "undecodable").increment(1);
        let letter = DeadLetter {
            id: format!("queue:{id}"),
            reason: "undecodable",
            detail: detail.chars().take(200).collect(),
            phone_number_id: number,
            business_id: None,
            session: None,
            message_id: message_id.map(str::to_owned),
            body: body.to_vec(),
            replay: ReplayPolicy::ByHand,
            counted_as_answered: false,
        };
        self.store.bury(&letter).await
    }
}
