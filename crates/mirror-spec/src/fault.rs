//! The `faults` section: scheduled faults.

mod bytes;
mod effect;
mod nodes;
mod when;

pub use bytes::Bytes;
pub use effect::*;
pub use nodes::{NodeSet, nodes_text};
pub use when::{Moment, Span, Unit, When};

use crate::at::{At, Tree};
use crate::declare::{forms, keys};
use crate::key::{Described, Unsound, Whose};
use crate::ranges::{DELAY, RATE};
use crate::{BehaviourSpec, Latency, Uids, ValidatorBehaviour};

forms! {
    /// A fault. The keys of the map determine its kind. All kinds have the keys of its time.
    pub enum Fault: "a fault", checked by sound {
        /// Disturbs single calls on the links between nodes. All effects apply in the order of the keys, delays add,
        /// and the first effect that ends the call wins.
        Link(LinkFault {
            /// The callers and the called nodes.
            link: LinkEnds,
            ..effects: LinkEffects,
            ..when: When,
        }),
        /// Disturbs the bytes of connections between nodes in a proxy.
        Wire(WireFault {
            /// The callers and the called nodes.
            wire: LinkEnds,
            ..effects: WireEffects,
            ..when: When,
        }),
        /// Separates sets of nodes: no byte passes from one set to another.
        Partition(PartitionFault {
            /// The sets of nodes. Nodes in none of them are not affected.
            partition: Vec<Vec<NodeSet>> [List(&OneOrMany(&NodeSet::KIND))],
            /// Whether only the bytes from the first set to the others are cut.
            one_way: bool = false,
            ..when: When,
        }),
        /// Kills nodes and optionally restarts them.
        Kill(KillFault {
            /// The nodes to kill.
            kill: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
            /// Time after which the nodes are restarted. If absent, and without `for` and `until`: never.
            restart_after: Option<Span>,
            ..when: When,
        }),
        /// Kills nodes each time that they are ready, and restarts them.
        CrashLoop(CrashLoopFault {
            /// The nodes.
            crash_loop: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
            /// Time from the readiness of a node until it is killed.
            up: f64 [Duration(0.01..=3_600.0)] = 1,
            ..when: When,
        }),
        /// Pauses nodes: their processes are stopped and keep their memory and connections.
        Pause(PauseFault {
            /// The nodes.
            pause: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
            ..when: When,
        }),
        /// Limits the resources of nodes.
        Limit(LimitFault {
            /// The nodes.
            limit: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
            /// Share of one processor that each node may use.
            cpu: Option<f64> [Number(0.01..=1_024.0)],
            /// Memory of each node. The kernel kills a node that exceeds it.
            memory: Option<Bytes>,
            ..when: When,
        }),
        /// Lets every write of nodes to files fail, as a full disk does.
        DiskFull(DiskFullFault {
            /// The nodes.
            disk_full: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
            ..when: When,
        }),
        /// Shifts the clocks of nodes.
        Clock(ClockFault {
            /// The nodes.
            clock: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
            /// Difference to the true time, negative for a slow clock.
            skew: f64 [Duration(-3_155_760_000.0..=3_155_760_000.0)],
            ..when: When,
        }),
        /// Replaces the behaviour of miners.
        Inject(InjectFault {
            /// The uids of the miners.
            inject: Uids,
            /// The behaviour.
            behaviour: BehaviourSpec,
            /// The behaviours below it, the uppermost first. An honest miner is below the last.
            over: Vec<BehaviourSpec> [OneOrMany(&BehaviourSpec::KIND)] = [],
            ..when: When,
        }),
        /// Replaces the behaviour of validators.
        InjectValidators(InjectValidatorsFault {
            /// The indices of the validators, from 0.
            inject_validators: Uids [UidSet(Whose::ValidatorIndex)],
            /// The behaviour.
            behaviour: ValidatorBehaviour,
            ..when: When,
        }),
        /// Registers new miners on the chain and starts them.
        Join(JoinFault {
            /// The new miners.
            join: Newcomers,
            ..when: When,
        }),
        /// Ends miners for good. Their uids stay registered.
        Leave(LeaveFault {
            /// The nodes.
            leave: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
            ..when: When,
        }),
    }
}

keys! {
    /// Effects on single calls.
    pub struct LinkEffects: Default {
        /// Distribution of a delay of each call.
        latency: Option<Latency>,
        /// Maximum of a further delay, which is uniform from 0.
        jitter: Option<f64> [DELAY],
        /// Probability that a call finds its connection refused.
        refuse: f64 [RATE] = 0,
        /// Probability that a request is lost, so that the caller waits until its deadline.
        drop: f64 [RATE] = 0,
        /// A gRPC error that a call gets instead of a reply.
        error: Option<ErrorReply>,
        /// Probability that the connection of a call ends with an HTTP/2 GOAWAY before the reply.
        goaway: f64 [RATE] = 0,
        /// An HTTP/2 reset of the stream of a call after some bytes of the reply.
        reset: Option<StreamReset>,
        /// Probability that the HTTP/2 window of a call stays closed, so that no message of the reply arrives.
        stall: f64 [RATE] = 0,
        /// Probability that the reply of a call is lost. The called node has answered it.
        drop_reply: f64 [RATE] = 0,
        /// Probability that one byte of a reply is changed.
        corrupt: f64 [RATE] = 0,
        /// Probability that a call is sent twice. The first reply counts.
        duplicate: f64 [RATE] = 0,
    }
}

keys! {
    /// Effects on the bytes of connections.
    pub struct WireEffects: Default {
        /// The direction of the bytes.
        direction: WireDirection = "both",
        /// Maximum number of bytes per second of each link and direction.
        bandwidth: Option<Bytes>,
        /// Delay of all bytes.
        delay: Option<f64> [DELAY],
        /// Sizes and pauses of the pieces in which bytes are passed on.
        slice: Option<Slice>,
        /// Whether open connections stall. New connections are not affected.
        stall: bool = false,
        /// Whether all bytes are discarded, as by a peer that has disappeared.
        silence: bool = false,
        /// Number of bytes after which a connection is reset.
        reset: Option<Bytes>,
        /// Time by which the end of a connection is delayed.
        slow_close: Option<f64> [DELAY],
    }
}

keys! {
    /// The two ends of links.
    pub struct LinkEnds: Eq {
        /// The callers. If absent: all nodes.
        from: Option<Vec<NodeSet>> [OneOrMany(&NodeSet::KIND)],
        /// The called nodes.
        to: Vec<NodeSet> [OneOrMany(&NodeSet::KIND)],
    }
}

keys! {
    /// The pieces in which bytes are passed on.
    pub struct Slice: Copy {
        /// Maximum number of bytes of a piece.
        bytes: u32 [Integer(1..=1_048_576)],
        /// Pause after each piece.
        pause: f64 [Duration(0.0..=60.0)] = 0,
    }
}

keys! {
    /// Miners that join the network during the run.
    pub struct Newcomers {
        /// Number of miners.
        count: u32 [Integer(1..=1_024)],
        /// Behaviour of the miners. If absent: honest, as the dendrite pool specifies.
        behaviour: Option<BehaviourSpec>,
        /// The behaviours below `behaviour`, the uppermost first. An honest miner is below the last.
        over: Vec<BehaviourSpec> [OneOrMany(&BehaviourSpec::KIND)] = [],
        /// Name of the group in tables and plots. If absent: the name of the behaviour.
        label: Option<String>,
        /// Label of the miners with which these are compared. If absent: `honest`.
        control: Option<String>,
    }
}

impl Newcomers {
    /// Returns the role of the miners: the names of their behaviours except `honest`, the uppermost first. `None` if
    /// there are none.
    pub fn role(&self) -> Option<String> {
        let behaviours = self.behaviour.iter().chain(&self.over).map(BehaviourSpec::name);
        let names: Vec<&str> = behaviours.filter(|name| *name != "honest").collect();
        (!names.is_empty()).then(|| names.join(" over "))
    }

    /// Returns the label of the miners: the given one, or their role. `None` if they have neither.
    pub fn label(&self) -> Option<String> {
        self.label.clone().or_else(|| self.role())
    }
}

impl Fault {
    /// Returns the number of miners that join in each occurrence of the fault.
    pub fn newcomers(&self) -> u32 {
        match self {
            Self::Join(join) => join.join.count,
            _ => 0,
        }
    }
}

/// The registry of the kinds of faults: evaluates an expression with the fault of any kind.
#[macro_export]
macro_rules! each_fault {
    ($fault:expr, |$kind:ident| $then:expr) => {
        match $fault {
            $crate::Fault::Link($kind) => $then,
            $crate::Fault::Wire($kind) => $then,
            $crate::Fault::Partition($kind) => $then,
            $crate::Fault::Kill($kind) => $then,
            $crate::Fault::CrashLoop($kind) => $then,
            $crate::Fault::Pause($kind) => $then,
            $crate::Fault::Limit($kind) => $then,
            $crate::Fault::DiskFull($kind) => $then,
            $crate::Fault::Clock($kind) => $then,
            $crate::Fault::Inject($kind) => $then,
            $crate::Fault::InjectValidators($kind) => $then,
            $crate::Fault::Join($kind) => $then,
            $crate::Fault::Leave($kind) => $then,
        }
    };
}

impl Fault {
    /// Returns the time of the fault.
    pub fn when(&self) -> &When {
        each_fault!(self, |kind| &kind.when)
    }

    /// Returns the time of the fault for changes.
    pub fn when_mut(&mut self) -> &mut When {
        each_fault!(self, |kind| &mut kind.when)
    }

    /// Checks the relations between the keys, after a change.
    ///
    /// # Errors
    /// Returns a description of the problem.
    pub fn check(&self) -> Result<(), String> {
        sound(self).map_err(|unsound| unsound.message)
    }

    /// Returns the beginning of the first occurrence.
    pub fn start(&self) -> Moment {
        self.when().start_of(self.lasts())
    }

    /// Returns the duration of each occurrence: `for`, or `restart_after` of a kill. `None` if there is none.
    pub fn lasts(&self) -> Option<Span> {
        let restart_after = match self {
            Self::Kill(kill) => kill.restart_after,
            _ => None,
        };
        self.when().r#for.or(restart_after)
    }

    /// Returns the name of the kind, which is the key that determines it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::Wire(_) => "wire",
            Self::Partition(_) => "partition",
            Self::Kill(_) => "kill",
            Self::CrashLoop(_) => "crash_loop",
            Self::Pause(_) => "pause",
            Self::Limit(_) => "limit",
            Self::DiskFull(_) => "disk_full",
            Self::Clock(_) => "clock",
            Self::Inject(_) => "inject",
            Self::InjectValidators(_) => "inject_validators",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
        }
    }

    /// Returns the sets of nodes that the fault names, in the order of the file.
    pub fn nodes(&self) -> Vec<NodeSet> {
        match self {
            Self::Link(LinkFault { link: ends, .. }) | Self::Wire(WireFault { wire: ends, .. }) => {
                ends.from.iter().flatten().chain(&ends.to).cloned().collect()
            }
            Self::Partition(fault) => fault.partition.iter().flatten().cloned().collect(),
            Self::Kill(fault) => fault.kill.clone(),
            Self::CrashLoop(fault) => fault.crash_loop.clone(),
            Self::Pause(fault) => fault.pause.clone(),
            Self::Limit(fault) => fault.limit.clone(),
            Self::DiskFull(fault) => fault.disk_full.clone(),
            Self::Clock(fault) => fault.clock.clone(),
            Self::Inject(fault) => vec![NodeSet::Uids(fault.inject.clone())],
            Self::InjectValidators(fault) => vec![NodeSet::Validators(fault.inject_validators.clone())],
            Self::Join(_) => Vec::new(),
            Self::Leave(fault) => fault.leave.clone(),
        }
    }

    /// Describes the affected nodes for people: `validator-0 to uid 3-7`.
    pub fn who(&self) -> String {
        match self {
            Self::Link(LinkFault { link: ends, .. }) | Self::Wire(WireFault { wire: ends, .. }) => {
                let from = ends.from.as_deref().map_or("all nodes".to_owned(), nodes_text);
                format!("{from} to {}", nodes_text(&ends.to))
            }
            Self::Partition(PartitionFault {
                partition, one_way, ..
            }) => {
                let sets: Vec<String> = partition.iter().map(|set| nodes_text(set)).collect();
                sets.join(if *one_way { " → " } else { " | " })
            }
            Self::Join(JoinFault { join, .. }) => match join.count {
                1 => "1 new miner".to_owned(),
                count => format!("{count} new miners"),
            },
            _ => nodes_text(&self.nodes()),
        }
    }

    /// Returns whether the proxy carries out the fault.
    pub fn is_on_the_wire(&self) -> bool {
        matches!(self, Self::Wire(_) | Self::Partition(_))
    }
}

impl LinkEffects {
    /// Returns whether there is any effect.
    pub fn has_effect(&self) -> bool {
        let rates = [
            self.refuse,
            self.drop,
            self.goaway,
            self.stall,
            self.drop_reply,
            self.corrupt,
            self.duplicate,
        ];
        self.latency.is_some()
            || self.jitter.is_some()
            || self.error.is_some()
            || self.reset.is_some()
            || rates.iter().any(|rate| *rate > 0.0)
    }
}

impl WireEffects {
    /// Returns whether there is any effect.
    pub fn has_effect(&self) -> bool {
        self.bandwidth.is_some()
            || self.delay.is_some()
            || self.slice.is_some()
            || self.stall
            || self.silence
            || self.reset.is_some()
            || self.slow_close.is_some()
    }
}

impl Fault {
    /// Returns why the fault changes nothing, whenever it occurs, with advice. `None` if it changes something.
    pub fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Link(link) if !link.effects.has_effect() => Some((
                "the fault has no effect: it names links and no effect on them",
                "add an effect, such as `latency: 200ms` or `drop: 0.05`",
            )),
            Self::Wire(wire) if !wire.effects.has_effect() => Some((
                "the fault has no effect: it names connections and no effect on them",
                "add an effect, such as `bandwidth: 64kB` or `stall: true`",
            )),
            Self::Partition(PartitionFault { partition, .. }) if partition.len() < 2 => Some((
                "the fault has no effect: `partition` has fewer than two sets of nodes",
                "write at least two sets, such as `[[validator-0, uid 0-7], [validator-1, uid 8-15]]`",
            )),
            Self::Limit(LimitFault {
                cpu: None,
                memory: None,
                ..
            }) => Some((
                "the fault has no effect: it names nodes and no limit",
                "add `cpu` or `memory`",
            )),
            Self::Join(JoinFault { when, .. }) | Self::Leave(LeaveFault { when, .. })
                if when.r#for.is_some() || when.until.is_some() || when.every.is_some() =>
            {
                Some((
                    "`for`, `until` and `every` have no effect: miners join and leave once, for good",
                    "remove them, and write one entry for each time",
                ))
            }
            _ => None,
        }
    }
}

impl<'a, N: Tree> At<'a, N, Fault> {
    /// Returns the place of the keys of the time, which every kind of fault has.
    pub fn when(self) -> At<'a, N, When> {
        self.same()
    }
}

fn sound(fault: &Fault) -> Result<(), Unsound> {
    fault.when().sound(fault.lasts())?;
    let unsound = |key, message: &str, help: &str| {
        Err(Unsound {
            key,
            message: message.to_owned(),
            help: help.to_owned(),
        })
    };
    match fault {
        Fault::Wire(WireFault {
            effects: WireEffects {
                bandwidth: Some(Bytes(0)),
                ..
            },
            ..
        }) => unsound(
            "bandwidth",
            "`bandwidth` is 0, with which no byte ever passes",
            "write a larger number, or `stall: true`",
        ),
        Fault::Kill(KillFault {
            restart_after: Some(_),
            when,
            ..
        }) if when.r#for.is_some() || when.until.is_some() && when.every.is_none() => unsound(
            "restart_after",
            "the end of the fault is given twice: `restart_after`, and `for` or `until`",
            "keep one of them",
        ),
        Fault::Kill(KillFault {
            restart_after: Some(span),
            when,
            ..
        }) if span.unit() != Unit::Time && span.unit() != fault.start().unit() => unsound(
            "restart_after",
            &format!(
                "the fault begins at {} and the restart comes after {span}",
                fault.start()
            ),
            "write both in the same unit, or a time such as `restart_after: 5s`",
        ),
        _ => Ok(()),
    }
}
