//! A business as it is examined: what its document says that somebody outside has to agree with.

use secrecy::SecretString;

use crate::{
    business::{CheckedBusiness, CompanionSettings, Finding, TokenCipher, TokenError, VoiceReply, VoiceSettings},
    settings::FallbackSettings,
    store::BusinessRecord,
};

/// A business, or the fallback number.
#[derive(Debug)]
pub(super) struct Examinee {
    /// Its subdomain.
    pub(super) subject: String,
    /// Why it is not served, where it is switched off.
    pub(super) off: Option<&'static str>,
    pub(super) findings: Vec<Finding>,
    pub(super) token: Result<SecretString, TokenError>,
    pub(super) waba_id: Option<String>,
    pub(super) number_ids: Vec<String>,
    pub(super) model: Option<String>,
    pub(super) voice: VoiceSettings,
}

impl Examinee {
    /// From its record and from what its document's check found.
    pub(super) fn new(record: &BusinessRecord, checked: &[CheckedBusiness], cipher: Option<&TokenCipher>) -> Self {
        let subject = record.subdomain.clone().unwrap_or_default();
        let findings = checked.iter().find(|checked| checked.subdomain == subject);
        let token = match (&record.access_token, cipher) {
            (None, _) => Err(TokenError::Missing),
            (Some(_), None) => Err(TokenError::Undecrypted),
            (Some(stored), Some(cipher)) => cipher.decrypt(stored),
        };
        let companion = CompanionSettings::read(&record.companion);
        Self {
            subject,
            off: match (record.whatsapp_enabled, record.is_active) {
                (true, true) => None,
                (false, _) => Some("whatsappEnabled"),
                (true, false) => Some("isActive"),
            },
            findings: findings.map(|checked| checked.findings.clone()).unwrap_or_default(),
            token,
            waba_id: record.waba_id.clone(),
            number_ids: record.phone_number_ids.clone(),
            model: companion.model,
            voice: companion.voice,
        }
    }

    /// The number that is answered without a business in the database.
    pub(super) fn fallback(settings: &FallbackSettings) -> Self {
        Self {
            subject: "(WHATSAPP_PHONE_NUMBER_ID)".to_owned(),
            off: None,
            findings: Vec::new(),
            token: Ok(settings.token.clone()),
            waba_id: None,
            number_ids: vec![settings.phone_number_id.expose().to_owned()],
            model: None,
            voice: VoiceSettings::default(),
        }
    }

    /// Whether it may ever speak.
    pub(super) fn speaks(&self) -> bool {
        self.voice.reply != VoiceReply::Never
    }

    /// The command that changes a field of it.
    pub(super) fn set(&self, field: &str, value: &str) -> String {
        format!("`worker business set {} {field} {value}`", self.subject)
    }

    /// How another token gets in.
    pub(super) fn new_token(&self) -> String {
        let set = self.set("whatsappAccessToken", "- < token.txt");
        format!("make a token in Meta's business settings (System users, Generate token, both permissions), then {set}")
    }
}
