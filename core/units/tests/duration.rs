//! Tables and properties of durations.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_units::{GoDuration, duration_words};

fn check(text: &str, nanos: Option<i64>, printed: &str) {
    let parsed = text.parse::<GoDuration>();
    assert_eq!(parsed.as_ref().ok().map(|duration| duration.as_nanos()), nanos, "{text}: {parsed:?}");
    match parsed {
        Ok(duration) => assert_eq!(duration.to_string(), printed, "{text}"),
        Err(error) => assert!(error.to_string().contains(printed), "{text}: {error}"),
    }
}

#[test]
fn go_form() {
    check("0", Some(0), "0s");
    check("5s", Some(5_000_000_000), "5s");
    check("1h2m3.5s", Some(3_723_500_000_000), "1h2m3.5s");
    check("90m", Some(5_400_000_000_000), "1h30m0s");
    check("-1.5h", Some(-5_400_000_000_000), "-1h30m0s");
    check("+.5s", Some(500_000_000), "500ms");
    check("5.s", Some(5_000_000_000), "5s");
    check("39h9m14.425s", Some(140_954_425_000_000), "39h9m14.425s");
    check("1us", Some(1_000), "1\u{b5}s");
    check("1\u{b5}s", Some(1_000), "1\u{b5}s");
    check("1\u{3bc}s", Some(1_000), "1\u{b5}s");
    check("1.1ms", Some(1_100_000), "1.1ms");
    check("2ns", Some(2), "2ns");
    check("0.3333333333333333333h", Some(1_200_000_000_000 - 1), "19m59.999999999s");
    check("-9223372036854775808ns", Some(i64::MIN), "-2562047h47m16.854775808s");
    check("9223372036854775808ns", None, "longer than 292 years");
    check("3000000h", None, "longer than 292 years");
    check("", None, "empty");
    check("-", None, "empty");
    check("3", None, "a number must be followed by");
    check("s", None, "a unit must follow a number");
    check(".s", None, "a unit must follow a number");
    check("1d", None, "a number must be followed by");
    check("1h-5m", None, "a number must be followed by");
    check("1 h", None, "a number must be followed by");
}

fn check_prometheus(text: &str, printed: Result<&str, &str>) {
    match (GoDuration::parse_prometheus(text), printed) {
        (Ok(duration), Ok(printed)) => {
            assert_eq!(duration.to_prometheus().as_deref(), Some(printed), "{text}");
        }
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
        (got, _) => panic!("{text}: {got:?}"),
    }
}

#[test]
fn prometheus_form() {
    check_prometheus("5m", Ok("5m"));
    check_prometheus("1d", Ok("1d"));
    check_prometheus("90d", Ok("90d"));
    check_prometheus("1y", Ok("1y"));
    check_prometheus("24h", Ok("1d"));
    check_prometheus("1h30m", Ok("1h30m"));
    check_prometheus("1500ms", Ok("1s500ms"));
    check_prometheus("0", Ok("0s"));
    check_prometheus("30m1h", Err("large to small"));
    check_prometheus("5m5m", Err("large to small"));
    check_prometheus("1.5h", Err("must be followed by"));
    check_prometheus("-5m", Err("must be followed by"));
    check_prometheus("5", Err("must be followed by"));
    check_prometheus("", Err("empty"));
    check_prometheus("99999999999y", Err("292 years"));
}

#[test]
fn crosses_to_std_only_in_range() {
    assert_eq!(GoDuration::try_from(Duration::from_millis(1_500)).unwrap().to_string(), "1.5s");
    assert!(GoDuration::try_from(Duration::MAX).is_err());
    assert_eq!(Duration::try_from(GoDuration::from_millis(1_500).unwrap()), Ok(Duration::from_millis(1_500)));
    assert!(Duration::try_from(GoDuration::from_nanos(-1)).is_err());
    assert_eq!(GoDuration::from_secs(i64::MAX), None);
    assert_eq!(GoDuration::from_nanos(i64::MAX).checked_add(GoDuration::from_nanos(1)), None);
    assert_eq!(GoDuration::from_nanos(i64::MIN).checked_sub(GoDuration::from_nanos(1)), None);
    assert_eq!(GoDuration::from_nanos(i64::MAX).checked_mul(2), None);
}

#[test]
fn is_text_on_the_wire() {
    let read: GoDuration = serde_json::from_str("\"1m30s\"").unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), "\"1m30s\"");
    assert!(serde_json::from_str::<GoDuration>("90").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_handled(text in ".{0,40}") {
        let _ = text.parse::<GoDuration>();
        let _ = GoDuration::parse_prometheus(&text);
    }

    #[test]
    fn near_misses_are_handled(text in "[-+]?([0-9]{0,20}(\\.[0-9]{0,20})?(h|m|s|ms|us|\u{b5}s|ns|d|w|y)){1,4}") {
        let _ = text.parse::<GoDuration>();
        let _ = GoDuration::parse_prometheus(&text);
    }

    #[test]
    fn go_form_round_trips(nanos: i64) {
        let duration = GoDuration::from_nanos(nanos);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn prometheus_form_round_trips(millis in 0..i64::MAX / 1_000_000) {
        let duration = GoDuration::from_millis(millis).unwrap();
        let text = duration.to_prometheus().unwrap();
        prop_assert_eq!(GoDuration::parse_prometheus(&text), Ok(duration));
    }
}

#[test]
fn words_leave_out_what_is_zero() {
    for (seconds, words) in
        [(0, "0s"), (45, "45s"), (300, "5m"), (5400, "1h30m"), (3601, "1h1s"), (90_061, "25h1m1s")]
    {
        assert_eq!(duration_words(Duration::from_secs(seconds)), words);
    }
    assert_eq!(duration_words(Duration::from_millis(1999)), "1s", "people are told whole seconds");
}
