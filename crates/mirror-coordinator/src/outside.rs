//! Miners whose programs are not part of this project: axons that are already running at an address, and programs that
//! the run starts.
//!
//! An axon at an address is in the genesis of the chain. A program that the run starts is announced by the coordinator,
//! which derives its hotkey, as soon as it accepts connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use mirror_cluster::{ForeignProgram, NodeSpec, Placement, Program};
use mirror_identity::{MiniSecret, Owner, SecretKey};
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{DispatchError, ServeAxon};
use mirror_proto::protocol::axon_target;
use mirror_seed::Seed;
use mirror_spec::OutsideMiner;
use mirror_spec::launch::GenesisNeuron;
use mirror_subtensor_client::transaction::sign_call;

use crate::network_spec::{NetworkSpec, miner_name};
use crate::node_ops::NodeOps;

/// The addresses at which callers reach axons through the proxy, by uid.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProxiedAxons(Arc<Mutex<BTreeMap<u32, SocketAddr>>>);

impl ProxiedAxons {
    fn get(&self, uid: u32) -> Option<SocketAddr> {
        self.axons().get(&uid).copied()
    }

    fn add(&self, uid: u32, address: SocketAddr) {
        self.axons().insert(uid, address);
    }

    fn axons(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, SocketAddr>> {
        self.0.lock().expect("no thread panics while it holds the lock")
    }
}

impl NetworkSpec {
    /// Returns the program of others that is the miner with this uid. `None` if the miner is one of this project.
    pub(crate) fn outside(&self, uid: u32) -> Option<OutsideMiner<'_>> {
        self.group(uid)?.outside()
    }

    /// Returns whether the miner is at an address, so that no node of the run hosts it.
    pub(crate) fn is_elsewhere(&self, uid: u32) -> bool {
        matches!(self.outside(uid), Some(OutsideMiner::Running { .. }))
    }

    /// Returns the uid of a node that is a program of others. `None` if the node is one of this project.
    pub(crate) fn uid_of_program(&self, node: &str) -> Option<u32> {
        let uid = *self.uids_of_process(node).first()?;
        matches!(self.outside(uid), Some(OutsideMiner::Started { .. })).then_some(uid)
    }

    /// Returns the command of a node that is a program of others, as it is in the file: without the values of
    /// placeholders, one of which is secret.
    pub(crate) fn command_in_file(&self, node: &str) -> Option<String> {
        match self.outside(self.uid_of_program(node)?)? {
            OutsideMiner::Started { program, arguments } => {
                let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
                Some(words.collect::<Vec<&str>>().join(" "))
            }
            OutsideMiner::Running { .. } => None,
        }
    }

    /// Returns the node of a program of others. `None` if the miner is not one that the run starts.
    pub(crate) fn program(&self, uid: u32) -> Option<NodeSpec> {
        let OutsideMiner::Started { program, arguments } = self.outside(uid)? else {
            return None;
        };
        let seed = Seed::root(self.seed());
        let owner = Owner::Miner(uid);
        let hotkey = SecretKey::hotkey(&seed, owner).public().to_string();
        let mini_secret = MiniSecret::hotkey(&seed, owner).hex();
        let fill = |argument: &String| {
            argument
                .replace("{uid}", &uid.to_string())
                .replace("{hotkey}", &hotkey)
                .replace("{seed}", &mini_secret)
        };
        Some(NodeSpec {
            name: miner_name(&(uid..=uid)),
            program: Program::Foreign(ForeignProgram {
                program: program.to_owned(),
                arguments: arguments.iter().map(fill).collect(),
            }),
        })
    }

    /// Gives the neurons of the genesis that are miners at an address their hotkeys and axons.
    pub(crate) fn serve_running_axons(&self, neurons: &mut [GenesisNeuron]) {
        for (uid, neuron) in (0..).zip(neurons) {
            if let Some(OutsideMiner::Running { address, hotkey }) = self.outside(uid) {
                if let Some(hotkey) = hotkey {
                    neuron.hotkey = hotkey.hex();
                }
                neuron.axon = Some(self.proxied_axons().get(uid).unwrap_or(address));
            }
        }
    }
}

impl<P: Placement> NodeOps<P> {
    /// Lets the proxy pass connections on to the axons that are already running, before the chain starts.
    pub(crate) async fn serve_running_axons_through_proxy(&self) -> anyhow::Result<()> {
        for uid in self.spec.miner_uids() {
            if let Some(OutsideMiner::Running { address, .. }) = self.spec.outside(uid) {
                let served = self.serve_target_through_proxy(axon_target(uid), address).await?;
                self.spec.proxied_axons().add(uid, served);
            }
        }
        Ok(())
    }

    /// Announces the axon of a program of others to the chain. The nonce is the incarnation of the program, so that an
    /// attempt whose reply was lost can be repeated and takes effect once.
    pub(crate) async fn announce(
        &self,
        uid: u32,
        incarnation: u32,
        address: SocketAddr,
    ) -> anyhow::Result<()> {
        let address = if self.spec.has_proxy() {
            self.serve_target_through_proxy(axon_target(uid), address).await?
        } else {
            address
        };
        let block = self.subtensor.current_block().await?;
        let key = SecretKey::hotkey(&Seed::root(self.spec.seed()), Owner::Miner(uid));
        let call = Call::ServeAxon(ServeAxon {
            ip: address.ip().to_string(),
            port: address.port().into(),
        });
        let transaction = sign_call(&key, incarnation.into(), block, call);
        let reply = self.subtensor.submit(transaction).await;
        let reply = reply.context("cannot reach the subtensor")?;
        if let Some(error) = DispatchError::from_field(reply.refusal) {
            bail!("the subtensor rejected the serve_axon call: {error}");
        }
        Ok(())
    }
}
