//! `worker dashboard`: serves the page for operators until it is told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use shared::{
    ids::PhoneNumberId,
    settings::{ListenAddr, Reader},
    shutdown::Shutdown,
    telemetry::TelemetrySettings,
};
use tokio::net::TcpListener;

use super::Failure;
use crate::{
    business::TokenCipher,
    dashboard::{Dashboard, serve},
    settings::{DashboardSettings, EncryptionSettings},
    store::Store,
};

/// For what browsers are at when it stops.
const DRAIN: Duration = Duration::from_secs(10);

/// `worker dashboard`.
#[derive(Debug, Args)]
pub struct DashboardCommand {
    /// Where to serve it; port 0 takes any free one [default: 127.0.0.1:8100, or DASHBOARD_ADDR]
    #[arg(long)]
    pub addr: Option<SocketAddr>,
}

/// Serves it. `find` says how the database is found.
///
/// # Errors
/// [`Failure`].
pub(super) async fn execute<F>(
    command: DashboardCommand,
    mut reader: Reader,
    find: impl FnOnce(&mut Reader) -> Option<F>,
) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    let telemetry = TelemetrySettings::read(&mut reader);
    let settings = DashboardSettings::read(&mut reader);
    let (current, previous) = (reader.secret("ENCRYPTION_SECRET"), reader.secret("ENCRYPTION_SECRET_PREVIOUS"));
    let fallback = reader.text("WHATSAPP_PHONE_NUMBER_ID").and_then(|id| PhoneNumberId::parse(&id).ok());
    let store = find(&mut reader);
    reader.finish()?;
    let (Some(settings), Some(store)) = (settings, store) else {
        unreachable!("what is missing was noted, and ended the reading");
    };
    telemetry.install_logs();
    let addr = command.addr.map_or(settings.addr, |addr| ListenAddr { addr, explicit: true }).addr;
    let listener = TcpListener::bind(addr).await.with_context(|| format!("listen on {addr}"))?;
    let shutdown = Shutdown::on_signals(DRAIN).context("listen to signals")?;
    let cipher = current.map(|current| TokenCipher::new(&EncryptionSettings { current, previous }));
    let dashboard = Dashboard::new(store.await?, &settings.secret).with_cipher(cipher).with_fallback(fallback);
    Ok(serve(dashboard, listener, &shutdown).await?)
}
