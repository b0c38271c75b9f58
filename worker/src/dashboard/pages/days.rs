//! Some days in numbers: tiles, charts and tables, of one business or of all.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use maud::{Markup, html};

use crate::{
    analytics::Numbers,
    conversation::BusinessId,
    dashboard::{
        chart::{Chart, Series, sparkline},
        fields::link,
        gate::Visit,
        layout::{card, facts, switch, table, tile},
        trouble::Trouble,
    },
    desk::figures::{by_day, count, dollars, percent, time, total},
    store::CountedDay,
};

const SPANS: [u16; 3] = [7, 30, 90];
const USUAL: u16 = 7;

/// The days that a page is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    days: u16,
    first: Date,
    today: Date,
}

impl Span {
    /// As the address says.
    pub(super) fn asked(visit: &Visit) -> Result<Self, Trouble> {
        let days = match visit.asked.get("days") {
            None => USUAL,
            Some(text) => match text.parse() {
                Ok(days) if SPANS.contains(&days) => days,
                _ => return Err(Trouble::Wrong("The days are 7, 30 or 90.".to_owned())),
            },
        };
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let first = today.checked_sub((i64::from(days) - 1).days()).unwrap_or(today);
        Ok(Self { days, first, today })
    }

    /// What was counted of these days. Where it is tomorrow already, of tomorrow too.
    pub(super) async fn counted(
        &self,
        visit: &Visit,
        business: Option<&BusinessId>,
    ) -> Result<Vec<CountedDay>, Trouble> {
        let last = self.today.tomorrow().unwrap_or(self.today);
        Ok(visit.dashboard.store.counted_days(business, self.first, last).await?)
    }

    /// Links to other spans of the same page.
    pub(super) fn switch(&self, path: &str) -> Markup {
        let links = SPANS.map(|days| {
            let asked = (days != USUAL).then(|| days.to_string());
            (link(path, &[("days", asked.as_deref())]), format!("{days} days"), days == self.days)
        });
        switch("Days", &links)
    }

    /// The field that keeps the span in a link.
    pub(super) fn field(&self) -> Option<String> {
        (self.days != USUAL).then(|| self.days.to_string())
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        format!("{} to {}", self.first, self.today)
    }

    fn by_day<'a>(&self, days: impl Iterator<Item = &'a CountedDay> + Clone) -> BTreeMap<Date, Numbers> {
        let last = days.clone().map(|day| day.day).max().map_or(self.today, |last| last.max(self.today));
        by_day(days, self.first, last)
    }

    /// The messages of each day as a small line.
    pub(super) fn spark<'a>(&self, days: impl Iterator<Item = &'a CountedDay> + Clone) -> Markup {
        let values: Vec<f64> = self.by_day(days).values().map(|day| float(day.received() + day.sent())).collect();
        let most = values.iter().copied().fold(0.0, f64::max);
        sparkline(&values, &format!("Messages a day, {} at most", whole(most)))
    }
}

/// The numbers of all days together.
pub(super) fn tiles(days: &[CountedDay]) -> Markup {
    let all = total(days);
    let span = |span: Option<Duration>| span.map_or_else(|| "–".to_owned(), time);
    let times = &all.answer_times;
    let cost = all.cost_micros.map_or_else(|| "–".to_owned(), dollars);
    let failed = &all.failures;
    let (undelivered, buried) = (count(sum(&failed.undelivered)), count(sum(&failed.dead_letters)));
    html! {
        dl .tiles aria-label="Numbers of these days" {
            (tile("Received", &count(all.received()), "from customers"))
            (tile("Sent", &count(all.sent()), "to customers"))
            (tile("Answer time, p50", &span(times.p50()), "half took no longer"))
            (tile("Answer time, p95", &span(times.p95()), "one in twenty took longer"))
            (tile("Delivered", &percent(all.delivered_share()), &format!("{} messages", count(all.delivered))))
            (tile("Read", &percent(all.read_share()), &format!("{} messages", count(all.read))))
            (tile("Failures", &count(failed.count()), &format!("{undelivered} undelivered, {buried} buried")))
            (tile("Billable", &count(all.billable()), "by Meta"))
            (tile("AI tokens", &count(all.tokens()), "read and written"))
            (tile("AI cost", &cost, if all.cost_micros.is_some() { "US dollars" } else { "no price is known" }))
            (tile("Hand-overs", &count(all.handed_over()), "to a person"))
            (tile("Opt-outs", &count(all.opt_outs), &format!("{} came back", count(all.opt_ins))))
        }
    }
}

/// What came and went, and how long answers took, by day.
pub(super) fn charts(span: &Span, days: &[CountedDay]) -> Markup {
    let each = span.by_day(days.iter());
    let labels: Vec<String> = each.keys().map(|day| day.strftime("%b %-d").to_string()).collect();
    let messages = [
        Series { name: "Received", values: each.values().map(|day| Some(float(day.received()))).collect() },
        Series { name: "Sent", values: each.values().map(|day| Some(float(day.sent()))).collect() },
    ];
    let seconds = |quantile: fn(&Numbers) -> Option<Duration>| {
        each.values().map(|day| quantile(day).map(|time| time.as_secs_f64())).collect()
    };
    let times = [
        Series { name: "p50", values: seconds(|day| day.answer_times.p50()) },
        Series { name: "p95", values: seconds(|day| day.answer_times.p95()) },
    ];
    let unit = |seconds: f64| {
        if seconds == 0.0 { "0 s".to_owned() } else { time(Duration::from_secs_f64(seconds)).replace(".0 s", " s") }
    };
    let labels = labels.as_slice();
    let messages = Chart { title: "Messages a day", labels, series: &messages, unit: whole, least: 4.0 };
    let times = Chart { title: "Answer times", labels, series: &times, unit, least: 1.0 };
    html! { div .charts { section .card { (messages.bars()) } section .card { (times.lines()) } } }
}

/// What the numbers are made of, as cards.
pub(super) fn details(days: &[CountedDay]) -> Markup {
    let all = total(days);
    let failures = all.failures.undelivered.iter().map(|(code, many)| (format!("undelivered: {code}"), *many));
    let failures =
        failures.chain(all.failures.dead_letters.iter().map(|(word, many)| (format!("dead letter: {word}"), *many)));
    let kinds: BTreeMap<&String, ()> = all.inbound.keys().chain(all.outbound.keys()).map(|kind| (kind, ())).collect();
    let number = |many: u64| html! { (count(many)) };
    let of = |kind: &String, map: &BTreeMap<String, u64>| number(map.get(kind).copied().unwrap_or(0));
    let kinds: Vec<Vec<Markup>> =
        kinds.keys().map(|kind| vec![html! { (kind) }, of(kind, &all.inbound), of(kind, &all.outbound)]).collect();
    let failures: Vec<Vec<Markup>> = failures.map(|(what, many)| vec![html! { (what) }, number(many)]).collect();
    let prices: Vec<Vec<Markup>> = all
        .priced
        .iter()
        .map(|(category, priced)| vec![html! { (category) }, number(priced.billable), number(priced.free)])
        .collect();
    let models: Vec<Vec<Markup>> = all
        .models
        .iter()
        .map(|(model, used)| {
            vec![html! { (model) }, number(used.calls), number(used.tokens_in), number(used.tokens_out)]
        })
        .collect();
    let causes: Vec<Vec<Markup>> =
        all.hand_overs.iter().map(|(cause, many)| vec![html! { (cause) }, number(*many)]).collect();
    html! {
        (made_of("Messages by type", &["Type", "#Received", "#Sent"], &kinds, "No messages."))
        (made_of("Failures", &["Reason", "#Messages"], &failures, "Nothing failed."))
        (made_of("Meta's prices", &["Category", "#Billable", "#Free"], &prices, "Meta has told no price."))
        (made_of("Models", &["Model", "#Calls", "#Read", "#Written"], &models, "No model was asked."))
        (made_of("Hand-overs", &["Cause", "#Conversations"], &causes, "Nobody was handed over."))
        (card("Voice and limits", &voice_and_limits(&all)))
    }
}

fn made_of(title: &str, columns: &[&str], rows: &[Vec<Markup>], empty: &str) -> Markup {
    card(title, &table(title, columns, rows, empty))
}

fn voice_and_limits(all: &Numbers) -> Markup {
    let number = |many: u64| html! { (count(many)) };
    facts([
        ("Recordings heard", number(all.transcriptions)),
        ("Characters spoken", number(all.spoken_characters)),
        ("Told of a limit", number(all.limited)),
        ("Told of trouble", number(all.apologies)),
    ])
}

fn sum(map: &BTreeMap<String, u64>) -> u64 {
    map.values().sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a day are far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is drawn is no less than zero")]
fn whole(value: f64) -> String {
    count(value.round() as u64)
}
