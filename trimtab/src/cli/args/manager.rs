//! Flags of the manager.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use trimtab_providers::prometheus::Limits;
use trimtab_units::GoDuration;

/// Arguments of `manager`.
#[derive(Clone, Debug, Args)]
pub struct ManagerArgs {
    /// Where Prometheus is, such as http://prometheus.monitoring:9090
    #[arg(long, value_name = "URL", env = "TRIMTAB_PROMETHEUS_URL")]
    pub prometheus_url: Option<String>,
    /// Matchers that narrow every query, such as cluster="eu-1", where one Prometheus knows several clusters
    #[arg(
        long,
        value_name = "MATCHERS",
        env = "TRIMTAB_PROMETHEUS_MATCHERS",
        default_value = "",
        hide_default_value = true
    )]
    pub prometheus_matchers: String,
    /// File with a bearer token for Prometheus
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus_basic_auth_file")]
    pub prometheus_bearer_token_file: Option<PathBuf>,
    /// File that reads user:password, for Prometheus
    #[arg(long, value_name = "FILE")]
    pub prometheus_basic_auth_file: Option<PathBuf>,
    /// File with the certificate authorities that Prometheus is trusted by; default is the system's
    #[arg(long, value_name = "FILE")]
    pub prometheus_ca_file: Option<PathBuf>,
    /// File with a client certificate for Prometheus
    #[arg(long, value_name = "FILE", requires = "prometheus_key_file")]
    pub prometheus_cert_file: Option<PathBuf>,
    /// File with the client certificate's key
    #[arg(long, value_name = "FILE", requires = "prometheus_cert_file")]
    pub prometheus_key_file: Option<PathBuf>,
    /// Longest that one query may take
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub prometheus_timeout: GoDuration,
    /// Series in one answer of Prometheus; of more, it is asked for sums by pod
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().max_series)]
    pub prometheus_max_series: usize,
    /// Sums in one answer of Prometheus: at least twice the pods of the largest service
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().max_sums)]
    pub prometheus_max_sums: usize,
    /// Bytes of one answer of Prometheus; four are read at a time, as much as two is held until it is judged, and each
    /// needs about twice as much memory
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().response_bytes)]
    pub prometheus_max_answer_bytes: usize,
    /// Addresses inside the cluster that messages may be sent to, such as 10.96.7.1/32; may be given several times
    #[arg(long, value_name = "CIDR")]
    pub notify_allow: Vec<trimtab_providers::http::IpNet>,
    /// Namespace to look after; may be given several times; default is all of them
    #[arg(long, value_name = "NAMESPACE", env = "TRIMTAB_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,
    /// Look only after ManagedApps whose label trimtab.dev/instance has this value; default is those without that label
    #[arg(long, value_name = "ID", env = "TRIMTAB_INSTANCE")]
    pub instance: Option<String>,
    /// Where probes and metrics are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: std::net::SocketAddr,
    /// Namespace of the lease, and of the Secrets that FleetPolicies name; default is -n, then trimtab-system
    #[arg(long, value_name = "NAMESPACE")]
    pub leader_election_namespace: Option<String>,
    /// Form of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// Name of this replica; default is the pod's or the host's name
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
