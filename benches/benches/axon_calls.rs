//! Measures the calls per second through the validator's dendrite pool to miner processes, compared with a bare tonic
//! echo over as many processes, each at its best concurrency.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use mirror_benches::bare::Servers;
use mirror_benches::figures::{self, Pair};
use mirror_benches::network::{Data, Network, SEED, signer};
use mirror_links::Links;
use mirror_proto::mirror::v1::Outcome;
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::NeuronSettings;
use mirror_validator::conversation::Conversation;
use mirror_validator::dendrite::{DendritePool, FanOut, ServedAxon};

/// Numbers of processes, with one axon each.
const PROCESSES: [u32; 4] = [1, 16, 64, 256];

/// Concurrencies to try.
const IN_FLIGHT: [usize; 8] = [4, 8, 16, 32, 64, 128, 256, 512];

/// Duration of a trial, and of each measurement of a pair.
const TRIAL: Duration = Duration::from_millis(400);
const MEASURE: Duration = Duration::from_millis(1_200);

/// Number of pairs measured at the best concurrencies.
const PAIRS: usize = 7;

const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    let data = Data::prepare(folder.path())?;
    figures::head(
        "axon calls through the dendrite pool, compared with bare tonic",
        "calls/s",
    );
    for processes in PROCESSES {
        runtime.block_on(measure(processes, &data))?;
    }
    Ok(())
}

async fn measure(processes: u32, data: &Data) -> anyhow::Result<()> {
    let network = Network::start(processes, data).await?;
    let caller = Caller::new(&network.start_miners(processes).await?)?;
    let bare = Servers::start(env!("CARGO_BIN_EXE_bare-echo"), processes as usize, 1).await?;
    let (mut ours, mut reference) = (Best::default(), Best::default());
    for in_flight in IN_FLIGHT {
        ours.note(in_flight, caller.calls_per_second(in_flight, TRIAL).await?);
        reference.note(in_flight, bare.calls_per_second(in_flight, TRIAL).await?);
    }
    let mut pairs = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        pairs.push(Pair {
            ours: caller.calls_per_second(ours.in_flight, MEASURE).await?,
            reference: bare.calls_per_second(reference.in_flight, MEASURE).await?,
        });
    }
    let what = format!(
        "{processes} processes, {} in flight (reference {})",
        ours.in_flight, reference.in_flight
    );
    figures::line(&what, &pairs);
    network.end(processes).await
}

/// The concurrency with the highest rate.
#[derive(Default)]
struct Best {
    in_flight: usize,
    rate: f64,
}

impl Best {
    fn note(&mut self, in_flight: usize, rate: f64) {
        if rate > self.rate {
            *self = Self { in_flight, rate };
        }
    }
}

/// A dendrite pool without its validator.
struct Caller {
    pool: DendritePool,
    hotkey: [u8; 32],
    axons: u32,
    /// The wire encoding of the prompt that requests a question.
    messages: Vec<String>,
}

impl Caller {
    fn new(axons: &[ServedAxon]) -> anyhow::Result<Self> {
        let seed = Seed::root(SEED);
        let links = Links::new(seed, axons.len() as u32, &[], 1.0);
        let mut pool = DendritePool::new(signer()?, axons.len() as u32, seed, Arc::new(links));
        pool.resync(axons.iter().copied().map(Some));
        let prompts = NeuronSettings::default();
        Ok(Self {
            hotkey: pool.hotkey(),
            pool,
            axons: axons.len() as u32,
            messages: Conversation::question(&prompts.base_prompt, &prompts.question_prompt).encoded(),
        })
    }

    /// Returns the calls per second with `in_flight` concurrent calls during `time`: fan-outs as wide as the network
    /// allows, and several of them if the network is smaller than `in_flight`.
    async fn calls_per_second(&self, in_flight: usize, time: Duration) -> anyhow::Result<f64> {
        let width = self.axons.min(in_flight as u32);
        let fan_outs = in_flight as u32 / width;
        let started = Instant::now();
        let workers = (0..fan_outs).map(async |worker| {
            let mut calls = 0;
            for step in 0.. {
                if started.elapsed() >= time {
                    break;
                }
                let first = (worker + step as u32 * fan_outs) * width;
                let fan_out = FanOut {
                    forward: CallId {
                        caller: self.hotkey,
                        step,
                        forward_index: worker,
                        uid: 0,
                        call: CallNumber::QUERY,
                    },
                    messages: self.messages.clone(),
                    uids: (first..first + width).map(|uid| uid % self.axons).collect(),
                    timeout: TIMEOUT,
                };
                for reply in self.pool.forward(&fan_out).await {
                    anyhow::ensure!(
                        reply.outcome == Outcome::Success,
                        "a call ended with {:?}: {}",
                        reply.outcome,
                        reply.return_message
                    );
                    calls += 1;
                }
            }
            Ok(calls)
        });
        let calls = join_all(workers).await.into_iter().sum::<anyhow::Result<u64>>()?;
        Ok(calls as f64 / started.elapsed().as_secs_f64())
    }
}
