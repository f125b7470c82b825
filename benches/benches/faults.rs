//! Measures how exactly the rules of links take effect, and what they cost: delays and drops of calls to miner
//! processes and the bandwidth of a link through the proxy, compared with what the rules demand, and the time of a
//! plan.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::join_all;
use mirror_benches::network::{Data, Network, SEED, release_folder, signer};
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_cluster::{NodeSpec, Placement, Program, Role};
use mirror_links::{Fate, Links};
use mirror_net::{alarm, channel};
use mirror_proto::mirror::v1::proxy_client::ProxyClient;
use mirror_proto::mirror::v1::wire_rule::Effect;
use mirror_proto::mirror::v1::{Outcome, ServeTarget, WireBandwidth, WireRule, WireRules};
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::launch::{LinkRule, LogLaunch, ProxyLaunch};
use mirror_spec::{Latency, LinkEffects, NeuronSettings};
use mirror_validator::conversation::Conversation;
use mirror_validator::dendrite::{DendritePool, FanOut, Reply, ServedAxon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Number of links, each to a miner process with one axon.
const LINKS: u32 = 100;

/// Interval between the starts of two calls: 1,000 calls per second.
const INTERVAL: Duration = Duration::from_millis(1);

/// Number of calls of a part of the measurement. Parts with and without rules alternate.
const CALLS: u64 = 250;

/// Number of pairs of parts, one with and one without rules. A further one before them is not measured.
const PAIRS: u64 = 60;

/// Timeout of a call, which no drawn delay reaches.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Most that the median and the 99th percentile may be above those without rules, in milliseconds.
const TOLERANCES: [f64; 2] = [1.0, 2.0];

/// Drop rates with the 99% intervals of the binomial distributions of 20,000 and 2,000 calls: their quantiles for 0.005
/// and 0.995.
const DROPS: [(f64, [u64; 2], [u64; 2]); 3] = [
    (0.01, [165, 237], [10, 32]),
    (0.05, [921, 1_080], [76, 126]),
    (0.3, [5_833, 6_167], [548, 653]),
];

/// Timeout of the calls to axons of which some are lost.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of plans of a part of the measurement of their cost, and of parts.
const PLANS: u64 = 200_000;
const PARTS: usize = 9;

/// Bandwidths in bytes per second.
const BANDWIDTHS: [f64; 3] = [400_000.0, 5_000_000.0, 50_000_000.0];

/// Timeouts of a node's start and of its shutdown.
const READY: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    cost_of_plans()?;
    planned_drops()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let network = Network::start(LINKS, &Data::prepare(folder.path())?).await?;
        let client = Arc::new(Client::new(&network.start_miners(LINKS).await?)?);
        delays(&client).await?;
        drops(&client).await?;
        network.end(LINKS).await?;
        bandwidths().await
    })
}

/// A dendrite pool without its validator, and its links.
struct Client {
    pool: DendritePool,
    links: Arc<Links>,
    hotkey: [u8; 32],
    /// The wire encoding of the prompt that requests a question.
    messages: Vec<String>,
}

impl Client {
    fn new(axons: &[ServedAxon]) -> anyhow::Result<Self> {
        let seed = Seed::root(SEED);
        let links = Arc::new(Links::new(seed, LINKS, &[], 1.0));
        let mut pool = DendritePool::new(signer()?, LINKS, seed, 0, links.clone());
        pool.resync(axons.iter().copied().map(Some));
        let prompts = NeuronSettings::default();
        Ok(Self {
            hotkey: pool.hotkey(),
            pool,
            links,
            messages: Conversation::question(&prompts.base_prompt, &prompts.question_prompt).encoded(),
        })
    }

    /// Calls all of `uids` in a step.
    async fn call(&self, step: u64, uids: Vec<u32>, timeout: Duration) -> Vec<Reply> {
        let forward = call(self.hotkey, 0, step);
        let messages = self.messages.clone();
        let fan_out = FanOut {
            forward,
            messages,
            uids,
            timeout,
        };
        self.pool.forward(&fan_out).await
    }

    /// Makes calls at their times, over all links in turn. Returns how much longer each took than its drawn delay, in
    /// milliseconds. A call counts from the time at which it is due, so that a pause of this process, which delays the
    /// start of a call or its end, counts in either case.
    async fn lateness(self: &Arc<Self>, part: u64) -> anyhow::Result<Vec<f64>> {
        let started = tokio::time::Instant::now();
        let mut calls = Vec::with_capacity(CALLS as usize);
        for number in 0..CALLS {
            let due = started + INTERVAL * number as u32;
            alarm::sleep_until(due).await;
            let client = self.clone();
            calls.push(tokio::spawn(async move {
                let uid = (number % u64::from(LINKS)) as u32;
                let replies = client.call(part * CALLS + number, vec![uid], TIMEOUT).await;
                (due.elapsed(), replies)
            }));
        }
        let mut lateness = Vec::with_capacity(CALLS as usize);
        for call in calls {
            let (measured, replies) = call.await?;
            let reply = replies.first().context("a call has a reply")?;
            anyhow::ensure!(reply.outcome == Outcome::Success, "a call failed: {reply:?}");
            let drawn = reply.drawn_delay.unwrap_or_default();
            lateness.push((measured.as_secs_f64() - drawn.as_secs_f64()) * 1e3);
        }
        Ok(lateness)
    }
}

/// Compares the delays of calls with those that were drawn. Parts without rules are the floor.
async fn delays(client: &Arc<Client>) -> anyhow::Result<()> {
    let rules: Vec<LinkRule> = (0..LINKS)
        .map(|uid| rule(&format!("slow-{uid}"), uid, delaying(uid)))
        .collect();
    let (mut delayed, mut floor) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        client.links.set_rules(&rules)?;
        let with_rules = client.lateness(2 * pair).await?;
        client.links.set_rules(&[])?;
        let without = client.lateness(2 * pair + 1).await?;
        if pair > 0 {
            delayed.extend(with_rules);
            floor.extend(without);
        }
    }
    println!(
        "\nduration of a call less its drawn delay, {LINKS} links, 1,000 calls per second, in milliseconds"
    );
    println!(
        "{:<8} {:>12} {:>14} {:>12} {:>10}",
        "", "with rules", "without rules", "difference", "at most"
    );
    delayed.sort_by(f64::total_cmp);
    floor.sort_by(f64::total_cmp);
    for (percent, tolerance) in [50, 99].into_iter().zip(TOLERANCES) {
        let of = |sorted: &[f64]| sorted[sorted.len() * percent / 100];
        let difference = of(&delayed) - of(&floor);
        println!(
            "{:<8} {:>12.3} {:>14.3} {difference:>12.3} {tolerance:>10} {}",
            format!("p{percent}"),
            of(&delayed),
            of(&floor),
            verdict(difference <= tolerance)
        );
    }
    println!("{:<8} {:>12.3} {:>14.3}", "least", delayed[0], floor[0]);
    Ok(())
}

/// Returns the delay of the calls to `uid`: each link has one of four kinds.
fn delaying(uid: u32) -> LinkEffects {
    let scale = f64::from(1 + uid / 4);
    let (latency, jitter) = match uid % 4 {
        0 => (Some(Latency::fixed(0.002 * scale)), None),
        1 => (Some(Latency::lognormal(0.001 * scale, 0.005 * scale)), None),
        2 => (None, Some(0.003 * scale)),
        _ => (Some(Latency::lognormal(0.010, 0.040)), Some(0.001 * scale)),
    };
    LinkEffects {
        latency,
        jitter,
        ..LinkEffects::default()
    }
}

/// Counts the planned drops of 20,000 calls.
fn planned_drops() -> anyhow::Result<()> {
    println!("\ndropped calls: planned of 20,000");
    for (rate, interval, _) in DROPS {
        let links = Links::new(Seed::root(SEED), LINKS, &[], 1.0);
        links.set_rules(&everywhere(rate))?;
        let calls = (0..20_000).map(|number| call([7; 32], number as u32 % LINKS, number));
        let dropped = calls.filter(|call| links.plan(LINKS, call).fate == Fate::Drop);
        print_drops(rate, dropped.count() as u64, interval);
    }
    Ok(())
}

/// Counts the calls among 2,000 that no axon answered in time.
async fn drops(client: &Client) -> anyhow::Result<()> {
    println!("\ndropped calls: unanswered of 2,000");
    for (rate, _, interval) in DROPS {
        client.links.set_rules(&everywhere(rate))?;
        let steps = (0..2_000 / u64::from(LINKS)).map(|step| {
            // These calls are none of those that were delayed.
            client.call(1_000_000 + step, (0..LINKS).collect(), DROP_TIMEOUT)
        });
        let replies: Vec<Reply> = join_all(steps).await.into_iter().flatten().collect();
        let of = |outcome| replies.iter().filter(|reply| reply.outcome == outcome).count() as u64;
        let (timeouts, successes) = (of(Outcome::Timeout), of(Outcome::Success));
        anyhow::ensure!(
            timeouts + successes == 2_000,
            "{timeouts} timeouts and {successes} successes"
        );
        print_drops(rate, timeouts, interval);
    }
    client.links.set_rules(&[])?;
    Ok(())
}

/// Returns a rule for each link that drops calls at a rate.
fn everywhere(rate: f64) -> Vec<LinkRule> {
    let effects = || LinkEffects {
        drop: rate,
        ..LinkEffects::default()
    };
    (0..LINKS)
        .map(|uid| rule(&format!("lossy-{uid}"), uid, effects()))
        .collect()
}

fn print_drops(rate: f64, dropped: u64, [least, most]: [u64; 2]) {
    println!(
        "rate {rate:<5} {dropped:>6}, 99% interval {least} to {most}: {}",
        verdict((least..=most).contains(&dropped))
    );
}

/// Prints the time of the plan of a call to uid 0, for rules on other links and on this one.
fn cost_of_plans() -> anyhow::Result<()> {
    println!("\nplan of a call, in nanoseconds: median (range) of {PARTS} measurements");
    let loss = || LinkEffects {
        drop: 0.1,
        ..LinkEffects::default()
    };
    let slow = || LinkEffects {
        latency: Some(Latency::lognormal(0.010, 0.040)),
        ..LinkEffects::default()
    };
    for neurons in [256, 4_096] {
        let others = |number: u32| -> Vec<LinkRule> {
            let uid = |index: u32| 1 + index % (neurons - 1);
            (0..number)
                .map(|index| rule(&format!("other-{index}"), uid(index), loss()))
                .collect()
        };
        let own = |number: u32, effects: &dyn Fn() -> LinkEffects| -> Vec<LinkRule> {
            (0..number)
                .map(|index| rule(&format!("own-{index}"), 0, effects()))
                .collect()
        };
        for (what, rules) in [
            ("no rule", Vec::new()),
            ("1 rule on another link", others(1)),
            ("100 rules on other links", others(100)),
            ("4,096 rules on other links", others(4_096)),
            ("1 rule on the link: drop", own(1, &loss)),
            ("1 rule on the link: lognormal delay", own(1, &slow)),
            ("10 rules on the link: drop", own(10, &loss)),
        ] {
            let links = Links::new(Seed::root(SEED), neurons, &[], 1.0);
            links.set_rules(&rules)?;
            let mut times: Vec<f64> = (0..PARTS).map(|_| nanoseconds(&links)).collect();
            times.sort_by(f64::total_cmp);
            println!(
                "{:<56} {:>8.1} ({:.1} to {:.1})",
                format!("{neurons} uids, {what}"),
                times[PARTS / 2],
                times[0],
                times[PARTS - 1]
            );
        }
    }
    Ok(())
}

/// Returns the time of a plan in nanoseconds.
fn nanoseconds(links: &Links) -> f64 {
    let started = Instant::now();
    for step in 0..PLANS {
        black_box(links.plan(black_box(9_999), &call([7; 32], 0, step)));
    }
    started.elapsed().as_secs_f64() * 1e9 / PLANS as f64
}

/// Measures the bandwidth of a link through the proxy, whose four connections share it.
async fn bandwidths() -> anyhow::Result<()> {
    println!("\nbandwidth of a link with four connections, in bytes per second");
    let folder = tempfile::tempdir()?;
    let binaries = Binaries::in_folder(&release_folder()?);
    let (placement, _exits) = LocalProcesses::new(binaries, folder.path().join("logs"))?;
    let node = NodeSpec {
        name: "proxy".to_owned(),
        program: Program::Ours {
            log: LogLaunch::pretty("warn"),
            seed: SEED,
            credentials: mirror_test_support::certificates::credentials("proxy"),
            clock_skew: 0.0,
            telemetry: None,
            profiles: None,
            role: Role::Proxy(ProxyLaunch {}),
        },
    };
    placement.spawn(&node).await?;
    let proxy = placement.ready("proxy", READY).await?;
    let mut client = ProxyClient::new(channel::lazy(proxy));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let target = ServeTarget {
        name: "target".to_owned(),
        address: listener.local_addr()?.to_string(),
    };
    let for_callers: SocketAddr = client.serve(target).await?.into_inner().address.parse()?;
    for rate in BANDWIDTHS {
        let limit = WireRule {
            id: "limit".to_owned(),
            effect: Some(Effect::Bandwidth(WireBandwidth {
                bytes_per_second: rate,
            })),
            ..WireRule::default()
        };
        client.set_rules(WireRules { rules: vec![limit] }).await?;
        let measured = bytes_per_second(&listener, for_callers).await?;
        let error = measured / rate - 1.0;
        println!(
            "{rate:>12} {measured:>12.0} {:>+7.2}%: {}",
            error * 100.0,
            verdict(error.abs() < 0.05)
        );
    }
    placement.stop("proxy", GRACE).await?;
    Ok(())
}

/// Returns the bytes per second that arrive over four connections in two seconds.
async fn bytes_per_second(listener: &TcpListener, for_callers: SocketAddr) -> anyhow::Result<f64> {
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut caller = TcpStream::connect(for_callers).await?;
        let sending = async move { while caller.write_all(&[0; 8_192]).await.is_ok() {} };
        senders.push(tokio::spawn(sending));
        receivers.push(listener.accept().await?.0);
    }
    let started = tokio::time::Instant::now();
    let until = started + Duration::from_secs(2);
    let counts = receivers.iter_mut().map(async |receiver| {
        let (mut count, mut buffer) = (0, vec![0; 65_536]);
        while let Ok(Ok(bytes @ 1..)) = tokio::time::timeout_at(until, receiver.read(&mut buffer)).await {
            count += bytes;
        }
        count
    });
    let bytes: usize = join_all(counts).await.into_iter().sum();
    let rate = bytes as f64 / started.elapsed().as_secs_f64();
    for sender in senders {
        sender.abort();
    }
    Ok(rate)
}

/// Returns the rule of one link.
fn rule(id: &str, uid: u32, effects: LinkEffects) -> LinkRule {
    LinkRule {
        id: id.to_owned(),
        callers: None,
        to: Some(uid.into()),
        to_chain: false,
        from_step: 0,
        by_clock: false,
        effects,
    }
}

fn call(caller: [u8; 32], uid: u32, step: u64) -> CallId {
    CallId {
        caller,
        step,
        forward_index: 0,
        uid,
        call: CallNumber::QUERY,
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "does NOT hold" }
}
