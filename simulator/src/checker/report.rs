//! What the judge found, for a test to assert on and for an engineer to read.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::record::Moment;
use crate::Tag;

/// How many violations are told in full; the rest is counted.
const TOLD_MOST: usize = 20;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Each acknowledged message is answered.
    Loss,
    /// Nothing is sent twice.
    Duplicate,
    /// Nothing is sent that was not asked for.
    Phantom,
    /// A customer's messages are answered in their order.
    Order,
    /// No business and no customer sees anything of another.
    Isolation,
    /// Nobody waits for a flood at another business.
    Fairness,
    /// An answer is paid for once.
    Cost,
    /// No secret, no customer and no text is in a log.
    Logs,
}

impl Rule {
    /// All rules, in the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::Loss,
        Self::Duplicate,
        Self::Phantom,
        Self::Order,
        Self::Isolation,
        Self::Fairness,
        Self::Cost,
        Self::Logs,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Loss => "loss",
            Self::Duplicate => "duplicate",
            Self::Phantom => "phantom",
            Self::Order => "order",
            Self::Isolation => "isolation",
            Self::Fairness => "fairness",
            Self::Cost => "cost",
            Self::Logs => "logs",
        })
    }
}

/// A place in the journal that shows something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// The position in the journal.
    pub seq: u64,
    /// From the first entry of the journal.
    pub since_start: Duration,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} at {:.3} s", self.seq, self.since_start.as_secs_f64())
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub rule: Rule,
    /// The message that it concerns, where it concerns one that has a tag.
    pub tag: Option<Tag>,
    /// What happened. Shows no customer whole, no text and no secret.
    pub what: String,
    /// The entries that show it, in their order; none where a log shows it.
    pub evidence: Vec<Evidence>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.rule)?;
        if let Some(tag) = self.tag {
            write!(f, "{tag} ")?;
        }
        f.write_str(&self.what)?;
        evidence(f, &self.evidence)
    }
}

/// Why a repetition is within the honest limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// No status of what was sent before ever reached the system.
    StatusesLost,
    /// A process was frozen between the two.
    Frozen,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StatusesLost => "its statuses were all lost",
            Self::Frozen => "a process was frozen meanwhile",
        })
    }
}

/// A repetition that no system can exclude: counted, and no violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residual {
    /// The message whose answer was repeated; none for an apology.
    pub tag: Option<Tag>,
    /// Why nobody could know.
    pub limit: Limit,
    /// The two sends.
    pub evidence: Vec<Evidence>,
}

impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag {
            Some(tag) => write!(f, "the answer to {tag} was sent again: {}", self.limit)?,
            None => write!(f, "an apology was sent again: {}", self.limit)?,
        }
        evidence(f, &self.evidence)
    }
}

fn evidence(f: &mut fmt::Formatter<'_>, evidence: &[Evidence]) -> fmt::Result {
    let places: Vec<_> = evidence.iter().map(Evidence::to_string).collect();
    if places.is_empty() { Ok(()) } else { write!(f, " ({})", places.join(", ")) }
}

/// How a time is spread over many cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Half of the cases are at or below this.
    pub p50: Duration,
    /// Of twenty cases nineteen are at or below this.
    pub p95: Duration,
    /// The longest.
    pub most: Duration,
}

impl Spread {
    /// None where there is no case.
    pub(super) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let most = *times.last()?;
        let at = |hundredth: usize| times.get((times.len() * hundredth).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: at(50)?, p95: at(95)?, most })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, most] = [self.p50, self.p95, self.most].map(|time| time.as_millis());
        write!(f, "p50 {p50} ms, p95 {p95} ms, at most {most} ms")
    }
}

/// What a run consisted of. A test asserts on it, or a run in which nothing happened would pass.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// Posts of webhooks, statuses and repetitions included.
    pub posts: usize,
    /// Different messages that were posted.
    pub messages_posted: usize,
    /// Of these, those in a body that was answered with 200.
    pub messages_acknowledged: usize,
    /// Of these, those that cannot be judged: without a tag, a number or a customer.
    pub messages_unjudged: usize,
    /// Of the others, those whose whole answer was accepted.
    pub messages_answered: usize,
    /// Those that an apology covers instead.
    pub messages_apologised: usize,
    /// Those that are neither, for a reason that is allowed.
    pub messages_excused: usize,
    /// Messages to customers that the Graph API accepted.
    pub sends_accepted: usize,
    /// Messages to customers that it refused or threw away.
    pub sends_refused: usize,
    /// From a message's acknowledgement to the last piece of its answer.
    pub answer_time: Option<Spread>,
    /// Chat requests that were answered with 200 and words.
    pub chats_answered: usize,
    /// Chat requests that were not.
    pub chats_failed: usize,
    /// Answered chat requests for each message that was asked about.
    pub chats_per_message: f64,
    /// The most for one message.
    pub chats_per_message_most: usize,
    /// The most turns of others between a quiet business's message and its turn; none without such a message.
    pub turns_between_most: Option<usize>,
    /// How long messages of quiet businesses waited after they were due.
    pub quiet_wait: Option<Spread>,
    /// Graph requests with a token that was never given out, or is revoked: no tenant's.
    pub unknown_credentials: usize,
}

/// The judgement of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The broken promises, rule by rule.
    pub violations: Vec<Violation>,
    /// The repetitions that no system can exclude. None may be in a run without a freeze or a lost status.
    pub residual: Vec<Residual>,
    /// What happened.
    pub figures: Figures,
    began_ns: u64,
}

impl Report {
    pub(super) fn since(began_ns: u64) -> Self {
        Self { began_ns, ..Self::default() }
    }

    pub(super) fn violate(&mut self, rule: Rule, tag: Option<Tag>, what: impl Into<String>, seen: &[Moment]) {
        let evidence = self.evidence(seen);
        self.violations.push(Violation { rule, tag, what: what.into(), evidence });
    }

    pub(super) fn excuse(&mut self, tag: Option<Tag>, limit: Limit, seen: &[Moment]) {
        let evidence = self.evidence(seen);
        self.residual.push(Residual { tag, limit, evidence });
    }

    fn evidence(&self, seen: &[Moment]) -> Vec<Evidence> {
        let since_start = |at: &Moment| Duration::from_nanos(at.ns.saturating_sub(self.began_ns));
        let mut evidence: Vec<_> =
            seen.iter().map(|at| Evidence { seq: at.seq, since_start: since_start(at) }).collect();
        evidence.sort_by_key(|evidence| evidence.seq);
        evidence
    }

    /// How many violations there are of each rule that was broken.
    pub fn broken(&self) -> BTreeMap<Rule, usize> {
        let mut broken = BTreeMap::new();
        for violation in &self.violations {
            *broken.entry(violation.rule).or_default() += 1;
        }
        broken
    }

    /// Whether every promise was kept.
    ///
    /// # Errors
    /// The violations, the first twenty in full, and the figures of the run.
    pub fn verdict(&self) -> Result<(), String> {
        if self.violations.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<_> = self.violations.iter().take(TOLD_MOST).map(Violation::to_string).collect();
        let more = self.violations.len().saturating_sub(TOLD_MOST);
        if more > 0 {
            lines.push(format!("… and {more} more"));
        }
        Err(format!("{}\n\n{self}", lines.join("\n")))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        let spread = |spread: &Option<Spread>| spread.map_or_else(|| "none".to_owned(), |spread| spread.to_string());
        writeln!(
            f,
            "messages    {} acknowledged of {} posted: {} answered, {} apologised, {} excused, {} not judged",
            figures.messages_acknowledged,
            figures.messages_posted,
            figures.messages_answered,
            figures.messages_apologised,
            figures.messages_excused,
            figures.messages_unjudged,
        )?;
        writeln!(f, "webhooks    {} posts", figures.posts)?;
        writeln!(f, "sends       {} accepted, {} not", figures.sends_accepted, figures.sends_refused)?;
        writeln!(f, "answers     {}", spread(&figures.answer_time))?;
        writeln!(
            f,
            "chats       {} answered, {} failed; {:.2} a message, at most {}",
            figures.chats_answered, figures.chats_failed, figures.chats_per_message, figures.chats_per_message_most,
        )?;
        if let Some(most) = figures.turns_between_most {
            writeln!(f, "fairness    {most} turns of others at most; waits: {}", spread(&figures.quiet_wait))?;
        }
        if figures.unknown_credentials > 0 {
            writeln!(f, "tokens      {} Graph requests with an unknown one", figures.unknown_credentials)?;
        }
        writeln!(f, "residual    {}", self.residual.len())?;
        let broken = self.broken();
        for rule in Rule::ALL {
            let count = broken.get(&rule).copied().unwrap_or_default();
            writeln!(f, "{rule:<11} {}", if count == 0 { "kept".to_owned() } else { format!("{count} violations") })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_the_cases_themselves() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(times).expect("cases");
        assert_eq!([spread.p50, spread.p95, spread.most].map(|time| time.as_millis()), [50, 95, 100]);
        let one = Spread::of(vec![Duration::from_millis(7)]).expect("a case");
        assert_eq!((one.p50, one.p95, one.most), (one.most, one.most, Duration::from_millis(7)));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn the_verdict_tells_rule_tag_times_and_places_and_not_more_than_twenty() {
        let mut report = Report::since(1_000_000_000);
        assert_eq!(report.verdict(), Ok(()));
        for place in 0..25 {
            let at = Moment { place, seq: place as u64, ns: 3_500_000_000 };
            report.violate(Rule::Loss, Some(Tag(17)), "was never answered", &[at]);
        }
        let told = report.verdict().expect_err("violations");
        assert!(told.starts_with("loss: #m000017 was never answered (entry 0 at 2.500 s)\n"), "{told}");
        assert!(told.contains("entry 19 ") && !told.contains("entry 20 ") && told.contains("… and 5 more"), "{told}");
        assert!(told.contains("loss        25 violations") && told.contains("order       kept"), "{told}");
    }
}
