//! What cannot be read, and bytes that are no events.

use proptest::prelude::*;

use crate::common::{Piece, line, ok};
use crate::script::{bookmark, check, event, object, page, run};

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
