//! Where a message goes: from what a service and its policies name to a destination, with the Secrets that it takes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;
use trimtab_api::managed_app::SecretKey;
use trimtab_api::resolve::Reach;
use trimtab_kube::resource::SECRETS;
use trimtab_kube::{Api, ApiError};
use trimtab_notify::{Destination, DestinationKind, SLACK_API, SecretText};

/// Why a message cannot be addressed.
pub(crate) enum Unreachable {
    /// The API server did not tell the secret this time.
    Now(ApiError),
    /// The secret, or what names it, is not what it should be.
    Never(String),
}

/// The destination behind `reach`, whose Secrets are in `namespace`.
pub(crate) async fn destination(
    api: &Api,
    reach: &Reach,
    namespace: &str,
) -> Result<Destination, Unreachable> {
    let mut destination = Destination {
        name: lane(reach, namespace),
        kind: kind_of(reach),
        url: SecretText::new(SLACK_API.to_owned()),
        token: None,
        signing_key: None,
        channel: None,
    };
    match reach {
        Reach::Slack { url_from, channel, .. } => {
            destination.url = secret(api, namespace, url_from).await?;
            destination.channel.clone_from(channel);
        }
        Reach::SlackApp { token_from, channel, .. } => {
            let none = || Unreachable::Never("a Slack app needs a channel: set spec.notify.slack".to_owned());
            destination.channel = Some(channel.clone().ok_or_else(none)?);
            destination.token = Some(secret(api, namespace, token_from).await?);
        }
        Reach::Webhook { spec, .. } => {
            destination.url = SecretText::new(spec.url.clone());
            if let Some(from) = &spec.signing_key_from {
                destination.signing_key = Some(secret(api, namespace, from).await?);
            }
        }
    }
    Ok(destination)
}

pub(crate) fn kind_of(reach: &Reach) -> DestinationKind {
    match reach {
        Reach::Slack { .. } => DestinationKind::Slack,
        Reach::SlackApp { .. } => DestinationKind::SlackApp,
        Reach::Webhook { .. } => DestinationKind::Webhook,
    }
}

/// What keeps one destination's queue apart from another's: a dead one delays nobody else. Never a secret.
pub(crate) fn lane(reach: &Reach, namespace: &str) -> String {
    match reach {
        Reach::Slack { url_from: from, .. } | Reach::SlackApp { token_from: from, .. } => {
            format!("slack {namespace}/{}/{}", from.name, from.key)
        }
        Reach::Webhook { spec, .. } => {
            // Whoever knows the path may post, so it is told apart and not shown.
            let mut hasher = DefaultHasher::new();
            spec.url.hash(&mut hasher);
            let url: Option<http::Uri> = spec.url.parse().ok();
            let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
            format!("webhook {namespace}/{host}#{:x}", hasher.finish())
        }
    }
}

async fn secret(api: &Api, namespace: &str, from: &SecretKey) -> Result<SecretText, Unreachable> {
    use base64::Engine as _;
    let SecretKey { name, key } = from;
    let never = |why: &str| Unreachable::Never(format!("Secret {namespace}/{name} {why}"));
    let found = match api.get(SECRETS, Some(namespace), name).await {
        Ok(found) => found.ok_or_else(|| never("does not exist"))?,
        Err(error) if error.is_retryable() => return Err(Unreachable::Now(error)),
        Err(error) => return Err(Unreachable::Never(error.to_string())),
    };
    let data = found.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str);
    let encoded = data.ok_or_else(|| never(&format!("has no key {key}")))?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(SecretText::new).ok_or_else(|| never(&format!("holds no text under {key}")))
}
