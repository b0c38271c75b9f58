//! The process that reads a PDF: what it is given, what bounds it, and that it is gone.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use worker::document::{DocumentReader, Extracted, PLACE_WAIT, TIME_MOST, Why};

use super::{DAMAGED, hostile, whole};

const WORKER: &str = env!("CARGO_BIN_EXE_worker");

/// A script in the place of the worker's binary.
struct Script {
    directory: TempDir,
}

impl Script {
    /// `$directory` in it is its own.
    fn new(commands: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("script");
        let text = format!("#!/bin/sh\nulimit -c 0\ndirectory='{}'\n{commands}\n", directory.path().display());
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
        Self { directory }
    }

    /// Writes down its process and becomes the real binary.
    fn watched() -> Self {
        Self::new(&format!(
            "echo $$ > \"$directory/pid.new\"; mv \"$directory/pid.new\" \"$directory/pid\"\nexec '{WORKER}' \"$@\""
        ))
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("script")
    }

    fn reader(&self) -> DocumentReader {
        DocumentReader::with_program(self.path())
    }

    async fn read(&self) -> Extracted {
        self.reader().text_of(b"%PDF-", "application/pdf", None).await
    }

    /// The process that it wrote down, as soon as it did.
    async fn pid(&self) -> String {
        eventually("the process is written down", || fs::read_to_string(self.directory.path().join("pid")).ok())
            .await
            .trim()
            .to_owned()
    }
}

async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: not within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A value of `/proc/…/status`, as long as the process is there.
pub(super) fn status_kib(pid: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test]
async fn it_is_given_no_environment_and_no_directory() {
    assert!(std::env::var_os("PATH").is_some(), "there is something that could be handed on");
    let script = Script::new("printf 'at %s' \"$(pwd)\"; tr '\\0' ' ' < /proc/$$/environ; printf 'with %s' \"$*\"");
    assert_eq!(script.read().await, whole("at /MIMALLOC_ARENA_EAGER_COMMIT=0 with extract-pdf"));
}

#[tokio::test]
async fn its_standard_error_is_not_ours() {
    let script = Script::new("readlink /proc/$$/fd/2");
    assert_eq!(script.read().await, whole("/dev/null"));
}

#[tokio::test]
async fn an_interrupt_at_our_terminal_does_not_reach_it() {
    // The fifth field is the process group (proc_pid_stat(5)); a terminal signals all of a group.
    let script = Script::new("set -- $(cat /proc/$$/stat); test \"$5\" = $$ && echo apart");
    assert_eq!(script.read().await, whole("apart"));
}

#[tokio::test]
async fn a_pdf_without_end_is_ended_within_limits_that_hold() {
    let (script, pdf) = (Script::watched(), hostile::endless());
    let begun = Instant::now();
    let reader = script.reader();
    let reading = reader.text_of(&pdf, "application/pdf", None);
    let watching = async {
        let pid = script.pid().await;
        // The limits are the first thing that the real binary sees to.
        let limits = eventually("the process limits itself", || {
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
            limits.lines().any(|line| words(line) == "Max open files 0 0 files").then_some(limits)
        });
        (limits.await, pid)
    };
    let (extracted, (limits, pid)) = tokio::join!(reading, watching);
    assert_eq!(extracted, Extracted::NotReadable(Why::TooSlow));
    let took = begun.elapsed();
    assert!(took >= TIME_MOST && took < TIME_MOST + Duration::from_secs(20), "{took:?}");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it is still there");
    for limit in
        ["Max data size 536870912 536870912 bytes", "Max cpu time 10 11 seconds", "Max core file size 0 0 bytes"]
    {
        assert!(limits.lines().any(|line| words(line) == limit), "{limit}:\n{limits}");
    }
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_bomb_never_takes_more_memory_than_the_limit() {
    let (pdf, mut seen) = (hostile::bomb(), Vec::new());
    // It does not live long, and a busy machine may not look at it in time.
    for _ in 0..5 {
        let script = Script::watched();
        let reader = script.reader();
        let reading = reader.text_of(&pdf, "application/pdf", None);
        let watching = async {
            let (pid, mut most) = (script.pid().await, 0);
            while let Some(resident) = status_kib(&pid, "VmHWM") {
                most = most.max(resident);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            most
        };
        let (extracted, most) = tokio::join!(reading, watching);
        assert!(!matches!(extracted, Extracted::Text { .. }), "{extracted:?}");
        // Not more than the limit and the binary itself.
        assert!(most < 640 * 1024, "{most} KiB");
        seen.push(most);
        // More than an idle process, so that it was seen at work.
        if most >= 100 * 1024 {
            return;
        }
    }
    panic!("it was never seen at work: {seen:?} KiB");
}

#[tokio::test]
async fn it_is_killed_when_nobody_waits_any_more() {
    let script =
        Script::new("echo $$ > \"$directory/pid.new\"; mv \"$directory/pid.new\" \"$directory/pid\"; exec sleep 60");
    let reader = script.reader();
    let pid = tokio::select! {
        extracted = reader.text_of(b"%PDF-", "application/pdf", None) => panic!("{extracted:?}"),
        pid = script.pid() => pid,
    };
    eventually("it is gone", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())).await;
}

#[tokio::test]
async fn what_it_says_without_end_is_not_heard() {
    let begun = Instant::now();
    assert_eq!(Script::new("exec yes").read().await, DAMAGED);
    assert!(begun.elapsed() < TIME_MOST, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn any_code_or_signal_that_is_not_ours_means_damaged() {
    for end in ["exit 1", "exit 101", "kill -ABRT $$", "kill -SEGV $$", "kill -KILL $$"] {
        assert_eq!(Script::new(&format!("echo half a word; {end}")).read().await, DAMAGED, "{end}");
    }
    let slow = Script::new("kill -XCPU $$").read().await;
    assert_eq!(slow, Extracted::NotReadable(Why::TooSlow));
}

#[tokio::test]
async fn a_program_that_does_not_start_is_no_fault_of_the_document() {
    let reader = DocumentReader::with_program("/nowhere/worker".into());
    let extracted = reader.text_of(b"%PDF-", "application/pdf", None).await;
    assert_eq!(extracted, Extracted::NotReadable(Why::Unavailable));
}

#[tokio::test]
async fn two_are_read_at_a_time_and_the_others_wait() {
    let script = Script::new("date +%s%N; sleep 0.4; date +%s%N");
    let reader = script.reader();
    let read = || reader.text_of(b"%PDF-", "application/pdf", None);
    let times = futures_util::future::join_all((0..5).map(|_| read())).await;
    let spans: Vec<(u64, u64)> = times
        .iter()
        .map(|times| {
            let Extracted::Text { text, truncated: false } = times else { panic!("{times:?}") };
            let (begun, ended) = text.split_once('\n').expect("two lines");
            (begun.parse().unwrap(), ended.parse().unwrap())
        })
        .collect();
    let at_once = |moment: u64| spans.iter().filter(|(begun, ended)| *begun <= moment && moment < *ended).count();
    assert_eq!(spans.iter().map(|(begun, _)| at_once(*begun)).max(), Some(2), "{spans:?}");
}

#[tokio::test]
async fn who_waits_for_a_place_does_not_wait_for_ever() {
    let script = Script::new("exec sleep 60");
    let reader = script.reader();
    let read = || reader.text_of(b"%PDF-", "application/pdf", None);
    let begun = Instant::now();
    let all = futures_util::future::join_all((0..5).map(|_| read())).await;
    let gave_up = |why: &Why| matches!(why, Why::TooSlow | Why::Unavailable);
    assert!(all.iter().all(|extracted| matches!(extracted, Extracted::NotReadable(why) if gave_up(why))), "{all:?}");
    // Whoever had a place was read to the end of its time; the wait of the others ends at about the same moment.
    let too_slow = all.iter().filter(|extracted| **extracted == Extracted::NotReadable(Why::TooSlow)).count();
    assert!(too_slow >= 2, "{all:?}");
    // If everybody waited for as long as it takes, all would have had one.
    assert!(all.contains(&Extracted::NotReadable(Why::Unavailable)), "{all:?}");
    assert!(begun.elapsed() < PLACE_WAIT + TIME_MOST + Duration::from_secs(20), "{:?}", begun.elapsed());
}
