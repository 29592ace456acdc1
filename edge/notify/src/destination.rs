//! Where a notification goes, and the request that takes it there.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Uri};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trimtab_providers::secret::{SecretText, printable};

use crate::notification::Notification;
use crate::{slack, webhook};

/// Longest text of others that is kept or logged, in bytes.
const ANSWER_BYTES: usize = 200;
/// Shortest part of a URL that may be a token and is masked, in bytes.
const TOKEN_BYTES: usize = 8;

/// What a destination understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DestinationKind {
    /// A Slack incoming webhook. Knows no idempotency: what was sent twice is read twice.
    Slack,
    /// A Slack app with a token. Its messages can be looked up and edited.
    SlackApp,
    /// Any program; see [`webhook`].
    Webhook,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// What messages call it, and what keeps it apart from others: one name, one queue. Not a secret.
    pub name: String,
    /// What it understands.
    pub kind: DestinationKind,
    /// Whole URL; of a Slack app that of the API. Its path is what lets anyone post, so all of it is secret.
    pub url: SecretText,
    /// Token of a Slack app.
    pub token: Option<SecretText>,
    /// Key for signatures; only webhooks use it.
    pub signing_key: Option<SecretText>,
    /// Channel to post in; only Slack uses it, and an incoming webhook only where it is not bound to one.
    pub channel: Option<String>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// The URL cannot be used. It is not repeated.
    #[error(
        "destination {destination}: its url is no absolute http or https url; check the secret that holds it"
    )]
    Url {
        /// Name of the destination.
        destination: String,
    },
    /// The idempotency key cannot be sent.
    #[error("destination {destination}: the idempotency key {key:?} is not printable ascii")]
    Key {
        /// Name of the destination.
        destination: String,
        /// The key.
        key: String,
    },
    /// Too many messages wait. Submit again once outcomes have come.
    #[error("destination {destination}: {waiting} messages wait, which is the limit; submit again later")]
    QueueFull {
        /// Name of the destination.
        destination: String,
        /// Messages that wait, there or in all.
        waiting: usize,
    },
}

impl Destination {
    /// The one request that tells `notification` here; a Slack app needs several. `now` goes into the signature.
    ///
    /// # Errors
    /// [`NotifyError::Url`] or [`NotifyError::Key`]; trying again cannot help.
    pub fn request(
        &self,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<Request<Bytes>, NotifyError> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri()?;
        let body = match self.kind {
            DestinationKind::Slack | DestinationKind::SlackApp => {
                let mut body = slack::payload(notification);
                if let Some(channel) = &self.channel {
                    body["channel"] = channel.as_str().into();
                }
                body.to_string()
            }
            DestinationKind::Webhook => webhook::payload(notification).to_string(),
        };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if self.kind == DestinationKind::Webhook {
            let key = HeaderValue::from_str(&notification.key).map_err(|_| NotifyError::Key {
                destination: self.name.clone(),
                key: printable(&notification.key, ANSWER_BYTES),
            })?;
            headers.insert(webhook::IDEMPOTENCY_HEADER, key);
            if let Some(signing_key) = &self.signing_key {
                let signature = webhook::signature(signing_key, now, body.as_bytes());
                let value =
                    HeaderValue::from_str(&signature).expect("a signature is digits and ASCII letters");
                headers.insert(webhook::SIGNATURE_HEADER, value);
            }
        }
        *request.body_mut() = Bytes::from(body);
        Ok(request)
    }

    /// Foreign text with this destination's secrets masked, short enough for a status or a line of the log.
    pub(crate) fn shown(&self, text: &str) -> String {
        let uri = self.uri().ok();
        let host = uri.as_ref().and_then(Uri::host);
        let pieces = self.url.expose().split(['/', '?', '&', '=', '@', '#']);
        let tokens = pieces.filter(|piece| piece.len() >= TOKEN_BYTES && Some(*piece) != host);
        let tokens = tokens.map(|token| SecretText::new(token.to_owned()));
        let secrets = std::iter::once(self.url.clone()).chain(tokens);
        let secrets = secrets.chain(self.signing_key.clone()).chain(self.token.clone());
        let masked = secrets.fold(text.to_owned(), |text, secret| secret.mask_in(&text));
        printable(&masked, ANSWER_BYTES)
    }

    fn uri(&self) -> Result<Uri, NotifyError> {
        let uri: Option<Uri> = self.url.expose().trim().parse().ok();
        let is_web = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        uri.filter(is_web).ok_or_else(|| NotifyError::Url { destination: self.name.clone() })
    }
}
