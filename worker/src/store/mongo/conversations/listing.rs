//! Conversations as they are stored: one, or those that an operator asks for.

use async_trait::async_trait;
use mongodb::bson::doc;
use shared::ids::SessionId;

use super::{super::MongoStore, document::read};
use crate::{
    conversation::state::State,
    store::{ConversationFilter, Inspection, ListedConversations, Result},
};

#[async_trait]
impl Inspection for MongoStore {
    async fn state(&self, session: &SessionId) -> Result<Option<State>> {
        self.conversations().find_one(doc! { "_id": session.expose() }).await?.map(read).transpose()
    }

    async fn list_conversations(&self, filter: &ConversationFilter, most: i64) -> Result<ListedConversations> {
        let mut meant = doc! { "merged_into": { "$exists": false } };
        if let Some(businesses) = &filter.businesses {
            let ids: Vec<&str> = businesses.iter().map(|id| id.0.as_str()).collect();
            meant.insert("business_id", doc! { "$in": ids });
        }
        let now = self.now();
        for (field, wanted) in [("handed_over_until", filter.handed_over), ("retry_at", filter.waiting)] {
            if wanted {
                meant.insert(field, doc! { "$gt": now });
            }
        }
        let without = doc! { "memory": 0, "answered": 0, "mailbox.message": 0, "outbox.aftermath": 0 };
        let conversations = self.conversations();
        let finding = conversations.find(meant).sort(doc! { "last_land.at": -1, "_id": 1 }).limit(most);
        // Without an index, what is sorted may be more than fits into memory.
        let mut cursor = finding.projection(without).allow_disk_use(true).await?;
        let mut listed = ListedConversations::default();
        while cursor.advance().await? {
            match read(cursor.deserialize_current()?) {
                Ok(state) => listed.conversations.push(state),
                Err(_) => listed.unreadable += 1,
            }
        }
        Ok(listed)
    }
}
