//! Files: stored by an upload or by the test, found by id, fetched from a URL of this very server.
//!
//! A file belongs to the business of its number; nobody else's token finds it. What is uploaded must be of a type and a
//! size that Meta takes; what a test stores, as a customer's file, may be anything.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    body::Body,
    extract::{FromRequest, Multipart},
    http::header,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Refusal, State,
    call::Request,
    content::missing,
    kinds::check_file,
    routes::{Answer, unsupported},
};
use crate::{
    journal::{Credential, Event, GraphUpload},
    webhook::Media,
};

/// A file in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMedia {
    /// The number that it belongs to.
    pub phone_number_id: String,
    /// Such as `audio/ogg`.
    pub mime_type: String,
    /// The file itself.
    pub bytes: Bytes,
}

#[derive(Debug, Default)]
pub(super) struct Store(Mutex<Files>);

#[derive(Debug, Default)]
struct Files {
    by_id: HashMap<String, StoredMedia>,
    /// How many were ever stored: an id is not given again after its file was deleted.
    stored: usize,
}

impl Store {
    pub(super) fn get(&self, id: &str) -> Option<StoredMedia> {
        self.lock().by_id.get(id).cloned()
    }

    /// Puts a file back under an id that it had before.
    pub(super) fn restore(&self, id: &str, media: StoredMedia) {
        let mut files = self.lock();
        files.by_id.insert(id.to_owned(), media);
        files.stored += 1;
    }

    /// Forgets a file, as Meta does after a while; its id is not given again.
    pub(super) fn forget(&self, id: &str) {
        self.lock().by_id.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl State {
    pub(super) fn store_media(&self, phone_number_id: &str, mime_type: &str, bytes: Bytes) -> Media {
        let mut files = self.media.lock();
        let number = self.options.seed.number("media", &files.stored.to_string());
        let id = format!("{}{:09}", 1_000_000 + files.stored, number % 1_000_000_000);
        files.stored += 1;
        let sha256 = STANDARD.encode(Sha256::digest(&bytes));
        let (phone_number_id, mime_type) = (phone_number_id.to_owned(), mime_type.to_owned());
        files.by_id.insert(id.clone(), StoredMedia { phone_number_id, mime_type: mime_type.clone(), bytes });
        Media { id, mime_type, sha256 }
    }

    /// Takes a form with `file`, as Meta does, or the bare bytes under their own content type.
    pub(super) async fn upload(
        self: &Arc<Self>,
        phone_number_id: &str,
        request: &Request,
        who: &Credential,
    ) -> Result<Answer, Refusal> {
        let content_type = request.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let (mime_type, bytes) = match content_type {
            Some(form) if form.starts_with("multipart/form-data") => read_form(request).await?,
            Some(mime_type) => (mime_type.to_owned(), request.body.clone()),
            None => return Err(missing("file")),
        };
        check_file(&mime_type, bytes.len())?;
        let (size, sha256) = (bytes.len(), hex::encode(Sha256::digest(&bytes)));
        let media = self.store_media(phone_number_id, &mime_type, bytes);
        self.options.journal.record(Event::GraphUpload(GraphUpload {
            request: request.number,
            phone_number_id: phone_number_id.to_owned(),
            business: self.registry.business(phone_number_id).map(|business| business.name),
            credential: who.clone(),
            media_id: media.id.clone(),
            mime_type,
            bytes: size,
            sha256,
        }));
        Ok(Answer::Json(json!({"id": media.id})))
    }

    /// Answers for an id that is a number or a file.
    pub(super) fn node(&self, id: &str, request: &Request, who: &Credential) -> Result<Answer, Refusal> {
        if let Some(business) = self.registry.business(id) {
            self.owned_by(&business.phone_number_id, who).ok_or_else(|| unsupported(id))?;
            let number =
                json!({"id": id, "display_phone_number": business.display_number, "verified_name": business.name});
            return Ok(Answer::Json(number));
        }
        if let Some(owner) = self.registry.of_account(id).pop() {
            self.owned_by(&owner.phone_number_id, who).ok_or_else(|| unsupported(id))?;
            return Ok(Answer::Json(json!({"id": id, "name": owner.name})));
        }
        if self.options.open && self.media.get(id).is_none() {
            return Ok(Answer::Json(json!({"id": id, "display_phone_number": id, "verified_name": "anybody"})));
        }
        let media = self.visible(id, who)?;
        if request.query("phone_number_id").is_some_and(|number| number != media.phone_number_id) {
            return Err(unsupported(id));
        }
        Ok(Answer::Json(json!({
            "messaging_product": "whatsapp",
            "url": self.media_url(id),
            "mime_type": media.mime_type,
            "sha256": hex::encode(Sha256::digest(&media.bytes)),
            "file_size": media.bytes.len().to_string(),
            "id": id,
        })))
    }

    fn media_url(&self, id: &str) -> String {
        let elsewhere = self.media_host.read().expect("no code panics while it holds this lock").clone();
        elsewhere.map_or_else(|| format!("http://{}/media-download/{id}", self.addr), |host| format!("{host}/{id}"))
    }

    pub(super) fn download(&self, id: &str, who: &Credential) -> Result<Answer, Refusal> {
        // Meta's file server answers 404 to whatever it does not like.
        let media = self.visible(id, who).map_err(|refusal| refusal.http(404))?;
        Ok(Answer::File { mime_type: media.mime_type, bytes: media.bytes })
    }

    pub(super) fn delete_media(&self, id: &str, who: &Credential) -> Result<Answer, Refusal> {
        self.visible(id, who)?;
        self.media.lock().by_id.remove(id);
        Ok(Answer::Json(json!({"success": true})))
    }

    fn visible(&self, id: &str, who: &Credential) -> Result<StoredMedia, Refusal> {
        let media = self.media.get(id).ok_or_else(|| unsupported(id))?;
        self.owned_by(&media.phone_number_id, who).ok_or_else(|| unsupported(id))?;
        Ok(media)
    }

    fn owned_by(&self, phone_number_id: &str, who: &Credential) -> Option<()> {
        let owner = self.registry.business(phone_number_id).map(|business| business.name);
        (self.options.open || owner.as_deref() == who.owner()).then_some(())
    }
}

/// The `file` of a form and its type: the part's own, or the field `type` where the part has none.
async fn read_form(request: &Request) -> Result<(String, Bytes), Refusal> {
    let broken = |_| Refusal::code(100).message("The form could not be read.");
    let whole = axum::extract::Request::from_parts(request.parts.clone(), Body::from(request.body.clone()));
    let mut form = Multipart::from_request(whole, &())
        .await
        .map_err(|_| Refusal::code(100).message("The form could not be read."))?;
    let (mut file, mut file_type, mut named_type, mut product) = (None, None, None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("file") => {
                file_type = field.content_type().map(str::to_owned);
                file = Some(field.bytes().await.map_err(broken)?);
            }
            Some("messaging_product") => product = Some(field.text().await.map_err(broken)?),
            Some("type") => named_type = Some(field.text().await.map_err(broken)?),
            _ => {}
        }
    }
    if product.as_deref() != Some("whatsapp") {
        return Err(missing("messaging_product"));
    }
    let bytes = file.ok_or_else(|| missing("file"))?;
    Ok((file_type.or(named_type).unwrap_or_else(|| "application/octet-stream".to_owned()), bytes))
}
