//! `worker conversation send`: a person's message from the operator's terminal, by the business's own number and token.
//!
//! The conversation is taken over before anything is sent, so that the companion does not speak at the same time. A
//! send is made once. Where nobody can tell whether it arrived, nothing is written down and the operator is told so.

use std::{
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use secrecy::SecretString;
use shared::{
    ids::{MessageId, PhoneNumberId},
    settings::Reader,
};

use super::{
    super::dead_letter::{say, utc},
    SendArguments,
};
use crate::{
    analytics::Diary,
    business::{Business, Lookup, Registry, TokenCipher},
    conversation::{Customer, PartForm, state::State},
    http,
    settings::{EncryptionSettings, FallbackSettings, MetaApps, graph_url},
    store::{Outbound, Store},
    whatsapp::{Callback, Graph, MESSAGE_UNITS, Outgoing, Recipient, utf16},
};

const TIMEOUT: Duration = Duration::from_secs(15);
const TEXT_MOST_BYTES: u64 = 64 * 1_024;

/// What sending takes besides the database.
pub(super) struct Means {
    encryption: EncryptionSettings,
    fallback: Option<FallbackSettings>,
    apps: MetaApps,
    graph_url: String,
}

impl Means {
    /// Reads it all. None: what is missing was noted as a problem.
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let (encryption, fallback) = (EncryptionSettings::read(reader), FallbackSettings::read(reader));
        let (apps, graph_url) = (MetaApps::read(reader), graph_url(reader));
        Some(Self { encryption: encryption?, fallback, apps, graph_url })
    }
}

/// Sends a text to the customer of a conversation.
///
/// # Errors
/// It was not sent, or nobody can tell; the message says which.
pub(super) async fn send(store: &Arc<dyn Store>, means: Means, arguments: &SendArguments) -> anyhow::Result<()> {
    let text = arguments.words()?;
    let state = arguments.which.find(&**store).await?;
    if state.opted_out_at.is_some() {
        bail!("nothing was sent: the customer wants to hear no more, until they write START");
    }
    let number = open_window(&state, Timestamp::now())?;
    let cipher = TokenCipher::new(&means.encryption);
    let registry = Registry::new(Arc::clone(store), cipher, means.fallback.as_ref());
    let business = business(&registry, &number, &state).await?;
    if let Some(pause) = business.paused(Timestamp::now()) {
        bail!("nothing was sent: Meta does not let the account send ({}); see `worker account list`", pause.why);
    }
    let token = business.token.as_ref().map_err(|problem| anyhow::anyhow!("nothing was sent: {problem}"))?;
    let to = recipient(&state.customer)?;
    let client = http::client().context("set up the HTTP client")?;
    let graph = Graph::new(client, means.graph_url, TIMEOUT).proving(means.apps);

    let (diary, length) = (Diary::new(Arc::clone(store)), business.companion.hand_over.hours);
    if !diary.hand_over(&state.id, &business.companion.zone(), length, None).await? {
        bail!("nothing was sent: the conversation went on elsewhere meanwhile; try again");
    }
    let wamid = post(&graph, token, &state, &number, &to, &text).await?;
    let recorded = record(&**store, &state, &number, &wamid, &text, length).await;
    recorded.context("it was sent, but is not written down, so the companion will not know of it")?;
    diary.note(&business.id, &business.companion.zone(), Timestamp::now());
    diary.store_notes().await?;
    let until = store.state(&state.id).await?.and_then(|state| state.handed_over_until);
    let until = until.map_or_else(|| "now".to_owned(), utc);
    Ok(say(&format!("Sent to {}. The conversation is handed over until {until}.", state.id))?)
}

impl SendArguments {
    fn words(&self) -> anyhow::Result<String> {
        let text = if self.text == "-" {
            let mut text = String::new();
            std::io::stdin().take(TEXT_MOST_BYTES).read_to_string(&mut text).context("read standard input")?;
            text
        } else {
            self.text.clone()
        };
        let text = text.trim();
        match utf16(text) {
            0 => bail!("nothing was sent: there is no text"),
            units if units > MESSAGE_UNITS => {
                bail!("nothing was sent: the text has {units} characters, and a message may have {MESSAGE_UNITS}")
            }
            _ => Ok(text.to_owned()),
        }
    }
}

/// The number that the customer wrote to last, if it may write freely still.
fn open_window(state: &State, now: Timestamp) -> anyhow::Result<PhoneNumberId> {
    match state.windows.iter().max_by_key(|(_, until)| **until) {
        Some((number, until)) if *until > now => Ok(number.clone()),
        Some((_, until)) => bail!(
            "nothing was sent: more than 24 hours have passed since the customer wrote (the window closed {}), so Meta \
             takes approved templates only",
            utc(*until)
        ),
        None => bail!("nothing was sent: the customer has not written yet"),
    }
}

/// The business of the number, if it is the conversation's.
async fn business(registry: &Registry, number: &PhoneNumberId, state: &State) -> anyhow::Result<Arc<Business>> {
    match registry.lookup(number).await? {
        Lookup::Served(business) if business.id == state.business_id => Ok(business),
        Lookup::Served(_) => bail!("nothing was sent: the number is another business's now"),
        Lookup::Unserved(why) => bail!("nothing was sent: {}", why.detail()),
    }
}

fn recipient(customer: &Customer) -> anyhow::Result<Recipient> {
    let phone = customer.wa_id.clone().map(Recipient::Phone);
    let to = phone.or_else(|| customer.user_id.clone().map(Recipient::User));
    to.context("nothing was sent: neither a number nor a user id of the customer is known")
}

async fn post(
    graph: &Graph,
    token: &SecretString,
    state: &State,
    from: &PhoneNumberId,
    to: &Recipient,
    body: &str,
) -> anyhow::Result<MessageId> {
    // No reply has this id: statuses of it prove nothing about any.
    let reply_id = uuid::Uuid::new_v4().simple().to_string();
    let callback = Callback { session: state.id.clone(), reply_id, part: 0, attempt: 1 };
    let message = Outgoing { from, to, body, form: &PartForm::Text, quotes: None, callback: &callback };
    graph.learn_issuer(token).await;
    match graph.send(token, &message, Instant::now() + graph.send_timeout()).await {
        Ok(wamid) => Ok(wamid),
        Err(error) if error.is_ambiguous() => bail!(
            "nobody can tell whether it was sent: {error}. It may have arrived, so look at the chat before you send it \
             again; it is not written down. The conversation is handed over"
        ),
        Err(error) => bail!(
            "it was not sent: {error}. The conversation is handed over all the same; `worker conversation resume` gives \
             it back"
        ),
    }
}

/// As what a person wrote from the business's own phone.
async fn record(
    store: &dyn Store,
    state: &State,
    number: &PhoneNumberId,
    wamid: &MessageId,
    body: &str,
    length: Duration,
) -> anyhow::Result<()> {
    let written = Outbound::by_a_person(&state.id, &state.business_id, number, wamid, body);
    store.record_outbound(&written).await?;
    if !store.hand_over(&state.id, length, Some(body)).await? {
        bail!("the conversation went on elsewhere meanwhile");
    }
    Ok(())
}
