//! The key of the seals on records: a Secret in the manager's namespace, which its installation brings without one and the
//! first leader fills.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trimtab_delivery::seal::{SealKey, Trust};
use trimtab_kube::api::Patch;
use trimtab_kube::entropy::Entropy;
use trimtab_kube::kinds::Trusted;
use trimtab_kube::resource::SECRETS;
use trimtab_kube::{Api, ApiError};

/// Name of the Secret. Every manager of a namespace seals with one key.
pub const SEAL_SECRET: &str = "trimtab-seal";
/// The key within its data.
const DATA_KEY: &str = "key";
/// How long a leader that found no key waits until it looks again.
const AGAIN: Duration = Duration::from_secs(5);

/// Where the key is, and how this process comes to know it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Seals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    namespace: String,
    entropy: Entropy,
    trust: Trusted,
    /// Why nothing is decided.
    missing: Mutex<Option<String>>,
}

/// Why there is no key now.
#[derive(Debug)]
enum NoKey {
    /// Somebody else wrote the Secret at the same time.
    Raced,
    /// In words.
    Because(String),
}

impl From<ApiError> for NoKey {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Conflict { .. } => Self::Raced,
            error => Self::Because(error.to_string()),
        }
    }
}

impl Seals {
    /// Seals with the key in `namespace`; `entropy` makes one where there is none. `trust` learns it.
    #[must_use]
    pub fn new(namespace: &str, entropy: Entropy, trust: Trusted) -> Self {
        let (namespace, missing) = (namespace.to_owned(), Mutex::new(None));
        Self(Arc::new(Shared { namespace, entropy, trust, missing }))
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<SealKey> {
        self.0.trust.with(|trust| match trust {
            Trust::Key(key) => Some(key.clone()),
            Trust::Nothing | Trust::Form => None,
        })
    }

    /// Fails where a leader holds its decisions because it has no key.
    ///
    /// # Errors
    /// Says what is missing, and what brings it back.
    pub fn ready(&self) -> Result<(), String> {
        match &*self.missing() {
            Some(why) => Err(format!("{why}; decisions are held")),
            None => Ok(()),
        }
    }

    /// Reads the key, and writes one where the Secret has none. Returns once there is one: without it no record can be told
    /// from one that somebody else wrote.
    pub(crate) async fn read(&self, api: &Api) {
        loop {
            match self.find(api).await {
                Ok(key) => {
                    *self.missing() = None;
                    return self.0.trust.learn(Trust::Key(key));
                }
                Err(NoKey::Raced) => {}
                Err(NoKey::Because(why)) => {
                    tracing::error!(why, "holds its decisions: records cannot be sealed");
                    *self.missing() = Some(why);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn missing(&self) -> MutexGuard<'_, Option<String>> {
        self.0.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, api: &Api) -> Result<SealKey, NoKey> {
        let namespace = &*self.0.namespace;
        let found = api.get(SECRETS, Some(namespace), SEAL_SECRET).await?;
        let missing = || {
            format!(
                "Secret {namespace}/{SEAL_SECRET} does not exist; apply what `trimtab install` prints again"
            )
        };
        let secret = found.ok_or_else(|| NoKey::Because(missing()))?;
        let Some(written) = secret.pointer("/data").and_then(|data| data.get(DATA_KEY)) else {
            return self.make(api, &secret).await;
        };
        let bytes = written.as_str().and_then(|text| STANDARD.decode(text).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(SealKey::new).ok_or_else(|| {
            NoKey::Because(format!(
                "Secret {namespace}/{SEAL_SECRET} holds no 32 bytes under {DATA_KEY:?}; take that out of its data for a new key, which no record of before is sealed with"
            ))
        })
    }

    /// Writes a new key into the Secret as it was read: of two that do, one finds that it changed.
    async fn make(&self, api: &Api, secret: &Value) -> Result<SealKey, NoKey> {
        let namespace = &*self.0.namespace;
        let key = self.0.entropy.draw().map_err(NoKey::Because)?;
        let version = secret.pointer("/metadata/resourceVersion");
        let patch =
            json!({"metadata": {"resourceVersion": version}, "data": {DATA_KEY: STANDARD.encode(key)}});
        api.patch(SECRETS, Some(namespace), SEAL_SECRET, &Patch::Merge(patch)).await?;
        tracing::warn!(
            secret = format!("{namespace}/{SEAL_SECRET}"),
            "made a new key for seals: records of before it do not count, and what runs is recorded anew"
        );
        Ok(SealKey::new(key))
    }
}
