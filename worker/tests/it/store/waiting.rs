//! Waiting for another token: who waits is known, and a new token lets all of a business go on at once.

use std::sync::Arc;

use std::time::Duration;

use worker::{
    conversation::{BusinessId, LeaseKey},
    store::{Postponement, Store},
};

use super::{Fresh, LONG, Talk, failed, message};

fn for_token(token: &str, delay: Duration) -> Postponement {
    Postponement { reason: "credentials", token: Some(token.to_owned()), ..failed(delay) }
}

async fn release(store: &Arc<dyn Store>, business: &BusinessId, current: &str) -> u64 {
    store.release_waiting(business, current).await.expect("the store answers")
}

async fn waiting(store: &Arc<dyn Store>) -> Vec<BusinessId> {
    store.businesses_waiting().await.expect("the store answers")
}

impl Talk {
    /// A conversation with one message that waits for another token than this.
    async fn wait_for_token(&self, token: &str) -> LeaseKey {
        self.receive(&[message(1)]).await;
        let lease = self.claim().await.lease;
        assert!(self.postpone(&lease, &for_token(token, LONG)).await);
        lease
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_makes_due_what_waited_for_it_at_that_business_only() {
    let store = Fresh::prepared("token").await;
    let [ours, second, current] = ["1001", "1002", "1003"].map(|phone| Talk::of(&store, Some("acme"), phone));
    let theirs = Talk::of(&store, Some("beta"), "1001");
    for talk in [&ours, &second, &theirs] {
        talk.wait_for_token("$old").await;
        assert!(talk.try_claim("worker", LONG).await.is_none(), "it waits");
    }
    // One that met the new token, and one that waits for something else.
    current.wait_for_token("$new").await;
    let throttled = Talk::of(&store, Some("acme"), "1004");
    throttled.receive(&[message(1)]).await;
    throttled.postpone(&throttled.claim().await.lease, &failed(LONG)).await;

    assert_eq!(release(&store, &ours.business, "$new").await, 2);
    assert_eq!(release(&store, &ours.business, "$new").await, 0);
    for talk in [&ours, &second] {
        let claim = talk.claim().await;
        assert_eq!((claim.conversation.mailbox, claim.conversation.attempts), (vec![message(1)], 1));
    }
    for talk in [&theirs, &current, &throttled] {
        assert!(talk.try_claim("worker", LONG).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_released_does_not_wait_for_its_old_retry() {
    let store = Fresh::open("retry").await;
    let talk = Talk::new(&store);
    talk.wait_for_token("old").await;
    assert_eq!(release(&store, &talk.business, "new").await, 1);
    // A message that comes now is due by its own quiet time.
    talk.receive(&[message(2)]).await;
    assert_eq!(talk.claim().await.conversation.mailbox.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_under_way_is_left_to_decide() {
    let store = Fresh::open("held").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    assert!(talk.postpone(&talk.claim().await.lease, &for_token("old", Duration::ZERO)).await);
    let lease = talk.claim_when_free("worker", LONG).await.lease;
    let before = store.raw("conversations", talk.session.expose()).await;
    assert_eq!(release(&store, &talk.business, "new").await, 0);
    assert_eq!(store.raw("conversations", talk.session.expose()).await, before);

    // It waits for another reason now; the token has nothing to do with it.
    assert!(talk.postpone(&lease, &failed(LONG)).await);
    assert_eq!(release(&store, &talk.business, "new").await, 0);
    assert!(talk.try_claim("worker", LONG).await.is_none());
    assert_eq!(waiting(&store).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_died_holds_nothing_back() {
    let store = Fresh::open("dead").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    assert!(talk.postpone(&talk.claim().await.lease, &for_token("old", Duration::ZERO)).await);
    talk.claim_when_free("dead", LONG).await;
    assert_eq!(release(&store, &talk.business, "new").await, 0);
    let expired = mongodb::bson::doc! { "$set": { "lease.until": mongodb::bson::DateTime::from_millis(0) } };
    store.change("conversations", talk.session.expose(), expired).await;
    assert_eq!(release(&store, &talk.business, "new").await, 1);
    let claim = talk.claim().await;
    assert_eq!(claim.conversation.takeovers, 1, "its death still counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_wait_until_their_last_conversation_was_released_or_settled() {
    let store = Fresh::prepared("businesses").await;
    assert_eq!(waiting(&store).await, []);
    let ours = ["1001", "1002"].map(|phone| Talk::of(&store, Some("acme"), phone));
    let theirs = Talk::of(&store, Some("beta"), "1001");
    for talk in [&ours[0], &ours[1], &theirs] {
        talk.wait_for_token("old").await;
    }
    let mut both = waiting(&store).await;
    both.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(both, [ours[0].business.clone(), theirs.business.clone()], "each once");
    release(&store, &ours[0].business, "new").await;
    assert_eq!(waiting(&store).await, std::slice::from_ref(&theirs.business));

    // One that was released and met the next bad token.
    let lease = ours[0].claim().await.lease;
    ours[0].postpone(&lease, &for_token("new", Duration::ZERO)).await;
    assert_eq!(waiting(&store).await.len(), 2);
    let lease = ours[0].claim_when_free("worker", LONG).await.lease;
    ours[0].settle(&lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(waiting(&store).await, [theirs.business]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_set_aside_is_not_released() {
    let store = Fresh::open("aside").await;
    let talk = Talk::new(&store);
    talk.wait_for_token("old").await;
    let unset = mongodb::bson::doc! { "$unset": { "due_at": "" } };
    store.change("conversations", talk.session.expose(), unset).await;
    assert_eq!(release(&store, &talk.business, "new").await, 0);
    assert!(talk.try_claim("worker", LONG).await.is_none());
}
