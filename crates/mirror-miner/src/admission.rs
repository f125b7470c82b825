//! The calls that an axon answers: not those of blacklisted callers, and when there are more than its workers can
//! answer, first those of the callers with the most stake.
//!
//! As in the real axon, the blacklist is checked first, then the queue. Refusals are replies with a return code.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use mirror_auth::VerifierState;
use mirror_identity::Hotkey;
use mirror_spec::{AxonSettings, Blacklist};
use mirror_telemetry::metrics::instruments;

use crate::behaviour::Call;
use crate::network::{MetagraphView, Network};
use crate::queue::{Full, Priority, Queue, Worker};

/// Number of rao in a TAO.
const RAO: f64 = 1e9;

/// Maximum number of hotkeys whose calls are counted. Those that called longest ago are forgotten.
const MAX_COUNTED: NonZeroUsize = NonZeroUsize::new(1 << 14).expect("the number is above 0");

/// Decides which calls an axon answers.
pub(crate) struct Admission {
    blacklist: Blacklist,
    hotkeys: HashSet<Hotkey>,
    /// The time at which each hotkey has used up its calls, if it makes no further ones.
    counted: Mutex<LruCache<Hotkey, Instant>>,
    queue: Arc<Queue>,
    network: Arc<Network>,
    shared: Arc<VerifierState>,
    /// The metagraph whose neurons the nonces know.
    known: Mutex<Option<Arc<MetagraphView>>>,
}

/// The reason why a call is not answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the hotkey is blacklisted")]
    Hotkey,
    #[error("the caller has a stake of {stake} TAO, and this axon asks for {min_stake} TAO")]
    Stake { stake: f64, min_stake: f64 },
    #[error("the stake of the caller is not known, because the chain did not answer")]
    NoChain,
    #[error("more than {limit} calls in a second with the same hotkey")]
    Rate { limit: u32 },
}

impl Admission {
    pub(crate) fn new(settings: &AxonSettings, network: Arc<Network>, shared: Arc<VerifierState>) -> Self {
        let blacklist = settings.blacklist.clone();
        // Memory is allocated as callers become known, because a process may have thousands of axons.
        let mut counted = LruCache::unbounded();
        counted.resize(MAX_COUNTED);
        Self {
            hotkeys: blacklist.hotkeys.iter().map(|hotkey| hotkey.0).collect(),
            blacklist,
            counted: Mutex::new(counted),
            queue: Arc::new(Queue::new(settings.workers as usize, settings.queue as usize)),
            network,
            shared,
            known: Mutex::default(),
        }
    }

    /// Returns whether the caller may call. Asks the chain for its stake only if the blacklist has a minimum.
    pub(crate) async fn check(&self, caller: Hotkey) -> Result<(), Refused> {
        let Blacklist {
            hotkeys: _,
            min_stake,
            calls_per_second,
        } = self.blacklist;
        if self.hotkeys.contains(&caller) {
            return Err(Refused::Hotkey);
        }
        if min_stake > 0.0 {
            let stake = self.stake(caller).await.ok_or(Refused::NoChain)?;
            let stake = stake as f64 / RAO;
            if stake < min_stake {
                return Err(Refused::Stake { stake, min_stake });
            }
        }
        if let Some(limit) = calls_per_second
            && !self.count(caller, limit, Instant::now())
        {
            return Err(Refused::Rate { limit });
        }
        Ok(())
    }

    /// Waits for a worker. Asks the chain for the stake of the caller only if no worker is free.
    pub(crate) async fn worker(&self, call: &Call) -> Result<Worker, Full> {
        if let Some(worker) = self.queue.free_worker() {
            return Ok(worker);
        }
        // A caller whose stake is not known has the lowest priority. `Network::latest` logs that the chain does not
        // answer.
        let priority = self.stake(call.caller).await.unwrap_or_default();
        let began = Instant::now();
        let worker = self.queue.worker(priority).await;
        instruments()
            .axon_queue
            .record(began.elapsed().as_secs_f64(), &[]);
        worker
    }

    /// Returns the stake of a hotkey in rao, 0 if it is not registered. `None` if the chain has never answered.
    async fn stake(&self, hotkey: Hotkey) -> Option<Priority> {
        let view = self.network.latest().await?;
        Some(view.neuron(&hotkey).map_or(0, |(_, neuron)| neuron.stake))
    }

    /// Counts a call. Returns `false` if the hotkey has made more than `limit` in a second. A call that is refused for
    /// this reason does not count.
    fn count(&self, caller: Hotkey, limit: u32, now: Instant) -> bool {
        let second = Duration::from_secs(1);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let used_up = counted.get(&caller).copied().unwrap_or(now).max(now) + second / limit;
        let is_allowed = used_up <= now + second;
        if is_allowed {
            counted.put(caller, used_up);
        }
        is_allowed
    }

    /// Reads the hotkeys of the neurons from the chain when many unknown dendrites have called, so that these do not
    /// make the axon forget the nonces of neurons.
    pub(crate) async fn protect_neurons(&self) {
        if self.shared.nonces.has_many_strangers()
            && let Some(view) = self.network.latest().await
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &view)) {
                let neurons = view.metagraph.neurons.iter();
                self.shared
                    .nonces
                    .set_neurons(neurons.map(|neuron| neuron.hotkey));
                *known = Some(view);
            }
        }
    }
}
