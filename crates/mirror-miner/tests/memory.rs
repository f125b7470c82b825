//! The memory of axons. The test is alone in its process, so that no other one changes the measured memory.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mirror_auth::{DendriteId, Signer, VerifierState};
use mirror_dataset::{Dataset, Row};
use mirror_identity::{Owner, SecretKey};
use mirror_links::Links;
use mirror_miner::axon::Axon;
use mirror_miner::behaviour::{BehaviourContext, Behaviours, Prompts};
use mirror_miner::network::Network;
use mirror_net::server::Services;
use mirror_net::tracer::Tracer;
use mirror_seed::Seed;
use mirror_spec::{AxonSettings, BehaviourSpec, HonestArgs, Uids};
use mirror_subtensor_client::SubtensorClient;

/// Number of axons after which the memory that all axons share is allocated.
const FIRST: u32 = 256;

/// Number of axons by which the memory grows.
const FURTHER: u32 = 1_024;

/// Maximum growth for each axon in bytes. Tables of callers that an axon allocates in advance take more.
const BYTES: u64 = 16 << 10;

#[tokio::test]
async fn an_axon_takes_little_memory_until_it_is_called() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("answers");
    let row = Row {
        question: "What is the question?".to_owned(),
        answers: vec!["the one and only answer".to_owned()],
    };
    mirror_dataset::compile(&[row], &path).expect("a valid row");
    let seed = Seed::root(1);
    let links = Arc::new(Links::new(seed, FIRST + FURTHER, &[], 1.0));
    let chain = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let subtensor = SubtensorClient::new(Tracer::new(&seed, "miner-0", 0), chain);
    let context = BehaviourContext {
        seed,
        uid: 0,
        signer: signer(&seed, 0),
        group: Uids::of_ranges([0..=FIRST]).expect("there are uids"),
        dataset: Arc::new(Dataset::open(&path).expect("it was compiled")),
        prompts: Arc::new(Prompts {
            base: "Be of help.".to_owned(),
            question: "Ask something.".to_owned(),
        }),
        network: Arc::new(Network::new(seed, &subtensor, links, None)),
        time_scale: 1.0,
    };
    let behaviours = [BehaviourSpec::Honest(HonestArgs {
        fail_rate: 0.0,
        fitness: 1.0,
    })];
    let shared = Arc::new(VerifierState::default());
    let services = |uid| {
        let context = BehaviourContext {
            uid,
            signer: signer(&seed, uid),
            ..context.clone()
        };
        let axon = Axon::new(
            uid,
            context.signer.hotkey(),
            Arc::new(Behaviours::new(&behaviours, context.clone())),
            &AxonSettings::default(),
            context.network,
            shared.clone(),
        );
        Services::default().open(axon.into_service())
    };
    let mut axons: Vec<Services> = (0..FIRST).map(services).collect();
    let before = memory();
    axons.extend((FIRST..FIRST + FURTHER).map(services));
    let grown = memory().saturating_sub(before) / u64::from(FURTHER);
    assert!(grown <= BYTES, "{grown} bytes for each axon");
    drop(axons);
}

fn signer(seed: &Seed, uid: u32) -> Arc<Signer> {
    let key = SecretKey::hotkey(seed, Owner::Miner(uid));
    Arc::new(Signer::new(key, DendriteId::new([7; 16]), 500))
}

/// Returns the memory of this process that no file backs, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is readable");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024 * kilobytes
        .and_then(|number| number.parse::<u64>().ok())
        .expect("a number")
}
