//! The smallest voice note: an Ogg stream of Opus, mono, with one silent frame of 20 ms (RFC 3533, RFC 7845).
//!
//! It is a real one, checksums and all, so that whoever looks inside finds what WhatsApp wants.

/// A voice note that says nothing.
pub fn silent_voice_note() -> Vec<u8> {
    // Version 1, one channel, 312 samples to skip, 48 kHz, no gain, the plain channel mapping.
    let head =
        [b"OpusHead".as_slice(), &[1, 1], &312_u16.to_le_bytes(), &48_000_u32.to_le_bytes(), &[0, 0, 0]].concat();
    let vendor = b"simulator";
    let tags = [b"OpusTags".as_slice(), &9_u32.to_le_bytes(), vendor, &0_u32.to_le_bytes()].concat();
    // A CELT frame of 20 ms, mono, which decodes to silence.
    let frame = [0xf8, 0xff, 0xfe];
    [page(2, 0, 0, &head), page(0, 0, 1, &tags), page(4, 960, 2, &frame)].concat()
}

/// One page with one packet of less than 255 bytes. `kind`: 2 begins the stream, 4 ends it.
fn page(kind: u8, granule: u64, number: u32, packet: &[u8]) -> Vec<u8> {
    let length = u8::try_from(packet.len()).expect("the packets above are short");
    let with_checksum = |checksum: u32| {
        let parts = [
            b"OggS".as_slice(),
            &[0, kind],
            &granule.to_le_bytes(),
            &1_u32.to_le_bytes(),
            &number.to_le_bytes(),
            &checksum.to_le_bytes(),
            &[1, length],
            packet,
        ];
        parts.concat()
    };
    with_checksum(checksum(&with_checksum(0)))
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

    #[test]
    fn the_voice_note_is_an_ogg_stream_of_three_pages() {
        let note = silent_voice_note();
        assert!(note.starts_with(b"OggS"));
        assert_eq!(note.windows(4).filter(|bytes| bytes == b"OggS").count(), 3);
        assert!(note.windows(8).any(|bytes| bytes == b"OpusHead"));
    }

    #[test]
    fn the_checksum_is_oggs() {
        // The check value of CRC-32 with this polynomial, not reflected, starting from 0, is known for "123456789".
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
    }
}
