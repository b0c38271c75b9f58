//! Where everything is, and how the product's processes are started for a measurement.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use mongodb::{Client, Database, options::ClientOptions};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::settings::Reader;

use super::{
    options::{Bench, Size},
    process::{Process, free_addr},
    queues::{PARTITIONS, Queues},
    requests::{BUSINESSES, business},
    stand_in::StandIn,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// Connections to MongoDB, as many as a worker has.
const POOL: u32 = 64;

/// What every scenario needs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) rabbitmq_url: SecretString,
    pub(super) mongodb_uri: SecretString,
    pub(super) binaries: PathBuf,
    pub(super) python: PathBuf,
    pub(super) reference: PathBuf,
    pub(super) out: PathBuf,
    pub(super) size: Size,
    /// Signs the webhooks of this run.
    pub(super) app_secret: SecretString,
    encryption_secret: String,
}

/// A process that takes webhooks.
#[derive(Debug)]
pub(super) struct Taker {
    pub(super) process: Process,
    pub(super) addr: SocketAddr,
}

impl Stage {
    /// Reads the environment and finds the binaries.
    pub(super) fn set(bench: &Bench) -> anyhow::Result<Self> {
        let mut reader = Reader::from_environment();
        let (rabbitmq_url, mongodb_uri) =
            (reader.required_secret("RABBITMQ_URL"), reader.required_secret("MONGODB_URI"));
        reader.finish()?;
        let beside = env::current_exe()?.parent().map(Path::to_path_buf).unwrap_or_default();
        let binaries = bench.binaries.clone().unwrap_or(beside);
        let out = env::current_dir()?.join(&bench.out);
        fs::create_dir_all(out.join("logs")).with_context(|| format!("create {}", out.display()))?;
        let stage = Self {
            rabbitmq_url: rabbitmq_url.context("RABBITMQ_URL is set")?,
            mongodb_uri: mongodb_uri.context("MONGODB_URI is set")?,
            binaries: env::current_dir()?.join(binaries),
            python: env::current_dir()?.join(&bench.python),
            reference: env::current_dir()?.join(&bench.reference),
            out,
            size: bench.size(),
            app_secret: SecretString::from(format!("{:032x}", rand::random::<u128>())),
            encryption_secret: format!("{:032x}", rand::random::<u128>()),
        };
        for name in ["ingest", "worker"] {
            ensure!(
                stage.binary(name).is_file(),
                "{} is not there; deploy/bench.sh builds it",
                stage.binary(name).display()
            );
        }
        allow_many_files()?;
        Ok(stage)
    }

    pub(super) fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.out.join("logs")
    }

    /// Starts ingest and waits until it is ready; says how long that took.
    pub(super) async fn start_ingest(&self, queues: &Queues) -> anyhow::Result<(Taker, Duration)> {
        let (addr, admin) = (free_addr()?, free_addr()?);
        let environment = [
            ("RABBITMQ_URL", self.rabbitmq_url.expose_secret().to_owned()),
            ("QUEUE_PREFIX", queues.prefix.clone()),
            ("QUEUE_PARTITIONS", PARTITIONS.to_string()),
            ("INGEST_ADDR", addr.to_string()),
            ("METRICS_ADDR", admin.to_string()),
            ("WHATSAPP_VERIFY_TOKEN", "bench-verify-token".to_owned()),
            ("WHATSAPP_APP_SECRET", self.app_secret.expose_secret().to_owned()),
        ];
        let mut process = Process::start("ingest", &self.binary("ingest"), &[], &environment, &self.logs())?;
        let ready = process.ready(admin, "/readyz", READY_WITHIN).await?;
        Ok((Taker { process, addr }, ready))
    }

    /// Starts the reference with so many processes, and waits until it answers.
    pub(super) async fn start_reference(&self, queues: &Queues, processes: usize) -> anyhow::Result<Taker> {
        let addr = free_addr()?;
        let environment = [
            ("RABBITMQ_URL", self.rabbitmq_url.expose_secret().to_owned()),
            ("QUEUE_PREFIX", queues.prefix.clone()),
            ("QUEUE_PARTITIONS", PARTITIONS.to_string()),
            ("WHATSAPP_APP_SECRET", self.app_secret.expose_secret().to_owned()),
            ("PYTHONPATH", self.reference.display().to_string()),
        ];
        let (port, processes) = (addr.port().to_string(), processes.to_string());
        #[rustfmt::skip]
        let arguments = [
            "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", &port, "--workers", &processes,
            "--no-access-log", "--log-level", "warning",
        ];
        let mut process = Process::start("reference", &self.python, &arguments, &environment, &self.logs())?;
        process.ready(addr, "/healthz", READY_WITHIN).await?;
        Ok(Taker { process, addr })
    }

    /// Starts a worker and waits until it is ready; says how long that took.
    pub(super) async fn start_worker(
        &self,
        installation: &Installation,
        name: &str,
        more: &[(&str, String)],
    ) -> anyhow::Result<(Process, Duration)> {
        let admin = free_addr()?;
        let mut environment = installation.environment.clone();
        environment.push(("METRICS_ADDR", admin.to_string()));
        environment.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        environment.extend(more.iter().cloned());
        let mut process = Process::start(name, &self.binary("worker"), &[], &environment, &self.logs())?;
        let ready = process.ready(admin, "/readyz", READY_WITHIN).await?;
        Ok((process, ready))
    }

    /// Queues and a database of their own, with the businesses in it.
    pub(super) async fn install(&self, what: &str, stand_in: &StandIn) -> anyhow::Result<Installation> {
        let queues = Queues::declare(&self.rabbitmq_url, what).await?;
        let mut options = ClientOptions::parse(self.mongodb_uri.expose_secret()).await.context("read MONGODB_URI")?;
        // The driver's own default is ten, which would make the bare writes wait for each other and not for MongoDB.
        options.max_pool_size = Some(POOL);
        let client = Client::with_options(options)?;
        let database = client.database(&queues.prefix);
        let environment = vec![
            ("RABBITMQ_URL", self.rabbitmq_url.expose_secret().to_owned()),
            ("QUEUE_PREFIX", queues.prefix.clone()),
            ("QUEUE_PARTITIONS", PARTITIONS.to_string()),
            ("MONGODB_URI", self.mongodb_uri.expose_secret().to_owned()),
            ("MONGODB_DB_NAME", queues.prefix.clone()),
            ("ENCRYPTION_SECRET", self.encryption_secret.clone()),
            ("GRAPH_API_URL", stand_in.graph_url()),
            ("AI_API_URL", stand_in.ai_url()),
            ("GROQ_API_KEY", "bench-key".to_owned()),
            // Whoever writes here writes one message and waits.
            ("QUIET_MILLIS", "0".to_owned()),
            ("RUST_LOG", "warn".to_owned()),
        ];
        let installation = Installation { queues, client, database, environment };
        self.import(&installation).await?;
        Ok(installation)
    }

    async fn import(&self, installation: &Installation) -> anyhow::Result<()> {
        let businesses: Vec<_> = (0..BUSINESSES)
            .map(business)
            .map(|business| {
                json!({
                    "subDomain": business.name,
                    "name": business.name,
                    "wabaId": business.waba_id,
                    "whatsappPhoneNumberIds": [business.phone_number_id],
                    "whatsappAccessToken": business.token.expose_secret(),
                    "whatsappEnabled": true,
                    "isActive": true,
                    "companion": {
                        "persona": "You are Kim from the hire desk of Harbour Bikes: cheerful and brief.",
                        "scope": "hiring bikes, prices, opening hours, routes around the harbour",
                    },
                })
            })
            .collect();
        let file = self.logs().join("businesses.json");
        fs::write(&file, serde_json::to_vec(&businesses)?)?;
        let path = file.display().to_string();
        let imported = tokio::process::Command::new(self.binary("worker"))
            .args(["business", "import", &path])
            .env_clear()
            .envs(installation.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.logs())
            .output()
            .await?;
        let complaint = String::from_utf8_lossy(&imported.stderr);
        ensure!(imported.status.success(), "the businesses could not be imported: {complaint}");
        Ok(())
    }
}

/// What one run of workers has for itself.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) queues: Queues,
    pub(super) client: Client,
    pub(super) database: Database,
    environment: Vec<(&'static str, String)>,
}

impl Installation {
    /// Deletes queues and database.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        self.database.drop().await.context("drop the database of the run")?;
        self.queues.delete().await;
        Ok(())
    }
}

/// Ten thousand conversations in flight are as many sockets, here and in the worker, which inherits the limit.
fn allow_many_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raise the limit of open files")
}
