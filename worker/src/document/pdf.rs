//! A PDF's text, from a process that may do whatever it likes to itself.
//!
//! The process gets the bytes and nothing else: no environment, and so no secret; no directory of ours; no word of
//! its own in our log. It is dead when its answer, its time or our interest has come to an end.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};

use super::{
    PLACE_WAIT, TIME_MOST, Why,
    extract::{ALLOCATOR_OPTION, Ending, OUTPUT_MOST, SUBCOMMAND},
    text::Raw,
};

/// The text of a PDF, as soon as there is a place.
pub(super) async fn text_of(program: &Path, places: &Semaphore, bytes: &[u8]) -> Result<Raw, Why> {
    // Nobody closes the semaphore.
    let Ok(Ok(_place)) = timeout(PLACE_WAIT, places.acquire()).await else { return Err(Why::Unavailable) };
    let mut child = start(program).map_err(|error| {
        tracing::warn!(%error, "no process could be started to read a PDF");
        Why::Unavailable
    })?;
    let said = timeout(TIME_MOST, exchange(&mut child, bytes)).await;
    // It holds its place until it is gone. Where it has ended by itself there is nothing to kill.
    child.kill().await.ok();
    let (output, status) = said.map_err(|_elapsed| Why::TooSlow)?.map_err(|error| {
        tracing::warn!(%error, "the process that reads a PDF could not be followed");
        Why::Unavailable
    })?;
    verdict(output, status)
}

fn start(program: &Path) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    let (name, value) = ALLOCATOR_OPTION;
    command.arg(SUBCOMMAND).env_clear().env(name, value).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // An interrupt at the terminal is the worker's to handle; it finishes what it began.
    command.process_group(0).kill_on_drop(true).spawn()
}

/// Both directions at once, for neither side may have to wait until its own words are heard.
async fn exchange(child: &mut Child, bytes: &[u8]) -> std::io::Result<(Vec<u8>, ExitStatus)> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let tell = async move {
        if let Some(mut stdin) = stdin {
            // A process that has died already shows in its status.
            stdin.write_all(bytes).await.ok();
        }
    };
    let hear = async move {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(OUTPUT_MOST as u64).read_to_end(&mut output).await?;
        }
        std::io::Result::Ok(output)
    };
    let ((), output) = tokio::join!(tell, hear);
    Ok((output?, child.wait().await?))
}

fn verdict(output: Vec<u8>, status: ExitStatus) -> Result<Raw, Why> {
    let raw = |cut| Raw { text: String::from_utf8_lossy(&output).into_owned(), cut, spaces_are_layout: true };
    match status.code().and_then(Ending::of_code) {
        Some(Ending::Whole) => Ok(raw(false)),
        Some(Ending::Part) => Ok(raw(true)),
        Some(Ending::Encrypted) => Err(Why::Encrypted),
        Some(Ending::Unlimited) => Err(Why::Unavailable),
        None if status.signal() == Some(Signal::XCPU.as_raw()) => Err(Why::TooSlow),
        // A panic's code, or the signal of whoever ran out of memory or stack.
        Some(Ending::Damaged) | None => Err(Why::Damaged),
    }
}
