//! `simulator send`: one webhook, as if a customer had written. It waits for nothing but the HTTP answer.

use std::process::ExitCode;

use clap::Args;
use secrecy::SecretString;
use simulator::{
    Business, Customer, Journal, Seed, Sender,
    webhook::{Body, SAMPLES, sample_content},
};

use super::show;

#[derive(Debug, Args)]
pub(super) struct Send {
    /// Where ingest takes webhooks.
    #[arg(long, value_parser = super::url, default_value = "http://127.0.0.1:8000/webhook")]
    webhook_url: String,
    /// The business that is written to.
    #[arg(long, value_name = "PHONE_NUMBER_ID|NAME=ID", value_parser = super::business)]
    business: Business,
    /// Who writes: a phone number, or a user id such as DE.abc for somebody who hides the number.
    #[arg(long, value_name = "NUMBER|USER_ID", value_parser = super::customer)]
    from: Customer,
    /// The name in the customer's profile.
    #[arg(long, default_value = "Ana")]
    name: String,
    /// The type of the message, such as text, sticker, location.
    #[arg(long = "type", default_value = "text", value_parser = message_type)]
    message_type: String,
    /// The words, where the type has some.
    #[arg(default_value = "Hello")]
    text: String,
}

impl Send {
    pub(super) async fn run(self, app_secret: Option<SecretString>) -> anyhow::Result<ExitCode> {
        // Another process may have sent already: ids must not repeat, or this would be a duplicate.
        let sender = Sender::new(self.webhook_url, app_secret, &Journal::in_memory(), Seed::random());
        let content = sample_content(&self.message_type, &self.text);
        let content = content.ok_or_else(|| anyhow::anyhow!("there is no message of this type"))?;
        let message = sender.message(&self.from.named(self.name), content);
        let status = sender.deliver_once(&Body::of(&self.business, &message).to_json()).await?;
        show::posted(status, &message.id);
        Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn message_type(text: &str) -> Result<String, String> {
    if sample_content(text, "").is_some() {
        return Ok(text.to_owned());
    }
    let known = SAMPLES.iter().filter(|name| sample_content(name, "").is_some());
    Err(format!("known are {}", known.copied().collect::<Vec<_>>().join(", ")))
}
