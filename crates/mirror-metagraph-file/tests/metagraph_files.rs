//! Metagraph files are written and read back, and invalid files are refused with all their problems.

use std::fs;
use std::path::Path;

use mirror_identity::PublicKey;
use mirror_metagraph_file::{Cause, MAX_BYTES, MAX_NEURONS, MetagraphFile, Neuron};
use proptest::prelude::*;

/// Substrate's development keys //Alice and //Bob, public in its documentation.
const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const BOB: &str = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";

fn row(uid: i64, hotkey: &str, rest: &str) -> String {
    format!(r#"{{"uid": {uid}, "hotkey": "{hotkey}", "coldkey": "{BOB}"{rest}}}"#)
}

fn read(text: &str) -> Result<MetagraphFile, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("metagraph.json");
    fs::write(&path, text).expect("the file is written");
    MetagraphFile::read(&path).map_err(|error| error.what.to_string())
}

#[track_caller]
fn refused(rows: &[String], because: &[&str]) {
    let message = read(&format!("[{}]", rows.join(", "))).expect_err("the file is refused");
    for because in because {
        assert!(message.contains(because), "{because:?} in {message:?}");
    }
}

#[test]
fn a_list_of_objects_is_read_and_absent_columns_have_defaults() {
    let rows = [
        row(1, BOB, r#", "stake": 0"#),
        row(
            0,
            ALICE,
            r#", "stake": 1500000000, "permit": true, "weights": [[1, 65535]], "bonds": [[1, 7]]"#,
        ),
    ];
    let metagraph = read(&format!("[{}]", rows.join(", "))).expect("the file is valid");
    let key = |address: &str| address.parse::<PublicKey>().expect("an address");
    let alice = Neuron {
        hotkey: key(ALICE),
        coldkey: key(BOB),
        stake: 1_500_000_000,
        permit: true,
        weights: vec![(1, 65_535)],
        bonds: vec![(1, 7)],
    };
    let bob = Neuron {
        hotkey: key(BOB),
        stake: 0,
        permit: false,
        weights: Vec::new(),
        bonds: Vec::new(),
        ..alice.clone()
    };
    assert_eq!(metagraph.neurons, [alice, bob]);
}

#[test]
fn missing_columns_are_reported_once_and_missing_values_by_row() {
    refused(
        &[row(0, ALICE, ""), row(1, BOB, "")],
        &["the column `stake` is missing"],
    );
    refused(
        &[row(0, ALICE, r#", "stake": 1"#), row(1, BOB, "")],
        &["row 2: it has no `stake`"],
    );
    refused(
        &["{}".to_owned()],
        &["`uid` is missing", "`hotkey` is missing", "`coldkey` is missing"],
    );
    refused(&[], &["there is no row"]);
    refused(&[row(0, ALICE, r#", "steak": 1"#)], &["unknown field `steak`"]);
}

#[test]
fn all_problems_are_reported_together() {
    refused(
        &[
            row(0, ALICE, r#", "stake": -5"#),
            row(
                0,
                ALICE,
                r#", "stake": 1, "weights": [[7, 1], [0, 70000], [0, 1]]"#,
            ),
            row(9, "nobody", r#", "stake": 1, "bonds": [[-1, 0]]"#),
        ],
        &[
            "row 1 (uid 0): the stake is negative: -5 rao",
            "row 2 (uid 0): row 1 has the same uid",
            "row 2 (uid 0): row 1 has the same hotkey",
            "row 2 (uid 0): its weights contain uid 7, which no row has",
            "row 2 (uid 0): its weights contain 70000 for uid 0, which is not from 0 to 65,535",
            "row 2 (uid 0): its weights contain uid 0 twice",
            "row 3 (uid 9): with 3 rows, uids must be from 0 to 2",
            "row 3 (uid 9): the hotkey `nobody` is not an ss58 address",
            "row 3 (uid 9): its bonds contain uid -1, which no row has",
        ],
    );
}

#[test]
fn only_the_first_problems_are_listed_but_all_are_counted() {
    let rows: Vec<_> = (0..50).map(|_| row(77, "x", r#", "stake": -1"#)).collect();
    // Each row has three problems: uid, hotkey and stake.
    refused(&rows, &["and 130 more"]);
}

#[test]
fn stakes_above_the_limit_of_the_chain_are_refused() {
    refused(
        &[row(0, ALICE, r#", "stake": 18446744073709551616"#)],
        &["floating point `1.8446744073709552e"],
    );
    let most = i64::MAX;
    refused(
        &[
            row(0, ALICE, &format!(r#", "stake": {most}"#)),
            row(1, BOB, r#", "stake": 1"#),
        ],
        &["the stakes total 9223372036854775808 rao"],
    );
    refused(
        &[row(0, ALICE, r#", "stake": 1.5"#)],
        &["floating point `1.5`", "line 1 column"],
    );
}

#[test]
fn invalid_json_is_refused_with_its_position() {
    for (text, because) in [
        ("", "EOF"),
        ("uid,hotkey\n0,x", "expected value at line 1 column 1"),
        ("{}", "a list with one object per neuron"),
        ("[3]", "invalid type: integer `3`"),
        (r#"[{"uid": 0, "weights": [[1, 2, 3]]}]"#, "line 1"),
        (r#"[{"uid": 0, "weights": {"1": 2}}]"#, "invalid type: map"),
        ("[] []", "trailing characters"),
    ] {
        let message = read(text).expect_err("the file is refused");
        assert!(message.contains(because), "{text:?}: {message}");
    }
    assert!(read(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn files_that_are_too_large_or_irregular_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large.json");
    let file = fs::File::create(&large).expect("a file");
    file.set_len(MAX_BYTES + 1).expect("a hole");
    let refused = |path: &Path| MetagraphFile::read(path).expect_err("the file is refused").what;
    assert!(matches!(refused(&large), Cause::TooLarge));
    assert!(matches!(
        refused(&folder.path().join("metagraph.csv")),
        Cause::Form
    ));
    assert!(matches!(
        refused(&folder.path().join("absent.json")),
        Cause::Io(_)
    ));
    let device = folder.path().join("endless.json");
    std::os::unix::fs::symlink("/dev/zero", &device).expect("a link");
    assert!(matches!(refused(&device), Cause::Io(_)));
    let many = format!("[{}{{}}]", "{},".repeat(MAX_NEURONS));
    let message = read(&many).expect_err("the file is refused");
    assert!(message.contains("more than 65536 rows"), "{message}");
}

#[test]
fn damaged_parquet_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("metagraph.parquet");
    let key = PublicKey::from_bytes([7; 32]);
    let neuron = Neuron {
        hotkey: key,
        coldkey: key,
        stake: 5,
        permit: true,
        weights: vec![(0, 9)],
        bonds: Vec::new(),
    };
    MetagraphFile {
        neurons: vec![neuron],
    }
    .write(&path)
    .expect("the file is written");
    let whole = fs::read(&path).expect("the file was written");
    for end in (0..whole.len()).step_by(13) {
        fs::write(&path, &whole[..end]).expect("the file is truncated");
        assert!(MetagraphFile::read(&path).is_err(), "truncated to {end} bytes");
    }
}

fn metagraphs() -> impl Strategy<Value = MetagraphFile> {
    let pairs = |count: u16| prop::collection::btree_map(0..count, any::<u16>(), 0..=count as usize);
    (1_u16..12)
        .prop_flat_map(move |count| {
            let neuron = (
                any::<[u8; 32]>(),
                0..1_u64 << 58,
                any::<bool>(),
                pairs(count),
                pairs(count),
            );
            prop::collection::vec(neuron, count as usize)
        })
        .prop_map(|neurons| MetagraphFile {
            neurons: (0_u8..)
                .zip(neurons)
                .map(|(uid, (coldkey, stake, permit, weights, bonds))| Neuron {
                    hotkey: PublicKey::from_bytes([uid; 32]),
                    coldkey: PublicKey::from_bytes(coldkey),
                    stake,
                    permit,
                    weights: weights.into_iter().collect(),
                    bonds: bonds.into_iter().collect(),
                })
                .collect(),
        })
}

proptest! {
    #[test]
    fn a_written_file_is_read_back_unchanged(metagraph in metagraphs()) {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["metagraph.json", "metagraph.parquet"] {
            let path = folder.path().join(name);
            metagraph.write(&path).expect("the file is written");
            prop_assert_eq!(&MetagraphFile::read(&path).expect("the file is read"), &metagraph);
        }
    }
}
