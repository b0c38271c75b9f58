//! The stand-in for every AI provider: chat, transcription and models as OpenAI and Groq serve them, speech as
//! ElevenLabs does.
//!
//! The end of the path tells what is asked for, so any base URL will do. Answers come from a closure of the test;
//! without one every chat is answered `You said: …`, always the same to the same request. [`AiFaults`] come before
//! either. A client that goes away is recorded, because a call that nobody waits for costs money all the same.

mod answer;
mod asked;
mod chances;
mod chat;
mod faults;
mod picture;
mod routes;
mod speech;
mod transcription;

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use secrecy::{ExposeSecret, SecretString};

pub use chances::AiChances;
pub use chat::{ChatReply, ChatRequest, ToolCall};
pub use faults::{AiAttempt, AiCall, AiFault, AiFaults};
pub use picture::Image;
pub use speech::{SpeechReply, SpeechRequest};
pub use transcription::{Transcript, TranscriptionRequest};

pub use crate::files::{silent_mp3, silent_voice_note, stereo_voice_note, voice_note_of};
use crate::{Journal, Seed, journal::Credential, serving::Serving};

/// How a stand-in for the AI is started.
#[derive(Debug, Clone)]
pub struct AiOptions {
    /// Where it listens; port 0 takes any free one.
    pub addr: SocketAddr,
    /// What a voice note says, until [`Ai::on_transcription`] is called.
    pub transcript: String,
    /// The models that are served, until [`Ai::serve_models`] is called.
    pub models: Vec<String>,
    /// Decides ids.
    pub seed: Seed,
    /// Where everything is recorded.
    pub journal: Journal,
}

/// What Groq serves, of what this stand-in's clients ask for.
const MODELS: [&str; 6] = [
    "openai/gpt-oss-120b",
    "openai/gpt-oss-20b",
    "qwen/qwen3.8-27b",
    "whisper-large-v3-turbo",
    "whisper-large-v3",
    "llama-3.3-70b-versatile",
];

impl Default for AiOptions {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            transcript: "Hello, do you deliver on Saturdays?".to_owned(),
            models: MODELS.map(str::to_owned).into(),
            seed: Seed(1),
            journal: Journal::in_memory(),
        }
    }
}

impl AiOptions {
    /// Everything is recorded here.
    #[must_use]
    pub fn with_journal(self, journal: &Journal) -> Self {
        Self { journal: journal.clone(), ..self }
    }
}

type Chat = Arc<dyn Fn(&ChatRequest) -> ChatReply + Send + Sync>;
type Transcribe = Arc<dyn Fn(&TranscriptionRequest) -> ChatReply + Send + Sync>;
type Speak = Arc<dyn Fn(&SpeechRequest) -> SpeechReply + Send + Sync>;

/// A running stand-in for the AI. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Ai {
    serving: Serving,
    state: Arc<State>,
}

struct State {
    options: AiOptions,
    chat: RwLock<Chat>,
    transcribe: RwLock<Transcribe>,
    speak: RwLock<Speak>,
    models: RwLock<Vec<String>>,
    /// The voices that there are; none for any.
    voices: RwLock<Option<Vec<String>>>,
    refuses_unknown_models: AtomicBool,
    keys: RwLock<HashMap<String, String>>,
    requests: AtomicU64,
    faults: AiFaults,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Ai {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(options: AiOptions) -> io::Result<Self> {
        let transcript = options.transcript.clone();
        let addr = options.addr;
        let state = Arc::new(State {
            models: RwLock::new(options.models.clone()),
            voices: RwLock::default(),
            options,
            chat: RwLock::new(Arc::new(chat::echo)),
            transcribe: RwLock::new(Arc::new(move |_| ChatReply::Text(transcript.clone()))),
            speak: RwLock::new(Arc::new(speech::speak)),
            refuses_unknown_models: AtomicBool::new(false),
            keys: RwLock::default(),
            requests: AtomicU64::new(0),
            faults: AiFaults::default(),
        });
        let router = routes::router(state.clone());
        Ok(Self { serving: Serving::start(addr, |_, _, _| router).await?, state })
    }

    /// The base URL of chat, transcription and models.
    pub fn url(&self) -> String {
        format!("http://{}/openai/v1", self.serving.addr)
    }

    /// The base URL of speech.
    pub fn speech_url(&self) -> String {
        format!("http://{}", self.serving.addr)
    }

    /// Where everything is recorded.
    pub fn journal(&self) -> &Journal {
        &self.state.options.journal
    }

    /// The faults, to add to.
    pub fn faults(&self) -> &AiFaults {
        &self.state.faults
    }

    /// From now on chats are answered by this closure. It must not block.
    pub fn on_chat(&self, respond: impl Fn(&ChatRequest) -> ChatReply + Send + Sync + 'static) {
        *self.state.chat.write().expect("no code panics while it holds this lock") = Arc::new(respond);
    }

    /// From now on recordings are transcribed by this closure, which gets the file.
    pub fn on_transcription(&self, respond: impl Fn(&[u8]) -> ChatReply + Send + Sync + 'static) {
        self.on_transcription_request(move |request| respond(&request.bytes));
    }

    /// From now on recordings are transcribed by this closure, which gets the whole form.
    pub fn on_transcription_request(
        &self,
        respond: impl Fn(&TranscriptionRequest) -> ChatReply + Send + Sync + 'static,
    ) {
        *self.state.transcribe.write().expect("no code panics while it holds this lock") = Arc::new(respond);
    }

    /// From now on texts are spoken by this closure. It must not block.
    pub fn on_speech(&self, respond: impl Fn(&SpeechRequest) -> SpeechReply + Send + Sync + 'static) {
        *self.state.speak.write().expect("no code panics while it holds this lock") = Arc::new(respond);
    }

    /// From now on exactly these models are served.
    pub fn serve_models<M: Into<String>>(&self, models: impl IntoIterator<Item = M>) {
        let models = models.into_iter().map(Into::into).collect();
        *self.state.models.write().expect("no code panics while it holds this lock") = models;
    }

    /// From now on exactly these voices are there; before that, every one.
    pub fn serve_voices<V: Into<String>>(&self, voices: impl IntoIterator<Item = V>) {
        let voices = voices.into_iter().map(Into::into).collect();
        *self.state.voices.write().expect("no code panics while it holds this lock") = Some(voices);
    }

    /// Whether a chat or a transcription with a model that is not served is refused with 404, `model_not_found`. At
    /// first it is not.
    pub fn refuse_unknown_models(&self, refuse: bool) {
        self.state.refuses_unknown_models.store(refuse, Ordering::Relaxed);
    }

    /// Makes a key known under a name. As long as none is known, every key will do; then the others get 401.
    pub fn add_key(&self, name: impl Into<String>, key: &SecretString) {
        let mut keys = self.state.keys.write().expect("no code panics while it holds this lock");
        keys.insert(key.expose_secret().to_owned(), name.into());
    }

    /// Cuts every connection and waits until all has ended.
    pub async fn stop(&self) {
        self.serving.stop().await;
    }
}

impl State {
    fn credential(&self, key: Option<&str>) -> Credential {
        let keys = self.keys.read().expect("no code panics while it holds this lock");
        match key {
            None => Credential::Missing,
            Some(key) => keys.get(key).map_or(Credential::Unknown, |name| Credential::Of(name.clone())),
        }
    }

    fn models(&self) -> Vec<String> {
        self.models.read().expect("no code panics while it holds this lock").clone()
    }

    fn has_voice(&self, id: &str) -> bool {
        let voices = self.voices.read().expect("no code panics while it holds this lock");
        voices.as_ref().is_none_or(|voices| voices.iter().any(|voice| voice == id))
    }

    /// Whether a request for this model is refused.
    fn refuses(&self, model: &str) -> bool {
        self.refuses_unknown_models.load(Ordering::Relaxed) && !self.models().iter().any(|served| served == model)
    }

    fn is_open(&self) -> bool {
        self.keys.read().expect("no code panics while it holds this lock").is_empty()
    }
}
