//! What a turn hears of messages that it has not read.
//!
//! A landing is told by whoever landed the message, which may be after the turn has read it: then it is no news, and no
//! reason to think a reply over again. Renewals of the lease, which tell of what others landed, know a number only.

use std::collections::HashSet;

use shared::ids::MessageId;
use tokio::sync::watch;

/// Of one conversation that is in hand.
#[derive(Debug)]
pub(super) struct News {
    /// Messages in the mailbox, as far as was read or heard.
    mailbox: usize,
    read: HashSet<MessageId>,
    /// Landed since it was last begun to read.
    landed: HashSet<MessageId>,
    /// Whether a renewal has counted more since then.
    counted: bool,
    told: watch::Sender<bool>,
}

impl News {
    pub(super) fn new(read: impl IntoIterator<Item = MessageId>) -> Self {
        let read: HashSet<_> = read.into_iter().collect();
        let told = watch::Sender::new(false);
        Self { mailbox: read.len(), read, landed: HashSet::new(), counted: false, told }
    }

    /// Whether there is any, from now on.
    pub(super) fn listen(&self) -> watch::Receiver<bool> {
        self.told.subscribe()
    }

    pub(super) fn has_landed(&mut self, message: &MessageId) {
        if !self.read.contains(message) && self.landed.insert(message.clone()) {
            self.mailbox += 1;
            self.tell();
        }
    }

    pub(super) fn has_counted(&mut self, mailbox: usize) {
        if mailbox > self.mailbox {
            (self.mailbox, self.counted) = (mailbox, true);
            self.tell();
        }
    }

    /// Whatever is heard of from here on may not be in what is read.
    pub(super) fn begin_to_read(&mut self) {
        self.landed.clear();
        self.counted = false;
        self.tell();
    }

    pub(super) fn has_read(&mut self, messages: impl IntoIterator<Item = MessageId>) {
        self.read = messages.into_iter().collect();
        self.landed.retain(|message| !self.read.contains(message));
        self.mailbox = self.mailbox.max(self.read.len());
        self.tell();
    }

    fn tell(&self) {
        let is_news = self.counted || !self.landed.is_empty();
        self.told.send_if_modified(|told| std::mem::replace(told, is_news) != is_news);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> MessageId {
        MessageId::parse(name).expect("an id")
    }

    fn news(read: &[&str]) -> (News, watch::Receiver<bool>) {
        let news = News::new(read.iter().copied().map(id));
        let told = news.listen();
        (news, told)
    }

    #[test]
    fn what_was_read_before_its_landing_was_told_is_no_news() {
        let (mut news, told) = news(&["a"]);
        news.has_landed(&id("a"));
        assert!(!*told.borrow(), "it came with the claim");
        news.begin_to_read();
        news.has_landed(&id("b"));
        assert!(*told.borrow(), "it may not be in what is read");
        news.has_read(["a", "b"].map(id));
        assert!(!*told.borrow(), "it is");
        news.has_landed(&id("b"));
        news.has_counted(2);
        assert!(!*told.borrow());
    }

    #[test]
    fn what_was_not_read_is_news_until_it_is_begun_to_read_again() {
        let (mut news, told) = news(&["a"]);
        news.begin_to_read();
        news.has_landed(&id("b"));
        news.has_read(["a"].map(id));
        assert!(*told.borrow(), "it landed after what was read");
        news.begin_to_read();
        assert!(!*told.borrow());
        news.has_read(["a", "b"].map(id));
        news.has_landed(&id("c"));
        assert!(*told.borrow());
    }

    #[test]
    fn a_renewal_is_news_where_it_counts_more_than_is_known() {
        let (mut news, told) = news(&["a"]);
        news.has_landed(&id("b"));
        news.begin_to_read();
        news.has_counted(2);
        assert!(!*told.borrow(), "the landing told of it");
        news.has_counted(3);
        news.has_read(["a", "b"].map(id));
        assert!(*told.borrow(), "the third is not in what was read");
        news.begin_to_read();
        news.has_read(["a", "b", "c"].map(id));
        news.has_counted(3);
        assert!(!*told.borrow());
    }
}
