//! What is remembered of our own writes costs a plan what it is about, not what else was written.

use std::cell::RefCell;

use trimtab_kube::Key;
use trimtab_kube::expectations::Expectations;
use trimtab_kube::resource::{DEPLOYMENTS, PODS};

/// A plan looks at the writes that it is about, however many others are waited for.
#[tokio::test(start_paused = true)]
async fn a_few_are_looked_at_among_thousands() {
    let expectations = Expectations::default();
    let key = |name: &str| Key::new("shop", name);
    for name in ["pay", "pay-v1", "pay-v1-v7", "pay-v2", "paz-v1"] {
        expectations.wrote(PODS, key(name), 5);
        expectations.wrote(DEPLOYMENTS, key(name), 5);
        expectations.wrote(PODS, Key::new("other", name), 5);
    }
    let asked = RefCell::new(Vec::new());
    let shown = |key: &Key| {
        asked.borrow_mut().push(key.name.to_string());
        (&*key.name != "pay-v2").then_some(5)
    };
    assert!(expectations.is_any_numbered_behind(PODS, &key("pay-v"), shown));
    assert!(!expectations.is_any_numbered_behind(PODS, &key("pax"), shown), "nothing is named so");
    assert!(!expectations.is_behind(DEPLOYMENTS, &key("pay"), shown));
    assert_eq!(asked.take(), ["pay-v1", "pay-v2", "pay"]);
    assert_eq!(expectations.len(), 13, "what was seen is forgotten, and nothing else");
}
