//! Property tests: bytes that arrive as a transaction are either decoded exactly or refused. They never cause a panic.
//!
//! `MIRROR_FUZZ_CASES` sets the number of call sequences, 256 by default.

use mirror_chain::{Genesis, GenesisNeuron};
use mirror_identity::{Owner, SecretKey};
use mirror_seed::Seed;
use mirror_subtensor_client::transaction::sign;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::admission;

fn cases() -> ProptestConfig {
    let cases = std::env::var("MIRROR_FUZZ_CASES")
        .map_or(256, |cases| cases.parse().expect("MIRROR_FUZZ_CASES is a number"));
    ProptestConfig::with_cases(cases)
}

fn key_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..4_u8).prop_map(|number| vec![number; 32]),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn small_or_any() -> impl Strategy<Value = u32> {
    prop_oneof![0..5_u32, any::<u32>()]
}

fn set_weights() -> impl Strategy<Value = proto::SetWeights> {
    let numbers = || prop::collection::vec(small_or_any(), 0..6);
    (numbers(), numbers(), any::<u64>()).prop_map(|(uids, weights, version_key)| proto::SetWeights {
        uids,
        weights,
        version_key,
    })
}

fn serve_axon() -> impl Strategy<Value = proto::ServeAxon> {
    let ip = prop_oneof!["[0-9.]{0,12}", "[0-9a-f:]{0,20}", Just("10.0.0.1".to_owned())];
    (ip, small_or_any()).prop_map(|(ip, port)| proto::ServeAxon { ip, port })
}

fn move_stake() -> impl Strategy<Value = proto::MoveStake> {
    (key_bytes(), any::<u64>()).prop_map(|(hotkey, amount)| proto::MoveStake { hotkey, amount })
}

fn call_message() -> impl Strategy<Value = proto::transaction::Call> {
    use proto::transaction::Call as Message;
    prop_oneof![
        key_bytes().prop_map(|coldkey| Message::Register(proto::Register { coldkey })),
        key_bytes().prop_map(|hotkey| Message::BurnedRegister(proto::BurnedRegister { hotkey })),
        serve_axon().prop_map(Message::ServeAxon),
        serve_axon().prop_map(Message::ServePrometheus),
        set_weights().prop_map(Message::SetWeights),
        key_bytes().prop_map(|commitment| Message::CommitWeights(proto::CommitWeights { commitment })),
        (
            prop::option::of(set_weights()),
            prop::collection::vec(small_or_any(), 0..4)
        )
            .prop_map(|(weights, salt)| Message::RevealWeights(proto::RevealWeights { weights, salt })),
        move_stake().prop_map(Message::AddStake),
        move_stake().prop_map(Message::RemoveStake),
        (key_bytes(), prop::option::of(small_or_any()))
            .prop_map(|(hotkey, take)| Message::BecomeDelegate(proto::BecomeDelegate { hotkey, take })),
        (key_bytes(), any::<u64>())
            .prop_map(|(to, amount)| Message::Transfer(proto::Transfer { to, amount })),
        prop::collection::vec(any::<u8>(), 0..140)
            .prop_map(|data| Message::PublishMetadata(proto::PublishMetadata { data })),
        (key_bytes(), any::<u64>())
            .prop_map(|(coldkey, free)| Message::ForceSetBalance(proto::ForceSetBalance { coldkey, free })),
        (key_bytes(), key_bytes(), any::<u64>(), any::<u64>()).prop_map(|(hotkey, coldkey, stake, free)| {
            Message::ForceRegister(proto::ForceRegister {
                hotkey,
                coldkey,
                stake,
                free,
            })
        }),
        ("[a-z_]{0,80}", any::<u64>())
            .prop_map(|(name, value)| Message::SetHyperparameter(proto::SetHyperparameter { name, value })),
    ]
}

fn message() -> impl Strategy<Value = proto::Transaction> {
    let nonce = prop_oneof![4 => 0..8_u64, 1 => any::<u64>()];
    let window = prop_oneof![8 => Just((0, 4_095)), 1 => any::<(u64, u64)>()];
    (key_bytes(), nonce, window, prop::option::of(call_message())).prop_map(
        |(signer, nonce, (from_block, until_block), call)| proto::Transaction {
            signer,
            nonce,
            from_block,
            until_block,
            call,
        },
    )
}

/// Encoded transactions, some of them damaged or cut, and random bytes.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let sound = || message().prop_map(|message| message.encode_to_vec());
    let damaged =
        (sound(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, index, byte)| {
            if !bytes.is_empty() {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            bytes
        });
    let cut = (sound(), any::<prop::sample::Index>()).prop_map(|(mut bytes, index)| {
        bytes.truncate(index.index(bytes.len() + 1));
        bytes
    });
    prop_oneof![sound(), damaged, cut, prop::collection::vec(any::<u8>(), 0..200)]
}

fn chain() -> Chain {
    let neuron = |number: u8| GenesisNeuron {
        hotkey: PublicKey::from_bytes([number; 32]),
        coldkey: PublicKey::from_bytes([number + 1; 32]),
        stake: Rao(1_000),
        validator_permit: true,
        weights: Vec::new(),
        bonds: Vec::new(),
        axon: None,
    };
    let genesis = Genesis {
        owner: Some(SubnetOwner {
            coldkey: PublicKey::from_bytes([1; 32]),
            hotkey: PublicKey::from_bytes([0; 32]),
        }),
        neurons: (0..3).map(neuron).collect(),
        ..Genesis::empty(Hyperparameters {
            tempo: 3,
            ..Hyperparameters::SMALL
        })
    };
    Chain::genesis(genesis).expect("the genesis of this test is valid")
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn malformed_bytes_are_refused_or_decoded_exactly(stream in prop::collection::vec(hostile_bytes(), 0..40)) {
        let mut chain = chain();
        for bytes in stream {
            let Ok(message) = proto::Transaction::decode(&bytes[..]) else {
                continue;
            };
            // A refusal of any kind is acceptable.
            let Ok(checked) = admission::check(&message) else {
                continue;
            };
            let Ok(transaction) = checked.at(chain.open_block()) else {
                continue;
            };
            prop_assert_eq!(transaction.signer.bytes().to_vec(), message.signer);
            prop_assert_eq!(transaction.nonce.0, message.nonce);
            if chain.submit(transaction).is_ok() {
                chain.close_block();
            }
        }
        let issuance = chain.issuance();
        let free: u64 = chain.balances().map(|(_, free)| free.0).sum();
        let staked: u64 = chain.stakes().map(|(_, _, stake)| stake.0).sum();
        prop_assert_eq!(free + staked + issuance.pending.0, issuance.total().0);
    }

    #[test]
    fn damaged_signed_transactions_are_refused(
        message in message(),
        harmed in any::<prop::sample::Index>(),
        flipped in 1..=u8::MAX,
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let key = SecretKey::hotkey(&Seed::root(7), Owner::Subnet);
        let message = proto::Transaction {
            signer: key.public().bytes().to_vec(),
            ..message
        };
        let mut bytes = sign(&key, &message).encode_to_vec();
        let harmed = harmed.index(bytes.len());
        bytes[harmed] ^= flipped;
        for bytes in [bytes, noise] {
            if let Ok(signed) = proto::SignedTransaction::decode(&bytes[..])
                && let Ok(signed_tx) = admission::admit(&signed)
            {
                prop_assert_eq!(&signed_tx.message, &message);
            }
        }
    }

    #[test]
    fn valid_weights_are_decoded_completely(set in set_weights()) {
        let sound = set.uids.iter().chain(&set.weights).all(|&number| number <= 65_535);
        match weights(&set) {
            Ok(taken) => {
                prop_assert!(sound);
                prop_assert!(taken.uids.iter().map(|uid| u32::from(uid.0)).eq(set.uids));
                prop_assert!(taken.weights.into_iter().map(u32::from).eq(set.weights));
            }
            Err(refused) => {
                let is_too_large = matches!(refused, Malformed::TooLarge { .. });
                prop_assert!(!sound && is_too_large);
            }
        }
    }
}

#[test]
fn oversized_lists_are_refused() {
    let endless = vec![0; MAX_UIDS as usize + 1];
    let set = proto::SetWeights {
        uids: endless.clone(),
        weights: Vec::new(),
        version_key: 0,
    };
    let too_many = Malformed::TooMany {
        field: "uids",
        count: 65_537,
        most: 65_536,
    };
    assert_eq!(weights(&set), Err(too_many));
    let reveal = proto::transaction::Call::RevealWeights(proto::RevealWeights {
        weights: Some(proto::SetWeights::default()),
        salt: vec![0; SALT_NUMBERS + 1],
    });
    let too_many = Malformed::TooMany {
        field: "salt",
        count: SALT_NUMBERS + 1,
        most: SALT_NUMBERS,
    };
    assert_eq!(call(&reveal), Err(too_many));
}
