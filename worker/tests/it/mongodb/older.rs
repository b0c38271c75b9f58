//! Documents that an older version wrote.

use worker::conversation::ReplyKind;

use super::suite::{Fresh, message, replies::claimed, reply};

/// Documents of an older version have a yes or no in place of a kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_of_an_older_version_is_read_as_what_it_is() {
    let store = Fresh::open("older").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    talk.commit(&claim.lease, &reply("r1", &[message(1)], &["one"])).await;
    let kind = async |apology: Option<bool>| {
        let mut update = mongodb::bson::doc! { "$unset": { "outbox.kind": "" } };
        if let Some(apology) = apology {
            update.insert("$set", mongodb::bson::doc! { "outbox.apology": apology });
        }
        store.change("conversations", talk.session.expose(), update).await;
        let stored = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
        stored.outbox.expect("a reply is under way").kind
    };
    assert_eq!(kind(None).await, ReplyKind::Answer);
    assert_eq!(kind(Some(false)).await, ReplyKind::Answer);
    assert_eq!(kind(Some(true)).await, ReplyKind::Apology);
    // It counts as a reply whose parts may fail.
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    let state = store.state(&talk.session).await.expect("the store answers").expect("it is there");
    assert_eq!(state.last_reply.map(|last| last.id), Some("r1".to_owned()));
}
