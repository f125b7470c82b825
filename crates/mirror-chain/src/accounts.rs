//! Free balances, stakes, and coins that are minted but not paid out yet.
//!
//! All amounts move as [`Coins`], which cannot be copied, so that no coins are created or lost on the way. They come
//! out of a balance, a stake or the mint, and go into a balance, a stake, or out of circulation.

use std::collections::BTreeMap;

use mirror_identity::{Coldkey, Hotkey};
use serde::{Deserialize, Serialize};

use crate::past_accounts::{Before, Holdings};
use crate::{DispatchError, Rao};

/// The minimum balance that an account must keep after a payment, as on the real chain.
pub const EXISTENTIAL_DEPOSIT: Rao = Rao(500);

/// The fee of a transfer, in addition to its amount.
pub const TRANSFER_FEE: Rao = Rao(0);

/// The maximum supply. At this issuance the block reward is 0. A genesis may hold more.
pub const TOTAL_SUPPLY: Rao = Rao(21_000_000 * Rao::TAO);

/// Coins in transit. Their holder must put them into an account or take them out of circulation.
#[derive(Debug)]
#[must_use]
pub(crate) struct Coins(u64);

/// The sources and sinks of all coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Issuance {
    /// Coins in the balances and stakes of the genesis.
    pub genesis: Rao,
    /// Coins granted by the subnet's owner since the genesis.
    pub granted: Rao,
    /// Coins minted as block rewards since the genesis.
    pub minted: Rao,
    /// The part of `minted` that is pending until the next epoch.
    pub pending: Rao,
    /// The part of `minted` that no epoch could pay out: rounding remainders, or the whole emission if no neuron has
    /// stake. The real chain never mints it.
    pub lapsed: Rao,
    /// Coins paid for registrations, and coins removed by the subnet's owner.
    pub burned: Rao,
}

/// Balances and stakes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Accounts {
    /// Free balances. A missing entry is 0.
    balances: BTreeMap<Coldkey, Rao>,
    /// Stakes. A missing entry is 0.
    stakes: BTreeMap<(Hotkey, Coldkey), Rao>,
    issuance: Issuance,
    /// The previous values of all entries that the open block has changed.
    #[serde(skip)]
    before: Before,
}

/// The maximum number of coins in a genesis, and of all coins granted after it. The chain's stake arithmetic holds no
/// more. Block rewards stop long below this limit.
pub const MAX_ISSUANCE: Rao = Rao(i64::MAX as u64);

/// The error returned when the number of coins would exceed [`MAX_ISSUANCE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyCoins;

impl Coins {
    /// Returns the amount.
    pub(crate) fn amount(&self) -> Rao {
        Rao(self.0)
    }

    /// Splits off a part. `None` if there are fewer coins than `part`.
    pub(crate) fn split(&mut self, part: Rao) -> Option<Self> {
        self.0 = self.0.checked_sub(part.0)?;
        Some(Self(part.0))
    }
}

impl Issuance {
    /// Returns all coins in balances and stakes, and the pending ones.
    pub fn total(&self) -> Rao {
        // Neither the coins given out nor the rewards ever exceed half of the range of `u64`.
        Rao(self.genesis.0 + self.granted.0 + self.minted.0 - self.lapsed.0 - self.burned.0)
    }

    /// Returns all coins that epochs have paid.
    pub fn paid(&self) -> Rao {
        Rao(self.minted.0 - self.pending.0 - self.lapsed.0)
    }
}

impl Accounts {
    /// Issues coins of the genesis.
    ///
    /// # Errors
    /// Returns [`TooManyCoins`] if the genesis would exceed [`MAX_ISSUANCE`].
    pub(crate) fn endow(&mut self, amount: Rao) -> Result<Coins, TooManyCoins> {
        let genesis = self.issuance.genesis.0.checked_add(amount.0);
        let genesis = genesis.filter(|&genesis| genesis <= MAX_ISSUANCE.0);
        self.issuance.genesis = Rao(genesis.ok_or(TooManyCoins)?);
        Ok(Coins(amount.0))
    }

    /// Issues coins that the subnet's owner grants.
    ///
    /// # Errors
    /// Returns [`TooManyCoins`] if all granted coins or the total issuance would exceed [`MAX_ISSUANCE`].
    pub(crate) fn grant(&mut self, amount: Rao) -> Result<Coins, TooManyCoins> {
        let fits = |so_far: Rao| {
            let all = so_far.0.checked_add(amount.0);
            all.is_some_and(|all| all <= MAX_ISSUANCE.0)
        };
        let given = Rao(self.issuance.genesis.0 + self.issuance.granted.0);
        if !fits(given) || !fits(self.issuance.total()) {
            return Err(TooManyCoins);
        }
        self.issuance.granted.0 += amount.0;
        Ok(Coins(amount.0))
    }

    /// Mints the reward of a block: `first`, halved each time half of the remaining supply has been issued. The reward
    /// is pending until the next epoch. The total ever minted is limited to [`MAX_ISSUANCE`], even if all of it lapses.
    pub(crate) fn mint_block_reward(&mut self, first: Rao) {
        let reward = block_reward(first, self.issuance.total());
        let reward = reward.min(Rao(MAX_ISSUANCE.0 - self.issuance.minted.0));
        self.issuance.minted.0 += reward.0;
        self.issuance.pending.0 += reward.0;
    }

    /// Takes all pending coins, for the epoch.
    pub(crate) fn take_pending(&mut self) -> Coins {
        Coins(std::mem::take(&mut self.issuance.pending).0)
    }

    /// Takes out of circulation the coins that an epoch did not pay to any neuron.
    pub(crate) fn lapse(&mut self, Coins(amount): Coins) {
        self.issuance.lapsed.0 += amount;
    }

    /// Takes burned coins out of circulation, such as the price of a registration.
    pub(crate) fn burn(&mut self, Coins(amount): Coins) {
        self.issuance.burned.0 += amount;
    }

    /// Takes coins out of a balance, which must keep at least the [`EXISTENTIAL_DEPOSIT`]. `None` if the balance is too
    /// low.
    pub(crate) fn withdraw(&mut self, coldkey: &Coldkey, amount: Rao) -> Option<Coins> {
        if !self.can_withdraw(coldkey, amount) {
            return None;
        }
        self.take(coldkey, amount)
    }

    /// Takes coins out of a balance without a minimum for the rest. `None` if the balance is too low.
    pub(crate) fn take(&mut self, coldkey: &Coldkey, amount: Rao) -> Option<Coins> {
        let rest = self.balance(coldkey).0.checked_sub(amount.0)?;
        self.set_balance(*coldkey, Rao(rest));
        Some(Coins(amount.0))
    }

    /// Returns whether the amount can be taken out of a balance. An amount of 0 always can.
    pub(crate) fn can_withdraw(&self, coldkey: &Coldkey, amount: Rao) -> bool {
        let rest = self.balance(coldkey).0.checked_sub(amount.0);
        amount == Rao(0) || rest.is_some_and(|rest| rest >= EXISTENTIAL_DEPOSIT.0)
    }

    /// Adds coins to a balance.
    pub(crate) fn deposit(&mut self, coldkey: Coldkey, Coins(amount): Coins) {
        self.set_balance(coldkey, Rao(self.balance(&coldkey).0 + amount));
    }

    /// Takes coins out of a stake.
    ///
    /// # Errors
    /// Returns [`DispatchError::NotEnoughStakeToWithdraw`] if the stake is less than `amount`.
    pub(crate) fn unstake(
        &mut self,
        hotkey: Hotkey,
        coldkey: Coldkey,
        amount: Rao,
    ) -> Result<Coins, DispatchError> {
        let rest = self.staked(hotkey, coldkey).0.checked_sub(amount.0);
        self.set_stake(
            hotkey,
            coldkey,
            Rao(rest.ok_or(DispatchError::NotEnoughStakeToWithdraw)?),
        );
        Ok(Coins(amount.0))
    }

    /// Adds coins to a stake.
    pub(crate) fn stake(&mut self, hotkey: Hotkey, coldkey: Coldkey, Coins(amount): Coins) {
        self.set_stake(hotkey, coldkey, Rao(self.staked(hotkey, coldkey).0 + amount));
    }

    /// Returns all stake of a hotkey to the balances of its coldkeys.
    pub(crate) fn unstake_all(&mut self, hotkey: Hotkey) {
        let stakes: Vec<_> = self.nominators(hotkey).collect();
        for (coldkey, amount) in stakes {
            self.set_stake(hotkey, coldkey, Rao(0));
            self.deposit(coldkey, Coins(amount.0));
        }
    }

    fn set_balance(&mut self, coldkey: Coldkey, free: Rao) {
        let before = set(&mut self.balances, coldkey, free);
        self.before.balances.entry(coldkey).or_insert(before);
    }

    fn set_stake(&mut self, hotkey: Hotkey, coldkey: Coldkey, stake: Rao) {
        let before = set(&mut self.stakes, (hotkey, coldkey), stake);
        self.before.stakes.entry((hotkey, coldkey)).or_insert(before);
    }

    /// Takes the previous values of all entries that have changed since the last call.
    pub(crate) fn take_before(&mut self) -> Before {
        std::mem::take(&mut self.before)
    }

    /// Returns the free balance of a coldkey.
    pub(crate) fn balance(&self, coldkey: &Coldkey) -> Rao {
        self.balances.get(coldkey).copied().unwrap_or_default()
    }

    /// Returns the stake of a coldkey with a hotkey.
    pub(crate) fn staked(&self, hotkey: Hotkey, coldkey: Coldkey) -> Rao {
        self.stakes.get(&(hotkey, coldkey)).copied().unwrap_or_default()
    }

    /// Returns the free balance and all stakes of a coldkey.
    pub(crate) fn holdings(&self, coldkey: Coldkey) -> Holdings {
        let own = self.stakes.iter().filter(|((_, of), _)| *of == coldkey);
        Holdings {
            free: self.balance(&coldkey),
            stakes: own.map(|(&(hotkey, _), &stake)| (hotkey, stake)).collect(),
        }
    }

    /// Returns the coldkeys with stake in a hotkey and their stakes, in the order of coldkeys.
    pub(crate) fn nominators(&self, hotkey: Hotkey) -> impl Iterator<Item = (Coldkey, Rao)> {
        let first = (hotkey, Coldkey::from_bytes([0; 32]));
        let last = (hotkey, Coldkey::from_bytes([u8::MAX; 32]));
        self.stakes
            .range(first..=last)
            .map(|((_, coldkey), &stake)| (*coldkey, stake))
    }

    /// Returns all balances, in the order of coldkeys.
    pub(crate) fn balances(&self) -> &BTreeMap<Coldkey, Rao> {
        &self.balances
    }

    /// Returns all stakes, in the order (hotkey, coldkey).
    pub(crate) fn stakes(&self) -> &BTreeMap<(Hotkey, Coldkey), Rao> {
        &self.stakes
    }

    /// Returns the sources and sinks of all coins.
    pub(crate) fn issuance(&self) -> Issuance {
        self.issuance
    }
}

/// Sets the amount of a key and returns the previous one. An amount of 0 removes the entry.
fn set<K: Ord>(amounts: &mut BTreeMap<K, Rao>, key: K, amount: Rao) -> Rao {
    let before = if amount == Rao(0) {
        amounts.remove(&key)
    } else {
        amounts.insert(key, amount)
    };
    before.unwrap_or_default()
}

/// Returns the reward of a block. The real chain halves the reward by the whole part of -log2(1 - issuance / supply),
/// which is the logarithm of `supply / left` to the base 2.
fn block_reward(first: Rao, issued: Rao) -> Rao {
    let left = TOTAL_SUPPLY.0.saturating_sub(issued.0);
    match TOTAL_SUPPLY.0.checked_div(left) {
        None => Rao(0),
        Some(ratio) => {
            let halvings = ratio.ilog2();
            Rao(first.0.checked_shr(halvings).unwrap_or(0).min(left))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reward_halves_with_what_is_left_of_the_supply() {
        let reward = |tao: u64| block_reward(Rao(Rao::TAO), Rao(tao * Rao::TAO)).0;
        assert_eq!(reward(0), 1_000_000_000);
        assert_eq!(reward(10_499_999), 1_000_000_000);
        assert_eq!(reward(10_500_000), 500_000_000);
        assert_eq!(reward(15_749_999), 500_000_000);
        assert_eq!(reward(15_750_000), 250_000_000);
        assert_eq!(reward(21_000_000), 0);
        assert_eq!(block_reward(Rao(Rao::TAO), Rao(u64::MAX)), Rao(0));
        // The reward never exceeds the remaining supply.
        assert_eq!(block_reward(Rao(u64::MAX), Rao(TOTAL_SUPPLY.0 - 1)).0, 1);
    }

    #[test]
    fn a_paying_balance_keeps_the_existential_deposit() {
        let key = Coldkey::from_bytes([1; 32]);
        let mut accounts = Accounts::default();
        let coins = accounts.endow(Rao(1_000)).expect("no overflow");
        accounts.deposit(key, coins);
        assert!(accounts.withdraw(&key, Rao(501)).is_none());
        let coins = accounts.withdraw(&key, Rao(500)).expect("500 are left");
        accounts.burn(coins);
        assert_eq!(accounts.balance(&key), Rao(500));
        assert_eq!(accounts.issuance().total(), Rao(500));
    }

    #[test]
    fn the_coins_of_a_genesis_are_limited() {
        let mut accounts = Accounts::default();
        let coins = accounts.endow(MAX_ISSUANCE).expect("the maximum is allowed");
        accounts.burn(coins);
        assert!(accounts.endow(Rao(1)).is_err());
        assert!(accounts.grant(Rao(1)).is_err());
    }

    #[test]
    fn lapsed_rewards_are_minted_up_to_the_limit() {
        let mut accounts = Accounts::default();
        for _ in 0..1_000 {
            accounts.mint_block_reward(Rao(u64::MAX));
            let pending = accounts.take_pending();
            accounts.lapse(pending);
        }
        assert_eq!(accounts.issuance().minted, MAX_ISSUANCE);
        assert_eq!(accounts.issuance().total(), Rao(0));
    }
}
