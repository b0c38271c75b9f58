//! Who is signed in. Sessions are in this process's memory alone: a restart ends them all.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::secret::random;

/// However busy, a session is over after this.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3_600);
/// One that nobody uses is over after this.
const IDLE: Duration = Duration::from_secs(2 * 3_600);
/// The one that was idle longest ends where there would be more.
const MOST: usize = 1_000;

/// The hash of a session's id: who reads this memory cannot ask in its name.
type Key = [u8; 32];

/// The sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Key, Session>>);

#[derive(Debug)]
struct Session {
    began: Instant,
    used: Instant,
    token: String,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= LIFE || now.duration_since(self.used) >= IDLE
    }
}

impl Sessions {
    /// Begins one, and gives its id, which only the browser keeps.
    pub(super) fn begin(&self, now: Instant) -> String {
        let mut sessions = self.0.lock().expect("no code panics while it holds this lock");
        if sessions.len() >= MOST {
            sessions.retain(|_, session| !session.is_over(now));
        }
        if sessions.len() >= MOST
            && let Some(idlest) = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key)
        {
            sessions.remove(&idlest);
        }
        let id = random();
        sessions.insert(key(&id), Session { began: now, used: now, token: random() });
        id
    }

    /// The token that forms of this session have; none where it is over, or never was.
    pub(super) fn token(&self, id: &str, now: Instant) -> Option<String> {
        let (mut sessions, key) = (self.0.lock().expect("no code panics while it holds this lock"), key(id));
        let session = sessions.get_mut(&key)?;
        if session.is_over(now) {
            sessions.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.token.clone())
    }

    /// Ends one.
    pub(super) fn end(&self, id: &str) {
        self.0.lock().expect("no code panics while it holds this lock").remove(&key(id));
    }
}

fn key(id: &str) -> Key {
    Sha256::digest(id).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_told_to_when_it_is_idle_and_when_it_is_old() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.begin(now);
        let token = sessions.token(&id, now).expect("it began");
        assert!(token.len() == 64 && token != id);
        assert_eq!(sessions.token("another", now), None);
        sessions.end(&id);
        assert_eq!(sessions.token(&id, now), None);

        let idle = sessions.begin(now);
        assert!(sessions.token(&idle, now + IDLE - Duration::from_secs(1)).is_some());
        assert_eq!(sessions.token(&idle, now + IDLE * 2), None);

        let busy = sessions.begin(now);
        let mut at = now;
        while at < now + LIFE {
            assert!(sessions.token(&busy, at).is_some(), "{:?}", at - now);
            at += IDLE / 2;
        }
        assert_eq!(sessions.token(&busy, now + LIFE), None);
    }

    #[test]
    fn there_are_never_too_many_and_the_idlest_goes_first() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin(now);
        let second = sessions.begin(now + Duration::from_secs(1));
        sessions.token(&first, now + Duration::from_secs(2)).expect("it is used");
        for _ in 0..MOST - 1 {
            sessions.begin(now + Duration::from_secs(3));
        }
        assert_eq!(sessions.0.lock().expect("not poisoned").len(), MOST);
        assert!(sessions.token(&first, now + Duration::from_secs(4)).is_some());
        assert_eq!(sessions.token(&second, now + Duration::from_secs(4)), None);
    }
}
