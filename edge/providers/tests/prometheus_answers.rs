//! What the client makes of everything a server, a proxy or an attacker may answer.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderName, Response};
use proptest::prelude::*;
use support::{always, client, config, form, json, scripted};
use tokio::time::Instant;
use trimtab_providers::ProviderError;
use trimtab_providers::http::{HttpTransport, TransportError};
use trimtab_providers::prometheus::{LabelPresence, Prometheus};
use trimtab_providers::secret::SecretText;

const PAGE: &str = "<html><body>Welcome, log in</body></html>";
const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"pod":"a"},"value":[1700000000.5,"1.5"]},
    {"metric":{"pod":"b"},"value":[1700000000,"NaN"]},
    {"metric":{},"value":[1700000000.123,"+Inf"]}]}}"#;
const MATRIX: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
    {"metric":{"pod":"a"},"values":[[1700000000.5,"1"],[1700000015.5,"-Inf"]]}]}}"#;

async fn instant(transport: Arc<dyn HttpTransport>) -> String {
    match client(transport).instant("up", 1_700_000_000_000).await {
        Ok(answer) => format!("{:?} {:?}", answer.value, answer.warnings),
        Err(error) => format!("error: {error}"),
    }
}

/// Status, headers, body, and what the outcome's text contains.
type Row<'a> = (u16, &'a [(&'static str, &'a str)], &'a str, &'a [&'a str]);

#[tokio::test(start_paused = true)]
async fn answers() {
    let json_type = [("content-type", "application/json")];
    let html_type = [("content-type", "text/html; charset=utf-8")];
    let retry = [("retry-after", "7")];
    let truncated = &MATRIX[..MATRIX.len() - 20];
    let table: &[Row<'_>] = &[
        (200, &json_type, VECTOR, &["1.5", "NaN", "inf"]),
        (200, &[], r#"{"status":"success","data":{"resultType":"scalar","result":[1,"42"]}}"#, &["42.0)]"]),
        (200, &[], r#"{"data":{"result":[],"resultType":"vector"},"status":"success"}"#, &["[] []"]),
        (
            200,
            &[],
            r#"{"status":"success","warnings":["partial response\nstore x"],"data":{"result":[]}}"#,
            &["partial response store x"],
        ),
        (200, &[], r#"{"status":"success","warnings":null,"infos":["?"],"data":{"result":[]}}"#, &["[] []"]),
        (200, &[], r#"{"status":"success"}"#, &["it has no result", "check that the address"]),
        (200, &[], r#"{"status":"success","data":null}"#, &["it has no result"]),
        (200, &[], MATRIX, &["a range came"]),
        (200, &[], truncated, &["EOF", "check that the address"]),
        (200, &[], "", &["EOF"]),
        (200, &[], "[]", &["expected an object with status and data"]),
        (200, &[], r#"{"status":"success","data":{"result":["a",1]}}"#, &["expected a series or a time"]),
        (200, &[], r#"{"status":"success","data":{"result":[1,"x"]}}"#, &["a sample's value is no number"]),
        (
            200,
            &[],
            r#"{"status":"success","data":{"result":[{"metric":{},"histogram":[1,{}]}]}}"#,
            &["native histograms"],
        ),
        (200, &html_type, PAGE, &["a web page came instead of JSON", "prometheus main on `up`"]),
        (200, &[], PAGE, &["unreadable answer"]),
        (200, &[("content-encoding", "gzip")], "", &["compressed"]),
        (
            200,
            &[],
            r#"{"status":"error","errorType":"execution","error":"boom"}"#,
            &["status 200 execution: boom"],
        ),
        (
            302,
            &[("location", "http://other/?token=hunter2")],
            "",
            &["status 302", "redirects are not followed"],
        ),
        (
            400,
            &json_type,
            r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#,
            &["status 400 bad_data: parse error at char 3", "check the query"],
        ),
        (401, &html_type, PAGE, &["status 401", "token or password file"]),
        (403, &[], "", &["status 403"]),
        (404, &html_type, PAGE, &["status 404 not found", "it ends before /api/v1"]),
        (413, &[], "", &["too large", "shorten the window"]),
        (
            422,
            &[],
            r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}"#,
            &["too many samples", "shorten the window"],
        ),
        (
            422,
            &[],
            r#"{"status":"error","errorType":"execution","error":"vector on the left"}"#,
            &["status 422 execution: vector on the left"],
        ),
        (429, &retry, "", &["too many requests", "asked again later"]),
        (500, &[], PAGE, &["status 500", "no prometheus error object", "server's log"]),
        (
            503,
            &[],
            r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#,
            &["no answer within 10s"],
        ),
        (503, &[], "", &["the server is unavailable"]),
    ];
    for (status, headers, body, expect) in table {
        let got = instant(always(*status, headers, body)).await;
        for part in *expect {
            assert!(got.contains(part), "{status} {body:?}: {got:?} lacks {part:?}");
        }
        assert!(
            !got.contains("Welcome") && !got.contains("hunter2"),
            "a page or a location was repeated: {got}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn transience_decides_on_asking_again() {
    let table = [
        (400, false),
        (401, false),
        (404, false),
        (413, false),
        (429, true),
        (500, true),
        (502, true),
        (503, true),
    ];
    for (status, expect) in table {
        let error = client(always(status, &[("retry-after", "7")], "")).instant("up", 0).await.unwrap_err();
        assert_eq!(error.is_transient(), expect, "{error}");
        if let ProviderError::Overloaded { retry_after, .. } = error {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
    }
    for (cause, expect) in [
        (TransportError::Connect { host: "h".into(), cause: "refused".into() }, true),
        (TransportError::Broken { host: "h".into(), cause: "reset".into() }, true),
        (TransportError::Refused { host: "h".into(), why: "loopback".into() }, false),
    ] {
        let transport = scripted(move |_| std::future::ready(Err(cause.clone())));
        assert_eq!(client(transport).instant("up", 0).await.unwrap_err().is_transient(), expect);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_drip_ends_at_the_timeout() {
    let transport = scripted(|_| async {
        let drip = futures::stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Bytes::from_static(b" "))
        });
        Ok(Response::new(drip.boxed()))
    });
    let start = Instant::now();
    let error = client(transport).instant("up", 0).await.unwrap_err();
    assert!(matches!(error, ProviderError::Timeout { .. }), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_huge_body_is_read_to_the_budget_and_no_further() {
    const CHUNK: usize = 64 * 1024;
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let transport = scripted(move |_| {
        let counter = Arc::clone(&counter);
        let endless = futures::stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from(vec![b' '; CHUNK]))
        });
        std::future::ready(Ok(Response::new(endless.boxed())))
    });
    let error = client(transport).raw_samples("up", 0, 1_000).await.unwrap_err();
    assert!(error.to_string().contains("exceeds 16777216 bytes"), "{error}");
    assert_eq!(pulled.load(Ordering::Relaxed), 16 * 1024 * 1024 / CHUNK + 1);
    // An announced length is believed when it is too long, so that nothing at all is read.
    let error =
        client(always(200, &[("content-length", "1073741824")], "")).instant("up", 0).await.unwrap_err();
    assert!(matches!(error, ProviderError::TooLarge { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn more_series_than_allowed_is_an_error_and_never_a_part() {
    let series = r#"{"metric":{"pod":"PLACE"},"values":[[1,"1"]]}"#;
    for (count, is_ok) in [(3, true), (4, false)] {
        let all: Vec<String> = (0..count).map(|index| series.replace("PLACE", &index.to_string())).collect();
        let body = format!(r#"{{"status":"success","data":{{"result":[{}]}}}}"#, all.join(","));
        let mut config = config();
        config.limits.max_series = 3;
        let provider = Prometheus::new(always(200, &[], &body), config).unwrap();
        match provider.raw_samples("up", 0, 1_000).await {
            Ok(answer) => assert!(is_ok && answer.value.len() == count),
            Err(error) => assert!(!is_ok && error.to_string().contains("more than 3 series"), "{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_queries_run_than_allowed_and_waiting_ends() {
    let running = Arc::new(AtomicUsize::new(0));
    let highest = Arc::new(AtomicUsize::new(0));
    let (now, most) = (Arc::clone(&running), Arc::clone(&highest));
    let transport = scripted(move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(9)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            json(VECTOR.to_owned())
        }
    });
    let provider = client(transport);
    let answers = futures::future::join_all((0..20).map(|_| provider.instant("up", 0))).await;
    assert_eq!(highest.load(Ordering::Relaxed), 4);
    // Turns begin at 0, 9, 18 and 27 s; whoever would begin at 36 s has waited for more than 30.
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 16);
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(
        refused.clone().count() == 4
            && refused.clone().all(|error| error.to_string().contains("query slots"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_request_is_what_the_api_documents() {
    let transport = scripted(|request| {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "http://prometheus.example:9090/base/api/v1/query");
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(request.headers()["x-scope-orgid"], "tenant-1");
        let expect = "query=a%7Bb%3D%22%C3%A9%20%26%2B%22%7D&time=1700000000.007&timeout=10000ms&limit=2001";
        assert_eq!(request.body(), expect.as_bytes());
        assert_eq!(form(request.body())["query"], "a{b=\"é &+\"}");
        std::future::ready(json(VECTOR.to_owned()))
    });
    let mut config = config();
    config.headers.push((HeaderName::from_static("x-scope-orgid"), SecretText::new("tenant-1".to_owned())));
    let provider = Prometheus::new(transport, config).unwrap();
    provider.instant("a{b=\"é &+\"}", 1_700_000_000_007).await.unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let table: &[(&str, &str)] = &[
        ("prometheus:9090", "must read http"),
        ("/relative", "must read http"),
        ("", "must read http"),
        ("ftp://prometheus", "must read http"),
        ("http://user:hunter2@prometheus", "must read http"),
        ("http://prometheus?token=hunter2", "must read http"),
    ];
    for (address, part) in table {
        let mut config = config();
        config.base_url = (*address).to_owned();
        let error = Prometheus::new(always(200, &[], ""), config).err().unwrap().to_string();
        assert!(error.contains(part) && !error.contains("hunter2"), "{address}: {error}");
    }
    let mut config = config();
    config.limits.concurrent_queries = 0;
    assert!(Prometheus::new(always(200, &[], ""), config).is_err());
}

#[tokio::test(start_paused = true)]
async fn secrets_never_appear() {
    const CANARY: &str = "canary-7f3a9";
    let echoes = [
        (
            200,
            format!(r#"{{"status":"success","warnings":["got {CANARY}"],"data":{{"result":["{CANARY}"]}}}}"#),
        ),
        (200, format!(r#"{{"status":"success","warnings":["got {CANARY}"],"data":{{"result":[]}}}}"#)),
        (200, format!(r#"{{"status":"{CANARY}","data":"{CANARY}"}}"#)),
        (200, format!("\"{CANARY}\"")),
        (400, format!(r#"{{"status":"error","errorType":"{CANARY}","error":"header x: {CANARY}"}}"#)),
        (401, CANARY.to_owned()),
        (500, format!("<p>{CANARY}</p>")),
    ];
    for (status, body) in echoes {
        let mut config = config();
        config.headers.push((HeaderName::from_static("x-api-key"), SecretText::new(CANARY.to_owned())));
        assert!(!format!("{config:?}").contains(CANARY));
        let provider = Prometheus::new(always(status, &[], &body), config).unwrap();
        let got = provider.instant(&format!("up{{a=\"{CANARY}\"}}"), 0).await;
        let shown = match &got {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(CANARY), "{status}: {shown}");
        assert!(shown.contains("[redacted]"), "{status}: the echo must be visible as a mask: {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_short_whatever_the_server_says() {
    let long = "x ".repeat(20_000);
    let body = format!(r#"{{"status":"error","errorType":"bad_data","error":"{long}"}}"#);
    let error = client(always(400, &[], &body)).instant(&"y ".repeat(5_000), 0).await.unwrap_err();
    assert!(error.to_string().len() < 1_600, "{} bytes", error.to_string().len());
}

#[tokio::test(start_paused = true)]
async fn presence_questions() {
    let row = |labels: &str, count: &str| format!(r#"{{"metric":{{{labels}}},"value":[1,"{count}"]}}"#);
    let body =
        |rows: &[String]| format!(r#"{{"status":"success","data":{{"result":[{}]}}}}"#, rows.join(","));
    let with = row(r#""trimtab_present":"yes""#, "3");
    let without = row("", "2");
    let table = [
        (body(&[]), LabelPresence::NoSeries),
        (body(std::slice::from_ref(&with)), LabelPresence::Everywhere),
        (body(std::slice::from_ref(&without)), LabelPresence::Nowhere),
        (body(&[with, without]), LabelPresence::Partly),
    ];
    let window = Duration::from_secs(300);
    for (body, expect) in table {
        let expect_query = "count by (trimtab_present) (label_replace(last_over_time(up{a=\"b\"}[300000ms]), \
             \"trimtab_present\", \"yes\", \"pod\", \".+\"))";
        let answer = body.clone();
        let transport = scripted(move |request| {
            assert_eq!(form(request.body())["query"], expect_query);
            std::future::ready(json(answer.clone()))
        });
        let presence = client(transport).label_presence("up{a=\"b\"}", "pod", window, 0).await.unwrap();
        assert_eq!(presence.value, expect);
        let exists = client(always(200, &[], &body)).exists("up", window, 0).await.unwrap();
        assert_eq!(exists.value, expect != LabelPresence::NoSeries);
    }
}

fn ask_both(body: &[u8]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let body = Bytes::copy_from_slice(body);
    let transport = scripted(move |_| {
        let body = body.clone();
        std::future::ready(Ok(Response::new(trimtab_providers::http::body_of([body]))))
    });
    runtime.block_on(async {
        let provider = client(transport);
        let _ = provider.instant("up", 0).await;
        let _ = provider.raw_samples("up", 0, 1_000).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        ask_both(&body);
    }

    #[test]
    fn a_damaged_answer_never_panics(at in 0..MATRIX.len(), byte in any::<u8>(), cut in 0..MATRIX.len()) {
        let mut body = MATRIX.as_bytes().to_vec();
        body[at] = byte;
        ask_both(&body);
        ask_both(&body[..cut]);
    }
}
