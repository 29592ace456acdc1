//! From a container in a pod's spec to a command of this machine.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;
use trimtab_world::kubelet::runtime::ContainerStart;

use crate::service::SUBCOMMAND;

/// What every container's process is started with.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    pub(super) program: PathBuf,
    pub(super) logs: PathBuf,
}

impl Launcher {
    /// The process of a container, not yet started.
    pub(super) fn command(&self, start: &ContainerStart) -> std::io::Result<Command> {
        let spec = &start.spec;
        let own = strings(&spec["command"]);
        let mut command = match own.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            None => self.service(start),
        };
        command.args(strings(&spec["args"]));
        for variable in spec["env"].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (variable["name"].as_str(), environment_value(start, variable))
            {
                command.env(name, value);
            }
        }
        let log = self.logs.join(format!("{}_{}.log", start.run.pod.name, start.run.container));
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log).kill_on_drop(true);
        Ok(command)
    }

    fn service(&self, start: &ContainerStart) -> Command {
        let mut command = Command::new(&self.program);
        command.args([SUBCOMMAND, "--image", &start.image]);
        // A sidecar without a port of its own must not take the one of the service container.
        if let Some(port) = start.spec["ports"][0]["containerPort"].as_u64() {
            command.arg("--listen").arg(format!("{}:{port}", start.pod_ip));
        }
        command
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A literal, or one of the fields that are commonly asked for; anything else leaves the variable unset.
fn environment_value(start: &ContainerStart, variable: &Value) -> Option<String> {
    if let Some(value) = variable["value"].as_str() {
        return Some(value.to_owned());
    }
    let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str()?;
    match field {
        "status.podIP" => Some(start.pod_ip.to_string()),
        "metadata.name" | "metadata.namespace" | "metadata.uid" => {
            let key = field.strip_prefix("metadata.")?;
            start.metadata[key].as_str().map(str::to_owned)
        }
        _ => {
            let (kind, key) = field.strip_prefix("metadata.")?.split_once("['")?;
            start.metadata[kind][key.strip_suffix("']")?].as_str().map(str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trimtab_world::kubelet::runtime::{ContainerRun, PodIdentity};

    fn start(spec: Value) -> ContainerStart {
        let pod = PodIdentity { uid: "u".into(), namespace: "shop".into(), name: "payments-1".into() };
        let metadata = json!({"name": "payments-1", "namespace": "shop", "labels": {"app": "payments"}});
        ContainerStart {
            run: ContainerRun { pod, container: "service".into(), attempt: 0 },
            pod_ip: "10.64.1.1".into(),
            image: "payments:v1".into(),
            spec: spec.into(),
            metadata: metadata.into(),
        }
    }

    fn check(spec: Value, expect: &[&str]) {
        let logs = std::env::temp_dir();
        let launcher = Launcher { program: "lab".into(), logs: logs.clone() };
        let command = launcher.command(&start(spec)).unwrap();
        let command = command.as_std();
        let mut words = vec![command.get_program().to_str().unwrap()];
        words.extend(command.get_args().map(|word| word.to_str().unwrap()));
        let variables: Vec<String> = command
            .get_envs()
            .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
            .collect();
        words.extend(variables.iter().map(String::as_str));
        assert_eq!(words, expect);
        std::fs::remove_file(logs.join("payments-1_service.log")).unwrap();
    }

    #[test]
    fn containers_become_commands() {
        let service = ["lab", "service", "--image", "payments:v1"];
        check(json!({}), &service);
        check(
            json!({"ports": [{"containerPort": 8080}], "args": ["--seed", "7"]}),
            &[&service[..], &["--listen", "10.64.1.1:8080", "--seed", "7"]].concat(),
        );
        check(json!({"command": ["sh", "-c", "exit 3"], "args": ["x"]}), &["sh", "-c", "exit 3", "x"]);
        let field =
            |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let variables = json!([
            {"name": "A", "value": "1"},
            field("B", "status.podIP"),
            field("C", "metadata.name"),
            field("D", "metadata.labels['app']"),
            field("E", "metadata.labels['absent']"),
            field("F", "spec.nodeName"),
            {"value": "without a name"},
        ]);
        check(
            json!({"command": ["true"], "env": variables}),
            &["true", "A=1", "B=10.64.1.1", "C=payments-1", "D=payments"],
        );
    }
}
