//! Durations of Go and of Prometheus.

use std::time::Duration;

use trimtab_units::GoDuration;

/// Both forms read what they print.
pub fn duration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<GoDuration>() {
        Ok(duration) => {
            assert_eq!(duration.to_string().parse(), Ok(duration), "{text:?}");
            assert_eq!(Duration::try_from(duration).is_ok(), duration >= GoDuration::ZERO, "{text:?}");
        }
        Err(error) => assert!(error.to_string().len() < 1_024, "{error}"),
    }
    match GoDuration::parse_prometheus(&text) {
        Ok(duration) => {
            let printed = duration.to_prometheus().expect("what has this form can print in it");
            assert_eq!(GoDuration::parse_prometheus(&printed), Ok(duration), "{text:?} {printed:?}");
        }
        Err(error) => assert!(error.to_string().len() < 1_024, "{error}"),
    }
    if let Ok(duration) = serde_json::from_slice::<GoDuration>(data) {
        let printed = serde_json::to_vec(&duration).expect("a duration prints");
        assert_eq!(serde_json::from_slice::<GoDuration>(&printed).ok(), Some(duration));
    }
}
