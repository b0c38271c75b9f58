//! Named places where a test makes a process die or freeze, to prove what a crash leaves behind.
//!
//! Only debug builds have them; in a release build [`fail_point!`](crate::fail_point) is nothing at all. Which one
//! is armed stands in `SWITCHBOARD_FAIL_POINT`, read once: `turn.before.send=abort` ends the process as `kill -9`
//! would, `turn.before.send=stop` freezes it until it gets SIGCONT, and `=abort@3` acts on the third passage only.

/// A place to die or freeze at. With two arguments the second completes the name.
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::failpoint::pass($name, "")
    };
    ($place:literal, $name:expr) => {
        #[cfg(debug_assertions)]
        $crate::failpoint::pass($place, $name);
        #[cfg(not(debug_assertions))]
        let _ = $name;
    };
}

#[cfg(debug_assertions)]
pub use armed::pass;

#[cfg(debug_assertions)]
mod armed {
    use std::{
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    const VARIABLE: &str = "SWITCHBOARD_FAIL_POINT";

    #[derive(Debug, PartialEq, Eq)]
    enum Action {
        Abort,
        Stop,
    }

    #[derive(Debug)]
    struct Armed {
        name: String,
        action: Action,
        passage: u64,
        passed: AtomicU64,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    /// Passes the place `place.name`, or `place` where there is no name.
    ///
    /// # Panics
    /// The variable is set and cannot be read: a test that arms nothing would prove nothing.
    pub fn pass(place: &str, name: &str) {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var(VARIABLE).ok()?;
            Some(read(&text).unwrap_or_else(|| panic!("{VARIABLE} must be NAME=abort|stop[@PASSAGE]")))
        });
        if let Some(armed) = armed
            && armed.is_at(place, name)
            && armed.passed.fetch_add(1, Ordering::SeqCst) + 1 == armed.passage
        {
            armed.act();
        }
    }

    fn read(text: &str) -> Option<Armed> {
        let (name, action) = text.split_once('=')?;
        let (action, passage) = action.split_once('@').unwrap_or((action, "1"));
        let action = match action {
            "abort" => Action::Abort,
            "stop" => Action::Stop,
            _ => return None,
        };
        Some(Armed { name: name.to_owned(), action, passage: passage.parse().ok()?, passed: AtomicU64::new(0) })
    }

    impl Armed {
        fn is_at(&self, place: &str, name: &str) -> bool {
            let Some(rest) = self.name.strip_prefix(place) else { return false };
            if name.is_empty() { rest.is_empty() } else { rest.strip_prefix('.') == Some(name) }
        }

        fn act(&self) {
            match self.action {
                Action::Abort => std::process::abort(),
                // Sent by another process, so that no unsafe code is needed. It may take a moment to reach every thread.
                Action::Stop => {
                    let pid = std::process::id().to_string();
                    drop(std::process::Command::new("kill").args(["-STOP", &pid]).status());
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_is_named_whole_or_in_two_pieces() {
            let armed = read("turn.before.send=abort@3").expect("valid");
            assert!(armed.is_at("turn.before", "send") && armed.is_at("turn.before.send", ""));
            assert!(
                !armed.is_at("turn.before", "settle")
                    && !armed.is_at("turn", "send")
                    && !armed.is_at("turn.before", "")
            );
            assert_eq!((armed.action, armed.passage), (Action::Abort, 3));
        }

        #[test]
        fn what_is_no_fail_point_is_refused() {
            assert!(
                read("turn.before.send").is_none() && read("x=explode").is_none() && read("x=abort@soon").is_none()
            );
        }
    }
}
