//! The whole grammar of lists and watches, against a scripted server and virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{Answer, Piece, Trace, data, line, ok, refuse, scripted, unreachable, wait};
use futures::StreamExt;
use proptest::prelude::*;
use serde::Deserialize;
use trimtab_kube::resource::{Key, PODS};
use trimtab_kube::watch::{Event, Project, ProjectError, Row, Scope, WatchCounts, watch};
use trimtab_kube::{Store, api::Selector};

/// How long a script may take, in virtual time.
const SCRIPT_TIME: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    key: Key,
    version: u64,
}

impl Row for Name {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.version
    }
}

/// Reads names; an object with `"spec":"bad"` is undecodable.
struct Names;

impl Project for Names {
    type Row = Name;

    fn project(&self, object: &[u8]) -> Result<Name, ProjectError> {
        #[derive(Deserialize)]
        struct Object {
            metadata: Metadata,
            #[serde(default)]
            spec: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            namespace: String,
            name: String,
            resource_version: String,
        }
        let Object { metadata, spec } = serde_json::from_slice(object)?;
        if spec == "bad" {
            return Err(ProjectError("spec is bad".to_owned()));
        }
        let version = metadata.resource_version.parse().map_err(|_| ProjectError("version".to_owned()))?;
        Ok(Name { key: Key::new(metadata.namespace, metadata.name), version })
    }
}

fn object(name: &str, version: u64, spec: &str) -> String {
    format!(
        r#"{{"metadata":{{"namespace":"shop","name":"{name}","resourceVersion":"{version}"}},"spec":"{spec}"}}"#
    )
}

fn page(version: u64, token: &str, items: &[String]) -> Answer {
    let items = items.join(",");
    ok([data(&format!(
        r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[{items}]}}"#
    ))])
}

fn event(kind: &str, object: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

fn bookmark(version: u64) -> String {
    event("BOOKMARK", &format!(r#"{{"kind":"Pod","metadata":{{"resourceVersion":"{version}"}}}}"#))
}

fn expired() -> &'static str {
    r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#
}

fn words(event: &Event<Name>) -> String {
    match event {
        Event::Init(row) => format!("Init {}@{}", row.key.name, row.version),
        Event::Apply(row) => format!("Apply {}@{}", row.key.name, row.version),
        Event::Delete(key) => format!("Delete {}", key.name),
        Event::Undecodable(key) => format!("Undecodable {}", key.name),
        Event::Reset | Event::Ready => format!("{event:?}"),
    }
}

/// Runs the script and returns what was asked and what came out, with virtual milliseconds.
async fn run(script: Vec<Answer>) -> (Vec<String>, WatchCounts, Option<String>) {
    let trace = Trace::new();
    let mut events = watch(scripted(script, &trace), PODS, Scope::all(), Names);
    let status = events.status();
    let collect = async {
        while let Some(event) = events.next().await {
            trace.add(&words(&event));
        }
    };
    let _ = tokio::time::timeout(SCRIPT_TIME, collect).await;
    let short = |line: String| {
        format!("{line}\n")
            .replace("/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion=", "watch ")
            .replace("&timeoutSeconds=290", "")
            .replace("/api/v1/pods?limit=500", "list")
            .replace("/api/v1/pods?limit=1\n", "version\n")
            .replace("GET ", "")
            .trim_end()
            .to_owned()
    };
    (trace.lines().into_iter().map(short).collect(), status.counts(), status.last_error())
}

async fn check(name: &str, script: Vec<Answer>, expect: &str) -> WatchCounts {
    let (lines, counts, _) = run(script).await;
    let expect: Vec<&str> = expect.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // What happens after the script has run out is the idle timeout of the last request.
    let lines: Vec<&str> = lines.iter().take(expect.len()).map(String::as_str).collect();
    assert_eq!(lines, expect, "{name}");
    counts
}

#[tokio::test(start_paused = true)]
async fn lists_pages_then_watches_from_their_version() {
    let script = vec![
        page(9, "more", &[object("a", 1, "")]),
        page(9, "", &[object("b", 2, "")]),
        ok([
            line(&event("ADDED", &object("c", 10, ""))),
            line(&event("DELETED", &object("a", 11, ""))),
            wait(600),
        ]),
        page(11, "", &[]),
    ];
    let expect = "
        0 list
        0 Reset
        0 Init a@1
        0 list&continue=more
        0 Init b@2
        0 Ready
        0 watch 9
        0 Apply c@10
        0 Delete a
        150200 version
        150200 watch 11
    ";
    let counts = check("pages", script, expect).await;
    assert_eq!((counts.lists, counts.undecodable, counts.events), (1, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_is_resumed_where_it_stopped() {
    let start = page(5, "", &[]);
    let cases = [
        (
            "clean end after an event",
            vec![line(&event("MODIFIED", &object("a", 6, "")))],
            "0 Apply a@6\n200 version\n200 watch 6",
        ),
        ("bookmark moves the version", vec![line(&bookmark(40))], "200 version\n200 watch 40"),
        (
            "reset mid-line loses only the cut line",
            vec![line(&event("ADDED", &object("a", 6, ""))), data(r#"{"type":"ADDED","obj"#), Piece::Reset],
            "0 Apply a@6\n200 version\n200 watch 6",
        ),
        (
            "end mid-line is the same",
            vec![line(&event("ADDED", &object("a", 6, ""))), data(r#"{"type":"ADDED","object":{}}"#)],
            "0 Apply a@6\n200 version\n200 watch 6",
        ),
        (
            "a line may come in many pieces, slowly",
            vec![
                data(r#"{"type":"ADDED","object":"#),
                wait(100),
                data(&object("a", 6, "")),
                wait(100),
                data("}\n\n  \n"),
            ],
            "200000 Apply a@6\n200200 version\n200200 watch 6",
        ),
        ("silence is a dead connection", vec![wait(1_000)], "150200 version\n150200 watch 5"),
    ];
    for (name, pieces, expect) in cases {
        let script = vec![start.clone(), ok(pieces), page(50, "", &[])];
        check(name, script, &format!("0 list\n0 Reset\n0 Ready\n0 watch 5\n{expect}")).await;
    }
}

/// A server accepts a version that its storage has yet to reach, and leaves out what happens until then.
#[tokio::test(start_paused = true)]
async fn storage_that_went_back_is_listed_anew() {
    let restored = [object("a", 4, "")];
    let script = vec![
        page(9, "", &[object("a", 4, ""), object("b", 9, "")]),
        ok([line(&bookmark(12))]),
        page(7, "", &restored),
        page(8, "", &restored),
    ];
    let expect = "
        0 list
        0 Reset
        0 Init a@4
        0 Init b@9
        0 Ready
        0 watch 9
        200 version
        600 list
        600 Reset
        600 Init a@4
        600 Ready
        600 watch 8
    ";
    check("went back", script, expect).await;
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_version_means_listing_again() {
    let again =
        "0 list\n0 Reset\n0 Ready\n0 watch 5\n200 list\n200 Reset\n200 Init a@7\n200 Ready\n200 watch 8";
    let relisted = page(8, "", &[object("a", 7, "")]);
    let bare = r#"{"kind":"Status","code":410,"reason":"Gone","message":"too old"}"#;
    for (name, gone) in [
        ("410 answer", refuse(410, r#"{"reason":"Expired"}"#)),
        ("410 inside a 200", ok([line(expired())])),
        ("a bare Status inside a 200", ok([line(bare)])),
    ] {
        let counts = check(name, vec![page(5, "", &[]), gone, relisted.clone()], again).await;
        assert_eq!(counts.expired, 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_continue_token_starts_the_listing_over() {
    let script = vec![
        page(9, "more", &[object("a", 1, "")]),
        refuse(410, r#"{"reason":"Expired"}"#),
        page(12, "", &[object("b", 2, "")]),
    ];
    let expect = "
        0 list
        0 Reset
        0 Init a@1
        0 list&continue=more
        200 /api/v1/pods?limit=250
        200 Reset
        200 Init b@2
        200 Ready
        200 watch 12
    ";
    check("expired token", script, expect).await;
}

#[tokio::test(start_paused = true)]
async fn undecodable_objects_are_skipped_and_named() {
    let script = vec![
        page(9, "", &[object("a", 1, "bad"), object("b", 2, ""), "{}".to_owned()]),
        ok([
            line(&event("ADDED", &object("c", 10, "bad"))),
            line(&event("MODIFIED", r#"{"metadata":7}"#)),
            line(&event("ADDED", &object("d", 11, ""))),
        ]),
        page(11, "", &[]),
    ];
    let expect = "
        0 list
        0 Reset
        0 Undecodable a
        0 Init b@2
        0 Ready
        0 watch 9
        0 Undecodable c
        0 Apply d@11
        200 version
        200 watch 11
    ";
    let counts = check("undecodable", script, expect).await;
    assert_eq!(counts.undecodable, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_may_have_been_a_change() {
    for garbage in ["<html>", r#"{"type":"NEWS","object":{}}"#, r#"{"type":"DELETED","object":{}}"#] {
        let script = vec![page(5, "", &[]), ok([line(garbage)]), page(6, "", &[])];
        let expect = "0 list\n0 Reset\n0 Ready\n0 watch 5\n200 list\n200 Reset\n200 Ready\n200 watch 6";
        let counts = check(garbage, script, expect).await;
        assert_eq!(counts.lists, 2, "{garbage}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_without_chance_and_start_over_after_success() {
    let now = page(9, "", &[]);
    let script = vec![
        page(5, "", &[]),
        refuse(500, ""),
        unreachable(),
        now.clone(),
        ok([line(r#"{"type":"ERROR","object":{"code":500,"message":"etcd"}}"#)]),
        now.clone(),
        ok([]),
        Answer { retry_after: Some(9), ..refuse(429, "") },
        now.clone(),
        ok([line(&bookmark(7))]),
        now.clone(),
        refuse(403, r#"{"reason":"Forbidden"}"#),
        now,
    ];
    let expect = "
        0 list
        0 Reset
        0 Ready
        0 watch 5
        200 version
        600 version
        600 watch 5
        1400 version
        1400 watch 5
        3000 version
        12000 version
        12000 watch 5
        12200 version
        12200 watch 7
        12600 version
        12600 watch 7
    ";
    check("backoff", script, expect).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_list_is_retried_with_smaller_pages_and_reported() {
    // Each list is itself tried four times.
    let script = std::iter::repeat_n(refuse(500, "boom"), 12).collect();
    let (lines, counts, last_error) = run(script).await;
    let limits: Vec<&str> = lines
        .iter()
        .step_by(4)
        .take(3)
        .filter_map(|line| line.split_once(' ').map(|(_, asked)| asked))
        .collect();
    assert_eq!(limits, ["list", "/api/v1/pods?limit=250", "/api/v1/pods?limit=125"]);
    assert!(counts.errors >= 3);
    let error = last_error.unwrap();
    assert!(error.starts_with("list pods: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_is_not_taken_for_an_empty_one() {
    for body in ["{}", "null", "<html>", r#"{"metadata":{},"items":[]}"#, r#"{"kind":"Status","code":500}"#] {
        let script = vec![ok([data(body)]), page(5, "", &[])];
        let expect = "0 list\n200 /api/v1/pods?limit=250\n200 Reset\n200 Ready\n200 watch 5";
        check(body, script, expect).await;
    }
}

#[tokio::test(start_paused = true)]
async fn scopes_and_selectors_reach_the_server() {
    let trace = Trace::new();
    let selector = Selector::all().labels("app in (a,b)").fields("status.phase!=Succeeded");
    let scope = Scope::namespace("shop").selecting(selector);
    let mut events = watch(scripted(vec![page(5, "", &[])], &trace), PODS, scope, Names);
    let _ =
        tokio::time::timeout(Duration::from_secs(1), async { while events.next().await.is_some() {} }).await;
    let selected = "labelSelector=app%20in%20%28a%2Cb%29&fieldSelector=status.phase%21%3DSucceeded";
    assert_eq!(
        trace.lines(),
        [
            format!("0 GET /api/v1/namespaces/shop/pods?limit=500&{selected}"),
            format!(
                "0 GET /api/v1/namespaces/shop/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5\
             &timeoutSeconds=290&{selected}"
            ),
        ]
    );
}

/// A valid history: whatever it is cut into, the same rows come out.
fn history() -> Vec<u8> {
    let lines = [
        event("ADDED", &object("a", 10, "")),
        event("MODIFIED", &object("a", 11, "")),
        bookmark(12),
        event("ADDED", &object("b", 13, "")),
        event("DELETED", &object("a", 14, "")),
    ];
    lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_end_or_break_the_stream(
        listed in proptest::collection::vec(any::<u8>(), 0..200),
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut mangled = history();
        let position = cut.index(mangled.len());
        mangled[position] ^= 0x55;
        let mut stream: Vec<Piece> = pieces.into_iter().map(Piece::Data).collect();
        stream.push(Piece::Data(mangled));
        let script = vec![ok([Piece::Data(listed)]), page(5, "", &[]), ok(stream), page(20, "", &[object("z", 19, "")])];
        let (lines, ..) = in_virtual_time(run(script));
        prop_assert!(lines.iter().any(|line| line.ends_with(" Ready")), "{lines:?}");
    }

    #[test]
    fn however_a_stream_is_cut_the_same_rows_come_out(cuts in proptest::collection::btree_set(1_usize..400, 0..30)) {
        let bytes = history();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().filter(|cut| *cut < bytes.len()).chain([bytes.len()]) {
            pieces.push(Piece::Data(bytes[from..cut].to_vec()));
            from = cut;
        }
        let (lines, ..) = in_virtual_time(run(vec![page(5, "", &[]), ok(pieces), page(14, "", &[])]));
        let applied: Vec<&str> = lines.iter().skip(4).take(6).map(String::as_str).collect();
        prop_assert_eq!(applied, ["0 Apply a@10", "0 Apply a@11", "0 Apply b@13", "0 Delete a", "200 version", "200 watch 14"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_driven_by_a_watch_forgets_what_a_relist_no_longer_has() {
    let trace = Trace::new();
    let script = vec![
        page(5, "", &[object("a", 1, ""), object("b", 2, "")]),
        ok([line(&event("ADDED", &object("c", 6, ""))), line(expired())]),
        page(9, "", &[object("b", 2, "bad"), object("c", 8, "")]),
    ];
    let events = watch(scripted(script, &trace), PODS, Scope::all(), Names);
    let status = events.status();
    let store: Store<Name> = Store::new();
    let mut changes = Vec::new();
    let name =
        |row: Option<&Name>| row.map_or("-".to_owned(), |row| format!("{}@{}", row.key.name, row.version));
    let drive =
        store.clone().drive(events, |old, new| changes.push(format!("{} -> {}", name(old), name(new))));
    let _ = tokio::time::timeout(Duration::from_secs(10), drive).await;
    assert_eq!(changes, ["- -> a@1", "- -> b@2", "- -> c@6", "c@6 -> c@8", "a@1 -> -"]);
    assert!(store.synced() && status.synced());
    let held: Vec<String> = store.read().iter().map(|row| name(Some(row))).collect();
    assert_eq!(held, ["b@2", "c@8"], "an object that cannot be read is never taken for deleted");
}
