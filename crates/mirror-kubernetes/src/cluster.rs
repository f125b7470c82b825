//! The API server of a cluster, in one namespace.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::KubeConfigOptions;
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Time for which a request is repeated while the API server cannot be reached, or is overloaded.
const UNREACHABLE: Duration = Duration::from_mins(3);

/// Timeout of a connection, and the longest pause between two parts of an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The first and the longest pause before a request is repeated.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

/// Time within which the API server must answer at one of its possible addresses.
const SEARCH: Duration = Duration::from_secs(10);

/// The field manager of applied objects.
const MANAGER: &str = "mirror";

/// The API server of a cluster, in one namespace. Clones share its connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no configuration of a cluster.
    #[error(
        "cannot find a cluster: {0}; give a kubeconfig file in the variable KUBECONFIG or in ~/.kube/config, or a \
         context of it with `--context`"
    )]
    Config(String),
    /// The pod of the coordinator reaches no API server.
    #[error(
        "the pod of the coordinator cannot reach the API server: {0}; set `apiServer` in the settings of the cluster to \
         an address at which pods reach it, such as `10.0.0.1:6443`"
    )]
    NoApiServer(String),
    /// The person, or the coordinator, has no permission.
    #[error(
        "the API server refuses to {action}: {message}; `mirror kubernetes render --rbac` prints the role that is needed \
         in the namespace"
    )]
    Forbidden {
        /// Verb and object.
        action: String,
        /// The reason of the API server, which names the user, the verb and the resource.
        message: String,
    },
    /// There is no such namespace.
    #[error(
        "the namespace `{0}` does not exist: create it with `kubectl create namespace {0}`, or name another one"
    )]
    Namespace(String),
    /// The API server refuses the object.
    #[error("cannot {action}: {message}")]
    Refused {
        /// Verb and object.
        action: String,
        /// HTTP status code.
        code: u16,
        /// The reason of the API server.
        message: String,
    },
    /// The API server could not be reached.
    #[error("cannot {action}: the API server cannot be reached: {message}")]
    Unreachable {
        /// Verb and object.
        action: String,
        /// The error of the last attempt.
        message: String,
    },
}

impl ClusterError {
    /// Returns whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }
}

impl Cluster {
    /// Connects to the cluster of the kubeconfig file, or to that of this pod. `None` for the current context and its
    /// namespace.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no configuration, or it is invalid. The API server is not called.
    pub async fn connect(context: Option<&str>, namespace: Option<&str>) -> Result<Self, ClusterError> {
        let mut config = config(context).await?;
        config.connect_timeout = Some(ANSWER);
        config.read_timeout = Some(ANSWER);
        config.write_timeout = Some(ANSWER);
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let client = Client::try_from(config).map_err(|error| ClusterError::Config(with_sources(&error)))?;
        Ok(Self::new(client, namespace))
    }

    /// Returns the address of the API server in the kubeconfig file. `None` if it is one of this machine alone.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no configuration, or it is invalid.
    pub async fn api_server(context: Option<&str>) -> Result<Option<String>, ClusterError> {
        let url = config(context).await?.cluster_url;
        let host = url.host().unwrap_or_default();
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let port = url.port_u16().unwrap_or(443);
        Ok((!is_here && url.scheme_str() == Some("https")).then(|| format!("{host}:{port}")))
    }

    /// Creates a cluster from a client.
    pub fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the interface for the objects of a type in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn dynamic(&self, object: &Value) -> (Api<DynamicObject>, String, String) {
        let types: TypeMeta = serde_json::from_value(json!({
            "apiVersion": object["apiVersion"],
            "kind": object["kind"],
        }))
        .unwrap_or_default();
        let kind = GroupVersionKind::try_from(&types);
        let kind = kind.unwrap_or_else(|_| GroupVersionKind::gvk("", "v1", &types.kind));
        let resource = ApiResource::from_gvk(&kind);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let of_object = format!("the {} `{name}`", types.kind);
        (
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
            name,
            of_object,
        )
    }

    /// Creates an object, or changes the one of that name, by a server-side apply. Returns the object.
    ///
    /// # Errors
    ///
    /// Returns an error if the API server refuses the object, or cannot be reached.
    pub async fn apply(&self, object: &Value) -> Result<Value, ClusterError> {
        let (api, name, of_object) = self.dynamic(object);
        let mut object = object.clone();
        object["metadata"]["namespace"] = self.namespace.clone().into();
        let (parameters, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&object));
        let applied = self
            .retrying(&format!("apply {of_object}"), || {
                api.patch(&name, &parameters, &patch)
            })
            .await?;
        Ok(json!(applied))
    }

    /// Reads an object with the type and the name of `object`. `None` if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if the API server refuses, or cannot be reached.
    pub async fn get(&self, object: &Value) -> Result<Option<Value>, ClusterError> {
        let (api, name, of_object) = self.dynamic(object);
        let found = self
            .retrying(&format!("get {of_object}"), || api.get_opt(&name))
            .await?;
        Ok(found.map(|object| json!(object)))
    }

    /// Lists the objects of a type that a label selector selects.
    ///
    /// # Errors
    ///
    /// Returns an error if the API server refuses, or cannot be reached.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        labels: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let (api, _, _) = self.dynamic(&json!({ "apiVersion": api_version, "kind": kind }));
        let parameters = ListParams::default().labels(labels);
        let action = format!("list objects of the kind {kind}");
        let found = self.retrying(&action, || api.list(&parameters)).await?;
        Ok(found.items.into_iter().map(|object| json!(object)).collect())
    }

    /// Deletes an object and those that it owns. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// Returns an error if the API server refuses, or cannot be reached.
    pub async fn delete(&self, object: &Value) -> Result<bool, ClusterError> {
        let (api, name, of_object) = self.dynamic(object);
        let parameters = DeleteParams::background();
        let deleted = self
            .retrying(&format!("delete {of_object}"), || api.delete(&name, &parameters))
            .await;
        match deleted {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a request, again while the API server cannot be reached. All requests may be repeated without harm.
    pub(crate) async fn retrying<T, R>(
        &self,
        action: &str,
        request: impl Fn() -> R,
    ) -> Result<T, ClusterError>
    where
        R: Future<Output = kube::Result<T>>,
    {
        let deadline = Instant::now() + UNREACHABLE;
        let [mut pause, longest] = PAUSES;
        loop {
            let error = match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let error = self.error(action, &error);
            let is_passing = match &error {
                ClusterError::Unreachable { .. } => true,
                ClusterError::Refused { code, .. } => *code == 429 || *code >= 500,
                _ => false,
            };
            if !is_passing || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::warn!("{error}; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Returns the error of a request in words.
    pub(crate) fn error(&self, action: &str, error: &kube::Error) -> ClusterError {
        let action = format!("{action} in the namespace `{}`", self.namespace);
        match error {
            kube::Error::Api(status) if status.code == 403 && !is_about_quota(&status.message) => {
                ClusterError::Forbidden {
                    action,
                    message: status.message.clone(),
                }
            }
            kube::Error::Api(status) if status.code == 404 && status.message.starts_with("namespaces ") => {
                ClusterError::Namespace(self.namespace.clone())
            }
            kube::Error::Api(status) => ClusterError::Refused {
                action,
                code: status.code,
                message: status.message.clone(),
            },
            other => ClusterError::Unreachable {
                action,
                message: with_sources(other),
            },
        }
    }
}

/// The addresses at which a pod may reach the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServers {
    /// `None` is the address of the pod's environment, which is that of a Service. A cluster may have no Services.
    addresses: Vec<Option<String>>,
}

impl ApiServers {
    /// Returns the address of the pod's environment and `others`, such as `10.0.0.1:6443`.
    pub fn new(others: impl IntoIterator<Item = String>) -> Self {
        Self {
            addresses: std::iter::once(None)
                .chain(others.into_iter().map(Some))
                .collect(),
        }
    }

    /// Returns only this address.
    pub fn only(address: String) -> Self {
        Self {
            addresses: vec![Some(address)],
        }
    }

    /// Connects to the cluster of this pod, in the namespace of the pod. The address at which the API server answers is
    /// the first that is tried the next time.
    ///
    /// # Errors
    ///
    /// Returns an error if this is no pod, or the API server answers at none of the addresses.
    pub async fn connect(&mut self) -> Result<Cluster, ClusterError> {
        // A kubeconfig file of the container counts more.
        if std::env::var_os("KUBECONFIG").is_some() {
            return Cluster::connect(None, None).await;
        }
        let own = Config::incluster_env().map_err(|error| ClusterError::Config(with_sources(&error)))?;
        let mut problems = Vec::new();
        for index in 0..self.addresses.len() {
            let mut config = own.clone();
            if let Some(address) = &self.addresses[index] {
                config.cluster_url = format!("https://{address}")
                    .parse()
                    .map_err(|error| ClusterError::Config(format!("`{address}` is no address: {error}")))?;
            }
            (config.connect_timeout, config.read_timeout, config.write_timeout) =
                (Some(ANSWER), Some(ANSWER), Some(ANSWER));
            let (url, namespace) = (config.cluster_url.clone(), config.default_namespace.clone());
            let client =
                Client::try_from(config).map_err(|error| ClusterError::Config(with_sources(&error)))?;
            let asked = tokio::time::timeout(SEARCH, client.apiserver_version()).await;
            match asked {
                // An answer that refuses the question comes from the API server too.
                Ok(Ok(_) | Err(kube::Error::Api(_))) => {
                    self.addresses.swap(0, index);
                    return Ok(Cluster::new(client, namespace));
                }
                Ok(Err(error)) => problems.push(format!("{url}: {}", with_sources(&error))),
                Err(_) => problems.push(format!("{url}: no answer")),
            }
        }
        Err(ClusterError::NoApiServer(problems.join("; ")))
    }
}

/// Reads the configuration of a context, or of the current one.
async fn config(context: Option<&str>) -> Result<Config, ClusterError> {
    let invalid = |error: &dyn std::error::Error| ClusterError::Config(with_sources(error));
    let Some(context) = context else {
        return Config::infer().await.map_err(|error| invalid(&error));
    };
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    Config::from_kubeconfig(&options)
        .await
        .map_err(|error| invalid(&error))
}

/// A quota and a missing permission have the same code.
fn is_about_quota(message: &str) -> bool {
    message.contains("exceeded quota") || message.contains("failed quota")
}

/// Returns the messages of an error and its sources, each once.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = error.source();
    }
    text
}
