//! Tests of signed calls: those of the real dendrite are accepted, those of this project are what the real axon
//! accepts, and all others are refused with the reason that the real axon gives.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use mirror_auth::metadata::{PROTOCOL, PROTOCOL_KEY, SIGNATURE_KEY, VERSION_KEY};
use mirror_auth::{DendriteId, Lane, Refusal, Signer, Verifier, VerifierState};
use mirror_identity::{Hotkey, Owner, SecretKey};
use mirror_seed::Seed;
use proptest::prelude::*;
use tonic::metadata::MetadataMap;

/// Calls that the real dendrite has signed, each with its sender and its receiver.
fn real_calls() -> Vec<(Hotkey, Hotkey, String)> {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("signed_by_bittensor.json")).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let calls = fixture["calls"].as_array().expect("a list").iter();
    calls
        .map(|call| {
            let key = |name: &str| text(&call[name]).parse().expect("an address");
            (key("sender"), key("receiver"), text(&call["bittensor-signature"]))
        })
        .collect()
}

fn metadata(signature: &str, version: Option<&str>) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert(SIGNATURE_KEY, signature.parse().expect("ASCII"));
    if let Some(version) = version {
        metadata.insert(VERSION_KEY, version.parse().expect("ASCII"));
    }
    metadata
}

fn verifier(receiver: Hotkey) -> Verifier {
    Verifier::new(receiver, Arc::new(VerifierState::default()))
}

/// Returns the hotkey that signed the call with these entries.
fn checked(verifier: &Verifier, metadata: &MetadataMap) -> Result<Hotkey, Refusal> {
    verifier.check(metadata).map(|sender| sender.hotkey)
}

fn key(owner: Owner) -> SecretKey {
    SecretKey::hotkey(&Seed::root(7), owner)
}

fn signer() -> Arc<Signer> {
    Arc::new(Signer::new(
        key(Owner::Validator(0)),
        DendriteId::new([7; 16]),
        500,
    ))
}

/// Returns the entries of a new call of `signer` to an axon.
fn signed(signer: &Arc<Signer>, receiver: Hotkey) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    signer.lane(receiver).sign(&mut metadata);
    metadata
}

fn header(metadata: &MetadataMap) -> String {
    let header = metadata.get(SIGNATURE_KEY).expect("it is signed");
    header.to_str().expect("ASCII").to_owned()
}

#[test]
fn calls_of_the_real_dendrite_are_accepted_once_and_in_order() {
    let calls = real_calls();
    assert_eq!(calls.len(), 6);
    for pair in calls.chunks(2) {
        let [(sender, receiver, first), (_, _, second)] = pair else {
            panic!("two calls of each dendrite")
        };
        let verifier = verifier(*receiver);
        for call in [first, second] {
            assert_eq!(checked(&verifier, &metadata(call, Some("500"))), Ok(*sender));
            assert_eq!(
                checked(&verifier, &metadata(call, Some("500"))),
                Err(Refusal::Replayed)
            );
        }
        assert_eq!(
            checked(&verifier, &metadata(first, Some("500"))),
            Err(Refusal::Replayed)
        );
        // The signature names the receiver.
        assert_eq!(
            checked(&self::verifier(*sender), &metadata(first, Some("500"))),
            Err(Refusal::Mismatch)
        );
    }
}

#[test]
fn a_signed_call_has_the_entries_of_the_protocol() {
    let receiver = key(Owner::Miner(3)).public();
    let signer = signer();
    let call = signed(&signer, receiver);
    assert_eq!(
        call.get(PROTOCOL_KEY)
            .map(tonic::metadata::MetadataValue::as_bytes),
        Some(PROTOCOL.as_bytes())
    );
    assert_eq!(
        call.get(VERSION_KEY)
            .map(tonic::metadata::MetadataValue::as_bytes),
        Some(&b"500"[..])
    );
    let header = header(&call);
    let parts: Vec<&str> = header.split('.').collect();
    let [nonce, sender, signature, dendrite] = parts[..] else {
        panic!("four parts: {header}")
    };
    assert!(nonce.parse::<u64>().is_ok_and(|nonce| nonce > 0));
    assert_eq!(sender, signer.hotkey().to_string());
    let digits = signature.strip_prefix("0x").expect("0x");
    assert!(
        digits.len() == 128
            && digits
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    );
    assert_eq!(dendrite.len(), 36);
    assert_eq!(checked(&verifier(receiver), &call), Ok(signer.hotkey()));
}

/// The checks of the real client's conformance list, with the texts of the real axon.
#[test]
fn wrong_calls_are_refused_with_the_reason() {
    let receiver = key(Owner::Miner(3)).public();
    let (signer, verifier) = (signer(), verifier(receiver));
    let good = header(&signed(&signer, receiver));
    let [nonce, sender, signature, dendrite] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("four parts")
    };
    let later = nonce.parse::<i64>().expect("a number") + 5;
    let check = |text: &str, version: Option<&str>| checked(&verifier, &metadata(text, version));

    assert_eq!(checked(&verifier, &MetadataMap::new()), Err(Refusal::Unsigned));
    for (version, expected) in [
        (Some("369"), Refusal::OldVersion),
        (Some("-500"), Refusal::OldVersion),
        (Some("x"), Refusal::NoVersion),
        (Some(""), Refusal::NoVersion),
        (None, Refusal::NoVersion),
    ] {
        assert_eq!(check(&good, version), Err(expected), "{version:?}");
    }
    for text in [
        "1.2.3",
        "",
        "1.2.3.4.5",
        &format!("a.{sender}.{signature}.{dendrite}"),
    ] {
        assert_eq!(check(text, Some("500")), Err(Refusal::Format), "{text}");
    }
    let address = format!("{nonce}.notanaddress.{signature}.{dendrite}");
    assert!(matches!(check(&address, Some("500")), Err(Refusal::Sender(_))));
    for wrong in ["0x00", &signature[2..], &format!("{signature}00"), "0xzz", ""] {
        let text = format!("{nonce}.{sender}.{wrong}.{dendrite}");
        assert_eq!(
            check(&text, Some("500")),
            Err(Refusal::SignatureFormat),
            "{wrong}"
        );
    }
    let tampered = format!("{later}.{sender}.{signature}.{dendrite}");
    assert_eq!(check(&tampered, Some("500")), Err(Refusal::Mismatch));
    // None of these has used up the nonce.
    assert_eq!(check(&good, Some("370")), Ok(signer.hotkey()));
    assert_eq!(check(&good, Some("500")), Err(Refusal::Replayed));
    assert_eq!(Refusal::Replayed.to_string(), "Nonce is too small");
}

/// Calls that overlap may be checked in any order, so they have different identifiers. Calls one after the other have
/// the same one, so an axon remembers few.
#[test]
fn overlapping_calls_are_accepted_in_any_order() {
    let (receiver, other) = (key(Owner::Miner(3)).public(), key(Owner::Miner(4)).public());
    let (signer, verifier) = (signer(), verifier(receiver));
    let sign = |lane: &Lane| {
        let mut metadata = MetadataMap::new();
        lane.sign(&mut metadata);
        metadata
    };
    let dendrite = |call: &MetadataMap| header(call).rsplit_once('.').expect("four parts").1.to_owned();
    let lanes: Vec<Lane> = (0..100).map(|_| signer.lane(receiver)).collect();
    let calls: Vec<MetadataMap> = lanes.iter().map(&sign).collect();
    for call in calls.iter().rev() {
        assert_eq!(checked(&verifier, call), Ok(signer.hotkey()));
        assert_eq!(checked(&verifier, call), Err(Refusal::Replayed));
    }
    drop(lanes);
    let used: HashSet<String> = calls.iter().map(dendrite).collect();
    assert_eq!(used.len(), 100);
    for _ in 0..1_000 {
        let call = sign(&signer.lane(receiver));
        assert!(used.contains(&dendrite(&call)));
        assert_eq!(checked(&verifier, &call), Ok(signer.hotkey()));
    }
    // Calls to other axons do not count.
    let held: Vec<Lane> = (0..100).map(|_| signer.lane(other)).collect();
    assert!(used.contains(&dendrite(&sign(&signer.lane(receiver)))));
    drop(held);
}

/// Calls of several callers, some of which are altered or sent twice, are checked together. Each has the result that it
/// has alone.
#[tokio::test]
async fn an_altered_call_does_not_affect_those_that_are_checked_with_it() {
    let receiver = key(Owner::Miner(3)).public();
    let signers: Vec<Arc<Signer>> = (0..3)
        .map(|uid| {
            let id = DendriteId::new([uid as u8; 16]);
            Arc::new(Signer::new(key(Owner::Validator(uid)), id, 500))
        })
        .collect();
    for altered_every in [usize::MAX, 50, 7, 2, 1] {
        let verifier = verifier(receiver);
        let mut calls = Vec::new();
        let mut lanes = Vec::new();
        for number in 1..=100 {
            let signer = &signers[number % 3];
            let lane = signer.lane(receiver);
            let mut call = MetadataMap::new();
            lane.sign(&mut call);
            lanes.push(lane);
            if number % altered_every == 0 {
                let text = header(&call);
                let (nonce, rest) = text.split_once('.').expect("four parts");
                let nonce = nonce.parse::<u64>().expect("a number") + 1;
                calls.push((
                    metadata(&format!("{nonce}.{rest}"), Some("500")),
                    Err(Refusal::Mismatch),
                ));
            } else {
                calls.push((call.clone(), Ok(signer.hotkey())));
                if number % 5 == 0 {
                    calls.push((call, Err(Refusal::Replayed)));
                }
            }
        }
        let checked = join_all(calls.iter().map(|(call, _)| verifier.check_together(call))).await;
        for (checked, (call, expected)) in checked.into_iter().zip(&calls) {
            let checked = checked.map(|sender| sender.hotkey);
            assert_eq!(&checked, expected, "one of {altered_every} altered: {call:?}");
        }
    }
}

#[tokio::test]
async fn a_call_whose_caller_no_longer_waits_uses_up_no_nonce() {
    let receiver = key(Owner::Miner(3)).public();
    let (signer, verifier) = (signer(), verifier(receiver));
    let call = signed(&signer, receiver);
    let mut left = Box::pin(verifier.check_together(&call));
    assert!(futures::poll!(&mut left).is_pending());
    drop(left);
    let sender = verifier.check_together(&call).await;
    assert_eq!(sender.map(|sender| sender.hotkey), Ok(signer.hotkey()));
}

/// Of two entries with one name, the last one counts, as in the real axon.
#[test]
fn the_last_of_several_entries_counts() {
    let receiver = key(Owner::Miner(3)).public();
    let signer = signer();
    let mut call = metadata("1.2.3", Some("500"));
    call.append(
        SIGNATURE_KEY,
        header(&signed(&signer, receiver)).parse().expect("ASCII"),
    );
    assert_eq!(checked(&verifier(receiver), &call), Ok(signer.hotkey()));
    call.append(SIGNATURE_KEY, "1.2.3".parse().expect("ASCII"));
    assert_eq!(checked(&verifier(receiver), &call), Err(Refusal::Format));
}

proptest! {
    /// A call with any changed character is refused, or was not changed in what the signature covers.
    #[test]
    fn a_changed_call_is_refused(place in 0..230_usize, letter in 33..127_u8) {
        let receiver = key(Owner::Miner(3)).public();
        let mut text = header(&signed(&signer(), receiver)).into_bytes();
        let place = place % text.len();
        prop_assume!(text[place] != letter && !text[place].eq_ignore_ascii_case(&letter));
        text[place] = letter;
        let text = String::from_utf8(text).expect("ASCII");
        prop_assert!(checked(&verifier(receiver), &metadata(&text, Some("500"))).is_err(), "{}", text);
    }

    /// No text of a caller makes a panic.
    #[test]
    fn any_text_is_refused(signature in "[ -~]{0,600}", version in proptest::option::of("[ -~]{0,40}")) {
        let receiver = key(Owner::Miner(3)).public();
        prop_assert!(checked(&verifier(receiver), &metadata(&signature, version.as_deref())).is_err());
    }
}
