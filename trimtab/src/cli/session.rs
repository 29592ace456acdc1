//! What every command stands on: an API, a namespace, a clock, and two streams.

use std::io::Write;

use serde_json::{Value, json};
use trimtab_kube::{Api, Clock, Resource};

use super::exit::{Exit, Failure};
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
    /// The flags with which this cluster is reached, where it is not the default one: printed commands need them too.
    pub reach: String,
    /// Whether a command was printed.
    pub named_command: bool,
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
        self.named_command |= names_command(line);
        let _ = writeln!(self.err, "{}", printable(line));
    }

    /// What to do next.
    pub fn hint(&mut self, line: &str) {
        self.tell(&format!("hint: {line}"));
    }

    /// Says, once at the end, what the printed commands need to reach the same cluster.
    pub fn remind(&mut self, outcome: Result<Exit, Failure>) -> Result<Exit, Failure> {
        if self.reach.is_empty() {
            return outcome;
        }
        let add = format!("add `{}` to the commands above", self.reach);
        match outcome {
            Err(failure) if failure.hint.as_deref().is_some_and(names_command) => {
                let hint = failure.hint.clone().unwrap_or_default();
                Err(failure.hint(format!("{hint}; {add}")))
            }
            other => {
                if self.named_command {
                    self.hint(&add);
                }
                other
            }
        }
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

fn names_command(line: &str) -> bool {
    line.contains("`trimtab") || line.contains("`kubectl")
}
