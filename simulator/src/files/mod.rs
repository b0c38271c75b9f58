//! Files that customers send and hear, made by hand: the smallest ones that are what they say they are.
//!
//! A program that looks inside, by magic numbers, checksums or cross references, finds everything in its place. None
//! of them holds more than a test needs: pictures have one pixel, recordings are silent.

mod pdf;
mod picture;
mod voice;

pub use pdf::pdf_saying;
pub use picture::{tiny_jpeg, tiny_png};
pub(crate) use voice::{SAMPLES_A_SECOND, opus_channels, opus_packets, opus_samples, page, voice_note};
pub use voice::{named_voice_note, silent_mp3, silent_voice_note, stereo_voice_note, voice_note_of};
