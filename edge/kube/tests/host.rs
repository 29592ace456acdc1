//! Probes, metrics, and the end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use trimtab_kube::host::{Host, stop_on_signals};
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::pod::Pods;
use trimtab_kube::queue::Queue;
use trimtab_kube::resource::{DEPLOYMENTS, PODS};
use trimtab_kube::watch::{Scope, watch};
use trimtab_kube::{Api, CancellationToken, Clock, Key};

async fn get(host: &Host, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = host.router().oneshot(request.map(axum::body::Body::new)).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn probes_say_what_they_wait_for() {
    let host = Host::new();
    let synced = Arc::new(AtomicBool::new(false));
    let check = synced.clone();
    host.ready_when("pods", move || {
        if check.load(Ordering::Relaxed) { Ok(()) } else { Err("not listed yet".into()) }
    });
    let expect = |path: &'static str, code: u16, body: &'static str| {
        let host = host.clone();
        async move {
            assert_eq!(
                get(&host, path).await,
                (StatusCode::from_u16(code).unwrap(), body.to_owned()),
                "{path}"
            );
        }
    };
    expect("/readyz", 503, "pods: not listed yet\n").await;
    expect("/livez", 200, "ok\n").await;
    expect("/healthz", 200, "ok\n").await;
    synced.store(true, Ordering::Relaxed);
    expect("/readyz", 200, "ok\n").await;
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let host = Host::new();
    host.build_info("0.1.0", "abcdef");
    let counter: Counter = Counter::default();
    host.register(|registry| registry.register("trimtab_things", "things", counter.clone()));
    counter.inc();
    let (status, text) = get(&host, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("trimtab_build_info{version=\"0.1.0\",commit=\"abcdef\"} 1\n"), "{text}");
    assert!(text.contains("trimtab_things_total 1\n") && text.ends_with("# EOF\n"), "{text}");
}

/// One header for all queues and all watches, and all their samples behind it.
#[tokio::test]
async fn what_is_registered_several_times_is_one_family() {
    let host = Host::new();
    let api = Api::new(
        kube::Client::new(tower::service_fn(|_: Request<kube::client::Body>| never()), "default"),
        "tester",
    );
    host.register(|registry| {
        for name in ["delivery", "policy"] {
            Queue::<Key>::new(name, Clock::system()).register(registry);
        }
        for resource in [PODS, DEPLOYMENTS] {
            let projection = Pods::new(Interner::new());
            watch(api.clone(), resource, Scope::all(), projection).status().register(registry);
        }
    });
    let text = host.metrics().unwrap();
    for name in
        ["trimtab_queue_depth", "trimtab_queue_failures", "trimtab_watch_events", "trimtab_watch_healthy"]
    {
        for word in ["HELP", "TYPE"] {
            assert_eq!(text.matches(&format!("# {word} {name} ")).count(), 1, "{text}");
        }
        let lines: Vec<&str> = text.lines().collect();
        let header = lines.iter().position(|line| line.starts_with(&format!("# TYPE {name} "))).unwrap();
        assert!(lines[header + 1..=header + 2].iter().all(|line| line.starts_with(name)), "{text}");
    }
    assert!(text.contains("trimtab_watch_healthy{resource=\"pods\"} 0\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
}

async fn never() -> Result<http::Response<kube::client::Body>, std::io::Error> {
    std::future::pending().await
}

#[tokio::test]
async fn serving_ends_when_asked_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        stop.cancel();
        answer
    };
    let (served, answer) = tokio::join!(Host::new().serve(listener, stop.clone()), asking);
    served.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn a_signal_asks_for_a_graceful_end() {
    let stop = stop_on_signals().unwrap();
    assert!(!stop.is_cancelled());
    let sent =
        std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status().unwrap();
    assert!(sent.success());
    stop.cancelled().await;
}
