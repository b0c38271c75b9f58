//! Meta's verification of the address.

use crate::{
    http::ask,
    process::{NOWHERE, Settings, VERIFY_TOKEN},
};

#[tokio::test]
async fn the_right_token_is_answered_with_the_bare_challenge_and_nothing_else_is() {
    let ingest = Settings::new(NOWHERE).with("RUST_LOG", "trace").start(&[]).await;
    for path in ["/whatsapp_response", "/webhook"] {
        let query = |mode: &str, token: &str, challenge: &str| {
            format!("{path}?hub.mode={mode}&hub.challenge={challenge}&hub.verify_token={token}")
        };
        let right = ask(ingest.addr(), "GET", &query("subscribe", VERIFY_TOKEN, "1158%3Cb%3E+2")).await;
        assert_eq!((right.status, right.body.as_str()), (200, "1158<b> 2"));
        assert!(right.head.contains("content-type: text/plain"), "{}", right.head);
        assert!(right.head.contains("x-content-type-options: nosniff"), "{}", right.head);
        for wrong in [
            query("subscribe", "wrong-token-of-somebody", "1158"),
            query("subscribe", "", "1158"),
            query("unsubscribe", VERIFY_TOKEN, "1158"),
            query("", VERIFY_TOKEN, "1158"),
            format!("{path}?hub.mode=subscribe&hub.challenge=1158"),
            format!("{path}?hub.verify_token={VERIFY_TOKEN}"),
            format!("{path}?%"),
            path.to_owned(),
        ] {
            let refused = ask(ingest.addr(), "GET", &wrong).await;
            assert_eq!((refused.status, refused.body.as_str()), (403, ""), "{wrong}");
        }
        let long = ask(ingest.addr(), "GET", &query("subscribe", VERIFY_TOKEN, &"1".repeat(1025))).await;
        assert_eq!((long.status, long.body.as_str()), (403, ""));
    }
    let log = ingest.log();
    assert!(log.contains("the webhook address was verified"));
    assert!(!log.contains(VERIFY_TOKEN) && !log.contains("wrong-token"), "a token is in the log: {log}");
}
