//! Which words a voice message says.
//!
//! The AI was asked to speak a text and answered with a file; a file with the same SHA-256 was uploaded; a message
//! names the upload. Whoever changes the file on its way breaks that chain, and the words stay unknown.

use std::collections::HashMap;

use serde_json::Value;

use super::{Event, GraphSend};

/// What is known so far of a journal that is read in its order.
#[derive(Debug, Default)]
pub(crate) struct Voices<'a> {
    /// What is to be spoken, by request.
    asked: HashMap<u64, &'a str>,
    /// What the newest recording with this SHA-256 says.
    recorded: HashMap<&'a str, &'a str>,
    /// What an uploaded file says, by its id.
    uploaded: HashMap<&'a str, &'a str>,
}

impl<'a> Voices<'a> {
    /// Takes the next event.
    pub(crate) fn learn(&mut self, event: &'a Event) {
        match event {
            Event::AiRequest(request) if request.endpoint == "speech" => {
                let text = request.body.get("text").and_then(Value::as_str);
                self.asked.extend(text.map(|text| (request.request, text)));
            }
            Event::AiSpeech(speech) => {
                let text = self.asked.get(&speech.request);
                self.recorded.extend(text.map(|text| (&*speech.sha256, *text)));
            }
            Event::GraphUpload(upload) => {
                let text = self.recorded.get(&*upload.sha256);
                self.uploaded.extend(text.map(|text| (&*upload.media_id, *text)));
            }
            Event::AiRequest(_) | Event::AiAnswer(_) | Event::HostRequest(_) | Event::Mark(_) => {}
            Event::GraphRequest(_) | Event::GraphSend(_) | Event::GraphRead(_) | Event::GraphAnswer(_) => {}
            Event::StatusWithheld(_) | Event::WebhookPost(_) | Event::WebhookAnswer(_) => {}
        }
    }

    /// The words of a message that is a recording, where they are known.
    pub(crate) fn words_of(&self, send: &GraphSend) -> Option<&'a str> {
        let id = send.body.pointer("/audio/id").filter(|_| send.message_type == "audio")?;
        self.uploaded.get(id.as_str()?).copied()
    }
}
