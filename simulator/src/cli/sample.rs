//! `simulator sample`: a ready webhook of any kind, printed, or posted where a URL is given.

use std::process::ExitCode;

use clap::Args;
use secrecy::SecretString;
use simulator::{
    Business, Customer, Journal, Seed, Sender,
    webhook::{Ids, SAMPLES, sample, updates},
};

use super::show;

#[derive(Debug, Args)]
pub(super) struct Sample {
    /// The sample; `--list` tells the names.
    #[arg(required_unless_present = "list", value_parser = clap::builder::PossibleValuesParser::new(SAMPLES))]
    name: Option<String>,
    /// Print the names.
    #[arg(long)]
    list: bool,
    /// Post it there instead of printing it.
    #[arg(long, value_parser = super::url)]
    webhook_url: Option<String>,
    /// The business that it is for.
    #[arg(long, value_name = "PHONE_NUMBER_ID|NAME=ID", value_parser = super::business, default_value = "acme=1001")]
    business: Business,
    /// The customer.
    #[arg(long, value_name = "NUMBER|USER_ID", value_parser = super::customer, default_value = "4915112345678")]
    from: Customer,
}

impl Sample {
    pub(super) async fn run(self, app_secret: Option<SecretString>) -> anyhow::Result<ExitCode> {
        let Some(name) = self.name.filter(|_| !self.list) else {
            SAMPLES.iter().for_each(|name| show::line(name));
            return Ok(ExitCode::SUCCESS);
        };
        let ids = Ids::new(Seed::random(), "sample");
        let body = sample(&name, &self.business, &self.from, &ids);
        let body = body.ok_or_else(|| anyhow::anyhow!("there is no such sample"))?;
        let Some(url) = self.webhook_url else {
            show::line(&serde_json::to_string_pretty(&body)?);
            return Ok(ExitCode::SUCCESS);
        };
        let status = Sender::new(url, app_secret, &Journal::in_memory(), Seed::random()).deliver_once(&body).await?;
        let ids = updates(&body).into_iter().map(|update| update.id).collect::<Vec<_>>();
        show::posted(status, &ids.join(" "));
        Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
