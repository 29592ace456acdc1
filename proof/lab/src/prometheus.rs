//! A real Prometheus that discovers and scrapes the lab's pods.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::access::Access;
use crate::process::Process;
use crate::tools::Tools;
use crate::web::{self, Connections, HttpClient};

/// How long Prometheus may take to become ready.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a Prometheus is started with.
#[derive(Debug, Clone)]
pub struct PrometheusOptions {
    /// Time between two scrapes of a pod, in whole seconds.
    pub scrape_interval: Duration,
    /// Addresses that are scraped besides the pods, under the job name `targets`. Labels and timestamps in what they answer are kept.
    pub targets: Vec<SocketAddr>,
}

impl Default for PrometheusOptions {
    fn default() -> Self {
        Self { scrape_interval: Duration::from_secs(5), targets: Vec::new() }
    }
}

/// A running Prometheus. Dropping it kills it.
///
/// Every container port of every running pod is scraped at `/metrics`. Series carry `namespace`, `pod`, `container`,
/// and, from the pod's labels of the same name, `app`, `pod_template_hash` and `trimtab_dev_phase`.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    url: String,
    client: HttpClient,
}

impl Prometheus {
    /// Starts it with its data in `directory` and waits until it answers queries.
    ///
    /// # Errors
    /// When it does not become ready; the error carries the end of its output.
    pub async fn start(
        tools: &Tools,
        access: &Access,
        directory: &Path,
        port: u16,
        options: &PrometheusOptions,
    ) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let file: PathBuf = directory.join("prometheus.yml");
        // JSON is YAML.
        fs::write(&file, configuration(access, options).to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(&tools.prometheus);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::spawn("prometheus", command, directory)?;
        let url = format!("http://127.0.0.1:{port}");
        let mut prometheus = Self { process, url, client: web::client(Connections::Pooled) };
        prometheus.wait_until_ready().await?;
        Ok(prometheus)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let url = format!("{}/-/ready", self.url);
        let client = self.client.clone();
        let ready = async || {
            web::fetch(&client, Method::GET, &url, &[]).await.is_ok_and(|answer| answer.0.is_success())
        };
        self.process.wait_until_ready(START_LIMIT, ready).await
    }

    /// `http://127.0.0.1:port`, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The last lines of its output.
    pub fn tail(&self, lines: usize) -> String {
        self.process.tail(lines)
    }

    /// Evaluates an expression now, or at `at`: the `data` of the answer (`resultType` and `result`).
    ///
    /// # Errors
    /// When the expression is refused; the error carries Prometheus' words.
    pub async fn query(&self, expression: &str, at: Option<Timestamp>) -> Result<Value> {
        let time = at.map(|at| seconds(at).to_string());
        let mut form = vec![("query", expression)];
        form.extend(time.as_deref().map(|time| ("time", time)));
        self.fetch_data("/api/v1/query", &form).await.with_context(|| format!("cannot evaluate {expression}"))
    }

    /// Evaluates an expression every `step` from `start` to `end`: the `data` of the answer, a matrix.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn query_range(
        &self,
        expression: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Value> {
        let (start, end) = (seconds(start).to_string(), seconds(end).to_string());
        let step = step.as_secs_f64().to_string();
        let form = [("query", expression), ("start", &start), ("end", &end), ("step", &step)];
        self.fetch_data("/api/v1/query_range", &form)
            .await
            .with_context(|| format!("cannot evaluate {expression}"))
    }

    /// The first sample of an instant query as a number; `None` when it has no sample.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn query_number(&self, expression: &str) -> Result<Option<f64>> {
        let data = self.query(expression, None).await?;
        let number = data["result"][0]["value"][1].as_str();
        number.map(|number| number.parse().with_context(|| format!("{number} is not a number"))).transpose()
    }

    async fn fetch_data(&self, path: &str, form: &[(&str, &str)]) -> Result<Value> {
        let mut answer = web::fetch_json(&self.client, &format!("{}{path}", self.url), form).await?;
        Ok(answer["data"].take())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it can neither be ended nor killed.
    pub async fn stop(mut self) -> Result<()> {
        self.process.stop().await
    }
}

fn seconds(instant: Timestamp) -> f64 {
    instant.as_millisecond() as f64 / 1000.0
}

fn configuration(access: &Access, options: &PrometheusOptions) -> Value {
    let interval = format!("{}s", options.scrape_interval.as_secs().max(1));
    let discovery = json!({
        "role": "pod",
        "api_server": access.url,
        "authorization": {"credentials": access.token},
        "tls_config": {"ca_file": access.certificate_authority},
    });
    let copy = |from: &str, to: &str| json!({"source_labels": [format!("__meta_kubernetes_{from}")], "target_label": to});
    json!({
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [{
            "job_name": "pods",
            "kubernetes_sd_configs": [discovery],
            "relabel_configs": [
                // A pod that does not run has no address yet, or nobody who listens on it.
                {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Running", "action": "keep"},
                {"source_labels": ["__meta_kubernetes_pod_container_port_number"], "regex": ".+", "action": "keep"},
                copy("namespace", "namespace"),
                copy("pod_name", "pod"),
                copy("pod_container_name", "container"),
                copy("pod_label_app", "app"),
                copy("pod_label_pod_template_hash", "pod_template_hash"),
                copy("pod_label_trimtab_dev_phase", "trimtab_dev_phase"),
            ],
        }, {
            "job_name": "targets",
            "honor_labels": true,
            "static_configs": [{"targets": options.targets}],
        }],
    })
}
