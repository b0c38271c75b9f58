//! `voice`: when the companion speaks, and with which voice.

use super::{super::field::Field, WORD_MOST};

/// `voice`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VoiceSettings {
    /// When an answer is spoken.
    pub reply: VoiceReply,
    /// A voice of the provider of speech, instead of the installation's.
    pub voice_id: Option<String>,
}

/// When an answer is spoken instead of written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum VoiceReply {
    /// Where the customer spoke.
    #[default]
    Mirror,
    /// Never.
    Never,
    /// Always.
    Always,
}

/// Reads the sub-document.
pub(super) fn read(field: &Field<'_>) -> VoiceSettings {
    const REPLIES: [(&str, VoiceReply); 3] =
        [("mirror", VoiceReply::Mirror), ("never", VoiceReply::Never), ("always", VoiceReply::Always)];
    let Some(fields) = field.object(&["reply", "voiceId"]) else { return VoiceSettings::default() };
    VoiceSettings {
        reply: fields.get("reply").and_then(|field| field.choice(&REPLIES)).unwrap_or_default(),
        voice_id: fields.get("voiceId").and_then(|field| field.word(WORD_MOST)),
    }
}
