//! RabbitMQ: whether it is there, takes messages, and somebody takes them out.

use shared::broker::{Inspection, QueueRole, QueueState, Source};

use super::check::{Check, Part};

/// So many messages do not wait in an installation that keeps up.
const MANY: u32 = 10_000;
const START_A_WORKER: &str = "start a worker (`worker run`); its log says what it waits for";

/// What the look at it means.
pub(super) fn judge(inspection: &Result<Inspection, String>) -> Vec<Check> {
    let inspection = match inspection {
        Ok(inspection) => inspection,
        Err(problem) => {
            let problem = format!("it cannot be looked at: {problem}");
            let mend = "start it, or correct RABBITMQ_URL: host and port, user and password, virtual host (`/` is %2f)";
            return vec![Check::error(Part::RabbitMq, "RABBITMQ_URL", problem, mend)];
        }
    };
    let version = inspection.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let mut checks = vec![Check::ok(Part::RabbitMq, "server", format!("RabbitMQ{version} answers"))];
    if !inspection.accepts_publishes {
        let problem = "it takes no messages: it has a memory or disk alarm, and ingest answers Meta with 503";
        let mend = "free memory or disk at its host; `rabbitmq-diagnostics alarms` says which";
        checks.push(Check::error(Part::RabbitMq, "server", problem, mend));
    }
    let missing = |(_, state): &(Source, QueueState)| *state == QueueState::Missing;
    if inspection.queues.iter().all(missing) {
        let problem = "none of the queues is there: neither ingest nor a worker has run with this QUEUE_PREFIX";
        checks.push(Check::error(Part::RabbitMq, "queues", problem, "start ingest and a worker, which declare them"));
        return checks;
    }
    let unheard = nobody_consumes(&inspection.queues);
    checks.extend(unheard.then(|| {
        let problem = "nobody consumes: no worker runs, and messages wait";
        Check::error(Part::RabbitMq, "queues", problem, START_A_WORKER)
    }));
    checks.extend(inspection.queues.iter().flat_map(|(source, state)| queue(source, state, unheard)));
    if checks.len() == 1 {
        checks.push(Check::ok(Part::RabbitMq, "queues", lengths(&inspection.queues)));
    }
    checks
}

fn nobody_consumes(queues: &[(Source, QueueState)]) -> bool {
    !queues.iter().any(|(_, state)| matches!(state, QueueState::There { consumers: 1.., .. }))
}

fn queue(source: &Source, state: &QueueState, unheard: bool) -> Vec<Check> {
    let error = |problem: String, mend: &str| Check::error(Part::RabbitMq, &source.queue, problem, mend);
    let QueueState::There { messages, consumers, differs, is_full } = state else {
        let mend = "restart a worker, which declares what is missing";
        return vec![error("it is missing: what is published for it goes to the unrouted ones".to_owned(), mend)];
    };
    let mut checks = Vec::new();
    if let Some(argument) = differs {
        let problem =
            format!("it has another `{argument}` than is declared, so that neither ingest nor a worker starts");
        let mend = "let it run empty, delete it (`rabbitmqctl delete_queue NAME`), and restart a worker";
        checks.push(error(problem, mend));
    }
    if *is_full {
        let problem =
            format!("it is full: {messages} messages wait, it takes no more, and ingest answers Meta with 503");
        let mend = "start workers, or see in their logs why they do not keep up; MongoDB away is the usual reason";
        checks.push(error(problem, mend));
    } else if *messages >= MANY {
        let problem = format!("{messages} messages wait");
        let mend = "look at `switchboard_queue_age_seconds`; more workers help where MongoDB has room";
        checks.push(Check::warning(Part::RabbitMq, &source.queue, problem, mend));
    }
    if *consumers == 0 && !unheard {
        let what = match source.role {
            QueueRole::Inbound => "messages",
            QueueRole::Status => "statuses",
            QueueRole::Dead => "dead letters",
        };
        let mend = "restart the workers with the same QUEUE_PARTITIONS everywhere";
        checks.push(error(format!("nobody consumes it, so {what} wait in it"), mend));
    }
    checks
}

fn lengths(queues: &[(Source, QueueState)]) -> String {
    let waiting: u64 = queues
        .iter()
        .map(|(_, state)| match state {
            QueueState::There { messages, .. } => u64::from(*messages),
            QueueState::Missing => 0,
        })
        .sum();
    format!("{} queues are as they are declared, each has a consumer, {waiting} messages wait", queues.len())
}

#[cfg(test)]
mod tests {
    use super::{super::check::Severity, *};

    fn there(messages: u32, consumers: u32) -> QueueState {
        QueueState::There { messages, consumers, differs: None, is_full: false }
    }

    fn inspection(states: Vec<QueueState>) -> Inspection {
        let source = |n| Source { queue: format!("q.{n}"), role: QueueRole::Inbound, is_unrouted: false };
        let queues = states.into_iter().enumerate().map(|(n, state)| (source(n), state)).collect();
        Inspection { version: Some("4.0.5".to_owned()), queues, accepts_publishes: true }
    }

    fn wrong(inspection: Inspection) -> Vec<(String, String)> {
        let checks = judge(&Ok(inspection));
        assert!(checks.iter().all(|check| (check.severity == Severity::Ok) == check.mend.is_none()), "{checks:?}");
        checks
            .into_iter()
            .filter(|check| check.severity != Severity::Ok)
            .map(|check| (check.subject, check.problem))
            .collect()
    }

    #[test]
    fn queues_that_are_consumed_are_fine() {
        let checks = judge(&Ok(inspection(vec![there(3, 1), there(4, 2)])));
        assert_eq!(checks.len(), 2, "{checks:?}");
        assert!(checks[0].problem.contains("4.0.5") && checks[1].problem.contains("7 messages wait"));
    }

    #[test]
    fn no_worker_at_all_is_one_error_and_one_queue_without_a_consumer_is_its_own() {
        let none = wrong(inspection(vec![there(3, 0), there(0, 0)]));
        assert!(none.len() == 1 && none[0].1.contains("no worker runs"), "{none:?}");
        let one = wrong(inspection(vec![there(3, 0), there(0, 1)]));
        assert!(one.len() == 1 && one[0].0 == "q.0", "{one:?}");
    }

    #[test]
    fn what_is_full_missing_long_or_otherwise_declared_is_named() {
        let full = QueueState::There { messages: 400, consumers: 1, differs: None, is_full: true };
        let other = QueueState::There { messages: 0, consumers: 1, differs: Some("x-overflow".into()), is_full: false };
        let found = wrong(inspection(vec![full, other, QueueState::Missing, there(MANY, 1)]));
        let words = ["is full: 400", "another `x-overflow`", "is missing", "10000 messages wait"];
        for (at, word) in words.iter().enumerate() {
            assert!(found[at].0 == format!("q.{at}") && found[at].1.contains(word), "{found:?}");
        }
    }

    #[test]
    fn a_server_that_is_away_new_or_blocked_is_one_error() {
        assert_eq!(judge(&Err("no answer".to_owned())).len(), 1);
        let fresh = wrong(inspection(vec![QueueState::Missing, QueueState::Missing]));
        assert!(fresh.len() == 1 && fresh[0].1.contains("QUEUE_PREFIX"), "{fresh:?}");
        let blocked = Inspection { accepts_publishes: false, ..inspection(vec![there(0, 1)]) };
        assert!(wrong(blocked)[0].1.contains("alarm"));
    }
}
