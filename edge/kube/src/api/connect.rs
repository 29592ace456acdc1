//! Finding the API server: kubeconfig, or the pod's service account.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Api;
use super::send::chain;

/// Why no API server could be configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot configure access to the Kubernetes API from {from}: {cause}; check with `kubectl config view`"
)]
pub struct ConnectError {
    /// Where the configuration was looked for.
    pub from: String,
    /// What is wrong with it.
    pub cause: String,
}

impl Api {
    /// An API from the kubeconfig at `path` (otherwise `$KUBECONFIG`, `~/.kube/config`, then the pod's service account)
    /// and its `context` (otherwise the current one). Sends no request.
    pub async fn from_kubeconfig(
        path: Option<&Path>,
        context: Option<&str>,
        field_manager: &'static str,
    ) -> Result<Api, ConnectError> {
        let from = path.map_or_else(|| "the environment".to_owned(), |path| path.display().to_string());
        let failed = |cause: String| ConnectError { from: from.clone(), cause };
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = match (path, context) {
            (Some(path), _) => {
                let file = Kubeconfig::read_from(path).map_err(|error| failed(chain(&error)))?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(|error| failed(chain(&error)))?
            }
            (None, Some(_)) => {
                Config::from_kubeconfig(&options).await.map_err(|error| failed(chain(&error)))?
            }
            (None, None) => Config::infer().await.map_err(|error| failed(chain(&error)))?,
        };
        let client = Client::try_from(bounded(config)).map_err(|error| failed(chain(&error)))?;
        Ok(Api::new(client, field_manager))
    }
}

/// Without kube's own retries: up to 15, at most 1000 s apart, at random. `Api` has its own, bounded ones.
fn bounded(mut config: Config) -> Config {
    config.default_retry = false;
    config
}
