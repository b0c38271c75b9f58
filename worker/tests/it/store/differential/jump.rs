//! Changes behind the store's back, the same in the database and in the model: time passes, and what takes hundreds
//! of messages to come about is there at once.

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Bson, DateTime, Document, doc};
use rand::Rng;
use shared::ids::SessionId;
use worker::conversation::{
    ANSWERED_KEPT, ANSWERED_MOST, MAILBOX_WITH_CONTENT, MEMORY_TURNS, Remembered, Speaker,
    state::{Answered, State, Waiting},
};

use super::{
    super::{NUMBER, id, message, number},
    Walk,
};

impl Walk {
    pub(super) async fn jump(&mut self) {
        let Some(mut model) = self.model.take() else { return };
        let (set, unset) = match self.rng.random_range(0..100) {
            // A tombstone does nothing of interest for long.
            0..50 if model.merged_into.is_some() => {
                model.merged_into = None;
                (doc! {}, doc! { "merged_into": "" })
            }
            0..60 => (pass_time(&mut model), doc! {}),
            60..70 => (self.answer_many(&mut model), doc! {}),
            70..75 => (forget_ids(&mut model), doc! {}),
            75..85 => (self.fill_mailbox(&mut model), doc! {}),
            85..90 => (self.say_much(&mut model), doc! {}),
            _ => (doc! { "merged_into": move_away(&mut model) }, doc! {}),
        };
        let mut update = Document::new();
        for (operator, fields) in [("$set", set), ("$unset", unset)] {
            if !fields.is_empty() {
                update.insert(operator, fields);
            }
        }
        if !update.is_empty() {
            self.store.change("conversations", self.session.expose(), update).await;
        }
        self.model = Some(model);
    }

    /// Ids of answered messages around the numbers that are kept.
    fn answer_many(&mut self, model: &mut State) -> Document {
        let count = match self.rng.random_range(0..20) {
            0 => ANSWERED_MOST - 1,
            _ => ANSWERED_KEPT + self.rng.random_range(0..5) - 3,
        };
        let age = SignedDuration::from_hours(if self.rng.random() { 1 } else { 30 });
        let begin = Timestamp::from_second((Timestamp::now() - age).as_second()).expect("in range");
        let answered = (0..count).map(|n| Answered {
            id: id(&format!("many {n} {}", self.count)),
            phone_number_id: number(NUMBER),
            timestamp: begin - SignedDuration::from_secs(i64::try_from(n).expect("few")),
        });
        model.answered = answered.collect();
        let stored = model.answered.iter().map(|known| {
            doc! { "id": known.id.expose(), "phone_number_id": NUMBER, "timestamp": date(known.timestamp) }
        });
        doc! { "answered": stored.collect::<Vec<_>>() }
    }

    /// A mailbox that has room for one or two more.
    fn fill_mailbox(&mut self, model: &mut State) -> Document {
        let Some(landed_at) = model.last_landed_at.filter(|_| model.mailbox.len() < 5) else { return doc! {} };
        let fill = (MAILBOX_WITH_CONTENT - model.mailbox.len()).saturating_sub(self.rng.random_range(0..3));
        for n in 0..u32::try_from(fill).expect("few") {
            let mut item = message(n);
            item.id = id(&format!("fill {n} {}", self.count));
            model.mailbox.push(Waiting { item, landed_at });
        }
        let mailbox = model.mailbox.iter().map(|Waiting { item, landed_at }| {
            let mut stored = doc! {
                "id": item.id.expose(),
                "phone_number_id": item.phone_number_id.expose(),
                "timestamp": date(item.timestamp),
                "received_at": date(item.received_at),
                "index": i64::from(item.index),
                "landed_at": date(*landed_at),
                "message": item.message.as_deref(),
            };
            if let Some(failed) = &item.resend_of {
                stored.insert("resend_of", failed.expose());
            }
            if let Some(trace) = item.trace {
                stored.insert("trace", trace.to_string());
            }
            stored
        });
        doc! { "mailbox": mailbox.collect::<Vec<_>>() }
    }

    /// A memory that is nearly full.
    fn say_much(&mut self, model: &mut State) -> Document {
        let at = Timestamp::from_second(Timestamp::now().as_second()).expect("in range");
        let text = format!("line {}", self.count);
        model.memory = vec![Remembered { speaker: Speaker::Person, text: text.clone(), at }; MEMORY_TURNS - 1];
        let line = doc! { "speaker": "person", "text": text, "at": date(at) };
        doc! { "memory.turns": vec![line; MEMORY_TURNS - 1] }
    }
}

/// Everything that waits for a time is nearer to it by an hour or two, or past.
fn pass_time(model: &mut State) -> Document {
    let length = SignedDuration::from_mins(100);
    let mut set = Document::new();
    let mut earlier = |field: &str, time: &mut Timestamp| {
        *time -= length;
        set.insert(field, date(*time));
    };
    let mut began_at = model.minute.map(|minute| minute.began_at);
    for (field, time) in [
        ("due_at", &mut model.due_at),
        ("retry_at", &mut model.retry_at),
        ("first_landed_at", &mut model.first_landed_at),
        ("last_landed_at", &mut model.last_landed_at),
        ("handed_over_until", &mut model.handed_over_until),
        ("opted_out_at", &mut model.opted_out_at),
        ("limited_until", &mut model.limited_until),
        ("minute.began_at", &mut began_at),
        ("ai_failing_since", &mut model.ai_failing_since),
        ("apologised_at", &mut model.apologised_at),
    ] {
        if let Some(time) = time {
            earlier(field, time);
        }
    }
    if let (Some(minute), Some(began_at)) = (&mut model.minute, began_at) {
        minute.began_at = began_at;
    }
    if let Some(lease) = &mut model.lease {
        earlier("lease.until", &mut lease.until);
    }
    for (number, full_at) in &mut model.buckets {
        earlier(&format!("buckets.{}", number.expose()), full_at);
    }
    if !model.notices.is_empty() {
        let notices = model.notices.iter_mut().map(|notice| {
            notice.try_at -= length;
            doc! {
                "id": &notice.id,
                "reason": notice.reason.word(),
                "at": date(notice.at),
                "tries": i64::from(notice.tries),
                "try_at": date(notice.try_at),
            }
        });
        set.insert("notices", notices.collect::<Vec<_>>());
    }
    set
}

/// As if ids of yesterday's messages had been forgotten.
fn forget_ids(model: &mut State) -> Document {
    let floor = Timestamp::now() - SignedDuration::from_hours(5);
    let floor = Timestamp::from_second(floor.as_second()).expect("in range");
    let floor = *model.answered_floor.insert(floor);
    doc! { "answered_floor": date(floor) }
}

fn move_away(model: &mut State) -> &'static str {
    let target = "acme:elsewhere";
    model.merged_into = Some(SessionId::from_stored(target));
    target
}

fn date(time: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(time.as_millisecond()))
}
