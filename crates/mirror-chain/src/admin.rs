//! Calls of the subnet's owner: changing a hyperparameter, and the calls that only root may make on the real chain,
//! setting balances and registering neurons without limits.

use mirror_identity::{Coldkey, Hotkey, PublicKey};

use crate::accounts::EXISTENTIAL_DEPOSIT;
use crate::hyperparameters::HyperparameterError;
use crate::state::State;
use crate::{Block, DispatchError, Rao};

impl State {
    pub(crate) fn set_hyperparameter(
        &mut self,
        signer: &PublicKey,
        name: &str,
        value: u64,
    ) -> Result<(), DispatchError> {
        self.ensure_subnet_owner(signer)?;
        let mut rules = self.rules.clone();
        rules.set(name, value).map_err(|error| match error {
            HyperparameterError::UnknownName { .. } => DispatchError::UnknownHyperparameter,
            HyperparameterError::ValueNotInBounds { .. } => DispatchError::ValueNotInBounds,
        })?;
        if (self.neurons.len() as u64) > rules.max_allowed_uids.into() {
            return Err(DispatchError::MaxAllowedUidsLessThanCurrentUids);
        }
        if rules.burn != self.rules.burn {
            self.registrations.burn = rules.burn.max(rules.min_burn).min(rules.max_burn);
        }
        self.rules = rules;
        Ok(())
    }

    /// Sets the free balance of a coldkey. As on the real chain, a balance below the existential deposit becomes 0.
    pub(crate) fn force_set_balance(
        &mut self,
        signer: &PublicKey,
        coldkey: Coldkey,
        free: Rao,
    ) -> Result<(), DispatchError> {
        self.ensure_subnet_owner(signer)?;
        let free = if free < EXISTENTIAL_DEPOSIT { Rao(0) } else { free };
        let before = self.accounts.balance(&coldkey);
        if let Some(more) = free.0.checked_sub(before.0) {
            let granted = self
                .accounts
                .grant(Rao(more))
                .map_err(|_| DispatchError::Overflow)?;
            self.accounts.deposit(coldkey, granted);
        } else {
            let taken = self.accounts.take(&coldkey, Rao(before.0 - free.0));
            self.accounts
                .burn(taken.ok_or(DispatchError::InsufficientBalance)?);
        }
        Ok(())
    }

    /// Registers a neuron without price and limits, and grants it a stake and its coldkey a balance.
    pub(crate) fn force_register(
        &mut self,
        signer: &PublicKey,
        hotkey: Hotkey,
        coldkey: Coldkey,
        stake: Rao,
        free: Rao,
        block: Block,
    ) -> Result<(), DispatchError> {
        self.ensure_subnet_owner(signer)?;
        if self.uids.contains_key(&hotkey) {
            return Err(DispatchError::AlreadyRegistered);
        }
        self.check_owner(&hotkey, &coldkey)?;
        let place = self.place(block)?;
        let all = stake.0.checked_add(free.0).ok_or(DispatchError::Overflow)?;
        let mut free = self
            .accounts
            .grant(Rao(all))
            .map_err(|_| DispatchError::Overflow)?;
        let stake = free.split(stake).ok_or(DispatchError::Overflow)?;
        self.settle(hotkey, coldkey, place, block);
        self.accounts.stake(hotkey, coldkey, stake);
        self.accounts.deposit(coldkey, free);
        self.restake(hotkey);
        Ok(())
    }

    fn ensure_subnet_owner(&self, signer: &PublicKey) -> Result<(), DispatchError> {
        match &self.owner {
            Some(owner) if owner.coldkey == *signer => Ok(()),
            _ => Err(DispatchError::NotSubnetOwner),
        }
    }
}
