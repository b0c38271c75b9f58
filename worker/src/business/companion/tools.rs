//! `tools[]`: HTTP tools of a business, which the model may call.
//!
//! The value of a tool's header is a secret, stored encrypted as access tokens are. One that does not decrypt is an
//! error in the place of the value, never the value as it stands. A tool that is not whole is left out: without its
//! header, say, it would only fail in front of a customer.

use std::fmt;

use reqwest::{Url, header::HeaderName};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::{
    field::{Field, Fields},
    token::{Secrets, TokenError},
};

pub(super) const TOOLS_MOST: usize = 16;
pub(super) const DESCRIPTION_MOST: usize = 1_000;
/// Characters of all names, descriptions and schemas together, since every prompt has them.
pub(super) const ALL_MOST: usize = 16_000;
const NAME_MOST: usize = 41;
const URL_MOST: usize = 2_000;
const HEADER_MOST: usize = 8_000;
/// Tools that every companion has.
const BUILT_IN: [&str; 4] = ["remember", "hand_over_to_human", "send_location", "offer_choices"];
/// What the HTTP client writes itself.
const RESERVED: [&str; 6] = ["connection", "content-length", "content-type", "host", "transfer-encoding", "upgrade"];

/// An HTTP tool.
#[derive(Clone)]
pub struct ToolSettings {
    /// By which the model calls it: a letter, then up to 40 letters, digits and `_`, all small.
    pub name: String,
    /// What it is for, for the model.
    pub description: String,
    /// A JSON schema of its arguments, of type `object`.
    pub parameters: Value,
    /// Where it is: `https://`, or `http://` where the installation allows it.
    pub url: String,
    /// What it is called with.
    pub header: Option<ToolHeader>,
}

/// A header of a tool's requests.
#[derive(Debug, Clone)]
pub struct ToolHeader {
    /// Its name, valid in HTTP.
    pub name: String,
    /// Its value, decrypted, or why it cannot be used. Then the tool must not be called.
    pub value: Result<SecretString, TokenError>,
}

impl fmt::Debug for ToolSettings {
    /// Of the URL its host only: the rest may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        f.debug_struct("ToolSettings")
            .field("name", &self.name)
            .field("host", &host)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// Reads the list.
pub(super) fn read(field: &Field<'_>, secrets: Secrets<'_>) -> Vec<ToolSettings> {
    let mut tools: Vec<ToolSettings> = Vec::new();
    let mut room = ALL_MOST;
    for item in field.items(TOOLS_MOST) {
        let Some(tool) = entry(&item, secrets) else { continue };
        if tools.iter().any(|other| other.name == tool.name) {
            item.error("has the name of an earlier tool; names must differ");
            continue;
        }
        let Some(left) = room.checked_sub(length(&tool)) else {
            item.error(format!("does not fit: all tools together may have {ALL_MOST} characters"));
            continue;
        };
        room = left;
        tools.push(tool);
    }
    tools
}

fn entry(field: &Field<'_>, secrets: Secrets<'_>) -> Option<ToolSettings> {
    let fields = field.object(&["name", "description", "parameters", "url", "header"])?;
    // All are looked at before any is missed, so that each problem is named.
    let name = fields.required("name", "such as `check_stock`").and_then(|field| name(&field));
    let description = fields.required("description", "a text that tells the model what the tool is for");
    let description = description.and_then(|field| field.text(DESCRIPTION_MOST));
    let url = fields.required("url", "a URL that begins with `https://`").and_then(|field| url(&field));
    let parameters = match fields.get("parameters") {
        Some(field) => parameters(&field),
        None => Some(json!({"type": "object", "properties": {}})),
    };
    let header = match fields.get("header") {
        Some(field) => header(&field, secrets).map(Some),
        None => Some(None),
    };
    Some(ToolSettings { name: name?, description: description?, parameters: parameters?, url: url?, header: header? })
}

fn length(tool: &ToolSettings) -> usize {
    tool.name.len() + tool.description.chars().count() + tool.parameters.to_string().chars().count()
}

fn name(field: &Field<'_>) -> Option<String> {
    let name = field.word(NAME_MOST)?;
    let fits = |at: usize, byte: u8| match byte {
        b'a'..=b'z' => true,
        b'0'..=b'9' | b'_' => at > 0,
        _ => false,
    };
    if !name.bytes().enumerate().all(|(at, byte)| fits(at, byte)) {
        field.error("must be a small letter, then small letters, digits and `_`, such as `check_stock`");
        return None;
    }
    if BUILT_IN.contains(&name.as_str()) {
        field.error(format!("is taken: every companion has a tool `{name}`; choose another name"));
        return None;
    }
    Some(name)
}

/// A URL that a worker may be asked to call.
pub(super) fn url(field: &Field<'_>) -> Option<String> {
    let text = field.word(URL_MOST)?;
    let url = Url::parse(&text).ok().filter(Url::has_host);
    let Some(url) = url.filter(|url| matches!(url.scheme(), "https" | "http")) else {
        field.error("must be a URL that begins with `https://`");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        field.error("must not hold a user or a password; what authorizes a request does not belong into its URL");
        return None;
    }
    if url.scheme() == "http" {
        field.warn("works only where ALLOW_INSECURE_TOOLS is set; write `https://`");
    }
    Some(text)
}

fn parameters(field: &Field<'_>) -> Option<Value> {
    let fields = field.any_object()?;
    if fields.get("type").and_then(|kind| kind.value.as_str()) != Some("object") {
        fields.at("type").error("must be `object`: the arguments are passed by name");
        return None;
    }
    if let Some(properties) = fields.get("properties") {
        properties.any_object()?;
    }
    if let Some(required) = fields.get("required") {
        required_names(&fields, &required);
    }
    Some(field.value.clone())
}

/// What is required and not described would be left to the model's fancy.
fn required_names(schema: &Fields<'_>, required: &Field<'_>) {
    let properties = schema.get("properties").and_then(|field| field.value.as_object().cloned()).unwrap_or_default();
    for item in required.items(usize::MAX) {
        match item.value.as_str() {
            Some(name) if properties.contains_key(name) => {}
            Some(_) => item.warn("is none of `properties`; describe it there"),
            None => item.mistyped("the name of a property"),
        }
    }
}

fn header(field: &Field<'_>, secrets: Secrets<'_>) -> Option<ToolHeader> {
    let fields = field.object(&["name", "value"])?;
    let name = fields.required("name", "such as `Authorization`").and_then(|field| header_name(&field));
    let value = fields.required("value", "the header's value, which `worker business import` encrypts");
    let value = value.and_then(|field| {
        let stored = SecretString::from(field.word(HEADER_MOST)?);
        if let Some(problem) = secrets.header_problem(&stored) {
            field.error(format!("cannot be used: {problem}"));
        }
        Some(secrets.header(&stored))
    });
    Some(ToolHeader { name: name?, value: value? })
}

fn header_name(field: &Field<'_>) -> Option<String> {
    let name = field.word(NAME_MOST * 2)?;
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        field.error("is no name of an HTTP header; write such as `Authorization`");
        return None;
    }
    if RESERVED.iter().any(|taken| taken.eq_ignore_ascii_case(&name)) {
        field.error("is a header that every request has already; choose another");
        return None;
    }
    Some(name)
}
