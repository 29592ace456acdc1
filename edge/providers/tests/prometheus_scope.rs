//! Several clusters share a server: every question is narrowed to one of them.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{config, form, json, scripted};
use trimtab_providers::ProviderError;
use trimtab_providers::prometheus::Prometheus;

/// A client with this scope, and what it asked so far.
fn client(scope: &str) -> (Result<Prometheus, ProviderError>, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    let transport = scripted(move |request| {
        heard.lock().unwrap().push(form(request.body())["query"].clone());
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        std::future::ready(json(body.to_owned()))
    });
    let mut config = config();
    config.scope = scope.to_owned();
    (Prometheus::new(transport, config), asked)
}

#[tokio::test]
async fn every_question_is_narrowed() {
    let (client, asked) = client(r#"cluster="eu-1", region=~"eu.*""#);
    let client = client.unwrap();
    client.raw_samples(r#"http_requests_total{code="500"}"#, 0, 60_000).await.unwrap();
    client.instant("sum(rate(a[1m])) / sum(rate(b[1m])) > 0.2", 60_000).await.unwrap();
    client.label_presence("up", "pod", Duration::from_secs(60), 60_000).await.unwrap();
    let asked = asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            r#"http_requests_total{cluster="eu-1",code="500",region=~"eu.*"}[1m1ms]"#,
            r#"sum(rate(a{cluster="eu-1",region=~"eu.*"}[1m])) / sum(rate(b{cluster="eu-1",region=~"eu.*"}[1m])) > 0.2"#,
            r#"count by (trimtab_present) (label_replace(last_over_time(up{cluster="eu-1",region=~"eu.*"}[1m]), "trimtab_present", "yes", "pod", ".+"))"#,
        ]
    );
}

#[tokio::test]
async fn without_a_scope_a_question_is_sent_as_it_was_written() {
    let (client, asked) = client("");
    client.unwrap().raw_samples("up", 0, 1_000).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), ["up[1001ms]"]);
}

#[test]
fn a_scope_that_is_no_list_of_matchers_is_refused() {
    for scope in ["cluster", "cluster=eu", r#"up{cluster="eu"}"#, r#"cluster="eu"} or up{"#, r#"a=~"(""#] {
        let Err(error) = client(scope).0 else { panic!("{scope} was accepted") };
        let text = error.to_string();
        assert!(text.contains("matchers must read like") && text.contains(scope), "{text}");
    }
}
