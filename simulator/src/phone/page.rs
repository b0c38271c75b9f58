//! The files of the page itself, in the binary.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal: $kind:expr;)*) => {
        const FILES: &[(&str, &str, &[u8])] = &[$(($name, $kind, include_bytes!(concat!("page/", $name)))),*];
    };
}

files! {
    "index.html": HTML;
    "style.css": CSS;
    "panel.css": CSS;
    "app.js": SCRIPT;
    "chat.js": SCRIPT;
    "chats.js": SCRIPT;
    "composer.js": SCRIPT;
    "dom.js": SCRIPT;
    "live.js": SCRIPT;
    "markup.js": SCRIPT;
    "message.js": SCRIPT;
    "panel.js": SCRIPT;
    "person.js": SCRIPT;
    "player.js": SCRIPT;
    "recorder.js": SCRIPT;
    "server.js": SCRIPT;
    "sheet.js": SCRIPT;
    "state.js": SCRIPT;
    "switches.js": SCRIPT;
    "theme.js": SCRIPT;
    "mark.svg": SVG;
}

pub(super) async fn index() -> Response {
    file("index.html")
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    file(&name)
}

fn file(name: &str) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, bytes)) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_page_needs_what_its_policy_forbids() {
        for (name, kind, bytes) in FILES {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            // An element made by a namespace is no request.
            let urls = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!urls.contains("http://") && !urls.contains("https://"), "{name} names another host");
            assert!(!text.contains("innerHTML") && !text.contains("insertAdjacentHTML"), "{name}");
            if *kind == HTML {
                assert!(!text.contains("<style") && !text.contains("style=") && !text.contains(" on"), "{name}");
                assert_eq!(text.matches("<script").count(), text.matches("<script type=\"module\" src=").count());
            }
        }
    }

    #[test]
    fn what_a_script_imports_and_the_page_names_is_there() {
        for (name, _, bytes) in FILES {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            for wanted in text.split("from \"./").skip(1).chain(text.split("\"/phone/page/").skip(1)) {
                let wanted = wanted.split('"').next().expect("a string ends");
                assert!(FILES.iter().any(|(known, ..)| *known == wanted), "{name} wants {wanted}");
            }
        }
    }
}
