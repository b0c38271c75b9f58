//! What stands on the terminal after the start: what runs, where to look, and what the real thing takes.

use std::{fmt, net::SocketAddr};

use crate::{demo::Demo, settings::Settings};

/// The lines.
#[derive(Debug)]
pub struct Banner<'a> {
    /// What it was told.
    pub settings: &'a Settings,
    /// The demonstration, if it is that.
    pub demo: Option<&'a Demo>,
    /// Where it serves.
    pub addr: SocketAddr,
    /// Where operators look.
    pub metrics_addr: SocketAddr,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let mut row = |name: &str, what: fmt::Arguments<'_>| writeln!(f, "  {name:<11} {what}");
        let (addr, file) = (self.addr, self.settings.db.display());
        let url = format_args!("http://{addr}/").to_string();
        match self.demo {
            Some(demo) => {
                row("open", format_args!("{url}   and write to a business as its customer would"))?;
                for business in demo.businesses() {
                    row("business", format_args!("{}: {}", business.business.name, business.title))?;
                }
                let ai = if demo.ai_stands_in() {
                    "the built-in demo, which is no AI; for a real model set GROQ_API_KEY"
                } else {
                    "the model that you configured"
                };
                row("answers", format_args!("{ai}"))?;
                row("Meta", format_args!("a stand-in inside this process; nothing leaves this machine but AI calls"))?;
            }
            None => {
                row("webhooks", format_args!("{url}webhook   for the HTTPS proxy that Meta calls"))?;
                row("answers", format_args!("{}", self.settings.answering.ai.base_url))?;
            }
        }
        row("data", format_args!("{file}   a second start goes on where this one stops"))?;
        row("metrics", format_args!("http://{}/metrics, /readyz", self.metrics_addr))?;
        if self.demo.is_some() {
            row(
                "for real",
                format_args!("set WHATSAPP_VERIFY_TOKEN, WHATSAPP_APP_SECRET, ENCRYPTION_SECRET and GROQ_API_KEY,"),
            )?;
            row("", format_args!("then `standalone business import FILE`; see README.md"))?;
        }
        row("stop", format_args!("Ctrl-C"))
    }
}
