//! The rule for logs, with the customers of a journal.

use simulator::{
    Seed,
    checker::{Leak, LeakKind, Rule, Secrets, check_log, judge},
};

use super::trace::{ANA, BEA, Trace, scenario};

fn leaks(log: &str) -> Vec<(usize, LeakKind)> {
    let mut trace = Trace::default();
    trace.write("1001", ANA, 1, "hello");
    trace.answer("1001", BEA, "ANS #m000002");
    let secrets = Secrets::of_customers(&trace.entries).and("the access token of acme", &"EAAacmeTOKEN".into());
    check_log(log, &secrets).into_iter().map(|Leak { line, kind }| (line, kind)).collect()
}

#[test]
fn a_clean_log_shows_the_ends_of_numbers_and_no_more() {
    let log = format!("{{\"message\":\"landed\",\"session\":\"acme:…0001\",\"seed\":\"{:?}\"}}\nstopped", Seed(49_151));
    assert_eq!(leaks(&log), []);
}

#[test]
fn a_token_a_customer_and_a_text_are_found_by_line() {
    let token = LeakKind::Secret("the access token of acme".to_owned());
    assert_eq!(leaks("ready\nAuthorization: Bearer EAAacmeTOKEN"), [(2, token)]);
    assert_eq!(leaks(&format!("sent to +{ANA}\nsent to {BEA}.")), [(1, LeakKind::Customer), (2, LeakKind::Customer)]);
    assert_eq!(leaks("\n\nthe answer is ANS #m000001"), [(3, LeakKind::Text)]);
}

#[test]
fn what_logs_show_is_part_of_the_verdict() {
    let mut report = judge(&Trace::default().entries, &scenario());
    report.add_log("worker", &[Leak { line: 7, kind: LeakKind::Text }]);
    assert_eq!(super::broken(&report), [Rule::Logs]);
    assert!(
        report.verdict().expect_err("a leak").starts_with("logs: the text of a message stands in line 7 of worker")
    );
}
