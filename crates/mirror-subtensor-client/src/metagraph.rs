//! The decoded metagraph.

use std::net::{IpAddr, SocketAddr};

use mirror_identity::{Coldkey, Hotkey, PublicKey};
use mirror_proto::mirror::v1 as proto;

use crate::hyperparameters::{HyperparameterError, Hyperparameters};

/// Maximum number of neurons of a subnet: a uid is a `u16`.
const MAX_NEURONS: usize = 1 << 16;

/// Maximum length of the text of an IP address, in characters.
const MAX_IP_LENGTH: usize = 45;

/// The subnet as of the closing of a block. The default has no neurons.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metagraph {
    /// Version, which increases with every change except of the block number.
    pub version: u64,
    /// The last closed block.
    pub block: u64,
    /// The hyperparameters of the subnet.
    pub hyperparameters: Hyperparameters,
    /// The neurons by uid, at most 65,536.
    pub neurons: Vec<Neuron>,
}

/// A neuron of the subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neuron {
    /// Key with which the neuron calls, serves and sets weights.
    pub hotkey: Hotkey,
    /// Key that owns the hotkey.
    pub coldkey: Coldkey,
    /// Stake in rao.
    pub stake: u64,
    /// Address of the axon. `None` if the neuron serves none.
    pub axon: Option<SocketAddr>,
    /// Whether the neuron may act as a validator.
    pub validator_permit: bool,
    /// Block in which the neuron was registered.
    pub block_at_registration: u64,
    /// Consensus of the last epoch. 65,535 is 1.
    pub consensus: u16,
    /// Weights that the neuron set last, as uid and weight. Empty in a lite metagraph.
    pub weights: Vec<(u16, u16)>,
    /// Bonds as of the last epoch, as uid and bond. Empty in a lite metagraph.
    pub bonds: Vec<(u16, u16)>,
}

/// A metagraph that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetagraphError {
    /// The message has no hyperparameters.
    #[error("the metagraph has no hyperparameters")]
    NoHyperparameters,
    /// A hyperparameter is not valid.
    #[error(transparent)]
    Hyperparameter(#[from] HyperparameterError),
    /// The message has more neurons than there are uids.
    #[error("the metagraph has {count} neurons, but there are only {MAX_NEURONS} uids")]
    TooManyNeurons {
        /// Number of neurons.
        count: usize,
    },
    /// The neurons are not in the order of their uids from 0, without gaps.
    #[error("the metagraph contains uid {uid} at the position of uid {place}")]
    Order {
        /// Position in the list, which is the expected uid.
        place: usize,
        /// The uid in the message.
        uid: u32,
    },
    /// A field of a neuron is not valid.
    #[error("the {field} of uid {uid} in the metagraph {problem}")]
    Field {
        /// The uid of the neuron.
        uid: u32,
        /// Name of the field in the message.
        field: &'static str,
        /// Problem with the field, which the message of this error includes.
        problem: FieldError,
    },
}

/// Problem with a field of a neuron. Its message continues a sentence that begins with the name of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The key has the wrong length.
    #[error("has {length} bytes instead of 32")]
    KeyLength {
        /// Number of bytes.
        length: usize,
    },
    /// The text is not an IP address.
    #[error("is {text:?}, which is not an IP address")]
    Ip {
        /// The text, cut off after 45 characters.
        text: String,
    },
    /// The port is 0 or exceeds 65,535.
    #[error("is {port} instead of 1 to 65535")]
    Port {
        /// The number.
        port: u32,
    },
    /// The number exceeds 65,535.
    #[error("has the value {value}, which is more than 65535")]
    TooLarge {
        /// The number.
        value: u32,
    },
    /// The entry is for a neuron that does not exist.
    #[error("has an entry for uid {uid}, but there are only {neurons} neurons")]
    UnknownUid {
        /// The uid of the entry.
        uid: u32,
        /// The number of neurons.
        neurons: usize,
    },
}

impl Metagraph {
    /// Returns the uids below `num_nodes` whose axons are serving, in ascending order.
    pub fn serving(&self, num_nodes: u32) -> impl Iterator<Item = u32> {
        let serving = |(uid, neuron): (u32, &Neuron)| neuron.axon.is_some().then_some(uid);
        (0..num_nodes).zip(&self.neurons).filter_map(serving)
    }

    /// Returns the uids whose hotkey differs from the one in `before`, in ascending order.
    pub fn changed_hotkeys(&self, before: &Self) -> Vec<u32> {
        let pairs = self.neurons.iter().zip(&before.neurons);
        (0..)
            .zip(pairs)
            .filter(|(_, (now, then))| now.hotkey != then.hotkey)
            .map(|(uid, _)| uid)
            .collect()
    }

    /// Returns whether the chain protects the neuron of `uid` from being replaced. `false` for a uid that does not
    /// exist.
    pub fn is_immune(&self, uid: u32) -> bool {
        let neuron = self.neurons.get(uid as usize);
        neuron.is_some_and(|neuron| {
            let age = self.block.saturating_sub(neuron.block_at_registration);
            age < self.hyperparameters.immunity_period
        })
    }
}

impl TryFrom<proto::Metagraph> for Metagraph {
    type Error = MetagraphError;

    fn try_from(message: proto::Metagraph) -> Result<Self, MetagraphError> {
        let hyperparameters = message.hyperparameters.as_ref();
        let hyperparameters = hyperparameters.ok_or(MetagraphError::NoHyperparameters)?;
        let count = message.neurons.len();
        if count > MAX_NEURONS {
            return Err(MetagraphError::TooManyNeurons { count });
        }
        let places = message.neurons.iter().enumerate();
        Ok(Self {
            version: message.version,
            block: message.block,
            hyperparameters: hyperparameters.try_into()?,
            neurons: places
                .map(|(place, message)| neuron(place, message, count))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn neuron(place: usize, message: &proto::NeuronInfo, neurons: usize) -> Result<Neuron, MetagraphError> {
    let uid = message.uid;
    if uid as usize != place {
        return Err(MetagraphError::Order { place, uid });
    }
    let in_field = |field| move |problem| MetagraphError::Field { uid, field, problem };
    let weights = message.weights.iter().map(|weight| (weight.uid, weight.weight));
    let bonds = message.bonds.iter().map(|bond| (bond.uid, bond.bond));
    Ok(Neuron {
        hotkey: key(&message.hotkey).map_err(in_field("hotkey"))?,
        coldkey: key(&message.coldkey).map_err(in_field("coldkey"))?,
        stake: message.stake,
        axon: match &message.ip[..] {
            "" => None,
            text => Some(SocketAddr::new(
                ip(text).map_err(in_field("ip"))?,
                port(message.port).map_err(in_field("port"))?,
            )),
        },
        validator_permit: message.validator_permit,
        block_at_registration: message.block_at_registration,
        consensus: number(message.consensus).map_err(in_field("consensus"))?,
        weights: entries(weights, neurons).map_err(in_field("weights"))?,
        bonds: entries(bonds, neurons).map_err(in_field("bonds"))?,
    })
}

fn key(bytes: &[u8]) -> Result<PublicKey, FieldError> {
    PublicKey::try_from(bytes).map_err(|_| FieldError::KeyLength { length: bytes.len() })
}

fn ip(text: &str) -> Result<IpAddr, FieldError> {
    text.parse().map_err(|_| FieldError::Ip {
        text: text.chars().take(MAX_IP_LENGTH).collect(),
    })
}

fn port(port: u32) -> Result<u16, FieldError> {
    let valid = u16::try_from(port).ok().filter(|port| *port != 0);
    valid.ok_or(FieldError::Port { port })
}

fn number(value: u32) -> Result<u16, FieldError> {
    u16::try_from(value).map_err(|_| FieldError::TooLarge { value })
}

/// Checks a row of weights or bonds, as uid and value.
fn entries(row: impl Iterator<Item = (u32, u32)>, neurons: usize) -> Result<Vec<(u16, u16)>, FieldError> {
    row.map(|(uid, value)| {
        let known = u16::try_from(uid).ok().filter(|uid| usize::from(*uid) < neurons);
        let known = known.ok_or(FieldError::UnknownUid { uid, neurons })?;
        Ok((known, number(value)?))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn info(uid: u32) -> proto::NeuronInfo {
        proto::NeuronInfo {
            uid,
            hotkey: vec![uid as u8; 32],
            coldkey: vec![uid as u8 + 100; 32],
            stake: 7,
            ip: "127.0.0.1".to_owned(),
            port: 65_535,
            validator_permit: true,
            block_at_registration: 3,
            consensus: 65_535,
            weights: vec![proto::Weight {
                uid: 1,
                weight: 65_535,
            }],
            bonds: vec![proto::Bond { uid: 0, bond: 9 }],
            ..proto::NeuronInfo::default()
        }
    }

    /// A valid metagraph of two neurons at block 10.
    fn message() -> proto::Metagraph {
        let all = Hyperparameters::NAMES.iter().map(|name| proto::Hyperparameter {
            name: (*name).to_owned(),
            value: 1,
        });
        proto::Metagraph {
            version: 4,
            block: 10,
            hyperparameters: Some(proto::Hyperparameters {
                all: all.collect(),
                ..proto::Hyperparameters::default()
            }),
            neurons: vec![info(0), info(1)],
        }
    }

    #[test]
    fn every_field_is_decoded() {
        let metagraph = Metagraph::try_from(message()).expect("the message is valid");
        assert_eq!((metagraph.version, metagraph.block), (4, 10));
        assert_eq!(metagraph.hyperparameters.tempo, 1);
        assert_eq!(metagraph.neurons.len(), 2);
        let expected = Neuron {
            hotkey: Hotkey::from_bytes([1; 32]),
            coldkey: Coldkey::from_bytes([101; 32]),
            stake: 7,
            axon: Some((Ipv4Addr::LOCALHOST, 65_535).into()),
            validator_permit: true,
            block_at_registration: 3,
            consensus: 65_535,
            weights: vec![(1, 65_535)],
            bonds: vec![(0, 9)],
        };
        assert_eq!(metagraph.neurons[1], expected);
    }

    #[test]
    fn an_axon_may_have_an_ipv6_address_or_none() {
        let mut message = message();
        message.neurons[0].ip = "::1".to_owned();
        message.neurons[1].ip = String::new();
        let metagraph = Metagraph::try_from(message).expect("the message is valid");
        assert_eq!(
            metagraph.neurons[0].axon,
            Some((Ipv6Addr::LOCALHOST, 65_535).into())
        );
        assert_eq!(metagraph.neurons[1].axon, None);
        assert_eq!(metagraph.serving(2).collect::<Vec<_>>(), [0]);
    }

    /// A change of uid 1, the field that it makes invalid, and the expected problem.
    type Case = (fn(&mut proto::NeuronInfo), &'static str, FieldError);

    #[test]
    fn an_invalid_field_is_named_with_its_uid() {
        let key = |length| FieldError::KeyLength { length };
        let ip = |text: &str| FieldError::Ip {
            text: text.to_owned(),
        };
        let port = |port| FieldError::Port { port };
        let large = |value| FieldError::TooLarge { value };
        let unknown = |uid| FieldError::UnknownUid { uid, neurons: 2 };
        let cases: &[Case] = &[
            (|neuron| neuron.hotkey.clear(), "hotkey", key(0)),
            (|neuron| neuron.hotkey.truncate(31), "hotkey", key(31)),
            (|neuron| neuron.hotkey.push(0), "hotkey", key(33)),
            (|neuron| neuron.coldkey.clear(), "coldkey", key(0)),
            (|neuron| neuron.coldkey.truncate(31), "coldkey", key(31)),
            (|neuron| neuron.coldkey.push(0), "coldkey", key(33)),
            (|neuron| neuron.ip = "localhost".into(), "ip", ip("localhost")),
            (|neuron| neuron.ip = "127.0.0.256".into(), "ip", ip("127.0.0.256")),
            (
                |neuron| neuron.ip = "1".repeat(1 << 20),
                "ip",
                ip(&"1".repeat(45)),
            ),
            (|neuron| neuron.port = 0, "port", port(0)),
            (|neuron| neuron.port = 65_536, "port", port(65_536)),
            (|neuron| neuron.consensus = 65_536, "consensus", large(65_536)),
            (|neuron| neuron.weights[0].uid = 2, "weights", unknown(2)),
            (
                |neuron| neuron.weights[0].uid = 65_536,
                "weights",
                unknown(65_536),
            ),
            (
                |neuron| neuron.weights[0].weight = 65_536,
                "weights",
                large(65_536),
            ),
            (|neuron| neuron.bonds[0].uid = 2, "bonds", unknown(2)),
            (|neuron| neuron.bonds[0].uid = 65_536, "bonds", unknown(65_536)),
            (|neuron| neuron.bonds[0].bond = 65_536, "bonds", large(65_536)),
        ];
        for (change, field, problem) in cases {
            let mut message = message();
            change(&mut message.neurons[1]);
            let expected = MetagraphError::Field {
                uid: 1,
                field,
                problem: problem.clone(),
            };
            assert_eq!(Metagraph::try_from(message), Err(expected));
        }
    }

    #[test]
    fn an_error_names_the_field_and_the_uid() {
        let mut message = message();
        message.neurons[1].hotkey.push(0);
        let error = Metagraph::try_from(message).expect_err("the hotkey is too long");
        assert_eq!(
            error.to_string(),
            "the hotkey of uid 1 in the metagraph has 33 bytes instead of 32"
        );
    }

    #[test]
    fn neurons_must_be_in_the_order_of_their_uids() {
        for (uids, place) in [
            (&[1][..], 0),
            (&[0, 2], 1),
            (&[1, 0], 0),
            (&[0, 0], 1),
            (&[0, 1, u32::MAX], 2),
        ] {
            let mut message = message();
            message.neurons = uids
                .iter()
                .map(|uid| proto::NeuronInfo { uid: *uid, ..info(0) })
                .collect();
            let expected = MetagraphError::Order {
                place,
                uid: uids[place],
            };
            assert_eq!(Metagraph::try_from(message), Err(expected));
        }
    }

    #[test]
    fn there_are_at_most_as_many_neurons_as_uids() {
        let mut message = message();
        message.neurons = (0..65_537)
            .map(|uid| proto::NeuronInfo { uid, ..info(0) })
            .collect();
        let expected = MetagraphError::TooManyNeurons { count: 65_537 };
        assert_eq!(Metagraph::try_from(message.clone()), Err(expected));
        message.neurons.pop();
        assert!(Metagraph::try_from(message).is_ok());
    }

    #[test]
    fn hyperparameters_are_required() {
        let mut message = message();
        message
            .hyperparameters
            .as_mut()
            .expect("they are there")
            .all
            .remove(0);
        let missing = HyperparameterError::Missing {
            name: Hyperparameters::NAMES[0],
        };
        let expected = MetagraphError::Hyperparameter(missing);
        assert_eq!(Metagraph::try_from(message.clone()), Err(expected));
        message.hyperparameters = None;
        assert_eq!(
            Metagraph::try_from(message),
            Err(MetagraphError::NoHyperparameters)
        );
    }

    #[test]
    fn a_neuron_is_immune_for_the_immunity_period_after_its_registration() {
        let mut metagraph = Metagraph::try_from(message()).expect("the message is valid");
        metagraph.hyperparameters.immunity_period = 7;
        for (block, immune) in [(3, true), (9, true), (10, false), (11, false)] {
            metagraph.block = block;
            assert_eq!(metagraph.is_immune(1), immune, "{block}");
        }
        metagraph.block = 3;
        assert!(!metagraph.is_immune(2));
    }

    #[test]
    fn changed_hotkeys_are_listed_by_uid() {
        let before = Metagraph::try_from(message()).expect("the message is valid");
        let mut now = before.clone();
        now.neurons[1].hotkey = Hotkey::from_bytes([9; 32]);
        assert_eq!(now.changed_hotkeys(&before), [1]);
        assert!(before.changed_hotkeys(&Metagraph::default()).is_empty());
    }
}
