//! Passes on the calls of favoured callers and fails all others. A caller is favoured by its stake, by its uid, while
//! this miner is immune, or by chance. All conditions that are set must hold.

use mirror_spec::{TwoFacedArgs, Uids};
use std::error::Error;
use tonic::async_trait;

use super::{Answer, Behaviour, BehaviourContext, Call, Next, failure};
use crate::network::MetagraphView;

/// Number of rao in one TAO.
const RAO: f64 = 1e9;

pub(super) struct TwoFaced {
    args: TwoFacedArgs,
    context: BehaviourContext,
}

impl TwoFaced {
    pub(super) fn new(args: TwoFacedArgs, context: BehaviourContext) -> Self {
        Self { args, context }
    }

    async fn favours(&self, call: &Call) -> bool {
        let TwoFacedArgs {
            least_stake,
            callers,
            while_immune,
            chance,
            ..
        } = &self.args;
        if !self.context.seed.happens("favour", &call.id, *chance) {
            return false;
        }
        if least_stake.is_none() && callers.is_none() && !while_immune {
            return true;
        }
        match self.context.network.view(&call.id).await {
            Ok(view) => self.favours_in(&view, call),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(
                    error,
                    "cannot look up the caller on the chain, so the call is not favoured"
                );
                false
            }
        }
    }

    fn favours_in(&self, view: &MetagraphView, call: &Call) -> bool {
        let caller = view.neuron(&call.caller);
        let stake = caller.map_or(0.0, |(_, neuron)| neuron.stake as f64 / RAO);
        let rich = self.args.least_stake.is_none_or(|least| stake >= least);
        let is_named = |callers: &Uids| caller.is_some_and(|(uid, _)| callers.contains(&uid));
        let known = self.args.callers.as_ref().is_none_or(is_named);
        rich && known && (!self.args.while_immune || view.metagraph.is_immune(self.context.uid))
    }
}

#[async_trait]
impl Behaviour for TwoFaced {
    async fn answer(&self, call: &Call, next: Next<'_>) -> Answer {
        if self.favours(call).await {
            return next.answer(call).await;
        }
        failure::answer(self.args.to_others)
    }
}
