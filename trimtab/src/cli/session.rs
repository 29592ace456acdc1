//! What every command stands on: an API, a namespace, a clock, and two streams.

use std::io::Write;

use serde_json::{Value, json};
use trimtab_kube::{Api, Clock, Resource};

use super::exit::Failure;
use super::output::{Form, Paint, printable};

/// Field manager of what people write through the command line.
pub const FIELD_MANAGER: &str = "trimtab-cli";

const SELF_SUBJECT_REVIEWS: &Resource =
    &Resource::cluster_scoped("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews");

/// What a command stands on.
pub struct Session<'a> {
    /// The API, in the person's own name.
    pub api: Api,
    /// Namespace of the services that are named.
    pub namespace: String,
    /// Time.
    pub clock: Clock,
    /// Form of data.
    pub form: Form,
    /// Colour.
    pub paint: Paint,
    /// For data.
    pub out: &'a mut (dyn Write + Send),
    /// For talk.
    pub err: &'a mut (dyn Write + Send),
}

impl Session<'_> {
    /// One line of data.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn say(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{}", printable(line))?;
        Ok(())
    }

    /// One line of talk. A closed stderr is no reason to stop.
    pub fn tell(&mut self, line: &str) {
        let _ = writeln!(self.err, "{}", printable(line));
    }

    /// What to do next.
    pub fn hint(&mut self, line: &str) {
        self.tell(&format!("hint: {line}"));
    }

    /// Who acts, as the API server knows them. Where it does not say, the name that this machine knows them by.
    pub async fn actor(&self) -> String {
        let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let answer = self.api.create(SELF_SUBJECT_REVIEWS, None, &question).await;
        let known = |answer: Value| Some(answer.pointer("/status/userInfo/username")?.as_str()?.to_owned());
        let local = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        answer
            .ok()
            .and_then(known)
            .or_else(local)
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "unknown".to_owned())
    }
}
