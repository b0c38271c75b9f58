//! What the process does with right and wrong settings.

use crate::{
    http::{ask, post, post_signed_as, until},
    process::{NOWHERE, Settings},
};

#[tokio::test]
async fn a_wrong_configuration_prints_every_problem_at_once_and_exits_64() {
    let settings = Settings::new("http://user:hunter2@host")
        .with("INGEST_ADDR", "here")
        .with("QUEUE_PARTITIONS", "0")
        .with("LOG_FORMAT", "xml")
        .with("WHATSAPP_APP_SECRET", "fine,,name:hunter3")
        .without("WHATSAPP_VERIFY_TOKEN");
    for arguments in [&[][..], &["run"]] {
        let output = settings.output(arguments).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{text}");
        for name in ["RABBITMQ_URL", "INGEST_ADDR", "QUEUE_PARTITIONS", "LOG_FORMAT", "WHATSAPP_VERIFY_TOKEN"] {
            assert_eq!(text.matches(&format!("\n  {name} ")).count(), 1, "{name} in {text}");
        }
        assert_eq!(text.matches("\n  WHATSAPP_APP_SECRET ").count(), 2, "{text}");
        assert!(!text.contains("hunter") && !text.contains("listening"), "{text}");
    }
}

#[tokio::test]
async fn wrong_arguments_exit_64_and_help_names_the_variables() {
    let settings = Settings::new(NOWHERE);
    assert_eq!(settings.output(&["--nonsense"]).await.status.code(), Some(64));
    let help = settings.output(&["--help"]).await;
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(help.status.success());
    for variable in ingest::VARIABLES.iter().chain(shared::settings::SHARED_VARIABLES) {
        assert!(text.contains(variable.name), "{} in {text}", variable.name);
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_variable() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = taken.local_addr().expect("bound").to_string();
    for name in ["INGEST_ADDR", "METRICS_ADDR"] {
        let output = Settings::new(NOWHERE).with(name, &addr).output(&[]).await;
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("bind {name} {addr}")), "{text}");
    }
}

#[tokio::test]
async fn unsigned_mode_believes_anybody_and_says_so_at_every_start() {
    let settings = Settings::new(NOWHERE).without("WHATSAPP_APP_SECRET").with("PUBLISH_TIMEOUT_SECS", "0.1");
    for (settings, arguments) in [
        (settings.clone(), &["--allow-unsigned"][..]),
        (settings.clone(), &["run", "--allow-unsigned"]),
        (settings.with("ALLOW_UNSIGNED", "true"), &["run"]),
    ] {
        let ingest = settings.start(arguments).await;
        assert!(ingest.log().contains("webhooks are NOT verified"), "{}", ingest.log());
        // 503 comes from the broker that is not there: the signature was not asked for.
        assert_eq!(post_signed_as(ingest.addr(), b"{\"entry\":[{}]}", None).await.status, 503);
        assert_eq!(post_signed_as(ingest.addr(), b"{\"entry\":[]}", None).await.status, 200);
    }
}

#[tokio::test]
async fn a_secret_wins_over_unsigned_mode() {
    let ingest = Settings::new(NOWHERE).with("ALLOW_UNSIGNED", "true").start(&[]).await;
    assert!(ingest.log().contains("ALLOW_UNSIGNED is ignored"), "{}", ingest.log());
    assert_eq!(post_signed_as(ingest.addr(), b"{\"entry\":[]}", None).await.status, 401);
    assert_eq!(post(ingest.addr(), b"{\"entry\":[]}").await.status, 200);
}

#[tokio::test]
async fn any_of_several_app_secrets_will_do() {
    let list = format!("other,1234567890:{}", crate::process::APP_SECRET);
    let ingest = Settings::new(NOWHERE).with("WHATSAPP_APP_SECRET", &list).start(&[]).await;
    assert_eq!(post(ingest.addr(), b"{\"entry\":[]}").await.status, 200);
}

#[tokio::test]
async fn the_health_check_tells_alive_from_ready() {
    let ingest = Settings::new(NOWHERE).start(&[]).await;
    until(ingest.admin(), "/readyz", |answer| answer.body == "waiting for: rabbitmq\n" && answer.status == 503).await;
    // Whatever else is set or missing.
    let check =
        Settings::new("nonsense").without("WHATSAPP_APP_SECRET").with("METRICS_ADDR", &ingest.admin().to_string());
    assert!(check.output(&["healthcheck"]).await.status.success());
    let ready = check.output(&["healthcheck", "--ready"]).await;
    assert_eq!(ready.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ready.stderr).contains("waiting for: rabbitmq"));
    let metrics = ask(ingest.admin(), "GET", "/metrics").await.body;
    assert!(metrics.contains("switchboard_ingest_webhooks_total{outcome=\"accepted\"} 0"), "{metrics}");
    drop(ingest);
    assert_eq!(check.with("METRICS_ADDR", "127.0.0.1:1").output(&["healthcheck"]).await.status.code(), Some(1));
}
