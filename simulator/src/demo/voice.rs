//! How the demo speaks: a soft note for each word, and a breath after each sentence.
//!
//! There is no speech without a model of it, but a voice note that can be heard shows that one came, and about how much
//! it says. The notes lie in `notes.ogg`, twelve packets of Opus each: decaying tones of a pentatonic scale, encoded by
//! `opusenc --hard-cbr --bitrate 32 --framesize 20 --set-ctl-int 4042=1`. The last option makes packets need no other
//! ones before them, so that they can be put together in any order.

use std::sync::LazyLock;

use super::text::{sentences, words};
use crate::{
    ai::{SpeechReply, SpeechRequest},
    files::{opus_packets, silent_mp3, voice_note},
};

static NOTES: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
    let packets = opus_packets(include_bytes!("notes.ogg"));
    packets.chunks_exact(NOTE_PACKETS).map(<[Vec<u8>]>::to_vec).collect()
});

/// Packets of 20 ms in a note.
const NOTE_PACKETS: usize = 12;
/// Words that are heard: about half a minute.
const WORDS_MOST: usize = 120;
/// A packet of 20 ms in which nothing sounds.
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
const BREATH_PACKETS: usize = 12;

/// What the demo makes of a text that is to be spoken: the same sound for the same words. Whoever asks for something
/// else than Opus gets silence.
pub fn speak(request: &SpeechRequest) -> SpeechReply {
    match request.output_format.as_deref() {
        Some(format) if !format.starts_with("opus") => SpeechReply::mp3(silent_mp3()),
        Some(_) | None => SpeechReply::ogg(melody(&request.text)),
    }
}

fn melody(text: &str) -> Vec<u8> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut heard = 0;
    for sentence in sentences(text) {
        for word in words(&sentence) {
            heard += 1;
            let sum = word.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
            let note = sum.checked_rem(NOTES.len()).and_then(|place| NOTES.get(place));
            if heard <= WORDS_MOST {
                packets.extend(note.into_iter().flatten().cloned());
            }
        }
        if heard <= WORDS_MOST {
            packets.extend(std::iter::repeat_n(SILENCE.to_vec(), BREATH_PACKETS));
        }
    }
    if packets.is_empty() {
        packets.push(SILENCE.to_vec());
    }
    voice_note(&packets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::opus_channels;

    #[test]
    fn each_word_sounds_and_the_note_is_one_that_whatsapp_plays() {
        assert_eq!((NOTES.len(), NOTES.iter().all(|note| note.len() == NOTE_PACKETS)), (5, true));
        let note = melody("Hello there. How are you?");
        assert_eq!(opus_channels(&note), Some(1));
        assert_eq!(opus_packets(&note).len(), 5 * NOTE_PACKETS + 2 * BREATH_PACKETS);
        assert_eq!(note, melody("Hello there. How are you?"));
    }

    #[test]
    fn neither_nothing_nor_a_whole_book_is_a_problem() {
        assert_eq!(opus_packets(&melody("…")).len(), 1);
        let long = melody(&"word ".repeat(10_000));
        assert!(long.len() < 512 * 1024, "{}", long.len());
    }
}
