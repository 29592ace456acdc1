//! Create and update: what every write goes through, whatever verb it came by.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::admission::{self, Admission};
use crate::config::wire_time;
use crate::failure::{Cause, Failure};
use crate::fields::managers::{Operation, Writer, same_but_times, track_update};
use crate::json::{at, list, object_mut, text};
use crate::kept::{carry_over, count_generation, restrict_to_subresource};
use crate::present::to_storage;
use crate::route::{Call, Route};
use crate::server::{Answer, OBJECT_BYTES_MAX, Server, Target};
use crate::store::Stored;
use crate::{decode, defaults, validate};

/// Whether the managed fields of a write are still to be worked out.
#[derive(Clone, Debug)]
pub(crate) enum Tracking {
    /// Compare with the old object and record the difference for this writer.
    Record(Writer),
    /// Server-side apply has done so.
    Settled,
}

/// Attempts to find a free generated name before giving up.
const GENERATED_NAME_ATTEMPTS_MAX: u32 = 8;

impl Server<'_> {
    pub(crate) fn writer(&self, call: &Call, target: &Target, operation: Operation) -> Writer {
        Writer {
            manager: call.field_manager(),
            operation,
            api_version: target.kind.api_version(),
            subresource: target.route.subresource.clone(),
            time: wire_time(self.now),
        }
    }

    pub(crate) fn create(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let object = decode::object(call, target)?;
        let tracking = Tracking::Record(self.writer(call, target, Operation::Update));
        self.create_object(call, target, object, &tracking)
    }

    /// Creates an object given in the version of the request.
    pub(crate) fn create_object(
        &mut self,
        call: &Call,
        target: &Target,
        object: Value,
        tracking: &Tracking,
    ) -> Result<Answer, Failure> {
        let kind = target.kind.clone();
        let mut object = to_storage(&kind, &self.stored_api_version(target), object);
        let name = self.settle_name(target, &mut object)?;
        let target =
            &Target { kind: kind.clone(), route: Route { name: name.clone(), ..target.route.clone() } };
        self.check_namespace(target)?;
        if !text(&object, "metadata.resourceVersion").is_empty() {
            return Err(Failure::unexplained("resourceVersion should not be set on objects to be created"));
        }
        if self.state.store.get(&kind.storage, &target.key()).is_some() {
            return Err(Failure::already_exists(&kind.subject(), &name));
        }
        self.begin_life(target, &mut object);
        defaults::strict(call, &kind, &mut object)?;
        defaults::apply(&kind, &mut object, None);
        if let Tracking::Record(writer) = tracking {
            track_update(None, &mut object, &kind, writer);
        }
        let admission = Admission::new(call, target, "CREATE", None);
        if admission::mutate(self, &admission, &mut object)? {
            defaults::apply(&kind, &mut object, None);
        }
        if kind.is("", "services") {
            self.allocate_address(&mut object);
        }
        self.check(call, target, None, &object)?;
        admission::validate(self, &admission, &object)?;
        if call.is_dry_run() {
            return Ok(Answer::Unstored(201, object));
        }
        let stored = self.state.store.put(&kind.storage, &target.key(), object);
        self.state.background.changed(&kind, &stored.value);
        Ok(Answer::Stored(201, stored))
    }

    /// The name that the body gives, or one made from `generateName`.
    fn settle_name(&mut self, target: &Target, object: &mut Value) -> Result<String, Failure> {
        let subject = target.kind.subject();
        let given = text(object, "metadata.name").to_owned();
        if !target.route.name.is_empty() {
            if !given.is_empty() && given != target.route.name {
                return Err(Failure::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({})",
                    target.route.name
                )));
            }
            object["metadata"]["name"] = target.route.name.clone().into();
            return Ok(target.route.name.clone());
        }
        if !given.is_empty() {
            return Ok(given);
        }
        let prefix = text(object, "metadata.generateName").to_owned();
        if prefix.is_empty() {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(Failure::invalid(&subject, "", &[cause]));
        }
        for _ in 0..GENERATED_NAME_ATTEMPTS_MAX {
            let name = format!("{prefix}{}", self.state.ids.name_suffix());
            let key = target.kind.key(&target.route.namespace, &name);
            if self.state.store.get(&target.kind.storage, &key).is_none() {
                object["metadata"]["name"] = name.clone().into();
                return Ok(name);
            }
        }
        Err(Failure::already_exists(&subject, &prefix))
    }

    fn check_namespace(&self, target: &Target) -> Result<(), Failure> {
        if !target.kind.namespaced {
            return Ok(());
        }
        let namespace = &target.route.namespace;
        if namespace.is_empty() {
            return Err(Failure::bad_request("an empty namespace may not be set during creation"));
        }
        let subject = crate::failure::Subject { group: "", plural: "namespaces", kind: "Namespace" };
        let stored = self
            .state
            .store
            .get("namespaces", namespace)
            .ok_or_else(|| Failure::not_found(&subject, namespace))?;
        if at(&stored.value, "metadata.deletionTimestamp").is_null() {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut failure = Failure::forbidden(&target.kind.subject(), &target.route.name, &why);
        if let Some(details) = &mut failure.details {
            details["causes"] = json!([{
                "reason": "NamespaceTerminating", "field": "metadata.namespace",
                "message": format!("namespace {namespace} is being terminated"),
            }]);
        }
        Err(failure)
    }

    /// What the server alone decides about a new object.
    fn begin_life(&mut self, target: &Target, object: &mut Value) {
        let kind = &target.kind;
        let uid = self.state.ids.uid();
        let created = wire_time(self.now);
        if kind.features.status
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        let counts = kind.features.generation || kind.custom.is_some();
        let metadata = object_mut(object, "metadata");
        metadata.insert("uid".to_owned(), uid.into());
        metadata.insert("creationTimestamp".to_owned(), created.into());
        for server_only in
            ["resourceVersion", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"]
        {
            metadata.remove(server_only);
        }
        if counts {
            metadata.insert("generation".to_owned(), 1.into());
        }
        defaults::initial_status(kind, object);
    }

    fn allocate_address(&mut self, object: &mut Value) {
        if text(object, "spec.type") == "ExternalName" || !text(object, "spec.clusterIP").is_empty() {
            return;
        }
        let address = self.state.ids.cluster_ip();
        object["spec"]["clusterIP"] = address.clone().into();
        object["spec"]["clusterIPs"] = json!([address]);
    }

    pub(crate) fn update(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let object = decode::object(call, target)?;
        if text(&object, "metadata.name") != target.route.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                text(&object, "metadata.name"),
                target.route.name
            )));
        }
        let old = self.existing(target)?;
        let revision_required =
            target.kind.custom.is_some() || target.kind.is("coordination.k8s.io", "leases");
        if revision_required && text(&object, "metadata.resourceVersion").is_empty() {
            let field = "metadata.resourceVersion";
            let cause = Cause {
                reason: "FieldValueInvalid",
                message: "Invalid value: 0: must be specified for an update".to_owned(),
                field: field.to_owned(),
            };
            return Err(Failure::invalid(&target.kind.subject(), &target.route.name, &[cause]));
        }
        let tracking = Tracking::Record(self.writer(call, target, Operation::Update));
        let object = to_storage(&target.kind, &self.stored_api_version(target), object);
        self.update_object(call, target, &old, object, &tracking)
    }

    /// Replaces `old` by `new`, which is in stored form.
    pub(crate) fn update_object(
        &mut self,
        call: &Call,
        target: &Target,
        old: &Arc<Stored>,
        mut new: Value,
        tracking: &Tracking,
    ) -> Result<Answer, Failure> {
        let kind = target.kind.clone();
        check_preconditions(target, old, &new)?;
        carry_over(&old.value, &mut new);
        restrict_to_subresource(target, &old.value, &mut new);
        defaults::strict(call, &kind, &mut new)?;
        defaults::apply(&kind, &mut new, Some(&old.value));
        if let Tracking::Record(writer) = tracking {
            track_update(Some(&old.value), &mut new, &kind, writer);
        }
        let admission = Admission::new(call, target, "UPDATE", Some(&old.value));
        if admission::mutate(self, &admission, &mut new)? {
            defaults::apply(&kind, &mut new, Some(&old.value));
        }
        restrict_to_subresource(target, &old.value, &mut new);
        count_generation(target, &old.value, &mut new);
        self.check(call, target, Some(&old.value), &new)?;
        admission::validate(self, &admission, &new)?;
        if call.is_dry_run() {
            return Ok(Answer::Unstored(200, new));
        }
        if same_but_times(&old.value, &new) {
            return Ok(Answer::Stored(200, old.clone()));
        }
        if is_finally_deleted(&new) {
            let last = self.state.store.remove(&kind.storage, &target.key(), new);
            self.forget(&kind, &last.value);
            return Ok(Answer::Stored(200, last));
        }
        let stored = self.state.store.put(&kind.storage, &target.key(), new);
        self.state.background.changed(&kind, &stored.value);
        Ok(Answer::Stored(200, stored))
    }

    fn check(&self, call: &Call, target: &Target, old: Option<&Value>, new: &Value) -> Result<(), Failure> {
        let kind = &target.kind;
        let causes = validate::object(kind, &target.route.subresource, old, new);
        if !causes.is_empty() {
            return Err(Failure::invalid(&kind.subject(), text(new, "metadata.name"), &causes));
        }
        // Only bodies of this order can make objects that exceed the limit, so that small ones are never measured.
        if call.body.len() > OBJECT_BYTES_MAX / 4 && new.to_string().len() > OBJECT_BYTES_MAX {
            return Err(Failure::internal("etcdserver: request is too large"));
        }
        Ok(())
    }

    /// The `apiVersion` of the stored form of this kind.
    pub(crate) fn stored_api_version(&self, target: &Target) -> String {
        self.state
            .registry
            .by_storage(&target.kind.storage)
            .map_or_else(|| target.kind.api_version(), |kind| kind.api_version())
    }

    /// Creates an object outside of any request; see [`crate::Sim::load`].
    pub(crate) fn load(&mut self, object: Value) -> Result<(), Failure> {
        let (api_version, kind) = crate::kinds::type_of(&object);
        let kind = self
            .state
            .registry
            .by_kind(api_version, kind)
            .cloned()
            .ok_or_else(|| Failure::bad_request(format!("no kind {kind} in {api_version} is served")))?;
        let namespace = if kind.namespaced {
            match text(&object, "metadata.namespace") {
                "" => "default".to_owned(),
                namespace => namespace.to_owned(),
            }
        } else {
            String::new()
        };
        let status = object.get("status").cloned();
        let route = Route { namespace, plural: kind.plural.clone(), ..Route::default() };
        let target = Target { route, kind };
        let call = Call::internal("system:admin", "loader");
        let object = decode::conform(object, &target)?;
        let tracking = Tracking::Record(self.writer(&call, &target, Operation::Update));
        let answer = self.create_object(&call, &target, object, &tracking)?;
        if let (Answer::Stored(_, stored), Some(status)) = (answer, status) {
            let mut value = stored.value.clone();
            value["status"] = status;
            let name = text(&value, "metadata.name").to_owned();
            let key = target.kind.key(&target.route.namespace, &name);
            self.state.store.put(&target.kind.storage, &key, value);
        }
        self.establish_definitions();
        Ok(())
    }
}

fn check_preconditions(target: &Target, old: &Stored, new: &Value) -> Result<(), Failure> {
    let subject = target.kind.subject();
    let name = &target.route.name;
    let (wanted, actual) = (text(new, "metadata.uid"), text(&old.value, "metadata.uid"));
    if !wanted.is_empty() && wanted != actual {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}");
        return Err(Failure::conflict(&subject, name, &why));
    }
    let wanted = text(new, "metadata.resourceVersion");
    if !wanted.is_empty() && wanted != "0" && wanted != old.revision.to_string() {
        return Err(Failure::stale(&subject, name));
    }
    Ok(())
}

/// Whether nothing holds back an object that was asked to go.
pub(crate) fn is_finally_deleted(value: &Value) -> bool {
    !at(value, "metadata.deletionTimestamp").is_null()
        && list(value, "metadata.finalizers").is_empty()
        && at(value, "metadata.deletionGracePeriodSeconds").as_i64().unwrap_or(0) == 0
        && list(value, "spec.finalizers").is_empty()
}
