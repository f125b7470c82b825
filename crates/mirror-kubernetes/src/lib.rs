//! Runs in a Kubernetes cluster.
//!
//! Each node runs in a pod of its own, as a process of an agent (`mirror-agent`), and the coordinator in the pod of a
//! job. [`plan`] determines the pods, [`manifests`] their objects. [`cluster`] is the API server, [`pods`] what it
//! reports about the pods, and [`directory`] finds the agents of the nodes among them. [`session`] is what a person
//! does with a run: start, watch, collect and delete it.

pub mod cluster;
pub mod directory;
pub mod manifests;
pub mod name;
pub mod plan;
pub mod pods;
pub mod session;
pub mod settings;
