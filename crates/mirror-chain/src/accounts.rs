//! Who has how much: free balances, stakes, and what has been minted and is not paid out yet.
//!
//! All of it moves as [`Coins`], which nobody can copy, so that none is made or lost on the way: they come out of a
//! balance, a stake or the mint, and go into a balance, a stake, or out of circulation.

use std::collections::BTreeMap;

use mirror_identity::{Coldkey, Hotkey};
use serde::{Deserialize, Serialize};

use crate::past_accounts::{Before, Holdings};
use crate::{DispatchError, Rao};

/// What a balance that is paid from must keep, as on the real chain.
pub const EXISTENTIAL_DEPOSIT: Rao = Rao(500);

/// What a transfer costs beside its amount.
pub const TRANSFER_FEE: Rao = Rao(0);

/// Most that is ever minted: at this issuance the block reward is nothing. A genesis may hold more.
pub const TOTAL_SUPPLY: Rao = Rao(21_000_000 * Rao::TAO);

/// Coins on their way. Whoever has them must put them somewhere.
#[derive(Debug)]
#[must_use]
pub(crate) struct Coins(u64);

/// Where all coins have come from and gone to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Issuance {
    /// In the balances and stakes of the genesis.
    pub genesis: Rao,
    /// Given by who governs, since.
    pub granted: Rao,
    /// By block rewards, since.
    pub minted: Rao,
    /// Of `minted`, what waits for the next epoch.
    pub pending: Rao,
    /// Of `minted`, what no epoch could give to anybody: the rest of a rounding, or all where nobody has stake. The
    /// real chain never mints it.
    pub lapsed: Rao,
    /// Paid for registrations, and taken by who governs.
    pub burned: Rao,
}

/// Balances and stakes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Accounts {
    /// None is 0.
    balances: BTreeMap<Coldkey, Rao>,
    /// None is 0.
    stakes: BTreeMap<(Hotkey, Coldkey), Rao>,
    issuance: Issuance,
    /// What the open block has changed, as it was.
    #[serde(skip)]
    before: Before,
}

/// Most coins of a genesis, and of all that is given after it: what the chain's arithmetic of stake holds. Rewards end
/// long before.
pub const MAX_ISSUANCE: Rao = Rao(i64::MAX as u64);

/// More coins than there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyCoins;

impl Coins {
    /// How much it is.
    pub(crate) fn amount(&self) -> Rao {
        Rao(self.0)
    }

    /// Takes a part out, or nothing if there is not so much.
    pub(crate) fn split(&mut self, part: Rao) -> Option<Self> {
        self.0 = self.0.checked_sub(part.0)?;
        Some(Self(part.0))
    }
}

impl Issuance {
    /// All that is in balances and stakes and pending.
    pub fn total(&self) -> Rao {
        // Neither coins that were given nor rewards are ever more than half of what the number holds.
        Rao(self.genesis.0 + self.granted.0 + self.minted.0 - self.lapsed.0 - self.burned.0)
    }

    /// All that epochs have paid.
    pub fn paid(&self) -> Rao {
        Rao(self.minted.0 - self.pending.0 - self.lapsed.0)
    }
}

impl Accounts {
    /// Coins of the genesis.
    pub(crate) fn endow(&mut self, amount: Rao) -> Result<Coins, TooManyCoins> {
        let genesis = self.issuance.genesis.0.checked_add(amount.0);
        let genesis = genesis.filter(|&genesis| genesis <= MAX_ISSUANCE.0);
        self.issuance.genesis = Rao(genesis.ok_or(TooManyCoins)?);
        Ok(Coins(amount.0))
    }

    /// Coins that who governs gives.
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

    /// Mints the reward of a block: `first`, halved as often as half of what was left of the supply has been issued.
    /// It waits for the next epoch. What was ever minted can be counted, also where all of it lapses.
    pub(crate) fn mint_block_reward(&mut self, first: Rao) {
        let reward = block_reward(first, self.issuance.total());
        let reward = reward.min(Rao(MAX_ISSUANCE.0 - self.issuance.minted.0));
        self.issuance.minted.0 += reward.0;
        self.issuance.pending.0 += reward.0;
    }

    /// All that waits for the epoch.
    pub(crate) fn take_pending(&mut self) -> Coins {
        Coins(std::mem::take(&mut self.issuance.pending).0)
    }

    /// Takes out of circulation what nobody gets of an epoch.
    pub(crate) fn lapse(&mut self, Coins(amount): Coins) {
        self.issuance.lapsed.0 += amount;
    }

    /// Takes out of circulation the price of a registration.
    pub(crate) fn burn(&mut self, Coins(amount): Coins) {
        self.issuance.burned.0 += amount;
    }

    /// Takes coins out of a balance, which keeps at least the [`EXISTENTIAL_DEPOSIT`]; `None` if it has not so much.
    pub(crate) fn withdraw(&mut self, coldkey: &Coldkey, amount: Rao) -> Option<Coins> {
        if !self.can_withdraw(coldkey, amount) {
            return None;
        }
        self.take(coldkey, amount)
    }

    /// Takes coins out of a balance, whatever it keeps; `None` if it has not so much.
    pub(crate) fn take(&mut self, coldkey: &Coldkey, amount: Rao) -> Option<Coins> {
        let rest = self.balance(coldkey).0.checked_sub(amount.0)?;
        self.set_balance(*coldkey, Rao(rest));
        Some(Coins(amount.0))
    }

    /// Whether so much can be taken out of a balance. Nothing always can.
    pub(crate) fn can_withdraw(&self, coldkey: &Coldkey, amount: Rao) -> bool {
        let rest = self.balance(coldkey).0.checked_sub(amount.0);
        amount == Rao(0) || rest.is_some_and(|rest| rest >= EXISTENTIAL_DEPOSIT.0)
    }

    /// Puts coins into a balance.
    pub(crate) fn deposit(&mut self, coldkey: Coldkey, Coins(amount): Coins) {
        self.set_balance(coldkey, Rao(self.balance(&coldkey).0 + amount));
    }

    /// Takes coins out of a stake.
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

    /// Puts coins into a stake.
    pub(crate) fn stake(&mut self, hotkey: Hotkey, coldkey: Coldkey, Coins(amount): Coins) {
        self.set_stake(hotkey, coldkey, Rao(self.staked(hotkey, coldkey).0 + amount));
    }

    /// Gives back to its owners all stake that a hotkey has.
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

    /// What has changed since it was asked last, as it was.
    pub(crate) fn take_before(&mut self) -> Before {
        std::mem::take(&mut self.before)
    }

    /// What is free to use.
    pub(crate) fn balance(&self, coldkey: &Coldkey) -> Rao {
        self.balances.get(coldkey).copied().unwrap_or_default()
    }

    /// What a coldkey has staked with a hotkey.
    pub(crate) fn staked(&self, hotkey: Hotkey, coldkey: Coldkey) -> Rao {
        self.stakes.get(&(hotkey, coldkey)).copied().unwrap_or_default()
    }

    /// All that a coldkey has.
    pub(crate) fn holdings(&self, coldkey: Coldkey) -> Holdings {
        let own = self.stakes.iter().filter(|((_, of), _)| *of == coldkey);
        Holdings {
            free: self.balance(&coldkey),
            stakes: own.map(|(&(hotkey, _), &stake)| (hotkey, stake)).collect(),
        }
    }

    /// Whose stake a hotkey has, and how much; in the order of coldkeys.
    pub(crate) fn nominators(&self, hotkey: Hotkey) -> impl Iterator<Item = (Coldkey, Rao)> {
        let first = (hotkey, Coldkey::from_bytes([0; 32]));
        let last = (hotkey, Coldkey::from_bytes([u8::MAX; 32]));
        self.stakes
            .range(first..=last)
            .map(|((_, coldkey), &stake)| (*coldkey, stake))
    }

    /// All balances, in the order of coldkeys.
    pub(crate) fn balances(&self) -> &BTreeMap<Coldkey, Rao> {
        &self.balances
    }

    /// All stakes, in the order (hotkey, coldkey).
    pub(crate) fn stakes(&self) -> &BTreeMap<(Hotkey, Coldkey), Rao> {
        &self.stakes
    }

    /// Where all coins have come from and gone to.
    pub(crate) fn issuance(&self) -> Issuance {
        self.issuance
    }
}

/// Gives a key its amount, none where it is 0, and tells the one before.
fn set<K: Ord>(amounts: &mut BTreeMap<K, Rao>, key: K, amount: Rao) -> Rao {
    let before = if amount == Rao(0) {
        amounts.remove(&key)
    } else {
        amounts.insert(key, amount)
    };
    before.unwrap_or_default()
}

/// The real chain halves by the whole part of -log2(1 - issuance / supply): as often as what is left, doubled, still
/// fits into the supply.
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
        // Never over the supply.
        assert_eq!(block_reward(Rao(u64::MAX), Rao(TOTAL_SUPPLY.0 - 1)).0, 1);
    }

    #[test]
    fn a_balance_that_is_paid_from_keeps_the_existential_deposit() {
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
    fn a_genesis_has_no_more_coins_than_can_be_counted() {
        let mut accounts = Accounts::default();
        let coins = accounts.endow(MAX_ISSUANCE).expect("it is the most");
        accounts.burn(coins);
        assert!(accounts.endow(Rao(1)).is_err());
        assert!(accounts.grant(Rao(1)).is_err());
    }

    #[test]
    fn rewards_that_lapse_for_ever_are_counted_as_far_as_they_can_be() {
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
