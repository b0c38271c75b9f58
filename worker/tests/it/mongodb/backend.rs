//! MongoDB as the suite sees it: how a store is opened, and what is done behind its back.

use std::sync::Arc;

use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use secrecy::SecretString;
use shared::ids::SessionId;
use worker::{
    conversation::QuietTime,
    settings::StoreSettings,
    store::{MergeStep, MongoStore, Result, Store},
};

/// A database with nothing in it.
pub(super) struct Backend {
    store: MongoStore,
    database: mongodb::Database,
}

impl Backend {
    /// A merge is made in steps, and somebody else may see what is between them.
    pub(super) const STEPWISE: bool = true;

    /// Without indexes: no outcome may depend on them, and to create them takes longer than most of the tests.
    pub(super) async fn open(what: &str) -> Self {
        let name = shared::testing::unique(what);
        let uri = shared::testing::server("MONGODB_URI");
        let settings = StoreSettings { uri: SecretString::from(uri.clone()), database: name.clone() };
        let store = MongoStore::open(&settings).await.expect("a valid URI");
        let client = mongodb::Client::with_uri_str(uri).await.expect("a valid URI");
        let database = client.database(&name);
        Self { store, database }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    pub(super) fn database(&self) -> &mongodb::Database {
        &self.database
    }

    pub(super) async fn drop_all(&self) -> Result<()> {
        self.store.drop_database().await
    }

    fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        self.database.collection(name)
    }

    /// The database's clock.
    pub(super) async fn clock(&self) -> Timestamp {
        let reading = vec![doc! { "$documents": [{ "now": "$$NOW" }] }];
        let mut cursor = self.database.aggregate(reading).await.expect("MongoDB answers");
        assert!(cursor.advance().await.expect("MongoDB answers"), "there is a document");
        let now: DateTime = *cursor.deserialize_current().expect("a document").get_datetime("now").expect("a date");
        Timestamp::from_millisecond(now.timestamp_millis()).expect("in range")
    }

    /// The names of the collections that there are.
    pub(super) async fn collections(&self) -> Vec<String> {
        self.database.list_collection_names().await.expect("MongoDB answers")
    }

    /// A stored document as it is.
    pub(super) async fn find(&self, collection: &str, id: impl Into<Bson>) -> Option<Document> {
        self.collection(collection).find_one(doc! { "_id": id.into() }).await.expect("MongoDB answers")
    }

    /// All of a collection.
    pub(super) async fn all(&self, collection: &str) -> Vec<Document> {
        let mut cursor = self.collection(collection).find(doc! {}).await.expect("MongoDB answers");
        let mut found = Vec::new();
        while cursor.advance().await.expect("MongoDB answers") {
            found.push(cursor.deserialize_current().expect("a document"));
        }
        found
    }

    /// Puts a document where another program, or a worker that died, might have left it.
    pub(super) async fn put(&self, collection: &str, document: Document) {
        let id = document.get("_id").cloned().expect("an _id");
        let collection = self.collection(collection);
        let replacing = collection.replace_one(doc! { "_id": id }, document).upsert(true);
        replacing.await.expect("MongoDB answers");
    }

    /// Changes a stored document behind the store's back.
    pub(super) async fn change(&self, collection: &str, id: &str, update: Document) {
        let changed = self.collection(collection).update_one(doc! { "_id": id }, update).await;
        assert_eq!(changed.expect("MongoDB answers").matched_count, 1);
    }

    /// The next step of a merge, by a worker that knows of nothing that happened before.
    pub(super) async fn merge_step(&self, from: &SessionId, quiet: QuietTime) -> MergeStep {
        self.store.merge_step(from, quiet).await.expect("the store answers")
    }
}
