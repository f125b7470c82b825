//! Measures the memory and the disk space of the chain's node over 10,000 blocks in which validators set weights on all
//! neurons once per epoch, for two sizes of the subnet and at several blocks, to show what grows with which quantity.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use mirror_benches::network::{SEED, Subtensor};
use mirror_benches::process;
use mirror_identity::{Owner, SecretKey};
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::DispatchError;
use mirror_proto::mirror::v1::SetWeights;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_seed::Seed;
use mirror_spec::BlockTime;
use mirror_subtensor_client::transaction::sign_call;
use mirror_subtensor_client::{Detail, SubtensorClient};

/// Numbers of neurons of the subnet.
const SIZES: [u32; 2] = [1_024, 4_096];

/// Number of neurons that set weights on all.
const VALIDATORS: u32 = 64;

/// Blocks at which the node is measured.
const LOOKS: [u64; 4] = [1, 2_000, 5_000, 10_000];

/// Number of blocks of an epoch, minus one.
const TEMPO: u64 = 99;

/// Time between two blocks in seconds: the minimum.
const BLOCK_TIME: f64 = 0.001;

/// Pause between two checks of the current block.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The space that the node uses, in bytes.
struct Space {
    memory: u64,
    log: u64,
    history: u64,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for neurons in SIZES {
        println!(
            "\nthe chain's node with {neurons} neurons, {VALIDATORS} of which set weights on all once per epoch"
        );
        println!(
            "{:>8} {:>12} {:>12} {:>12}",
            "block", "memory MiB", "log MiB", "history MiB"
        );
        runtime.block_on(measure(neurons))?;
    }
    Ok(())
}

async fn measure(neurons: u32) -> anyhow::Result<()> {
    let rules = [("tempo", TEMPO), ("weights_set_rate_limit", 0)];
    let rules = rules.map(|(name, value)| (name.to_owned(), value)).into();
    let subtensor = Subtensor::start(neurons, VALIDATORS, rules, BlockTime::Seconds(BLOCK_TIME)).await?;
    let [id] = process::children(std::process::id())?[..] else {
        anyhow::bail!("expected the chain's node to be the only process that was started");
    };
    let tracer = Tracer::new(&Seed::root(SEED), "bench", 0);
    let node = SubtensorClient::new(tracer, subtensor.address());
    node.begin().await?;
    let mut round = 0;
    for look in LOOKS {
        while round * (TEMPO + 1) < look {
            until(&node, round * (TEMPO + 1)).await?;
            round += 1;
            weigh(&node, neurons, round).await?;
        }
        until(&node, look).await?;
        let taken = Space::by(id, &subtensor.state())?;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "{look:>8} {:>12.1} {:>12.1} {:>12.1}",
            mebibytes(taken.memory),
            mebibytes(taken.log),
            mebibytes(taken.history)
        );
    }
    // An old block can still be read, and reading it does not change the state.
    let past = node.metagraph(Some(LOOKS[1]), Detail::Full).await?;
    ensure!(
        past.neurons.len() == neurons as usize,
        "the old metagraph has a different number of neurons"
    );
    subtensor.end(Vec::new()).await
}

/// Waits until a block has closed. Returns the last closed block.
async fn until(node: &SubtensorClient, block: u64) -> anyhow::Result<u64> {
    loop {
        let closed = node.current_block().await?;
        if closed >= block {
            return Ok(closed);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Sets the weights of each validator on all neurons, different in each round.
async fn weigh(node: &SubtensorClient, neurons: u32, round: u64) -> anyhow::Result<()> {
    for validator in 0..VALIDATORS {
        let key = SecretKey::hotkey(&Seed::root(SEED), Owner::Miner(validator));
        let weight = |uid| 1 + (uid * 7 + round as u32 * 13 + validator * 31) % 65_535;
        let set = SetWeights {
            uids: (0..neurons).collect(),
            weights: (0..neurons).map(weight).collect(),
            version_key: 0,
        };
        let block = until(node, 0).await?;
        let transaction = sign_call(&key, round, block, Call::SetWeights(set));
        let refusal = DispatchError::from_field(node.submit(transaction).await?.refusal);
        ensure!(refusal.is_none(), "the chain rejected the weights: {refusal:?}");
    }
    Ok(())
}

impl Space {
    fn by(id: u32, state: &Path) -> anyhow::Result<Self> {
        let history = size(&state.join("history"))?;
        Ok(Self {
            memory: process::proportional_memory(id)?,
            log: size(state)? - history,
            history,
        })
    }
}

/// Returns the total size of all files in a folder, in bytes.
fn size(folder: &Path) -> anyhow::Result<u64> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() {
            size(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(sum)
}
