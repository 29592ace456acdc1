//! Stores under every order of events.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use trimtab_kube::resource::Key;
use trimtab_kube::store::Rows;
use trimtab_kube::watch::{Event, Row};

/// A row whose colour matters and whose weight does not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ball {
    key: Key,
    version: u64,
    colour: u8,
}

impl Row for Ball {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.version
    }

    fn differs_from(&self, old: &Ball) -> bool {
        self.colour != old.colour
    }
}

fn ball(name: &str, version: u64, colour: u8) -> Ball {
    Ball { key: Key::new("n", name), version, colour }
}

fn rows() -> Rows<Ball, u8> {
    Rows::indexed(|ball, values| values.push(ball.colour))
}

/// Changes as `old>new` colours, one text for all.
fn take(rows: &mut Rows<Ball, u8>, events: Vec<Event<Ball>>) -> String {
    let mut words = Vec::new();
    for event in events {
        for change in rows.take(event) {
            let colour =
                |row: Option<std::sync::Arc<Ball>>| row.map_or("-".to_owned(), |row| row.colour.to_string());
            words.push(format!("{}>{}", colour(change.old), colour(change.new)));
        }
    }
    words.join(" ")
}

#[test]
fn events_and_the_changes_they_make() {
    let check = |events: Vec<Event<Ball>>, expect: &str| {
        assert_eq!(take(&mut rows(), events.clone()), expect, "{events:?}");
    };
    let (a1, a2, b1) = (ball("a", 1, 1), ball("a", 2, 2), ball("b", 1, 7));
    let same = ball("a", 3, 1);
    check(vec![Event::Apply(a1.clone()), Event::Apply(a2.clone())], "->1 1>2");
    check(vec![Event::Apply(a2.clone()), Event::Apply(a1.clone())], "->2");
    check(vec![Event::Apply(a1.clone()), Event::Apply(same)], "->1");
    check(
        vec![Event::Apply(a1.clone()), Event::Delete(a1.key.clone()), Event::Delete(a1.key.clone())],
        "->1 1>-",
    );
    check(vec![Event::Apply(a1.clone()), Event::Reset, Event::Init(b1.clone()), Event::Ready], "->1 ->7 1>-");
    check(
        vec![Event::Apply(a1.clone()), Event::Reset, Event::Undecodable(a1.key.clone()), Event::Ready],
        "->1",
    );
    // Whatever a listing that was cut short had seen counts for nothing.
    check(vec![Event::Reset, Event::Init(a1.clone()), Event::Reset, Event::Ready], "->1 1>-");
    // A listing is believed even when its versions go back.
    check(vec![Event::Apply(a2.clone()), Event::Reset, Event::Init(a1.clone()), Event::Ready], "->2 2>1");
    check(vec![Event::Apply(a1), Event::Ready], "->1");
}

#[test]
fn readers_see_the_version_even_when_nothing_that_matters_changed() {
    let mut rows = rows();
    take(&mut rows, vec![Event::Apply(ball("a", 1, 1)), Event::Apply(ball("a", 5, 1))]);
    assert_eq!(rows.get(&Key::new("n", "a")).unwrap().version, 5);
}

#[test]
fn rows_by_namespace() {
    let mut rows: Rows<Ball> = Rows::new();
    for (namespace, name) in [("a", "x"), ("ab", "y"), ("a", "z"), ("b", "w"), ("", "v")] {
        rows.take(Event::Apply(Ball { key: Key::new(namespace, name), version: 1, colour: 0 }));
    }
    let names = |namespace| rows.in_namespace(namespace).map(|row| row.key.to_string()).collect::<Vec<_>>();
    assert_eq!(names("a"), ["a/x", "a/z"]);
    assert_eq!(names(""), ["v"]);
    assert_eq!(names("c"), Vec::<String>::new());
}

fn some_balls() -> impl Strategy<Value = Vec<Ball>> {
    // Versions are unique per key, as the API server makes them.
    let version = proptest::collection::btree_map((0_u8..4, 1_u64..20), 0_u8..3, 0..30);
    version.prop_map(|all| {
        all.into_iter().map(|((name, version), colour)| ball(&name.to_string(), version, colour)).collect()
    })
}

fn some_events() -> impl Strategy<Value = Vec<Event<Ball>>> {
    let one = prop_oneof![
        1 => Just(Event::Reset),
        1 => Just(Event::Ready),
        3 => (0_u8..4, 1_u64..20, 0_u8..3).prop_map(|(name, version, colour)| Event::Init(ball(&name.to_string(), version, colour))),
        3 => (0_u8..4, 1_u64..20, 0_u8..3).prop_map(|(name, version, colour)| Event::Apply(ball(&name.to_string(), version, colour))),
        2 => (0_u8..4).prop_map(|name| Event::Delete(Key::new("n", name.to_string()))),
        1 => (0_u8..4).prop_map(|name| Event::Undecodable(Key::new("n", name.to_string()))),
    ];
    proptest::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_applies_ends_in_the_same_rows(balls in some_balls().prop_flat_map(|balls| (Just(balls.clone()), Just(balls).prop_shuffle()))) {
        let (ordered, shuffled) = balls;
        let end = |balls: Vec<Ball>| {
            let mut rows = rows();
            for ball in balls {
                rows.take(Event::Apply(ball));
            }
            rows.iter().map(|row| (**row).clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(end(ordered), end(shuffled));
    }

    #[test]
    fn the_index_is_what_a_scan_would_find_and_changes_add_up(events in some_events()) {
        let mut rows = rows();
        let mut shadow: BTreeMap<Key, u8> = BTreeMap::new();
        for event in events {
            for change in rows.take(event) {
                let key = change.new.as_ref().or(change.old.as_ref()).unwrap().key.clone();
                prop_assert_eq!(shadow.get(&key).copied(), change.old.map(|row| row.colour));
                match change.new {
                    Some(row) => shadow.insert(key, row.colour),
                    None => shadow.remove(&key),
                };
            }
            let held: BTreeMap<Key, u8> = rows.iter().map(|row| (row.key.clone(), row.colour)).collect();
            prop_assert_eq!(&held, &shadow);
            for colour in 0..3 {
                let indexed: Vec<&Key> = rows.at(&colour).map(|row| &row.key).collect();
                let scanned: Vec<&Key> = rows.iter().filter(|row| row.colour == colour).map(|row| &row.key).collect();
                prop_assert_eq!(indexed, scanned);
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_known_to_exist() {
    let mut rows = rows();
    let undecodable = |rows: &Rows<Ball, u8>| -> Vec<String> {
        rows.undecodable_in("n").map(|key| key.name.to_string()).collect()
    };
    rows.take(Event::Reset);
    rows.take(Event::Undecodable(Key::new("n", "a")));
    rows.take(Event::Undecodable(Key::new("n", "b")));
    rows.take(Event::Undecodable(Key::new("other", "c")));
    rows.take(Event::Ready);
    assert_eq!(undecodable(&rows), ["a", "b"]);
    assert!(rows.is_undecodable(&Key::new("other", "c")));
    rows.take(Event::Apply(ball("a", 1, 0)));
    assert_eq!(undecodable(&rows), ["b"], "it was mended");
    rows.take(Event::Delete(Key::new("n", "b")));
    assert_eq!(undecodable(&rows), Vec::<String>::new(), "it is gone");
    rows.take(Event::Undecodable(Key::new("n", "d")));
    rows.take(Event::Reset);
    rows.take(Event::Ready);
    assert_eq!(undecodable(&rows), Vec::<String>::new(), "a listing without it");
}
