//! The fault that kills miners and optionally restarts them.

use mirror_cluster::Placement;
use mirror_proto::mirror::v1::IncidentKind;
use mirror_spec::{KillFault, Step, Uids};

use super::FaultKind;
use crate::node_ops::{NodeOps, StartCause, Started};

impl FaultKind for KillFault {
    fn uids(&self) -> &Uids {
        &self.kill
    }

    fn applied_at(&self) -> Step {
        self.at
    }

    fn lifted_at(&self) -> Option<Step> {
        let after = self.restart_after.as_ref()?;
        Some(Step(self.at.0.saturating_add(after.0)))
    }

    /// Kills the process, unless it is already dead.
    async fn apply<P: Placement>(&self, ops: &NodeOps<P>, node: &str, step: u64) -> anyhow::Result<()> {
        if ops.placement.address(node).is_none() {
            return Ok(());
        }
        ops.placement.kill(node).await?;
        let detail = format!("by the schedule, after step {step}");
        ops.incident(node, IncidentKind::Killed, detail, String::new())
            .await
    }

    /// Restarts the process, unless it is running or has already been started at this hold.
    async fn lift<P: Placement>(
        &self,
        ops: &NodeOps<P>,
        node: &str,
        step: u64,
        started: &mut Vec<Started>,
    ) -> anyhow::Result<()> {
        let was_started = started.iter().any(|start| start.node == node);
        if !was_started && ops.placement.address(node).is_none() {
            started.push(ops.start(node.to_owned(), StartCause::Schedule { step }).await);
        }
        Ok(())
    }
}
