//! The words of a script: spans of time, numbers, and settings such as `replicas=3`.

use std::time::Duration;

use jiff::SignedDuration;
use trimtab_units::GoDuration;

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<GoDuration>().map_err(|error| error.to_string())?;
    Duration::try_from(parsed).map_err(|_| format!("`{text}` is negative"))
}

pub(crate) fn signed(text: &str) -> Result<SignedDuration, String> {
    let (positive, span) = text.strip_prefix('-').map_or((true, text), |span| (false, span));
    let span = SignedDuration::try_from(duration(span)?).map_err(|error| error.to_string())?;
    Ok(if positive { span } else { -span })
}

/// The value of `key=` among settings, or `default`.
pub(crate) fn setting<'a>(settings: &[&'a str], key: &str, default: &'a str) -> &'a str {
    let value = |setting: &&'a str| setting.strip_prefix(key).and_then(|rest| rest.strip_prefix('='));
    settings.iter().find_map(value).unwrap_or(default)
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}
