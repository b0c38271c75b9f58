//! `handOver.notify`: where the business is told that a person is wanted.
//!
//! The secret that signs what it is told is stored encrypted as access tokens are. One that does not decrypt is an
//! error in the place of the secret: then nothing is posted, and notices wait until it is mended.

use std::fmt;

use reqwest::Url;
use secrecy::SecretString;

use super::{
    super::{
        field::Field,
        token::{Secrets, TokenError},
    },
    tools,
};
use crate::conversation::Customer;

const SECRET_MOST: usize = 8_000;
const LINK_MOST: usize = 2_000;
const PLACES: [&str; 2] = ["{conversation}", "{phone}"];

/// `handOver.notify`.
#[derive(Clone)]
pub struct NotifySettings {
    /// Where a notice is posted: `https://`, or `http://` where the installation allows it.
    pub url: String,
    /// What signs it, decrypted, or why it cannot be used.
    pub secret: Result<SecretString, TokenError>,
    /// Where a person reads the conversation, with places for its id and the customer's number.
    pub link: Option<String>,
}

impl fmt::Debug for NotifySettings {
    /// Of the URL its host only: the rest may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        f.debug_struct("NotifySettings").field("host", &host).field("secret", &self.secret).finish_non_exhaustive()
    }
}

impl NotifySettings {
    /// The link to a conversation. A customer who hides the number has none in it.
    pub fn link_to(&self, conversation: &str, customer: &Customer) -> Option<String> {
        let phone = customer.wa_id.as_ref().map(|id| id.expose()).unwrap_or_default();
        let link = self.link.as_ref()?;
        // In one go, so that nothing in the one value is taken for the place of the other.
        let mut filled = String::with_capacity(link.len() + conversation.len() + phone.len());
        let mut rest = link.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(&encoded(if name == "phone" { phone } else { conversation }));
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }
}

/// Reads the sub-document. Without URL or secret nobody is told.
pub(super) fn read(field: &Field<'_>, secrets: Secrets<'_>) -> Option<NotifySettings> {
    let fields = field.object(&["url", "secret", "link"])?;
    let url = fields.required("url", "a URL that begins with `https://`").and_then(|field| tools::url(&field));
    let secret = fields.required("secret", "the secret that signs notices, which `worker business import` encrypts");
    let secret = secret.and_then(|field| {
        let stored = SecretString::from(field.word(SECRET_MOST)?);
        if let Some(problem) = secrets.header_problem(&stored) {
            field.error(format!("cannot be used: {problem}"));
        }
        Some(secrets.header(&stored))
    });
    let link = fields.get("link").and_then(|field| link(&field));
    Some(NotifySettings { url: url?, secret: secret?, link })
}

fn link(field: &Field<'_>) -> Option<String> {
    let text = field.word(LINK_MOST)?;
    let filled = PLACES.iter().fold(text.clone(), |text, place| text.replace(place, "1"));
    if filled.contains(['{', '}']) {
        field.error("has a place that is not known; known are `{conversation}` and `{phone}`");
        return None;
    }
    let url = Url::parse(&filled).ok().filter(Url::has_host);
    if url.is_none_or(|url| !matches!(url.scheme(), "https" | "http")) {
        field.error("must be a URL, such as `https://inbox.example.com/{conversation}`");
        return None;
    }
    Some(text)
}

/// Every byte that is not unreserved (RFC 3986, 2.3) by its number, so that a value stays within its place.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::ids::WaId;

    use super::{super::super::finding::Findings, *};

    fn read_from(value: &Value) -> (Option<NotifySettings>, Vec<String>) {
        let findings = Findings::default();
        let settings = read(&Field::root("notify", value, &findings), Secrets::Sealed);
        (settings, findings.into_list().iter().map(ToString::to_string).collect())
    }

    fn customer(phone: Option<&str>) -> Customer {
        Customer { wa_id: phone.and_then(|text| WaId::parse(text).ok()), ..Customer::default() }
    }

    #[test]
    fn a_link_leads_to_one_conversation_whatever_stands_in_its_name() {
        let value = json!({
            "url": "https://a.example/hook", "secret": "s", "link": "https://inbox.example/{conversation}?tel={phone}#x",
        });
        let settings = read_from(&value).0.expect("whole");
        let link = |conversation, customer| settings.link_to(conversation, &customer).expect("a link");
        assert_eq!(
            link("acme:16505551234", customer(Some("16505551234"))),
            "https://inbox.example/acme%3A16505551234?tel=16505551234#x"
        );
        let odd = link("acme:{phone}/../é", customer(None));
        assert_eq!(odd, "https://inbox.example/acme%3A%7Bphone%7D%2F..%2F%C3%A9?tel=#x");
    }

    #[test]
    fn what_is_not_whole_notifies_nobody_and_a_wrong_link_is_left_out() {
        for (value, problem) in [
            (json!({"secret": "s"}), "notify.url is missing"),
            (json!({"url": "https://a.example"}), "notify.secret is missing"),
            (json!({"url": "ftp://a.example", "secret": "s"}), "notify.url must be a URL"),
        ] {
            let (settings, findings) = read_from(&value);
            assert!(settings.is_none() && findings.iter().any(|finding| finding.starts_with(problem)), "{findings:?}");
        }
        for link in ["inbox", "https://inbox.example/{customer}", "javascript:alert({phone})"] {
            let (settings, findings) = read_from(&json!({"url": "https://a.example", "secret": "s", "link": link}));
            assert!(settings.is_some_and(|settings| settings.link.is_none()) && findings.len() == 1, "{findings:?}");
        }
    }

    #[test]
    fn neither_the_secret_nor_a_key_in_the_url_prints() {
        let (settings, _) = read_from(&json!({"url": "https://a.example/hook?key=sesame", "secret": "s3cret"}));
        let shown = format!("{settings:?}");
        assert!(shown.contains("a.example") && !shown.contains("sesame") && !shown.contains("s3cret"), "{shown}");
    }
}
