//! `/letters/replay`: all letters of one reason at once, once somebody has confirmed it.

use jiff::Timestamp;
use maud::html;

use super::{
    Page,
    letters::{Wanted, meant},
};
use crate::{
    dashboard::{
        fields::link,
        gate::{Visit, token_field},
        layout::{self, Section, head_below},
        trouble::Trouble,
    },
    desk::{Owners, figures::count, foreseen, replayable, utc},
    store::{LetterFilter, Reading, Standing},
};

/// Letters that are marked at once; of more, the longest buried.
const MOST: u32 = 500;

fn reason(reason: Option<&str>) -> Result<&str, Trouble> {
    reason.ok_or_else(|| Trouble::Wrong("Say of which reason.".to_owned()))
}

/// Asks whether it is meant so.
pub(super) async fn confirm(visit: Visit) -> Page {
    let reason = reason(visit.asked.get("reason"))?;
    let wanted = Wanted { business: visit.asked.get("business"), reason: Some(reason) };
    let filter = meant(&visit, Standing::Open, &wanted).await?;
    let counts = visit.dashboard.store.count_letters(&filter).await?;
    let many: u64 = counts.iter().map(|(_, many)| many).sum();
    let now = Timestamp::now();
    let back = link("/letters", &[("business", wanted.business), ("reason", Some(reason))]);
    let about = html! {
        "Letters: " (count(many)) ", " (reason)
        @if let Some(business) = wanted.business { ", of " (business) }
    };
    let content = html! {
        (head_below(Some(("/letters", "Dead letters")), "Replay all?", &about, &html! {}))
        section .card {
            p {
                "Workers handle each message once more, in the order in which they came, exactly once. Those that "
                "would only be buried again are left as they are, and so are those that are buried after " (utc(now)) "."
            }
            @if many > u64::from(MOST) {
                p .notice.warm { "The " (MOST) " that were buried first are replayed; repeat it for the rest." }
            }
            form .row method="post" action="/letters/replay" {
                (token_field(&visit.token))
                input type="hidden" name="reason" value=(reason);
                input type="hidden" name="until" value=(now);
                @if let Some(business) = wanted.business { input type="hidden" name="business" value=(business); }
                button .primary type="submit" { "Replay " (count(many.min(u64::from(MOST)))) }
                a .button href=(back) { "Leave them" }
            }
        }
    };
    Ok(layout::page(&visit, Section::Letters, "Replay all?", &content))
}

/// Marks them, as far as it makes sense.
pub(super) async fn replay(visit: Visit) -> Page {
    let reason = reason(visit.posted.get("reason"))?;
    let until = visit.posted.get("until").and_then(|until| until.parse::<Timestamp>().ok());
    let until = until.ok_or_else(|| Trouble::Wrong("Say of which time.".to_owned()))?;
    let wanted = Wanted { business: visit.posted.get("business"), reason: Some(reason) };
    let filter = LetterFilter { until: Some(until), ..meant(&visit, Standing::Open, &wanted).await? };
    let (marked, left) = mark(&visit, &filter).await?;
    tracing::info!(peer = %visit.peer, reason, marked, left, "an operator replays all dead letters of a reason");
    let back = link("/letters", &[("business", wanted.business), ("reason", Some(reason))]);
    let content = html! {
        (head_below(Some(("/letters", "Dead letters")), "Replay", &html! { (reason) }, &html! {}))
        section .card {
            p role="status" { (count(marked)) " are marked; the next worker that looks replays them." }
            @if left > 0 {
                p {
                    (count(left)) " are left as they are: they cannot be replayed, or would be buried again. The page "
                    "of each says why."
                }
            }
            p { a .button href=(back) { "To the letters" } }
        }
    };
    Ok(layout::page(&visit, Section::Letters, "Replay", &content))
}

async fn mark(visit: &Visit, filter: &LetterFilter) -> Result<(u64, u64), Trouble> {
    let store = &*visit.dashboard.store;
    let (mut owners, now) = (Owners::new(store, visit.dashboard.fallback.clone()), Timestamp::now());
    let reading = Reading { oldest_first: true, most: Some(MOST), with_bodies: true };
    let mut letters = store.filed_letters(filter, reading).await?;
    let (mut marked, mut left) = (0, 0);
    while let Some(letter) = letters.next_letter().await? {
        let makes_sense = match replayable(&letter) {
            Ok(envelope) => foreseen(&mut owners, &letter, &envelope, now).await?.is_none(),
            Err(_) => false,
        };
        if makes_sense && store.request_replay(&letter).await? { marked += 1 } else { left += 1 }
    }
    Ok((marked, left))
}
