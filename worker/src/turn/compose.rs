//! The words of a reply: what the customer sent is understood, the companion is asked, and the answer is put into the
//! form in which it goes out.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Turn,
    machine::{Event, Reply, Trouble, TroubleKind},
    reading::Reading,
    typing::Typing,
    understanding::NotNow,
};
use crate::{
    business::{Business, VoiceReply},
    companion::{
        AnswerError, Composition, DEFAULT_APOLOGY, DEFAULT_LIMITED, Situation, language_code, provider::AiError,
    },
    consent,
    conversation::{Aftermath, Consent, HandOverReason, Part, PartForm, ReplyKind, Speaker, Usage},
    store::recognised_language,
    whatsapp::{MESSAGE_UNITS, MediaError, split},
};

/// However often the customer goes on.
const GATHER_MOST: Duration = Duration::from_secs(15);
/// Understanding, thinking, tools and all; with the speech after it less than a turn may take, so that what lasts longer
/// counts as trouble of the AI.
const THINK_MOST: Duration = Duration::from_secs(150);
/// After that an answer is written that should have been spoken.
const SPEAK_MOST: Duration = Duration::from_secs(50);

impl Turn<'_> {
    /// Composes a reply; where it could take in more, only until the customer writes more.
    pub(super) async fn compose(&mut self, kind: ReplyKind) -> Event {
        let (hold, acted) = (self.hold, Arc::clone(&self.acted));
        acted.store(false, Ordering::Relaxed);
        let takes_more_in = self.machine.takes_more_in();
        let reply = self.reply(kind);
        if !takes_more_in {
            return Event::Composed(reply.await);
        }
        // A tool of the business may have changed something; whoever is cut off then would have it done again.
        let more = async {
            hold.more().await;
            if acted.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            // First, so that nothing is asked for about messages that are known not to be the last.
            () = more => {
                metrics::counter!("switchboard_regenerations_total").increment(1);
                Event::Overtaken
            }
            reply = reply => Event::Composed(reply),
        }
    }

    /// Waits until the customer pauses: they are in the middle of something.
    pub(super) async fn gather(&self) {
        let pause = self.quiet.again();
        let end = tokio::time::Instant::now() + self.quiet.ceiling.min(GATHER_MOST);
        loop {
            self.hold.about_to_read();
            let rested = (tokio::time::Instant::now() + pause).min(end);
            tokio::select! {
                () = self.hold.more() => {}
                () = tokio::time::sleep_until(rested) => return,
            }
        }
    }

    async fn reply(&mut self, kind: ReplyKind) -> Result<Reply, Trouble> {
        let Some(business) = self.business.clone() else {
            return Err(stuck("there is no business"));
        };
        let text = |body| Part::waiting(body, PartForm::Text);
        let (parts, aftermath) = match kind {
            ReplyKind::Answer => match self.machine.wish() {
                Some(wish) => (vec![text(self.confirmation(wish, &business).to_owned())], Aftermath::default()),
                None => {
                    let asked = Instant::now();
                    let thought = self.think(&business).await;
                    let (after, took) = (self.started.elapsed(), asked.elapsed());
                    thought.map_err(|trouble| Trouble { after, took, ..trouble })?
                }
            },
            ReplyKind::Apology => {
                let session = &self.machine.conversation().id;
                tracing::error!(%session, "the AI failed for too long: the customer gets the apology");
                metrics::counter!("switchboard_apologies_total").increment(1);
                let companion = &business.companion;
                let apology = companion.apology.as_deref().unwrap_or(DEFAULT_APOLOGY);
                // Who asked for a person gets one, whatever the AI does.
                let asked = self.asks_for_person(&business);
                let failed = companion.hand_over.on_failure.then_some(HandOverReason::Failure);
                let mut aftermath = Aftermath::default();
                if let Some(reason) = asked.then_some(HandOverReason::Keyword).or(failed) {
                    companion.hand_over.hand_over(&mut aftermath, reason);
                }
                (split(apology, MESSAGE_UNITS).into_iter().map(text).collect(), aftermath)
            }
            ReplyKind::Resend => {
                let bodies = self.machine.run().iter().filter_map(|item| item.message.clone());
                (bodies.map(text).collect(), Aftermath::default())
            }
        };
        Ok(Reply { id: Uuid::new_v4().simple().to_string(), parts, aftermath })
    }

    /// In the language of the word that was written, else in the one that the customer is known to speak or last wrote, or
    /// the business's own. No model is asked.
    fn confirmation(&self, wish: Consent, business: &Business) -> &'static str {
        let conversation = self.machine.conversation();
        let mut lines = conversation.memory.lines.iter().rev().filter(|line| line.speaker == Speaker::Customer);
        let wrote = || lines.find_map(|line| recognised_language(&line.text)).and_then(language_code);
        let spoken = self
            .reading
            .language_of_wish()
            .or_else(|| conversation.customer.language.as_deref().and_then(language_code));
        let language = spoken.or_else(wrote).or_else(|| business.companion.language.as_deref().and_then(language_code));
        consent::confirmation(wish, language)
    }

    /// Says that a limit of the business is reached. Nobody is asked.
    pub(super) fn excuse(&self, until: Timestamp) -> Event {
        let Some(business) = &self.business else { return Event::Composed(Err(stuck("there is no business"))) };
        let session = &self.machine.conversation().id;
        tracing::info!(%session, %until, "a limit is reached: the customer is told, and gets no answers for a while");
        metrics::counter!("switchboard_limited_customers_total").increment(1);
        let words = business.companion.limits.message.as_deref().unwrap_or(DEFAULT_LIMITED);
        let parts = split(words, MESSAGE_UNITS).into_iter().map(|body| Part::waiting(body, PartForm::Text)).collect();
        let mut aftermath = Aftermath { limited_until: Some(until), ..Aftermath::default() };
        if self.asks_for_person(business) {
            business.companion.hand_over.hand_over(&mut aftermath, HandOverReason::Keyword);
        }
        Event::Composed(Ok(Reply { id: Uuid::new_v4().simple().to_string(), parts, aftermath }))
    }

    /// As far as the messages are understood, what was spoken too.
    pub(super) fn asks_for_person(&self, business: &Business) -> bool {
        self.reading.question().names_one_of(&business.companion.hand_over.keywords)
    }

    async fn think(&mut self, business: &Business) -> Result<(Vec<Part>, Aftermath), Trouble> {
        let typing = self.show_typing(business);
        // Put back whatever happens, so that what was understood need not be understood again, and an apology knows what
        // it is for. Where more was written it is read anew.
        let mut reading = std::mem::take(&mut self.reading);
        let thought = tokio::time::timeout(THINK_MOST, self.answer(&mut reading, business)).await;
        self.reading = reading;
        let (composition, aftermath) = thought.unwrap_or_else(|_| Err(stuck("it took too long")))?;
        let (parts, aftermath) = Box::pin(self.dress(business, composition, aftermath)).await;
        if parts.is_empty() {
            return Err(trouble(&AiError::Useless("nothing that can be sent").into()));
        }
        if let Some(typing) = typing {
            typing.shown().await;
        }
        Ok((parts, aftermath))
    }

    async fn answer(&self, reading: &mut Reading, business: &Business) -> Result<(Composition, Aftermath), Trouble> {
        let conversation = self.machine.conversation();
        let Some(situation) = Situation::of(business, conversation, Timestamp::now(), &self.acted) else {
            return Err(stuck("the conversation is another business's"));
        };
        let mut usage = Usage::default();
        // Boxed, as what a turn does is (`perform`): it has no room while the model is asked.
        if let Err(error) = Box::pin(self.understand(reading, business, &situation, &mut usage)).await {
            let trouble = not_now(&error);
            if trouble.kind == TroubleKind::Token
                && let Some(number) = self.machine.number()
            {
                self.turns.registry.refuse(&number, &business.token_id).await;
            }
            return Err(trouble);
        }
        let composition = self.turns.companion.answer(situation, &reading.question()).await;
        let mut composition = composition.map_err(|error| trouble(&error))?;
        let mut aftermath = std::mem::take(&mut composition.aftermath);
        aftermath.usage.transcriptions = usage.transcriptions;
        let known = conversation.customer.language.as_deref();
        aftermath.language = reading.language().filter(|new| known != Some(*new)).map(str::to_owned);
        Ok((composition, aftermath))
    }

    /// Spoken where the business and the words want it, and it succeeds; else written.
    async fn dress(
        &self,
        business: &Business,
        composition: Composition,
        mut aftermath: Aftermath,
    ) -> (Vec<Part>, Aftermath) {
        let speaks = match business.companion.voice.reply {
            VoiceReply::Always => true,
            VoiceReply::Never => false,
            VoiceReply::Mirror => self.reading.ends_in_speech(),
        };
        if speaks
            && self.day.may_speak
            && let Some(words) = composition.spoken()
        {
            let spoken = tokio::time::timeout(SPEAK_MOST, self.speak(business, &words)).await;
            match spoken.unwrap_or(Err(AiError::Unreachable("speaking took too long").into())) {
                Ok(Some(media_id)) => {
                    aftermath.usage.spoken_characters = u64::try_from(words.chars().count()).unwrap_or(u64::MAX);
                    return (composition.said(words, media_id), aftermath);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "an answer could not be spoken: it is written");
                    metrics::counter!("switchboard_speech_failures_total").increment(1);
                }
            }
        }
        (composition.written(), aftermath)
    }

    /// Meta's id of a voice note that says the words; none where there is no voice.
    async fn speak(&self, business: &Business, words: &str) -> Result<Option<String>, NotNow> {
        let voice_id = business.companion.voice.voice_id.as_deref();
        let (Some(voice), Ok(token)) = (&self.turns.voice, &business.token) else { return Ok(None) };
        if voice_id.is_none() && !voice.has_voice() {
            return Ok(None);
        }
        let Some(number) = self.machine.number() else { return Ok(None) };
        let note = voice.speak(words, voice_id).await?;
        Ok(Some(self.turns.graph.upload_voice(token, &number, note).await?))
    }

    /// Read receipt and typing indicator, renewed while the answer is thought over. A courtesy: nothing waits for
    /// it, and nothing depends on it.
    fn show_typing(&self, business: &Business) -> Option<Typing> {
        // Whoever saw it once need not see it again with every try.
        if self.machine.conversation().ai_failing_since.is_some() {
            return None;
        }
        let (number, newest) = self.reading.newest()?;
        Some(Typing::show(self.turns.indicators.clone(), business.token.clone().ok()?, number, newest))
    }
}

fn trouble(error: &AnswerError) -> Trouble {
    let retry_after = match error {
        AnswerError::Ai(error) => error.retry_after(),
        AnswerError::Store(_) => None,
    };
    Trouble { retry_after, ..stuck(&error.to_string()) }
}

fn stuck(detail: &str) -> Trouble {
    // When it was is for the turn to say.
    Trouble {
        after: Duration::ZERO,
        took: Duration::ZERO,
        retry_after: None,
        kind: TroubleKind::Ai,
        detail: detail.to_owned(),
    }
}

fn not_now(error: &NotNow) -> Trouble {
    let (retry_after, kind) = match error {
        NotNow::Ai(error) => (error.retry_after(), TroubleKind::Ai),
        NotNow::Media(MediaError::Token(_)) => (None, TroubleKind::Token),
        NotNow::Media(MediaError::Away(_)) => (None, TroubleKind::Graph),
        NotNow::Media(MediaError::Throttled(error)) => (error.retry_after, TroubleKind::Graph),
        NotNow::Media(_) | NotNow::Store(_) | NotNow::Unread => (None, TroubleKind::Ai),
    };
    Trouble { retry_after, kind, ..stuck(&error.to_string()) }
}
