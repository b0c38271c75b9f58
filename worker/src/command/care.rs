//! Commands that look after what is stored, wherever that is.

use std::{path::PathBuf, sync::Arc};

use clap::Subcommand;
use shared::{ids::PhoneNumberId, settings::Reader};

use super::{
    AccountCommand, AddCommand, AnalyticsCommand, CheckCommand, ConversationCommand, CustomerCommand, DashboardCommand,
    DeadLetterCommand, Failure, KnowledgeCommand, account, analytics, business, business_add, business_change,
    business_check, conversation, customer, dashboard, dead_letter, knowledge, rotate, token,
};
use crate::{business::TokenCipher, settings::EncryptionSettings, store::Store};

/// What can be looked after.
#[derive(Debug, Subcommand)]
pub enum CareCommand {
    /// What the days of businesses were like: messages, answer times, failures, what they cost
    Analytics(AnalyticsCommand),
    /// Show what Meta lets each account do, and what it said last
    #[command(subcommand)]
    Account(AccountCommand),
    /// Look after businesses
    #[command(subcommand)]
    Business(BusinessCommand),
    /// See how conversations stand, hand them to a person or back to the companion, write as a person
    #[command(subcommand)]
    Conversation(ConversationCommand),
    /// Show what is stored of a customer, or forget it
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// Serve a page with what goes on, for who signs in with DASHBOARD_SECRET
    Dashboard(DashboardCommand),
    /// Look after messages that could not be answered
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Look after what a business's companion can look up
    #[command(subcommand)]
    Knowledge(KnowledgeCommand),
    /// Encrypt and check access tokens
    #[command(subcommand)]
    Token(TokenCommand),
}

/// `worker business …`
#[derive(Debug, Subcommand)]
pub enum BusinessCommand {
    /// Every business that has WhatsApp
    List,
    /// What is known of one business
    Show {
        /// Its `subDomain`
        subdomain: String,
    },
    /// Add a business that is served at once; its token comes from a file or from standard input, and is encrypted
    Add(AddCommand),
    /// Serve a business
    Enable {
        /// Its `subDomain`
        subdomain: String,
        /// Even where the back end has switched the whole business off (`isActive`)
        #[arg(long)]
        activate: bool,
    },
    /// Serve a business no more (`whatsappEnabled`; `isActive` stays as it is)
    Disable {
        /// Its `subDomain`
        subdomain: String,
    },
    /// Change one field of a business, once it is known to be right
    Set {
        /// Its `subDomain`
        subdomain: String,
        /// The field, such as `name`, `whatsappPhoneNumberIds` or `companion.voice.reply`
        field: String,
        /// JSON, or a text; `-` reads it from standard input, where secrets belong, which are then encrypted
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Say what is wrong in the documents of businesses; exit code 1 where something is
    Check(CheckCommand),
    /// Add or change businesses from a JSON file with the back end's field names; plain secrets are encrypted
    Import {
        /// One object, an array of them, or one object a line; MongoDB's extended JSON is understood
        file: PathBuf,
    },
    /// Write the businesses that have WhatsApp to a JSON file, for `business import` elsewhere. Tokens stay encrypted: the
    /// other place needs the same ENCRYPTION_SECRET, or this one as ENCRYPTION_SECRET_PREVIOUS
    Export {
        /// A file that is not there yet
        file: PathBuf,
    },
}

/// `worker token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print the form in which a token is stored; it comes from standard input
    Encrypt,
    /// Say whether a stored token decrypts; it comes from standard input
    Check,
    /// Encrypt all tokens and other secrets anew that ENCRYPTION_SECRET_PREVIOUS encrypted; exit code 1 where one
    /// cannot be decrypted. May be interrupted and repeated, also while messages are answered
    Rotate {
        /// Only say what would be changed
        #[arg(long)]
        dry_run: bool,
    },
}

/// Looks after what is stored. `find` reads how the database is found, and gives what opens it; none where something is
/// missing, which it notes.
///
/// # Errors
/// [`Failure`].
pub async fn look_after<F>(
    command: CareCommand,
    mut reader: Reader,
    find: impl FnOnce(&mut Reader) -> Option<F>,
) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    match command {
        CareCommand::Business(BusinessCommand::Check(command)) => business_check::execute(command, reader, find).await,
        CareCommand::Analytics(command) => analytics::execute(command, reader, find).await,
        CareCommand::Conversation(command) => conversation::execute(command, reader, find).await,
        CareCommand::Dashboard(command) => dashboard::execute(command, reader, find).await,
        CareCommand::Business(command) => {
            let (store, encryption) = (find(&mut reader), EncryptionSettings::read(&mut reader));
            over(store, reader, async |store| look_after_business(command, &**store, &cipher(encryption)).await).await
        }
        CareCommand::Account(command) => {
            over(find(&mut reader), reader, async |store| account::execute(command, &**store).await).await
        }
        CareCommand::Customer(command) => {
            over(find(&mut reader), reader, async |store| customer::execute(command, &**store).await).await
        }
        CareCommand::DeadLetter(command) => {
            let fallback = reader.text("WHATSAPP_PHONE_NUMBER_ID").and_then(|id| PhoneNumberId::parse(&id).ok());
            over(find(&mut reader), reader, async |store| dead_letter::execute(command, &**store, fallback).await).await
        }
        CareCommand::Knowledge(command) => {
            over(find(&mut reader), reader, async |store| knowledge::execute(command, store).await).await
        }
        CareCommand::Token(TokenCommand::Rotate { dry_run }) => {
            let (store, encryption) = (find(&mut reader), EncryptionSettings::read(&mut reader));
            over(store, reader, async |store| rotate::rotate(&**store, &cipher(encryption), dry_run).await).await
        }
        CareCommand::Token(command) => {
            let encryption = EncryptionSettings::read(&mut reader);
            reader.finish()?;
            let cipher = cipher(encryption);
            match command {
                TokenCommand::Encrypt => token::encrypt(&cipher)?,
                TokenCommand::Check => token::check(&cipher)?,
                TokenCommand::Rotate { .. } => unreachable!("it was taken out above"),
            }
            Ok(())
        }
    }
}

async fn look_after_business(command: BusinessCommand, store: &dyn Store, cipher: &TokenCipher) -> anyhow::Result<()> {
    match command {
        BusinessCommand::Add(command) => business_add::add(store, cipher, command).await,
        BusinessCommand::Enable { subdomain, activate } => {
            business_change::enable(store, cipher, &subdomain, activate).await
        }
        BusinessCommand::Disable { subdomain } => business_change::disable(store, cipher, &subdomain).await,
        BusinessCommand::Set { subdomain, field, value } => {
            business_change::set(store, cipher, &subdomain, &field, &value).await
        }
        BusinessCommand::List => business::list(store, cipher).await,
        BusinessCommand::Show { subdomain } => business::show(store, cipher, &subdomain).await,
        BusinessCommand::Export { file } => business::export(store, &file).await,
        BusinessCommand::Import { file } => business::import(store, cipher, &file).await,
        BusinessCommand::Check(_) => unreachable!("it was taken out above"),
    }
}

/// Does something with the database, and closes it whatever came of that.
async fn over<F>(
    store: Option<F>,
    reader: Reader,
    work: impl AsyncFnOnce(&Arc<dyn Store>) -> anyhow::Result<()>,
) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    let store = open(store, reader).await?;
    let done = work(&store).await;
    store.close().await;
    Ok(done?)
}

/// Ends the reading, and opens the database.
pub(super) async fn open<F>(store: Option<F>, reader: Reader) -> Result<Arc<dyn Store>, Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    reader.finish()?;
    Ok(store.expect("what is missing was noted, and ended the reading").await?)
}

fn cipher(encryption: Option<EncryptionSettings>) -> TokenCipher {
    TokenCipher::new(&encryption.expect("what is missing was noted, and ended the reading"))
}
