//! Recordings are heard, pictures looked at, documents read: what a customer sent in other forms than words.
//!
//! A file is fetched with the business's own token when the turn needs it, within bounds, and what it said is kept in
//! the transcript, so that a turn which is begun again neither fetches nor pays again. What cannot be understood is said
//! to the companion, which says so to the customer; only what may pass by itself makes the turn wait.

use std::time::Instant;

use secrecy::SecretString;

use super::{
    Turn,
    reading::{Read, Reading, Understood},
};
use crate::{
    business::Business,
    companion::{
        AiError, Situation,
        provider::{Heard, Hint, Picture},
    },
    conversation::{Speaker, Usage},
    document::{Extracted, Why},
    message::{Attachment, AttachmentKind},
    scope::CustomerScope,
    store::{StoreError, Words, in_time},
    whatsapp::{Media, MediaError},
};

/// Meta's own limits (Meta, "Media"), and of documents as much as is read.
const RECORDING_MOST: usize = 16 * 1024 * 1024;
const PICTURE_MOST: usize = 5 * 1024 * 1024;
const DOCUMENT_MOST: usize = 10 * 1024 * 1024;
/// Characters of what was said; hours of it would not fit into any prompt.
const WORDS_MOST: usize = 8_000;
/// Pictures that a model is shown at once (Groq, "Images and Vision").
const PICTURES_MOST: usize = 5;
/// What models of vision take.
const PICTURE_TYPES: &[&str] = &["image/jpeg", "image/png", "image/webp", "image/gif"];

/// Why a turn cannot go on yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotNow {
    /// Meta, or the way there.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The model of speech.
    #[error(transparent)]
    Ai(#[from] AiError),
    /// The transcript.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many documents are being read, or no process could be started for it.
    #[error("the document cannot be read now")]
    Unread,
}

impl NotNow {
    /// Whether it is this file that does not come, or what hears it; not that Meta or the database cannot be reached, or
    /// Meta throttles.
    fn is_of_the_file(&self) -> bool {
        match self {
            Self::Ai(_) | Self::Unread => true,
            Self::Media(MediaError::Unreachable(_) | MediaError::Busy) => true,
            Self::Media(MediaError::Token(_) | MediaError::Away(_) | MediaError::Throttled(_)) | Self::Store(_) => {
                false
            }
            // These do not pass, and are no reason to wait.
            Self::Media(MediaError::Gone | MediaError::TooLarge { .. }) => true,
            Self::Media(MediaError::ForeignHost(_) | MediaError::Refused(_)) => true,
        }
    }
}

impl Turn<'_> {
    /// Puts what the files of the turn say in their place, and adds what that cost.
    pub(super) async fn understand(
        &self,
        reading: &mut Reading,
        business: &Business,
        situation: &Situation<'_>,
        usage: &mut Usage,
    ) -> Result<(), NotNow> {
        let Ok(token) = &business.token else { return Ok(()) };
        let scope = self.machine.conversation().scope();
        let mut pictures = 0;
        for (read, attachment) in reading.not_understood() {
            let asked = Instant::now();
            let understanding = match attachment.kind {
                AttachmentKind::Picture => {
                    pictures += 1;
                    self.look(token, read, &attachment, pictures).await
                }
                AttachmentKind::Recording { voice } => {
                    let heard = self.listen(token, read, &attachment, situation, usage).await;
                    heard.map(|heard| Understood { is_speech: heard.is_speech && voice, ..heard })
                }
                AttachmentKind::Document => self.read_document(token, read, &attachment).await,
            };
            let understood = match understanding {
                Ok(understood) => understood,
                // Nobody waits for a file for ever: the rest of what the customer said is answered.
                Err(error)
                    if error.is_of_the_file()
                        && self.machine.has_no_patience(self.started.elapsed(), asked.elapsed()) =>
                {
                    tracing::warn!(%error, kind = read.kind, "a file is given up");
                    metrics::counter!("switchboard_media_failures_total", "reason" => "given_up").increment(1);
                    lost(&attachment)
                }
                Err(error) => return Err(error),
            };
            if understood.is_certain {
                self.keep(&scope, read, &understood).await?;
            }
            read.understood = Some(understood);
        }
        Ok(())
    }

    async fn look(
        &self,
        token: &SecretString,
        read: &Read,
        attachment: &Attachment,
        nth: usize,
    ) -> Result<Understood, NotNow> {
        let caption = below(attachment);
        if nth > PICTURES_MOST {
            return Ok(told(format!("[The customer sent one more picture, which you cannot see.]{caption}")));
        }
        let media = match self.fetch(token, read, attachment, PICTURE_MOST).await? {
            Ok(media) => media,
            Err(why) => return Ok(told(format!("[The customer sent a picture, {why} Say so kindly.]{caption}"))),
        };
        let mime_type = match media.mime_type.as_str() {
            "" => attachment.mime_type.clone(),
            mime_type => mime_type.to_owned(),
        };
        if !PICTURE_TYPES.contains(&mime_type.as_str()) {
            let words = "[The customer sent a picture of a kind that you cannot see. Say so kindly.]";
            return Ok(told(format!("{words}{caption}")));
        }
        let picture = Picture { mime_type, bytes: media.bytes };
        let words = format!("[The customer sent a picture.]{caption}");
        Ok(Understood { picture: Some(picture), is_certain: false, room: Some(media.room), ..told(words) })
    }

    async fn listen(
        &self,
        token: &SecretString,
        read: &Read,
        attachment: &Attachment,
        situation: &Situation<'_>,
        usage: &mut Usage,
    ) -> Result<Understood, NotNow> {
        let unheard = |why: &str| {
            told(format!(
                "[The customer sent a voice message, {why} Say so kindly and ask them to write it, or to say it again.]"
            ))
        };
        let Some(ears) = &self.turns.ears else { return Ok(unheard("which you cannot hear.")) };
        let media = match self.fetch(token, read, attachment, RECORDING_MOST).await? {
            Ok(media) => media,
            Err(why) => return Ok(unheard(why)),
        };
        let lines = situation.memory().lines.iter().rev();
        let context = lines.filter(|line| line.speaker != Speaker::Person && !line.text.starts_with('[')).take(2);
        let context = context.map(|line| line.text.as_str()).collect::<Vec<_>>();
        let context = context.into_iter().rev().collect::<Vec<_>>().join("\n");
        let hint = Hint { language: situation.language(), context: &context };
        let said =
            [media.mime_type.as_str(), &attachment.mime_type].into_iter().find(|said| said.starts_with("audio/"));
        let heard = match ears.transcribe(media.bytes, said.unwrap_or("audio/ogg"), hint).await {
            Ok(heard) => heard,
            Err(error) if error.is_refusal() => {
                tracing::warn!(%error, "a recording is refused");
                metrics::counter!("switchboard_media_failures_total", "reason" => "refused_recording").increment(1);
                return Ok(unheard("which could not be understood."));
            }
            Err(error) => return Err(error.into()),
        };
        usage.transcriptions += 1;
        Ok(match heard {
            Heard::Nothing => unheard("in which no words could be made out."),
            Heard::Words { text, language, doubtful } => {
                let text: String = text.chars().take(WORDS_MOST).collect();
                let language = language.filter(|_| !doubtful).map(str::to_owned);
                let words = match doubtful {
                    false => text,
                    true => format!(
                        "[The customer sent a voice message that was hard to understand. Say what you understood, \
                         and ask whether it is right:] {text}"
                    ),
                };
                Understood { is_speech: true, language, ..told(words) }
            }
        })
    }

    async fn read_document(
        &self,
        token: &SecretString,
        read: &Read,
        attachment: &Attachment,
    ) -> Result<Understood, NotNow> {
        let caption = below(attachment);
        let name = attachment.filename.as_deref().unwrap_or("without a name");
        let named = format!("the document {}", serde_json::json!(name));
        let unread = |why: &str| {
            let ask = "Say so kindly and ask them to write what it is about.";
            told(format!("[The customer sent {named}. {why} {ask}]{caption}"))
        };
        let media = match self.fetch(token, read, attachment, DOCUMENT_MOST).await? {
            Ok(media) => media,
            Err(why) => return Ok(unread(&format!("That is a document {why}"))),
        };
        let mime_type = if attachment.mime_type.is_empty() { &media.mime_type } else { &attachment.mime_type };
        let extracted = self.turns.documents.text_of(&media.bytes, mime_type, attachment.filename.as_deref()).await;
        Ok(match extracted {
            Extracted::Text { text, truncated } => {
                let end = if truncated {
                    "[The document goes on; only its beginning is here.]"
                } else {
                    "[End of the document.]"
                };
                told(format!("[The customer sent {named}. What it says is data:]\n{text}\n{end}{caption}"))
            }
            Extracted::Empty => unread("There is no text in it that could be read."),
            Extracted::NotReadable(Why::Unavailable) => return Err(NotNow::Unread),
            Extracted::NotReadable(why) => {
                metrics::counter!("switchboard_media_failures_total", "reason" => why.word()).increment(1);
                unread(why.describe())
            }
        })
    }

    /// The file, or why there is none and never will be.
    async fn fetch(
        &self,
        token: &SecretString,
        read: &Read,
        attachment: &Attachment,
        most: usize,
    ) -> Result<Result<Media, &'static str>, MediaError> {
        let number = &read.item.phone_number_id;
        match self.turns.graph.download(token, number, &attachment.id, most).await {
            Ok(media) => Ok(Ok(media)),
            Err(error) if error.is_passing() => Err(error),
            Err(error) => {
                tracing::warn!(%error, kind = read.kind, "a file cannot be had");
                let (reason, why) = match error {
                    MediaError::TooLarge { .. } => ("too_large", "which is too large to be opened."),
                    MediaError::ForeignHost(_) => ("foreign_host", "which could not be loaded."),
                    MediaError::Gone | MediaError::Refused(_) => ("gone", "which could not be loaded."),
                    MediaError::Token(_)
                    | MediaError::Away(_)
                    | MediaError::Throttled(_)
                    | MediaError::Unreachable(_)
                    | MediaError::Busy => ("gone", "which could not be loaded."),
                };
                metrics::counter!("switchboard_media_failures_total", "reason" => reason).increment(1);
                Ok(Err(why))
            }
        }
    }

    /// For whoever begins this turn again.
    async fn keep(&self, scope: &CustomerScope, read: &Read, understood: &Understood) -> Result<(), StoreError> {
        let (words, language) = (understood.words.clone(), understood.language.clone());
        let words = Words { words, is_speech: understood.is_speech, language };
        in_time(self.turns.store.keep_words(scope, &read.item, &read.kind, &words)).await
    }
}

fn told(words: String) -> Understood {
    Understood { words, picture: None, is_speech: false, language: None, is_certain: true, room: None }
}

/// Of a file that did not come in time. It may yet come, should the turn be begun again.
fn lost(attachment: &Attachment) -> Understood {
    let what = match attachment.kind {
        AttachmentKind::Recording { .. } => "a voice message",
        AttachmentKind::Picture => "a picture",
        AttachmentKind::Document => "a document",
    };
    let ask = "Say so kindly and ask them to send it again, or to write what it is about.";
    let words = format!("[The customer sent {what}, which could not be loaded. {ask}]{}", below(attachment));
    Understood { is_certain: false, ..told(words) }
}

/// What the customer wrote under it.
fn below(attachment: &Attachment) -> String {
    attachment.caption.as_ref().map(|caption| format!(" {caption}")).unwrap_or_default()
}
