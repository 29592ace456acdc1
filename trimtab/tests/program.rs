//! The program itself, as a process: against a simulated API server that it reaches through a socket.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tokio::net::TcpListener;

use support::Shop;

/// The shop behind a socket. Its clock runs as fast as that of this machine, and began on the first day of 2026.
struct Served {
    address: SocketAddr,
    folder: PathBuf,
}

impl Served {
    async fn shop(name: &str) -> Self {
        let shop = Shop::claimed().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(shop.sim.serve(listener, std::future::pending()));
        Self { address, folder: folder(name) }
    }

    /// Runs `trimtab` as alice.
    async fn run(&self, line: &str, stdout: impl Into<Stdio> + Send + 'static) -> Output {
        let kubeconfig = self.folder.join("kubeconfig");
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "shop",
            "clusters": [{"name": "shop", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "alice", "user": {"token": "alice"}}],
            "contexts": [{"name": "shop", "context": {"cluster": "shop", "user": "alice", "namespace": "shop"}}],
        });
        std::fs::write(&kubeconfig, content.to_string()).expect("writable");
        let mut command = program();
        command.args(line.split_whitespace()).env("KUBECONFIG", &kubeconfig);
        let run = move || command.stdout(stdout).stderr(Stdio::piped()).spawn()?.wait_with_output();
        tokio::task::spawn_blocking(run).await.expect("it does not panic").expect("it runs")
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.env("NO_COLOR", "1");
    command
}

/// A folder of a test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A pipe whose reader is gone, as `head` leaves it.
fn unread() -> std::io::PipeWriter {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer
}

/// This machine is months ahead of the server, whose objects are seconds old.
#[tokio::test(flavor = "multi_thread")]
async fn ages_are_those_of_the_servers_clock() {
    let shop = Served::shop("ages").await;
    for line in ["get", "history payments"] {
        let output = shop.run(line, Stdio::piped()).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{line}: its manager acts\n{out}");
        let column = out.find(" AGE").expect("it has ages") + 1;
        for row in out.lines().skip(1) {
            let age: String = row.chars().skip(column).take_while(|c| !c.is_whitespace()).collect();
            let seconds: Option<u64> = age.strip_suffix('s').and_then(|number| number.parse().ok());
            assert!(seconds.is_some_and(|seconds| seconds < 120), "{line}: {age:?} in {row:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_every_command_without_a_word() {
    let shop = Served::shop("unread").await;
    for line in [
        "install",
        "completions bash",
        "version",
        "--version",
        "--help",
        "deploy --help",
        "lint -o json /dev/null",
        "get",
        "get -o json",
        "get -A --all -o wide",
        "history payments",
        "history payments -o yaml",
        "explain payments",
        "explain payments v127",
        "explain payments -o json",
        "rules payments",
        "rules payments -o json",
        "deploy payments --image payments:2 --wait",
        "release payments",
        "uninstall",
        "demo --once",
        "demo",
    ] {
        let output = shop.run(line, unread()).await;
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()), "{line}");
    }
}

/// Starts the demo, sends it a signal as soon as it has said where its kubeconfig is, and returns that file.
fn demo_until(signal: &str, arguments: &[&str], folder: &Path) -> PathBuf {
    let mut command = program();
    command.arg("demo").args(arguments).env("TMPDIR", folder).stdout(Stdio::piped());
    let mut demo = command.spawn().expect("it starts");
    let mut lines =
        BufReader::new(demo.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    let kubeconfig =
        lines.find_map(|line| Some(PathBuf::from(line.trim().strip_prefix("export KUBECONFIG=")?)));
    let kubeconfig = kubeconfig.expect("it says where its kubeconfig is");
    assert!(kubeconfig.starts_with(folder) && kubeconfig.exists(), "{}", kubeconfig.display());
    let sent = Command::new("kill").args(["-s", signal, &demo.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    // Read to the end, so that the signal is what ends it.
    lines.for_each(drop);
    assert_eq!(demo.wait().expect("it ends").code(), Some(0), "{signal}");
    kubeconfig
}

#[test]
fn the_demo_takes_its_kubeconfig_away() {
    let folder = folder("demo");
    let named = folder.join("named").display().to_string();
    for signal in ["INT", "TERM"] {
        for arguments in [&[][..], &["--write-kubeconfig", &named]] {
            let kubeconfig = demo_until(signal, arguments, &folder);
            assert!(!kubeconfig.exists(), "{signal} left {}", kubeconfig.display());
        }
    }
}

/// It may be the only one that somebody has.
#[test]
fn the_demo_leaves_a_kubeconfig_that_is_there() {
    let folder = folder("own");
    let own = folder.join("config");
    std::fs::write(&own, "mine").expect("it can be written");
    let arguments = ["demo", "--write-kubeconfig", &own.display().to_string()];
    let output = program().args(arguments).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("choose another file with --write-kubeconfig"));
    assert_eq!(std::fs::read_to_string(&own).expect("it is there"), "mine");
}
