//! The workspace as cargo and git see it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The folder that holds the workspace's `Cargo.toml`.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The workspace's crates, and everything they depend on.
#[derive(Debug)]
pub struct Workspace {
    /// The crates of the workspace, by name.
    pub members: Vec<Member>,
    /// Where cargo puts what it builds.
    pub target_directory: PathBuf,
    resolved: BTreeMap<String, Resolved>,
}

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its folder, relative to the root, with `/` between names.
    pub folder: String,
    /// What its manifest asks for, of this workspace and of others.
    pub dependencies: Vec<Dependency>,
    id: String,
}

/// One line under `[dependencies]` or its siblings.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The crate that is asked for.
    pub name: String,
    /// Under which heading.
    pub kind: Kind,
    /// Whether only a feature turns it on.
    pub optional: bool,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linked into what ships.
    Normal,
    /// Runs while building.
    Build,
    /// Linked into tests, benches and examples.
    Development,
}

#[derive(Debug)]
struct Resolved {
    name: String,
    needs: Vec<String>,
}

impl Workspace {
    /// Asks `cargo metadata`.
    ///
    /// # Errors
    /// When cargo cannot be run, or `Cargo.lock` is out of date.
    pub fn load() -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["metadata", "--format-version=1", "--locked"]).current_dir(root());
        let answer = stdout_of(command).context("cannot ask cargo for the workspace")?;
        let metadata: Metadata =
            serde_json::from_slice(&answer).context("cannot read what `cargo metadata` answers")?;
        Ok(Self::from_metadata(metadata))
    }

    fn from_metadata(metadata: Metadata) -> Self {
        let names: BTreeMap<&str, &str> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let resolved = metadata.resolve.nodes.iter().map(|node| {
            let linked = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            let name = names.get(node.id.as_str()).copied().unwrap_or_default().to_owned();
            (node.id.clone(), Resolved { name, needs: linked.map(|dep| dep.pkg.clone()).collect() })
        });
        let resolved = resolved.collect();
        let mut members: Vec<Member> = metadata
            .packages
            .into_iter()
            .filter(|package| metadata.workspace_members.contains(&package.id))
            .map(Member::from_package)
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Self { members, target_directory: metadata.target_directory, resolved }
    }

    /// Names of all crates that are linked into what `member` ships, itself left out.
    #[must_use]
    pub fn linked_into(&self, member: &Member) -> BTreeSet<&str> {
        let (mut seen, mut names) = (BTreeSet::from([member.id.as_str()]), BTreeSet::new());
        let mut open = vec![member.id.as_str()];
        while let Some(id) = open.pop() {
            for need in self.resolved.get(id).into_iter().flat_map(|resolved| &resolved.needs) {
                if seen.insert(need.as_str()) {
                    open.push(need);
                    names.extend(self.resolved.get(need).map(|resolved| resolved.name.as_str()));
                }
            }
        }
        names
    }
}

impl Member {
    fn from_package(package: Package) -> Self {
        let folder = package.manifest_path.parent().and_then(|folder| folder.strip_prefix(root()).ok());
        Self {
            folder: folder.unwrap_or(Path::new("")).to_string_lossy().replace('\\', "/"),
            dependencies: package.dependencies.into_iter().map(Dependency::from).collect(),
            name: package.name,
            id: package.id,
        }
    }

    /// Whether cargo calls the crate `id`.
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        self.id == id
    }

    /// The top-level folder that the crate is in: its layer.
    #[must_use]
    pub fn layer(&self) -> &str {
        self.folder.split('/').next().unwrap_or_default()
    }
}

/// Every file that git tracks, or would once it is added, relative to the root.
///
/// # Errors
/// When git cannot be run, or this is no checkout.
pub fn files() -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let answer = stdout_of(command).context("cannot ask git for the files of this checkout")?;
    let names = String::from_utf8_lossy(&answer);
    let mut files: Vec<String> =
        names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    // A file that is deleted and not yet committed is still listed.
    files.retain(|name| root().join(name).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

fn stdout_of(mut command: Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    id: String,
    manifest_path: PathBuf,
    dependencies: Vec<PackageDependency>,
}

#[derive(Deserialize)]
struct PackageDependency {
    name: String,
    kind: Option<String>,
    optional: bool,
}

impl From<PackageDependency> for Dependency {
    fn from(raw: PackageDependency) -> Self {
        let kind = match raw.kind.as_deref() {
            Some("dev") => Kind::Development,
            Some("build") => Kind::Build,
            _ => Kind::Normal,
        };
        Self { name: raw.name, kind, optional: raw.optional }
    }
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}
