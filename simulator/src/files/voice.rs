//! The smallest recordings: Ogg streams of Opus (RFC 3533, RFC 7845) that decode to silence, and an MP3.
//!
//! They are real ones, checksums and all, so that whoever looks inside finds what WhatsApp wants, or does not.

/// Samples of 20 ms at 48 kHz, the length of every frame here.
const FRAME_SAMPLES: u64 = 960;
/// At which Opus counts, whatever was recorded.
pub(crate) const SAMPLES_A_SECOND: u64 = 48_000;
/// How many packets a page may hold where each is shorter than 255 bytes.
const PACKETS_MOST: usize = 255;

/// A voice note that says nothing: mono, one frame of 20 ms.
pub fn silent_voice_note() -> Vec<u8> {
    note(1, "", &[SILENCE.to_vec()])
}

/// A silent voice note that no other is equal to: this name is in its comments, as `TITLE`.
pub fn named_voice_note(name: &str) -> Vec<u8> {
    note(1, name, &[SILENCE.to_vec()])
}

/// A recording in stereo, which WhatsApp takes for no voice note.
pub fn stereo_voice_note() -> Vec<u8> {
    note(2, "", &[STEREO_SILENCE.to_vec()])
}

/// A silent voice note of at least so many bytes, with frames as long as those of speech in high quality.
pub fn voice_note_of(bytes: usize) -> Vec<u8> {
    // Several frames in one packet (RFC 6716, 3.2.5), of which there is one, and 249 bytes of padding.
    let packet = [&[SILENCE[0] | 3, 0x41, 249, SILENCE[1], SILENCE[2]], &[0; 249][..]].concat();
    let count = bytes / packet.len() + 1;
    note(1, "", &vec![packet; count])
}

/// A recording as MP3 (MPEG-1, layer III, 128 kbit/s, 44.1 kHz, mono): a tag without content and four empty frames.
pub fn silent_mp3() -> Vec<u8> {
    let frame = [&[0xff, 0xfb, 0x90, 0xc0], &[0; 413][..]].concat();
    [b"ID3\x04\0\0\0\0\0\0".as_slice(), &frame.repeat(4)].concat()
}

/// A voice note of these packets, each with one frame of 20 ms in one channel and shorter than 255 bytes.
pub(crate) fn voice_note(packets: &[Vec<u8>]) -> Vec<u8> {
    note(1, "", packets)
}

/// The packets of a recording's sound, where it is an Ogg stream of Opus whose packets are shorter than 255 bytes.
pub(crate) fn opus_packets(file: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut rest = file;
    while let Some((lengths, body)) = page_of(rest) {
        rest = body;
        for length in lengths {
            let (packet, behind) = rest.split_at(usize::from(*length).min(rest.len()));
            packets.push(packet.to_vec());
            rest = behind;
        }
    }
    // The identification and the comments.
    packets.split_off(packets.len().min(2))
}

/// The lengths of a stream's first page, and all that stands behind them.
fn page_of(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let behind = stream.strip_prefix(b"OggS")?.get(22..)?;
    let (count, behind) = behind.split_first()?;
    behind.split_at_checked(usize::from(*count))
}

/// How many samples a recording has, where it is an Ogg stream of Opus: the last page says where it ends, the first
/// one how many are to be skipped.
pub(crate) fn opus_samples(file: &[u8]) -> Option<u64> {
    opus_channels(file)?;
    let skipped = file.get(28..)?.get(10..)?.first_chunk::<2>()?;
    let last = file.windows(4).rposition(|sign| sign == b"OggS")?;
    let end = file.get(last + 6..)?.first_chunk::<8>()?;
    let end = u64::from_le_bytes(*end);
    // A page in which no packet ends has no place in time.
    (end != u64::MAX).then(|| end.saturating_sub(u64::from(u16::from_le_bytes(*skipped))))
}

/// How many channels a recording has, where it is an Ogg stream of Opus.
pub(crate) fn opus_channels(file: &[u8]) -> Option<u8> {
    // The header of a page, one length, and the identification header, whose tenth byte is the count.
    let head = file.strip_prefix(b"OggS")?.get(24..)?.strip_prefix(b"OpusHead")?;
    head.get(1).copied()
}

/// A CELT frame of 20 ms, mono, which decodes to silence; and the same in stereo.
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
const STEREO_SILENCE: [u8; 3] = [0xfc, 0xff, 0xfe];

/// A stream of packets with one frame each, of less than 255 bytes.
fn note(channels: u8, title: &str, packets: &[Vec<u8>]) -> Vec<u8> {
    // Version 1, the channels, 312 samples to skip, 48 kHz, no gain, the plain channel mapping.
    let head =
        [b"OpusHead", &[1, channels][..], &312_u16.to_le_bytes(), &48_000_u32.to_le_bytes(), &[0, 0, 0]].concat();
    let comment = (!title.is_empty()).then(|| format!("TITLE={title}").into_bytes());
    let count = u32::from(comment.is_some());
    let comment = comment.map(|text| counted(&text)).unwrap_or_default();
    let tags = [b"OpusTags", &*counted(b"simulator"), &count.to_le_bytes(), &comment].concat();
    let mut stream = [page(2, 0, 0, &[head]), page(0, 0, 1, &[tags])].concat();
    let pages: Vec<_> = packets.chunks(PACKETS_MOST).collect();
    let (mut granule, last) = (0, pages.len().saturating_sub(1));
    for (position, packets) in pages.into_iter().enumerate() {
        granule += FRAME_SAMPLES * packets.len() as u64;
        let number = u32::try_from(position + 2).expect("no recording here has so many pages");
        stream.extend(page(if position == last { 4 } else { 0 }, granule, number, packets));
    }
    stream
}

/// A text behind its length, as comments are written.
fn counted(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("comments are short");
    [&length.to_le_bytes(), text].concat()
}

/// One page with whole packets, 255 lengths at most. `kind`: 2 begins the stream, 4 ends it.
pub(crate) fn page(kind: u8, granule: u64, number: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let lengths: Vec<u8> = packets.iter().flat_map(|packet| lengths(packet.len())).collect();
    let count = u8::try_from(lengths.len()).expect("a page holds 255 lengths at most");
    let with_checksum = |checksum: u32| {
        let parts = [
            b"OggS".as_slice(),
            &[0, kind],
            &granule.to_le_bytes(),
            &1_u32.to_le_bytes(),
            &number.to_le_bytes(),
            &checksum.to_le_bytes(),
            &[count],
            &lengths,
            &packets.concat(),
        ];
        parts.concat()
    };
    with_checksum(checksum(&with_checksum(0)))
}

/// The lengths that stand for a packet: as many 255 as fit, and the rest.
fn lengths(packet: usize) -> impl Iterator<Item = u8> {
    let rest = u8::try_from(packet % 255).expect("below 255");
    std::iter::repeat_n(255, packet / 255).chain([rest])
}

/// Ogg's CRC: polynomial 0x04c11db7, from the highest bit, nothing inverted.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8)
            .fold(sum ^ (u32::from(*byte) << 24), |sum, _| (sum << 1) ^ (if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each page of a stream: its kind, its granule, its number, and how many packets end in it.
    fn pages(mut stream: &[u8]) -> Vec<(u8, u64, u32, usize)> {
        let mut pages = Vec::new();
        while !stream.is_empty() {
            assert!(stream.starts_with(b"OggS"));
            let lengths = &stream[27..27 + usize::from(stream[26])];
            let end = 27 + lengths.len() + lengths.iter().map(|length| usize::from(*length)).sum::<usize>();
            let (page, rest) = stream.split_at(end);
            let blank = [&page[..22], &[0; 4], &page[26..]].concat();
            assert_eq!(page[22..26], checksum(&blank).to_le_bytes());
            let granule = u64::from_le_bytes(page[6..14].try_into().expect("eight bytes"));
            let number = u32::from_le_bytes(page[18..22].try_into().expect("four bytes"));
            pages.push((page[5], granule, number, lengths.iter().filter(|length| **length < 255).count()));
            stream = rest;
        }
        pages
    }

    #[test]
    fn the_voice_note_is_an_ogg_stream_of_three_pages() {
        let note = silent_voice_note();
        assert_eq!(pages(&note), [(2, 0, 0, 1), (0, 0, 1, 1), (4, 960, 2, 1)]);
        assert_eq!(opus_channels(&note), Some(1));
        assert_eq!(opus_channels(&stereo_voice_note()), Some(2));
        assert_eq!(opus_channels(&silent_mp3()), None);
        assert_eq!(opus_channels(b"OggS!"), None);
        assert_eq!((opus_samples(&note), opus_samples(&note[..30]), opus_samples(b"")), (Some(960 - 312), None, None));
        assert_eq!(opus_packets(&note), [SILENCE]);
        assert_eq!(voice_note(&opus_packets(&note)), note);
    }

    #[test]
    fn a_name_makes_a_note_its_own_however_long_it_is() {
        let long = "name".repeat(200);
        let notes = [named_voice_note("1"), named_voice_note("2"), named_voice_note(&long)];
        assert!(notes.iter().all(|note| pages(note).len() == 3));
        assert!(notes[0] != notes[1] && notes[2].windows(long.len()).any(|bytes| bytes == long.as_bytes()));
    }

    #[test]
    fn a_large_note_is_as_large_as_it_must_be_and_little_more() {
        for bytes in [0, 1_000, 65_000, 512 * 1024, 512 * 1024 + 1] {
            let note = voice_note_of(bytes);
            assert!((bytes..bytes + 1_000 + bytes / 50).contains(&note.len()), "{bytes}: {}", note.len());
            let pages = pages(&note);
            let packets: usize = pages.iter().skip(2).map(|(.., packets)| packets).sum();
            assert_eq!(pages.last().map(|(kind, granule, ..)| (*kind, *granule)), Some((4, 960 * packets as u64)));
        }
    }

    #[test]
    fn the_checksum_is_oggs() {
        // The check value of CRC-32 with this polynomial, not reflected, starting from 0, is known for "123456789".
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
    }
}
