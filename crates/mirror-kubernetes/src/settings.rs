//! The settings of a cluster: images, resources and permissions. The values of the Helm chart have the same keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The settings of a cluster. An absent key has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The images of the containers.
    pub image: Image,
    /// Requests and limits of the containers.
    pub resources: Resources,
    /// Labels that a machine must have, for all pods.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of all pods, as in the specification of a pod.
    pub tolerations: Vec<Value>,
    /// Name of an existing service account of the coordinator, with the permissions that `mirror kubernetes render
    /// --rbac` prints. If empty: one is created for each run.
    pub service_account: String,
    /// Address at which pods reach the API server, such as `10.0.0.1:6443`, if they do not reach the Service
    /// `kubernetes`. If empty: further addresses are tried.
    pub api_server: String,
    /// Size of a persistent volume for the state of the chain, such as `1Gi`. If empty: a volume of the pod.
    pub chain_volume: String,
    /// Storage class of the volume. If empty: the default one of the cluster.
    pub storage_class: String,
    /// Whether network policies isolate the pods of a run.
    pub network_policies: bool,
    /// Whether the metrics of a run are served, with a `ServiceMonitor` by which the Prometheus operator finds them.
    pub service_monitor: bool,
    /// Number of minutes for which the coordinator keeps a run that has ended, until it is collected.
    pub hold_minutes: u32,
    /// Number of seconds within which a pod must be ready.
    pub start_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: Image::default(),
            resources: Resources::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            service_account: String::new(),
            api_server: String::new(),
            chain_volume: String::new(),
            storage_class: String::new(),
            network_policies: true,
            service_monitor: false,
            hold_minutes: 30,
            start_seconds: 600,
        }
    }
}

/// The images of the containers: `<registry>/node`, `<registry>/validator` and `<registry>/coordinator`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// Registry and path before the names of the images.
    pub registry: String,
    /// Tag of the images.
    pub tag: String,
    /// Rule by which images are pulled: `IfNotPresent`, `Always` or `Never`.
    pub pull_policy: PullPolicy,
    /// Names of the secrets with which images are pulled.
    pub pull_secrets: Vec<String>,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            registry: "mirror-neuron".to_owned(),
            tag: env!("CARGO_PKG_VERSION").to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            pull_secrets: Vec::new(),
        }
    }
}

/// The rule by which images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Only if the machine does not have the image.
    IfNotPresent,
    /// At each start.
    Always,
    /// Never: the machines must have the images.
    Never,
}

/// Requests and limits of the containers, by the kind of node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// The coordinator.
    pub coordinator: Needs,
    /// The node of the chain.
    pub subtensor: Needs,
    /// The proxy.
    pub proxy: Needs,
    /// A validator.
    pub validator: Needs,
    /// A process of miners, without its axons.
    pub miner: Needs,
    /// Memory of each axon in KiB, which is added to the requests and limits of a process of miners.
    pub axon_kibibytes: u32,
}

impl Default for Resources {
    fn default() -> Self {
        let needs = |cpu, memory, limit| Needs {
            requests: Amounts::new(cpu, memory),
            limits: Amounts {
                cpu: None,
                memory: Some(Mebibytes(limit)),
            },
        };
        Self {
            coordinator: needs(250, 256, 2_048),
            subtensor: needs(100, 64, 1_024),
            proxy: needs(100, 32, 256),
            validator: needs(250, 384, 1_536),
            miner: needs(50, 48, 256),
            axon_kibibytes: 128,
        }
    }
}

/// Requests and limits of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// Amounts that are reserved for the container.
    pub requests: Amounts,
    /// Amounts that the container cannot exceed.
    pub limits: Amounts,
}

/// Amounts of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Amounts {
    /// Processor time, such as `250m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Millicores>,
    /// Memory, such as `64Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Mebibytes>,
}

impl Amounts {
    fn new(cpu: u32, memory: u32) -> Self {
        Self {
            cpu: Some(Millicores(cpu)),
            memory: Some(Mebibytes(memory)),
        }
    }
}

/// Thousandths of a core, written as `250m` or as a number of cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "String")]
pub struct Millicores(pub u32);

impl From<Millicores> for String {
    fn from(amount: Millicores) -> Self {
        format!("{}m", amount.0)
    }
}

impl TryFrom<Value> for Millicores {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let text = text_of(&value);
        let millicores = match text.strip_suffix('m') {
            Some(number) => number.parse().ok(),
            None => text
                .parse::<u32>()
                .ok()
                .and_then(|cores| cores.checked_mul(1_000)),
        };
        millicores.map(Self).ok_or_else(|| {
            format!("`{text}` is no amount of processor time: write it as `250m`, or as whole cores")
        })
    }
}

/// Mebibytes, written as `64Mi` or `2Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "String")]
pub struct Mebibytes(pub u32);

impl From<Mebibytes> for String {
    fn from(amount: Mebibytes) -> Self {
        format!("{}Mi", amount.0)
    }
}

impl TryFrom<Value> for Mebibytes {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let text = text_of(&value);
        let number = |suffix| {
            text.strip_suffix(suffix)
                .and_then(|number| number.parse::<u32>().ok())
        };
        let mebibytes = number("Mi").or_else(|| number("Gi").and_then(|number| number.checked_mul(1_024)));
        mebibytes
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no amount of memory: write it as `64Mi` or `2Gi`"))
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Settings {
    /// Reads settings in YAML.
    ///
    /// # Errors
    ///
    /// Returns an error that names the key, and its line and column.
    pub fn from_yaml(text: &str) -> Result<Self, serde_yaml::Error> {
        // An empty file has all defaults.
        let settings = serde_yaml::from_str::<Option<Self>>(text)?.unwrap_or_default();
        if settings.hold_minutes == 0 {
            return Err(serde::de::Error::custom(
                "holdMinutes is 0, so no run could be collected: use 1 or more",
            ));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_they_are_read() {
        for (text, cpu, memory) in [
            ("{cpu: 250m, memory: 64Mi}", 250, 64),
            ("{cpu: 2, memory: 2Gi}", 2_000, 2_048),
        ] {
            let amounts: Amounts = serde_yaml::from_str(text).expect(text);
            assert_eq!(amounts, Amounts::new(cpu, memory));
            let again = serde_yaml::to_string(&amounts).expect("YAML");
            assert_eq!(
                serde_yaml::from_str::<Amounts>(&again).expect("the same"),
                amounts
            );
        }
        for text in [
            "{cpu: x}",
            "{cpu: 1.5}",
            "{memory: 64}",
            "{memory: 9999999Gi}",
            "{disk: 1}",
        ] {
            serde_yaml::from_str::<Amounts>(text).expect_err(text);
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = Settings::from_yaml("image:\n  tags: x\n").expect_err("the key is unknown");
        let message = error.to_string();
        assert!(
            message.contains("tags") && message.contains("line 2"),
            "{message}"
        );
        assert_eq!(
            Settings::from_yaml("").expect("an empty file"),
            Settings::default()
        );
    }
}
