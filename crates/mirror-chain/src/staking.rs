//! Staking, delegation and transfers.

use mirror_identity::{Coldkey, Hotkey};

use crate::accounts::EXISTENTIAL_DEPOSIT;
use crate::state::State;
use crate::{Block, DispatchError, Rao};

impl State {
    pub(crate) fn add_stake(
        &mut self,
        coldkey: Coldkey,
        hotkey: Hotkey,
        amount: Rao,
        block: Block,
    ) -> Result<(), DispatchError> {
        self.check_stakeable(&coldkey, &hotkey, amount)?;
        self.check_stake_rate(&coldkey, block)?;
        let staked = self.accounts.staked(hotkey, coldkey);
        self.check_nomination(&coldkey, &hotkey, Rao(staked.0.saturating_add(amount.0)))?;
        let coins = self.accounts.withdraw(&coldkey, amount);
        let coins = coins.ok_or(DispatchError::NotEnoughBalanceToStake)?;
        self.accounts.stake(hotkey, coldkey, coins);
        self.note_stake_move(coldkey, hotkey, block);
        Ok(())
    }

    pub(crate) fn remove_stake(
        &mut self,
        coldkey: Coldkey,
        hotkey: Hotkey,
        amount: Rao,
        block: Block,
    ) -> Result<(), DispatchError> {
        self.check_stakeable(&coldkey, &hotkey, amount)?;
        self.check_stake_rate(&coldkey, block)?;
        let staked = self.accounts.staked(hotkey, coldkey);
        let rest = staked.0.checked_sub(amount.0);
        let rest = rest.ok_or(DispatchError::NotEnoughStakeToWithdraw)?;
        self.check_nomination(&coldkey, &hotkey, Rao(rest))?;
        let coins = self.accounts.unstake(hotkey, coldkey, amount)?;
        self.accounts.deposit(coldkey, coins);
        self.note_stake_move(coldkey, hotkey, block);
        Ok(())
    }

    pub(crate) fn become_delegate(
        &mut self,
        coldkey: &Coldkey,
        hotkey: Hotkey,
        take: Option<u16>,
    ) -> Result<(), DispatchError> {
        if self.owners.get(&hotkey).ok_or(DispatchError::NotRegistered)? != coldkey {
            return Err(DispatchError::NonAssociatedColdKey);
        }
        let take = take.unwrap_or(self.rules.default_take);
        if take > self.rules.default_take {
            return Err(DispatchError::InvalidTake);
        }
        if self.takes.contains_key(&hotkey) {
            return Err(DispatchError::AlreadyDelegate);
        }
        self.takes.insert(hotkey, take);
        Ok(())
    }

    pub(crate) fn transfer(&mut self, from: &Coldkey, to: Coldkey, amount: Rao) -> Result<(), DispatchError> {
        if amount == Rao(0) {
            return Err(DispatchError::AmountTooLow);
        }
        let received = self.accounts.balance(&to).0.saturating_add(amount.0);
        if received < EXISTENTIAL_DEPOSIT.0 {
            return Err(DispatchError::ExistentialDeposit);
        }
        let coins = self.accounts.withdraw(from, amount);
        let coins = coins.ok_or(DispatchError::InsufficientBalance)?;
        self.accounts.deposit(to, coins);
        Ok(())
    }

    /// Checks that the amount is not 0 and that the coldkey may stake with the hotkey, which it must own or which must
    /// be a delegate.
    fn check_stakeable(&self, coldkey: &Coldkey, hotkey: &Hotkey, amount: Rao) -> Result<(), DispatchError> {
        if amount == Rao(0) {
            return Err(DispatchError::AmountTooLow);
        }
        let owner = self.owners.get(hotkey).ok_or(DispatchError::NotRegistered)?;
        if owner != coldkey && !self.takes.contains_key(hotkey) {
            return Err(DispatchError::NonAssociatedColdKey);
        }
        Ok(())
    }

    fn check_stake_rate(&self, coldkey: &Coldkey, block: Block) -> Result<(), DispatchError> {
        match self.stake_moved.get(coldkey) {
            Some(last) if block.0.saturating_sub(last.0) < self.rules.tx_rate_limit => {
                Err(DispatchError::TxRateLimitExceeded)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the stake of a nominator with a delegate is 0 or at least the minimum.
    fn check_nomination(&self, coldkey: &Coldkey, hotkey: &Hotkey, stake: Rao) -> Result<(), DispatchError> {
        let is_nominator = self.owners.get(hotkey) != Some(coldkey);
        if is_nominator && stake > Rao(0) && stake < self.rules.nominator_min_required_stake {
            return Err(DispatchError::NomStakeBelowMinimumThreshold);
        }
        Ok(())
    }

    fn note_stake_move(&mut self, coldkey: Coldkey, hotkey: Hotkey, block: Block) {
        self.stake_moved.insert(coldkey, block);
        self.restake(hotkey);
    }
}
