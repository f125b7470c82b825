//! Calls through the dendrite pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use mirror_links::Links;
use mirror_proto::mirror::v1::Outcome;
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::NeuronSettings;
use mirror_validator::conversation::Conversation;
use mirror_validator::dendrite::{DendritePool, FanOut, ServedAxon};

use crate::network::{SEED, signer};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A dendrite pool without its validator, which calls axons.
pub struct Caller {
    pool: DendritePool,
    hotkey: [u8; 32],
    axons: u32,
    /// The wire encoding of the prompt that requests a question.
    messages: Vec<String>,
}

impl Caller {
    /// Creates the caller of these axons, whose uids are their positions.
    ///
    /// # Errors
    /// Returns an error if the operating system has no random numbers.
    pub fn new(axons: &[ServedAxon]) -> anyhow::Result<Self> {
        let seed = Seed::root(SEED);
        let links = Links::new(seed, axons.len() as u32, &[], 1.0);
        let mut pool = DendritePool::new(signer()?, axons.len() as u32, seed, 0, Arc::new(links));
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
    ///
    /// # Errors
    /// Returns an error if a call fails.
    pub async fn calls_per_second(&self, in_flight: usize, time: Duration) -> anyhow::Result<f64> {
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
