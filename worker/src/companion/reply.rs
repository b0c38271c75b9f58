//! What the model said and did, as messages of WhatsApp.

use super::{
    knowledge::without_tags,
    tools::{Called, Offer},
};
use crate::{
    business::Place,
    conversation::{Aftermath, Choice, Part, PartForm},
    whatsapp::{CHOICES_BODY_UNITS, MESSAGE_UNITS, from_markdown, split, utf16},
};

/// More is read, not listened to.
const SPOKEN_CHARS_MOST: usize = 1_500;

/// An answer before it is put into messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Composition {
    /// Markdown; blank only where there is an offer or a place.
    pub text: String,
    /// What the customer may choose from.
    pub offer: Option<Offer>,
    /// Where the customer is shown.
    pub places: Vec<Place>,
    /// What the model called on the way, in this order.
    pub calls: Vec<Called>,
    /// What it changes.
    pub aftermath: Aftermath,
}

impl Composition {
    /// The words for a voice note; none where they are better read: choices, links, code, tables, or too much.
    pub fn spoken(&self) -> Option<String> {
        if self.offer.is_some() || self.text.contains("```") || self.text.contains("://") {
            return None;
        }
        let words = plain(&self.text)?;
        let fits = !words.is_empty() && words.chars().count() <= SPOKEN_CHARS_MOST;
        fits.then_some(words)
    }

    /// The messages, with the words as text.
    pub fn written(&self) -> Vec<Part> {
        let text = from_markdown(&self.text);
        let mut parts = match &self.offer {
            Some(offer) => offered(&text, offer),
            None => texts(&text),
        };
        parts.extend(self.places.iter().map(place));
        parts
    }

    /// The messages, with the words as a voice note that was uploaded.
    pub fn said(&self, words: String, media_id: String) -> Vec<Part> {
        let mut parts = vec![Part::waiting(words, PartForm::Voice { media_id })];
        parts.extend(self.places.iter().map(place));
        parts
    }
}

fn texts(text: &str) -> Vec<Part> {
    split(text, MESSAGE_UNITS).into_iter().map(|body| Part::waiting(body, PartForm::Text)).collect()
}

/// The choices under their question, or under the last message that there is to say.
fn offered(text: &str, offer: &Offer) -> Vec<Part> {
    let question = offer.text.as_deref().map(from_markdown).filter(|question| fits(question));
    let mut parts = match &question {
        // Some models say the question twice.
        Some(question) if text.trim() == question.trim() => Vec::new(),
        _ => texts(text),
    };
    let above = match question {
        Some(question) => question,
        None => parts.pop_if(|last| fits(&last.body)).map_or_else(|| "👇".to_owned(), |last| last.body),
    };
    let body = format!("{above}\n\n{}", offer.choices.iter().map(in_words).collect::<Vec<_>>().join("\n"));
    let (button, choices) = (offer.button.clone(), offer.choices.clone());
    parts.push(Part::waiting(body, PartForm::Choices { text: above, button, choices }));
    parts
}

fn fits(text: &str) -> bool {
    (1..=CHOICES_BODY_UNITS).contains(&utf16(text.trim()))
}

fn in_words(choice: &Choice) -> String {
    match &choice.description {
        Some(description) => format!("- {}: {description}", choice.title),
        None => format!("- {}", choice.title),
    }
}

fn place(place: &Place) -> Part {
    let (latitude, longitude) = (place.latitude.to_string(), place.longitude.to_string());
    let named = [Some(place.name.clone()), place.address.clone()].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let body = format!("{named}\nhttps://maps.google.com/?q={latitude},{longitude}");
    let (name, address) = (place.name.clone(), place.address.clone());
    Part::waiting(body, PartForm::Location { latitude, longitude, name, address })
}

/// Markdown without its marks, for the ear. None where that would leave something out: a table, and what looks like the
/// definition of a link, of which the parser says nothing (see [`from_markdown`]).
fn plain(markdown: &str) -> Option<String> {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    if markdown.contains("]:") {
        return None;
    }
    let mut out = String::new();
    for event in Parser::new_ext(markdown, Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Table(_)) => return None,
            Event::Text(text) | Event::Code(text) => out.push_str(&text),
            Event::SoftBreak => out.push(' '),
            Event::HardBreak => out.push('\n'),
            Event::End(TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item) if !out.ends_with('\n') => out.push('\n'),
            Event::InlineHtml(html) => out.push_str(&without_tags(&html)),
            // A line of a block each.
            Event::Html(html) => out.push_str(&format!("{} ", without_tags(&html))),
            Event::End(_) | Event::Start(_) | Event::Rule => {}
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
            Event::InlineMath(text) | Event::DisplayMath(text) => out.push_str(&text),
        }
    }
    // Pictures have no sound.
    let is_picture = |c: &char| matches!(u32::from(*c), 0x2600..=0x27bf | 0x1f000..=0x1faff | 0xfe0f | 0x200d);
    Some(out.chars().filter(|c| !is_picture(c)).collect::<String>().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(text: Option<&str>) -> Offer {
        let choice = |title: &str| Choice { title: title.to_owned(), description: None };
        Offer { text: text.map(str::to_owned), button: "☰".to_owned(), choices: vec![choice("Yes"), choice("No")] }
    }

    fn composed(text: &str, offer: Option<Offer>) -> Composition {
        Composition { text: text.to_owned(), offer, ..Composition::default() }
    }

    fn above(part: &Part) -> &str {
        match &part.form {
            PartForm::Choices { text, .. } => text,
            other @ (PartForm::Text | PartForm::Voice { .. } | PartForm::Location { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_choices_stand_under_their_question_once() {
        let parts = composed("Which **one**?", Some(offer(Some("Which **one**?")))).written();
        assert_eq!(parts.len(), 1);
        assert_eq!(above(&parts[0]), "Which *one*?");
        assert_eq!(parts[0].body, "Which *one*?\n\n- Yes\n- No", "all of it, should the buttons be refused");
        let parts = composed("We have two.", Some(offer(Some("Which one?")))).written();
        assert_eq!((parts.len(), above(&parts[1])), (2, "Which one?"));
        let parts = composed("Which one?", Some(offer(None))).written();
        assert_eq!((parts.len(), above(&parts[0])), (1, "Which one?"));
        let parts = composed("", Some(offer(None))).written();
        assert_eq!(above(&parts[0]), "👇");
        let long = "word ".repeat(400);
        let parts = composed(&long, Some(offer(None))).written();
        assert_eq!((parts.len(), above(&parts[1])), (2, "👇"), "what is too long for buttons stands above them");
    }

    #[test]
    fn what_is_better_read_is_not_spoken() {
        assert_eq!(composed("**Yes!** We open at *nine*. 😀", None).spoken().as_deref(), Some("Yes! We open at nine."));
        assert_eq!(composed("- one\n- two", None).spoken().as_deref(), Some("one\ntwo"));
        assert_eq!(composed("~~Nine~~ Ten, ask <Anna>", None).spoken().as_deref(), Some("Nine Ten, ask <Anna>"));
        assert_eq!(composed("<p>\nOpen\nat nine\n</p>", None).spoken().as_deref(), Some("Open at nine"));
        for text in ["see https://acme.example", "```\ncode\n```", &"long ".repeat(400), "😀", ""] {
            assert_eq!(composed(text, None).spoken(), None, "{text}");
        }
        assert_eq!(composed("Which?", Some(offer(None))).spoken(), None);
    }

    #[test]
    fn a_place_can_be_said_in_words() {
        let place = Place {
            name: "Shop".to_owned(),
            address: Some("1 High Street".to_owned()),
            latitude: 51.5,
            longitude: -0.12,
        };
        let parts = Composition { places: vec![place], ..Composition::default() }.written();
        assert_eq!(parts[0].body, "Shop\n1 High Street\nhttps://maps.google.com/?q=51.5,-0.12");
    }
}
