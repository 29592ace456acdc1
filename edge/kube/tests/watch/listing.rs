//! What is listed, in pages and anew, and what a store makes of it.

use std::time::Duration;

use futures::StreamExt;
use trimtab_kube::resource::PODS;
use trimtab_kube::watch::{Scope, watch};
use trimtab_kube::{Store, api::Selector};

use crate::common::{Trace, data, line, ok, refuse, scripted, wait};
use crate::script::{Name, Names, check, event, expired, object, page, run};

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
