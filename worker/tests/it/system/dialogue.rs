//! What a test's customer sends, what the model is asked because of it, and what the customer gets, of whatever type.

use mongodb::bson::{Document, doc};
use simulator::{
    Business, Customer, Journal,
    ai::ChatRequest,
    journal::{AiRequest, GraphSend},
    webhook::{Body, Content, Message},
};

use super::harness::{PATIENCE, System};

/// A chat request as it was recorded; of a picture it holds the fingerprint only.
pub(crate) fn recorded(request: &AiRequest) -> ChatRequest {
    ChatRequest {
        number: request.request,
        model: request.model.clone().unwrap_or_default(),
        credential: request.credential.clone(),
        body: request.body.clone(),
    }
}

/// The name in the prompt of whoever is to be answered; blank where the request is for nobody's answer.
pub(crate) fn asker(request: &ChatRequest) -> String {
    let system = request.system();
    let line = system.lines().find_map(|line| line.strip_prefix("The customer's profile name")).unwrap_or_default();
    line.split('"').nth(1).unwrap_or_default().to_owned()
}

/// The chat requests in which this customer is to be answered, in order.
pub(crate) fn asked(journal: &Journal, customer: &Customer) -> Vec<ChatRequest> {
    let chats = journal.chats().into_iter().map(|chat| recorded(&chat));
    chats.filter(|request| customer.name.as_deref() == Some(asker(request).as_str())).collect()
}

impl System {
    /// A customer sends something; returns the message.
    pub(crate) async fn send(&self, business: &Business, customer: &Customer, content: Content) -> Message {
        let message = self.meta.sender(business).message(customer, content);
        self.deliver(business, &message).await;
        message
    }

    pub(crate) async fn deliver(&self, business: &Business, message: &Message) {
        self.meta.sender(business).deliver(&Body::of(business, message).to_json()).await.expect("200");
    }

    /// Waits until the customer has got that many messages of whatever type, and returns them.
    pub(crate) async fn received(&self, business: &Business, customer: &Customer, count: usize) -> Vec<GraphSend> {
        let find = |journal: &Journal| {
            let messages = journal.messages_for(&business.phone_number_id, customer.key());
            (messages.len() >= count).then_some(messages)
        };
        match self.journal.wait_for(find, PATIENCE).await {
            Ok(messages) => messages,
            Err(error) => panic!("{error}: not {count} messages from {} for {}", business.name, customer.key()),
        }
    }

    /// Waits until the model is asked to answer this customer for the so manieth time, and returns that request.
    pub(crate) async fn asked(&self, customer: &Customer, count: usize) -> ChatRequest {
        let find = |journal: &Journal| asked(journal, customer).into_iter().nth(count - 1);
        self.journal.wait_for(find, PATIENCE).await.unwrap_or_else(|error| panic!("{error}: not asked {count} times"))
    }

    /// What is stored of a customer's conversation with a business.
    pub(crate) async fn conversation(&self, business: &Business, customer: &Customer) -> Document {
        let id = format!("{}:{}", business.name, customer.key());
        self.wait_for_document("conversations", doc! { "_id": id }).await
    }

    /// The remembered lines of a customer's conversation with a business, as soon as this one is among them.
    pub(crate) async fn remembered(&self, business: &Business, customer: &Customer, line: &str) -> Vec<String> {
        let id = format!("{}:{}", business.name, customer.key());
        let conversation = self.wait_for_document("conversations", doc! { "_id": id, "memory.turns.text": line }).await;
        let memory = conversation.get_document("memory").expect("a memory");
        let lines = memory.get_array("turns").expect("lines").iter();
        lines
            .map(|line| line.as_document().and_then(|line| line.get_str("text").ok()).expect("text").to_owned())
            .collect()
    }
}
