//! `locations[]`: places that the companion can send as a WhatsApp location. Their names are unique, because the model
//! asks for a place by its name.

use super::super::field::Field;

pub(super) const PLACES_MOST: usize = 20;
pub(super) const NAME_MOST: usize = 100;
pub(super) const ADDRESS_MOST: usize = 200;

/// A place of the business.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// What it is called; no other place of the business is, in capitals or not.
    pub name: String,
    /// Its address, for people.
    pub address: Option<String>,
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

/// Reads the list. A place that is not whole is left out.
pub(super) fn read(field: &Field<'_>) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for item in field.items(PLACES_MOST) {
        let Some(place) = entry(&item) else { continue };
        if places.iter().any(|other| other.name.to_lowercase() == place.name.to_lowercase()) {
            item.error("has the name of an earlier place; names must differ");
            continue;
        }
        places.push(place);
    }
    places
}

fn entry(field: &Field<'_>) -> Option<Place> {
    let fields = field.object(&["name", "address", "latitude", "longitude"])?;
    // All are looked at before any is missed, so that each problem is named.
    let name = fields.required("name", "a text").and_then(|name| name.word(NAME_MOST));
    let latitude = fields.required("latitude", "a number from -90 to 90").and_then(|at| at.number(-90.0..=90.0));
    let longitude = fields.required("longitude", "a number from -180 to 180").and_then(|at| at.number(-180.0..=180.0));
    let address = fields.get("address").and_then(|address| address.text(ADDRESS_MOST));
    Some(Place { name: name?, address, latitude: latitude?, longitude: longitude? })
}
