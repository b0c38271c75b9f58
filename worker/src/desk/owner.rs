//! Whose a dead letter is, and whether its business can be served.

use std::collections::{HashMap, hash_map::Entry};

use shared::ids::{PhoneNumberId, Subdomain};

use crate::{
    business::Unserved,
    conversation::BusinessId,
    store::{BusinessRecord, FiledLetter, Store, StoreError},
};

/// Businesses by number. Each number is asked for once.
#[derive(Debug)]
pub(crate) struct Owners<'a> {
    store: &'a dyn Store,
    /// The number that is answered without a business in the database.
    fallback: Option<PhoneNumberId>,
    known: HashMap<PhoneNumberId, Vec<Claimant>>,
}

/// A business that lists a number.
#[derive(Debug, Clone)]
struct Claimant {
    id: BusinessId,
    subdomain: Option<String>,
    service: Result<(), Unserved>,
}

impl<'a> Owners<'a> {
    /// Knows none yet.
    pub(crate) fn new(store: &'a dyn Store, fallback: Option<PhoneNumberId>) -> Self {
        Self { store, fallback, known: HashMap::new() }
    }

    /// The subdomain of a letter's business. Where no business is known, the phone number id.
    pub(crate) async fn name(&mut self, letter: &FiledLetter) -> Result<Option<String>, StoreError> {
        let claimants = match &letter.phone_number_id {
            Some(number) => self.claimants(number).await?,
            None => &[],
        };
        let is_its = |claimant: &&Claimant| letter.business_id.as_ref().is_none_or(|id| *id == claimant.id);
        let names: Vec<&str> =
            claimants.iter().filter(is_its).filter_map(|claimant| claimant.subdomain.as_deref()).collect();
        if !names.is_empty() {
            return Ok(Some(names.join(", ")));
        }
        // The number has gone elsewhere since; the conversation begins with the name that the business had.
        let session = letter.session.as_ref().and_then(|session| session.expose().split_once(':'));
        let former = session.map(|(subdomain, _)| subdomain.to_owned());
        Ok(former.or_else(|| letter.phone_number_id.as_ref().map(|number| number.expose().to_owned())))
    }

    /// The business that workers would serve for a number; none for the fallback, which is in no database. The rule is
    /// that of `business::Registry`, without the tokens: a bad one makes messages wait, it buries none.
    pub(crate) async fn service(
        &mut self,
        number: &PhoneNumberId,
    ) -> Result<Result<Option<BusinessId>, Unserved>, StoreError> {
        let is_fallback = self.fallback.as_ref() == Some(number);
        let claimants = self.claimants(number).await?;
        let mut served = claimants.iter().filter(|claimant| claimant.service.is_ok());
        Ok(match (served.next(), served.next(), claimants.last()) {
            (Some(one), None, _) => Ok(Some(one.id.clone())),
            (Some(_), Some(_), _) => Err(Unserved::Ambiguous),
            (None, _, Some(last)) => Err(last.service.err().unwrap_or(Unserved::Unknown)),
            (None, _, None) if is_fallback => Ok(None),
            (None, _, None) => Err(Unserved::Unknown),
        })
    }

    async fn claimants(&mut self, number: &PhoneNumberId) -> Result<&[Claimant], StoreError> {
        Ok(match self.known.entry(number.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let records = self.store.businesses_with_number(number).await?;
                entry.insert(records.iter().map(Claimant::of).collect())
            }
        })
    }
}

impl Claimant {
    fn of(record: &BusinessRecord) -> Self {
        let is_usable = record.subdomain.as_deref().is_some_and(|text| Subdomain::parse(text).is_ok());
        let service = match (record.whatsapp_enabled && record.is_active, is_usable) {
            (false, _) => Err(Unserved::Disabled),
            (true, false) => Err(Unserved::Invalid("its subDomain cannot be used")),
            (true, true) => Ok(()),
        };
        Self { id: BusinessId(record.id.clone()), subdomain: record.subdomain.clone(), service }
    }
}
