//! The shape of Prometheus' HTTP API, read and written.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};
use trimtab_promql::{Labels, Sample, Series};
use trimtab_promql_eval::{EvalValue, InstantSample, ScalarValue};

fn check(wire: &Value) {
    let read: EvalValue =
        serde_json::from_value(wire.clone()).unwrap_or_else(|error| panic!("{wire}: {error}"));
    assert_eq!(serde_json::to_value(&read).expect("writes"), *wire);
    let text: EvalValue = serde_json::from_str(&wire.to_string()).expect("reads from text");
    assert_eq!(serde_json::to_value(&text).expect("writes"), *wire);
}

#[test]
fn every_type_of_result_crosses() {
    check(&json!({"resultType": "vector", "result": [
        {"metric": {"__name__": "up", "job": "a"}, "value": [1435781451.781, "1"]},
        {"metric": {}, "value": [1435781451, "NaN"]},
    ]}));
    check(&json!({"resultType": "matrix", "result": [
        {"metric": {"__name__": "up"}, "values": [[1435781430.781, "1"], [1435781445.781, "+Inf"], [1435781460.781, "-Inf"]]},
    ]}));
    check(&json!({"resultType": "scalar", "result": [1.5, "0.25"]}));
    check(&json!({"resultType": "string", "result": [1, "text"]}));
}

#[test]
fn the_answer_of_a_server_is_read() {
    let text =
        r#"{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1700000000.123,"1e+06"]}]}"#;
    let expected = EvalValue::Vector(vec![InstantSample {
        labels: [("pod", "a")].into_iter().collect(),
        sample: Sample { at_ms: 1_700_000_000_123, value: 1e6 },
    }]);
    assert_eq!(serde_json::from_str::<EvalValue>(text).expect("reads"), expected);
}

#[test]
fn faults_are_refused() {
    for wire in [
        json!({"resultType": "scalar", "result": [1.5, "much"]}),
        json!({"resultType": "scalar", "result": [1e300, "1"]}),
        json!({"resultType": "scalar", "result": [1.5]}),
        json!({"resultType": "vector", "result": [{"metric": {}}]}),
        json!({"resultType": "streams", "result": []}),
    ] {
        assert!(serde_json::from_value::<EvalValue>(wire.clone()).is_err(), "{wire}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() })]

    #[test]
    fn samples_cross_exactly(at_ms in -4_000_000_000_000..4_000_000_000_000_i64, value: f64, name in ".{0,8}") {
        let sample = Sample { at_ms, value };
        let labels: Labels = [(name, "x")].into_iter().collect();
        for value in [
            EvalValue::Matrix(vec![Series { labels: labels.clone(), samples: vec![sample] }]),
            EvalValue::Vector(vec![InstantSample { labels, sample }]),
            EvalValue::Scalar(ScalarValue { at_ms, value }),
        ] {
            let text = serde_json::to_string(&value).expect("writes");
            prop_assert_eq!(serde_json::from_str::<EvalValue>(&text).expect("reads"), value);
        }
    }
}
