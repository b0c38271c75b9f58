//! Which files Meta takes: the types, and how large each kind may be (its page "Media", 2026).

use super::Refusal;

const MIB: usize = 1024 * 1024;

/// What a file can be sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    Document,
    Image,
    Sticker,
    Video,
}

impl Kind {
    /// The kind by the type of the message.
    pub(super) fn of_message(kind: &str) -> Option<Self> {
        match kind {
            "audio" => Some(Self::Audio),
            "document" => Some(Self::Document),
            "image" => Some(Self::Image),
            "sticker" => Some(Self::Sticker),
            "video" => Some(Self::Video),
            _ => None,
        }
    }

    /// The kind that a file of this type is uploaded as; none where Meta takes no such file.
    fn of_file(mime_type: &str) -> Option<Self> {
        let kinds = [Self::Audio, Self::Image, Self::Sticker, Self::Video, Self::Document];
        kinds.into_iter().find(|kind| kind.types().contains(&essence(mime_type)))
    }

    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Audio => &["audio/aac", "audio/amr", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/opus"],
            Self::Document => &[
                "application/msword",
                "application/pdf",
                "application/vnd.ms-excel",
                "application/vnd.ms-powerpoint",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "text/plain",
            ],
            Self::Image => &["image/jpeg", "image/png"],
            Self::Sticker => &["image/webp"],
            Self::Video => &["video/3gpp", "video/mp4"],
        }
    }

    /// The largest file in bytes; of a sticker the largest animated one.
    fn most_bytes(self) -> usize {
        match self {
            Self::Audio | Self::Video => 16 * MIB,
            Self::Document => 100 * MIB,
            Self::Image => 5 * MIB,
            Self::Sticker => 500 * 1024,
        }
    }

    /// Whether a file of this type may be sent as this kind. As a document anything may.
    pub(super) fn takes(self, mime_type: &str) -> bool {
        self == Self::Document || self.types().contains(&essence(mime_type))
    }
}

/// What Meta refuses to store.
pub(super) fn check_file(mime_type: &str, bytes: usize) -> Result<(), Refusal> {
    let kind = Kind::of_file(mime_type).ok_or_else(|| {
        let message = "Param file must be a file of a supported type.";
        Refusal::code(100).message(message).details(format!("Received file of type '{mime_type}'."))
    })?;
    if bytes == 0 {
        return Err(Refusal::code(131_053).details("file: The file is empty."));
    }
    let most = kind.most_bytes();
    let too_large = || Refusal::code(131_053).details(format!("file: {bytes} bytes of {mime_type}, of at most {most}"));
    (bytes <= most).then_some(()).ok_or_else(too_large)
}

/// The type without its parameters, in lower case only where it came so.
fn essence(mime_type: &str) -> &str {
    mime_type.split(';').next().unwrap_or_default().trim()
}

/// Whether a type says that it is Ogg with Opus.
pub(super) fn says_opus(mime_type: &str) -> bool {
    let codecs = mime_type.split(';').skip(1).map(str::trim);
    essence(mime_type) == "audio/ogg" && codecs.into_iter().any(|codec| codec.trim_matches('"') == "codecs=opus")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_judged_without_its_parameters_and_a_size_by_its_kind() {
        let code = |mime_type, bytes| check_file(mime_type, bytes).err().map(|refusal| refusal.code);
        assert_eq!(code("audio/ogg; codecs=opus", 1), None);
        assert_eq!(code("audio/ogg", 16 * MIB), None);
        assert_eq!(code("audio/ogg", 16 * MIB + 1), Some(131_053));
        assert_eq!(code("image/png", 5 * MIB + 1), Some(131_053));
        assert_eq!(code("image/webp", 500 * 1024 + 1), Some(131_053));
        assert_eq!(code("application/pdf", 100 * MIB), None);
        assert_eq!(code("image/png", 0), Some(131_053));
        assert_eq!(code("audio/wav", 1), Some(100));
    }

    #[test]
    fn opus_is_said_by_the_codec() {
        assert!(says_opus("audio/ogg; codecs=opus") && says_opus("audio/ogg;codecs=opus"));
        assert!(
            !says_opus("audio/ogg") && !says_opus("audio/mp4; codecs=opus") && !says_opus("audio/ogg; codecs=vorbis")
        );
    }
}
