//! A page where a person is the customer: chats with any business in the browser, beside what happens behind.
//!
//! What is written here leaves as a real webhook, signed and posted until it is taken; what appears here is what
//! reached the stand-in for Meta. So the page shows nothing that did not happen on the wire. It follows the journal by
//! observing it: a message of a business is in the file before the Graph API answers, so that a killed process forgets
//! none that it accepted. At a start, what had not been taken is posted again and what was never reported is reported.
//!
//! The page takes orders from itself only, on a loopback host: see `guard`. It knows nothing of the system behind but
//! what a [`Backstage`] tells.

mod album;
mod asked;
mod book;
mod events;
mod faults;
mod file;
mod follow;
mod guard;
mod line;
mod media;
mod page;
mod people;
mod posted;
mod routes;
mod scene;
mod voice;
mod write;

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Ai, Business, Customer, Meta, serving::Serving};

/// How a page is made.
#[derive(Default)]
pub struct PhoneOptions {
    /// Whom one can write to, in the order of the page. Who mounts the page registers them with [`Meta`].
    pub businesses: Vec<PhoneBusiness>,
    /// Who knows what becomes of a conversation; without one the page says that it cannot be seen.
    pub backstage: Option<Arc<dyn Backstage>>,
    /// Where the chats are kept, as lines of JSON; without a file they end with the process. Message ids must not
    /// repeat between runs then, so the seed of [`Meta`] has to be a random one.
    pub file: Option<PathBuf>,
    /// Host names and addresses under which the page may be reached, besides those of this machine's loopback.
    pub hosts: Vec<String>,
}

impl fmt::Debug for PhoneOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhoneOptions").field("businesses", &self.businesses.len()).finish_non_exhaustive()
    }
}

/// A business as the page presents it.
#[derive(Debug, Clone)]
pub struct PhoneBusiness {
    /// The business as Meta knows it.
    pub business: Business,
    /// Its name.
    pub title: String,
    /// What it does, in a few words.
    pub about: String,
    /// The language that it writes, as BCP 47 has it, such as `en`.
    pub language: String,
    /// What one might write first.
    pub suggestions: Vec<String>,
}

impl PhoneBusiness {
    /// A business of which only the name is known.
    pub fn new(business: Business) -> Self {
        let title = business.name.clone();
        Self { business, title, about: String::new(), language: "en".to_owned(), suggestions: Vec::new() }
    }
}

/// What happens behind, told by whoever runs the worker in the same process.
#[async_trait]
pub trait Backstage: Send + Sync {
    /// The conversation of a customer with the business of this number, as JSON to be shown as it is: without secrets.
    /// None where there is none yet. A call that is dropped halfway leaves nothing behind.
    async fn conversation(&self, phone_number_id: &str, customer: &Customer) -> Option<serde_json::Value>;
}

/// The page. Dropping it stops what it posts and cuts its connections.
#[derive(Debug)]
pub struct Phone {
    shared: Arc<Shared>,
}

/// What the tasks of one page share.
struct Shared {
    options: PhoneOptions,
    meta: Arc<Meta>,
    ai: Option<Arc<Ai>>,
    /// Tells browsers of another run from those of this one.
    epoch: String,
    state: Mutex<follow::State>,
    changed: watch::Sender<u64>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Phone {
    /// Reads the file, follows the journal of `meta`, and begins to post what an earlier run still owes. `ai` is the
    /// stand-in for the AI, where it is used. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The file cannot be read or written, is no file of this page, or belongs to another process.
    ///
    /// # Panics
    /// Where `meta` has no webhook URL.
    pub fn new(options: PhoneOptions, meta: Arc<Meta>, ai: Option<Arc<Ai>>) -> io::Result<Self> {
        let (file, records) = match &options.file {
            Some(path) => file::open(path).map(|(file, records)| (Some(file), records))?,
            None => (None, Vec::new()),
        };
        let businesses = options.businesses.iter().map(|known| known.business.clone()).collect();
        let shared = Arc::new(Shared {
            state: Mutex::new(follow::State::new(businesses, file, &records)),
            options,
            meta,
            ai,
            epoch: format!("{:x}", rand::random::<u64>()),
            changed: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        follow::follow(&shared);
        faults::install(&shared);
        write::resume(&shared);
        Ok(Self { shared })
    }

    /// The page and all that it asks for: `/` and whatever begins with `/phone/`.
    pub fn router(&self) -> axum::Router {
        routes::router(&self.shared)
    }

    /// Serves the page alone; port 0 takes any free one. It ends with the page.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let serving = Serving::start(addr, |_, _, _| self.router()).await?;
        let addr = serving.addr;
        let stop = self.shared.stop.clone();
        self.shared.tasks.spawn(async move {
            stop.cancelled().await;
            serving.stop().await;
        });
        Ok(addr)
    }

    /// Stops what is being posted, and waits until all has ended. What was not taken is posted by the next run, where
    /// there is a file.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    fn business(&self, phone_number_id: &str) -> Option<&PhoneBusiness> {
        self.options.businesses.iter().find(|known| known.business.phone_number_id == phone_number_id)
    }

    /// Whoever holds this must not turn to the journal or to the stand-ins' faults: their locks are taken first.
    fn lock(&self) -> MutexGuard<'_, follow::State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }

    /// Changes the state, and tells the browsers.
    fn change<T>(&self, change: impl FnOnce(&mut follow::State) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        if state.switches.take_news() {
            state.switches.revision = state.book.revise();
        }
        let revision = state.book.revision();
        let forgotten = state.book.album.take_forgotten();
        drop(state);
        forgotten.iter().for_each(|id| self.meta.forget_media(id));
        self.changed.send_if_modified(|known| std::mem::replace(known, revision) != revision);
        changed
    }
}
