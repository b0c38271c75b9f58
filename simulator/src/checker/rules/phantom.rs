//! Nothing is sent that was not asked for.
//!
//! Demands: each message that the Graph API accepted names tags in its words (read or heard), each of them written by
//! the very customer who gets it to the very number that it comes from, and posted before; or it is a known apology of
//! that business to somebody who wrote before. A place on the map has no words, and goes with an answer that was
//! accepted before it. Any other message that names no tag is taken for the answer to a message without one, such as a
//! sticker, as long as there are no more of them than of those.
//!
//! Does not demand: that the tags are named in full (that is loss), once (duplicate) or in order; anything of what was
//! refused.

use std::collections::{HashMap, HashSet};

use super::shown;
use crate::checker::{
    record::{Conversation, Message, Record, Send},
    report::{Report, Rule},
};

pub(super) fn check(record: &Record<'_>, report: &mut Report) {
    let mut posted = record.messages.iter().peekable();
    let mut wrote: HashSet<Conversation<'_>> = HashSet::new();
    let mut answered: HashSet<Conversation<'_>> = HashSet::new();
    let mut untagged: HashMap<Conversation<'_>, usize> = HashMap::new();
    for send in record.sends.iter().filter(|send| send.accepted) {
        while let Some(message) = posted.next_if(|message| message.posted < send.at) {
            wrote.insert(message.conversation);
            if message.tag.is_none() {
                *untagged.entry(message.conversation).or_default() += 1;
            }
        }
        let tags = send.tags();
        let place = shown(send.conversation);
        if tags.is_empty() && send.is_apology {
            if !wrote.contains(&send.conversation) {
                report.violate(Rule::Phantom, None, format!("{place} got an apology for nothing"), &[send.at]);
            }
        } else if tags.is_empty() && !(send.is_place && answered.contains(&send.conversation)) {
            match untagged.get_mut(&send.conversation).filter(|left| **left > 0) {
                Some(left) => *left -= 1,
                None => {
                    let what = format!("{place} got a message that answers nothing");
                    report.violate(Rule::Phantom, None, what, &[send.at]);
                }
            }
        }
        if !tags.is_empty() {
            answered.insert(send.conversation);
        }
        for tag in tags {
            if let Err(what) = judge(record.written(tag), send) {
                let seen: Vec<_> = record.written(tag).iter().take(1).map(|message| message.posted).collect();
                let what = format!("was answered to {place}: {what}");
                report.violate(Rule::Phantom, Some(tag), what, &[&seen[..], &[send.at]].concat());
            }
        }
    }
}

/// Whether a customer wrote this tag before it was answered to them; else what is wrong.
fn judge(written: &[Message<'_>], send: &Send<'_>) -> Result<(), &'static str> {
    let theirs: Vec<_> = written.iter().filter(|message| message.conversation == send.conversation).collect();
    let same_person = written.iter().any(|message| message.person == send.person);
    if theirs.iter().any(|message| message.posted < send.at) {
        Ok(())
    } else if !theirs.is_empty() {
        Err("before it was posted")
    } else if same_person {
        Err("it was written to another number")
    } else if written.is_empty() {
        Err("nobody wrote it")
    } else {
        Err("somebody else wrote it")
    }
}
