//! Measures epochs of a large and of a very large subnet, compared with the times of the real chain's code, and how the
//! time grows with the number of weights.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use mirror_benches::figures::{self, Pair};
use mirror_chain::epoch::{Bond, Bonds, Epoch, LiquidAlpha, Neuron, Rules, Today, Variant, epoch};
use mirror_chain::{Block, Rao, Uid, Weight};
use mirror_seed::Seed;
use rand::Rng;
use serde::Deserialize;

/// Number of measurements of each epoch.
const REPETITIONS: usize = 31;

/// Numbers of neurons and validators for which the growth is shown.
const GROWTH: [(u16, u16); 5] = [(256, 64), (512, 64), (1_024, 128), (2_048, 128), (4_096, 128)];

/// A measurement of the real chain's code.
#[derive(Deserialize)]
struct Timing {
    variant: String,
    yuma3: bool,
    liquid_alpha: bool,
    n: u16,
    validators: u16,
    nnz: usize,
    median_ms: f64,
}

#[derive(Deserialize)]
struct Vectors {
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    timing: Vec<Timing>,
}

fn main() -> anyhow::Result<()> {
    figures::head("an epoch, compared with the real chain's code", "ms");
    for timing in timings()? {
        let subnet = Subnet::of(timing.n, timing.validators, Density::Dense);
        ensure!(
            subnet.weights_set() == timing.nnz,
            "the subnet has {} weights, but the reference has {}",
            subnet.weights_set(),
            timing.nnz
        );
        let variant = match (timing.variant.as_str(), timing.yuma3, timing.liquid_alpha) {
            ("v001", ..) => Variant::Classic,
            (_, false, _) => today(Bonds::Proportional),
            (_, true, false) => today(Bonds::Yuma3(None)),
            (_, true, true) => today(Bonds::Yuma3(Some(LIQUID_ALPHA))),
        };
        let times = subnet.milliseconds(&variant)?.into_iter();
        let pairs: Vec<Pair> = times
            .map(|ours| Pair {
                ours,
                reference: timing.median_ms,
            })
            .collect();
        figures::line(&format!("{}, {}", name(&variant), subnet.name()), &pairs);
    }

    println!("\ngrowth: microseconds per epoch, nanoseconds per weight");
    let sizes = [Density::Dense, Density::Sparse]
        .into_iter()
        .flat_map(|density| GROWTH.map(|(neurons, validators)| (neurons, validators, density)));
    for (neurons, validators, density) in sizes {
        let subnet = Subnet::of(neurons, validators, density);
        print!("{:<38}", subnet.name());
        for bonds in [None, Some(Bonds::Proportional), Some(YUMA3), Some(LIQUID)] {
            let variant = bonds.map_or(Variant::Classic, today);
            let median = figures::median(subnet.milliseconds(&variant)?.into_iter());
            let a_weight = median * 1e6 / subnet.weights_set() as f64;
            print!("  {} {:.0} {a_weight:.0}", name(&variant), median * 1e3);
        }
        println!();
    }
    Ok(())
}

fn timings() -> anyhow::Result<Vec<Timing>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/yuma/yuma_vectors.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let vectors: Vectors = serde_json::from_str(&text)?;
    Ok(vectors.meta.timing)
}

const LIQUID_ALPHA: LiquidAlpha = LiquidAlpha {
    low: 45_875,
    high: 58_982,
    steepness: 1_000,
};

const YUMA3: Bonds = Bonds::Yuma3(None);
const LIQUID: Bonds = Bonds::Yuma3(Some(LIQUID_ALPHA));

fn today(bonds: Bonds) -> Variant {
    Variant::Today(Today {
        tempo: 99,
        last_epoch: None,
        stake_threshold: Rao(0),
        owner: None,
        commits: None,
        bonds_penalty: u16::MAX,
        bonds,
    })
}

fn name(variant: &Variant) -> &'static str {
    match variant {
        Variant::Classic => "classic",
        Variant::Today(today) => match today.bonds {
            Bonds::Proportional => "today",
            Bonds::Yuma3(None) => "yuma3",
            Bonds::Yuma3(Some(_)) => "liquid alpha",
        },
    }
}

/// The uids on which a validator sets weights.
#[derive(Debug, Clone, Copy)]
enum Density {
    /// All uids that are not validators.
    Dense,
    /// A random sixteenth of them.
    Sparse,
}

/// A subnet in which every validator has set weights on others and has bonds in them. Both are drawn, so bonds are far
/// above weights, and liquid alpha must compute the sigmoid for nearly every pair.
struct Subnet {
    validators: u16,
    density: Density,
    stakes: Vec<Rao>,
    weights: Vec<Vec<Weight>>,
    bonds: Vec<Vec<Bond>>,
}

impl Subnet {
    fn of(neurons: u16, validators: u16, density: Density) -> Self {
        let mut draws = Seed::root(neurons.into()).generator();
        let mut draw = |least: u64, most: u64| least + draws.next_u64() % (most - least + 1);
        let mut subnet = Self {
            validators,
            density,
            stakes: vec![Rao(0); neurons.into()],
            weights: vec![Vec::new(); neurons.into()],
            bonds: vec![Vec::new(); neurons.into()],
        };
        for from in 0..usize::from(validators) {
            subnet.stakes[from] = Rao(draw(1_000, 1_000_000) * 1_000_000_000);
            for uid in (validators..neurons).map(Uid) {
                if matches!(density, Density::Sparse) && draw(1, 16) > 1 {
                    continue;
                }
                let weight = draw(1, u16::MAX.into()) as u16;
                subnet.weights[from].push(Weight { uid, weight });
                let bond = draw(1, u16::MAX.into()) as u16;
                subnet.bonds[from].push(Bond { uid, bond });
            }
        }
        subnet
    }

    fn name(&self) -> String {
        let (neurons, weights) = (self.stakes.len(), self.weights_set());
        format!("{neurons} × {}, {:?} ({weights})", self.validators, self.density)
    }

    fn weights_set(&self) -> usize {
        self.weights.iter().map(Vec::len).sum()
    }

    /// Measures the time of its epoch in milliseconds, several times.
    fn milliseconds(&self, variant: &Variant) -> anyhow::Result<Vec<f64>> {
        let neurons: Vec<Neuron<'_>> = (0..self.stakes.len())
            .map(|uid| Neuron {
                stake: self.stakes[uid],
                last_update: Block(900),
                block_at_registration: Block(0),
                validator_permit: uid < self.validators.into(),
                weights: &self.weights[uid],
                bonds: &self.bonds[uid],
            })
            .collect();
        let rules = Rules {
            block: Block(1_000),
            activity_cutoff: 5_000,
            max_allowed_validators: self.validators,
            kappa: 32_767,
            bonds_moving_average: 900_000,
            variant: variant.clone(),
        };
        let once = || -> anyhow::Result<Epoch> { Ok(epoch(&neurons, &rules, Rao(1_000_000_000))?) };
        once()?;
        (0..REPETITIONS)
            .map(|_| {
                let begun = Instant::now();
                black_box(once()?);
                Ok(begun.elapsed().as_secs_f64() * 1e3)
            })
            .collect()
    }
}
