//! `trimtab demo`: a cluster, its traffic and the manager in one process, telling what happens.
//!
//! Everything runs on tokio's paused clock. `govern` is the only brake: it holds virtual time to a multiple of real time,
//! so that sockets are served and people can follow.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use trimtab_dst::{Stage, StageOptions, story};
use trimtab_kube::host::stop_on_signals;
use trimtab_kube::{CancellationToken, Clock};

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
    let voice = Voice::default();
    tokio::select! {
        biased;
        () = voice.unheard.cancelled() => Ok(Exit::Unread),
        told = tell(&mut stage, &voice) => Ok(if told? { Exit::Done } else { Exit::Error }),
    }
}

/// The story at a pace that people can follow, on an address that `kubectl` and `trimtab` can use, until Ctrl-C or SIGTERM.
async fn live(args: &DemoArgs) -> Result<Exit, Failure> {
    // kubectl tells ages by the real clock, so the simulated one starts there.
    let epoch = Clock::system().now();
    // Before there is anything to clean up.
    let stop = stop_on_signals()?;
    let voice = Voice::default();
    let mut stage = Stage::set(&StageOptions { epoch: whole_second(epoch), ..StageOptions::seeded(SEED) });
    if !args.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {} is no loopback address: whoever reaches it may do anything",
            args.listen
        ))
        .hint("choose one such as 127.0.0.1:0"));
    }
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::error(format!("cannot listen on {}: {error}", args.listen))
            .hint("choose another address with --listen")
    })?;
    let address = listener.local_addr().map_err(|error| Failure::error(error.to_string()))?;
    let path = args.write_kubeconfig.clone().unwrap_or_else(default_kubeconfig);
    let kubeconfig = KubeconfigFile::write(path, &format!("http://{address}"))?;
    tokio::spawn(stage.sim.clone().serve(listener, std::future::pending()));
    tokio::spawn(govern(args.speed));
    voice.say(&format!(
        "a simulated cluster runs at {}x speed on http://{address}; try in another terminal:",
        args.speed
    ));
    voice.say(&format!("   export KUBECONFIG={}", kubeconfig.path.display()));
    voice.say("   kubectl get deployments,managedapps -n shop");
    voice.say("   trimtab get -n shop; trimtab explain checkout -n shop");
    voice.say("   trimtab deploy search --image shop/search:v2-errors30 -n shop --wait");
    let told = async {
        let right = tell(&mut stage, &voice).await?;
        voice.say("the story is told; the cluster goes on until Ctrl-C");
        std::future::pending::<()>().await;
        Ok::<bool, Failure>(right)
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(Exit::Done),
        () = voice.unheard.cancelled() => Ok(Exit::Unread),
        told = told => told.map(|_| Exit::Done),
    }
}

async fn tell(stage: &mut Stage, voice: &Voice) -> Result<bool, Failure> {
    let refused =
        |error: trimtab_kube::ApiError| Failure::error(format!("the simulated cluster refused: {error}"));
    voice.say("twelve services with traffic and metrics, all of them claimed");
    story::prepare(stage).await.map_err(refused)?;
    let right = story::play(stage, &mut |line: &str| voice.say(line)).await.map_err(refused)?;
    voice.say(if right {
        "every outcome was the expected one"
    } else {
        "NOT every outcome was the expected one"
    });
    Ok(right)
}

/// What the demo says, and whether anybody hears it.
#[derive(Default)]
struct Voice {
    /// Cancelled when stdout was closed: a demo that nobody follows ends.
    unheard: CancellationToken,
}

impl Voice {
    fn say(&self, line: &str) {
        let mut out = std::io::stdout();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            self.unheard.cancel();
        }
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn default_kubeconfig() -> PathBuf {
    std::env::temp_dir().join(format!("trimtab-demo-{}.kubeconfig", std::process::id()))
}

/// The kubeconfig of the simulated cluster. It goes when the demo ends, because it leads nowhere then.
struct KubeconfigFile {
    path: PathBuf,
    content: String,
}

impl KubeconfigFile {
    fn write(path: PathBuf, server: &str) -> Result<Self, Failure> {
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "demo",
            "clusters": [{"name": "demo", "cluster": {"server": server}}],
            "users": [{"name": "you", "user": {"token": "you"}}],
            "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "you", "namespace": "shop"}}],
        })
        .to_string();
        // One that is there may be somebody's own, and this one is removed at the end.
        let new = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        match new.and_then(|mut file| file.write_all(content.as_bytes())) {
            Ok(()) => Ok(Self { path, content }),
            Err(error) => Err(Failure::error(format!("cannot write {}: {error}", path.display()))
                .hint("choose another file with --write-kubeconfig")),
        }
    }
}

impl Drop for KubeconfigFile {
    fn drop(&mut self) {
        // Whoever wrote something else into it meanwhile keeps that.
        if std::fs::read_to_string(&self.path).is_ok_and(|now| now == self.content) {
            // One that cannot be removed is left: there is nobody to tell.
            let _ = std::fs::remove_file(&self.path);
        }
    }
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
