//! Which crate may depend on which. ARCHITECTURE.md names these tests beside the invariants that they hold.

use xtask::source;
use xtask::workspace::{self, Dependency, Kind, Member, Workspace};

/// The layers, lowest first: a crate may depend on its own layer and on those before it.
const LAYERS: [&str; 7] = ["core", "api", "edge", "control", "trimtab", "proof", "fuzz"];
/// The layers that show that it works, and never ship.
const PROOF: [&str; 2] = ["proof", "fuzz"];
/// Project tasks stand beside the layers.
const TASKS: &str = "xtask";
/// The binary, whose feature `demo` is the one way in which something that ships contains a model of a cluster.
const BINARY: &str = "trimtab";
/// Crates that tests below `proof` may use, each with its reason.
const MODELS_IN_TESTS: [(&str, &str, &str); 7] = [
    ("trimtab-judge", "trimtab-promql-eval", "a judge is tested on what its questions evaluate to"),
    ("trimtab-judge", "trimtab-cost", "what a look costs is counted"),
    ("trimtab-delivery", "trimtab-cost", "what a plan costs is counted"),
    ("trimtab-providers", "trimtab-promql-eval", "sums are tested on what a server makes of the query"),
    ("trimtab", "trimtab-sim", "the command line is tested against the simulated API"),
    ("trimtab", "trimtab-world", "the command line is tested against the simulated API"),
    ("trimtab-control", "trimtab-sim", "a shell is tested against the simulated API"),
];
/// What would bring I/O, a runtime or generated Kubernetes types into a decision.
const NOT_IN_CORE: [&str; 9] =
    ["tokio", "kube", "kube-client", "kube-core", "kube-runtime", "hyper", "reqwest", "k8s-openapi", "rand"];
/// What would let a decision see the machine or the clock.
const NOT_IN_CORE_SOURCE: [&str; 9] = [
    "std::net",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
];

fn load() -> Workspace {
    Workspace::load().expect("cargo tells what the workspace is")
}

/// How high a crate stands; tasks stand nowhere.
fn height(member: &Member) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == member.layer())
}

fn wrong(member: &Member, needed: &Member, dependency: &Dependency) -> Option<String> {
    let (from, to) = (height(member)?, height(needed)?);
    let proof = needed.layer() == "proof";
    let listed =
        MODELS_IN_TESTS.iter().any(|(user, model, _)| (*user, *model) == (&member.name, &needed.name));
    let allowed = match dependency.kind {
        _ if from >= to => !(member.layer() == "proof" && needed.name == BINARY),
        Kind::Development => listed,
        Kind::Normal | Kind::Build => proof && member.name == BINARY && dependency.optional,
    };
    (!allowed).then(|| format!("{} must not depend on {} ({:?})", member.name, needed.name, dependency.kind))
}

#[test]
fn arrows_point_down() {
    let workspace = load();
    let mut complaints = Vec::new();
    for member in &workspace.members {
        for dependency in &member.dependencies {
            if let Some(needed) = workspace.members.iter().find(|other| other.name == dependency.name) {
                complaints.extend(wrong(member, needed, dependency));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn an_upward_arrow_is_noticed() {
    let workspace = load();
    let find = |name: &str| {
        workspace.members.iter().find(|member| member.name == name).expect("the workspace has this crate")
    };
    let check = |from: &str, to: &str, kind: Kind, optional: bool, expect: bool| {
        let dependency = Dependency { name: to.to_owned(), kind, optional };
        assert_eq!(wrong(find(from), find(to), &dependency).is_some(), expect, "{from} -> {to}");
    };
    check("trimtab-delivery", "trimtab-stats", Kind::Normal, false, false);
    check("trimtab-delivery", "trimtab-api", Kind::Normal, false, true);
    check("trimtab-delivery", "trimtab-kube", Kind::Development, false, true);
    check("trimtab-kube", "trimtab-control", Kind::Normal, true, true);
    check("trimtab-control", "trimtab-sim", Kind::Normal, true, true);
    check("trimtab", "trimtab-sim", Kind::Normal, true, false);
    check("trimtab", "trimtab-sim", Kind::Normal, false, true);
    check("trimtab-dst", "trimtab", Kind::Normal, false, true);
    check("trimtab-fuzz", "trimtab", Kind::Normal, false, false);
    check("trimtab", "trimtab-fuzz", Kind::Normal, true, true);
    check("trimtab-control", "trimtab-fuzz", Kind::Development, false, true);
}

#[test]
fn core_is_pure() {
    let workspace = load();
    let core: Vec<&Member> = workspace.members.iter().filter(|member| member.layer() == "core").collect();
    assert!(core.iter().any(|member| member.name == "trimtab-delivery"), "the cores are found");
    let mut complaints = Vec::new();
    for member in core {
        let linked = workspace.linked_into(member);
        assert!(linked.contains("serde"), "what {} links is known", member.name);
        complaints.extend(
            NOT_IN_CORE
                .iter()
                .filter(|name| linked.contains(*name))
                .map(|name| format!("{} links {name}", member.name)),
        );
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Whoever wants to say something to Kubernetes says it through `trimtab-kube`, where it is bounded, counted and fenced.
#[test]
fn one_crate_speaks_to_kubernetes() {
    let mut complaints = Vec::new();
    for member in load().members {
        if member.name == "trimtab-kube" || PROOF.contains(&member.layer()) {
            continue;
        }
        let normal = member.dependencies.iter().filter(|dependency| dependency.kind == Kind::Normal);
        let clients = normal.filter(|dependency| ["kube", "k8s-openapi"].contains(&dependency.name.as_str()));
        complaints.extend(clients.map(|client| format!("{} uses {}", member.name, client.name)));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn core_sees_neither_machine_nor_clock() {
    let mut complaints = Vec::new();
    let files = workspace::files().expect("git tells the files");
    let sources = files
        .iter()
        .filter(|file| file.starts_with("core/") && file.contains("/src/") && file.ends_with(".rs"));
    for file in sources {
        let text = std::fs::read_to_string(workspace::root().join(file)).expect("a listed file can be read");
        for (number, line) in source::code_lines(source::without_tests(&text)) {
            let named = NOT_IN_CORE_SOURCE.iter().filter(|word| line.contains(*word));
            complaints.extend(named.map(|word| format!("{file}:{number}: {word}")));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn crates_are_named_after_their_folders() {
    for member in load().members {
        let folder = member.folder.rsplit('/').next().unwrap_or_default();
        let expected =
            if [BINARY, TASKS].contains(&folder) { folder.to_owned() } else { format!("trimtab-{folder}") };
        assert_eq!(member.name, expected, "the crate in {}", member.folder);
        let known = member.layer() == TASKS || height(&member).is_some();
        assert!(known, "{} is in no layer", member.folder);
    }
}
