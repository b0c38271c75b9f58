//! Each fault by itself, and a business without any.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{super::check::Severity, *};
use crate::whatsapp::GraphError;

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

fn info() -> TokenInfo {
    TokenInfo {
        app_id: Some("11".to_owned()),
        is_valid: true,
        scopes: SCOPES.map(|(scope, _)| scope.to_owned()).to_vec(),
        ..TokenInfo::default()
    }
}

fn number(id: &str, display: &str) -> AccountNumber {
    AccountNumber { id: id.to_owned(), display: display.to_owned() }
}

fn fine() -> Answers {
    let account = Account { numbers: Ok(vec![number("1001", "+49 151 23456789")]), apps: Ok(vec!["11".to_owned()]) };
    Answers { token: Ok(info()), account: Some(account), strangers: BTreeMap::new() }
}

fn refused(code: i64) -> AskError {
    let body = format!(r#"{{"error":{{"code":{code},"message":"Meta said no"}}}}"#);
    AskError::Refused(GraphError::from_answer(400, body.as_bytes(), None))
}

fn judged(examinee: &Examinee, answers: &Answers) -> Vec<Check> {
    let apps = [MetaApp { id: "11".to_owned(), secret: SecretString::from("s3cret") }];
    let checks = Verdict { examinee, apps: &apps, now: now() }.of(answers);
    let text = format!("{checks:?}");
    assert!(!text.contains("EAAsecret") && !text.contains("s3cret"), "{text}");
    checks
}

/// The one check of answers, as its severity, problem and mend.
fn only(examinee: &Examinee, answers: &Answers) -> (Severity, String, String) {
    let checks = judged(examinee, answers);
    let [check] = checks.as_slice() else { panic!("one check, not {checks:?}") };
    (check.severity, check.problem.clone(), check.mend.clone().expect("how to mend it"))
}

#[test]
fn a_business_without_a_fault_has_no_check() {
    assert_eq!(judged(&examinee("acme"), &fine()), []);
}

#[test]
fn a_token_that_is_no_good_says_why_and_how_to_get_another() {
    let with = |token| Answers { token, account: None, strangers: BTreeMap::new() };
    let past = Timestamp::from_second(NOW - 86_400).ok();
    for (token, words) in [
        (Err(refused(190)), "Meta said no"),
        (Ok(TokenInfo { is_valid: false, expires_at: past, ..info() }), "has expired on 2027-01-14"),
        (Ok(TokenInfo { is_valid: false, problem: Some("gone".to_owned()), ..info() }), "not valid: gone"),
    ] {
        let (severity, problem, mend) = only(&examinee("acme"), &with(token));
        assert!(severity == Severity::Error && problem.contains(words), "{problem}");
        assert!(mend.contains("worker business set acme whatsappAccessToken -"), "{mend}");
    }
    let (severity, problem, _) = only(&examinee("acme"), &with(Err(AskError::NoAnswer("timed out".to_owned()))));
    assert!(severity == Severity::Warning && problem.contains("timed out"), "nobody knows whether it is good");
}

#[test]
fn what_a_valid_token_lacks_is_named() {
    let with = |token| Answers { token: Ok(token), ..fine() };
    let soon = Timestamp::from_second(NOW + 86_400).ok();
    let (severity, problem, _) = only(&examinee("acme"), &with(TokenInfo { expires_at: soon, ..info() }));
    assert!(severity == Severity::Warning && problem.contains("ends on 2027-01-16"), "{problem}");
    let scopes = vec!["whatsapp_business_management".to_owned()];
    let (severity, problem, _) = only(&examinee("acme"), &with(TokenInfo { scopes, ..info() }));
    assert!(severity == Severity::Error && problem.contains("whatsapp_business_messaging"), "{problem}");
    let targets = BTreeMap::from([("whatsapp_business_messaging".to_owned(), vec!["another".to_owned()])]);
    let (_, problem, mend) = only(&examinee("acme"), &with(TokenInfo { targets, ..info() }));
    assert!(problem.contains("other accounts") && mend.contains("system user"), "{problem}");
    let foreign = TokenInfo { app_id: Some("99".to_owned()), ..info() };
    let account = Account { apps: Ok(vec!["99".to_owned()]), ..fine().account.expect("one") };
    let answers = Answers { token: Ok(foreign), account: Some(account), ..fine() };
    let (severity, problem, _) = only(&examinee("acme"), &answers);
    assert!(severity == Severity::Warning && problem.contains("app 99"), "{problem}");
}

#[test]
fn an_account_that_is_not_subscribed_is_told_how_to_be() {
    let with = |apps: &[&str]| {
        let apps = Ok(apps.iter().map(|app| (*app).to_owned()).collect());
        Answers { account: Some(Account { apps, ..fine().account.expect("one") }), ..fine() }
    };
    for apps in [&[][..], &["22"]] {
        let (severity, problem, mend) = only(&examinee("acme"), &with(apps));
        assert!(severity == Severity::Error && problem.contains("not subscribed"), "{problem}");
        assert!(mend.contains("POST /waba/subscribed_apps"), "{mend}");
    }
    assert_eq!(judged(&examinee("acme"), &with(&["22", "11"])), []);
}

#[test]
fn the_number_or_the_account_in_place_of_an_id_is_recognised_and_the_right_one_named() {
    let right = r#"worker business set acme whatsappPhoneNumberIds '["1001"]'"#;
    for (entry, words) in [("4915123456789", "phone number itself"), ("015123456789", "phone number itself")] {
        let answers = Answers { strangers: BTreeMap::from([(entry.to_owned(), Err(refused(100)))]), ..fine() };
        let slip = Examinee { number_ids: vec![entry.to_owned()], ..examinee("acme") };
        let (severity, problem, mend) = only(&slip, &answers);
        assert!(severity == Severity::Error && problem.contains(words), "{problem}");
        assert!(mend.contains(right) && mend.contains("+49 151 23456789"), "{mend}");
    }
    let slip = Examinee { number_ids: vec!["waba".to_owned()], ..examinee("acme") };
    let (_, problem, mend) = only(&slip, &fine());
    assert!(problem.contains("id of its account") && mend.contains(right), "{problem}: {mend}");
}

#[test]
fn an_id_of_nobody_of_another_account_or_of_another_thing_is_told_apart() {
    let stranger = Examinee { number_ids: vec!["7777".to_owned()], ..examinee("acme") };
    let with = |found| Answers { strangers: BTreeMap::from([("7777".to_owned(), found)]), ..fine() };
    for (found, severity, words) in [
        (Err(refused(100)), Severity::Error, "not known at Meta"),
        (Ok(None), Severity::Error, "something else"),
        (Ok(Some(number("7777", "+1 555 0100"))), Severity::Error, "another account"),
        (Err(AskError::NoAnswer("timed out".to_owned())), Severity::Warning, "timed out"),
    ] {
        let (found, problem, _) = only(&stranger, &with(found));
        assert!(found == severity && problem.contains(words), "{problem}");
    }
}

#[test]
fn an_account_that_is_none_or_is_missing_is_named() {
    let account = Account { numbers: Err(refused(100)), apps: Err(refused(100)) };
    let known = BTreeMap::from([("1001".to_owned(), Ok(Some(number("1001", "+49 151 23456789"))))]);
    let answers = Answers { account: Some(account), strangers: known.clone(), ..fine() };
    let (severity, problem, _) = only(&examinee("acme"), &answers);
    assert!(severity == Severity::Error && problem.contains("wabaId waba"), "{problem}");
    let none = Examinee { waba_id: None, ..examinee("acme") };
    let answers = Answers { account: None, strangers: known, ..fine() };
    let (severity, problem, mend) = only(&none, &answers);
    assert!(severity == Severity::Warning && problem.contains("no wabaId") && mend.contains("set acme wabaId"));
}
