//! The chain of one subnet as a pure state machine: its neurons, balances and stakes, the weights that neurons set for
//! each other, the emission that each epoch pays, the blocks, and a metagraph with versions.
//!
//! The crate has no I/O, no clock and no floating-point state. A [`Chain`] is a function of its [`Genesis`] and of the
//! calls that were submitted in each block. Within a block, their order of arrival has no effect.
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
//!         axon: None,
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
mod admin;
mod block_hash;
pub mod cabal;
mod call;
mod chain;
mod commitment;
mod dispatch_error;
pub mod epoch;
mod genesis;
mod hyperparameters;
mod metadata;
mod metagraph;
mod past_accounts;
mod payment;
mod pool;
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
pub use call::{Axon, Call, CallSummary, Transaction, Weights};
pub use chain::{Applied, Chain, ClosedBlock, SETTLING_BLOCKS, next_epoch};
pub use commitment::{Commitment, MAX_UNREVEALED_COMMITS, RevealPeriod};
pub use dispatch_error::DispatchError;
pub use epoch::Bond;
pub use genesis::{Balance, Genesis, GenesisError, GenesisNeuron, Nomination, SubnetOwner};
pub use hyperparameters::{HyperparameterError, Hyperparameters, MAX_UIDS, RuleSet, Unused};
pub use metadata::{MAX_METADATA, Metadata};
pub use metagraph::{BlockUnavailable, HISTORY_BLOCKS, HISTORY_BYTES, Metagraph, Neuron};
pub use past_accounts::{HELD_CHANGES, Holdings};
pub use payment::{Paid, PaidEpoch};
pub use pool::{MAX_RECENT_TXS, POOL_BYTES, RECENT_TX_BLOCKS, Submitted};
pub use snapshot::SnapshotError;
pub use state_hash::StateHash;
pub use units::{Block, Nonce, Rao, Uid, Version};
pub use weights::Weight;
