//! What a business knows of itself (questions and answers, a menu, prices), as far as it helps with a question.
//!
//! Little knowledge is given whole, of much the passages that fit the question best. Everything is read under the
//! business's scope. What is little is held for half a minute, and so is that there is none: a business without
//! knowledge costs no request a turn. The texts come from operators; how they are stored is the store's to know.

mod passages;
mod markdown;
mod html;

use std::{sync::Arc, time::Duration};

use moka::future::Cache;

pub(crate) use html::without_tags;
pub use passages::{Format, Passage, TEXT_MOST, passages};

use crate::{
    conversation::BusinessId,
    scope::BusinessScope,
    store::{Asked, Found, Store, StoreError, in_time},
};

/// Characters, titles included, up to which a business's knowledge is given whole.
pub const WHOLE_MOST: usize = 6_000;
/// Passages of more than that which are given, at most …
pub const FOUND_MOST: usize = 6;
/// … and their characters.
pub const FOUND_CHARACTERS: usize = 4_800;
/// How long the companion may not know of a change.
pub const HELD_FOR: Duration = Duration::from_secs(30);
/// Bytes of text that are held, of all businesses.
const HELD_MOST: u64 = 64 << 20;

/// Finds what the businesses know. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Knowledge {
    store: Arc<dyn Store>,
    held: Cache<BusinessId, Held>,
}

/// What is held of a business.
#[derive(Clone, Debug)]
enum Held {
    /// All that it knows; none, where it knows nothing.
    Whole(Arc<[Passage]>),
    /// More than can be given: it is searched, by the rules of these languages.
    Searched(Arc<[String]>),
}

/// What is given for a question.
#[derive(Clone, Debug)]
pub enum Given {
    /// All that the business knows.
    Whole(Arc<[Passage]>),
    /// The best for the question, the best first.
    Found(Vec<Found>),
}

impl Knowledge {
    /// The knowledge of the businesses of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let held =
            Cache::builder().time_to_live(HELD_FOR).max_capacity(HELD_MOST).weigher(|_, held| bytes(held)).build();
        Self { store, held }
    }

    /// What the business knows about a question: a customer's own words, which are searched for and never obeyed.
    ///
    /// Cancellation: nothing is changed; who else waits for the same business goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn about<'a>(
        &self,
        scope: &BusinessScope,
        asked: impl Into<Asked<'a>>,
    ) -> Result<Vec<Passage>, StoreError> {
        Ok(match self.given(scope, asked).await? {
            Given::Whole(passages) => passages.to_vec(),
            Given::Found(found) => found.into_iter().map(|found| found.passage).collect(),
        })
    }

    /// The same, and how it was come by.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn given<'a>(&self, scope: &BusinessScope, asked: impl Into<Asked<'a>>) -> Result<Given, StoreError> {
        let asked = asked.into();
        let loading = in_time(self.load(scope));
        let held = self.held.try_get_with(scope.id().clone(), loading).await;
        Ok(match held.map_err(|error| StoreError::clone(&error))? {
            Held::Whole(passages) => Given::Whole(passages),
            Held::Searched(languages) => {
                let searching = self.store.search_knowledge(scope, asked, &languages, FOUND_MOST);
                Given::Found(fitting(in_time(searching).await?))
            }
        })
    }

    async fn load(&self, scope: &BusinessScope) -> Result<Held, StoreError> {
        let size = self.store.knowledge_size(scope).await?;
        if size.passages == 0 {
            return Ok(Held::Whole(Arc::default()));
        }
        if size.characters > WHOLE_MOST as u64 {
            return Ok(Held::Searched(size.languages.into()));
        }
        Ok(Held::Whole(self.store.whole_knowledge(scope, WHOLE_MOST).await?.into()))
    }
}

/// The best ones that fit together.
fn fitting(found: Vec<Found>) -> Vec<Found> {
    let mut room = FOUND_CHARACTERS;
    let fits = |found: &Found| {
        let left = room.checked_sub(found.passage.characters());
        room = left.unwrap_or(room);
        left.is_some()
    };
    found.into_iter().filter(fits).collect()
}

fn bytes(held: &Held) -> u32 {
    /// Of a business of which no text is held.
    const LEAST: usize = 200;
    let bytes = match held {
        Held::Whole(passages) => passages.iter().map(|passage| passage.title.len() + passage.text.len()).sum(),
        Held::Searched(languages) => languages.iter().map(String::len).sum::<usize>(),
    };
    u32::try_from(LEAST + bytes).unwrap_or(u32::MAX)
}
