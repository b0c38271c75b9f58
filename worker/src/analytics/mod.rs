//! What a business's days were like, in numbers: for its bill, and for whoever looks after it.
//!
//! A day is counted from what is stored of it, the transcript first of all, and counted anew whenever something of it
//! has changed: so what comes twice counts once, and a status that comes a week later counts for the day of its message.
//! A day is the business's own, by its time zone.

mod answer_times;
mod numbers;
mod diary;
mod prices;
mod count;

pub use answer_times::AnswerTimes;
pub use count::{count_days, count_due, recount};
use diary::COUNT_AFTER;
pub use diary::Diary;
pub use numbers::{Failures, ModelUsage, Numbers, Priced};
pub use prices::Prices;
