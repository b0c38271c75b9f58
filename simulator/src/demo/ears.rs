//! How the demo hears: not at all, which is what its transcript says, with the length of the recording.
//!
//! The transcript stands in square brackets as everything does that describes what a customer sent, so that neither the
//! demo nor a reader takes it for the customer's words.

use crate::{
    ai::{ChatReply, Transcript, TranscriptionRequest},
    files::{SAMPLES_A_SECOND, opus_samples},
};

const WEBM: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];
/// Elements of a WebM file that are looked at.
const ELEMENTS_MOST: usize = 200_000;

/// What the demo hears in a recording.
pub fn hear(request: &TranscriptionRequest) -> ChatReply {
    let length = length(&request.bytes);
    let transcript =
        Transcript::of(format!("[The customer sent a voice message of {length}, which nobody here can hear.]"));
    // It has not recognised any language; the one that was expected stays.
    transcript.in_language(request.language().unwrap_or_default()).into()
}

/// Such as `4 s`; of a file whose length is not easily found, such as `12 KB`.
fn length(recording: &[u8]) -> String {
    let opus = opus_samples(recording).map(|samples| samples.div_ceil(SAMPLES_A_SECOND));
    match opus.or_else(|| webm_millis(recording).map(|millis| millis.div_ceil(1_000))) {
        Some(seconds) => format!("{seconds} s"),
        None => format!("{} KB", recording.len().div_ceil(1_024)),
    }
}

/// When the last frame of a WebM file begins, as browsers record it: without a duration in its head, and with times in
/// milliseconds (the container's guidelines, "TimestampScale").
fn webm_millis(recording: &[u8]) -> Option<u64> {
    const SEGMENT: u64 = 0x1853_8067;
    const CLUSTER: u64 = 0x1f43_b675;
    const CLUSTER_TIME: u64 = 0xe7;
    const BLOCK_GROUP: u64 = 0xa0;
    const BLOCK: u64 = 0xa1;
    const SIMPLE_BLOCK: u64 = 0xa3;
    let mut rest = recording.starts_with(&WEBM).then_some(recording)?;
    let (mut cluster, mut last) = (0_u64, None);
    for _ in 0..ELEMENTS_MOST {
        let Some((id, behind)) = number(rest, false) else { break };
        let Some((size, content)) = number(behind, true) else { break };
        if matches!(id, SEGMENT | CLUSTER | BLOCK_GROUP) {
            // Of what holds others only the content counts; a size may be unknown.
            rest = content;
            continue;
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(content.len());
        let (content, behind) = content.split_at(size);
        match id {
            CLUSTER_TIME => cluster = content.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
            BLOCK | SIMPLE_BLOCK => {
                let time = number(content, true).and_then(|(_, time)| time.first_chunk::<2>());
                let time = time.map_or(0, |time| i64::from(i16::from_be_bytes(*time)));
                last = Some(cluster.saturating_add_signed(time)).max(last);
            }
            _ => {}
        }
        rest = behind;
    }
    last
}

/// A number of EBML (RFC 8794, 4): its length stands in the leading zeros of the first byte, which go where it is a size.
fn number(bytes: &[u8], is_size: bool) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let length = usize::try_from(first.leading_zeros()).ok()? + 1;
    let (own, rest) = bytes.split_at_checked(length).filter(|_| length <= 8)?;
    let whole = own.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let marker = 1_u64 << (7 * length);
    Some((if is_size { whole & (marker - 1) } else { whole }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{silent_mp3, silent_voice_note, voice_note_of};

    #[test]
    fn a_recording_s_length_is_told_as_far_as_it_is_known() {
        assert_eq!(length(&silent_voice_note()), "1 s");
        assert_eq!(length(&voice_note_of(50_000)), "4 s");
        assert_eq!(length(&silent_mp3()), "2 KB");
        assert_eq!(length(b""), "0 KB");
    }

    #[test]
    fn the_length_of_a_browser_s_recording_is_found() {
        let cluster = |time: u16, block: i16| {
            let (time, block) = (time.to_be_bytes(), block.to_be_bytes());
            let unknown = [0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
            [&unknown[..], &[0xe7, 0x82], &time, &[0xa3, 0x85, 0x81], &block, &[0x80, 0xff]].concat()
        };
        let head =
            [&WEBM[..], &[0x81, 0x00], &[0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]];
        let file = [head.concat(), cluster(0, 40), cluster(3_000, 980)].concat();
        assert_eq!(length(&file), "4 s");
        for cut in 0..file.len() {
            length(&file[..cut]);
        }
    }
}
