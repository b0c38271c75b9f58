//! What was posted: who is who, which messages there are, and which statuses arrived.

use std::collections::HashMap;

use super::{Conversation, Message, Moment, Person, Reported};
use crate::{
    Tag,
    checker::{Scenario, Tenant, people::People},
    journal::{Event, Update, UpdateKind, WebhookPost},
};

/// Who is who in a run.
pub(super) struct Names<'a> {
    pub(super) people: People<'a>,
    /// From a number to its business's name.
    pub(super) owners: HashMap<&'a str, &'a str>,
}

impl<'a> Names<'a> {
    pub(super) fn learn(entries: &[(Moment, &'a Event)], scenario: &'a Scenario) -> Self {
        let (mut people, mut owners) = (People::default(), HashMap::new());
        let own = |tenant: &'a Tenant| tenant.phone_number_ids.iter().map(|id| (&**id, &*tenant.name));
        owners.extend(scenario.businesses.iter().flat_map(own));
        for (_, event) in entries {
            let registered = match event {
                Event::WebhookPost(post) => {
                    post.updates.iter().for_each(|update| people.introduce(update));
                    None
                }
                Event::GraphSend(send) => Some((&send.phone_number_id, &send.business)),
                Event::GraphRead(read) => Some((&read.phone_number_id, &read.business)),
                Event::GraphUpload(upload) => Some((&upload.phone_number_id, &upload.business)),
                Event::GraphRequest(_) | Event::GraphAnswer(_) | Event::StatusWithheld(_) => None,
                Event::AiRequest(_) | Event::AiSpeech(_) | Event::AiAnswer(_) => None,
                Event::WebhookAnswer(_) | Event::HostRequest(_) | Event::Mark(_) => None,
            };
            if let Some((number, Some(business))) = registered {
                owners.entry(number).or_insert(business);
            }
        }
        Self { people, owners }
    }

    /// A number that nobody knows stands for a business of its own.
    pub(super) fn person(&self, of: Conversation<'a>) -> Person<'a> {
        let business = self.owners.get(of.number).copied().unwrap_or(of.number);
        Person { business, customer: of.customer }
    }
}

/// The messages of all posts. A message is its id at its number; one without an id is its place in its body.
pub(super) fn messages<'a>(entries: &[(Moment, &'a Event)], names: &Names<'a>) -> Vec<Message<'a>> {
    let mut messages = HashMap::new();
    let mut posts = HashMap::new();
    for (at, event) in entries {
        if let Event::WebhookPost(post) = event {
            posts.insert(post.post, post);
            for (key, index, update) in of_post(post) {
                messages.entry(key).or_insert_with(|| message(*at, index, update, names));
            }
        } else if let Event::WebhookAnswer(answer) = event
            && answer.http == Some(200)
            && let Some(post) = posts.get(&answer.post)
        {
            for (key, _, _) in of_post(post) {
                messages.entry(key).and_modify(|message: &mut Message<'a>| {
                    message.acknowledged.get_or_insert(*at);
                });
            }
        }
    }
    let mut messages: Vec<_> = messages.into_values().collect();
    messages.sort_by_key(|message| (message.posted, message.index));
    messages
}

type Key<'a> = (&'a str, &'a str, usize);

fn of_post<'a>(post: &'a WebhookPost) -> impl Iterator<Item = (Key<'a>, usize, &'a Update)> {
    let messages = post.updates.iter().enumerate().filter(|(_, update)| update.update == UpdateKind::Message);
    messages.map(|(index, update)| {
        let number = update.phone_number_id.as_deref().unwrap_or_default();
        let key = if update.id.is_empty() { (number, &*post.body_id, index) } else { (number, &*update.id, 0) };
        (key, index, update)
    })
}

fn message<'a>(posted: Moment, index: usize, update: &'a Update, names: &Names<'a>) -> Message<'a> {
    let address = update.phone_number_id.as_deref().zip(update.customer.as_deref());
    let tag = address.and_then(|_| Tag::find_all(update.text.as_deref()?).first().copied());
    let (number, customer) = address.unwrap_or_default();
    let conversation = Conversation { number, customer: names.people.name(customer) };
    let person = names.person(conversation);
    Message { id: &update.id, tag, conversation, person, posted, index, acknowledged: None }
}

/// What became of the statuses of each message to a customer.
pub(super) fn statuses<'a>(entries: &[(Moment, &'a Event)]) -> HashMap<&'a str, Reported> {
    let mut reported: HashMap<&'a str, Reported> = HashMap::new();
    let mut posts = HashMap::new();
    for (_, event) in entries {
        if let Event::StatusWithheld(withheld) = event {
            reported.entry(&withheld.wamid).or_default().lost = true;
        } else if let Event::WebhookPost(post) = event {
            posts.insert(post.post, post);
            for update in statuses_of(post) {
                reported.entry(&update.id).or_default().lost = true;
            }
        } else if let Event::WebhookAnswer(answer) = event
            && answer.http == Some(200)
            && let Some(post) = posts.get(&answer.post)
        {
            for update in statuses_of(post) {
                reported.entry(&update.id).or_default().arrived = true;
            }
        }
    }
    reported
}

fn statuses_of(post: &WebhookPost) -> impl Iterator<Item = &Update> {
    post.updates.iter().filter(|update| update.update == UpdateKind::Status)
}
