//! Who writes to Kubernetes: the code, the rights of the manager and ARCHITECTURE.md name the same writers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use xtask::{source, workspace};

/// Every file that calls a write of `trimtab_kube::Api`, and which ones. The command line is left out: it writes in a
/// person's name.
const WRITERS: [(&str, &[&str]); 3] = [
    ("control/src/execute.rs", &["create", "delete", "evict", "patch", "patch_subresource"]),
    ("control/src/seals.rs", &["patch"]),
    ("edge/kube/src/lease/mod.rs", &["create", "replace"]),
];
/// What those write that carry out no plan: verb, group and resource.
const BESIDE_PLANS: [&str; 3] =
    ["create coordination.k8s.io leases", "update coordination.k8s.io leases", "patch  secrets"];
/// Where requests are made.
const API: &str = "edge/kube/src/api/mod.rs";
/// The list of who may write what.
const CONCERNS: &str = "core/plan/src/concern.rs";
/// Where the writes are listed that a real API server has seen.
const SEEN: &str = "proof/lab/tests/operations/rights.rs";
/// What a right is called in "Who may write what": its beginning, and that of the row.
const ROWS: [(&str, &str); 9] = [
    ("APP_RELEASE", "`AppRelease` record, its seal and its status"),
    ("DEPLOYMENT /metadata/annotations", "annotation `trimtab.dev/claim`"),
    ("DEPLOYMENT /metadata/managedFields", "`metadata.managedFields` of a Deployment"),
    ("DEPLOYMENT /spec/template", "pod template of a Deployment"),
    ("DEPLOYMENT /spec/paused", "`spec.paused` of a Deployment"),
    ("POD /metadata/labels/trimtab.dev~1phase", "label `trimtab.dev/phase` of a pod"),
    ("MANAGED_APP /status", "`ManagedApp` and `FleetPolicy` spec"),
    ("FLEET_POLICY /status", "`ManagedApp` and `FleetPolicy` spec"),
    ("EVENT", "Events about a service"),
];

fn read(file: &str) -> String {
    std::fs::read_to_string(workspace::root().join(file)).expect("a listed file can be read")
}

/// The code of a file, without comments and tests.
fn code(file: &str) -> String {
    let text = read(file);
    let lines: Vec<&str> = source::code_lines(source::without_tests(&text)).map(|(_, line)| line).collect();
    lines.join("\n")
}

/// The sources of what ships below these folders.
fn sources(folders: &[&str]) -> Vec<String> {
    let mut files = workspace::files().expect("git tells the files");
    files.retain(|file| {
        file.ends_with(".rs")
            && !source::is_test_file(file)
            && folders.iter().any(|folder| file.starts_with(folder))
    });
    assert!(!files.is_empty(), "there is something to look at");
    files
}

/// What is between `from` and `to`, after `from` came for the first time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("there is {from:?}"));
    rest.split_once(to).map_or(rest, |(found, _)| found)
}

/// How many arguments follow an opening parenthesis.
fn arguments(text: &str) -> usize {
    let (mut depth, mut count, mut pending) = (0_usize, 0, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                count += usize::from(pending);
                pending = false;
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            '"' => skip_string(&mut letters),
            '\'' => skip_letter(&mut letters),
            _ => {}
        }
        pending |= !letter.is_whitespace();
    }
    count + usize::from(pending)
}

fn skip_string(letters: &mut std::str::Chars<'_>) {
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => _ = letters.next(),
            '"' => break,
            _ => {}
        }
    }
}

/// Skips the rest of a literal such as `'('`; a lifetime is none.
fn skip_letter(letters: &mut std::str::Chars<'_>) {
    let mut ahead = letters.clone();
    let (first, second) = (ahead.next(), ahead.next());
    if first == Some('\\') {
        _ = ahead.find(|letter| *letter == '\'');
        *letters = ahead;
    } else if second == Some('\'') {
        *letters = ahead;
    }
}

/// Whether `code` calls a method of that name with so many arguments. Texts have a `replace` as well, with fewer.
fn calls(code: &str, method: &str, count: usize) -> bool {
    // Where the type is named, the API itself is an argument.
    [(format!(".{method}("), count), (format!("Api::{method}("), count + 1)].iter().any(|(call, count)| {
        code.match_indices(call.as_str()).any(|(at, _)| arguments(&code[at + call.len()..]) == *count)
    })
}

/// The methods of the API that write, with the number of their arguments.
fn writes_of_the_api() -> BTreeMap<String, usize> {
    let code = code(API);
    let public = code.split("pub async fn ").skip(1);
    let writing =
        public.filter(|method| method.contains("self.write(") || method.contains("self.send_patch("));
    writing
        .map(|method| {
            let (name, parameters) = method.split_once('(').expect("a function has parameters");
            (name.to_owned(), arguments(parameters) - 1)
        })
        .collect()
}

/// What one concern may write, as the list says it.
struct Concern {
    /// The constant.
    constant: String,
    /// Its name in logs and metrics.
    name: String,
    /// `KIND` of what it creates and deletes, and `KIND /pointer` of what it changes.
    rights: BTreeSet<String>,
    /// Verb, group and resource.
    requests: BTreeSet<String>,
}

fn concerns() -> Vec<Concern> {
    let (text, kinds) = (code(CONCERNS), kinds());
    let blocks = text.split("pub const ").filter(|block| block.contains(": Concern = Concern {"));
    let concerns: Vec<Concern> = blocks.map(|block| concern(block, &kinds)).collect();
    assert!(!concerns.is_empty(), "{CONCERNS} lists concerns");
    concerns
}

fn concern(block: &str, kinds: &BTreeMap<String, String>) -> Concern {
    let block = block.split_once("\n};").map_or(block, |(block, _)| block);
    let (rights, conditions) = block.split_once("conditions:").expect("a concern says its conditions");
    let mut found = Concern {
        constant: block.split(':').next().unwrap_or_default().to_owned(),
        name: between(block, "name: \"", "\"").to_owned(),
        rights: BTreeSet::new(),
        requests: BTreeSet::new(),
    };
    for right in rights.split("Right::").skip(1).filter(|right| !right.starts_with("Notify")) {
        let kind = word(between(right, "Kind::", ")"));
        let resource = kinds.get(kind).unwrap_or_else(|| panic!("{kind} is a kind"));
        let (told, request) = match right.split('(').next().unwrap_or_default() {
            "Create" => (kind.to_owned(), format!("create {resource}")),
            "Delete" => (kind.to_owned(), format!("delete {resource}")),
            "Field" => {
                let status = if right.contains("Part::Status") { "/status" } else { "" };
                (format!("{kind} {}", between(right, "\"", "\"")), format!("patch {resource}{status}"))
            }
            other => panic!("{other}: say here what it comes to"),
        };
        found.rights.insert(told);
        found.requests.insert(request);
    }
    for condition in conditions.split("Kind::").skip(1) {
        let kind = word(condition);
        found.rights.insert(format!("{kind} /status/conditions"));
        found.requests.extend(kinds.get(kind).map(|resource| format!("patch {resource}/status")));
    }
    found
}

/// The name of a constant that text begins with.
fn word(text: &str) -> &str {
    text.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_').next().unwrap_or_default()
}

/// Group and resource of every kind that plans write.
fn kinds() -> BTreeMap<String, String> {
    let text = code("core/plan/src/object.rs");
    let ours = between(&text, "const OURS: &str = \"", "\"");
    let constants = text.split("pub const ").skip(1).filter(|constant| constant.contains(": Self ="));
    constants
        .map(|constant| {
            let new = between(constant, "Self::new(", ")");
            let words: Vec<&str> = new.split(',').map(|word| word.trim().trim_matches('"')).collect();
            let [group, .., plural] = words[..] else { panic!("{new}: a group first, a plural last") };
            let group = if group == "OURS" { ours } else { group };
            (word(constant).to_owned(), format!("{group} {plural}"))
        })
        .collect()
}

/// The files that implement a controller, by the constant of its concern.
fn controllers() -> BTreeMap<String, BTreeSet<String>> {
    let mut controllers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources(&["control/src/"]) {
        for controller in code(&file).split("impl Controller for ").skip(1) {
            let body = between(controller, "fn concern(&self) -> &'static Concern {", "}");
            let constant = body.trim().trim_start_matches('&').to_owned();
            controllers.entry(constant).or_default().insert(file.clone());
        }
    }
    controllers
}

/// The rows of the tables of a section of ARCHITECTURE.md, by cell.
fn rows(section: &str) -> Vec<Vec<String>> {
    let text = read("ARCHITECTURE.md");
    let rows =
        between(&text, &format!("\n## {section}\n"), "\n## ").lines().filter(|line| line.starts_with("| "));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The code spans of a cell.
fn spans(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn arguments_are_counted() {
    let check = |text: &str, expect: usize| assert_eq!(arguments(text), expect, "{text}");
    check(") + 1, 2", 0);
    check("a)", 1);
    check("&of(kind, 1), [2, 3], b,\n)", 3);
    check("',', \", (\", '\\'', x: &'a str)", 4);
    assert!(calls("text.replace('(', \")\");\napi\n    .replace(A, b(c), d, e)", "replace", 4));
    assert!(!calls("text.replace('(', \")\")", "replace", 4));
    assert!(calls("Api::evict(&api, a, b, c)", "evict", 3));
}

#[test]
fn only_the_known_files_write_to_kubernetes() {
    let methods = writes_of_the_api();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources(&["core/", "api/", "edge/", "control/"]) {
        let code = code(&file);
        let called = methods.iter().filter(|(name, count)| calls(&code, name, **count));
        let called: BTreeSet<String> = called.map(|(name, _)| name.clone()).collect();
        if !called.is_empty() {
            found.insert(file, called);
        }
    }
    let known: BTreeMap<String, BTreeSet<String>> =
        WRITERS.iter().map(|(file, methods)| ((*file).to_owned(), set(methods))).collect();
    assert_eq!(found, known, "left: the code, right: WRITERS");
    let used: BTreeSet<String> = found.into_values().flatten().collect();
    assert_eq!(used, methods.into_keys().collect::<BTreeSet<_>>(), "left: what is called, right: {API}");
}

#[test]
fn nothing_is_sent_past_the_api() {
    let verbs = ["Method::POST", "Method::PUT", "Method::PATCH", "Method::DELETE"];
    let mut files = sources(&["edge/kube/"]);
    files.retain(|file| verbs.iter().any(|verb| code(file).contains(verb)));
    assert_eq!(files, [API]);
}

#[test]
fn every_controller_writes_in_the_name_of_a_listed_concern() {
    let text = code(CONCERNS);
    let all = between(between(&text, "pub const ALL:", ";\n\n"), "= [", "]").split(',');
    let all = all.map(|name| name.trim().trim_start_matches('&')).filter(|name| !name.is_empty());
    let listed: BTreeSet<String> = all.map(str::to_owned).collect();
    let declared: BTreeSet<String> = concerns().into_iter().map(|concern| concern.constant).collect();
    assert_eq!(declared, listed, "left: the concerns, right: `concern::ALL`");
    let named: BTreeSet<String> = controllers().into_keys().collect();
    assert_eq!(named, listed, "left: what controllers are there for, right: `concern::ALL`");
    // Nobody makes up a concern beside the list.
    let mut elsewhere = sources(&["core/", "api/", "edge/", "control/", "trimtab/"]);
    elsewhere.retain(|file| file != CONCERNS && code(file).contains("= Concern {"));
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn the_architecture_names_every_writer() {
    let rows = rows("Who may write what");
    let is_file = |cell: &str| cell.starts_with("`control/") || cell.starts_with("`edge/");
    let told: BTreeMap<String, BTreeSet<String>> =
        rows.iter().filter(|row| is_file(&row[1])).map(|row| (row[0].clone(), spans(&row[1]))).collect();
    let controllers = controllers();
    let mut writers: BTreeMap<String, BTreeSet<String>> = concerns()
        .iter()
        .map(|concern| {
            let files = controllers.get(&concern.constant).cloned().unwrap_or_default();
            (format!("`{}`", concern.name), files)
        })
        .collect();
    writers.insert("the elector".to_owned(), set(&["edge/kube/src/lease/mod.rs"]));
    writers.insert("the seals".to_owned(), set(&["control/src/seals.rs"]));
    assert_eq!(told, writers, "left: ARCHITECTURE.md, right: the code");
    let mut missing = Vec::new();
    for right in concerns().into_iter().flat_map(|concern| concern.rights) {
        let row = ROWS.iter().find(|(begins, _)| right.starts_with(begins)).map(|(_, row)| *row);
        let found = row.is_some_and(|row| {
            rows.iter().any(|cells| cells[0].starts_with(row) && cells[1..].join(" ").contains("Trimtab"))
        });
        if !found {
            missing.push(right);
        }
    }
    assert!(missing.is_empty(), "the table of fields has no row for {missing:?}; see ROWS");
}

/// A real API server is asked for these and no others: see the case of the lab.
#[test]
fn the_lab_expects_the_writes_of_the_concerns() {
    let mut due: BTreeSet<String> = concerns().into_iter().flat_map(|concern| concern.requests).collect();
    due.extend(set(&BESIDE_PLANS));
    let text = read(SEEN);
    let listed = spans(&between(&text, "const WRITES:", "];").replace('"', "`"));
    assert_eq!(listed, due, "left: WRITES of {SEEN}, right: {CONCERNS}");
}

#[test]
fn the_manager_is_granted_what_its_writers_write() {
    let mut due: BTreeSet<String> = concerns().into_iter().flat_map(|concern| concern.requests).collect();
    due.extend(set(&BESIDE_PLANS));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&read("deploy/rbac.yaml")).expect("it is YAML");
    let roles = objects.iter().filter(|object| {
        ["ClusterRole", "Role"].iter().any(|kind| object["kind"] == *kind)
            && object["metadata"]["name"] == "trimtab-manager"
    });
    let mut granted = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().into_iter().flatten()) {
        let reads = ["get", "list", "watch"];
        for verb in words(&rule["verbs"]).filter(|verb| !reads.contains(verb)) {
            for group in words(&rule["apiGroups"]) {
                granted
                    .extend(words(&rule["resources"]).map(|resource| format!("{verb} {group} {resource}")));
            }
        }
    }
    assert_eq!(granted, due, "left: deploy/rbac.yaml, right: {CONCERNS}");
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
