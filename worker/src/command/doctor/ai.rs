//! The AI: whether the models and voices that the installation and its businesses name are there.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use reqwest::Client;

use super::{
    AT_ONCE,
    check::{Check, Part},
    examinee::Examinee,
};
use crate::{
    business::VoiceReply,
    companion::{
        Companion, MissingModel, missing_models,
        provider::{AiError, Served},
    },
    settings::AiSettings,
};

/// What the providers answered.
#[derive(Debug)]
pub(super) struct Answers {
    missing: Result<Vec<MissingModel>, (&'static str, AiError)>,
    served: Option<Served>,
    /// Whether a voice is there, by its id; the installation's own stands under the empty one.
    voices: BTreeMap<String, Result<bool, AiError>>,
    speaks: bool,
}

impl Answers {
    /// Whether the provider of the models answered.
    pub(super) fn tell_models(&self) -> bool {
        self.missing.is_ok()
    }
}

/// Asks each provider once, and for each voice once.
pub(super) async fn ask(client: &Client, settings: &AiSettings, examinees: &[Examinee]) -> reqwest::Result<Answers> {
    let companion = Companion::new(client, settings, None)?;
    let missing = missing_models(&companion, settings.ears(client).as_ref()).await;
    let own_models = examinees.iter().any(|examinee| examinee.model.is_some());
    let served = if own_models { settings.served_models(client).await.ok() } else { None };
    let Some(speaker) = settings.voice(client) else {
        return Ok(Answers { missing, served, voices: BTreeMap::new(), speaks: false });
    };
    let speaking = examinees.iter().filter(|examinee| examinee.off.is_none() && examinee.speaks());
    let mut ids: Vec<String> = speaking.filter_map(|examinee| examinee.voice.voice_id.clone()).collect();
    ids.push(String::new());
    ids.sort();
    ids.dedup();
    let speaker = &speaker;
    let look = |id: String| async move {
        let there = speaker.has(Some(id.as_str()).filter(|id| !id.is_empty())).await;
        (id, there)
    };
    let voices = stream::iter(ids.into_iter().map(look)).buffered(AT_ONCE).collect().await;
    Ok(Answers { missing, served, voices, speaks: true })
}

/// What that means for the installation.
pub(super) fn judge(answers: &Answers) -> Vec<Check> {
    let mut checks = match &answers.missing {
        Err((variable, error)) => {
            let mend = format!("correct {variable} or its key; meanwhile customers wait, and then get the apology");
            vec![Check::error(Part::Ai, *variable, error.to_string(), mend)]
        }
        Ok(missing) if missing.is_empty() => {
            vec![Check::ok(Part::Ai, "models", "every model that is configured is served")]
        }
        Ok(missing) => missing.iter().map(retired).collect(),
    };
    checks.extend(answers.voices.get("").and_then(|there| voice("ELEVENLABS_VOICE_ID", there)));
    checks
}

fn retired(MissingModel { variable, model, served }: &MissingModel) -> Check {
    let mend = format!("set {variable} to one that is, such as {}", served.join(", "));
    Check::error(Part::Ai, *variable, format!("`{model}` is not served, or not any more"), mend)
}

fn voice(variable: &str, there: &Result<bool, AiError>) -> Option<Check> {
    match there {
        Ok(true) => None,
        Ok(false) => {
            let mend = format!("set {variable} to the id of a voice of this account");
            Some(Check::error(Part::Ai, variable, "there is no such voice, so answers are written", mend))
        }
        Err(error) => {
            let mend =
                "correct ELEVENLABS_API_KEY (it needs the permissions for speech and voices) or ELEVENLABS_API_URL";
            Some(Check::warning(Part::Ai, variable, format!("the voice could not be looked up: {error}"), mend))
        }
    }
}

/// What that means for one business.
pub(super) fn judge_business(answers: &Answers, examinee: &Examinee) -> Vec<Check> {
    let mut checks = Vec::new();
    if let (Some(model), Some(served)) = (&examinee.model, &answers.served)
        && !served.has(model)
    {
        let mend = format!("{}, or one of {}", examinee.set("companion.model", "null"), served.like(model).join(", "));
        let problem = format!("its companion.model `{model}` is not served, or not any more");
        checks.push(Check::error(Part::Business, &examinee.subject, problem, mend));
    }
    match examinee.voice.voice_id.as_ref().and_then(|id| Some((id, answers.voices.get(id)?))) {
        Some((id, Ok(false))) if examinee.speaks() => {
            let problem =
                format!("its companion.voice.voiceId `{id}` is no voice of this account, so answers are written");
            let mend = examinee.set("companion.voice.voiceId", "VOICE_ID");
            checks.push(Check::error(Part::Business, &examinee.subject, problem, mend));
        }
        // That the provider does not answer is said once.
        Some((_, Ok(_) | Err(_))) | None => {}
    }
    if examinee.voice.reply == VoiceReply::Always && !answers.speaks {
        let problem = "it is to speak always (companion.voice.reply), and there is no ELEVENLABS_API_KEY";
        let mend = format!("set ELEVENLABS_API_KEY, or {}", examinee.set("companion.voice.reply", "mirror"));
        checks.push(Check::warning(Part::Business, &examinee.subject, problem, mend));
    }
    checks
}
