//! The rules in effect. A set of rules is replaced as a whole, and every stream holds the set that it follows.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mirror_proto::mirror::v1::{RuleTraffic, WireDirection, WireRule};
use tokio::sync::{Mutex, mpsc, watch};

use crate::effect::Effect;

/// Maximum number of rules.
const MAX_RULES: usize = 10_000;

/// Maximum length of a rule's id in bytes.
const MAX_ID: usize = 128;

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the caller to the target.
    Requests,
    /// From the target to the caller.
    Replies,
}

/// The directions that a rule covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directions {
    Both,
    Only(Direction),
}

/// The terms of a rule.
#[derive(Debug, PartialEq)]
struct Terms {
    id: String,
    /// Empty for every caller.
    sources: HashSet<IpAddr>,
    /// Empty for every target.
    targets: HashSet<String>,
    directions: Directions,
    effect: Effect,
}

/// A rule with its counters. A rule that is part of several consecutive sets is the same object in all of them.
#[derive(Debug)]
pub(crate) struct Rule {
    terms: Terms,
    /// Revision of the first set that the rule is part of.
    pub(crate) since: u64,
    connections: AtomicU64,
    bytes: AtomicU64,
    resets: AtomicU64,
}

/// A set of rules.
#[derive(Debug)]
pub(crate) struct RuleSet {
    /// Number of sets so far, including this one. 0 for the empty set at the start.
    pub(crate) revision: u64,
    pub(crate) rules: Vec<Arc<Rule>>,
    /// Closes its channel when the set is dropped.
    _in_use: mpsc::Sender<Infallible>,
}

/// A receiver of the current set of rules.
pub(crate) type FollowedRules = watch::Receiver<Arc<RuleSet>>;

/// The current set of rules.
#[derive(Debug)]
pub(crate) struct RuleBook {
    current: watch::Sender<Arc<RuleSet>>,
    /// The channel that closes when no stream follows the current set.
    in_use: Mutex<mpsc::Receiver<Infallible>>,
}

impl Direction {
    /// Returns the position of the direction in an array of two.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Requests => 0,
            Self::Replies => 1,
        }
    }
}

impl Rule {
    pub(crate) fn effect(&self) -> &Effect {
        &self.terms.effect
    }

    /// Returns whether the rule covers a direction of the connections from `source` to `target`.
    pub(crate) fn covers(&self, source: IpAddr, target: &str, direction: Direction) -> bool {
        let Terms {
            sources,
            targets,
            directions,
            ..
        } = &self.terms;
        (*directions == Directions::Both || *directions == Directions::Only(direction))
            && (sources.is_empty() || sources.contains(&source))
            && (targets.is_empty() || targets.contains(target))
    }

    /// Counts a connection of which the rule covers the direction. A rule that covers both directions counts it once.
    pub(crate) fn count_connection(&self, direction: Direction) {
        if self.terms.directions == Directions::Only(direction) || direction == Direction::Requests {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn traffic(&self) -> RuleTraffic {
        RuleTraffic {
            id: self.terms.id.clone(),
            connections: self.connections.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            resets: self.resets.load(Ordering::Relaxed),
        }
    }
}

impl RuleBook {
    /// Creates an empty set of rules.
    pub(crate) fn new() -> Self {
        let (held, in_use) = mpsc::channel(1);
        let empty = RuleSet {
            revision: 0,
            rules: Vec::new(),
            _in_use: held,
        };
        Self {
            current: watch::Sender::new(Arc::new(empty)),
            in_use: Mutex::new(in_use),
        }
    }

    /// Returns a receiver of the current set.
    pub(crate) fn follow(&self) -> FollowedRules {
        self.current.subscribe()
    }

    /// Returns the counters of the current rules.
    pub(crate) fn traffic(&self) -> Vec<RuleTraffic> {
        let current = Arc::clone(&self.current.borrow());
        current.rules.iter().map(|rule| rule.traffic()).collect()
    }

    /// Replaces the rules, waits until no stream follows the previous ones, and returns the revision.
    ///
    /// # Errors
    ///
    /// Returns a message that names the first invalid rule. The previous rules then remain.
    pub(crate) async fn replace(&self, rules: &[WireRule]) -> Result<u64, String> {
        let terms = read(rules)?;
        let mut in_use = self.in_use.lock().await;
        let before = Arc::clone(&self.current.borrow());
        let revision = before.revision + 1;
        let known: HashMap<&str, &Arc<Rule>> = before
            .rules
            .iter()
            .map(|rule| (rule.terms.id.as_str(), rule))
            .collect();
        let rules = terms
            .into_iter()
            .map(|terms| match known.get(terms.id.as_str()) {
                Some(rule) if rule.terms == terms => Arc::clone(rule),
                _ => Arc::new(Rule {
                    terms,
                    since: revision,
                    connections: AtomicU64::new(0),
                    bytes: AtomicU64::new(0),
                    resets: AtomicU64::new(0),
                }),
            })
            .collect();
        drop(known);
        drop(before);
        let (held, next_in_use) = mpsc::channel(1);
        let next = RuleSet {
            revision,
            rules,
            _in_use: held,
        };
        drop(self.current.send_replace(Arc::new(next)));
        let mut previous = std::mem::replace(&mut *in_use, next_in_use);
        while previous.recv().await.is_some() {}
        Ok(revision)
    }
}

fn read(rules: &[WireRule]) -> Result<Vec<Terms>, String> {
    if rules.len() > MAX_RULES {
        let last = rules.get(MAX_RULES).map_or("", |rule| rule.id.as_str());
        return Err(format!(
            "there are {} rules, of which `{last}` is number {}: at most {MAX_RULES} are possible",
            rules.len(),
            MAX_RULES + 1
        ));
    }
    let mut ids = HashSet::with_capacity(rules.len());
    let mut read = Vec::with_capacity(rules.len());
    for (number, rule) in rules.iter().enumerate() {
        if !(1..=MAX_ID).contains(&rule.id.len()) {
            return Err(format!(
                "the id of rule number {} has {} bytes, expected 1 to {MAX_ID}",
                number + 1,
                rule.id.len()
            ));
        }
        if !ids.insert(rule.id.as_str()) {
            return Err(format!("the id `{}` occurs twice", rule.id));
        }
        read.push(terms(rule).map_err(|problem| format!("rule `{}`: {problem}", rule.id))?);
    }
    Ok(read)
}

fn terms(rule: &WireRule) -> Result<Terms, String> {
    let source = |source: &String| {
        let address = source.parse::<IpAddr>();
        address.map_err(|_| format!("its source `{source}` is not an IP address"))
    };
    let directions = match WireDirection::try_from(rule.direction) {
        Ok(WireDirection::Both) => Directions::Both,
        Ok(WireDirection::Requests) => Directions::Only(Direction::Requests),
        Ok(WireDirection::Replies) => Directions::Only(Direction::Replies),
        Err(_) => return Err(format!("its direction {} does not exist", rule.direction)),
    };
    let effect = rule.effect.as_ref().ok_or("it has no effect")?;
    Ok(Terms {
        id: rule.id.clone(),
        sources: rule.sources.iter().map(source).collect::<Result<_, _>>()?,
        targets: rule.targets.iter().cloned().collect(),
        directions,
        effect: Effect::read(effect)?,
    })
}
