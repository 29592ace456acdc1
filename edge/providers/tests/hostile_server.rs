//! A metrics server that does harm, over a real connection: whatever it says, an answer takes a bounded time and a bounded
//! amount of memory, and the error names the server.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use trimtab_promql::Series;
use trimtab_providers::ProviderError;
use trimtab_providers::http::{EgressPolicy, HyperTransport, SystemResolver, TransportConfig};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig};

/// What the server does with a connection, once a request came.
type Deed = Arc<dyn Fn(TcpStream) -> futures::future::BoxFuture<'static, ()> + Send + Sync>;

fn deed<F: Future<Output = ()> + Send + 'static>(
    act: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> Deed {
    Arc::new(move |stream| Box::pin(act(stream)))
}

/// A client of a server that does this to everybody.
async fn client(deed: Deed) -> Prometheus {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let deed = Arc::clone(&deed);
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                if stream.read(&mut request).await.is_ok() {
                    deed(stream).await;
                }
            });
        }
    });
    let config = TransportConfig::new(EgressPolicy::Unrestricted);
    let transport = HyperTransport::new(config, Arc::new(SystemResolver)).unwrap();
    let mut config = PrometheusConfig::new("evil", &format!("http://{address}"));
    config.limits.timeout = Duration::from_secs(5);
    Prometheus::new(Arc::new(transport), config).unwrap()
}

/// Sends a head and a body and hangs up.
fn says(headers: &str, body: Vec<u8>) -> Deed {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n");
    deed(move |mut stream| {
        let (head, body) = (head.clone(), body.clone());
        async move {
            // The client may have hung up.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
            let _ = stream.shutdown().await;
        }
    })
}

fn matrix(series: &str) -> Vec<u8> {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#).into_bytes()
}

async fn samples(deed: Deed) -> Result<Vec<Series>, ProviderError> {
    client(deed).await.raw_samples("up", 0, 60_000).await.map(|answer| answer.value)
}

#[tokio::test]
async fn fifty_megabytes_are_not_read_to_their_end() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let endless = deed(move |mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            let head =
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"data\":";
            let _ = stream.write_all(head).await;
            for _ in 0..50 {
                if stream.write_all(&vec![b' '; 1024 * 1024]).await.is_err() {
                    return;
                }
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let error = samples(endless).await.unwrap_err();
    assert!(matches!(error, ProviderError::TooLarge { .. }), "{error}");
    assert!(error.to_string().starts_with("prometheus evil on `up[60001ms]`: "), "{error}");
    // Sixteen megabytes are the limit; what buffers on the way hold comes on top.
    assert!(sent.load(Ordering::Relaxed) < 32, "{} MB were taken", sent.load(Ordering::Relaxed));
}

#[tokio::test]
async fn an_answer_that_drips_ends_at_the_timeout() {
    let drip = deed(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let start = Instant::now();
    let error = samples(drip).await.unwrap_err();
    assert!(matches!(error, ProviderError::Timeout { .. }), "{error}");
    assert!(error.to_string().starts_with("prometheus evil on "), "{error}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_name() {
    for (name, deed, says) in [
        (
            "compressed, a thousandfold or not",
            says("content-encoding: gzip\r\n", vec![0x1f; 64]),
            "compressed",
        ),
        ("compressed, and called plain", says("", vec![0x1f, 0x8b, 8, 0]), "unreadable answer"),
        ("cut off", says("content-length: 5000\r\n", matrix("")), "broke"),
        ("a head without an end", says(&format!("x: {}\r\n", "x".repeat(2_000_000)), Vec::new()), "broke"),
        ("nested without end", says("", vec![b'['; 1_000_000]), "unreadable answer"),
        ("a number of a million digits", says("", vec![b'9'; 1_000_000]), "unreadable answer"),
    ] {
        let error = samples(deed).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("prometheus evil on `up[60001ms]`: "), "{name}: {text}");
        assert!(text.contains(says) && text.len() < 1_500, "{name}: {text}");
    }
}

#[tokio::test]
async fn values_and_times_are_those_that_were_asked_for() {
    let tomorrow = 86_400;
    let series = format!(
        r#"{{"metric":{{"pod":"a","path":"{}"}},"values":[[1,"NaN"],[2,"1e308"],[3,"+Inf"],[{tomorrow},"5"],[1e300,"6"],[-1e300,"7"]]}}"#,
        "x".repeat(10_000)
    );
    let found = samples(says("", matrix(&series))).await.unwrap();
    let times: Vec<i64> = found[0].samples.iter().map(|sample| sample.at_ms).collect();
    assert_eq!(times, [1_000, 2_000, 3_000], "what was not asked for is not given");
    assert!(found[0].samples[0].value.is_nan() && found[0].samples[1].value > 1e307);
}

/// The most memory that this process ever had, in bytes.
#[cfg(target_os = "linux")]
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_as_large_as_allowed_takes_a_few_times_its_size() {
    const LIMIT: usize = 16 * 1024 * 1024;
    let filled = |open: &str, part: &str, close: &str| {
        let room = LIMIT - 200 - open.len() - close.len();
        matrix(&format!("{open}{}{close}", part.repeat(room / part.len())))
    };
    for (name, body) in [
        ("samples", filled(r#"{"metric":{"pod":"a"},"values":[[1,"1"]"#, r#",[1,"1"]"#, "]}")),
        ("labels", filled(r#"{"metric":{"pod":"a""#, r#","a":"""#, r#"},"values":[[1,"1"]]}"#)),
        ("warnings", {
            let mut body = br#"{"status":"success","warnings":["""#.to_vec();
            body.extend(br#","""#.repeat((LIMIT - 200) / 3));
            body.extend(br#"],"data":{"result":[]}}"#);
            body
        }),
    ] {
        let deed = says("", body);
        let before = peak_bytes();
        let found = samples(deed).await;
        let grown = peak_bytes().saturating_sub(before);
        println!("{name}: {grown} bytes, {:?}", found.as_ref().map(Vec::len).map_err(ToString::to_string));
        assert!(grown < 8 * LIMIT, "{name}: {grown} bytes for an answer of {LIMIT}");
    }
}
