//! Reading a body within bounds of size, time and memory.
//!
//! Nobody has been verified at this point, so every bound must hold against a sender who means harm.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// Meta sends up to 3 MiB (Meta, "Webhooks"); the rest is slack.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// All bodies that are being read or handled, together.
const MAX_BYTES_TOGETHER: usize = 256 << 20;

/// A body has this long even where nothing of it comes, …
const GRACE: Duration = Duration::from_secs(3);
/// … longer in proportion to what has come, which is what cuts off a drip, …
const SLOWEST_BYTES_PER_SEC: u32 = 64 << 10;
/// … and never longer than this.
const MOST: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    TooLarge,
    TooSlow,
    BrokenOff,
    /// The bodies of other requests use all the memory that there is for them.
    NoRoom,
}

/// A whole body; its share of the common memory is returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    room: Option<Room>,
}

/// Room in the common memory; it is returned when this is dropped.
pub(crate) type Room = OwnedSemaphorePermit;

impl Whole {
    /// Drops the bytes, and keeps their room for what was made of them.
    pub(crate) fn into_room(self) -> Option<Room> {
        self.room
    }
}

/// Reads bodies. One for the whole process.
#[derive(Debug)]
pub(crate) struct Reader {
    room: Arc<Semaphore>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_BYTES_TOGETHER)) }
    }

    /// `announced` is the `Content-Length`: what announces too much is not read at all.
    ///
    /// Cancellation: nothing is left behind.
    pub(crate) async fn read(&self, body: Body, announced: Option<usize>) -> Result<Whole, Unreadable> {
        if announced.is_some_and(|length| length > MAX_BYTES) {
            return Err(Unreadable::TooLarge);
        }
        let started = Instant::now();
        let mut chunks = body.into_data_stream();
        let mut whole = Whole { bytes: Vec::new(), room: None };
        loop {
            let next = timeout_at(started + patience(whole.bytes.len()), chunks.next());
            match next.await.map_err(|_| Unreadable::TooSlow)? {
                None => return Ok(whole),
                Some(Err(_)) => return Err(Unreadable::BrokenOff),
                Some(Ok(chunk)) => self.append(&mut whole, &chunk)?,
            }
        }
    }

    /// Room is taken for what has come, not for what was announced, so that an announcement reserves nothing.
    fn append(&self, whole: &mut Whole, chunk: &Bytes) -> Result<(), Unreadable> {
        if whole.bytes.len() + chunk.len() > MAX_BYTES {
            return Err(Unreadable::TooLarge);
        }
        let length = u32::try_from(chunk.len()).map_err(|_| Unreadable::TooLarge)?;
        let share = Arc::clone(&self.room).try_acquire_many_owned(length).map_err(|_| Unreadable::NoRoom)?;
        match &mut whole.room {
            Some(held) => held.merge(share),
            none => *none = Some(share),
        }
        whole.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

fn patience(received: usize) -> Duration {
    let received = u32::try_from(received).unwrap_or(u32::MAX);
    (GRACE + Duration::from_secs(1) * received / SLOWEST_BYTES_PER_SEC).min(MOST)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn chunks(count: usize, bytes: usize, gap: Duration) -> Body {
        Body::from_stream(stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(gap).await;
            Ok::<_, std::io::Error>(vec![b'x'; bytes])
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_whole_and_gives_its_room_back() {
        let reader = Reader::new();
        let whole = reader.read(chunks(3, 1_000, Duration::ZERO), None).await.expect("small and quick");
        assert_eq!(whole.bytes.len(), 3_000);
        assert_eq!(reader.room.available_permits(), MAX_BYTES_TOGETHER - 3_000);
        drop(whole);
        assert_eq!(reader.room.available_permits(), MAX_BYTES_TOGETHER);
    }

    #[tokio::test(start_paused = true)]
    async fn too_much_is_refused_announced_or_not() {
        let reader = Reader::new();
        let empty = reader.read(Body::empty(), Some(MAX_BYTES + 1)).await;
        assert_eq!(empty.expect_err("announced"), Unreadable::TooLarge);
        let streamed = reader.read(chunks(5, 1 << 20, Duration::ZERO), None).await;
        assert_eq!(streamed.expect_err("streamed"), Unreadable::TooLarge);
        assert!(reader.read(chunks(4, 1 << 20, Duration::ZERO), Some(MAX_BYTES)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_cut_off_and_a_slow_line_is_not() {
        let (reader, started) = (Reader::new(), Instant::now());
        let drip = reader.read(chunks(100, 1, Duration::from_millis(500)), None).await;
        assert_eq!(drip.expect_err("two bytes a second"), Unreadable::TooSlow);
        assert!(started.elapsed() <= GRACE + Duration::from_millis(1));
        let slow = reader.read(chunks(9, 400 << 10, Duration::from_secs(1)), None).await;
        assert_eq!(slow.expect("3.5 MiB in nine seconds").bytes.len(), 9 * (400 << 10));
        let slower = reader.read(chunks(11, 300 << 10, Duration::from_secs(1)), None).await;
        assert_eq!(slower.expect_err("eleven seconds"), Unreadable::TooSlow);
    }

    #[tokio::test(start_paused = true)]
    async fn all_bodies_together_have_a_bound() {
        let reader = Reader::new();
        let mut held = Vec::new();
        for _ in 0..MAX_BYTES_TOGETHER / MAX_BYTES {
            held.push(reader.read(chunks(1, MAX_BYTES, Duration::ZERO), None).await.expect("room"));
        }
        let one_more = reader.read(chunks(1, 1, Duration::ZERO), None).await;
        assert_eq!(one_more.expect_err("full"), Unreadable::NoRoom);
        held.pop();
        assert!(reader.read(chunks(1, 1, Duration::ZERO), None).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_none() {
        let broken = Body::from_stream(stream::iter([Ok("half"), Err(std::io::Error::other("reset"))]));
        assert_eq!(Reader::new().read(broken, None).await.expect_err("broken"), Unreadable::BrokenOff);
    }
}
