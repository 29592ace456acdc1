//! The definitions that `trimtab install` prints refuse on the server what their corpus says they refuse.

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use support::Shop;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/tests").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn collection(object: &Value) -> &'static str {
    match object["kind"].as_str() {
        Some("FleetPolicy") => "/apis/trimtab.dev/v1alpha1/fleetpolicies",
        Some("AppRelease") => "/apis/trimtab.dev/v1alpha1/namespaces/shop/appreleases",
        _ => "/apis/trimtab.dev/v1alpha1/namespaces/shop/managedapps",
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_refuses_what_it_can() {
    let shop = Shop::open().await;
    let mut faults = Vec::new();
    for file in files("corpus/bad").into_iter().chain(files("corpus/good")).chain(files("examples")) {
        let text = std::fs::read_to_string(&file).expect("a file");
        let object: Value = serde_saphyr::from_str(&text).expect("YAML");
        let accepts = !text.lines().any(|line| line == "# server: rejects");
        let path = format!("{}?dryRun=All&fieldValidation=Strict", collection(&object));
        if shop.tries("POST", &path, &object).await.is_ok() != accepts {
            faults.push(file.display().to_string());
        }
    }
    assert_eq!(faults, Vec::<String>::new(), "accepted or refused against what the file says");
}

#[tokio::test(start_paused = true)]
async fn what_a_release_says_is_history() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    let decided = json!({"verdict": "Keep", "actor": "alice", "because": "load test"});
    let check = async |spec: Value, accepted: bool| {
        let path = "/apis/trimtab.dev/v1alpha1/namespaces/shop/appreleases/payments-v128";
        let answer = shop.tries("PATCH", path, &json!({"spec": spec})).await;
        assert_eq!(answer.is_ok(), accepted, "{spec}: {answer:?}");
    };
    check(json!({"actor": "mallory"}), false).await;
    check(json!({"number": 129}), false).await;
    check(json!({"image": null}), false).await;
    check(json!({"templateHash": "other"}), false).await;
    check(json!({"template": {"spec": {"containers": []}}}), false).await;
    check(json!({"previous": 127}), true).await;
    check(json!({"previous": 126}), false).await;
    check(json!({"decision": {"verdict": "Maybe", "actor": "alice", "because": "x"}}), false).await;
    check(json!({"decision": {"verdict": "Keep", "actor": "alice", "because": " "}}), false).await;
    check(json!({"decision": decided}), true).await;
    check(json!({"decision": {"because": "another reason"}}), false).await;
    check(json!({"decision": null}), false).await;
}
