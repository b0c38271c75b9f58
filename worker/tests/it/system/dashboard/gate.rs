//! Who is let in, and what a browser may do with what it is given.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};

use super::{
    super::harness::acme, Dashboard, FORM, Headers, SECRET, Told, Visitor, WRONG, form_of, link, with_a_conversation,
    without_workers,
};

#[tokio::test(flavor = "multi_thread")]
async fn without_signing_in_no_page_of_the_dashboard_shows_or_does_anything() {
    let system = without_workers().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut nobody = dashboard.visitor();
    for path in [
        "/",
        "/?days=30",
        "/businesses/acme",
        "/businesses/nobody",
        "/conversations",
        "/conversations/abc",
        "/letters",
        "/letters/0123456789abcdef?texts=1",
        "/letters/replay?reason=refused",
        "/nothing/is/here",
        "/..%2f",
    ] {
        let told = nobody.get(path).await;
        assert_eq!(told.status, StatusCode::SEE_OTHER, "{path}");
        let to = told.header("location");
        assert!(to == "/sign-in" || to.starts_with("/sign-in?to=%2F"), "{path}: {to}");
        assert!(told.body.is_empty(), "{path}: {}", told.body);
        let told = nobody.post(path, &[]).await;
        assert_eq!(told.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!told.body.contains("acme"), "{path}: {}", told.body);
        for method in [Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            assert_eq!(nobody.ask(method, path, &[], None).await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
    for path in ["/sign-out", "/letters/0123456789abcdef/replay", "/conversations/abc/resume"] {
        assert_eq!(nobody.post(path, &[]).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/healthz", "/style.css"] {
        assert!(!nobody.page(path).await.contains("acme"));
    }
    nobody.cookies.insert("switchboard".to_owned(), "0".repeat(64));
    assert_eq!(nobody.get("/letters").await.status, StatusCode::SEE_OTHER, "nobody made this session");

    // A link from a notice has a number in it, and the next address has not.
    let told = nobody.get("/conversations/of/acme:4915123456789").await;
    assert!(!told.header("location").contains("4915123456789"), "{}", told.header("location"));
    // From a chat on another site a browser sends no cookie: it is asked once more, from here.
    let there = [("sec-fetch-site", "cross-site")];
    let told = nobody.ask(Method::GET, "/conversations/of/acme:4915123456789", &there, None).await;
    assert!(told.body.contains("http-equiv=\"refresh\"") && !told.body.contains("4915123456789"), "{}", told.body);

    let told = nobody.ask(Method::GET, "//evil.example/", &there, None).await;
    assert!(told.body.contains("0;url=/\"") && !told.body.contains("evil.example"), "{}", told.body);
    assert_eq!(nobody.get("//evil.example/").await.header("location"), "/sign-in");

    let mut operator = dashboard.visitor();
    let page = operator.page("/sign-in?to=//evil.example").await;
    assert!(!page.contains("evil.example"), "{page}");
    let page = operator.page("/sign-in?to=/letters?reason=refused").await;
    let told = operator.send(&page, "/sign-in", &[("secret", SECRET)]).await;
    let kept = told.header("location");
    assert_eq!(operator.get(&kept).await.header("location"), "/letters?reason=refused");
    dashboard.stop(&["4915123456789"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_the_dashboard_that_are_not_its_own_do_nothing() {
    let (system, ana) = with_a_conversation().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let (mut operator, mut other) = (dashboard.signed_in().await, dashboard.signed_in().await);
    let list = operator.page("/conversations").await;
    let page = operator.page(&link(&list, "/conversations")).await;
    let (path, fields) = form_of(&page, "/hand-over");
    let token = fields.iter().find(|(name, _)| name == "token").expect("a token").1.clone();
    let theirs = form_of(&other.page("/conversations").await, "/sign-out").1.remove(0).1;
    assert_ne!(token, theirs);
    let own = dashboard.base.clone();
    let right = format!("hours=1&token={token}");
    let evil = [("origin", "https://evil.example")];
    let cases: [(Headers<'_>, String, StatusCode); 9] = [
        (&[], "hours=1".to_owned(), StatusCode::FORBIDDEN),
        (&[], format!("hours=1&token={}", "0".repeat(64)), StatusCode::FORBIDDEN),
        (&[], format!("hours=1&token={theirs}"), StatusCode::FORBIDDEN),
        (&evil, right.clone(), StatusCode::FORBIDDEN),
        (&[("origin", "null")], right.clone(), StatusCode::FORBIDDEN),
        (&[("sec-fetch-site", "cross-site")], right.clone(), StatusCode::FORBIDDEN),
        (&[("sec-fetch-site", "same-site"), ("origin", &own)], right.clone(), StatusCode::FORBIDDEN),
        (&[("content-type", "text/plain")], right.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[], format!("{right}&more={}", "x".repeat(70_000)), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (headers, form, status) in cases {
        // reqwest would send a type of its own beside one that is given.
        let mut request = dashboard.client.post(format!("{own}{path}")).body(form);
        let session = format!("switchboard={}", operator.cookies["switchboard"]);
        request = request.header(header::COOKIE, session);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, FORM);
        }
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let told = Told::read(request.send().await.expect("it answers")).await;
        assert_eq!(told.status, status, "{headers:?}: {}", told.body);
        assert!(told.body.contains("Nothing was done"), "{}", told.body);
    }
    assert!(!system.conversation(&acme(), &ana).await.contains_key("handed_over_until"));
    let told =
        operator.ask(Method::POST, &path, &[("origin", &own), ("sec-fetch-site", "same-origin")], Some(right)).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "our own form does it: {}", told.body);
    assert!(system.conversation(&acme(), &ana).await.contains_key("handed_over_until"));

    // The form for signing in is held by a cookie.
    let mut nobody = dashboard.visitor();
    let page = nobody.page("/sign-in").await;
    nobody.cookies.clear();
    let told = nobody.send(&page, "/sign-in", &[("secret", SECRET)]).await;
    assert!(
        told.status == StatusCode::FORBIDDEN && told.body.contains("serve the dashboard by HTTPS"),
        "{}",
        told.body
    );
    nobody.page("/sign-in").await;
    let told = nobody.send(&page, "/sign-in", &[("secret", SECRET)]).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN, "a token of another cookie");
    assert!(!nobody.cookies.contains_key("switchboard"));
    // And whoever was signed in and has no session is told why.
    let told = dashboard.visitor().get("/sign-in?kept=1").await;
    assert!(told.status == StatusCode::FORBIDDEN && told.body.contains("HTTPS"), "{}", told.body);
    dashboard.stop(&[ana.key()]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_of_the_dashboard_can_be_tried_five_times_at_once() {
    let system = without_workers().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut somebody = dashboard.visitor();
    for _ in 0..5 {
        let told = somebody.sign_in(WRONG).await;
        assert!(told.status == StatusCode::FORBIDDEN && told.body.contains("That is not the secret."), "{}", told.body);
        assert!(!told.body.contains(WRONG));
    }
    for secret in [WRONG, SECRET] {
        let told = somebody.sign_in(secret).await;
        assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS, "{}", told.body);
        let wait: u64 = told.header("retry-after").parse().expect("seconds");
        assert!((1..=30).contains(&wait) && told.body.contains(&format!("in {wait} seconds")), "{wait}: {}", told.body);
    }
    let log = dashboard.process.log();
    assert!(log.contains("wrong secret") && log.contains("\"peer\":\"127.0.0.1\""), "{log}");
    dashboard.stop(&[]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_dashboard_is_in_a_strict_cookie_and_ends_when_it_is_told_to() {
    let system = without_workers().await;
    let mut dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.visitor();
    let told = operator.sign_in(SECRET).await;
    let session = told.all("set-cookie").into_iter().find(|line| line.starts_with("switchboard=")).expect("a cookie");
    let (value, rest) = session.split_once(';').expect("attributes");
    assert_eq!((value.len(), rest), ("switchboard=".len() + 64, " Path=/; HttpOnly; SameSite=Strict"), "{session}");
    let first = operator.cookies["switchboard"].clone();
    operator.sign_in_again().await;
    assert_ne!(operator.cookies["switchboard"], first, "each time it is another one");

    let mut by_proxy = Visitor { host: Some("dash.example"), ..dashboard.visitor() };
    let told = by_proxy.sign_in(SECRET).await;
    let session = told.all("set-cookie").into_iter().find(|line| line.starts_with("__Host-switchboard=")).expect("one");
    assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{session}");
    assert_eq!(by_proxy.get("/").await.status, StatusCode::OK);
    // By loopback the cookie of HTTPS counts for nothing, and the other way round.
    by_proxy.host = None;
    assert_eq!(by_proxy.get("/").await.status, StatusCode::SEE_OTHER);

    let kept = operator.cookies.clone();
    let page = operator.page("/").await;
    let told = operator.send(&page, "/sign-out", &[]).await;
    assert_eq!((told.status, told.header("location").as_str()), (StatusCode::SEE_OTHER, "/sign-in"));
    assert!(told.header("set-cookie").contains("Max-Age=0") && operator.cookies.is_empty());
    operator.cookies = kept;
    assert_eq!(operator.get("/").await.status, StatusCode::SEE_OTHER, "who kept the cookie has nothing of it");

    let cookies = dashboard.signed_in().await.cookies;
    dashboard.process.signal("TERM");
    assert!(dashboard.process.ended(Duration::from_secs(20)).await.success(), "{}", dashboard.process.log());
    let next = Dashboard::start(system.environment()).await;
    let mut operator = Visitor { cookies, ..next.visitor() };
    assert_eq!(operator.get("/").await.status, StatusCode::SEE_OTHER, "a restart ends every session");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_dashboard_has_the_headers_that_keep_browsers_in_bounds() {
    let system = without_workers().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let (mut nobody, mut operator) = (dashboard.visitor(), dashboard.signed_in().await);
    let mut answers = vec![operator.get("/").await, operator.get("/letters?state=odd").await];
    for path in ["/", "/sign-in", "/healthz", "/style.css", "/nothing"] {
        answers.push(nobody.get(path).await);
        answers.push(nobody.post(path, &[]).await);
    }
    for told in &answers {
        let policy = told.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self' data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|found| found == part), "{part}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(told.header(name), value, "{} {name}", told.status);
        }
        if !told.header("content-type").starts_with("text/css") {
            assert_eq!(told.header("cache-control"), "no-store", "{}", told.status);
        }
        assert!(!told.body.contains("<script") && !told.body.contains(" style=\""), "{}", told.body);
    }
    let page = operator.page("/").await;
    let style = page.split('"').find(|part| part.starts_with("/style.css?v=")).expect("a style").to_owned();
    assert!(nobody.get(&style).await.header("cache-control").contains("immutable"));
    dashboard.stop(&[]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_never_end_keep_nobody_out() {
    use tokio::io::AsyncWriteExt;

    let system = without_workers().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let addr = dashboard.base.strip_prefix("http://").expect("an address");
    let begun = format!(
        "POST /sign-in HTTP/1.1\r\nhost: {addr}\r\nsec-fetch-site: same-origin\r\ncookie: switchboard-form=0\r\n\
         content-type: {FORM}\r\ncontent-length: 100\r\n\r\nsecret="
    );
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = tokio::net::TcpStream::connect(addr).await.expect("it listens");
        stream.write_all(begun.as_bytes()).await.expect("it reads");
        slow.push(stream);
    }
    // Each is known to the server before the next one is looked at.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(dashboard.visitor().sign_in(SECRET).await.status, StatusCode::SEE_OTHER);
    for stream in &slow {
        let told = stream.try_read(&mut [0; 16]);
        assert!(told.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "it still waits for the rest");
    }
    dashboard.stop(&[]);
    system.stop().await;
}
