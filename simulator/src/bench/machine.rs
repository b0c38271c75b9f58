//! What the run is on, for whoever compares two reports.

use std::{fs, time::Duration};

use lapin::uri::AMQPUri;
use mongodb::bson::doc;
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::stage::Stage;

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub(super) what: &'static str,
    pub(super) value: String,
}

/// Facts that cannot be found out are left out.
pub(super) async fn describe(stage: &Stage) -> Vec<Fact> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let facts = [
        Some(("cpu", format!("{cores} × {cpu}"))),
        line_of("/proc/meminfo", "MemTotal").map(|total| ("memory", total)),
        fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|kernel| ("kernel", kernel.trim().to_owned())),
        rabbitmq(stage).await.map(|version| ("RabbitMQ", version)),
        mongodb(stage).await.map(|version| ("MongoDB", version)),
        Some(("sharing", "load, stand-ins, RabbitMQ and MongoDB run on the same cores; nothing is pinned".to_owned())),
        Some(("size", if stage.size.quick { "quick: the figures mean little" } else { "full" }.to_owned())),
    ];
    facts.into_iter().flatten().map(|(what, value)| Fact { what, value }).collect()
}

fn line_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

/// What the broker says of itself in its first frame, which comes before anybody has signed in (AMQP 0-9-1, "start").
async fn rabbitmq(stage: &Stage) -> Option<String> {
    let uri: AMQPUri = stage.rabbitmq_url.expose_secret().parse().ok()?;
    let connecting = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port));
    let mut stream = tokio::time::timeout(PATIENCE, connecting).await.ok()?.ok()?;
    stream.write_all(b"AMQP\0\0\x09\x01").await.ok()?;
    let mut frame = Vec::new();
    while version_in(&frame).is_none() {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut frame)).await.ok()?.ok()?;
        if read == 0 {
            return None;
        }
    }
    version_in(&frame)
}

/// The field `version` of a table, which is a long string.
fn version_in(frame: &[u8]) -> Option<String> {
    const FIELD: &[u8] = b"\x07versionS";
    let at = frame.windows(FIELD.len()).position(|window| window == FIELD)?;
    let (length, text) = frame.get(at + FIELD.len()..)?.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    String::from_utf8(text.get(..length)?.to_vec()).ok()
}

async fn mongodb(stage: &Stage) -> Option<String> {
    let client = mongodb::Client::with_uri_str(stage.mongodb_uri.expose_secret()).await.ok()?;
    let built = client.database("admin").run_command(doc! { "buildInfo": 1 }).await.ok()?;
    built.get_str("version").ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_when_all_of_it_is_there() {
        let frame = b"\x01\0\0....\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8..";
        assert_eq!(version_in(frame).as_deref(), Some("3.10.8"));
        assert!((0..frame.len() - 2).all(|end| version_in(&frame[..end]).is_none()));
    }
}
