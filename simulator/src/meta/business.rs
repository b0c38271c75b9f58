//! A business as Meta knows it: a number, the account above it, a token.

use secrecy::SecretString;

/// One number of a business. A business with several numbers is registered once for each, under one name.
#[derive(Debug, Clone)]
pub struct Business {
    /// What the journal calls the owner of the token.
    pub name: String,
    /// Meta's id of the number.
    pub phone_number_id: String,
    /// The number as people write it.
    pub display_number: String,
    /// The WhatsApp Business Account.
    pub waba_id: String,
    /// The access token.
    pub token: SecretString,
    /// The app that issued the token and signs the webhooks; none means the first.
    pub app_id: Option<String>,
}

impl Business {
    /// A business with everything else made up from its name and number: the token is `token-of-NAME`.
    pub fn new(name: impl Into<String>, phone_number_id: impl Into<String>) -> Self {
        let (name, phone_number_id) = (name.into(), phone_number_id.into());
        Self {
            token: SecretString::from(format!("token-of-{name}")),
            display_number: format!("1555{phone_number_id}"),
            waba_id: format!("waba-{name}"),
            app_id: None,
            name,
            phone_number_id,
        }
    }

    /// The same business with another token.
    #[must_use]
    pub fn with_token(self, token: impl Into<String>) -> Self {
        Self { token: SecretString::from(token.into()), ..self }
    }

    /// The same business under another account.
    #[must_use]
    pub fn with_waba_id(self, waba_id: impl Into<String>) -> Self {
        Self { waba_id: waba_id.into(), ..self }
    }

    /// The same business under another app.
    #[must_use]
    pub fn with_app_id(self, app_id: impl Into<String>) -> Self {
        Self { app_id: Some(app_id.into()), ..self }
    }
}
