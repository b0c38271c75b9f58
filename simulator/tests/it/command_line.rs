//! The program itself: exit codes, what it prints, and that it stops.

use std::process::{Output, Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
};

use crate::setup::{SECRET, SOON, client, receiver, text};

fn simulator() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
    command.env_clear().env("WHATSAPP_APP_SECRET", SECRET).kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Output {
    simulator().args(arguments).output().await.expect("it runs")
}

#[tokio::test]
async fn send_posts_one_signed_message_and_succeeds_on_200_alone() {
    let (url, mut received) = receiver(&[200, 503]).await;
    let arguments = ["send", "--webhook-url", &url, "--business", "acme=1001", "--from", "+4915112345678", "Guten Tag"];
    let output = run(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let post = received.recv().await.expect("a post");
    let secret = [secrecy::SecretString::from(SECRET)];
    assert!(shared::signature::verify(&secret, &post.signature, &post.bytes));
    let message = post.json()["entry"][0]["changes"][0]["value"]["messages"][0].clone();
    assert_eq!((&message["text"]["body"], &message["from"]), (&"Guten Tag".into(), &"4915112345678".into()));
    let id = message["id"].as_str().expect("an id");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("200 {id}\n"));

    let output = run(&arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let again = received.recv().await.expect("a post").json();
    assert_ne!(again["entry"][0]["changes"][0]["value"]["messages"][0]["id"], id, "two processes never share an id");
}

#[tokio::test]
async fn a_wrong_command_line_or_environment_exits_with_64() {
    for arguments in [
        &["send", "--business", "1001"][..],
        &["send", "--business", "1001", "--from", "Ana"],
        &["send", "--business", "1001", "--from", "4915", "--type", "telepathy"],
        &["serve", "--webhook-url", "ftp://host"],
        &["sample", "nonsense"],
        &["serve", "--app-secret", "never"],
    ] {
        assert_eq!(run(arguments).await.status.code(), Some(64), "{arguments:?}");
    }
    let mut both = simulator();
    let output =
        both.env("WHATSAPP_APP_SECRET_FILE", "/nowhere").args(["sample", "text"]).output().await.expect("it runs");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WHATSAPP_APP_SECRET"));
}

#[tokio::test]
async fn samples_are_listed_printed_and_posted() {
    let list = run(&["sample", "--list"]).await;
    assert!(String::from_utf8_lossy(&list.stdout).lines().any(|line| line == "hidden_number"));
    let printed = run(&["sample", "sticker", "--business", "2002"]).await;
    let body: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    let value = &body["entry"][0]["changes"][0]["value"];
    assert_eq!(
        (&value["messages"][0]["type"], &value["metadata"]["phone_number_id"]),
        (&"sticker".into(), &"2002".into())
    );
    let (url, mut received) = receiver(&[]).await;
    let posted = run(&["sample", "batch", "--webhook-url", &url]).await;
    assert_eq!(posted.status.code(), Some(0), "{posted:?}");
    assert_eq!(received.recv().await.expect("a post").json()["entry"].as_array().map(Vec::len), Some(3));
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("in time");
    line.expect("readable").expect("a line")
}

#[tokio::test]
async fn serve_shows_what_customers_receive_and_stops_when_asked() {
    let (url, _received) = receiver(&[]).await;
    let arguments = ["serve", "--graph-addr", "127.0.0.1:0", "--ai-addr", "127.0.0.1:0", "--webhook-url", &url];
    let mut command = simulator();
    command.args(arguments).args(["--business", "acme=1001"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let graph = next(&mut lines).await.split_once('=').expect("an assignment").1.to_owned();
    next(&mut lines).await;
    assert!(next(&mut lines).await.ends_with("(signed)"));
    let typing = serde_json::json!({
        "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X", "typing_indicator": {"type": "text"},
    });
    for body in [&typing, &text("Good morning")] {
        let request = client().post(format!("{graph}/1001/messages")).bearer_auth("any").json(body);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    assert!(next(&mut lines).await.ends_with("acme has read and is typing …"));
    assert!(next(&mut lines).await.ends_with("acme → 4915112345678: Good morning"));
    let pid = child.id().expect("running").to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().expect("signalled");
    let status = tokio::time::timeout(SOON, child.wait()).await.expect("in time").expect("ended");
    assert!(status.success(), "{status:?}");
}
