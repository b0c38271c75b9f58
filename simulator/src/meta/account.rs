//! What hangs on a WhatsApp Business Account: its numbers, and whether the app gets its webhooks.

use serde_json::{Value, json};

use super::{State, routes::Answer};

impl State {
    pub(super) fn numbers(&self, waba_id: &str) -> Answer {
        let number = |business: super::Business| {
            json!({
                "id": business.phone_number_id,
                "display_phone_number": business.display_number,
                "verified_name": business.name,
                "quality_rating": "GREEN",
            })
        };
        let numbers: Vec<Value> = self.registry.of_account(waba_id).into_iter().map(number).collect();
        Answer::Json(json!({"data": numbers, "paging": {"cursors": {"before": "QQ", "after": "QQ"}}}))
    }

    pub(super) fn subscriptions(&self, waba_id: &str) -> Answer {
        let first = self.registry.of_account(waba_id).into_iter().next();
        let id = self.app(first.as_ref()).map_or("0", |app| &app.id);
        let link = "https://www.facebook.com/games/?app_id=".to_owned() + id;
        let app = json!({"whatsapp_business_api_data": {"id": id, "link": link, "name": "Simulator"}});
        let apps: Vec<Value> = Some(app).filter(|_| self.registry.is_subscribed(waba_id)).into_iter().collect();
        Answer::Json(json!({"data": apps}))
    }

    pub(super) fn subscribe(&self, waba_id: &str) -> Answer {
        self.registry.subscribe(waba_id);
        Answer::Json(json!({"success": true}))
    }
}
