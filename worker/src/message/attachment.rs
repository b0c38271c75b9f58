//! What a message brings besides words: a file at Meta, to be fetched by its id.

use serde_json::Value;

use super::{kind, text};
use crate::whatsapp::MediaId;

/// A file that a message brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is.
    pub kind: AttachmentKind,
    /// Where it is.
    pub id: MediaId,
    /// As the customer's device said; without parameters, lower case, perhaps blank.
    pub mime_type: String,
    /// A document's name.
    pub filename: Option<String>,
    /// What the customer wrote under it.
    pub caption: Option<String>,
}

impl Attachment {
    /// That it was sent, for whoever does not know what was in it.
    pub fn in_short(&self) -> String {
        let what = match self.kind {
            AttachmentKind::Recording { .. } => "a voice message".to_owned(),
            AttachmentKind::Picture => "a picture".to_owned(),
            AttachmentKind::Document => {
                format!("the document {}", serde_json::json!(self.filename.as_deref().unwrap_or("without a name")))
            }
        };
        let caption = self.caption.as_ref().map(|caption| format!(" {caption}")).unwrap_or_default();
        format!("[The customer sent {what}.]{caption}")
    }
}

/// What a file is, as far as it can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentKind {
    /// Something to hear.
    Recording {
        /// Recorded in the chat.
        voice: bool,
    },
    /// Something to see.
    Picture,
    /// Something to read.
    Document,
}

/// The file of a message; none where it has none that could be understood, or does not say where it is.
pub fn attachment(message: &Value) -> Option<Attachment> {
    let kind = kind(message);
    let content = message.get(kind.as_str())?;
    let what = match kind.as_str() {
        "audio" => AttachmentKind::Recording { voice: content.get("voice").and_then(Value::as_bool).unwrap_or(false) },
        "voice" => AttachmentKind::Recording { voice: true },
        "image" => AttachmentKind::Picture,
        "document" => AttachmentKind::Document,
        _ => return None,
    };
    let words = |name: &str| super::words::says(content, name);
    Some(Attachment {
        kind: what,
        id: MediaId::parse(&text(content, "id")?)?,
        mime_type: words("mime_type").map(|mime| crate::whatsapp::bare_mime_type(&mime)).unwrap_or_default(),
        filename: words("filename").map(|name| super::bounded(&name, 200)),
        caption: words("caption"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_found_with_what_is_said_about_them() {
        let voice = json!({"type":"audio","audio":{"id":"7","mime_type":"audio/ogg; codecs=opus","voice":true}});
        let read = attachment(&voice).expect("a recording");
        assert_eq!((read.kind, read.mime_type.as_str()), (AttachmentKind::Recording { voice: true }, "audio/ogg"));
        let file = json!({"type":"document","document":{"id":7,"filename":"menu.pdf","caption":"Is this right?"}});
        let read = attachment(&file).expect("a document");
        assert_eq!((read.filename.as_deref(), read.caption.as_deref()), (Some("menu.pdf"), Some("Is this right?")));
    }

    #[test]
    fn what_has_no_file_or_names_an_odd_one_has_none() {
        for odd in [
            json!({"type":"text","text":{"body":"x"}}),
            json!({"type":"image"}),
            json!({"type":"image","image":{}}),
            json!({"type":"image","image":{"id":"../me?fields=name"}}),
            json!({"type":"sticker","sticker":{"id":"7"}}),
        ] {
            assert_eq!(attachment(&odd), None, "{odd}");
        }
    }
}
