//! The HTTP API, in process.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use trimtab_promql::{Expr, Labels, METRIC_NAME, Series, parse, selectors};
use trimtab_promql_eval::{EvalOptions, EvalValue, RangeWindows, SeriesSource, evaluate};

use super::form::Form;
use super::{MOST_PARSED, Prometheus, Service, View};
use crate::traffic::driver::locked;

/// Points that one range query may ask for per series, as in Prometheus.
const MOST_STEPS: i64 = 11_000;
/// How far `series` and `labels` look back when they are not told, in milliseconds.
const DEFAULT_LOOK_BACK_MS: i64 = 3_600_000;

/// The connection was refused: nothing listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Why a query has no answer: the status, Prometheus' word for it, and the reason.
struct Failure {
    status: StatusCode,
    kind: &'static str,
    reason: String,
}

impl Failure {
    fn bad(reason: impl Into<String>) -> Self {
        Failure { status: StatusCode::BAD_REQUEST, kind: "bad_data", reason: reason.into() }
    }

    fn execution(reason: impl Into<String>) -> Self {
        Failure { status: StatusCode::UNPROCESSABLE_ENTITY, kind: "execution", reason: reason.into() }
    }
}

impl Prometheus {
    /// Answers one request, whatever its host. While the service is [`Service::Silent`] this never resolves.
    ///
    /// # Errors
    /// [`Refused`] while the service is [`Service::Refusing`].
    pub async fn handle(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Refused> {
        let service = *locked(&self.service);
        match service {
            Service::Up => Ok(self.answer(&request)),
            Service::Refusing => Err(Refused),
            Service::Silent => std::future::pending().await,
            Service::Slow(by) => {
                let answer = self.answer(&request);
                tokio::time::sleep(by).await;
                Ok(answer)
            }
        }
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if !matches!(*request.method(), Method::GET | Method::POST) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        }
        let form = Form::read(request);
        let data = match request.uri().path() {
            "/-/ready" => return text(StatusCode::OK, "Prometheus Server is Ready.\n"),
            "/-/healthy" => return text(StatusCode::OK, "Prometheus Server is Healthy.\n"),
            "/api/v1/query" => self.query(&form),
            "/api/v1/query_range" => self.query_range(&form),
            "/api/v1/series" => self.series(&form),
            "/api/v1/labels" => self.labels(&form),
            "/api/v1/status/buildinfo" => Ok(json!({"version": self.version()})),
            _ => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
        };
        match data {
            Ok(data) => reply(StatusCode::OK, &json!({"status": "success", "data": data})),
            Err(failure) => reply(
                failure.status,
                &json!({"status": "error", "errorType": failure.kind, "error": failure.reason}),
            ),
        }
    }

    fn version(&self) -> &'static str {
        match self.range_windows() {
            RangeWindows::LeftOpen => "3.13.0",
            RangeWindows::Closed => "2.42.0",
        }
    }

    fn range_windows(&self) -> RangeWindows {
        locked(&self.shared.scraped).config.range_windows
    }

    fn evaluate(&self, expr: &Expr, at_ms: i64) -> Result<EvalValue, Failure> {
        let options = EvalOptions { range_windows: self.range_windows(), ..EvalOptions::default() };
        let scraped = locked(&self.shared.scraped);
        let view = View { scraped: &scraped, now_ms: self.now_ms() };
        evaluate(expr, &view, at_ms, options).map_err(|error| Failure::execution(error.to_string()))
    }

    fn expression(&self, form: &Form) -> Result<Arc<Expr>, Failure> {
        let text = form.get("query");
        let mut parsed = locked(&self.parsed);
        if let Some(expr) = parsed.get(text) {
            return Ok(expr.clone());
        }
        let expr =
            parse(text).map_err(|error| Failure::bad(format!("invalid parameter \"query\": {error}")))?;
        if parsed.len() >= MOST_PARSED {
            parsed.clear();
        }
        Ok(parsed.entry(text.to_owned()).or_insert(Arc::new(expr)).clone())
    }

    fn query(&self, form: &Form) -> Result<Value, Failure> {
        let expr = self.expression(form)?;
        let at_ms = form.time("time", self.now_ms()).map_err(Failure::bad)?;
        Ok(json!(self.evaluate(&expr, at_ms)?))
    }

    fn query_range(&self, form: &Form) -> Result<Value, Failure> {
        let expr = self.expression(form)?;
        let now_ms = self.now_ms();
        let start = form.time("start", now_ms).map_err(Failure::bad)?;
        let end = form.time("end", now_ms).map_err(Failure::bad)?;
        let step = form.step("step").map_err(Failure::bad)?;
        if end < start {
            return Err(Failure::bad(
                "invalid parameter \"end\": end timestamp must not be before start time",
            ));
        }
        if (end - start) / step > MOST_STEPS {
            return Err(Failure::bad(format!(
                "exceeded maximum resolution of {MOST_STEPS} points per timeseries"
            )));
        }
        let mut all: std::collections::BTreeMap<Labels, Vec<trimtab_promql::Sample>> = Default::default();
        let mut at_ms = start;
        while at_ms <= end {
            for (labels, sample) in instant(self.evaluate(&expr, at_ms)?)? {
                all.entry(labels).or_default().push(sample);
            }
            at_ms += step;
        }
        let matrix = all.into_iter().map(|(labels, samples)| Series { labels, samples }).collect();
        Ok(json!(EvalValue::Matrix(matrix)))
    }

    /// The identities of what the `match[]` parameters select.
    fn identities(&self, form: &Form) -> Result<Vec<Labels>, Failure> {
        let now_ms = self.now_ms();
        let start = form.time("start", now_ms - DEFAULT_LOOK_BACK_MS).map_err(Failure::bad)?;
        let end = form.time("end", now_ms).map_err(Failure::bad)?;
        let scraped = locked(&self.shared.scraped);
        let view = View { scraped: &scraped, now_ms };
        let mut found = Vec::new();
        for text in form.all("match[]") {
            let expr = parse(text).map_err(|error| Failure::bad(error.to_string()))?;
            for selector in selectors(&expr) {
                let series = view.select(&selector.all_matchers(), start, end);
                found.extend(series.into_iter().map(|series| series.labels));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn series(&self, form: &Form) -> Result<Value, Failure> {
        if form.all("match[]").next().is_none() {
            return Err(Failure::bad("no match[] parameter provided"));
        }
        Ok(json!(self.identities(form)?))
    }

    fn labels(&self, form: &Form) -> Result<Value, Failure> {
        if form.all("match[]").next().is_none() {
            return Ok(json!([METRIC_NAME, "code", "instance", "job", "le", "namespace", "pod"]));
        }
        let found = self.identities(form)?;
        let names: std::collections::BTreeSet<&str> =
            found.iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
        Ok(json!(names))
    }
}

/// One step of a range query: the values at this time, by identity.
fn instant(value: EvalValue) -> Result<Vec<(Labels, trimtab_promql::Sample)>, Failure> {
    match value {
        EvalValue::Vector(items) => Ok(items.into_iter().map(|item| (item.labels, item.sample)).collect()),
        EvalValue::Scalar(scalar) => {
            Ok(vec![(Labels::new(), trimtab_promql::Sample { at_ms: scalar.at_ms, value: scalar.value })])
        }
        EvalValue::Matrix(_) | EvalValue::String(_) => {
            Err(Failure::bad("invalid expression type for range query, must be Scalar or instant Vector"))
        }
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<Bytes> {
    whole(status, "application/json", body.to_string())
}

fn text(status: StatusCode, body: &'static str) -> Response<Bytes> {
    whole(status, "text/plain; charset=utf-8", body.to_owned())
}

fn whole(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
    response.body(Bytes::from(body)).expect("a fixed header is valid")
}
