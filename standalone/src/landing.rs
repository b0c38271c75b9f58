//! Webhooks straight into the store: what ingest takes apart has landed in its conversations before Meta gets its 200.

use std::time::Duration;

use async_trait::async_trait;
use ingest::sink::{NotKept, Sink};
use shared::{
    broker::Outgoing,
    topology::{Exchange, Topology},
    trace::HEADER,
};
use worker::intake::{Arrival, DirectIntake};

/// Keeps what webhooks carry by landing it.
#[derive(Debug)]
pub struct Landing {
    intake: DirectIntake,
    topology: Topology,
    timeout: Duration,
}

impl Landing {
    /// Over an engine's intake. A webhook that has not landed within `timeout` has to come again.
    pub fn new(intake: DirectIntake, timeout: Duration) -> Self {
        // There is no queue, but every update is addressed all the same.
        Self { intake, topology: Topology::new("standalone", 1), timeout }
    }
}

#[async_trait]
impl Sink for Landing {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    async fn keep(&self, messages: &[Outgoing]) -> Result<(), NotKept> {
        let arrivals: Vec<Arrival<'_>> = messages.iter().map(arrival).collect();
        match tokio::time::timeout(self.timeout, self.intake.land(&arrivals)).await {
            Ok(landed) => landed.map_err(|error| NotKept(error.to_string())),
            Err(_) => Err(NotKept(format!("it did not land within {} s", self.timeout.as_secs_f64()))),
        }
    }
}

fn arrival(message: &Outgoing) -> Arrival<'_> {
    let undecodable = match message.exchange {
        Exchange::Inbound | Exchange::Status => None,
        Exchange::Dead => {
            let reason = message.headers.iter().find(|(name, _)| *name == "reason");
            Some(reason.map_or("no reason given", |(_, reason)| reason.as_str()))
        }
    };
    let trace = message.headers.iter().find(|(name, _)| *name == HEADER).and_then(|(_, value)| value.parse().ok());
    Arrival { body: &message.body, message_id: &message.message_id, undecodable, trace }
}
