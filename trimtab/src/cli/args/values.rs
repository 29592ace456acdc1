//! What a value on the command line must look like, said before anything is asked or written. A variable that is not set comes
//! as an empty value, and stands for nothing.

use std::time::Duration;

use trimtab_delivery::names::parse_release_word;
use trimtab_providers::prometheus::{check_address, check_scope};
use trimtab_units::GoDuration;
use trimtab_units::names::{check_dns_label, check_dns_subdomain};

use super::super::exit::Failure;

/// What printed commands say where a person has to write something.
const PLACEHOLDER: &str = "...";

/// What to write where an image is missing.
const AN_IMAGE: &str = "write one such as registry.example/payments:8c1f";

/// The reason that a person gave, if it is one: a command that was pasted as it was printed gives none.
pub(crate) fn reason(because: Option<&str>) -> Option<&str> {
    because.filter(|text| !["", PLACEHOLDER, "…"].contains(&text.trim()))
}

/// The image that a person named, if it is one: what was pasted as it was printed is none.
pub(crate) fn named_image(text: &str) -> Result<&str, Failure> {
    if text == PLACEHOLDER {
        return Err(Failure::refused("--image names no image").hint(AN_IMAGE));
    }
    Ok(text)
}

/// The name of an object. An empty one would stand for every object there is.
pub(super) fn name(text: &str) -> Result<String, String> {
    check_dns_subdomain(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A namespace, a container, or the id of an instance.
pub(super) fn label(text: &str) -> Result<String, String> {
    check_dns_label(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// The number of a release.
pub(super) fn release(text: &str) -> Result<u64, String> {
    parse_release_word(text).ok_or_else(|| match timeout(text) {
        Ok(_) => format!("it is no release; a time to wait is written --wait={text}"),
        Err(_) => "it is no release; write v128 or 128".to_owned(),
    })
}

/// A reference to an image. What it means is the registry's business, and that it is one word is ours.
pub(super) fn image(text: &str) -> Result<String, String> {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    if !is_word {
        return Err(format!("it names no image; {AN_IMAGE}"));
    }
    Ok(text.to_owned())
}

/// The address of a Prometheus.
pub(super) fn prometheus_url(text: &str) -> Result<String, String> {
    check_address(text)?;
    Ok(text.to_owned())
}

/// Matchers that narrow every query; none where there is no text.
pub(super) fn matchers(text: &str) -> Result<String, String> {
    check_scope(text)?;
    Ok(text.to_owned())
}

/// How long to wait.
pub(super) fn timeout(text: &str) -> Result<GoDuration, String> {
    let timeout: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    match Duration::try_from(timeout) {
        Ok(limit) if !limit.is_zero() => Ok(timeout),
        _ => Err("nothing can be waited for that long; write a time such as 30m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for text in ["", " ", "shop/x v2", "x\u{1b}[31m", "x\n"] {
            assert!(image(text).is_err(), "{text:?}");
        }
        assert!(named_image("...").is_err() && named_image("x").is_ok());
        for text in ["x", "shop/x:v1", "r.example:5000/a/b@sha256:0f"] {
            assert_eq!(image(text).as_deref(), Ok(text));
        }
        for text in ["", "v", "v-1", "+1", "v1; x", "latest"] {
            assert!(release(text).is_err(), "{text:?}");
        }
        assert_eq!((release("v12"), release("12")), (Ok(12), Ok(12)));
        for text in ["", "0", "0s", "-5m", "5"] {
            assert!(timeout(text).is_err(), "{text:?}");
        }
        assert!(timeout("1h30m").is_ok() && label("").is_err() && name("").is_err());
    }

    #[test]
    fn a_pasted_placeholder_is_no_reason() {
        let given = [None, Some(""), Some(" "), Some("..."), Some("…")];
        assert!(given.into_iter().all(|because| reason(because).is_none()));
        assert_eq!(reason(Some("slow")), Some("slow"));
    }
}
