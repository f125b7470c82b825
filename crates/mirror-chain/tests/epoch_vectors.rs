//! The reference vectors: epochs whose results are asserted in the real chain's tests or were computed by its code.
//! Every integer must be equal, and every number that the chain's tests assert must match.

use std::path::Path;

use mirror_chain::epoch::case::{Algorithm, Case, Outputs};
use serde::Deserialize;
use serde_json::Value;

const ALGORITHMS: [(&str, Algorithm); 2] = [("v001", Algorithm::Classic), ("head", Algorithm::Today)];

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(flatten)]
    case: Case,
    literal: Vec<Literal>,
}

/// A number that a test of the real chain asserts.
#[derive(Deserialize)]
struct Literal {
    path: Vec<Value>,
    value: f64,
    tol: f64,
    variants: Vec<String>,
}

fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/yuma/yuma_vectors.json");
    let text = std::fs::read_to_string(&path).expect("the vectors are in tests/fixtures");
    let vectors: Vectors = serde_json::from_str(&text).expect("the vectors have the expected format");
    vectors.cases
}

#[test]
fn every_vector_is_reproduced() {
    let mut met = 0;
    for Vector { case, .. } in vectors() {
        for (key, algorithm) in ALGORITHMS {
            let Some(expected) = case.expected(algorithm) else {
                continue;
            };
            let outputs = case.compute(algorithm).expect("the inputs are valid");
            let differences = outputs.differences(expected);
            assert!(
                differences.is_empty(),
                "{} {key}: {}",
                case.name,
                differences
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            );
            met += 1;
        }
    }
    // All 57 cases are of today's variant, and 25 of them also of the classic one.
    assert_eq!(met, 57 + 25);
}

#[test]
fn all_assertions_of_the_real_chains_tests_hold() {
    let mut held = 0;
    for Vector { case, literal } in vectors() {
        for (key, algorithm) in ALGORITHMS {
            let literals: Vec<&Literal> = literal
                .iter()
                .filter(|literal| literal.variants.iter().any(|variant| variant == key))
                .collect();
            if literals.is_empty() {
                continue;
            }
            let outputs = case.compute(algorithm).expect("the inputs are valid");
            for literal in literals {
                let found = at(&outputs, &literal.path);
                assert!(
                    (found - literal.value).abs() <= literal.tol,
                    "{} {key} {:?}: expected {} ± {}, computed {found}",
                    case.name,
                    literal.path,
                    literal.value,
                    literal.tol
                );
                held += 1;
            }
        }
    }
    // The number of assertions that the real chain's code met, according to the vectors, over all cases.
    assert_eq!(held, 650);
}

/// Returns the number at a path such as `["bonds", 3, 7]`, or `["bonds/65535", 3, 7]` for the same number as a share. A
/// missing bond is 0.
fn at(outputs: &Outputs, path: &[Value]) -> f64 {
    let name = path[0].as_str().expect("a path begins with a name");
    let index = |place: usize| path[place].as_u64().expect("a uid") as usize;
    let bond = || {
        let row = &outputs.bonds[index(1)];
        let uid = index(2);
        let bond = row.iter().find(|&&(to, _)| usize::from(to) == uid);
        bond.map_or(0.0, |&(_, bond)| f64::from(bond))
    };
    match name {
        "bonds" => bond(),
        "bonds/65535" => bond() / 65_535.0,
        "consensus" => outputs.consensus[index(1)].into(),
        "incentive" => outputs.incentive[index(1)].into(),
        "dividends" => outputs.dividends[index(1)].into(),
        "dividends_u16/65535" => f64::from(outputs.dividends[index(1)]) / 65_535.0,
        "emission" => outputs.emission[index(1)] as f64,
        other => panic!("unknown output {other}: no assertion of the real chain's tests uses it"),
    }
}
