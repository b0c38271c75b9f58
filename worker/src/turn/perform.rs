//! Does what a turn's machine wants, and says what came of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use shared::ids::{MessageId, PhoneNumberId};

use super::{
    Turn,
    machine::{Allowance, Effect, Event, Remember, Repeat, Service, Token},
    reading::Reading,
};
use crate::{
    account::PAUSED,
    business::{Business, Lookup, Unserved},
    conversation::{Aftermath, Consent, MailboxItem, MemoryTurn, Outbox, QuietTime, Speaker},
    store::{CommitOutcome, Inbound, Memory, Outbound, Postponement, StoreError, in_time},
    whatsapp::Permit,
};

impl Turn<'_> {
    pub(super) async fn perform(&mut self, effect: Effect) -> Result<Event, StoreError> {
        // Boxed, each by itself: a turn is mostly waiting for the model, and should not hold the room of all else that it
        // may do.
        Ok(match effect {
            // These have limits of their own.
            Effect::Compose(kind) => {
                // A tool may change something out there.
                if self.business.as_ref().is_some_and(|business| !business.companion.tools.is_empty()) {
                    self.hold.make_durable().await?;
                }
                Box::pin(self.compose(kind)).await
            }
            Effect::Excuse(until) => self.excuse(until),
            Effect::Gather => {
                Box::pin(self.gather()).await;
                Event::Gathered
            }
            Effect::Permit => Box::pin(self.permit()).await,
            Effect::Send(sending) => Event::Sent(Box::pin(self.send(&sending)).await?),
            Effect::Listen { within } => Event::Heard(self.statuses_were_drained(within)),
            Effect::Prepare { .. }
            | Effect::Commit { .. }
            | Effect::Reread
            | Effect::BeginTry { .. }
            | Effect::FreshToken
            | Effect::RecordPart { .. }
            | Effect::File { .. }
            | Effect::Record { .. }
            | Effect::Settle { .. }
            | Effect::Postpone(_)
            | Effect::Release => {
                let event = in_time(Box::pin(self.ask_the_store(effect))).await?;
                if event.shows_the_lease() {
                    self.hold.has_written();
                }
                event
            }
            Effect::End(_) => unreachable!("an end is not performed"),
        })
    }

    async fn ask_the_store(&mut self, effect: Effect) -> Result<Event, StoreError> {
        let (store, lease) = (&self.turns.store, self.hold.key());
        if effect.gives_the_lease_back() {
            self.hold.let_go();
        }
        Ok(match effect {
            Effect::Prepare { number, items } => self.prepare(&number, &items).await?,
            Effect::Commit { outbox, seen } => {
                let outbox = Outbox { trace: Some(self.trace), ..outbox };
                let outcome = store.commit_reply(lease, &outbox, seen.as_deref()).await?;
                if outcome == CommitOutcome::NewerMessages {
                    metrics::counter!("switchboard_regenerations_total").increment(1);
                }
                Event::Committed(outcome)
            }
            Effect::Reread => {
                self.hold.about_to_read();
                let reread = store.reread(lease).await?;
                if let Some(conversation) = &reread {
                    self.hold.has_read(&conversation.mailbox);
                }
                Event::Reread(reread.map(Box::new))
            }
            Effect::BeginTry { reply_id, part, tries, repeats, as_text } => {
                let begun = store.begin_try(lease, &reply_id, part, tries, as_text).await?;
                if let (true, Some(repeats)) = (begun, repeats) {
                    self.count_repeat(part, repeats);
                }
                Event::TryBegun(begun)
            }
            Effect::FreshToken => self.fresh_token().await?,
            Effect::RecordPart { reply_id, part, wamid, begin_next } => {
                Event::PartRecorded(self.record_part(&reply_id, part, &wamid, begin_next).await?)
            }
            Effect::File { items, burial } => {
                self.file(&items, &burial).await?;
                Event::Filed
            }
            Effect::Record { items, buried, sent } => {
                self.record(&items, buried, sent.as_ref()).await?;
                Event::Recorded
            }
            Effect::Settle { number, messages, memory } => {
                self.count_answer(&memory, messages.len());
                let memory = self.memory(memory);
                let settled = store.settle(lease, &number, &messages, &memory, self.quiet).await?;
                if settled.is_some() {
                    self.count_settled(&memory).await;
                }
                Event::Settled(settled)
            }
            Effect::Postpone(postponement) => Event::Postponed(self.postpone(&postponement).await?),
            Effect::Release => {
                store.release(lease).await?;
                Event::Released
            }
            Effect::Compose(_) | Effect::Excuse(_) => unreachable!("the store has nothing to do with it"),
            Effect::Gather | Effect::Permit => unreachable!("the store has nothing to do with it"),
            Effect::Send(_) | Effect::Listen { .. } | Effect::End(_) => {
                unreachable!("the store has nothing to do with it")
            }
        })
    }

    async fn record_part(
        &self,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
        begin_next: bool,
    ) -> Result<bool, StoreError> {
        let (store, lease) = (&self.turns.store, self.hold.key());
        if begin_next {
            return store.part_sent(lease, reply_id, part, wamid).await;
        }
        // A fact, whoever has the lease; the next write asks whether that is still me.
        let Some(number) = self.machine.number() else { return Ok(false) };
        store.evidence(&lease.session, &number, reply_id, part, wamid).await?;
        Ok(true)
    }

    async fn prepare(&mut self, number: &PhoneNumberId, items: &[MailboxItem]) -> Result<Event, StoreError> {
        let conversation = self.machine.conversation();
        self.reading = Reading::of(&*self.turns.store, &conversation.scope(), items, &conversation.mailbox).await?;
        let wants_answer = self.reading.wants_answer() || items.iter().any(|item| item.resend_of.is_some());
        let service = match self.business_of(number).await? {
            Ok(business) => {
                self.quiet = QuietTime::new(business.companion.quiet.unwrap_or(self.turns.settings.quiet));
                self.day = self.turns.allowances.left(&business, Timestamp::now()).await?;
                let allowance = Allowance {
                    messages_per_minute: business.companion.limits.messages_per_minute,
                    day_is_over_for: self.day.is_over_for,
                };
                if let Ok(token) = &business.token {
                    self.turns.graph.learn_issuer(token).await;
                }
                let service = service(&business, allowance, Timestamp::now());
                self.business = Some(business);
                service
            }
            Err(why) => Service::Unserved(why),
        };
        let filed = self.filed_before().await?;
        let asks_for_person = self.business.as_ref().is_some_and(|business| self.asks_for_person(business));
        let mut wishes = self.reading.wishes();
        // Whoever wants to hear again may say so, whatever the business has switched off since.
        let ignores_stop = self.business.as_ref().is_some_and(|business| business.companion.ignores_stop);
        wishes.retain(|wish| !ignores_stop || wish.consent == Consent::Given);
        Ok(Event::Prepared { service, wants_answer, asks_for_person, wishes, quotes: self.reading.quotes(), filed })
    }

    /// The business of a number, if it is still this conversation's. A number that moved to another business
    /// must not be answered from this one's memory.
    async fn business_of(&self, number: &PhoneNumberId) -> Result<Result<Arc<Business>, Unserved>, StoreError> {
        let registry = &self.turns.registry;
        let found = match registry.lookup(number).await? {
            // What is cached is of no use; perhaps it was mended.
            Lookup::Served(business) if business.token.is_err() || business.pause.is_some() => {
                registry.lookup_fresh(number).await?
            }
            found @ (Lookup::Served(_) | Lookup::Unserved(_)) => found,
        };
        Ok(match found {
            Lookup::Served(business) if business.id == self.machine.conversation().business_id => Ok(business),
            Lookup::Served(_) => Err(Unserved::Unknown),
            Lookup::Unserved(why) => Err(why),
        })
    }

    /// Whether no status waited any more at some time in the last `within` before this turn.
    fn statuses_were_drained(&self, within: Duration) -> bool {
        let since = self.started.checked_sub(within);
        let last = self.turns.statuses.last();
        matches!((last, since), (Some(last), Some(since)) if last >= since)
    }

    async fn permit(&self) -> Event {
        let Some(number) = self.machine.number() else { return Event::Permitted(None) };
        match self.turns.pace.permit(&number, Instant::now()) {
            Permit::After(wait) => {
                tokio::time::sleep(wait).await;
                Event::Permitted(None)
            }
            Permit::NotBefore(wait) => Event::Permitted(Some(wait)),
        }
    }

    fn count_repeat(&self, part: usize, repeats: Repeat) {
        let session = &self.machine.conversation().id;
        let resolved = match repeats {
            Repeat::Silence => "resend",
            Repeat::Policy => "resend_by_policy",
        };
        tracing::warn!(%session, part, resolved, "no evidence of a send in doubt: sending again");
        metrics::counter!("switchboard_sends_in_doubt_total", "resolved" => resolved).increment(1);
    }

    /// The business again, and its token where that is another one than the refused.
    async fn fresh_token(&mut self) -> Result<Event, StoreError> {
        let (Some(refused), Some(number)) = (self.business.clone(), self.machine.number()) else {
            return Ok(Event::FreshToken(None));
        };
        self.turns.registry.refuse(&number, &refused.token_id).await;
        let found = self.turns.registry.lookup_fresh(&number).await?;
        let Lookup::Served(fresh) = found else { return Ok(Event::FreshToken(None)) };
        let usable = fresh.token.is_ok() && fresh.token_id != refused.token_id;
        if !usable || fresh.id != self.machine.conversation().business_id {
            return Ok(Event::FreshToken(None));
        }
        let token = token(&fresh);
        self.business = Some(fresh);
        Ok(Event::FreshToken(Some(token)))
    }

    /// The transcript comes before `settle`: what a conversation forgets is known by it.
    pub(super) async fn record(
        &self,
        items: &[MailboxItem],
        buried: bool,
        sent: Option<&Outbox>,
    ) -> Result<(), StoreError> {
        self.hold.make_durable().await?;
        let conversation = self.machine.conversation();
        let (session, business_id) = (&conversation.id, &conversation.business_id);
        self.note(Timestamp::now());
        // What is sent once more is on record as what it was when it was sent first.
        let heard = items.iter().filter(|item| item.resend_of.is_none()).map(|item| {
            self.note(item.timestamp);
            // What is buried is not read, for reading it may be what killed the worker.
            let kind = if buried { "buried" } else { self.reading.kind(item).unwrap_or("unknown") };
            let taken_back = self.reading.is_revoked(item);
            Inbound { session, business_id, item, kind, answered: true, words: None, taken_back }
        });
        let heard: Vec<_> = heard.collect();
        let said: Vec<_> = sent.into_iter().flat_map(|outbox| self.said(outbox)).collect();
        self.turns.store.record_turn(&heard, &said).await
    }

    /// Notes that something of that day has changed.
    fn note(&self, at: Timestamp) {
        let zone = self.business.as_ref().map_or(TimeZone::UTC, |business| business.companion.zone());
        self.turns.diary.note(&self.machine.conversation().business_id, &zone, at);
    }

    /// How long the customer has waited for the first part of a reply: since the webhook of the first message that it
    /// answers.
    fn waited(&self, outbox: &Outbox) -> Option<Duration> {
        let answered = |item: &&MailboxItem| item.resend_of.is_none() && outbox.answers.contains(&item.id);
        let since = self.machine.run().iter().filter(answered).map(|item| item.received_at).min()?;
        let sent_at = outbox.parts.first().and_then(|part| part.last_try_at).unwrap_or_else(Timestamp::now);
        Some(Duration::try_from(sent_at.duration_since(since)).unwrap_or_default())
    }

    /// What of a reply is with Meta.
    fn said<'a>(&'a self, outbox: &'a Outbox) -> impl Iterator<Item = Outbound<'a>> {
        let conversation = self.machine.conversation();
        outbox.parts.iter().enumerate().filter_map(move |(n, part)| {
            let wamid = part.wamid.as_ref()?;
            Some(Outbound {
                session: &conversation.id,
                business_id: &conversation.business_id,
                number: &outbox.phone_number_id,
                wamid,
                reply_id: Some(&outbox.reply_id),
                kind: part.form.name(),
                body: &part.body,
                // Once for a reply.
                usage: (n == 0).then_some(&outbox.aftermath.usage),
                waited: if n == 0 { self.waited(outbox) } else { None },
                trace: Some(self.trace),
            })
        })
    }

    pub(super) fn memory(&self, memory: Remember) -> Memory {
        match memory {
            Remember::Nothing => Memory::default(),
            Remember::Heard => Memory { turns: self.reading.heard(), ..Memory::default() },
            Remember::Wish(wish) => {
                let aftermath = Aftermath { consent: Some(wish), ..Aftermath::default() };
                Memory { aftermath, ..Memory::default() }
            }
            Remember::HeardAndSaid { kind, said, aftermath } => {
                let mut turns = self.reading.heard();
                turns.push(MemoryTurn { speaker: Speaker::Companion, text: said });
                Memory { turns, reply: Some(kind), aftermath: *aftermath }
            }
        }
    }

    fn count_answer(&self, memory: &Remember, answered: usize) {
        let Remember::HeardAndSaid { .. } = memory else { return };
        if let Some(first) = self.machine.run().first() {
            let seconds = Timestamp::now().duration_since(first.received_at).as_secs_f64();
            metrics::histogram!("switchboard_answer_seconds").record(seconds.max(0.0));
        }
        tracing::info!(session = %self.machine.conversation().id, answered, "answered");
    }

    async fn count_settled(&self, memory: &Memory) {
        if let Some(consent) = memory.aftermath.consent {
            self.count_wish(consent);
        }
        if let Some(business) = &self.business {
            self.turns.allowances.spend(business, memory, Timestamp::now()).await;
        }
    }

    fn count_wish(&self, consent: Consent) {
        let change = match consent {
            Consent::Withdrawn => "out",
            Consent::Given => "in",
        };
        tracing::info!(session = %self.machine.conversation().id, change, "a customer said whether to hear from us");
        metrics::counter!("switchboard_opt_outs_total", "change" => change).increment(1);
    }

    /// Gives the conversation back until a retry.
    async fn postpone(&self, postponement: &Postponement) -> Result<bool, StoreError> {
        let conversation = self.machine.conversation();
        let (session, attempts) = (&conversation.id, conversation.attempts);
        let Postponement { reason, detail, delay, .. } = postponement;
        // Limits and waiting for evidence are everyday, and of an account it was told once; the rest somebody may have to mend.
        if postponement.for_evidence || matches!(*reason, "throttled" | "paced" | "paused") {
            tracing::info!(%session, reason, detail, ?delay, attempts, "a conversation waits");
        } else {
            tracing::warn!(%session, reason, detail, ?delay, attempts, "a conversation waits");
        }
        if postponement.token.as_deref().is_some_and(|token| token != PAUSED) {
            metrics::counter!("switchboard_credential_waits_total").increment(1);
        }
        metrics::counter!("switchboard_postponements_total", "reason" => *reason).increment(1);
        self.turns.store.postpone(self.hold.key(), postponement).await
    }
}

/// Whether a business may answer, and with what.
fn service(business: &Business, allowance: Allowance, now: Timestamp) -> Service {
    match business.paused(now) {
        Some(pause) => {
            let left = pause.until.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
            Service::Paused { why: format!("{}: {}", pause.cause.name(), pause.why), left }
        }
        None => Service::Served { token: token(business), in_doubt: business.companion.in_doubt, allowance },
    }
}

fn token(business: &Business) -> Token {
    Token { id: business.token_id.clone(), problem: business.token.as_ref().err().map(ToString::to_string) }
}
