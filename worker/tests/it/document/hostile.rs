//! PDFs that are broken, and PDFs that were made to break their reader.

use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use flate2::{Compression, write::ZlibEncoder};
use rand::{Rng, SeedableRng, rngs::StdRng};
use worker::document::Extracted;

use super::{
    DAMAGED,
    pages::{CATALOG, HELVETICA, flate, helvetica, lines, one_page, pdf, stream},
    read, whole,
};

/// An honest PDF must be readable after each of these, so that what they did to its process stayed there.
async fn assert_nothing_happened() {
    let honest = pdf(&helvetica(stream("", lines(&["Still here"]).as_bytes())));
    assert_eq!(read(&honest).await.0, whole("Still here"));
}

#[tokio::test]
async fn a_pdf_that_ends_early_is_damaged_or_says_what_it_has() {
    let bytes = pdf(&helvetica(flate("", lines(&["Soup of the day"]).as_bytes())));
    for length in (0..bytes.len()).step_by(50) {
        match read(&bytes[..length]).await.0 {
            Extracted::Text { text, .. } => assert_eq!(text, "Soup of the day", "{length} bytes"),
            other => assert!([DAMAGED, Extracted::Empty].contains(&other), "{length} bytes: {other:?}"),
        }
    }
}

#[tokio::test]
async fn random_bytes_are_damaged() {
    let mut random = StdRng::seed_from_u64(4);
    for length in [10, 1_000, 100_000] {
        let mut bytes = b"%PDF-1.7\n".to_vec();
        bytes.extend((0..length).map(|_| random.random::<u8>()));
        assert_eq!(read(&bytes).await.0, DAMAGED, "{length} bytes");
    }
}

#[tokio::test]
async fn a_pdf_with_a_byte_changed_here_and_there_ends_like_any_other() {
    let bytes = pdf(&helvetica(flate("", lines(&["Soup of the day"]).as_bytes())));
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..25 {
        let mut maimed = bytes.clone();
        for _ in 0..8 {
            let at = random.random_range(0..maimed.len());
            maimed[at] = random.random();
        }
        read(&maimed).await;
    }
    assert_nothing_happened().await;
}

#[tokio::test]
async fn pages_that_are_their_own_pages_or_parents_end() {
    let cyclic = [CATALOG.into(), b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Parent 2 0 R /Count 2 >>".to_vec()];
    assert_eq!(read(&pdf(&cyclic)).await.0, DAMAGED);
    // What the page lacks is looked for in its parents, without end.
    let orphan = [
        CATALOG.into(),
        b"<< /Type /Pages /Kids [3 0 R] /Parent 2 0 R /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>".to_vec(),
        stream("", b""),
    ];
    let (extracted, _) = read(&pdf(&orphan)).await;
    assert!(matches!(extracted, Extracted::NotReadable(_)), "{extracted:?}");
    assert_nothing_happened().await;
}

#[tokio::test]
async fn a_form_that_draws_itself_ends() {
    let mut objects = one_page("/XObject << /X 5 0 R >>", stream("", b"/X Do"));
    let form = "/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /X 5 0 R >> >>";
    objects.push(stream(form, b"/X Do"));
    assert_eq!(read(&pdf(&objects)).await.0, DAMAGED);
    assert_nothing_happened().await;
}

#[tokio::test]
async fn millions_of_brackets_end() {
    let nested = format!("{}{} TJ", "[".repeat(2_000_000), "]".repeat(2_000_000));
    let (extracted, _) = read(&pdf(&helvetica(stream("", nested.as_bytes())))).await;
    assert!(!matches!(extracted, Extracted::Text { .. }), "{extracted:?}");
    let mut objects = helvetica(stream("", b""));
    objects[4] = format!("<< /Type /Font /X {nested} >>").into_bytes();
    let (extracted, _) = read(&pdf(&objects)).await;
    assert!(!matches!(extracted, Extracted::Text { .. }), "{extracted:?}");
    assert_nothing_happened().await;
}

/// Each of forty forms draws the next one ten times.
pub(crate) fn endless() -> Vec<u8> {
    let mut objects = one_page("/XObject << /X 5 0 R >>", stream("", b"/X Do"));
    for next in 6..46 {
        let form =
            format!("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /X {next} 0 R >> >>");
        objects.push(stream(&form, "/X Do ".repeat(10).as_bytes()));
    }
    objects.push(stream("/Type /XObject /Subtype /Form /BBox [0 0 1 1]", b""));
    pdf(&objects)
}

/// Two megabytes that become two gigabytes: a flush makes a block that stands for itself and may be repeated.
pub(crate) fn bomb() -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 1 << 20]).expect("memory takes it");
    encoder.flush().expect("memory takes it");
    let (header, block) = encoder.get_ref().split_at(2);
    let content = [header, &block.repeat(2_048)].concat();
    let mut objects = one_page("/Font << /F1 5 0 R >>", stream("/Filter /FlateDecode", &content));
    objects.push(HELVETICA.into());
    pdf(&objects)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_of_two_gigabytes_stays_small_in_the_worker() {
    let bomb = bomb();
    assert!(bomb.len() < 4 << 20, "{} bytes", bomb.len());
    let before = resident_kib();
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let most = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(resident_kib());
                std::thread::sleep(Duration::from_millis(5));
            }
            most
        }
    });
    let (extracted, _) = read(&bomb).await;
    done.store(true, Ordering::Relaxed);
    assert!(!matches!(extracted, Extracted::Text { .. }), "{extracted:?}");
    // Other tests may run in this process, too.
    let grown = most.join().unwrap().saturating_sub(before);
    assert!(grown < 256 * 1024, "{grown} KiB more");
    assert_nothing_happened().await;
}

fn resident_kib() -> u64 {
    super::process::status_kib("self", "VmRSS").expect("this process is there")
}
