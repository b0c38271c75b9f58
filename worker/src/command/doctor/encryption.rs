//! Encryption: how many of the stored tokens decrypt, and by which secret. What is wrong with a single one is said with
//! its business.

use super::{
    check::{Check, Part},
    table::counted,
};
use crate::{business::TokenCipher, store::BusinessRecord};

/// Tokens by what opens them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tokens {
    current: usize,
    previous: usize,
    closed: usize,
}

/// Tries them all.
pub(super) fn examine(records: &[BusinessRecord], cipher: &TokenCipher) -> Check {
    let mut tokens = Tokens::default();
    for stored in records.iter().filter_map(|record| record.access_token.as_ref()) {
        match cipher.decrypt(stored) {
            Ok(_) if cipher.needs_previous(stored) => tokens.previous += 1,
            Ok(_) => tokens.current += 1,
            Err(_) => tokens.closed += 1,
        }
    }
    judge(tokens)
}

fn judge(Tokens { current, previous, closed }: Tokens) -> Check {
    let found = format!("{} by ENCRYPTION_SECRET", decrypt(current));
    match (current, previous, closed) {
        (0, 0, 0) => Check::ok(Part::Encryption, "tokens", "no business has a token yet"),
        (0, 0, closed) => {
            let problem = format!("none of {} decrypts", counted(closed, "token"));
            let mend = "set ENCRYPTION_SECRET to the secret that the back end encrypts with";
            Check::error(Part::Encryption, "ENCRYPTION_SECRET", problem, mend)
        }
        (_, 0, 0) => Check::ok(Part::Encryption, "tokens", found),
        (_, previous, 0) => {
            let problem = format!("{found}, {previous} by ENCRYPTION_SECRET_PREVIOUS only");
            let mend = "encrypt those anew (`worker token rotate`) before the previous secret is removed";
            Check::warning(Part::Encryption, "tokens", problem, mend)
        }
        (_, _, closed) => {
            let problem = format!("{found}, {previous} by ENCRYPTION_SECRET_PREVIOUS, {closed} by neither");
            let mend =
                "set ENCRYPTION_SECRET_PREVIOUS to the secret of those, or store them anew; they are named below";
            Check::error(Part::Encryption, "tokens", problem, mend)
        }
    }
}

fn decrypt(count: usize) -> String {
    if count == 1 { "1 token decrypts".to_owned() } else { format!("{count} tokens decrypt") }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Severity, *};

    #[test]
    fn what_decrypts_by_which_secret_decides() {
        let severity = |current, previous, closed| judge(Tokens { current, previous, closed }).severity;
        assert_eq!(severity(0, 0, 0), Severity::Ok);
        assert_eq!(severity(3, 0, 0), Severity::Ok);
        assert_eq!(severity(3, 1, 0), Severity::Warning);
        assert_eq!(severity(0, 2, 0), Severity::Warning);
        assert_eq!(severity(3, 0, 1), Severity::Error);
        let none = judge(Tokens { closed: 2, ..Tokens::default() });
        assert!(none.subject == "ENCRYPTION_SECRET" && none.problem == "none of 2 tokens decrypts");
    }
}
