//! `send_location`: one of the business's places on the map. The model names it; where it is, the business said.

use serde_json::{Map, Value, json};

use super::{SEND_LOCATION, words};
use crate::{business::Place, companion::provider::ToolSpec};

/// None where the business has no place to send.
pub(super) fn spec(places: &[Place]) -> Option<ToolSpec> {
    let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        ToolSpec::new(
            SEND_LOCATION,
            "Show the customer a place of the business on the map. Use it when they ask where it is or how \
             to get there, beside a word of your own.",
            json!({
                "type": "object",
                "properties": { "name": { "type": "string", "enum": names } },
                "required": ["name"],
            }),
        )
    })
}

/// The place of that name; the only one, where none is named.
pub(super) fn find<'a>(places: &'a [Place], arguments: &Map<String, Value>) -> Result<&'a Place, String> {
    let name = words(arguments, "name", 200);
    let found = match (&name, places) {
        (Some(name), _) => places.iter().find(|place| place.name.to_lowercase() == name.to_lowercase()),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| "`name` must be one of the places that the tool lists".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_businesss_own_places_are_found() {
        let place = |name: &str| Place { name: name.to_owned(), address: None, latitude: 1.0, longitude: 2.0 };
        let named = |name: &str| Map::from_iter([("name".to_owned(), json!(name)), ("latitude".to_owned(), json!(9))]);
        let places = [place("Shop"), place("Depot")];
        assert_eq!(find(&places, &named("shop")), Ok(&places[0]), "where it is comes from the business");
        assert!(find(&places, &named("Mars")).is_err());
        assert!(find(&places, &Map::new()).is_err(), "which one?");
        assert_eq!(find(&places[..1], &Map::new()), Ok(&places[0]));
        assert!(spec(&[]).is_none());
    }
}
