//! How to reach the lab's API server, and as whom.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

/// Somebody whom the API server knows by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name in RBAC subjects and audit.
    pub name: String,
    /// Groups; `system:masters` may do everything.
    pub groups: Vec<String>,
}

impl User {
    /// A user with no group, and so no rights until RBAC gives some.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), groups: Vec::new() }
    }

    /// The one who may do everything.
    pub fn admin() -> Self {
        Self { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()] }
    }

    /// The bearer token of this user. Readable on purpose: the server is reachable in its own namespace only.
    pub fn token(&self) -> String {
        format!("{}-token", self.name)
    }

    /// One line of the file for `--token-auth-file`.
    pub(crate) fn token_line(&self) -> String {
        let Self { name, groups } = self;
        format!("{},{name},{name},\"{}\"\n", self.token(), groups.join(","))
    }
}

/// Address, identity and trust for one user of the API server.
#[derive(Debug, Clone)]
pub struct Access {
    /// `https://127.0.0.1:port`.
    pub url: String,
    /// Bearer token.
    pub token: String,
    /// PEM file to check the server's certificate against.
    pub certificate_authority: PathBuf,
    /// The same three, as a kubeconfig file.
    pub kubeconfig: PathBuf,
}

impl Access {
    /// Writes `<directory>/<user>.kubeconfig`.
    pub(crate) fn write(
        user: &User,
        url: &str,
        certificate_authority: &Path,
        directory: &Path,
    ) -> Result<Self> {
        let kubeconfig = directory.join(format!("{}.kubeconfig", user.name));
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": {"server": url, "certificate-authority": certificate_authority}}],
            "users": [{"name": user.name, "user": {"token": user.token()}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user.name, "namespace": "default"}}],
            "current-context": "lab",
        });
        fs::write(&kubeconfig, content.to_string())
            .with_context(|| format!("cannot write {}", kubeconfig.display()))?;
        let certificate_authority = certificate_authority.to_owned();
        Ok(Self { url: url.to_owned(), token: user.token(), certificate_authority, kubeconfig })
    }

    /// Configuration for a client library, with [`Access::token`] as the identity.
    ///
    /// # Errors
    /// When the kubeconfig or the certificate cannot be read; the server writes its certificate when it starts.
    pub async fn config(&self) -> Result<kube::Config> {
        let read = || format!("cannot use {}", self.kubeconfig.display());
        let mut kubeconfig = Kubeconfig::read_from(&self.kubeconfig).with_context(read)?;
        for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
            user.token = Some(self.token.clone().into());
        }
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .with_context(read)?;
        // By itself the client waits minutes on an eviction that a budget forbids; tests see the answer as it came.
        config.default_retry = false;
        Ok(config)
    }

    /// A client.
    ///
    /// # Errors
    /// As [`Access::config`].
    pub async fn client(&self) -> Result<kube::Client> {
        kube::Client::try_from(self.config().await?).context("cannot build a client")
    }
}
