//! Measures the calls per second through the validator's dendrite pool to miner processes, compared with a bare tonic
//! echo over as many processes, each at its best concurrency.

use std::time::Duration;

use mirror_benches::bare::Servers;
use mirror_benches::caller::Caller;
use mirror_benches::figures::{self, Pair};
use mirror_benches::network::{Data, Network};

/// Numbers of processes, with one axon each.
const PROCESSES: [u32; 4] = [1, 16, 64, 256];

/// Concurrencies to try.
const IN_FLIGHT: [usize; 8] = [4, 8, 16, 32, 64, 128, 256, 512];

/// Duration of a trial, and of each measurement of a pair.
const TRIAL: Duration = Duration::from_millis(400);
const MEASURE: Duration = Duration::from_millis(1_200);

/// Number of pairs measured at the best concurrencies.
const PAIRS: usize = 7;

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
