//! `knowledge[]`: short texts that stand in every prompt. More than fits belongs into the knowledge that is searched.

use super::super::field::Field;

/// Characters of all texts and titles together.
pub(super) const ALL_MOST: usize = 6_000;
const TEXTS_MOST: usize = 200;
const TITLE_MOST: usize = 200;

/// Something that the companion knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeText {
    /// What it is about.
    pub title: Option<String>,
    /// The text itself.
    pub text: String,
}

/// Reads the list, up to the bound.
pub(super) fn read(field: &Field<'_>) -> Vec<KnowledgeText> {
    let texts: Vec<_> = field.items(TEXTS_MOST).iter().filter_map(entry).collect();
    let length: usize = texts.iter().map(KnowledgeText::length).sum();
    if length > ALL_MOST {
        field.warn(format!(
            "has {length} characters together; only the first {ALL_MOST} are used. Load what is longer with `worker \
             knowledge load`"
        ));
    }
    let mut room = ALL_MOST;
    texts.into_iter().map_while(|text| text.within(&mut room)).collect()
}

fn entry(field: &Field<'_>) -> Option<KnowledgeText> {
    if field.value.is_string() {
        return Some(KnowledgeText { title: None, text: field.text(usize::MAX)? });
    }
    if !field.value.is_object() {
        field.mistyped("a text or an object with `text`");
        return None;
    }
    let fields = field.object(&["title", "text"])?;
    Some(KnowledgeText {
        title: fields.get("title").and_then(|title| title.text(TITLE_MOST)),
        text: fields.required("text", "a text")?.text(usize::MAX)?,
    })
}

impl KnowledgeText {
    fn length(&self) -> usize {
        let title = self.title.as_deref().unwrap_or_default();
        title.chars().count() + self.text.chars().count()
    }

    /// As much of it as there is room for, which then is less. None where not even the title fits.
    fn within(self, room: &mut usize) -> Option<Self> {
        let length = self.length();
        let text_length = self.text.chars().count();
        let for_text = room.checked_sub(length - text_length).filter(|left| *left > 0)?;
        *room = room.saturating_sub(length);
        Some(Self { text: self.text.chars().take(for_text).collect(), ..self })
    }
}
