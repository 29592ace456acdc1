//! Services as their owners would write them.

/// A Deployment whose pods behave as the image's tag says, and a Service in front of it.
#[must_use]
pub fn workload(namespace: &str, name: &str, tag: &str, replicas: u32) -> String {
    format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: service
        image: shop/service:{tag}
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: http}}]}}
"
    )
}

/// The `ManagedApp` that claims it; `spec` is YAML on one line, such as `{delivery: {watch: 5m}}`.
#[must_use]
pub fn managed_app(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        r"
apiVersion: trimtab.dev/v1alpha1
kind: ManagedApp
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"
    )
}
