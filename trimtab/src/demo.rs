//! `trimtab demo`: a cluster, its traffic and the manager in one process, telling what happens.
//!
//! Everything runs on tokio's paused clock. `govern` is the only brake: it holds virtual time to a multiple of real time,
//! so that sockets are served and people can follow.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use trimtab_dst::{Stage, StageOptions, story};
use trimtab_kube::Clock;

use crate::cli::args::DemoArgs;
use crate::cli::exit::{Exit, Failure};

/// One seed, one story.
const SEED: u64 = 7;
/// How often virtual time is held to real time: also how long a request may wait.
const QUANTUM: Duration = Duration::from_millis(10);

/// Runs the demo on a runtime of its own.
///
/// # Errors
/// When the loopback address or the kubeconfig file cannot be used.
pub fn demo(args: &DemoArgs) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.map_err(|error| Failure::error(format!("cannot start: {error}")))?;
    if args.once { runtime.block_on(once()) } else { runtime.block_on(live(args)) }
}

/// The story alone, as fast as it goes.
async fn once() -> Result<Exit, Failure> {
    let mut stage = Stage::set(&StageOptions::seeded(SEED));
    let right = tell(&mut stage).await?;
    Ok(if right { Exit::Done } else { Exit::Error })
}

/// The story at a pace that people can follow, on an address that `kubectl` and `trimtab` can use, until Ctrl-C.
async fn live(args: &DemoArgs) -> Result<Exit, Failure> {
    // kubectl tells ages by the real clock, so the simulated one starts there.
    let epoch = Clock::system().now();
    let mut stage = Stage::set(&StageOptions { epoch: whole_second(epoch), ..StageOptions::seeded(SEED) });
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::error(format!("cannot listen on {}: {error}", args.listen))
            .hint("choose another address with --listen")
    })?;
    let address = listener.local_addr().map_err(|error| Failure::error(error.to_string()))?;
    let kubeconfig = args.write_kubeconfig.clone().unwrap_or_else(default_kubeconfig);
    write_kubeconfig(&kubeconfig, &format!("http://{address}"))?;
    tokio::spawn(stage.sim.clone().serve(listener, std::future::pending()));
    tokio::spawn(govern(args.speed.max(1)));
    say(&format!(
        "a simulated cluster runs at {}x speed on http://{address}; try in another terminal:",
        args.speed.max(1)
    ));
    say(&format!("   export KUBECONFIG={}", kubeconfig.display()));
    say("   kubectl get deployments,managedapps -n shop");
    say("   trimtab get -n shop; trimtab explain checkout -n shop");
    say("   trimtab deploy search --image shop/search:v2-errors30 -n shop --wait");
    let told = async {
        let right = tell(&mut stage).await?;
        say("the story is told; the cluster goes on until Ctrl-C");
        std::future::pending::<()>().await;
        Ok::<bool, Failure>(right)
    };
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        told = told => told.map(|_| Exit::Done),
    }
}

async fn tell(stage: &mut Stage) -> Result<bool, Failure> {
    let refused =
        |error: trimtab_kube::ApiError| Failure::error(format!("the simulated cluster refused: {error}"));
    say("twelve services with traffic and metrics, all of them claimed");
    story::prepare(stage).await.map_err(refused)?;
    let right = story::play(stage, &mut say).await.map_err(refused)?;
    say(if right { "every outcome was the expected one" } else { "NOT every outcome was the expected one" });
    Ok(right)
}

/// A reader that went away ends nothing.
fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn default_kubeconfig() -> PathBuf {
    std::env::temp_dir().join(format!("trimtab-demo-{}.kubeconfig", std::process::id()))
}

fn write_kubeconfig(path: &Path, server: &str) -> Result<(), Failure> {
    let content = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "demo",
        "clusters": [{"name": "demo", "cluster": {"server": server}}],
        "users": [{"name": "you", "user": {"token": "you"}}],
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "you", "namespace": "shop"}}],
    });
    std::fs::write(path, content.to_string()).map_err(|error| {
        Failure::error(format!("cannot write {}: {error}", path.display()))
            .hint("choose another file with --write-kubeconfig")
    })
}

/// Holds virtual time to `speed` times real time. It blocks the one thread of the runtime on purpose: nothing virtual can
/// happen meanwhile, and sockets are polled at every turn.
#[expect(clippy::disallowed_methods, reason = "the one place where virtual time meets the real one")]
async fn govern(speed: u32) {
    let mut next = std::time::Instant::now();
    loop {
        tokio::time::sleep(QUANTUM * speed).await;
        next += QUANTUM;
        if let Some(early) = next.checked_duration_since(std::time::Instant::now()) {
            std::thread::sleep(early);
        } else {
            // A slow machine falls behind real time rather than racing to catch up.
            next = std::time::Instant::now();
        }
    }
}
