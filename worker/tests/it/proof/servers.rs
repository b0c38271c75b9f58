//! RabbitMQ and MongoDB of one test alone, to be stopped, killed and frozen without harm to the others.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::system::harness::Servers;

/// A pair of servers. Dropping it stops them and deletes their data.
pub(super) struct OwnServers {
    directory: PathBuf,
    pub(super) servers: Servers,
}

impl OwnServers {
    /// Starts a pair under that name.
    pub(super) async fn start(name: &str) -> Self {
        let directory = root().join("target").join(format!("services-{name}"));
        let mut own = Self { directory, servers: Servers { rabbitmq_url: String::new(), mongodb_uri: String::new() } };
        // What an interrupted run may have left behind.
        own.run(&["down"]).await;
        own.run(&["up"]).await;
        let environment = own.run(&["env"]).await;
        let variable = |name: &str| {
            let lines = environment.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
            let (_, value) = lines.into_iter().find(|(found, _)| *found == name).expect("services.sh env names it");
            value.trim_matches('\'').to_owned()
        };
        own.servers = Servers { rabbitmq_url: variable("RABBITMQ_URL"), mongodb_uri: variable("MONGODB_URI") };
        own
    }

    /// `stop`, `start`, `kill`, `restart`, `freeze` or `thaw` of `rabbitmq` or `mongodb`.
    pub(super) async fn fault(&self, action: &str, server: &str) {
        self.run(&[action, server]).await;
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = command(&self.directory, arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
        let output = output.expect("bash runs");
        assert!(output.status.success(), "services.sh: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for OwnServers {
    fn drop(&mut self) {
        drop(command(&self.directory, &["down"]).output());
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.arg(root().join("deploy/services.sh")).args(arguments);
    command.env("SWITCHBOARD_SERVICES_DIR", directory);
    command.env("SWITCHBOARD_SERVICES_CACHE", root().join("target/services/cache"));
    // Servers that are given are everybody's.
    for name in ["RABBITMQ_URL", "MONGODB_URI"] {
        command.env_remove(name);
    }
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}
