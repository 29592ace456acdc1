//! Compiles the Go sources of the lab's tools while Rust compiles, so that the lab's own build only has to link.

use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use xtask::workspace;

/// Folder, tags and package of each tool, as `proof/lab/src/tools.rs` builds it. Different flags would cost time and
/// nothing else: Go keys its cache by them.
const TOOLS: [(&str, &str, &str); 2] = [
    ("controlplane", "", "."),
    ("prometheus", "remove_all_sd,enable_kubernetes_sd", "github.com/prometheus/prometheus/cmd/prometheus"),
];

/// Starts to compile, at the lowest priority. Whatever goes wrong here is told later, by the build that counts.
pub(crate) fn start() -> JoinHandle<()> {
    std::thread::spawn(|| {
        for (folder, tags, package) in TOOLS {
            let mut command = Command::new("nice");
            command.args([
                "-n",
                "19",
                "go",
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-o",
                "/dev/null",
                "-tags",
                tags,
            ]);
            command.arg(package).current_dir(workspace::root().join("proof/lab").join(folder));
            command.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
            let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    })
}
