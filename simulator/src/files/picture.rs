//! The smallest pictures: one grey pixel as PNG and as JPEG.

/// A PNG of one pixel (8-bit grey).
pub fn tiny_png() -> Vec<u8> {
    // One pixel wide, one high, 8 bits, grey, and the only compression, filter and order of lines.
    let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0];
    // zlib (RFC 1950): one stored block of the two bytes `no filter`, `grey`, and their Adler-32.
    let data = [0x78, 0x01, 0x01, 2, 0, 0xfd, 0xff, 0, 0x80, 0x00, 0x82, 0x00, 0x81];
    let signature = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
    [&signature, &*chunk(*b"IHDR", &header), &*chunk(*b"IDAT", &data), &*chunk(*b"IEND", &[])].concat()
}

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("the chunks above are short");
    let checked = [&kind, data].concat();
    [&length.to_be_bytes(), &*checked, &crc32(&checked).to_be_bytes()].concat()
}

/// PNG's CRC: polynomial 0x04c11db7 from the lowest bit, inverted before and after.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (if sum & 1 == 1 { 0xedb8_8320 } else { 0 }))
    })
}

/// A JPEG of one pixel (baseline, grey): one block, whose only coefficient is 0.
pub fn tiny_jpeg() -> Vec<u8> {
    let one_code = [[1].as_slice(), &[0; 15], &[0]].concat();
    let jfif = [b"JFIF\0".as_slice(), &[1, 1, 0, 0, 1, 0, 1, 0, 0]].concat();
    let quantisation = [[0].as_slice(), &[1; 64]].concat();
    // 8 bits, one pixel high and wide, one component that is not subsampled.
    let frame = [8, 0, 1, 0, 1, 1, 1, 0x11, 0];
    let scan = [1, 1, 0x00, 0, 63, 0];
    let parts = [
        vec![0xff, 0xd8],
        segment(0xe0, &jfif),
        segment(0xdb, &quantisation),
        segment(0xc0, &frame),
        // The tables of the first coefficient and of the others: one code of one bit, which means none.
        segment(0xc4, &[[0x00].as_slice(), &one_code].concat()),
        segment(0xc4, &[[0x10].as_slice(), &one_code].concat()),
        segment(0xda, &scan),
        // Both codes, filled up with ones.
        vec![0x3f, 0xff, 0xd9],
    ];
    parts.concat()
}

fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).expect("the segments above are short");
    [&[0xff, marker], &length.to_be_bytes()[..], data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_png() {
        // The check value of CRC-32 for "123456789", and the CRC of the chunk that ends every PNG.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert!(tiny_png().ends_with(&[0xae, 0x42, 0x60, 0x82]));
    }

    #[test]
    fn a_jpeg_is_segments_from_beginning_to_end() {
        let jpeg = tiny_jpeg();
        let (mut at, mut markers) = (2, Vec::new());
        while jpeg[at] == 0xff && jpeg[at + 1] != 0xda {
            markers.push(jpeg[at + 1]);
            at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        }
        assert_eq!(markers, [0xe0, 0xdb, 0xc0, 0xc4, 0xc4]);
        assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.ends_with(&[0xff, 0xd9]));
    }
}
