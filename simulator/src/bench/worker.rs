//! One worker, fed from the queue: how fast, what it adds to the AI and Graph, what it asks of MongoDB, how large it
//! gets.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use mongodb::bson::{Document, doc};
use secrecy::ExposeSecret;
use serde_json::Value;
use simulator::Tag;

use super::{
    bare::{self, Heard, Names},
    dialogue::{self, Beat, Scene},
    http::post,
    ledger::Ledger,
    load::{closed, posters},
    options::Scenario,
    process::{Meter, Process},
    queues::Queues,
    report::{self, Report, figure, latencies},
    requests::{Writer, business, customer, text},
    stage::{Installation, Stage},
    stand_in::StandIn,
    tap::Tap,
};

/// What the AI takes where its time is subtracted. It keeps the rate below what two cores can do.
const THINKING: Duration = Duration::from_secs(1);
/// With more conversations in flight than this the AI takes longer, as said beside the figure.
const MANY: usize = 500;
const THINKING_OF_MANY: Duration = Duration::from_secs(5);
/// The first conversation of each load: they are all other people.
const AT_TOP: u64 = 1_000_000;
const IN_FLIGHT: u64 = 2_000_000;
const HELD: u64 = 10_000_000;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let stand_in = StandIn::start().await?;
    stand_in_alone(stage, &stand_in, report).await?;
    // Another one, which has not been asked what the first one was asked to try it.
    let stand_in = StandIn::start().await?;
    let installation = stage.install("worker", &stand_in).await?;
    let heard = one_answer(stage, &stand_in, &installation, report).await?;
    let settings = [("MAX_CONVERSATIONS", "2000".to_owned())];
    let (worker, _) = stage.start_worker(&installation, "worker", &settings).await?;
    top_rate(stage, &stand_in, &installation, &worker, report).await?;
    added(stage, &stand_in, &installation.queues, &worker, report).await?;
    worker.stop().await?;
    bare_writes(stage, &installation, &heard, report).await?;
    held(stage, &stand_in, &installation, report).await?;
    installation.remove().await
}

/// The stand-ins without anybody in between: what they can do must be far from what is measured through them.
async fn stand_in_alone(stage: &Stage, stand_in: &StandIn, report: &mut Report) -> anyhow::Result<()> {
    let system = "You are Kim from the hire desk of Harbour Bikes. ".repeat(80);
    let chat = serde_json::json!({"model": "bench", "messages": [
        {"role": "system", "content": system}, {"role": "user", "content": text(Tag(1))},
    ]});
    let request = post("/openai/v1/chat/completions", &[], chat.to_string().as_bytes());
    let senders = posters(stand_in.addr, stage.size.top, &Arc::new(vec![request])).await?;
    let load = closed(senders, stage.size.step).await?;
    let figures = vec![figure("rate", load.per_second(), "answers/s")];
    report.add(Scenario::Worker, "the stand-ins alone", figures);
    Ok(())
}

/// One more text of a known customer, with the tap in between.
struct Answered {
    heard: Heard,
    before: Document,
    after: Document,
}

async fn one_answer(
    stage: &Stage,
    stand_in: &StandIn,
    installation: &Installation,
    report: &mut Report,
) -> anyhow::Result<Answered> {
    let uri = stage.mongodb_uri.expose_secret();
    let tap = Tap::start(uri).await?;
    let through = [("MONGODB_URI", tap.uri(uri))];
    let (worker, _) = stage.start_worker(installation, "worker-tapped", &through).await?;
    let ledger = Arc::new(Ledger::new(2, 1));
    stand_in.note_in(&ledger);
    stand_in.think(Duration::ZERO);
    let writer = Writer::new();
    // The first message also begins the conversation, and finds empty caches.
    say(installation, &writer, &ledger, Tag(0)).await?;
    let before = settled(installation).await?;
    tap.take();
    let written = Instant::now();
    let message = say(installation, &writer, &ledger, Tag(1)).await?;
    let after = settled(installation).await?;
    let commands = tap.take();
    worker.stop().await?;
    let send = stand_in.last_send().context("an answer was sent")?;
    let reply = reply_id(&send.body).context("the send names its reply")?;
    let names: Names = vec![customer(0).key().to_owned(), message, send.wamid, reply];
    let heard = Heard::among(commands, names);
    report.add(Scenario::Worker, "MongoDB, one answered text", vec![figure("round trips", heard.len() as f64, "")]);
    // Where the time of one message goes that meets no other.
    for (command, at) in heard.list().into_iter().zip(heard.after(written)) {
        report.add(Scenario::Worker, format!("  {command}"), vec![figure("at", at.as_secs_f64() * 1e3, "ms")]);
    }
    if let Some(sent) = ledger.time_of(Tag(1)) {
        report.add(Scenario::Worker, "  Graph", vec![figure("at", sent.as_secs_f64() * 1e3, "ms")]);
    }
    Ok(Answered { heard, before, after })
}

/// Writes as the first customer, waits for the answer, and returns the message's id.
async fn say(installation: &Installation, writer: &Writer, ledger: &Ledger, tag: Tag) -> anyhow::Result<String> {
    let message = writer.message(0, tag);
    let outgoing = writer.outgoing(&installation.queues.topology, &business(0), &message);
    ledger.written(tag);
    installation.queues.publish(&[outgoing]).await?;
    let answered = tokio::time::timeout(Duration::from_secs(30), ledger.answered(0)).await;
    ensure!(answered.is_ok(), "one message was not answered within 30 s");
    Ok(message.id)
}

/// The first customer's conversation, when nothing of it is left to do.
async fn settled(installation: &Installation) -> anyhow::Result<Document> {
    let conversations = installation.database.collection::<Document>("conversations");
    let done = doc! { "mailbox": { "$size": 0 }, "lease": { "$exists": false }, "outbox": { "$exists": false } };
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = conversations.find_one(done.clone()).await? {
            return Ok(found);
        }
        ensure!(Instant::now() < until, "a conversation is not settled within 30 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The reply's id, which comes back in every status: hexadecimal digits between colons.
fn reply_id(send: &str) -> Option<String> {
    let body: Value = serde_json::from_str(send).ok()?;
    let data = body.get("biz_opaque_callback_data")?.as_str()?;
    let is_id = |part: &&str| part.len() >= 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    data.split(':').filter(is_id).max_by_key(|part| part.len()).map(str::to_owned)
}

async fn top_rate(
    stage: &Stage,
    stand_in: &StandIn,
    installation: &Installation,
    worker: &Process,
    report: &mut Report,
) -> anyhow::Result<()> {
    stand_in.think(Duration::ZERO);
    let top = stage.size.top as u64;
    let scene = Scene { queues: &installation.queues, stand_in, first: AT_TOP };
    let beat = Beat::in_turns(top);
    dialogue::make_known(scene, beat).await?;
    let stored = stored_bytes(installation).await?;
    let meter = Meter::start([worker]);
    let done = dialogue::hold(scene, beat, Duration::ZERO, stage.size.work).await?;
    let cores = meter.stop([worker]);
    let answered = done.answered as f64;
    let mut figures = vec![figure("rate", done.per_second(), "answers/s")];
    figures.extend(latencies(&done.added));
    figures.extend([
        figure("cpu", cores.product_secs / answered * 1e6, "s/M answers"),
        figure("resident", worker.usage().resident_mb, "MB"),
        figure("stored", (stored_bytes(installation).await? - stored) / answered / 1e3, "kB/answer"),
        figure("prompt", stand_in.prompt_bytes() / 1e3, "kB"),
        figure("repeated", done.repeated as f64, ""),
    ]);
    figures.extend(cores.figures());
    report.add(Scenario::Worker, format!("top rate, {top} in flight"), figures);
    Ok(())
}

/// Documents and indexes of the database, before compression.
async fn stored_bytes(installation: &Installation) -> anyhow::Result<f64> {
    let stats = installation.database.run_command(doc! { "dbStats": 1 }).await?;
    // Whole numbers or not, as MongoDB likes.
    let bytes = |name| {
        let value = stats.get(name)?;
        value.as_f64().or(value.as_i64().map(|n| n as f64)).or(value.as_i32().map(f64::from))
    };
    let sum = bytes("dataSize").zip(bytes("indexSize")).map(|(data, index)| data + index);
    sum.context("dbStats tells how large the database is")
}

async fn added(
    stage: &Stage,
    stand_in: &StandIn,
    queues: &Queues,
    worker: &Process,
    report: &mut Report,
) -> anyhow::Result<()> {
    for (n, &in_flight) in stage.size.in_flight.iter().enumerate() {
        let thinking = if in_flight > MANY { THINKING_OF_MANY } else { THINKING };
        stand_in.think(thinking);
        let scene = Scene { queues, stand_in, first: IN_FLIGHT + 100_000 * n as u64 };
        // Three times round: all have begun by the end of the first one, and their caches are warm.
        let warm_up = thinking * 3;
        let done =
            dialogue::hold(scene, Beat::spread(in_flight as u64, thinking), warm_up, stage.size.work.max(thinking * 2))
                .await?;
        let mut figures = latencies(&done.added);
        let median = |of: &hdrhistogram::Histogram<u64>| of.value_at_quantile(0.5) as f64 / 1e3;
        figures.extend([
            figure("before the AI", median(&done.until_asked), "ms"),
            figure("behind it", median(&done.after_reply), "ms"),
            figure("rate", done.per_second(), "answers/s"),
            figure("AI", thinking.as_secs_f64(), "s"),
            figure("resident", worker.usage().resident_mb, "MB"),
        ]);
        report.add(Scenario::Worker, report::in_flight(in_flight), figures);
    }
    Ok(())
}

/// The same commands for other customers, as many at once as conversations were in flight at the top rate.
async fn bare_writes(
    stage: &Stage,
    installation: &Installation,
    answered: &Answered,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Answered { heard, before, after } = answered;
    // More than any machine gets done: whoever runs out of them before the time is over stops, and that time counts.
    let count = (stage.size.work.as_secs() * 2_000).min(40_000);
    let everybody = bare::prepare(&installation.database, before, heard, usize::try_from(count)?).await?;
    let first = everybody.first().context("there is somebody")?.clone();
    let meter = Meter::start([]);
    let (client, database) = (&installation.client, &installation.database);
    let done = bare::repeat(client, database, heard, everybody, stage.size.top, stage.size.work).await?;
    let cores = meter.stop([]);
    bare::compare(database, heard, &first, after).await?;
    let rate = done.whole as f64 / done.took.as_secs_f64();
    let mut figures = vec![figure("rate", rate, "answers/s"), figure("commands", rate * heard.len() as f64, "/s")];
    figures.extend(cores.figures());
    report.add(Scenario::Worker, format!("bare writes, {} at once", stage.size.top), figures);
    Ok(())
}

/// Memory while very many conversations wait for the AI. It keeps all of them waiting until all have asked, and answers
/// five seconds later: at five seconds each no two cores would ever have so many in flight.
async fn held(
    stage: &Stage,
    stand_in: &StandIn,
    installation: &Installation,
    report: &mut Report,
) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(120);
    let count = stage.size.held as u64;
    let settings = [("MAX_CONVERSATIONS", "10000".to_owned())];
    let (worker, _) = stage.start_worker(installation, "worker-held", &settings).await?;
    let idle = worker.usage().resident_mb;
    let ledger = Arc::new(Ledger::new(count, count));
    stand_in.note_in(&ledger);
    stand_in.think(THINKING_OF_MANY);
    stand_in.answer(false);
    let scene = Scene { queues: &installation.queues, stand_in, first: HELD };
    dialogue::pour(scene, &ledger, count).await?;
    let (began, mut asked) = (ledger.elapsed(), (0, Duration::ZERO));
    let mut most = 0.0_f64;
    // The worker's own patience with a model is a minute, so the first must not wait for longer than that.
    while ledger.asked_count() < count && ledger.elapsed() - began < Duration::from_secs(50) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(worker.usage().resident_mb);
        asked = (ledger.asked_count(), ledger.elapsed() - began);
    }
    let (in_flight, waiting) = (ledger.asked_count(), most);
    // All of them at once now, which no provider does: how that ends is told beside it, and judged by nobody.
    stand_in.answer(true);
    while ledger.sent_count() < count && ledger.elapsed() - began < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(worker.usage().resident_mb);
    }
    // Under a name by which nobody judges it, where not all of them were in flight together.
    let what = if in_flight < count {
        format!("not all of {}", report::in_flight(stage.size.held))
    } else {
        report::in_flight(stage.size.held)
    };
    report.add(
        Scenario::Worker,
        what,
        vec![
            figure("resident", waiting, "MB"),
            figure("idle", idle, "MB"),
            figure("peak behind it", most, "MB"),
            figure("at once", in_flight as f64, "conversations"),
            figure("asked within", asked.1.as_secs_f64(), "s"),
            figure("answered in two minutes", ledger.sent_count() as f64, ""),
        ],
    );
    worker.stop().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_reply_is_found_in_what_graph_is_told() {
        let id = "0123456789abcdef0123456789abcdef";
        let body = format!(r#"{{"biz_opaque_callback_data": "v1:bench-0:4915100000000:{id}:0:1"}}"#);
        assert_eq!(reply_id(&body).as_deref(), Some(id));
        assert_eq!(reply_id(r#"{"text": {}}"#), None);
    }
}
