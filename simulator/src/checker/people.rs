//! Who is who: one customer may be known by a phone number, by user ids, or by both.
//!
//! A webhook that shows two of them beside each other makes them one customer for the whole run. A number that passes
//! from one person to another during a run would make both of them one: such a run cannot be judged.

use std::collections::HashMap;

use crate::journal::Update;

/// The customers of a run.
#[derive(Debug, Default)]
pub(super) struct People<'a> {
    /// From a name to another of the same customer; who is not in it stands for itself.
    also: HashMap<&'a str, &'a str>,
}

impl<'a> People<'a> {
    /// Learns what a webhook shows.
    pub(super) fn introduce(&mut self, update: &'a Update) {
        if let (Some(customer), Some(user_id)) = (&update.customer, &update.user_id) {
            let (customer, user_id) = (self.name(customer), self.name(user_id));
            if customer != user_id {
                self.also.insert(user_id, customer);
            }
        }
    }

    /// The one name of a customer.
    pub(super) fn name(&self, customer: &'a str) -> &'a str {
        std::iter::successors(Some(customer), |name| self.also.get(name).copied()).last().unwrap_or(customer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::UpdateKind;

    fn shown(customer: &str, user_id: Option<&str>) -> Update {
        let (customer, user_id) = (Some(customer.to_owned()), user_id.map(str::to_owned));
        let (update, id) = (UpdateKind::Message, String::new());
        Update { update, id, phone_number_id: None, customer, user_id, status: None, text: None }
    }

    #[test]
    fn what_stood_beside_each_other_once_is_one_customer() {
        let shown = [
            shown("49151", Some("DE.ana")),
            shown("49151", None),
            shown("DE.ana", Some("DE.ana")),
            shown("49151", Some("US.ana")),
            shown("49152", Some("DE.bea")),
        ];
        let mut people = People::default();
        shown.iter().for_each(|update| people.introduce(update));
        let names = ["49151", "DE.ana", "US.ana", "49152", "DE.bea", "49153"].map(|name| people.name(name));
        assert_eq!(names, ["49151", "49151", "49151", "49152", "49152", "49153"]);
    }
}
