//! What businesses know: kept apart whatever is asked, found by words and their stems, replaced as a whole.

use std::sync::Arc;

use std::collections::BTreeSet;

use mongodb::bson::doc;
use worker::{
    companion::knowledge::{FOUND_CHARACTERS, FOUND_MOST, Given, Knowledge, Passage, WHOLE_MOST},
    scope::BusinessScope,
    store::{Found, KnowledgeSize, Store},
};

use super::Fresh;

/// A business, and the right to read what is its own.
pub(in super::super) async fn business(store: &Fresh, id: &str) -> BusinessScope {
    let document = doc! { "_id": id, "subDomain": id };
    store.backend.put("businesses", document).await;
    let records = store.businesses_with_subdomain(id).await.expect("the store answers");
    records.first().expect("it is there").scope()
}

fn passage(title: &str, text: &str) -> Passage {
    Passage { title: title.to_owned(), text: text.to_owned() }
}

/// Passages of a thousand characters each, more than can be given whole.
pub(in super::super) fn many(word: &str, count: usize) -> Vec<Passage> {
    (0..count).map(|n| passage(&format!("Part {n}"), &format!("{word} number{n} {}", "filler ".repeat(140)))).collect()
}

pub(in super::super) async fn put(
    store: &Arc<dyn Store>,
    scope: &BusinessScope,
    source: &str,
    passages: &[Passage],
    language: Option<&str>,
) {
    store.put_knowledge(scope, source, passages, language).await.expect("the store answers");
}

pub(in super::super) async fn size(store: &Arc<dyn Store>, scope: &BusinessScope) -> KnowledgeSize {
    store.knowledge_size(scope).await.expect("the store answers")
}

async fn search(store: &Arc<dyn Store>, scope: &BusinessScope, question: &str) -> Vec<Found> {
    let languages = size(store, scope).await.languages;
    store.search_knowledge(scope, question.into(), &languages, 50).await.expect("the store answers")
}

async fn titles(store: &Arc<dyn Store>, scope: &BusinessScope, question: &str) -> Vec<String> {
    search(store, scope, question).await.into_iter().map(|found| found.passage.title).collect()
}

async fn whole(store: &Arc<dyn Store>, scope: &BusinessScope) -> Vec<Passage> {
    store.whole_knowledge(scope, usize::MAX).await.expect("the store answers")
}

async fn sources(store: &Arc<dyn Store>, scope: &BusinessScope) -> Vec<String> {
    let sources = store.knowledge_sources(scope).await.expect("the store answers");
    sources.into_iter().map(|source| source.source).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_finds_what_another_business_knows() {
    let store = Fresh::prepared("knowledge").await;
    let (acme, bolt) = (business(&store, "acme").await, business(&store, "bolt").await);
    for (scope, own) in [(&acme, "acmes"), (&bolt, "bolts")] {
        put(&store, scope, "faq.md", &[passage("Hours", &format!("We {own} open at nine. secret"))], Some("en")).await;
        put(&store, scope, "plain.txt", &[passage("Price", &format!("{own} bread costs 4. secret"))], None).await;
    }
    for question in [
        "secret",
        "secret bolts",
        "business_id: bolt secret",
        "\"secret\"",
        "\"bolts bread costs\"",
        "{ business_id: \"bolt\" } secret",
        "', business_id: 'bolt', $text: { $search: 'secret",
        "secret -acmes",
        "secret -\"acmes\" -acmes",
        "“secret bolts” –acmes",
    ] {
        let found = search(&store, &acme, question).await;
        assert!(found.iter().all(|found| found.passage.text.contains("acmes")), "{question}: {found:?}");
        // A minus sign leaves nothing out, and quotes ask for no phrase.
        let is_whole = question.contains("secret");
        assert_eq!(found.len() == 2, is_whole, "{question}: {found:?}");
    }
    assert!(whole(&store, &acme).await.iter().all(|passage| passage.text.contains("acmes")));
    let knowledge = Knowledge::new(store.clone());
    for (scope, own) in [(&acme, "acmes"), (&bolt, "bolts"), (&acme, "acmes")] {
        let given = knowledge.about(scope, "secret").await.expect("the store answers");
        assert_eq!(given.len(), 2);
        assert!(given.iter().all(|passage| passage.text.contains(own)), "{given:?}");
    }
    assert_eq!(store.drop_knowledge(&acme, "faq.md").await.expect("the store answers"), 1);
    assert_eq!(sources(&store, &bolt).await, ["faq.md", "plain.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colon_in_a_name_does_not_make_one_passage_of_two_businesses() {
    let store = Fresh::prepared("colons").await;
    let (short, long) = (business(&store, "a").await, business(&store, "a:b").await);
    put(&store, &short, "b:c", &[passage("Short", "one")], None).await;
    put(&store, &long, "c", &[passage("Long", "two")], None).await;
    assert_eq!(whole(&store, &short).await, [passage("Short", "one")]);
    assert_eq!(whole(&store, &long).await, [passage("Long", "two")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_language_is_searched_by_stems_and_any_other_by_words() {
    let store = Fresh::prepared("stems").await;
    let scope = business(&store, "acme").await;
    let german =
        [passage("Öffnungszeiten", "Wir haben geöffnet."), passage("Kuchen", "Unsere Torten sind glutenfrei.")];
    put(&store, &scope, "deutsch.md", &german, Some("Deutsch")).await;
    put(&store, &scope, "english.md", &[passage("Hire", "Bikes are rented by the day.")], Some("en-GB")).await;
    put(&store, &scope, "polski.md", &[passage("Rowery", "Rowery dla dzieci.")], Some("Polish")).await;
    assert_eq!(size(&store, &scope).await.languages, ["english", "german", "none"]);
    assert_eq!(titles(&store, &scope, "Habt ihr eine glutenfreie Torte?").await, ["Kuchen"]);
    assert_eq!(titles(&store, &scope, "offnungszeit").await, ["Öffnungszeiten"], "without its dots, and by its stem");
    assert_eq!(titles(&store, &scope, "Can I rent a bike?").await, ["Hire"]);
    assert_eq!(titles(&store, &scope, "by the").await, [""; 0], "such words are in every text");
    assert_eq!(titles(&store, &scope, "ROWERY?").await, ["Rowery"]);
    assert_eq!(titles(&store, &scope, "rower").await, [""; 0], "of this language only whole words are known");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_comes_first_and_a_title_counts_more() {
    let store = Fresh::prepared("best").await;
    let scope = business(&store, "acme").await;
    let passages = [
        passage("Bread", "Rye and wheat."),
        passage("Menu › Desserts", "Flan and cake."),
        passage("Cakes to order", "A cake needs a day."),
        passage("Parking", "Behind the house, next to the dessert garden."),
    ];
    put(&store, &scope, "faq.md", &passages, Some("English")).await;
    assert_eq!(titles(&store, &scope, "dessert").await, ["Menu › Desserts", "Parking"]);
    assert_eq!(titles(&store, &scope, "Can you order a cake?").await, ["Cakes to order", "Menu › Desserts"]);
    let scores: Vec<f64> = search(&store, &scope, "cake order").await.into_iter().map(|found| found.score).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| *score > 0.0), "{scores:?}");
    assert_eq!(titles(&store, &scope, "submarine").await, [""; 0]);
    assert_eq!(titles(&store, &scope, " … ?!").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_replaced_leaves_nothing_behind() {
    let store = Fresh::prepared("replaced").await;
    let scope = business(&store, "acme").await;
    put(&store, &scope, "menu.md", &many("oldword", 9), Some("en")).await;
    put(&store, &scope, "other.md", &[passage("Other", "oldword too")], None).await;
    put(&store, &scope, "menu.md", &[passage("New", "newword"), passage("New", "again")], Some("de")).await;
    assert_eq!(titles(&store, &scope, "oldword").await, ["Other"]);
    assert_eq!(whole(&store, &scope).await.len(), 3);
    let listed = store.knowledge_sources(&scope).await.expect("the store answers");
    let menu = listed.first().expect("it is there");
    assert_eq!((menu.source.as_str(), menu.passages, menu.characters), ("menu.md", 2, 3 + 7 + 3 + 5));
    assert_eq!(menu.language.as_deref(), Some("german"));
    assert_eq!(
        size(&store, &scope).await,
        KnowledgeSize { passages: 3, characters: 18 + 5 + 11, languages: vec!["german".to_owned(), "none".to_owned()] }
    );
    assert_eq!(store.drop_knowledge(&scope, "menu.md").await.expect("the store answers"), 2);
    assert_eq!(store.drop_knowledge(&scope, "menu.md").await.expect("the store answers"), 0);
    assert_eq!(sources(&store, &scope).await, ["other.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_the_old_or_the_new_of_a_source_and_of_two_that_load_it_one_wins() {
    let store = Fresh::prepared("whole").await;
    let scope = business(&store, "acme").await;
    put(&store, &scope, "menu.md", &many("first", 40), None).await;
    let loading = async {
        for (word, count) in [("second", 60), ("third", 20), ("fourth", 50)] {
            let (one, other) = (many(word, count), many("rival", 30));
            let putting = |passages| store.put_knowledge(&scope, "menu.md", passages, None);
            let (one, other) = tokio::join!(putting(&one), putting(&other));
            one.and(other).expect("the store answers");
        }
    };
    let reading = async {
        loop {
            let texts = whole(&store, &scope).await;
            let words: BTreeSet<_> = texts.iter().filter_map(|passage| passage.text.split(' ').next()).collect();
            let count = [("first", 40), ("second", 60), ("third", 20), ("fourth", 50), ("rival", 30)];
            assert!(words.len() == 1 && count.contains(&(*words.first().unwrap(), texts.len())), "{words:?}");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = loading => {}
        () = reading => unreachable!("it reads for ever"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn little_is_given_whole_and_of_much_the_best() {
    let store = Fresh::prepared("given").await;
    let (small, large, none) =
        (business(&store, "small").await, business(&store, "large").await, business(&store, "none").await);
    let knowledge = Knowledge::new(store.clone());
    let about = async |scope, question| knowledge.about(scope, question).await.expect("the store answers");

    let mut little = many("b", 5);
    little.push(passage("", &"x".repeat(WHOLE_MOST - little.iter().map(Passage::characters).sum::<usize>())));
    put(&store, &small, "2.md", &little, None).await;
    assert_eq!(about(&small, "nothing of it").await, little);
    // It is held for a while, so a further source is not seen at once; by another process it is.
    put(&store, &small, "1.md", &[passage("", "y")], None).await;
    assert_eq!(about(&small, "nothing of it").await, little);
    let searched = Knowledge::new(store.clone()).given(&small, "y").await.expect("the store answers");
    assert!(matches!(&searched, Given::Found(found) if found.len() == 1), "one character too many: {searched:?}");

    put(&store, &large, "all.md", &many("common", 30), None).await;
    let best = about(&large, "common number17").await;
    assert_eq!(best.first().map(|passage| passage.title.as_str()), Some("Part 17"));
    let characters: usize = best.iter().map(Passage::characters).sum();
    assert!(best.len() <= FOUND_MOST && characters <= FOUND_CHARACTERS, "{characters} in {}", best.len());
    assert!(best.len() > 2);
    assert!(about(&large, "submarine").await.is_empty());
    assert!(about(&none, "common").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_without_knowledge_is_asked_for_once_and_so_is_one_that_many_ask_for() {
    let store = Fresh::prepared("held").await;
    let (none, some) = (business(&store, "none").await, business(&store, "some").await);
    put(&store, &some, "faq.md", &[passage("Hours", "nine")], None).await;
    let knowledge = Knowledge::new(store.clone());
    assert!(knowledge.about(&none, "hours").await.expect("the store answers").is_empty());
    // What is written behind it shows whether the database is asked again.
    put(&store, &none, "faq.md", &[passage("Hours", "ten")], None).await;
    assert!(knowledge.about(&none, "hours").await.expect("the store answers").is_empty());
    let asking = (0..16).map(|_| knowledge.about(&some, "hours"));
    for given in futures_util::future::join_all(asking).await {
        assert_eq!(given.expect("the store answers"), [passage("Hours", "nine")]);
    }
}
