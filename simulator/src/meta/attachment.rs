//! Messages that are files: the file must be there, belong to the number, and be what the message calls it.
//!
//! A file that is named by a link is not fetched: only that the link is one is checked.

use serde_json::Value;

use super::{
    Refusal, State, StoredMedia,
    content::{invalid, missing, optional, text},
    kinds::{Kind, says_opus},
};
use crate::files::opus_channels;

const MAX_CAPTION: usize = 1024;
const MAX_FILENAME: usize = 240;

impl State {
    /// What Meta refuses of a message of this type, which is one of those that are files.
    pub(super) fn check_attachment(&self, number: &str, name: &str, kind: Kind, file: &Value) -> Result<(), Refusal> {
        let field = |key: &str| format!("{name}['{key}']");
        match kind {
            Kind::Image | Kind::Video | Kind::Document => optional(file, "caption", &field("caption"), MAX_CAPTION)?,
            Kind::Audio | Kind::Sticker if file.get("caption").is_some() => return Err(unexpected("caption", name)),
            Kind::Audio | Kind::Sticker => {}
        }
        if kind == Kind::Document {
            optional(file, "filename", &field("filename"), MAX_FILENAME)?;
        }
        let stored = match (file.get("id"), text(file, "link")) {
            (Some(id), _) => Some(self.stored(number, id, name)?),
            (None, Some(link)) if link.starts_with("http://") || link.starts_with("https://") => None,
            (None, Some(_)) => return Err(invalid(&field("link"), "must be a URL")),
            (None, None) => return Err(missing(&field("id"))),
        };
        if let Some(stored) = stored.as_ref().filter(|stored| !kind.takes(&stored.mime_type)) {
            let details = format!("{} is a file of type {}", field("id"), stored.mime_type);
            return Err(Refusal::code(131_053).details(details));
        }
        match file.get("voice") {
            None => Ok(()),
            Some(_) if kind != Kind::Audio => Err(unexpected("voice", name)),
            Some(Value::Bool(true)) => stored.as_ref().map_or(Ok(()), |stored| check_voice(stored, &field("voice"))),
            Some(Value::Bool(false)) => Ok(()),
            Some(_) => Err(invalid(&field("voice"), "must be a boolean")),
        }
    }

    fn stored(&self, number: &str, id: &Value, name: &str) -> Result<StoredMedia, Refusal> {
        let media = id.as_str().and_then(|id| self.media.get(id));
        media.filter(|media| media.phone_number_id == number).ok_or_else(|| {
            let what = "is not a valid whatsapp business account media attachment ID";
            Refusal::code(100).message(format!("Param {name}['id'] {what}"))
        })
    }
}

/// A voice note is Ogg with Opus, by its type or by its bytes, and has one channel where the bytes tell.
fn check_voice(file: &StoredMedia, field: &str) -> Result<(), Refusal> {
    match opus_channels(&file.bytes) {
        Some(1) => Ok(()),
        Some(channels) => {
            let details = format!("{field}: a voice message is mono, and the file has {channels} channels");
            Err(Refusal::code(131_053).details(details))
        }
        None if says_opus(&file.mime_type) => Ok(()),
        None => Err(invalid(field, "may be true for a file of audio/ogg with the codec Opus alone")),
    }
}

fn unexpected(key: &str, name: &str) -> Refusal {
    Refusal::code(100).message(format!("Unexpected key \"{key}\" on param \"{name}\"."))
}
