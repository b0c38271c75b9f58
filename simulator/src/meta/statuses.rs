//! What Meta reports back after an accepted message: `sent`, `delivered`, perhaps `read`, each in a webhook of its
//! own, after a delay, in order or not, late, or never. The seed decides, by the message's opaque data where it has
//! some, so the same message meets the same fate in every run.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Business, Fault, Refusal, State};
use crate::{
    Customer, Sender,
    journal::{Event, StatusWithheld},
    webhook::{Body, Status},
};

/// What is reported back, and when. Delays count from the acceptance.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusPlan {
    /// When `sent` is posted; none means never.
    pub sent: Option<Duration>,
    /// When `delivered` is posted.
    pub delivered: Option<Duration>,
    /// When `read` is posted; none, the default, for customers who do not show that they read.
    pub read: Option<Duration>,
    /// The probability that a status is lost, each on its own.
    pub loss: f64,
    /// The probability that the statuses of a message come in the reverse order.
    pub reverse: f64,
    /// The probability that a status is posted twice.
    pub repeat: f64,
    /// The probability that all statuses of a message come late, so that nothing proves it in time.
    pub late: f64,
    /// How late, on top of the usual delay.
    pub lateness: RangeInclusive<Duration>,
    /// Whether a `failed` status echoes the opaque data, which Meta does not promise.
    pub echo_on_failed: bool,
}

impl Default for StatusPlan {
    fn default() -> Self {
        let (sent, delivered) = (Some(Duration::from_millis(20)), Some(Duration::from_millis(60)));
        Self {
            sent,
            delivered,
            read: None,
            loss: 0.0,
            reverse: 0.0,
            repeat: 0.0,
            late: 0.0,
            lateness: Duration::from_secs(5)..=Duration::from_secs(60),
            echo_on_failed: true,
        }
    }
}

impl StatusPlan {
    /// Nothing is reported back.
    pub fn silent() -> Self {
        Self { sent: None, delivered: None, ..Self::default() }
    }
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) wamid: String,
    pub(super) phone_number_id: String,
    pub(super) customer: Customer,
    pub(super) message_type: String,
    pub(super) opaque: Option<String>,
}

impl State {
    /// Starts the reports of a message; they end with the stand-in.
    pub(super) fn report_back(self: &Arc<Self>, accepted: Accepted, fault: Option<&Fault>) {
        let business = self.registry.business(&accepted.phone_number_id);
        // In open mode nobody registered: the number stands for the business.
        let business =
            business.unwrap_or_else(|| Business::new(&*accepted.phone_number_id, &*accepted.phone_number_id));
        let Some(sender) = self.sender(&business) else { return };
        let plan = self.plan.read().expect("no code panics while it holds this lock").clone();
        let failure = if let Some(Fault::FailLater(refusal)) = fault { Some(refusal) } else { None };
        let withheld = matches!(fault, Some(Fault::WithoutStatuses));
        let late = self.lateness(&plan, &accepted);
        let mut reports = Vec::new();
        for (status, delay) in self.due(&plan, &accepted, failure.is_some()) {
            let key = format!("{}/{status}", accepted.key());
            if withheld || self.options.seed.happens(plan.loss, "status-loss", &key) {
                let (wamid, status) = (accepted.wamid.clone(), status.to_owned());
                self.options.journal.record(Event::StatusWithheld(StatusWithheld { wamid, status }));
                continue;
            }
            let times = if self.options.seed.happens(plan.repeat, "status-repeat", &key) { 2 } else { 1 };
            let opaque = accepted.opaque.clone().filter(|_| failure.is_none() || plan.echo_on_failed);
            let status = accepted.status(status, opaque, failure);
            reports.push(Report { delay: delay + late.unwrap_or_default(), times, business: business.clone(), status });
        }
        if let Some(late) = late.filter(|_| !reports.is_empty()) {
            // Like a loss it excuses whoever waits for evidence in vain.
            let by_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            self.options.journal.mark("statuses_late", json!({"wamid": accepted.wamid, "by_ms": by_ms}));
        }
        let all = post(sender, reports, self.tasks.clone(), self.stop.clone());
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(all));
    }

    /// By how much the statuses of a message are late.
    fn lateness(&self, plan: &StatusPlan, accepted: &Accepted) -> Option<Duration> {
        let (seed, key) = (self.options.seed, accepted.key());
        let is_late = seed.happens(plan.late, "status-late", key);
        is_late.then(|| seed.duration(&plan.lateness, "status-lateness", key))
    }

    /// The statuses of a message in the order of their time.
    fn due(&self, plan: &StatusPlan, accepted: &Accepted, failed: bool) -> Vec<(&'static str, Duration)> {
        if failed {
            return vec![("failed", plan.sent.or(plan.delivered).unwrap_or_default())];
        }
        // Meta reports of a reaction only that it was sent.
        let more = accepted.message_type != "reaction";
        let (delivered, read) = (plan.delivered.filter(|_| more), plan.read.filter(|_| more));
        let all = [("sent", plan.sent), ("delivered", delivered), ("read", read)];
        let mut due: Vec<_> = all.into_iter().filter_map(|(status, delay)| Some((status, delay?))).collect();
        if self.options.seed.happens(plan.reverse, "status-reverse", accepted.key()) {
            let delays: Vec<_> = due.iter().rev().map(|(_, delay)| *delay).collect();
            due = due.into_iter().map(|(status, _)| status).zip(delays).collect();
        }
        due.sort_by_key(|(_, delay)| *delay);
        due
    }
}

impl Accepted {
    /// What chance goes by.
    fn key(&self) -> &str {
        self.opaque.as_deref().unwrap_or(&self.wamid)
    }

    fn status(&self, status: &str, opaque: Option<String>, failure: Option<&Refusal>) -> Status {
        Status {
            wamid: self.wamid.clone(),
            status: status.to_owned(),
            customer: self.customer.clone(),
            timestamp: 0,
            opaque,
            error: failure.map(Refusal::status_error),
        }
    }
}

#[derive(Debug)]
struct Report {
    delay: Duration,
    times: u32,
    business: Business,
    status: Status,
}

/// Posts the statuses of one message. Each waits for the first answer to the one before it, so their order is the
/// plan's however slow the machine is; one that was not taken is repeated beside the others, as Meta does.
async fn post(sender: Sender, reports: Vec<Report>, tasks: TaskTracker, stop: CancellationToken) {
    let accepted = Instant::now();
    for mut report in reports {
        tokio::time::sleep_until(accepted + report.delay).await;
        report.status.timestamp = jiff::Timestamp::now().as_second();
        let body = Body::default().status(&report.business, &report.status).to_json();
        for _ in 0..report.times {
            let last = match sender.deliver_once(&body).await {
                Ok(200) => continue,
                Ok(status) => format!("HTTP {status}"),
                Err(error) => error.to_string(),
            };
            let (sender, body) = (sender.clone(), body.clone());
            let insist = async move {
                if let Err(error) = sender.insist(&body, last).await {
                    tracing::warn!(%error, "a status was given up");
                }
            };
            tasks.spawn(stop.clone().run_until_cancelled_owned(insist));
        }
    }
}
