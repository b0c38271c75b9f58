//! A recording of a browser as the voice note of a phone: Opus packets out of WebM and into Ogg, untouched.
//!
//! Of WebM (RFC 8794, RFC 9559) only as much is read as a recorder writes: one track, no lacing. Whatever is different
//! is no recording to this module, which never panics on bytes from outside.

use crate::files::page;

const CODEC_PRIVATE: u32 = 0x63a2;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK: u32 = 0xa1;
/// Elements whose children are of interest: segment, tracks, track, cluster, block group.
const OPENED: [u32; 5] = [0x1853_8067, 0x1654_ae6b, 0xae, 0x1f43_b675, 0xa0];
/// A page ends with the packet that reaches one of these.
const PAGE_LENGTHS: usize = 200;
const PAGE_SAMPLES: u64 = 48_000;
const MAX_PACKET_BYTES: usize = 8 * 1024;

/// The same recording in Ogg; none where it is no Opus in WebM.
pub(super) fn ogg_of_webm(bytes: &[u8]) -> Option<Vec<u8>> {
    let (head, packets) = read(bytes)?;
    let tags = [b"OpusTags".as_slice(), &9_u32.to_le_bytes(), b"simulator", &0_u32.to_le_bytes()].concat();
    let mut stream = [page(2, 0, 0, &[head]), page(0, 0, 1, &[tags])].concat();
    let (mut granule, mut number, mut open, mut began) = (0, 2, Vec::new(), 0);
    let mut packets = packets.into_iter().peekable();
    while let Some(packet) = packets.next() {
        granule += samples(&packet)?;
        open.push(packet);
        let lengths: usize = open.iter().map(|packet: &Vec<u8>| packet.len() / 255 + 1).sum();
        let is_last = packets.peek().is_none();
        if is_last || lengths >= PAGE_LENGTHS || granule - began >= PAGE_SAMPLES {
            stream.extend(page(if is_last { 4 } else { 0 }, granule, number, &std::mem::take(&mut open)));
            (number, began) = (number + 1, granule);
        }
    }
    (number > 2).then_some(stream)
}

/// The identification header and the packets.
fn read(mut bytes: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    bytes.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]).then_some(())?;
    let (mut head, mut packets) = (None, Vec::new());
    while let Some((id, size, rest)) = element(bytes) {
        bytes = rest;
        if OPENED.contains(&id) {
            continue;
        }
        // A recorder that was stopped may leave the last element unfinished.
        let Some((content, rest)) = size.and_then(|size| rest.split_at_checked(size)) else { break };
        bytes = rest;
        match id {
            CODEC_PRIVATE if content.starts_with(b"OpusHead") && content.len() < 256 => head = Some(content.to_vec()),
            SIMPLE_BLOCK | BLOCK => packets.push(packet(content)?),
            _ => {}
        }
    }
    Some((head?, packets))
}

/// The one packet of a block: behind the track, two bytes of time and the flags.
fn packet(block: &[u8]) -> Option<Vec<u8>> {
    let (_, _, rest) = vint(block)?;
    let (header, packet) = rest.split_at_checked(3)?;
    let is_laced = header.last()? & 0x06 != 0;
    (!is_laced && !packet.is_empty() && packet.len() <= MAX_PACKET_BYTES).then(|| packet.to_vec())
}

/// The id of the next element, the size of its content (none where the writer did not know) and what follows.
fn element(bytes: &[u8]) -> Option<(u32, Option<usize>, &[u8])> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let (id, rest) = bytes.split_at_checked(length).filter(|_| length <= 4)?;
    let id = id.iter().fold(0, |id, byte| (id << 8) | u32::from(*byte));
    let (size, is_unknown, rest) = vint(rest)?;
    Some((id, (!is_unknown).then(|| usize::try_from(size).ok()).flatten(), rest))
}

/// A number whose leading zeros tell its length; whether all its bits are set, which means unknown; what follows.
fn vint(bytes: &[u8]) -> Option<(u64, bool, &[u8])> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let (number, rest) = bytes.split_at_checked(length).filter(|_| length <= 8)?;
    let number = number.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let all = (1_u64 << (7 * length)) - 1;
    Some((number & all, number & all == all, rest))
}

/// How many samples of 48 kHz a packet has (RFC 6716, 3.1 and 3.2).
fn samples(packet: &[u8]) -> Option<u64> {
    let first = *packet.first()?;
    let (configuration, size) = (first >> 3, usize::from(first >> 3 & 3));
    let frame = match configuration {
        0..12 => [480, 960, 1920, 2880].get(size),
        12..16 => [480, 960].get(size & 1),
        _ => [120, 240, 480, 960].get(size),
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    Some(frame? * frames)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::files::opus_channels;

    const HEAD: &[u8] = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";

    fn sized(id: &[u8], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len()).expect("short") | 0x1000_0000;
        [id, &size.to_be_bytes(), content].concat()
    }

    /// As Chromium writes it: segment and clusters of unknown size.
    fn webm(packets: usize) -> Vec<u8> {
        const UNKNOWN: [u8; 8] = [1, 255, 255, 255, 255, 255, 255, 255];
        let track = sized(&[0xae], &[sized(&[0xd7], &[1]), sized(&[0x63, 0xa2], HEAD)].concat());
        let block = sized(&[0xa3], &[0x81, 0, 0, 0x80, 0xf8, 0xff, 0xfe]);
        let cluster = [&[0x1f, 0x43, 0xb6, 0x75], &UNKNOWN[..], &sized(&[0xe7], &[0]), &block.repeat(packets)].concat();
        let segment = [&[0x18, 0x53, 0x80, 0x67], &UNKNOWN[..], &sized(&[0x16, 0x54, 0xae, 0x6b], &track), &cluster];
        [sized(&[0x1a, 0x45, 0xdf, 0xa3], b"\x42\x86\x81\x01"), segment.concat()].concat()
    }

    #[test]
    fn the_packets_of_a_recording_end_in_ogg_with_its_length() {
        let ogg = ogg_of_webm(&webm(120)).expect("a recording");
        assert_eq!(opus_channels(&ogg), Some(1));
        let pages = ogg.windows(4).filter(|bytes| bytes == b"OggS").count();
        assert_eq!(pages, 2 + 3, "a page each second, of 50 packets");
        let last = ogg.windows(4).rposition(|bytes| bytes == b"OggS").expect("a page");
        assert_eq!(ogg[last + 5], 4, "the last page says so");
        assert_eq!(ogg[last + 6..last + 14], (120_u64 * 960).to_le_bytes());
    }

    #[test]
    fn what_was_cut_off_is_what_came_before() {
        let whole = webm(10);
        assert!(ogg_of_webm(&whole[..whole.len() - 2]).is_some());
        assert_eq!(ogg_of_webm(&webm(0)), None);
        assert_eq!(ogg_of_webm(b"OggS"), None);
    }

    proptest! {
        #[test]
        fn bytes_from_outside_do_no_harm(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
            let mut bytes = webm(20);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut % bytes.len());
            let _ = ogg_of_webm(&bytes);
        }
    }
}
