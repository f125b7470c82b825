//! Passes on the calls of those that it favours, and fails the others. Who is favoured: callers with stake, callers by
//! uid, everybody while it cannot be replaced, a share of the calls; all that is asked for must hold.

use mirror_spec::{TwoFacedArgs, Uids};
use std::error::Error;
use tonic::async_trait;

use super::{Answer, Behaviour, Below, Call, Surroundings, failure};
use crate::network::View;

/// Rao in a TAO.
const RAO: f64 = 1e9;

pub(super) struct TwoFaced {
    args: TwoFacedArgs,
    surroundings: Surroundings,
}

impl TwoFaced {
    pub(super) fn new(args: TwoFacedArgs, surroundings: Surroundings) -> Self {
        Self { args, surroundings }
    }

    async fn favours(&self, call: &Call) -> bool {
        let TwoFacedArgs {
            least_stake,
            callers,
            while_immune,
            chance,
            ..
        } = &self.args;
        if !self.surroundings.seed.happens("favour", &call.id, *chance) {
            return false;
        }
        if least_stake.is_none() && callers.is_none() && !while_immune {
            return true;
        }
        match self.surroundings.network.view(&call.id).await {
            Ok(view) => self.favours_in(&view, call),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(error, "the chain does not say who asks, so it counts as nobody");
                false
            }
        }
    }

    fn favours_in(&self, view: &View, call: &Call) -> bool {
        let caller = call.caller.and_then(|hotkey| view.neuron(&hotkey));
        let stake = caller.map_or(0.0, |(_, neuron)| neuron.stake as f64 / RAO);
        let rich = self.args.least_stake.is_none_or(|least| stake >= least);
        let is_named = |callers: &Uids| caller.is_some_and(|(uid, _)| callers.contains(&uid));
        let known = self.args.callers.as_ref().is_none_or(is_named);
        rich && known && (!self.args.while_immune || view.metagraph.is_immune(self.surroundings.uid))
    }
}

#[async_trait]
impl Behaviour for TwoFaced {
    async fn answer(&self, call: &Call, below: Below<'_>) -> Answer {
        if self.favours(call).await {
            return below.answer(call).await;
        }
        failure::answer(self.args.to_others)
    }
}
