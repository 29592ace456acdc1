//! The parameters of a query: from the URL, or from a form in the body.

use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

/// The most parameters that are read from one request.
const MOST_PARAMETERS: usize = 1_000;
/// Times and durations beyond this many seconds either side of 0 are refused: about 30,000 years.
const MOST_SECONDS: f64 = 1e12;

/// Names and values, in order; names may repeat.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The parameters of a request, those of the body first.
    pub(super) fn read(request: &http::Request<Bytes>) -> Form {
        let body = String::from_utf8_lossy(request.body());
        let query = request.uri().query().unwrap_or_default();
        let pairs = [body.as_ref(), query]
            .into_iter()
            .flat_map(|text| text.split('&'))
            .filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Form(pairs.take(MOST_PARAMETERS).map(|(name, value)| (decode(name), decode(value))).collect())
    }

    /// The first value of that name; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// All values of that name.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The time of that name in milliseconds since 1970; `default` if there is none.
    pub(super) fn time(&self, name: &str, default: i64) -> Result<i64, String> {
        match self.get(name) {
            "" => Ok(default),
            text => time(text)
                .ok_or_else(|| format!("invalid parameter \"{name}\": cannot parse \"{text}\" to a time")),
        }
    }

    /// The duration of that name in milliseconds.
    pub(super) fn step(&self, name: &str) -> Result<i64, String> {
        let text = self.get(name);
        let duration = || Some(text.parse::<trimtab_units::GoDuration>().ok()?.as_secs_f64());
        let seconds = text.parse::<f64>().ok().or_else(duration).filter(|seconds| *seconds > 0.0);
        let milliseconds = seconds.and_then(milliseconds).filter(|step| *step > 0);
        milliseconds
            .ok_or_else(|| format!("invalid parameter \"{name}\": \"{text}\" is not a positive duration"))
    }
}

fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds);
    }
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

fn milliseconds(seconds: f64) -> Option<i64> {
    (seconds.abs() <= MOST_SECONDS).then(|| (seconds * 1000.0).round() as i64)
}

/// Undoes percent-encoding. What is not one stays as it is.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_read() {
        let request = http::Request::get(
            "http://p/api?query=up%7Ba%3D%22b%22%7D+%3E+1&time=12.5&match%5B%5D=x&match[]=y%zz",
        );
        let form = Form::read(&request.body(Bytes::from_static(b"step=1m&broken")).unwrap());
        assert_eq!(form.get("query"), "up{a=\"b\"} > 1");
        assert_eq!(form.time("time", 0), Ok(12_500));
        assert_eq!(form.time("end", 7), Ok(7));
        assert_eq!(form.all("match[]").collect::<Vec<_>>(), ["x", "y%zz"]);
        assert_eq!(form.step("step"), Ok(60_000));
        assert!(form.step("broken").is_err());
        assert_eq!(time("2026-01-01T00:00:00Z"), Some(1_767_225_600_000));
        assert_eq!(time("NaN"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_form(body in ".*", name in "[a-z]*") {
            let form = Form::read(&http::Request::get("http://p/").body(Bytes::from(body)).unwrap());
            let _ = (form.time(&name, 0), form.step(&name));
        }
    }
}
