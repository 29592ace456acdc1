//! Scripts as tests run them: a command that is refused fails the test.

use trimtab_dst::{Stage, script};

pub(crate) async fn play(stage: &mut Stage, script: &str) -> String {
    let transcript = script::run(script, stage).await;
    assert!(!transcript.contains("line "), "{transcript}");
    transcript
}

pub(crate) async fn shows(stage: &mut Stage, script: &str, expected: &[&str]) {
    let transcript = play(stage, script).await;
    for line in expected {
        assert!(transcript.contains(line), "{line} is not in\n{transcript}");
    }
}
