//! The objects of the cluster.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::NAMESPACE;

/// Maximum number of events for watches that begin later.
const EVENTS: usize = 10_000;

/// The objects, and the last changes of them.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// The objects by resource and name.
    objects: BTreeMap<(String, String), Value>,
    version: u64,
    next_uid: u64,
    /// The changes: version, resource, kind of the change, and the object.
    events: VecDeque<(u64, String, &'static str, Value)>,
}

/// Returns the resource of a kind, such as `statefulsets` of `StatefulSet`.
fn resource_of(kind: &str) -> String {
    let name = kind.to_lowercase();
    match name.strip_suffix('y') {
        Some(start) if !start.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{start}ies"),
        _ => format!("{name}s"),
    }
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Creates or replaces an object. Its status stays.
    pub(super) fn apply(&mut self, mut object: Value) -> Value {
        let kind = object["kind"].as_str().unwrap_or_default();
        let key = (
            resource_of(kind),
            object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        );
        if let Some(text) = object["stringData"].as_object().cloned() {
            object["data"] = json!(text);
        }
        let before = self.objects.get(&key).cloned();
        let metadata = &mut object["metadata"];
        metadata["namespace"] = NAMESPACE.into();
        if let Some(before) = &before {
            metadata["uid"] = before["metadata"]["uid"].clone();
            metadata["creationTimestamp"] = before["metadata"]["creationTimestamp"].clone();
            if object["status"].is_null() {
                object["status"] = before["status"].clone();
            }
        } else {
            self.next_uid += 1;
            metadata["uid"] = format!("uid-{}", self.next_uid).into();
            // The order of creation is that of the times.
            let second = self.next_uid % 60;
            metadata["creationTimestamp"] =
                format!("2026-01-01T00:{:02}:{second:02}Z", self.next_uid / 60).into();
        }
        self.put(key, object, if before.is_some() { "MODIFIED" } else { "ADDED" })
    }

    /// Changes the status of an object.
    pub(super) fn set_status(&mut self, resource: &str, name: &str, status: Value) {
        let key = (resource.to_owned(), name.to_owned());
        if let Some(mut object) = self.objects.get(&key).cloned()
            && object["status"] != status
        {
            object["status"] = status;
            self.put(key, object, "MODIFIED");
        }
    }

    fn put(&mut self, key: (String, String), mut object: Value, change: &'static str) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.note(key.0.clone(), change, object.clone());
        self.objects.insert(key, object.clone());
        object
    }

    fn note(&mut self, resource: String, change: &'static str, object: Value) {
        self.events.push_back((self.version, resource, change, object));
        if self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    pub(super) fn get(&self, resource: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(resource.to_owned(), name.to_owned()))
    }

    pub(super) fn list(&self, resource: &str) -> Vec<Value> {
        let all = self.objects.iter();
        all.filter(|((of, _), _)| of == resource)
            .map(|(_, object)| object.clone())
            .collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.objects
            .keys()
            .map(|(resource, name)| format!("{resource}/{name}"))
            .collect()
    }

    /// Deletes an object and those that it owns. Returns the object.
    pub(super) fn delete(&mut self, resource: &str, name: &str) -> Option<Value> {
        let key = (resource.to_owned(), name.to_owned());
        let mut object = self.objects.remove(&key)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.note(key.0, "DELETED", object.clone());
        let uid = &object["metadata"]["uid"];
        let is_owned = |owned: &Value| {
            let owners = owned["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
        };
        let owned: Vec<(String, String)> = self
            .objects
            .iter()
            .filter(|(_, owned)| is_owned(owned))
            .map(|(key, _)| key.clone())
            .collect();
        for (resource, name) in owned {
            self.delete(&resource, &name);
        }
        Some(object)
    }

    /// Returns the changes of a resource after a version, with the version of the last.
    pub(super) fn events_after(&self, resource: &str, version: u64) -> (Vec<Value>, u64) {
        let events = self.events.iter().filter(|(of, _, _, _)| *of > version);
        let events = events.filter(|(_, of, _, _)| of == resource);
        let events = events.map(|(_, _, change, object)| json!({ "type": change, "object": object }));
        (events.collect(), self.version)
    }
}

/// Returns whether the labels of an object have the values of a selector such as `a=b,c=d`.
pub(super) fn is_selected(object: &Value, selector: &str) -> bool {
    let mut terms = selector.split(',').filter(|term| !term.is_empty());
    terms.all(|term| {
        term.split_once('=')
            .is_some_and(|(key, value)| object["metadata"]["labels"][key] == value)
    })
}
