//! Identifiers as parse-only types.
//!
//! A value of these types has been checked once and can be trusted everywhere: not empty, bounded, and safe in a
//! routing key or a session id. What identifies a person (a phone number, a user id, a session, and a message id,
//! which carries the phone number in base64) never prints whole: `Display` and `Debug` show its end only, and
//! `expose` is the one way to the full text, so that a log line cannot leak it by accident.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// What the id of a message begins with where Meta sent none and ingest made one up.
pub const MADE_UP_PREFIX: &str = "body-";
/// What stands behind a customer in the session id of a later owner of the same number or subdomain.
pub const LATER_OWNER_MARK: char = '~';
/// What stands between a message's id and the number of its replay.
pub const REPLAY_MARK: char = '#';

/// Why a text is not the identifier that it should be. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct InvalidId {
    what: &'static str,
    problem: &'static str,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $shown:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Checks that a text is ", $what, ".")]
            ///
            /// # Errors
            /// [`InvalidId`] says what is wrong, without repeating the text.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                $check(text).map_err(|problem| InvalidId { what: $what, problem })?;
                Ok(Self(text.to_owned()))
            }

            /// The full text, for a request, a query or a key; not for a log line.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $shown(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $shown(&self.0, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// The id of a business's phone number at Meta (`value.metadata.phone_number_id`): the routing key, and the
    /// key under which a business is found. One to 64 ASCII letters, digits, `_` or `-`, so that it is one word
    /// of a routing key. It is not the phone number itself.
    PhoneNumberId, "a phone number id", check_routable, show_whole
);
id_type!(
    /// The id of a WhatsApp Business Account (`entry[].id`). Same alphabet as [`PhoneNumberId`].
    WabaId, "a WhatsApp Business Account id", check_routable, show_whole
);
id_type!(
    /// A customer's phone number as Meta writes it in `from` and `wa_id`: 3 to 20 digits, no `+`.
    WaId, "a WhatsApp phone number", check_digits, show_end
);
id_type!(
    /// A customer's business-scoped user id, `CC.…` (Meta, "Business-scoped user IDs", 2026): two capital
    /// letters, a dot, up to 128 letters and digits; the enterprise form has `ENT.` in between.
    UserId, "a business-scoped user id", check_user_id, show_end
);
id_type!(
    /// The id of a WhatsApp message (`wamid.…`), opaque, at most 512 bytes. Unique only together with the
    /// [`PhoneNumberId`] that it came to.
    MessageId, "a message id", check_message_id, show_end
);
id_type!(
    /// The name under which the back end knows a business (`subDomain`): letters, digits, `.`, `_`, `-`, at most
    /// 128 bytes, and no `:`, because session ids are cut at the first one.
    Subdomain, "a subdomain", check_subdomain, show_whole
);

impl WaId {
    /// How Meta may write the same line elsewhere: the number that people know and the one that WhatsApp knows, `from` and
    /// `wa_id`, differ by a digit in Brazil, Mexico and Argentina (Meta, "Text messages"; WhatsApp, "About international
    /// phone number format"). None where there is one form only.
    pub fn other_form(&self) -> Option<Self> {
        let number = self.0.as_str();
        // Behind the country code; in Brazil behind the area code, too. What has that length without the digit is a line of
        // its own in Brazil if it is not a mobile number of old, which began with 6 to 9.
        let (at, digit, short) = match number.get(..2)? {
            "52" => (2, '1', 12),
            "54" => (2, '9', 12),
            "55" => (4, '9', 12),
            _ => return None,
        };
        let (front, rest) = number.split_at_checked(at)?;
        let (other, local) = match number.len() {
            length if length == short => (format!("{front}{digit}{rest}"), rest),
            length if length == short + 1 => {
                let rest = rest.strip_prefix(digit)?;
                (format!("{front}{rest}"), rest)
            }
            _ => return None,
        };
        let is_one_line = front.len() == 2 || local.starts_with(['6', '7', '8', '9']);
        is_one_line.then_some(Self(other))
    }
}

/// The id of a conversation: `subdomain:phone_number`, `subdomain:user_id` for a customer who hides the number,
/// and the bare number or user id for the fallback business, which has no subdomain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// The session of one customer (phone number or user id) at one business.
    pub fn new(subdomain: Option<&Subdomain>, customer: &str) -> Self {
        Self(match subdomain {
            Some(subdomain) => format!("{}:{customer}", subdomain.expose()),
            None => customer.to_owned(),
        })
    }

    /// A session id as it was stored or echoed back; any non-empty text is one.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The customer in its name: the phone number or user id with which it began.
    pub fn customer(&self) -> &str {
        let customer = self.0.split_once(':').map_or(self.0.as_str(), |(_, customer)| customer);
        customer.split(LATER_OWNER_MARK).next().unwrap_or(customer)
    }

    /// Whether somebody else had a session of this name before.
    pub fn has_former_owner(&self) -> bool {
        self.0.contains(LATER_OWNER_MARK)
    }

    /// The full text, for a query or a key; not for a log line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(':') {
            Some((subdomain, customer)) => {
                write!(f, "{subdomain}:")?;
                show_end(customer, f)
            }
            None => show_end(&self.0, f),
        }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

type Checked = Result<(), &'static str>;

fn check_length(text: &str, most: usize) -> Checked {
    match text.len() {
        0 => Err("is empty"),
        n if n > most => Err("is too long"),
        _ => Ok(()),
    }
}

fn check_routable(text: &str) -> Checked {
    check_length(text, 64)?;
    let routable = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if text.bytes().all(routable) { Ok(()) } else { Err("may hold letters, digits, '_' and '-' only") }
}

fn check_subdomain(text: &str) -> Checked {
    check_length(text, 128)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if text.bytes().all(allowed) { Ok(()) } else { Err("may hold letters, digits, '.', '_' and '-' only") }
}

fn check_digits(text: &str) -> Checked {
    check_length(text, 20)?;
    if text.len() < 3 {
        return Err("is too short");
    }
    if text.bytes().all(|b| b.is_ascii_digit()) { Ok(()) } else { Err("may hold digits only") }
}

fn check_user_id(text: &str) -> Checked {
    check_length(text, 3 + 4 + 128)?;
    let (country, rest) = text.split_once('.').ok_or("needs a country code and a dot in front")?;
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err("needs a country code of two capital letters in front");
    }
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    if !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err("needs 1 to 128 letters and digits behind the dot")
    }
}

fn check_message_id(text: &str) -> Checked {
    check_length(text, 512)?;
    if text.chars().any(char::is_control) { Err("may not hold control characters") } else { Ok(()) }
}

fn show_whole(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(text)
}

/// The last quarter of the text, at most eight characters: enough to tell two apart, too little to call somebody.
fn show_end(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let count = text.chars().count();
    let shown = (count / 4).min(8);
    f.write_str("…")?;
    text.chars().skip(count - shown).try_for_each(|c| fmt::Write::write_char(f, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_identifies_a_person_never_prints_whole() {
        let number = WaId::parse("16505551234").expect("a number");
        let user = UserId::parse("US.13491208655302741918").expect("a user id");
        let session = SessionId::new(Some(&Subdomain::parse("acme").expect("a subdomain")), number.expose());
        let wamid = MessageId::parse("wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=").expect("an id");
        assert_eq!(format!("{number} {number:?}"), "…34 …34");
        assert_eq!(user.to_string(), "…41918");
        assert_eq!(format!("{session} {session:?}"), "acme:…34 acme:…34");
        assert_eq!(wamid.to_string(), "…MTQ0RgA=");
        assert_eq!(SessionId::new(None, number.expose()).to_string(), "…34");
    }

    #[test]
    fn a_session_tells_with_which_customer_it_began() {
        for (session, customer) in [
            ("acme:16505551234", "16505551234"),
            ("acme:16505551234~0a1b2c3d", "16505551234"),
            ("acme:US.1349", "US.1349"),
            ("16505551234", "16505551234"),
        ] {
            assert_eq!(SessionId::from_stored(session).customer(), customer, "{session}");
        }
    }

    #[test]
    fn a_line_that_is_written_in_two_forms_is_one() {
        for (long, short) in
            [("5511987654321", "551187654321"), ("5215512345678", "525512345678"), ("5491112345678", "541112345678")]
        {
            for (one, other) in [(long, short), (short, long)] {
                let form = WaId::parse(one).expect("a number").other_form();
                assert_eq!(form.as_ref().map(WaId::expose), Some(other), "{one}");
            }
        }
        // A landline of São Paulo, a mobile number whose short form would be one, and numbers of elsewhere.
        for one in ["551134567890", "5511934567890", "4915123456789", "16505551234", "5212345", "54911123456789"] {
            assert_eq!(WaId::parse(one).expect("a number").other_form(), None, "{one}");
        }
    }

    #[test]
    fn an_empty_or_odd_text_is_no_id() {
        assert!(PhoneNumberId::parse("").is_err());
        assert!(PhoneNumberId::parse("1.2").is_err(), "a dot would be a second word of the routing key");
        assert!(PhoneNumberId::parse("1#").is_err());
        assert!(WaId::parse("").is_err());
        assert!(WaId::parse("+16505551234").is_err());
        assert!(WaId::parse("US.123").is_err());
        assert!(Subdomain::parse("a:b").is_err(), "the colon separates the parts of a session id");
        assert!(MessageId::parse("a\nb").is_err());
    }

    #[test]
    fn user_ids_have_metas_shape() {
        for good in ["US.13491208655302741918", "DE.abc", "US.ENT.11815799212886844830"] {
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        for bad in ["16505551234", "us.1", "USA.1", "US.", "US.ENT.", "US.1.2", "US."] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_error_does_not_repeat_the_text() {
        let error = WaId::parse("650-555-1234").expect_err("not digits").to_string();
        assert_eq!(error, "a WhatsApp phone number may hold digits only");
    }
}
