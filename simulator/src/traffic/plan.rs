//! Who writes what, and in which manner: all that the seed decides, before anything is posted.

use std::time::Duration;

use super::Traffic;
use crate::{
    Business, Customer, Seed, Tag,
    webhook::{Content, Ids, Message},
};

/// A customer and everything that they will write.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) business: Business,
    pub(super) customer: Customer,
    pub(super) steps: Vec<Step>,
}

/// What is posted together: one message, or a burst.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) pause: Duration,
    pub(super) drafts: Vec<Draft>,
}

/// A message that is not posted yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) tag: Tag,
    pub(super) message: Message,
    pub(super) batched: bool,
    pub(super) doubled: bool,
    /// How long after its acknowledgement it comes again.
    pub(super) again: Option<Duration>,
}

/// What customers say after the tag: plain words, and what has to survive JSON, MongoDB and WhatsApp's markup.
const PHRASES: &[&str] = &[
    "Hello, are you open today?",
    "¿Hacéis envíos a Málaga? 🚲",
    "How much is the blue one / the red one?",
    "And one more thing:\nis there a guarantee?",
    "$5.00 or {6}? \"7\" <8> \\9 *10* _11_",
    "Übermorgen wäre schön 👍🏽",
];

impl Traffic {
    /// All customers, each with a consecutive range of tags.
    pub(super) fn plan(&self) -> Vec<Writer> {
        let businesses = self.businesses.iter().flat_map(|business| std::iter::repeat_n(business, self.customers_each));
        let writers = businesses.enumerate().map(|(nth, business)| {
            let customer = self.customer(nth);
            let steps = self.steps(nth, &customer);
            Writer { business: business.clone(), customer, steps }
        });
        writers.collect()
    }

    fn customer(&self, nth: usize) -> Customer {
        let key = nth.to_string();
        // Two seeds seldom have a customer in common, one seed never.
        let family = self.seed.number("traffic-family", "") % 1_000;
        let (wa_id, user_id) = (format!("4915{family:03}{nth:06}"), format!("DE.7{family:03}{nth:06}"));
        let customer = if self.seed.happens(self.hidden, "traffic-hidden", &key) {
            Customer::hidden(user_id)
        } else if self.seed.happens(self.both_ids, "traffic-both-ids", &key) {
            Customer::phone(wa_id).with_user_id(user_id)
        } else {
            Customer::phone(wa_id)
        };
        customer.named(format!("Customer {nth}"))
    }

    fn steps(&self, nth: usize, customer: &Customer) -> Vec<Step> {
        let first = self.first_tag.0 + (nth * self.messages_each) as u64;
        let ids = Ids::new(Seed(self.seed.number("traffic-ids", &nth.to_string())), "traffic");
        let mut drafts = (first..).take(self.messages_each).map(|number| self.draft(Tag(number), customer, &ids));
        let mut steps = Vec::new();
        let mut next = drafts.next();
        while let Some(draft) = next {
            let key = draft.tag.to_string();
            let pause = self.seed.duration(&self.pauses, "traffic-pause", &key);
            let more = self.burst(&key) - 1;
            steps.push(Step { pause, drafts: std::iter::once(draft).chain(drafts.by_ref().take(more)).collect() });
            next = drafts.next();
        }
        steps
    }

    /// How many messages the step has that begins with this one.
    fn burst(&self, key: &str) -> usize {
        if self.burst_most < 2 || !self.seed.happens(self.bursts, "traffic-burst", key) {
            return 1;
        }
        let sizes = (self.burst_most - 1) as u64;
        2 + usize::try_from(self.seed.number("traffic-burst-size", key) % sizes).unwrap_or(0)
    }

    fn draft(&self, tag: Tag, customer: &Customer, ids: &Ids) -> Draft {
        let (seed, key) = (self.seed, tag.to_string());
        let phrase = usize::try_from(seed.number("traffic-phrase", &key) % PHRASES.len() as u64).unwrap_or(0);
        let text = format!("{tag} {}", PHRASES.get(phrase).copied().unwrap_or_default());
        let again = seed.happens(self.repeated, "traffic-repeated", &key);
        Draft {
            tag,
            message: Message::new(ids, customer, Content::text(text)),
            batched: seed.happens(self.batched, "traffic-batched", &key),
            doubled: seed.happens(self.doubled, "traffic-doubled", &key),
            again: again.then(|| seed.duration(&self.repeated_after, "traffic-repeated-after", &key)),
        }
    }
}
