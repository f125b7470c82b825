//! The part of the orchestrator that puts faults into effect.
//!
//! Changes that are due at a step happen while the barrier holds after the block of the previous step, so that no call
//! of the queries is in progress. Changes by the clock happen at once. In both cases the orchestrator changes the set
//! of faults in effect and then brings each node concerned into the state that follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::join_all;
use mirror_cluster::{DiskSpace, NodeLimits, Placement};
use mirror_proto::mirror::v1::{
    AddFaultReply, ClearFaultsReply, FaultChange, IncidentKind, ListedFault, NodeList, record,
};
use mirror_proto::protocol::FAULT_OVER;
use mirror_runs::tables::{BY_FAULT, NOT_IN_EFFECT};
use mirror_spec::{BlockTime, Fault, LinkFault, Moment, NodeSet, Span, Unit, WireFault};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::joins::Arrival;
use super::{Event, Orchestrator, Phase};
use crate::fault::active::{MAX_ACTIVE, nodes_of};
use crate::fault::schedule::{Changes, Entry};
use crate::fault::{ActiveFault, Due, NodeState, Occurrence, Schedule};
use crate::network_spec::{self, SUBTENSOR};
use crate::node_ops::{StartCause, unix_time};

/// Maximum number of faults that can be planned, in the file and manually.
const MAX_ENTRIES: usize = 20_000;

/// A request of a person about the faults of the running network.
pub(crate) enum ManualRequest {
    Add(Box<Fault>, oneshot::Sender<Result<AddFaultReply, String>>),
    /// Ends the fault with this name, or all.
    Clear(Option<String>, oneshot::Sender<Result<ClearFaultsReply, String>>),
    List(oneshot::Sender<Vec<ListedFault>>),
    /// Returns the nodes of the network.
    Nodes(oneshot::Sender<NodeList>),
}

/// State of the faults of a run.
pub(super) struct FaultControl {
    schedule: Schedule,
    /// The time at which the queries began. `None` before that.
    began: Option<Instant>,
    /// The steps after which the barrier was asked to hold and does not hold yet.
    asked: BTreeSet<u64>,
    /// The hold during which faults are put into effect.
    pub(super) held: Option<Held>,
    /// Requests that wait for the next hold.
    waiting: Vec<ManualRequest>,
    /// The state that was put into effect on the current process of each node.
    applied: BTreeMap<String, NodeState>,
    /// The step before which the barrier held last.
    step: u64,
    /// The time for which a timer is set.
    timer: Option<Duration>,
    /// The block for which a task waits, if blocks close by the clock.
    awaited_block: Option<u64>,
    /// Number of miners that have joined.
    pub(super) joined: u32,
    /// The miners that each occurrence of a fault lets join, in words.
    joined_by: BTreeMap<Occurrence, String>,
    /// The miners that start at the hold before each step.
    arriving: BTreeMap<u64, Vec<Arrival>>,
}

/// A hold of the barrier.
pub(super) struct Held {
    /// The step after whose block the barrier holds.
    pub(super) step: u64,
    /// Number of background tasks for miners that join. The barrier is released when they have ended.
    pub(super) tasks: usize,
    /// The nodes that are being started. The barrier is released when they are ready.
    starting: BTreeSet<String>,
}

/// The beginning of a manual fault relative to the present.
enum Lateness {
    Later(Due),
    Now,
    /// The beginning has passed or does not come, for this reason.
    Never(String),
}

/// The point at which changes happen.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) due: Due,
    /// Whether the change happens by the clock, in the middle of a step.
    pub(super) by_clock: bool,
}

impl FaultControl {
    pub(super) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            began: None,
            asked: BTreeSet::new(),
            held: None,
            waiting: Vec::new(),
            applied: BTreeMap::new(),
            step: 0,
            timer: None,
            awaited_block: None,
            joined: 0,
            joined_by: BTreeMap::new(),
            arriving: BTreeMap::new(),
        }
    }

    /// Plans the start of miners at the hold before `step`.
    pub(super) fn arrive_at(&mut self, step: u64, arrival: Arrival) {
        self.arriving.entry(step).or_default().push(arrival);
    }

    /// Takes the miners that start at the hold before `step`.
    pub(super) fn take_arrivals(&mut self, step: u64) -> Vec<Arrival> {
        let later = self.arriving.split_off(&step.saturating_add(1));
        let due = std::mem::replace(&mut self.arriving, later);
        due.into_values().flatten().collect()
    }

    /// Returns the number of miners that have joined manually or are planned to.
    pub(super) fn joined_manually(&self) -> u32 {
        let manual = self.schedule.entries().filter(|(position, entry)| {
            entry.manual
                && (self.schedule.has_occurred(*position) || self.schedule.planned_start(*position).is_some())
        });
        manual.map(|(_, entry)| entry.fault.newcomers()).sum()
    }

    /// Notes the state that is in effect on a node.
    pub(super) fn note_applied(&mut self, node: String, state: NodeState) {
        self.applied.insert(node, state);
    }

    /// Describes the nodes that an occurrence of a fault affects.
    fn who(&self, occurrence: Occurrence, fault: &Fault) -> String {
        let joined = self.joined_by.get(&occurrence);
        joined.cloned().unwrap_or_else(|| fault.who())
    }

    /// Returns the names of the faults that never occurred although they were planned.
    pub(super) fn unreached(&self) -> Vec<String> {
        self.schedule.unreached()
    }

    fn elapsed(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

impl<P: Placement + 'static> Orchestrator<P> {
    /// Puts the faults that begin with the first step into effect. No validator has begun its query.
    pub(super) async fn begin_faults(&mut self) -> anyhow::Result<()> {
        self.faults.began = Some(Instant::now());
        let changes = self.faults.schedule.take(Due::Step(0), Duration::ZERO);
        // The chain adds the first hold before a fault can disturb it and before a validator reports a step.
        if let Some(step) = self.next_hold().filter(|_| self.has_barrier()) {
            self.ops.add_hold(step).await?;
        }
        let point = Point {
            due: Due::Step(0),
            by_clock: false,
        };
        self.change_faults(changes, point).await?;
        Ok(())
    }

    /// Carries out the requests that arrived while the network started, at the first hold.
    pub(super) async fn begin_manual(&mut self) -> anyhow::Result<()> {
        if self.faults.waiting.is_empty() {
            return Ok(());
        }
        if self.waits_for_holds() {
            self.ask_for_hold();
            return Ok(());
        }
        self.carry_out_waiting().await
    }

    /// Returns whether the barrier will hold again, so that requests can wait for it.
    fn waits_for_holds(&self) -> bool {
        self.phase == Phase::Working && self.has_barrier() && !self.working.is_empty()
    }

    fn ask_for_hold(&self) {
        let ops = self.ops.clone();
        self.spawn_task(async move { Event::Held(ops.hold(None).await) });
    }

    /// Sets timers and asks for holds, for the next planned changes.
    pub(super) fn plan_faults(&mut self) {
        let next = self.next_hold();
        if let Some(step) = next
            && self.has_barrier()
            && self.faults.held.is_none()
            && self.faults.asked.insert(step)
        {
            let ops = self.ops.clone();
            self.spawn_task(async move { Event::Held(ops.hold(Some(step)).await) });
        }
        let time = self.faults.schedule.next_time();
        if let (Some(time), Some(began)) = (time, self.faults.began)
            && self.faults.timer != Some(time)
        {
            self.faults.timer = Some(time);
            self.spawn_task(async move {
                tokio::time::sleep_until(began + time).await;
                Event::FaultTime
            });
        }
        if let Some(block) = self.faults.schedule.next_block()
            && self.faults.awaited_block != Some(block)
        {
            self.faults.awaited_block = Some(block);
            let ops = self.ops.clone();
            self.spawn_task(async move {
                match ops.block_closed(block).await {
                    Ok(()) => Event::FaultBlock(block),
                    Err(error) => Event::TaskEnded(Err(error)),
                }
            });
        }
    }

    /// Returns the step after which the barrier must hold for the next planned change.
    fn next_hold(&self) -> Option<u64> {
        let arrival = self.faults.arriving.keys().next().copied();
        let next = self.faults.schedule.next_step().into_iter().chain(arrival).min();
        next?.checked_sub(1)
    }

    pub(super) fn has_barrier(&self) -> bool {
        self.ops.spec.network().block_time == BlockTime::PerStep
    }

    /// Puts the changes into effect that are due at the hold after `step`.
    pub(super) async fn held(&mut self, step: u64) -> anyhow::Result<()> {
        self.faults.asked.remove(&step);
        // Several tasks may have awaited the same hold.
        if step < self.faults.step {
            return Ok(());
        }
        self.faults.step = step.saturating_add(1);
        self.faults.held = Some(Held {
            step,
            tasks: 0,
            starting: BTreeSet::new(),
        });
        self.check_arrivals(step);
        let point = Point {
            due: Due::Step(step.saturating_add(1)),
            by_clock: false,
        };
        let elapsed = self.faults.elapsed();
        let changes = self.faults.schedule.take(point.due, elapsed);
        self.change_faults(changes, point).await?;
        for request in std::mem::take(&mut self.faults.waiting) {
            self.carry_out(request, point).await?;
        }
        self.release_if_ready();
        Ok(())
    }

    /// Notes that the start of a node has ended, successfully or not.
    pub(super) fn start_has_ended(&mut self, node: &str) {
        if let Some(held) = &mut self.faults.held
            && held.starting.remove(node)
        {
            self.release_if_ready();
        }
    }

    /// Notes that a task has ended for which the barrier holds after a step. `None` if it does not hold for the task.
    pub(super) fn end_task_of_hold(&mut self, step: Option<u64>) {
        if let Some(held) = &mut self.faults.held
            && step == Some(held.step)
        {
            held.tasks = held.tasks.saturating_sub(1);
            self.release_if_ready();
        }
    }

    fn release_if_ready(&mut self) {
        let is_ready = |held: &mut Held| held.starting.is_empty() && held.tasks == 0;
        let Some(held) = self.faults.held.take_if(is_ready) else {
            self.plan_faults();
            return;
        };
        // Requests that arrived during this hold are carried out at the next one.
        let next = if self.faults.waiting.is_empty() {
            self.next_hold().filter(|next| *next > held.step)
        } else {
            Some(held.step.saturating_add(1))
        };
        let is_new = next.is_some_and(|next| self.faults.asked.insert(next));
        let (ops, step) = (self.ops.clone(), held.step);
        self.spawn_task(async move {
            let released = ops.release(step, next).await;
            match next.filter(|_| is_new) {
                Some(next) if released.is_ok() => Event::Held(ops.hold(Some(next)).await),
                _ => Event::TaskEnded(released.context("cannot release the barrier after a fault")),
            }
        });
        self.plan_faults();
    }

    /// Puts the changes into effect that are due by the clock.
    pub(super) async fn fault_time(&mut self) -> anyhow::Result<()> {
        self.faults.timer = None;
        let elapsed = self.faults.elapsed();
        self.change_by_clock(Due::Time(elapsed)).await
    }

    /// Puts the changes into effect that are due after a block, if blocks close by the clock.
    pub(super) async fn fault_block(&mut self, block: u64) -> anyhow::Result<()> {
        self.faults.awaited_block = None;
        self.change_by_clock(Due::Block(block)).await
    }

    async fn change_by_clock(&mut self, due: Due) -> anyhow::Result<()> {
        let changes = self.faults.schedule.take(due, self.faults.elapsed());
        let point = Point { due, by_clock: true };
        self.change_faults(changes, point).await?;
        self.plan_faults();
        Ok(())
    }

    /// Changes the set of faults in effect, brings the nodes concerned into their new states, and records the changes.
    /// Returns what did not go as the faults require.
    async fn change_faults(&mut self, changes: Changes, point: Point) -> anyhow::Result<String> {
        if changes.is_empty() {
            return Ok(String::new());
        }
        let mut done: Vec<(Occurrence, Entry, bool, bool, Vec<String>)> = Vec::new();
        let mut concerned: BTreeSet<String> = BTreeSet::new();
        let planned_ends: BTreeMap<Occurrence, Option<Due>> = changes
            .apply
            .iter()
            .map(|occurrence| (*occurrence, self.faults.schedule.planned_end(*occurrence)))
            .collect();
        for (occurrence, lifted) in changes
            .apply
            .into_iter()
            .map(|occurrence| (occurrence, false))
            .chain(changes.lift.into_iter().map(|occurrence| (occurrence, true)))
        {
            let Some(entry) = self.faults.schedule.entry(occurrence.entry).cloned() else {
                continue;
            };
            let mut details = Vec::new();
            let joining = match (&entry.fault, lifted) {
                (Fault::Join(join), false) => Some(self.join(join, point).await),
                _ => None,
            };
            let took_effect = if lifted {
                self.ops.active().end(occurrence).is_some()
            } else if let Some(Err(problem)) = joining {
                details.push(format!("{NOT_IN_EFFECT}: {problem}"));
                false
            } else {
                if let Some(Ok(arrival)) = joining {
                    self.faults.joined_by.insert(occurrence, arrival.text());
                }
                let begins = self.ops.active().begin(ActiveFault {
                    occurrence,
                    id: entry.id.clone(),
                    fault: entry.fault.clone(),
                    from_step: match point.due {
                        Due::Step(step) if !point.by_clock => step,
                        _ => 0,
                    },
                    by_clock: point.by_clock || ends_by_clock(&entry.fault),
                });
                if !begins {
                    details.push(format!(
                        "{NOT_IN_EFFECT}: {MAX_ACTIVE} faults, the maximum, are in effect"
                    ));
                }
                begins
            };
            let nodes = if took_effect {
                nodes_of(&entry.fault, &self.ops.spec)
            } else {
                Vec::new()
            };
            if !lifted && stops_running_nodes(&entry.fault) {
                let dead: Vec<&str> = nodes
                    .iter()
                    .filter(|node| self.ops.placement.address(node).is_none())
                    .map(String::as_str)
                    .collect();
                if !dead.is_empty() {
                    details.push(format!("not running: {}", dead.join(", ")));
                }
            }
            concerned.extend(nodes);
            if took_effect || !lifted {
                done.push((occurrence, entry, lifted, took_effect, details));
            }
        }
        self.send_to_all(&concerned).await;
        let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in &concerned {
            let found = self.reconcile(node).await?;
            if !found.is_empty() {
                problems.insert(node.clone(), found);
            }
        }
        let is_on_the_wire = done.iter().any(|(_, entry, ..)| entry.fault.is_on_the_wire());
        let wire_problem = if is_on_the_wire {
            self.ops
                .send_wire_rules()
                .await
                .err()
                .map(|error| format!("{error:#}"))
        } else {
            None
        };
        let mut all = Vec::new();
        let block = self.block_at(point).await;
        for (occurrence, entry, lifted, took_effect, mut details) in done {
            for node in nodes_of(&entry.fault, &self.ops.spec) {
                details.extend(problems.get(&node).into_iter().flatten().cloned());
            }
            if entry.fault.is_on_the_wire() {
                details.extend(wire_problem.clone());
            }
            let detail = details.join("; ");
            let planned = match lifted {
                false if entry.manual => String::new(),
                false => planned_start(&entry.fault, occurrence.number),
                true => String::new(),
            };
            let end = planned_ends.get(&occurrence).copied().flatten();
            tracing::info!(fault = entry.id, lifted, at = %point.due, detail, "a fault changed");
            let change = FaultChange {
                id: entry.id.clone(),
                occurrence: occurrence.number,
                kind: entry.fault.kind().to_owned(),
                who: self.faults.who(occurrence, &entry.fault),
                lifted,
                planned,
                planned_end: end.map(|end| end.to_string()),
                at: unix_time(),
                step: self.step_at(point),
                block,
                manual: entry.manual,
                detail: detail.clone(),
                fault: if lifted {
                    String::new()
                } else {
                    let mut fault = entry.fault.clone();
                    let when = fault.when_mut();
                    when.id = Some(entry.id.clone());
                    serde_json::to_string(&fault).context("cannot write a fault as JSON")?
                },
            };
            self.ops.reports.record(record::Kind::Fault(change)).await?;
            if !lifted && took_effect {
                self.retire_killed(&entry.fault)?;
            }
            if !detail.is_empty() {
                all.push(detail);
            }
        }
        Ok(all.join("; "))
    }

    /// Returns the first step that a change at `point` can affect. `None` if the queries have ended.
    fn step_at(&self, point: Point) -> Option<u64> {
        match point.due {
            Due::Step(step) => Some(step),
            Due::Block(_) | Due::Time(_) if self.phase == Phase::Working => {
                Some(self.progress.least_done().max(self.faults.step))
            }
            Due::Block(_) | Due::Time(_) => None,
        }
    }

    /// Returns the last closed block at a point. `None` if the chain does not answer.
    async fn block_at(&self, point: Point) -> Option<u64> {
        match (point.due, self.ops.spec.first_block()) {
            (Due::Step(step), Some(first)) => Some(first.saturating_add(step)),
            (Due::Block(block), _) => Some(block),
            _ => self.ops.current_block().await,
        }
    }

    /// Retires the validators that a fault has killed for good from the barrier, which would wait for them.
    fn retire_killed(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let Fault::Kill(kill) = fault else { return Ok(()) };
        if fault.lasts().is_some() || kill.when.until.is_some() || !self.has_barrier() {
            return Ok(());
        }
        for node in self.ops.spec.nodes_of(&kill.kill) {
            if let Some(index) = network_spec::validator_index(&node)
                && self.working.remove(&index)
            {
                if self.working.is_empty() && self.done.is_empty() {
                    bail!("no validator completed its query: a fault killed {node}, the last one, for good");
                }
                self.retire(index, "a fault killed it for good");
            }
        }
        Ok(())
    }

    /// Sends its fault state to each running node whose state differs in nothing else, to all of them concurrently.
    async fn send_to_all(&mut self, nodes: &BTreeSet<String>) {
        let mut sent = Vec::new();
        for node in nodes {
            let wanted = self.ops.active().state_of(node, &self.ops.spec);
            let applied = self.faults.applied.get(node).cloned().unwrap_or_default();
            let is_running = self.ops.placement.address(node).is_some();
            if is_running
                && !wanted.is_dead
                && !applied.is_dead
                && !applied.is_paused
                && !wanted.has_same_message(&applied)
            {
                let ops = self.ops.clone();
                sent.push(async move {
                    let outcome = ops.send_faults(node, &wanted).await;
                    (node, wanted, outcome)
                });
            }
        }
        // A node that does not acknowledge its state gets it again when it is brought into its state.
        for (node, wanted, outcome) in join_all(sent).await {
            if outcome.is_ok() {
                let applied = self.faults.applied.entry(node.clone()).or_default();
                applied.take_message(&wanted);
            }
        }
    }

    /// Brings a node into the state that follows from the faults in effect. Returns what did not succeed.
    pub(super) async fn reconcile(&mut self, node: &str) -> anyhow::Result<Vec<String>> {
        let wanted = self.ops.active().state_of(node, &self.ops.spec);
        let mut applied = self.faults.applied.get(node).cloned().unwrap_or_default();
        let is_running = self.ops.placement.address(node).is_some();
        let mut problems = Vec::new();
        if wanted.is_dead {
            if !applied.is_dead {
                self.kill(node, is_running).await?;
            }
            applied = NodeState {
                is_dead: true,
                ..NodeState::default()
            };
        } else if applied.is_dead {
            self.restart(node);
            applied = NodeState::default();
        } else if is_running {
            if wanted.crash_loop.is_some() && applied.crash_loop.is_none() {
                self.kill(node, is_running).await?;
                self.restart(node);
                applied = NodeState {
                    crash_loop: wanted.crash_loop,
                    ..NodeState::default()
                };
            } else {
                applied.crash_loop = wanted.crash_loop;
                self.adjust(node, &wanted, &mut applied, &mut problems).await;
            }
        }
        self.faults.applied.insert(node.to_owned(), applied);
        Ok(problems)
    }

    /// Changes pause, limits and fault state of a running node.
    async fn adjust(
        &self,
        node: &str,
        wanted: &NodeState,
        applied: &mut NodeState,
        problems: &mut Vec<String>,
    ) {
        let placement = &self.ops.placement;
        if applied.is_paused && !wanted.is_paused {
            match placement.resume(node).await {
                Ok(()) => applied.is_paused = false,
                Err(error) => problems.push(format!("{:#}", anyhow::Error::from(error))),
            }
        }
        self.limit(node, wanted, applied, problems).await;
        if !wanted.has_same_message(applied) && !applied.is_paused {
            match self.ops.send_faults(node, wanted).await {
                Ok(()) => applied.take_message(wanted),
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
        if wanted.is_paused && !applied.is_paused {
            match placement.pause(node).await {
                Ok(()) => applied.is_paused = true,
                Err(error) => problems.push(format!("{:#}", anyhow::Error::from(error))),
            }
        }
    }

    /// Changes the limits of a running node, one at a time, so that one that is not possible does not prevent the
    /// others.
    async fn limit(
        &self,
        node: &str,
        wanted: &NodeState,
        applied: &mut NodeState,
        problems: &mut Vec<String>,
    ) {
        let limits = |state: &NodeState| NodeLimits {
            cpu: state.cpu,
            memory: state.memory,
            disk: if state.has_full_disk {
                DiskSpace::Full
            } else {
                DiskSpace::Unlimited
            },
        };
        let changes: [fn(&mut NodeState, &NodeState); 3] = [
            |limited, wanted| limited.cpu = wanted.cpu,
            |limited, wanted| limited.memory = wanted.memory,
            |limited, wanted| limited.has_full_disk = wanted.has_full_disk,
        ];
        for change in changes {
            let mut limited = applied.clone();
            change(&mut limited, wanted);
            if limits(&limited) == limits(applied) {
                continue;
            }
            match self.ops.placement.limit(node, &limits(&limited)).await {
                Ok(()) => *applied = limited,
                Err(error) => problems.push(format!("{:#}", anyhow::Error::from(error))),
            }
        }
    }

    /// Kills the process of a node, running or starting, and stops watching it.
    async fn kill(&mut self, node: &str, is_running: bool) -> anyhow::Result<()> {
        self.watches.remove(node);
        self.progress.forget(node);
        self.ended.insert(node.to_owned(), self.ops.incarnation(node));
        if node == SUBTENSOR {
            self.ops.outage.begins();
        }
        // A node that has ended on its own has no process. One that is starting has.
        if self
            .ops
            .placement
            .inspect(node)
            .is_some_and(|view| view.pid.is_some())
        {
            self.ops.placement.kill(node).await?;
        }
        if is_running {
            let detail = BY_FAULT.to_owned();
            self.ops
                .incident(node, IncidentKind::Killed, detail, String::new())
                .await?;
        }
        Ok(())
    }

    /// Starts a node that a fault had stopped. If the barrier holds, it is released after the node is ready.
    fn restart(&mut self, node: &str) {
        if let Some(held) = &mut self.faults.held {
            held.starting.insert(node.to_owned());
        }
        self.start(node.to_owned(), StartCause::Fault, Duration::ZERO);
    }

    /// Starts a miner that has joined. If the barrier holds, it is released after the miner is ready.
    pub(super) fn start_newcomer(&mut self, node: String) {
        if let Some(held) = &mut self.faults.held {
            held.starting.insert(node.clone());
        }
        self.start(node, StartCause::FirstStart, Duration::ZERO);
    }

    /// Brings a node that has just become ready into the state that follows from the faults in effect. `launched` is
    /// the state with which it was started.
    pub(super) async fn restore_faults(&mut self, node: &str, launched: NodeState) -> anyhow::Result<()> {
        let crash_loop = self.ops.active().state_of(node, &self.ops.spec).crash_loop;
        let started = NodeState {
            clock_skew: launched.clock_skew,
            rules: launched.rules,
            injections: launched.injections,
            validator: launched.validator,
            is_untimed: launched.is_untimed,
            crash_loop,
            ..NodeState::default()
        };
        self.faults.applied.insert(node.to_owned(), started);
        for problem in self.reconcile(node).await? {
            tracing::warn!(node, problem, "a fault is not in effect on a restarted node");
        }
        self.send_wire_rules_of_newcomer(node).await;
        if let Some(up) = crash_loop {
            let (node, incarnation) = (node.to_owned(), self.ops.incarnation(node));
            self.spawn_task(async move {
                tokio::time::sleep(up).await;
                Event::CrashAgain(node, incarnation)
            });
        }
        Ok(())
    }

    /// Sends the proxy its rules again if they may concern a miner that has joined, whose address was unknown earlier.
    async fn send_wire_rules_of_newcomer(&self, node: &str) {
        let joined = self.ops.spec.uids_of_process(node);
        let newcomers = self.ops.spec.newcomer_uids();
        let is_newcomer = joined.iter().any(|uid| newcomers.contains(uid));
        let has_rules = || self.ops.active().iter().any(|fault| fault.fault.is_on_the_wire());
        if is_newcomer
            && has_rules()
            && let Err(error) = self.ops.send_wire_rules().await
        {
            tracing::warn!(node, %error, "a fault on the wire is not in effect on a miner that joined");
        }
    }

    /// Kills a node in a crash loop again and restarts it, unless it was restarted in the meantime or the loop is over.
    pub(super) async fn crash_again(&mut self, node: &str, incarnation: u32) -> anyhow::Result<()> {
        let state = self.ops.active().state_of(node, &self.ops.spec);
        if state.crash_loop.is_some() && !state.is_dead && self.ops.incarnation(node) == incarnation {
            self.kill(node, true).await?;
            // The barrier does not wait for this start, because the node is killed again.
            self.start(node.to_owned(), StartCause::Fault, Duration::ZERO);
        }
        Ok(())
    }

    /// Handles the request of a person: at the next hold of the barrier, or at once if no barrier is at work.
    pub(super) async fn on_manual(&mut self, request: ManualRequest) -> anyhow::Result<()> {
        // The person may have gone away before the reply.
        let request = match request {
            ManualRequest::List(reply) => {
                let _ = reply.send(self.list_faults());
                return Ok(());
            }
            ManualRequest::Nodes(reply) => {
                let _ = reply.send(self.list_nodes());
                return Ok(());
            }
            request => request,
        };
        let request = match request {
            ManualRequest::Add(fault, reply) => match self.check_manual(&fault) {
                Ok(()) => ManualRequest::Add(fault, reply),
                Err(problem) => {
                    let _ = reply.send(Err(problem));
                    return Ok(());
                }
            },
            request => request,
        };
        if matches!(self.phase, Phase::Starting { .. } | Phase::Beginning) {
            self.faults.waiting.push(request);
            return Ok(());
        }
        let clears_what_stops_the_barrier =
            matches!(request, ManualRequest::Clear(..)) && self.barrier_is_stopped();
        if self.waits_for_holds() && !clears_what_stops_the_barrier {
            self.faults.waiting.push(request);
            self.ask_for_hold();
            return Ok(());
        }
        let point = Point {
            due: Due::Time(self.faults.elapsed()),
            by_clock: true,
        };
        self.carry_out(request, point).await?;
        self.plan_faults();
        Ok(())
    }

    /// Returns whether a fault in effect may keep a validator or the chain from the barrier, so that no hold comes.
    fn barrier_is_stopped(&self) -> bool {
        let is_member = |node: &String| node == SUBTENSOR || network_spec::validator_index(node).is_some();
        let active = self.ops.active();
        active.iter().any(|active| match &active.fault {
            Fault::Kill(_) | Fault::CrashLoop(_) | Fault::Pause(_) | Fault::DiskFull(_) => self
                .ops
                .spec
                .nodes_of(&active.fault.nodes())
                .iter()
                .any(is_member),
            Fault::Link(LinkFault { link: ends, .. }) | Fault::Wire(WireFault { wire: ends, .. }) => {
                ends.to.contains(&NodeSet::Chain)
            }
            Fault::Partition(partition) => partition
                .partition
                .iter()
                .flatten()
                .any(|nodes| *nodes == NodeSet::Chain),
            _ => false,
        })
    }

    /// Carries out the requests that wait for a hold which no longer comes, because the queries have ended.
    pub(super) async fn carry_out_waiting(&mut self) -> anyhow::Result<()> {
        let point = Point {
            due: Due::Time(self.faults.elapsed()),
            by_clock: true,
        };
        for request in std::mem::take(&mut self.faults.waiting) {
            self.carry_out(request, point).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, request: ManualRequest, point: Point) -> anyhow::Result<()> {
        match request {
            ManualRequest::Add(fault, reply) => {
                let answer = self.add_now(*fault, point).await?;
                let _ = reply.send(answer);
            }
            ManualRequest::Clear(id, reply) => {
                let answer = self.clear(id.as_deref(), point).await?;
                let _ = reply.send(answer);
            }
            // These are answered when they arrive.
            ManualRequest::List(_) | ManualRequest::Nodes(_) => {}
        }
        Ok(())
    }

    /// Checks whether a manual fault is possible at all in this network.
    fn check_manual(&self, fault: &Fault) -> Result<(), String> {
        if self.faults.schedule.entries().count() >= MAX_ENTRIES {
            return Err(format!("there are {MAX_ENTRIES} faults already, the maximum"));
        }
        if let Some(id) = &fault.when().id
            && self.faults.schedule.has_id(id)
        {
            return Err(format!(
                "a fault has the id `{id}` already: write another one, or leave `id` out"
            ));
        }
        if fault.is_on_the_wire() && !self.ops.spec.has_proxy() {
            return Err(
                "the connections of this network do not go through the proxy: write `proxy: true` in `network` and start \
                 the network again"
                    .to_owned(),
            );
        }
        self.check_room(fault)?;
        if self.ops.active().iter().count() >= MAX_ACTIVE {
            return Err(format!("{MAX_ACTIVE} faults are in effect already, the maximum"));
        }
        Ok(())
    }

    async fn add_now(&mut self, fault: Fault, point: Point) -> anyhow::Result<Result<AddFaultReply, String>> {
        if let Err(problem) = self.check_manual(&fault) {
            return Ok(Err(problem));
        }
        if let Some(at) = fault.when().at {
            match self.lateness(self.faults.schedule.due(at), point) {
                Lateness::Later(due) => {
                    let entry = self.faults.schedule.add(fault, true, due);
                    return Ok(Ok(AddFaultReply {
                        id: self.id_of(entry),
                        state: format!("planned for {due}"),
                        ..AddFaultReply::default()
                    }));
                }
                Lateness::Now => {}
                Lateness::Never(reason) => return Ok(Err(reason)),
            }
        }
        if fault.newcomers() > 0
            && point.by_clock
            && let Err(problem) = self.can_register()
        {
            return Ok(Err(problem));
        }
        // What was done manually is recorded with the step or time at which it began, so that it can be repeated.
        let mut fault = fault;
        let lasts_in_steps = fault.lasts().is_some_and(|lasts| lasts.unit() != Unit::Time);
        let moment = match point.due {
            Due::Step(step) => Moment::Step(step),
            Due::Block(block) => Moment::Block(block),
            Due::Time(_) if lasts_in_steps => {
                return Ok(Err(
                    "no step or block follows: the queries do not run now, so write a time such as `for: 5s`"
                        .to_owned(),
                ));
            }
            Due::Time(time) => Moment::Time((time.as_secs_f64() * 1e3).round() / 1e3),
        };
        let when = fault.when_mut();
        when.at = Some(moment);
        // Each step has one block, so that a number of blocks is as many steps.
        if let (Moment::Step(_), Some(Span::Blocks(blocks))) = (moment, when.r#for) {
            when.r#for = Some(Span::Steps(blocks));
        }
        if let Err(problem) = fault.check() {
            return Ok(Err(format!("the fault would begin at {moment}, but {problem}")));
        }
        let entry = self.faults.schedule.add(fault, true, point.due);
        let changes = self.faults.schedule.take(point.due, self.faults.elapsed());
        let detail = self.change_faults(changes, point).await?;
        let state = match point.due {
            Due::Step(step) => format!("in effect from step {step} on"),
            Due::Block(_) | Due::Time(_) => "in effect".to_owned(),
        };
        Ok(Ok(AddFaultReply {
            id: self.id_of(entry),
            state,
            detail,
            warnings: Vec::new(),
        }))
    }

    /// Compares the given beginning of a manual fault with the present.
    fn lateness(&self, due: Due, point: Point) -> Lateness {
        match (due, point.due) {
            (Due::Step(step), Due::Step(now)) if step > now => Lateness::Later(due),
            (Due::Step(step), Due::Step(now)) if step == now => Lateness::Now,
            (Due::Step(step), Due::Step(_)) => Lateness::Never(format!(
                "step {step} has begun: write a later step, or leave `at` out to begin with the next step"
            )),
            (Due::Step(_), _) => {
                Lateness::Never("no step follows: the queries do not run in steps now".to_owned())
            }
            (Due::Time(time), _) if time > self.faults.elapsed() => Lateness::Later(due),
            (Due::Time(_), _) => Lateness::Now,
            (Due::Block(_), _) => Lateness::Later(due),
        }
    }

    async fn clear(
        &mut self,
        id: Option<&str>,
        point: Point,
    ) -> anyhow::Result<Result<ClearFaultsReply, String>> {
        let wanted: Vec<(usize, String)> = self
            .faults
            .schedule
            .entries()
            .filter(|(_, entry)| id.is_none_or(|id| entry.id == id))
            .map(|(position, entry)| (position, entry.id.clone()))
            .collect();
        if let (Some(id), true) = (id, wanted.is_empty()) {
            return Ok(Err(format!(
                "no fault has the id `{id}`: `mirror fault list` shows the ids"
            )));
        }
        let mut cleared = Vec::new();
        let mut changes = Changes::default();
        for (position, id) in wanted {
            let was_planned = self.faults.schedule.planned_start(position).is_some();
            self.faults.schedule.forget(position);
            let active: Vec<Occurrence> = self
                .ops
                .active()
                .iter()
                .map(|fault| fault.occurrence)
                .filter(|occurrence| occurrence.entry == position)
                .collect();
            if was_planned || !active.is_empty() {
                cleared.push(id);
            }
            changes.lift.extend(active);
        }
        self.change_faults(changes, point).await?;
        Ok(Ok(ClearFaultsReply { cleared }))
    }

    fn id_of(&self, entry: usize) -> String {
        let entry = self.faults.schedule.entry(entry);
        entry.map(|entry| entry.id.clone()).unwrap_or_default()
    }

    fn list_faults(&self) -> Vec<ListedFault> {
        let active: BTreeMap<usize, Occurrence> = self
            .ops
            .active()
            .iter()
            .map(|fault| (fault.occurrence.entry, fault.occurrence))
            .collect();
        let starts = self.faults.schedule.planned_starts();
        let listed = |(position, entry): (usize, &Entry)| {
            let current = active.get(&position);
            let planned = starts.get(&position);
            let (state, begins) = match (current, planned) {
                (Some(occurrence), _) => ("in effect", planned_start(&entry.fault, occurrence.number)),
                (None, Some(due)) => ("planned", due.to_string()),
                (None, None) => (FAULT_OVER, planned_start(&entry.fault, 0)),
            };
            let ends = current.and_then(|occurrence| self.faults.schedule.planned_end(*occurrence));
            ListedFault {
                id: entry.id.clone(),
                kind: entry.fault.kind().to_owned(),
                who: current.map_or_else(
                    || entry.fault.who(),
                    |occurrence| self.faults.who(*occurrence, &entry.fault),
                ),
                state: state.to_owned(),
                begins,
                ends: ends.map(|due| due.to_string()).unwrap_or_default(),
                manual: entry.manual,
            }
        };
        self.faults.schedule.entries().map(listed).collect()
    }

    /// Returns the names of the faults in effect on a node.
    pub(super) fn faults_on(&self, node: &str) -> Vec<String> {
        let active = self.ops.active();
        let on_node = active.iter().filter(|fault| {
            nodes_of(&fault.fault, &self.ops.spec)
                .iter()
                .any(|name| name == node)
        });
        on_node.map(|fault| fault.id.clone()).collect()
    }
}

/// Returns whether each occurrence of a fault ends by the clock.
fn ends_by_clock(fault: &Fault) -> bool {
    let until = fault.when().until.filter(|_| fault.when().every.is_none());
    let ends = fault.lasts().map(Span::unit).or(until.map(Moment::unit));
    ends == Some(Unit::Time)
}

/// Returns the time in the file at which an occurrence begins.
fn planned_start(fault: &Fault, number: u64) -> String {
    let when = fault.when();
    let start = fault.start();
    let repeated = when.every.and_then(|every| start.after(number, every));
    repeated.unwrap_or(start).to_string()
}

/// Returns whether a fault has no effect on a node that is not running.
fn stops_running_nodes(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Kill(_)
            | Fault::CrashLoop(_)
            | Fault::Pause(_)
            | Fault::Limit(_)
            | Fault::DiskFull(_)
            | Fault::Clock(_)
            | Fault::Leave(_)
    )
}
