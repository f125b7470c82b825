//! Measures the weights per second that the chain's node accepts, signed by as many validators as a subnet has, over
//! loopback and durable when the reply arrives, compared with a bare tonic echo of messages of the same size. Meanwhile
//! blocks close by the clock, so that the accepted weights are also applied.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::join_all;
use mirror_benches::bare::Servers;
use mirror_benches::figures::{self, Pair};
use mirror_benches::network::{SEED, Subtensor};
use mirror_identity::{Owner, SecretKey};
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{DispatchError, SetWeights, SignedTransaction};
use mirror_seed::Seed;
use mirror_spec::BlockTime;
use mirror_subtensor_client::SubtensorClient;
use mirror_subtensor_client::transaction::{sign_call, verify};
use prost::Message;

/// Number of neurons of the subnet, and of those that set weights on all.
const NEURONS: u32 = 256;
const VALIDATORS: u32 = 64;

/// Concurrencies to try. Each concurrent call has a separate validator.
const IN_FLIGHT: [usize; 4] = [8, 16, 32, 64];

/// Time between two blocks in seconds.
const BLOCK_TIME: f64 = 0.5;

/// Duration of a trial, and of each measurement of a pair.
const TRIAL: Duration = Duration::from_millis(400);
const MEASURE: Duration = Duration::from_millis(1_200);

/// Number of pairs measured at the best concurrencies.
const PAIRS: usize = 7;

/// Number of signatures that are made and verified to measure the cost of one.
const SIGNATURES: u32 = 2_000;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let mut signers = Signers::new();
    let sample = signers.next(0);
    let bytes = sample.encoded_len();
    cost_of_signatures(&sample)?;

    let rules = [("tempo", 0), ("weights_set_rate_limit", 0)];
    let rules = rules.map(|(name, value)| (name.to_owned(), value)).into();
    let subtensor = Subtensor::start(NEURONS, VALIDATORS, rules, BlockTime::Seconds(BLOCK_TIME)).await?;
    let tracer = Tracer::new(&Seed::root(SEED), "bench", 0);
    let node = SubtensorClient::new(tracer, subtensor.address());
    node.begin().await?;
    let mut bare = Servers::start(env!("CARGO_BIN_EXE_bare-echo"), 1, 1).await?;
    bare.carry(bytes);

    let (mut ours, mut reference) = ((0, 0.0), (0, 0.0));
    for in_flight in IN_FLIGHT {
        let rate = signers.per_second(&node, in_flight, TRIAL).await?;
        if rate > ours.1 {
            ours = (in_flight, rate);
        }
        let rate = bare.calls_per_second(in_flight, TRIAL).await?;
        if rate > reference.1 {
            reference = (in_flight, rate);
        }
    }
    let mut pairs = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        pairs.push(Pair {
            ours: signers.per_second(&node, ours.0, MEASURE).await?,
            reference: bare.calls_per_second(reference.0, MEASURE).await?,
        });
    }
    figures::head(
        "set_weights, signed and durable, compared with bare tonic",
        "calls/s",
    );
    let what = format!("{bytes} bytes, {} in flight (reference {})", ours.0, reference.0);
    figures::line(&what, &pairs);
    subtensor.end(Vec::new()).await
}

fn cost_of_signatures(sample: &SignedTransaction) -> anyhow::Result<()> {
    let key = key(0);
    let started = Instant::now();
    for _ in 0..SIGNATURES {
        key.sign(&sample.transaction);
    }
    let signing = started.elapsed() / SIGNATURES;
    let started = Instant::now();
    for _ in 0..SIGNATURES {
        verify(sample)?;
    }
    let checking = started.elapsed() / SIGNATURES;
    println!("\na signature takes {signing:.1?} to make and {checking:.1?} to verify");
    Ok(())
}

fn key(validator: u32) -> SecretKey {
    SecretKey::hotkey(&Seed::root(SEED), Owner::Miner(validator))
}

/// The validators, with the last nonce of each.
struct Signers(Vec<(SecretKey, u64)>);

impl Signers {
    fn new() -> Self {
        Self((0..VALIDATORS).map(|validator| (key(validator), 0)).collect())
    }

    fn next(&mut self, validator: usize) -> SignedTransaction {
        let (key, nonce) = &mut self.0[validator];
        next(key, nonce)
    }

    /// Returns the weights accepted per second with `in_flight` concurrent calls during `time`. Each validator sends
    /// one call after another.
    async fn per_second(
        &mut self,
        node: &SubtensorClient,
        in_flight: usize,
        time: Duration,
    ) -> anyhow::Result<f64> {
        let started = Instant::now();
        let workers = self.0.iter_mut().take(in_flight).map(async |(key, nonce)| {
            let mut calls = 0_u64;
            while started.elapsed() < time {
                let reply = node.submit(next(key, nonce)).await?;
                let refusal = DispatchError::from_field(reply.refusal);
                ensure!(refusal.is_none(), "the chain rejected the weights: {refusal:?}");
                calls += 1;
            }
            Ok(calls)
        });
        let calls = join_all(workers).await.into_iter().sum::<anyhow::Result<u64>>()?;
        Ok(calls as f64 / started.elapsed().as_secs_f64())
    }
}

/// Returns weights on all neurons, different each time.
fn next(key: &SecretKey, nonce: &mut u64) -> SignedTransaction {
    *nonce += 1;
    let weight = |uid| 1 + (uid * 7 + *nonce as u32 * 13) % 65_535;
    let set = SetWeights {
        uids: (0..NEURONS).collect(),
        weights: (0..NEURONS).map(weight).collect(),
        version_key: 0,
    };
    // The benchmark ends within the validity window, which begins with the first block.
    sign_call(key, *nonce, 1, Call::SetWeights(set))
}
