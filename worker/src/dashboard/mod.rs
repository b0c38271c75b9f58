//! The dashboard: what goes on, in a browser, for operators who sign in.
//!
//! One process serves it over any store; nothing else needs it. Pages are rendered here, without any script.
//!
//! `gate` is the one way in: it decides who may ask, before anything is routed to a page, and no page can forget to.
//! What a browser posts is read there too, and reaches a page only with the token of its session. `pages` show what
//! the store holds, customers shortened as in the logs; what was said is shown to who asks for it, and that is logged.

mod secret;
mod session;
mod attempts;
mod host;
mod fields;
mod gate;
mod sign_in;
mod trouble;
mod layout;
mod chart;
mod pages;
mod server;

use std::{fmt, sync::Arc};

use axum::Router;
use secrecy::SecretString;
use shared::ids::PhoneNumberId;
use tokio::sync::Semaphore;

pub use server::serve;

use crate::{business::TokenCipher, store::Store};
use attempts::Attempts;
use secret::Secret;
use session::Sessions;

/// Requests that are answered at once; more are told to come again.
const IN_FLIGHT: usize = 64;

/// What all requests share.
pub struct Dashboard {
    store: Arc<dyn Store>,
    /// Tries what businesses have encrypted, where the secret for it is known.
    cipher: Option<TokenCipher>,
    /// The number that workers answer without a business in the database.
    fallback: Option<PhoneNumberId>,
    secret: Secret,
    sessions: Sessions,
    attempts: Attempts,
    in_flight: Semaphore,
}

impl Dashboard {
    /// A dashboard over a store, for those who know the secret.
    pub fn new(store: Arc<dyn Store>, secret: &SecretString) -> Self {
        Self {
            store,
            cipher: None,
            fallback: None,
            secret: Secret::new(secret),
            sessions: Sessions::default(),
            attempts: Attempts::new(),
            in_flight: Semaphore::new(IN_FLIGHT),
        }
    }

    /// Also tells whether what businesses have encrypted decrypts.
    #[must_use]
    pub fn with_cipher(self, cipher: Option<TokenCipher>) -> Self {
        Self { cipher, ..self }
    }

    /// Knows of a number that workers answer without a business in the database.
    #[must_use]
    pub fn with_fallback(self, fallback: Option<PhoneNumberId>) -> Self {
        Self { fallback, ..self }
    }

    /// Every page, behind the gate. Requests must come with their peer's `ConnectInfo`.
    pub fn router(self) -> Router {
        gate::guarded(Arc::new(self))
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").field("store", &self.store).finish_non_exhaustive()
    }
}
