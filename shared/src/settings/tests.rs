use super::*;

#[test]
fn every_problem_is_reported_at_once_by_name_and_without_values() {
    let mut reader = Reader::from_pairs([
        ("RABBITMQ_URL", "http://user:hunter2@host"),
        ("QUEUE_PARTITIONS", "many"),
        ("PUBLISH_TIMEOUT_SECS", "-3"),
        ("LOG_FORMAT", "xml"),
    ]);
    drop(crate::telemetry::TelemetrySettings::read(&mut reader));
    assert!(BrokerSettings::read(&mut reader).is_none());
    let text = reader.finish().expect_err("four problems").to_string();
    for name in ["RABBITMQ_URL", "QUEUE_PARTITIONS", "PUBLISH_TIMEOUT_SECS", "LOG_FORMAT"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn defaults_are_those_of_the_table() {
    let mut reader = Reader::from_pairs([("RABBITMQ_URL", "amqp://localhost")]);
    let broker = BrokerSettings::read(&mut reader).expect("valid");
    reader.finish().expect("no problems");
    assert_eq!(broker.topology, Topology::new("whatsapp", 8));
    assert_eq!(broker.publish_timeout, Duration::from_secs(5));
}

#[test]
fn a_secret_comes_from_a_file_too_but_not_from_both() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "s3cret\n").expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let mut reader = Reader::from_pairs([("A_FILE", path), ("B", "x"), ("B_FILE", path), ("C_FILE", "/nowhere")]);
    assert_eq!(reader.secret("A").expect("read").expose_secret(), "s3cret");
    assert!(reader.secret("B").is_none());
    assert!(reader.required_secret("C").is_none());
    let text = reader.finish().expect_err("two problems").to_string();
    assert!(text.contains("B and B_FILE are both set") && text.contains("C_FILE"), "{text}");
    assert!(!text.contains("C is required"), "one problem is reported once: {text}");
}

#[test]
fn the_environment_wins_over_the_env_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "# comment\nA=file\nB=\"quoted value\"\nEMPTY=\n").expect("written");
    let mut reader = Reader::from_pairs([("A", "environment")]);
    reader.read_dotenv(file.path());
    assert_eq!(reader.text("A").as_deref(), Some("environment"));
    assert_eq!(reader.text("B").as_deref(), Some("quoted value"));
    assert_eq!(reader.text("EMPTY"), None);
}

#[test]
fn a_dollar_that_would_be_replaced_is_a_problem_of_whoever_asks_for_the_variable() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = "A='s3cr$et'\nB=s3cr$et\nC_FILE=/run/$C\nD=$HOME/d\nE=$\nF=\\$f\nG=\"$g\"\nH=s3cr$et\n";
    std::fs::write(file.path(), text).expect("written");
    let mut reader = Reader::from_pairs([("H", "environment")]);
    reader.read_dotenv(file.path());
    assert_eq!((reader.text("A").as_deref(), reader.text("F").as_deref()), (Some("s3cr$et"), Some("$f")));
    assert_eq!(reader.text("H").as_deref(), Some("environment"));
    assert!(reader.is_set("B") && reader.is_set("C"), "wrong is not missing");
    assert!(reader.required_secret("B").is_none() && reader.required_secret("C").is_none());
    assert!(reader.required_text("E").is_none() && reader.text("G").is_none());
    let mut reader = reader.with("G", "said so");
    assert_eq!(reader.text("G").as_deref(), Some("said so"));
    let problems = reader.finish().expect_err("four problems");
    let told: Vec<_> = problems.list().iter().map(|(name, what)| (name.as_str(), what.as_str())).collect();
    let names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["B", "C_FILE", "E", "G"], "D is another program's");
    for ((name, what), line) in told.iter().zip([2, 3, 5, 7]) {
        assert!(what.contains(&format!("line {line},")) && what.contains("single quotes"), "{name} {what}");
    }
    assert!(!problems.to_string().contains("s3cr"));
}

#[test]
fn the_environment_wins_over_the_env_file_in_whichever_form_it_has_a_secret() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "of a file").expect("written");
    let path = secret.path().to_str().expect("UTF-8");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!("A=file\nB_FILE=/nowhere\nC=file\nC_FILE={path}\nD=s3cr$et\n");
    std::fs::write(file.path(), text).expect("written");
    let mut reader = Reader::from_pairs([("A_FILE", path), ("B", "environment"), ("D_FILE", path)]);
    reader.read_dotenv(file.path());
    for (name, expected) in [("A", "of a file"), ("B", "environment"), ("D", "of a file")] {
        assert_eq!(reader.required_secret(name).expect("set").expose_secret(), expected, "{name}");
    }
    assert!(reader.required_secret("C").is_none(), "the file has it twice");
    assert_eq!(reader.finish().expect_err("one problem").list().len(), 1);
}

#[test]
fn a_process_has_time_to_stop() {
    for (told, is_right) in [("0", false), ("0.1", true), ("3600", true), ("3601", false)] {
        let mut reader = Reader::from_pairs([("STOP_TIMEOUT_SECS", told)]);
        stop_timeout(&mut reader);
        assert_eq!(reader.finish().is_ok(), is_right, "{told}");
    }
}

#[test]
fn settings_do_not_print_their_secrets() {
    let mut reader = Reader::from_pairs([("RABBITMQ_URL", "amqp://u:hunter2@localhost")]);
    let broker = BrokerSettings::read(&mut reader).expect("valid");
    assert!(!format!("{broker:?}").contains("hunter2"));
}

#[test]
fn files_for_tls_beside_a_url_without_it_are_a_problem_and_a_missing_file_is_one_anyway() {
    for (url, expected) in [
        ("amqp://localhost", "RABBITMQ_CA_FILE is set, but RABBITMQ_URL does not begin with `amqps://`"),
        ("amqps://localhost", "RABBITMQ_CA_FILE names a file that cannot be read, /nowhere"),
    ] {
        let mut reader = Reader::from_pairs([("RABBITMQ_URL", url), ("RABBITMQ_CA_FILE", "/nowhere")]);
        assert!(BrokerSettings::read(&mut reader).is_some());
        let text = reader.finish().expect_err("a problem").to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn app_secrets_are_a_list_with_or_without_app_ids() {
    let mut reader = Reader::from_pairs([("WHATSAPP_APP_SECRET", "plain, 1234:with-id ,5:a:b")]);
    let read: Vec<_> = app_secrets(&mut reader)
        .iter()
        .map(|s| (s.app_id.clone().unwrap_or_default(), s.secret.expose_secret().to_owned()))
        .collect();
    let expected = [("", "plain"), ("1234", "with-id"), ("5", "a:b")];
    assert_eq!(read, expected.map(|(id, secret)| (id.to_owned(), secret.to_owned())));
    reader.finish().expect("no problems");
}

#[test]
fn every_wrong_app_secret_is_reported_without_its_text() {
    let mut reader = Reader::from_pairs([("WHATSAPP_APP_SECRET", "hunter2,,name:hunter3,77:,:hunter4")]);
    assert!(reader.is_set("WHATSAPP_APP_SECRET") && !reader.is_set("OTHER"));
    assert_eq!(app_secrets(&mut reader).len(), 1);
    let text = reader.finish().expect_err("four problems").to_string();
    for item in 2..=5 {
        assert!(text.contains(&format!("(item {item} of its list)")), "{text}");
    }
    assert!(!text.contains("hunter") && !text.contains("name") && !text.contains("77"), "{text}");
    assert!(app_secrets(&mut Reader::from_pairs([("A", "b")])).is_empty());
}

#[test]
fn addresses_come_in_the_usual_spellings() {
    let mut reader = Reader::from_pairs([("A", ":9100"), ("B", "localhost:1"), ("C", "[::1]:2"), ("D", "host")]);
    let mut read = |name| ListenAddr::read(&mut reader, name, "127.0.0.1:9");
    assert_eq!(read("A").addr.to_string(), "0.0.0.0:9100");
    assert_eq!(read("B").addr.to_string(), "127.0.0.1:1");
    assert_eq!(read("C").addr.to_string(), "[::1]:2");
    assert!(!read("E").explicit);
    assert_eq!(read("D").addr.to_string(), "127.0.0.1:9");
    assert!(reader.finish().is_err());
}
