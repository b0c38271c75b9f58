//! The journal, read once: which messages were posted and acknowledged, what was sent, what the AI was asked. The
//! rules look at this and at nothing else.
//!
//! Entries are taken in the order in which they are given, which is the journal's; the clock serves for durations
//! alone.

mod read;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    canary::{Canaries, Canary},
    piece::Piece,
    scenario::Scenario,
};
use crate::{Tag, journal::Credential};

/// When something was recorded. Ordered by place alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Moment {
    /// The position among the entries that are judged.
    pub(super) place: usize,
    /// The position that the journal gave.
    pub(super) seq: u64,
    pub(super) ns: u64,
}

/// What is kept in order: one customer at one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Conversation<'a> {
    pub(super) number: &'a str,
    pub(super) customer: &'a str,
}

/// Who may know something: one customer of one business, at whichever of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Person<'a> {
    pub(super) business: &'a str,
    pub(super) customer: &'a str,
}

/// A customer's message, however often it was posted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    /// The first tag in its text; none where it cannot be answered for lack of a number or a customer.
    pub(super) tag: Option<Tag>,
    pub(super) conversation: Conversation<'a>,
    pub(super) person: Person<'a>,
    /// When it was first posted.
    pub(super) posted: Moment,
    /// Its position in the body of that post.
    pub(super) index: usize,
    /// When a post of it was first answered with 200.
    pub(super) acknowledged: Option<Moment>,
}

/// A message to a customer, accepted or not.
#[derive(Debug, Clone)]
pub(super) struct Send<'a> {
    pub(super) at: Moment,
    pub(super) conversation: Conversation<'a>,
    pub(super) person: Person<'a>,
    pub(super) accepted: bool,
    pub(super) wamid: &'a str,
    /// What its words name, with the place in them. The words are those that the customer reads, or hears where they
    /// can be known.
    pub(super) pieces: BTreeMap<Piece, usize>,
    /// The tags anywhere in it, such as in the title of a button.
    pub(super) shown_tags: BTreeSet<Tag>,
    /// The planted secrets anywhere in it.
    pub(super) canaries: BTreeSet<Canary<'a>>,
    pub(super) is_apology: bool,
    /// A place on the map, which has no words of its own.
    pub(super) is_place: bool,
}

impl Send<'_> {
    /// The tags that its words name.
    pub(super) fn tags(&self) -> BTreeSet<Tag> {
        self.pieces.keys().map(|piece| piece.tag).collect()
    }
}

/// A piece of an answer that the Graph API accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acceptance<'a> {
    pub(super) at: Moment,
    /// Where in the text the piece is named.
    pub(super) offset: usize,
    pub(super) wamid: &'a str,
}

/// The accepted pieces of the answer to one message, by number, each with all its acceptances in order.
pub(super) type Accepted<'a> = BTreeMap<Option<u32>, Vec<Acceptance<'a>>>;

/// A request to the AI.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub(super) at: Moment,
    pub(super) is_chat: bool,
    /// The newest user message: what is to be answered.
    pub(super) newest: String,
    /// The tags in it.
    pub(super) asked: BTreeSet<Tag>,
    /// All tags in the request.
    pub(super) tags: BTreeSet<Tag>,
    pub(super) canaries: BTreeSet<Canary<'a>>,
    /// Whom it is about. Several where one tag stands in the texts of several customers, none where nobody wrote it.
    pub(super) about: BTreeSet<Person<'a>>,
    /// The pieces of the answer, where there was one with 200 and words.
    pub(super) answer: Option<BTreeSet<Piece>>,
}

/// The use of a credential for a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use<'a> {
    pub(super) at: Moment,
    /// What the events of one request have in common.
    pub(super) request: u64,
    pub(super) number: &'a str,
    pub(super) credential: &'a Credential,
}

/// What became of the statuses of one message to a customer.
#[derive(Debug, Clone, Copy, Default)]
struct Reported {
    lost: bool,
    arrived: bool,
}

/// A run.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) canaries: Canaries<'a>,
    /// In the order of their first posts.
    pub(super) messages: Vec<Message<'a>>,
    pub(super) sends: Vec<Send<'a>>,
    pub(super) asks: Vec<Ask<'a>>,
    pub(super) uses: Vec<Use<'a>>,
    pub(super) posts: usize,
    pub(super) began_ns: u64,
    by_tag: HashMap<Tag, Vec<Message<'a>>>,
    accepted: BTreeMap<(Conversation<'a>, Tag), Accepted<'a>>,
    reported: HashMap<&'a str, Reported>,
    frozen: Vec<(Moment, Moment)>,
    owners: HashMap<&'a str, &'a str>,
}

impl<'a> Record<'a> {
    /// The messages that carry a tag, in the order of their first posts. More than one where the same text was
    /// written to several numbers, or posted under several ids.
    pub(super) fn written(&self, tag: Tag) -> &[Message<'a>] {
        self.by_tag.get(&tag).map(Vec::as_slice).unwrap_or_default()
    }

    /// What was accepted, by conversation and tag.
    pub(super) fn answers(&self) -> &BTreeMap<(Conversation<'a>, Tag), Accepted<'a>> {
        &self.accepted
    }

    /// The accepted pieces of the answer to a message.
    pub(super) fn answer_to(&self, message: &Message<'a>) -> Option<&Accepted<'a>> {
        self.accepted.get(&(message.conversation, message.tag?))
    }

    /// Whether there were statuses of a message to a customer, and each was withheld or never answered with 200.
    pub(super) fn statuses_lost(&self, wamid: &str) -> bool {
        self.reported.get(wamid).is_some_and(|reported| reported.lost && !reported.arrived)
    }

    /// Whether a process was frozen at some time between two moments.
    pub(super) fn frozen_between(&self, first: Moment, second: Moment) -> bool {
        self.frozen.iter().any(|(begin, end)| *begin < second && *end > first)
    }

    /// The business of a number, where the scenario or the journal knows one.
    pub(super) fn owner_of(&self, number: &str) -> Option<&'a str> {
        self.owners.get(number).copied()
    }
}
