//! What ingest must stay without: it is the part that has to survive, so it links as little as it can.

use std::process::Command;

#[test]
fn neither_a_database_nor_a_client_of_apis_nor_openssl_is_linked() {
    let arguments = ["tree", "--package", "ingest", "--edges", "normal", "--prefix", "none", "--locked", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(tree.lines().any(|line| line.starts_with("lapin ")), "{tree}");
    for name in ["mongodb", "bson", "reqwest", "openssl", "openssl-sys", "native-tls", "aws-lc-rs", "worker"] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is linked:\n{tree}");
    }
}
