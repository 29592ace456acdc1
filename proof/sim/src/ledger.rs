//! What was asked of the server, by whom, and what it changed.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// One mutating request that was executed, whether or not it succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Virtual time of execution.
    pub at: Timestamp,
    /// Who asked, such as `system:serviceaccount:kube-system:deployment-controller`.
    pub user: String,
    /// `create`, `update`, `patch`, `apply`, `delete` or `deletecollection`.
    pub verb: String,
    /// Plural and group, such as `deployments.apps`; core resources have no dot.
    pub resource: String,
    /// `status`, `scale`, `eviction`, ...; empty for the object itself.
    pub subresource: String,
    /// Namespace of the object; empty for cluster-scoped ones.
    pub namespace: String,
    /// Name of the object, also when it was generated; empty for a collection.
    pub name: String,
    /// Path and query as they were sent.
    pub path: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// Revision of the store after the request.
    pub revision: u64,
    /// The field manager that the request named or that its user agent implies.
    pub field_manager: String,
    /// Whether the store changed.
    pub changed: bool,
    /// SHA-256 of the request body, hexadecimal.
    pub digest: String,
}

/// How many requests a user made, by verb.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests per verb: `get`, `list`, `watch`, and those of [`LedgerEntry::verb`].
    pub by_verb: BTreeMap<String, u64>,
}

impl RequestCounts {
    /// Number of `get` and `list` requests.
    pub fn reads(&self) -> u64 {
        self.sum(|verb| matches!(verb, "get" | "list"))
    }

    /// Number of `watch` requests.
    pub fn watches(&self) -> u64 {
        self.sum(|verb| verb == "watch")
    }

    /// Number of mutating requests.
    pub fn writes(&self) -> u64 {
        self.sum(|verb| !matches!(verb, "get" | "list" | "watch"))
    }

    fn sum(&self, counted: impl Fn(&str) -> bool) -> u64 {
        self.by_verb.iter().filter(|(verb, _)| counted(verb)).map(|(_, count)| count).sum()
    }
}

/// Everything that was asked since the simulation started.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<LedgerEntry>,
    pub(crate) counts: BTreeMap<String, RequestCounts>,
}

impl Ledger {
    pub(crate) fn count(&mut self, user: &str, verb: &str) {
        let counts = self.counts.entry(user.to_owned()).or_default();
        *counts.by_verb.entry(verb.to_owned()).or_default() += 1;
    }
}
