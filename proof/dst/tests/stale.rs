//! A write that meets an object which has changed is no failure: a plan is made anew, soon, and nobody is warned.

use std::io::{Result, Write};
use std::sync::{Arc, Mutex};

use trimtab_dst::{Stage, StageOptions, script};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().expect("nobody panics while logging").write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_planned_anew_without_a_warning() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let logging = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let mut stage = Stage::set(&StageOptions::seeded(7));
    let before = "service pay replicas=2 rps=5 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n\
                  fault conflict resource=appreleases.trimtab.dev for=20s\napply pay shop/pay:v2 by argocd-controller\n\
                  advance 15s\nshow pay\n";
    let refused = script::run(before, &mut stage).await;
    assert!(refused.contains("pay: Healthy on v1") && !refused.contains("v2 shop/pay:v2"), "{refused}");
    // Nothing changes in the cluster when the fault ends: the manager looks again by itself.
    let after = script::run("advance 10s\nshow pay\n", &mut stage).await;
    assert!(after.contains("v2 shop/pay:v2 Judging"), "{after}");
    stage.stop_managers().await;
    drop(logging);
    let told = String::from_utf8(log.0.lock().expect("nobody panics while logging").clone()).expect("text");
    assert!(!told.contains("reconcile failed"), "{told}");
}
