//! The commands that people are told to run. They are pasted into other terminals and into chats, by people whose current
//! namespace is another one: each names the namespace of its object.

/// A command of `trimtab` about an object of `namespace`; flags may follow it: `trimtab promote payments v2 -n shop`.
#[must_use]
pub fn trimtab(words: &str, namespace: &str) -> String {
    format!("trimtab {words} -n {namespace}")
}

/// What lets the rollout of a paused Deployment go on: `kubectl rollout resume deployment/payments -n shop`.
#[must_use]
pub fn resume(deployment: &str, namespace: &str) -> String {
    kubectl(&format!("rollout resume deployment/{deployment}"), namespace)
}

/// A command of `kubectl` about an object of `namespace`; flags may follow it: `kubectl edit managedapp payments -n shop`.
#[must_use]
pub fn kubectl(words: &str, namespace: &str) -> String {
    format!("kubectl {words} -n {namespace}")
}
