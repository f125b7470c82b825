//! The chain of one subnet as a pure state machine: who is in it, who has how much, what neurons say of each other, and
//! what the epoch pays each for it; blocks, and a metagraph with versions.
//!
//! There is no I/O here, no clock and no float: a [`Chain`] is a function of its [`Genesis`] and of the calls that were
//! submitted block by block, and within a block the order in which they arrived changes nothing.
//!
//! ```
//! use mirror_chain::{Axon, Call, Chain, Genesis, GenesisNeuron, Hyperparameters, Nonce, Rao, Transaction, Uid};
//! use mirror_identity::PublicKey;
//!
//! let hotkey = PublicKey::from_bytes([1; 32]);
//! let coldkey = PublicKey::from_bytes([2; 32]);
//! let mut chain = Chain::genesis(Genesis {
//!     neurons: vec![GenesisNeuron {
//!         hotkey,
//!         coldkey,
//!         stake: Rao(1_000),
//!         validator_permit: true,
//!         weights: Vec::new(),
//!         bonds: Vec::new(),
//!     }],
//!     ..Genesis::empty(Hyperparameters::SMALL)
//! })?;
//! let axon = Axon { ip: "127.0.0.1".parse()?, port: 8091.try_into()? };
//! chain.submit(Transaction { signer: hotkey, nonce: Nonce(1), call: Call::ServeAxon(axon) })?;
//! let closed = chain.close_block();
//! assert!(closed.metagraph_changed);
//! assert_eq!(chain.metagraph().neuron(Uid(0)).and_then(|neuron| neuron.axon), Some(axon));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounts;
mod block_hash;
pub mod cabal;
mod call;
mod chain;
mod commitment;
mod dispatch_error;
pub mod epoch;
mod genesis;
mod governing;
mod hyperparameters;
mod metagraph;
mod past_accounts;
mod payment;
mod pool;
mod published;
mod registration;
mod serving;
mod snapshot;
mod staking;
mod state;
mod state_hash;
mod units;
mod weights;

pub use accounts::{EXISTENTIAL_DEPOSIT, Issuance, MAX_ISSUANCE, TOTAL_SUPPLY, TRANSFER_FEE};
pub use block_hash::{BlockHash, HELD_HASHES};
pub use call::{Asked, Axon, Call, Transaction, Weights};
pub use chain::{Applied, Chain, ClosedBlock, SETTLING_BLOCKS, next_epoch};
pub use commitment::{Commitment, MAX_UNREVEALED_COMMITS, RevealPeriod};
pub use dispatch_error::DispatchError;
pub use epoch::Bond;
pub use genesis::{Balance, Genesis, GenesisError, GenesisNeuron, Nomination, SubnetOwner};
pub use hyperparameters::{HyperparameterError, Hyperparameters, MAX_UIDS, RuleSet, Unused};
pub use metagraph::{HISTORY_BLOCKS, HISTORY_BYTES, Metagraph, Neuron, NotHeld};
pub use past_accounts::{HELD_CHANGES, Holdings};
pub use payment::{Paid, PaidEpoch};
pub use pool::{POOL_BYTES, REMEMBERED_BLOCKS, REMEMBERED_TRANSACTIONS, Submitted};
pub use published::{MAX_METADATA, Metadata};
pub use snapshot::SnapshotError;
pub use state_hash::StateHash;
pub use units::{Block, Nonce, Rao, Uid, Version};
pub use weights::Weight;
