//! Drives real kubectl against the HTTP front. Runs if `TRIMTAB_KUBECTL` names a kubectl binary; fails if it does not and
//! `TRIMTAB_REQUIRE_KUBECTL=1`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use trimtab_sim::{Sim, SimConfig};

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1", ports: [{containerPort: 80}]}
"#;

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: red}\n";

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat, shortNames: [bt]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Knots, type: integer, jsonPath: .spec.knots}]
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {knots: {type: integer}}}}}}
"#;

const BOAT: &str = "apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: dinghy}\nspec: {knots: 4}\n";

const OLD_REPLICA_SET: &str = r#"
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  labels: {app: web, pod-template-hash: "1"}
  annotations: {deployment.kubernetes.io/revision: "1"}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: UID, controller: true}]
spec:
  replicas: 0
  selector: {matchLabels: {app: web, pod-template-hash: "1"}}
  template:
    metadata: {labels: {app: web, pod-template-hash: "1"}}
    spec: {containers: [{name: web, image: "web:0"}]}
"#;

/// Arguments, standard input, and what the output (of both streams) must contain; a leading `!` means that it must fail.
type Row<'a> = (&'a str, &'a str, &'a str);

const ROWS: &[Row<'_>] = &[
    ("version", "", "Server Version: v1.36.1"),
    ("get namespaces", "", "kube-system"),
    ("api-resources", "", "deployments"),
    ("apply -f -", CONFIG, "configmap/settings created"),
    ("apply -f -", CONFIG, "configmap/settings unchanged"),
    ("get configmap settings -o jsonpath={.data.colour}", "", "red"),
    (
        "patch configmap settings --type merge -p {\"data\":{\"colour\":\"blue\"}}",
        "",
        "configmap/settings patched",
    ),
    ("get configmap settings -o yaml", "", "colour: blue"),
    ("apply -f -", DEPLOYMENT, "deployment.apps/web created"),
    ("apply -f -", DEPLOYMENT, "deployment.apps/web unchanged"),
    ("get deployments", "", "0/2"),
    ("get deploy web -o wide", "", "web:1"),
    ("get deploy web -o json", "", "\"progressDeadlineSeconds\": 600"),
    ("get all", "", "deployment.apps/web"),
    ("describe deployment web", "", "25% max unavailable, 25% max surge"),
    ("set image deployment/web web=web:2", "", "deployment.apps/web image updated"),
    ("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}", "", "web:2"),
    ("scale deployment web --replicas=5", "", "deployment.apps/web scaled"),
    ("get deploy web -o jsonpath={.spec.replicas}", "", "5"),
    ("annotate deployment web note=hello", "", "deployment.apps/web annotated"),
    ("label deployment web tier=1", "", "deployment.apps/web labeled"),
    ("get deploy -l tier=1 -o name", "", "deployment.apps/web"),
    ("rollout restart deployment web", "", "deployment.apps/web restarted"),
    ("rollout pause deployment web", "", "deployment.apps/web paused"),
    ("rollout resume deployment web", "", "deployment.apps/web resumed"),
    ("rollout status deployment web --timeout=1s", "", "!Waiting for deployment"),
    ("apply --server-side --field-manager=one -f -", CONFIG, "!conflict with \"kubectl-patch\""),
    ("apply --server-side --force-conflicts -f -", CONFIG, "configmap/settings serverside-applied"),
    ("apply --server-side --force-conflicts -f -", DEPLOYMENT, "deployment.apps/web serverside-applied"),
    ("create -f -", CONFIG, "!already exists"),
    ("create configmap other --from-literal=a=b", "", "configmap/other created"),
    ("wait --for=jsonpath={.data.a}=b configmap/other --timeout=5s", "", "configmap/other condition met"),
    ("delete configmap other", "", "configmap \"other\" deleted"),
    ("get configmap other", "", "!configmaps \"other\" not found"),
    ("get events", "", "No resources found"),
    ("run lonely --image=lonely:1", "", "pod/lonely created"),
    ("get pods", "", "Pending"),
    ("describe pod lonely", "", "lonely:1"),
    ("logs lonely", "", "!no kubelets"),
    ("delete pod lonely --now", "", "pod \"lonely\" deleted"),
    ("apply -f -", DEFINITION, "customresourcedefinition.apiextensions.k8s.io/boats.example.com created"),
    ("wait --for=condition=Established crd/boats.example.com --timeout=5s", "", "condition met"),
    ("apply -f -", BOAT, "boat.example.com/dinghy created"),
    ("get boats", "", "KNOTS"),
    ("get bt dinghy -o jsonpath={.spec.knots}", "", "4"),
    ("apply --server-side -f -", BOAT, "boat.example.com/dinghy serverside-applied"),
    ("delete boat dinghy", "", "boat.example.com \"dinghy\" deleted"),
    ("auth can-i create deployments", "", "yes"),
    ("create namespace other", "", "namespace/other created"),
    ("delete namespace other --timeout=10s", "", "namespace \"other\" deleted"),
    ("diff -f -", CONFIG, ""),
];

struct Kubectl {
    binary: PathBuf,
    server: String,
    home: PathBuf,
}

impl Kubectl {
    fn run(&self, arguments: &str, input: &str) -> (bool, String) {
        let mut child = Command::new(&self.binary)
            .args(["--server", &self.server, "--request-timeout=20s"])
            .args(arguments.split(' '))
            .env("HOME", &self.home)
            .env("KUBECONFIG", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("kubectl reads");
        let output = child.wait_with_output().expect("kubectl ends");
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }

    fn check(&self, (arguments, input, expected): &Row<'_>) -> Result<(), String> {
        let (succeeded, text) = self.run(arguments, input);
        let wanted = expected.strip_prefix('!');
        let contained = text.contains(wanted.unwrap_or(expected));
        if succeeded == wanted.is_none() && contained {
            return Ok(());
        }
        Err(format!("kubectl {arguments}: expected {expected:?}, succeeded: {succeeded}, output:\n{text}"))
    }
}

#[test]
fn real_kubectl_works() {
    let Some(binary) = std::env::var_os("TRIMTAB_KUBECTL").map(PathBuf::from) else {
        let required = std::env::var("TRIMTAB_REQUIRE_KUBECTL").is_ok_and(|value| value == "1");
        assert!(!required, "TRIMTAB_REQUIRE_KUBECTL=1, but TRIMTAB_KUBECTL does not name a kubectl binary");
        eprintln!("SKIPPED: set TRIMTAB_KUBECTL to a kubectl 1.36 binary to run this test");
        return;
    };
    assert!(binary.exists(), "TRIMTAB_KUBECTL names {}, which does not exist", binary.display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let sim = runtime.block_on(async { Sim::new(SimConfig::seeded(3)) });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(sim.clone().serve(listener, async {
        let _ = stopped.await;
    }));
    let home = std::env::temp_dir().join(format!("trimtab-sim-kubectl-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let kubectl = Kubectl { binary, server, home };
    let mut failures: Vec<String> = ROWS.iter().filter_map(|row| kubectl.check(row).err()).collect();
    failures.extend(history(&kubectl, &sim).err());
    let _ = std::fs::remove_dir_all(&kubectl.home);
    stop.send(()).unwrap();
    runtime.block_on(serving).unwrap().unwrap();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n---\n"));
}

/// There is no deployment controller here, so the revision that is gone back to is made by hand.
fn history(kubectl: &Kubectl, sim: &Sim) -> Result<(), String> {
    let uid =
        sim.get("deployments.apps", "default", "web").ok_or("no deployment")?["metadata"]["uid"].clone();
    let uid = uid.as_str().ok_or("no uid")?;
    let old = OLD_REPLICA_SET.replace("UID", uid);
    let current = old
        .replace("web-1", "web-2")
        .replace("hash: \"1\"", "hash: \"2\"")
        .replace("revision: \"1\"", "revision: \"2\"")
        .replace("web:0", "web:1");
    kubectl.check(&("apply -f -", &old, "replicaset.apps/web-1 created"))?;
    kubectl.check(&("apply -f -", &current, "replicaset.apps/web-2 created"))?;
    kubectl.check(&("annotate deployment web deployment.kubernetes.io/revision=2", "", "annotated"))?;
    kubectl.check(&("rollout history deployment web", "", "REVISION"))?;
    kubectl.check(&("rollout undo deployment web --to-revision=1", "", "deployment.apps/web rolled back"))?;
    kubectl.check(&("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}", "", "web:0"))?;
    let (_, watched) = kubectl.run("get deployments --watch --output-watch-events --request-timeout=2s", "");
    if !watched.contains("ADDED") || !watched.contains("web") {
        return Err(format!("kubectl get --watch printed no event:\n{watched}"));
    }
    kubectl.check(&("delete deployment web --cascade=foreground --timeout=10s", "", "deleted"))?;
    kubectl.check(&("get replicasets", "", "No resources found"))
}
