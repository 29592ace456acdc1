//! A watch that breaks goes on where it stopped, or starts over where that is forgotten.

use crate::common::{Answer, Piece, data, line, ok, refuse, unreachable, wait};
use crate::script::{bookmark, check, event, expired, object, page};

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
