//! Series with everything in them that PromQL treats specially.

use std::fmt::Write as _;

use trimtab_kube::rng::Rng;

/// Samples of a series that is never late are this far apart, in milliseconds.
pub(crate) const STEP_MS: i64 = 15_000;
/// Samples per series: 48 minutes, less than the hour that an empty database accepts from the past.
const STEPS: i64 = 192;
/// Upper edges of the histogram's buckets.
const EDGES: [&str; 5] = ["0.1", "0.5", "1", "2.5", "+Inf"];

/// Text with explicit timestamps, the first of them at `start_ms`.
pub(crate) fn exposition(start_ms: i64, seed: u64) -> String {
    let mut text = String::new();
    counters(&mut text, start_ms, seed);
    gauges(&mut text, start_ms, seed);
    histogram(&mut text, start_ms, seed);
    text
}

/// The time of the last sample.
pub(crate) fn end_ms(start_ms: i64) -> i64 {
    start_ms + (STEPS - 1) * STEP_MS
}

fn counters(text: &mut String, start_ms: i64, seed: u64) {
    for (pod, code, most) in [
        ("pay-a", "200", 100),
        ("pay-a", "500", 3),
        ("pay-b", "200", 80),
        ("pay-b", "500", 1),
        ("pay-c", "200", 200),
        ("pay-c", "500", 60),
    ] {
        let mut luck = Rng::for_key(seed, "counter", &format!("{pod}/{code}"));
        let mut value = luck.below(1000);
        for step in 0..STEPS {
            let at = start_ms + step * STEP_MS;
            value += luck.below(most + 1);
            let (at, exists) = match pod {
                // pay-a is not scraped for longer than the lookback.
                "pay-a" => (at, !(80..104).contains(&step)),
                // pay-b is scraped unevenly and restarts twice.
                "pay-b" => {
                    if step == 50 || step == 131 {
                        value = luck.below(5);
                    }
                    (at + luck.below(4_000) as i64, true)
                }
                // pay-c is newer than the rest, and ends early.
                _ => (at, (100..180).contains(&step)),
            };
            if exists {
                line(
                    text,
                    &format!("requests_total{{job=\"payments\",pod=\"{pod}\",code=\"{code}\"}}"),
                    value,
                    at,
                );
            }
        }
    }
}

fn gauges(text: &mut String, start_ms: i64, seed: u64) {
    for pod in ["pay-a", "pay-b", "pay-c"] {
        let mut luck = Rng::for_key(seed, "gauge", pod);
        let mut value = 1000.0;
        for step in 0..STEPS {
            // It rests at times, for `changes`.
            if luck.below(4) > 0 {
                value += 40.0 * (luck.unit() - 0.5);
            }
            let at = start_ms + step * STEP_MS;
            line(text, &format!("memory_bytes{{job=\"payments\",pod=\"{pod}\"}}"), value, at);
            let version = if pod == "pay-c" { "v2" } else { "v1" };
            line(
                text,
                &format!("version_info{{job=\"payments\",pod=\"{pod}\",version=\"{version}\"}}"),
                1,
                at,
            );
        }
    }
    for (name, odd) in [("nan", "NaN"), ("infinite", "+Inf"), ("opposite", "-Inf"), ("huge", "1.7e308")] {
        for step in 0..STEPS {
            let value = if step % 3 == 1 { odd.to_owned() } else { (step % 5).to_string() };
            line(text, &format!("odd_values{{kind=\"{name}\"}}"), value, start_ms + step * STEP_MS);
        }
    }
}

fn histogram(text: &mut String, start_ms: i64, seed: u64) {
    for pod in ["pay-a", "pay-b"] {
        let mut luck = Rng::for_key(seed, "histogram", pod);
        let mut counts = [0_u64; EDGES.len()];
        for step in 0..STEPS {
            for (bucket, count) in counts.iter_mut().enumerate() {
                *count += luck.below(10 * (EDGES.len() - bucket) as u64);
            }
            let at = start_ms + step * STEP_MS;
            let mut cumulated = 0;
            for (edge, count) in EDGES.iter().zip(counts) {
                cumulated += count;
                let name = format!("request_seconds_bucket{{job=\"payments\",pod=\"{pod}\",le=\"{edge}\"}}");
                line(text, &name, cumulated, at);
            }
            line(text, &format!("request_seconds_count{{job=\"payments\",pod=\"{pod}\"}}"), cumulated, at);
        }
    }
}

fn line(text: &mut String, series: &str, value: impl std::fmt::Display, at_ms: i64) {
    writeln!(text, "{series} {value} {at_ms}").expect("a string takes whatever is written to it");
}
