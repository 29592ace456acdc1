//! `trimtab_promql_eval::evaluate` against a real Prometheus, over the same samples.

#[path = "oracle/data.rs"]
mod data;
#[path = "oracle/generate.rs"]
mod generate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::routing::get;
use jiff::Timestamp;
use trimtab_kube::clock::Clock;
use trimtab_kube::rng::Rng;
use trimtab_lab::{Case, Lab, LabOptions, Prometheus, PrometheusOptions, harness};
use trimtab_promql::parse;
use trimtab_promql_eval::{EvalError, EvalOptions, EvalValue, MemorySource, evaluate};

/// Where the samples are scraped from.
const TARGET: &str = "10.64.0.9:9100";
/// How long before now the first sample is: an empty database takes an hour.
const AGE: Duration = Duration::from_secs(55 * 60);
/// Expressions from the generator. Each is evaluated at one time, those of the corpus at all.
const GENERATED: u64 = 1_500;
/// Seed of the samples and of the generator.
const SEED: u64 = 36;
/// Largest difference between two values, relative to the larger: sums are added up in another order.
const TOLERANCE: f64 = 1e-9;
/// Evaluations that must have had values on both sides: half of all.
const FEWEST_WITH_VALUES: u32 = 1_100;
/// Differences that are shown.
const MOST_SHOWN: usize = 25;
/// How long the first scrape may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let options = LabOptions::control_plane_only().and_then(|options| {
        let targets: Vec<SocketAddr> = vec![TARGET.parse()?];
        let prometheus = PrometheusOptions { scrape_interval: Duration::from_secs(1), targets };
        Ok(LabOptions { prometheus: Some(prometheus), ..options })
    });
    harness::run(options, vec![Case::new("evaluation_agrees_with_prometheus", |lab| Box::pin(agree(lab)))])
}

async fn agree(lab: &mut Lab) -> Result<()> {
    let prometheus = lab.prometheus()?;
    let age_ms = i64::try_from(AGE.as_millis())?;
    let start_ms = (Clock::system().now().as_millisecond() - age_ms) / data::STEP_MS * data::STEP_MS;
    serve_once(data::exposition(start_ms, SEED)).await?;
    let end_ms = data::end_ms(start_ms);
    lab.wait_for("Prometheus has the samples", PATIENCE, async || {
        let count = prometheus.query("count({__name__=~\"request.*\"})", Some(at(end_ms)?)).await?;
        Ok(count["result"][0].is_object().then_some(()))
    })
    .await?;
    let source = samples(prometheus, end_ms).await?;
    let comparison = Comparison { prometheus, source };
    let mut differences = Vec::new();
    let mut agreed: BTreeMap<Agreement, u32> = BTreeMap::new();
    for (expression, at_ms) in questions(start_ms, end_ms) {
        match comparison.compare(&expression, at_ms).await? {
            Ok(agreement) => *agreed.entry(agreement).or_default() += 1,
            Err(difference) => differences.push(format!("{expression}\n  at {at_ms}: {difference}")),
        }
    }
    eprintln!("agreed: {agreed:?}, {} differ (seed {SEED})", differences.len());
    differences.truncate(MOST_SHOWN);
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    // Agreeing on nothing proves nothing.
    let with_values = agreed.get(&Agreement::Values).copied().unwrap_or_default();
    ensure!(with_values >= FEWEST_WITH_VALUES, "only {with_values} evaluations had values");
    Ok(())
}

/// On what both sides agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    Values,
    NoSeries,
    Refusal,
}

/// The samples are older with each scrape; only the first one is told them, the others find nothing.
async fn serve_once(text: String) -> Result<()> {
    let listener =
        tokio::net::TcpListener::bind(TARGET).await.with_context(|| format!("cannot listen on {TARGET}"))?;
    let told = Arc::new(AtomicBool::new(false));
    let text: Arc<str> = text.into();
    let answer = move || async move {
        if told.swap(true, Ordering::Relaxed) { String::new() } else { text.to_string() }
    };
    let router = Router::new().route("/metrics", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// Every raw sample that Prometheus has of the series under test.
async fn samples(prometheus: &Prometheus, end_ms: i64) -> Result<MemorySource> {
    let mut source = MemorySource::new();
    let mut series_count = 0;
    for selector in ["{job=\"payments\"}[1h]", "odd_values[1h]"] {
        let data = prometheus.query(selector, Some(at(end_ms)?)).await?;
        let EvalValue::Matrix(series) = serde_json::from_value(data)? else {
            bail!("{selector} is not a matrix")
        };
        series_count += series.len();
        source.extend(series);
    }
    ensure!(series_count == 6 + 6 + 4 + 12, "Prometheus has {series_count} series");
    Ok(source)
}

/// The corpus at several times, and generated expressions at one of them each.
fn questions(start_ms: i64, end_ms: i64) -> Vec<(String, i64)> {
    let corpus = include_str!("oracle/expressions.txt").lines();
    let corpus = corpus.filter(|line| !line.is_empty() && !line.starts_with('#'));
    // Exactly on a sample, between two, in the middle of a gap, after the end of a series, and before everything.
    let times = [
        end_ms,
        end_ms - 7_321,
        start_ms + 95 * data::STEP_MS,
        start_ms + 60 * data::STEP_MS + 1,
        start_ms - 1,
    ];
    let mut questions = Vec::new();
    for expression in corpus {
        questions.extend(times.map(|at_ms| (expression.to_owned(), at_ms)));
    }
    for number in 0..GENERATED {
        let mut luck = Rng::for_key(SEED, "expression", &number.to_string());
        let expression = generate::vector(&mut luck);
        questions
            .push((expression, start_ms + luck.below(u64::try_from(end_ms - start_ms).unwrap_or(1)) as i64));
    }
    questions
}

struct Comparison<'a> {
    prometheus: &'a Prometheus,
    source: MemorySource,
}

impl Comparison<'_> {
    async fn compare(&self, expression: &str, at_ms: i64) -> Result<Result<Agreement, String>> {
        let theirs = self.prometheus.query(expression, Some(at(at_ms)?)).await;
        let theirs: Option<EvalValue> = theirs.ok().map(serde_json::from_value).transpose()?;
        let ours = match parse(expression) {
            Err(error) => Err(error.to_string()),
            Ok(parsed) => match evaluate(&parsed, &self.source, at_ms, EvalOptions::default()) {
                // What is not supported is not agreed upon, even where Prometheus refuses as well.
                Err(error @ EvalError::Unsupported(_)) => return Ok(Err(error.to_string())),
                result => result.map_err(|error| error.to_string()),
            },
        };
        Ok(match (ours, theirs) {
            (Err(_), None) => Ok(Agreement::Refusal),
            (Err(error), Some(theirs)) => Err(format!("refused with {error:?}, Prometheus has {theirs:?}")),
            (Ok(ours), None) => Err(format!("Prometheus refuses, ours is {ours:?}")),
            (Ok(ours), Some(theirs)) if !same(expression, &ours, &theirs) => {
                Err(format!("\n    ours   {ours:?}\n    theirs {theirs:?}"))
            }
            (Ok(EvalValue::Vector(items)), _) if items.is_empty() => Ok(Agreement::NoSeries),
            (Ok(_), _) => Ok(Agreement::Values),
        })
    }
}

fn same(expression: &str, ours: &EvalValue, theirs: &EvalValue) -> bool {
    match (ours, theirs) {
        (EvalValue::Scalar(ours), EvalValue::Scalar(theirs)) => close(ours.value, theirs.value),
        (EvalValue::Vector(ours), EvalValue::Vector(theirs)) => {
            let in_order = !expression.starts_with("sort")
                || ours.iter().map(|item| &item.labels).eq(theirs.iter().map(|item| &item.labels));
            let values = |items: &[trimtab_promql_eval::InstantSample]| -> BTreeMap<_, _> {
                items.iter().map(|item| (item.labels.clone(), item.sample.value)).collect()
            };
            let (ours, theirs) = (values(ours), values(theirs));
            let all_close = ours.values().zip(theirs.values()).all(|(ours, theirs)| close(*ours, *theirs));
            in_order && ours.keys().eq(theirs.keys()) && all_close
        }
        (ours, theirs) => ours == theirs,
    }
}

fn close(ours: f64, theirs: f64) -> bool {
    let both_nan = ours.is_nan() && theirs.is_nan();
    both_nan || ours == theirs || (ours - theirs).abs() <= TOLERANCE * ours.abs().max(theirs.abs())
}

fn at(milliseconds: i64) -> Result<Timestamp> {
    Ok(Timestamp::from_millisecond(milliseconds)?)
}
