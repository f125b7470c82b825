//! What the chain's node takes of memory and of the disk after 10,000 blocks in which validators set weights on
//! everybody once an epoch: two sizes of the subnet, and each early and late, so that it can be told what grows with
//! what.

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

/// Neurons of the subnet.
const SIZES: [u32; 2] = [1_024, 4_096];

/// How many of them set weights on all.
const VALIDATORS: u32 = 64;

/// Blocks after which it is measured.
const LOOKS: [u64; 4] = [1, 2_000, 5_000, 10_000];

/// Blocks of an epoch, less one.
const TEMPO: u64 = 99;

/// Time between two blocks, seconds: the shortest that there is.
const BLOCK_TIME: f64 = 0.001;

/// Pause between two looks at how far the chain has come.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What the node takes, bytes.
struct Taken {
    memory: u64,
    log: u64,
    history: u64,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for neurons in SIZES {
        println!("\nthe chain's node with {neurons} neurons, {VALIDATORS} of which weigh all once an epoch");
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
        anyhow::bail!("the chain's node is not the only process that was started");
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
        let taken = Taken::by(id, &subtensor.state())?;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "{look:>8} {:>12.1} {:>12.1} {:>12.1}",
            mebibytes(taken.memory),
            mebibytes(taken.log),
            mebibytes(taken.history)
        );
    }
    // What is long past is there, and reading it leaves nothing behind.
    let past = node.metagraph(Some(LOOKS[1]), Detail::Full).await?;
    ensure!(
        past.neurons.len() == neurons as usize,
        "the past has other neurons"
    );
    subtensor.end(Vec::new()).await
}

/// Waits until a block has closed; gives the last that has.
async fn until(node: &SubtensorClient, block: u64) -> anyhow::Result<u64> {
    loop {
        let closed = node.current_block().await?;
        if closed >= block {
            return Ok(closed);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Each validator weighs everybody, otherwise than before.
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
        ensure!(refusal.is_none(), "the chain refused: {refusal:?}");
    }
    Ok(())
}

impl Taken {
    fn by(id: u32, state: &Path) -> anyhow::Result<Self> {
        let history = size(&state.join("history"))?;
        Ok(Self {
            memory: process::proportional_memory(id)?,
            log: size(state)? - history,
            history,
        })
    }
}

/// Of all files in a folder, bytes.
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
