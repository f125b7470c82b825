//! Miners that join the running network.
//!
//! With a barrier, miners that join at step N are registered by the block of that step, and start while the barrier
//! holds after it, so that their axons are announced in the next block. By the clock, they start when a block has
//! registered them.

use std::ops::Range;

use anyhow::Context;
use mirror_cluster::Placement;
use mirror_proto::mirror::v1::IncidentKind;
use mirror_runs::neurons;
use mirror_spec::{Fault, JoinFault, Newcomers, NodeSet, Uids};

use super::faults::Point;
use super::{Event, Orchestrator, Phase};
use crate::fault::{Due, NodeState};
use crate::joined::JoinedMiner;
use crate::network_spec;

/// Miners that join together.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    uids: Uids,
    newcomers: Newcomers,
    /// The step after whose block the barrier holds for them. `None` if it does not.
    held: Option<u64>,
}

impl Arrival {
    fn range(&self) -> Range<u32> {
        self.uids.least()..self.uids.greatest().saturating_add(1)
    }

    /// Returns the names of the processes.
    fn nodes(&self) -> Vec<String> {
        let uids = self.uids.iter();
        uids.map(|uid| network_spec::miner_name(&(uid..=uid))).collect()
    }

    /// Describes the miners for people: `uid 20-23`.
    pub(super) fn text(&self) -> String {
        NodeSet::Uids(self.uids.clone()).to_string()
    }
}

impl<P: Placement + 'static> Orchestrator<P> {
    /// Registers the miners of a fault with the next uids. Returns why they cannot join, as an error for people.
    pub(super) async fn join(&mut self, fault: &JoinFault, point: Point) -> Result<Arrival, String> {
        if point.by_clock {
            self.can_register()?;
        }
        let free = self.ops.spec.newcomer_uids();
        let first = free.start.saturating_add(self.faults.joined);
        let end = first.saturating_add(fault.join.count);
        let uids = Uids::of_ranges([first..=end.saturating_sub(1)]);
        let Some(uids) = uids.ok().filter(|_| end <= free.end) else {
            return Err("no uid is left for miners that join".to_owned());
        };
        let mut arrival = Arrival {
            uids,
            newcomers: fault.join.clone(),
            held: None,
        };
        let has_barrier = self.has_barrier();
        match (point.due, &mut self.faults.held) {
            (Due::Step(_), Some(held)) if !point.by_clock => {
                arrival.held = Some(held.step);
                held.tasks += 1;
                self.register(arrival.clone());
            }
            // The queries begin after this, so the registration is in the block of the first step.
            (Due::Step(step), None) if !point.by_clock && has_barrier => {
                let patience = self.ops.ready_timeout;
                tokio::time::timeout(patience, self.ops.register(arrival.range()))
                    .await
                    .map_err(|_| format!("the subtensor did not reply within {patience:?}"))?
                    .map_err(|error| format!("{error:#}"))?;
                self.faults.arrive_at(step.saturating_add(1), arrival.clone());
            }
            _ => self.register(arrival.clone()),
        }
        self.faults.joined += fault.join.count;
        Ok(arrival)
    }

    /// Checks that a block follows which can register miners.
    pub(super) fn can_register(&self) -> Result<(), String> {
        let closes_blocks = match self.phase {
            Phase::Working => !self.has_barrier() || !self.working.is_empty(),
            Phase::Settling | Phase::Standing => !self.has_barrier(),
            Phase::Starting { .. } | Phase::Beginning | Phase::Settled => false,
        };
        if closes_blocks {
            Ok(())
        } else {
            Err("no block follows that can register miners: the queries do not run now".to_owned())
        }
    }

    /// Checks that a person may add a fault: miners that join manually require free uids.
    pub(super) fn check_room(&self, fault: &Fault) -> Result<(), String> {
        let joining = fault.newcomers();
        let (room, taken) = (self.ops.spec.room(), self.faults.joined_manually());
        let needed = taken.saturating_add(joining);
        if joining == 0 || needed <= room {
            return Ok(());
        }
        Err(format!(
            "the network has room for {} more miners: write `room_for: {needed}` in `network` and start the network again",
            room.saturating_sub(taken)
        ))
    }

    /// Submits the registrations in the background.
    fn register(&self, arrival: Arrival) {
        let ops = self.ops.clone();
        self.spawn_task(async move {
            let outcome = ops.register(arrival.range()).await;
            Event::Registered(arrival, outcome)
        });
    }

    /// Plans the start of miners whose registrations were submitted.
    pub(super) async fn registered(
        &mut self,
        arrival: Arrival,
        outcome: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let held = arrival.held;
        match (outcome, held) {
            (Err(error), _) => self.cannot_join(&arrival, &error).await?,
            // The barrier holds again after the block that registers them.
            (Ok(()), Some(step)) => self.faults.arrive_at(step.saturating_add(2), arrival),
            (Ok(()), None) => {
                let ops = self.ops.clone();
                self.spawn_task(async move {
                    let outcome = match ops.next_block().await {
                        Ok(()) => ops.check_registered(arrival.range()).await,
                        Err(error) => Err(error),
                    };
                    Event::Arrived(arrival, outcome)
                });
            }
        }
        self.end_task_of_hold(held);
        Ok(())
    }

    /// Checks the registrations of the miners that start at the hold after `step`.
    pub(super) fn check_arrivals(&mut self, step: u64) {
        for mut arrival in self.faults.take_arrivals(step.saturating_add(1)) {
            arrival.held = Some(step);
            if let Some(held) = &mut self.faults.held {
                held.tasks += 1;
            }
            let ops = self.ops.clone();
            self.spawn_task(async move {
                let outcome = ops.check_registered(arrival.range()).await;
                Event::Arrived(arrival, outcome)
            });
        }
    }

    /// Starts miners that are registered. Before that, the nodes receive the rules of faults that concern them.
    pub(super) async fn arrived(
        &mut self,
        arrival: Arrival,
        outcome: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match outcome {
            Ok(()) => self.start_newcomers(&arrival).await?,
            Err(error) => self.cannot_join(&arrival, &error).await?,
        }
        self.end_task_of_hold(arrival.held);
        Ok(())
    }

    async fn start_newcomers(&mut self, arrival: &Arrival) -> anyhow::Result<()> {
        let earlier = self.ops.spec.all_nodes();
        for uid in arrival.uids.iter() {
            let miner = JoinedMiner {
                group: arrival.uids.clone(),
                newcomers: arrival.newcomers.clone(),
            };
            self.ops.spec.join(uid, miner);
        }
        neurons::save(&self.ops.spec.neurons(), &self.ops.layout)
            .context("cannot save the neurons of the run with the miners that joined")?;
        for node in earlier {
            for problem in self.reconcile(&node).await? {
                tracing::warn!(
                    node,
                    problem,
                    "a fault on miners that joined is not in effect on a node"
                );
            }
        }
        for node in arrival.nodes() {
            self.miners.insert(node.clone());
            let state = self.ops.active().state_of(&node, &self.ops.spec);
            if state.is_dead {
                // It starts when the fault that keeps it dead ends.
                let dead = NodeState {
                    is_dead: true,
                    ..NodeState::default()
                };
                self.faults.note_applied(node, dead);
                continue;
            }
            self.start_newcomer(node);
        }
        Ok(())
    }

    /// Records that miners could not join.
    async fn cannot_join(&self, arrival: &Arrival, error: &anyhow::Error) -> anyhow::Result<()> {
        let detail = format!("it was not started: {error:#}");
        for node in arrival.nodes() {
            tracing::warn!(node, detail, "a miner cannot join the network");
            self.ops
                .incident(&node, IncidentKind::Left, detail.clone(), String::new())
                .await?;
        }
        Ok(())
    }
}
