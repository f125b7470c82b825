//! The neuron: forward, and what follows from it.
//!
//! A forward is planned (whom to ask), asked (the fan-out), and settled (rewards, training, one event). The v4 core
//! validator does the same, point for point.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mirror_identity::{Coldkey, SecretKey};
use mirror_models::gating::{GatingModel, Lesson, Question, Seen};
use mirror_models::reward::{Candidate, RewardModel};
use mirror_models::training::Look;
use mirror_proto::mirror::v1::{
    AxonCall, DispatchError, ForwardEvent, Outcome, ParameterState, Purpose, WeightsSet, record,
};
use mirror_seed::{CallId, CallNumber, Draw, Seed};
use mirror_spec::launch::ValidatorLaunch;
use mirror_subtensor_client::{Barrier, Detail, Metagraph, SubtensorClient};
use rand::seq::index;
use tonic::Code;

use crate::behaviour::{Behaviour, Known};
use crate::checkpoint::{self, Checkpoints};
use crate::conversation::Conversation;
use crate::dendrite::{Backward, DendritePool, FanOut, Reply};
use crate::learned::Learned;
use crate::reporter::Reporter;
use crate::weights::{self, History, Limits, Processed, Unweighable, Waiting};

/// Characters of an axon's own words that are recorded.
const RECORDED_MESSAGE: usize = 256;

/// Bytes of a question that are recorded.
const RECORDED_QUESTION: usize = 64 << 10;

/// Bytes of all completions of an event that are recorded; `size` tells how long each was.
const RECORDED_COMPLETIONS: usize = 32 << 20;

/// Bytes of one completion that are recorded.
const RECORDED_COMPLETION: usize = 64 << 10;

/// A validator at work.
pub struct Neuron {
    /// Its launch description.
    pub(crate) launch: ValidatorLaunch,
    /// Its name in the run, `validator-0`.
    pub(crate) name: String,
    pub(crate) seed: Seed,
    /// Signs its transactions.
    pub(crate) key: SecretKey,
    pub(crate) subtensor: SubtensorClient,
    pub(crate) barrier: Barrier,
    pub(crate) dendrite: DendritePool,
    pub(crate) gating: Box<dyn GatingModel>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) reward: Box<dyn RewardModel>,
    pub(crate) behaviour: Box<dyn Behaviour>,
    pub(crate) reporter: Reporter,
    pub(crate) history: History,
    pub(crate) metagraph: Metagraph,
    /// Stake behind this validator's hotkey that is not its own, by coldkey, in rao.
    pub(crate) nominators: Vec<(Coldkey, u64)>,
    /// The open block, as far as it is known here.
    pub(crate) block: u64,
    /// Block of the metagraph in use.
    pub(crate) synced_block: u64,
    /// Block of the last setting of weights.
    pub(crate) epoch_block: u64,
    /// uids whose hotkey changed since the last event.
    pub(crate) resets: BTreeSet<u32>,
    /// Weights on their way to the chain.
    pub(crate) waiting: Waiting,
    /// The same as the memory has them.
    pub(crate) remembered: Waiting,
    /// Forwards by hand so far.
    pub(crate) by_hand: u64,
}

/// What is asked, of how many, and what is done with the answers.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The messages.
    pub conversation: Conversation,
    /// The conversation asks for a question.
    pub is_question: bool,
    /// How many axons; `None` or -1: every serving one.
    pub topk: Option<i64>,
    /// Who.
    pub choice: Choice,
    /// What is done with the answers.
    pub judgement: Judgement,
    /// Deadline, seconds before scaling.
    pub timeout: f64,
    /// `train`, `forward` or `inference`.
    pub method: &'static str,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Those with the highest scores.
    BestScores,
    /// A random sample.
    Sample,
}

/// What is done with the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Rewards are given and remembered; models and network learn from them as told.
    Reward {
        /// The gating model.
        train_gating_model: bool,
        /// The axons.
        train_network: bool,
    },
    /// The best-scored axon that said anything is believed. Nothing is learned.
    TrustScores,
    /// The best-rewarded of those that said anything is believed. Nothing is learned.
    TrustRewards,
}

/// Which forward it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which {
    /// Who wants it.
    pub purpose: Purpose,
    /// Step of the query, or number of the forward by hand.
    pub step: u64,
    /// Forward within the step.
    pub step_sub: u32,
}

/// A forward that is about to be asked.
pub struct Plan {
    ask: Ask,
    which: Which,
    /// What the gating model scored.
    text: String,
    scores: Vec<f32>,
    /// The gating model saw only the end of it.
    truncated: u32,
    fan_out: FanOut,
    started: Instant,
    started_at: SystemTime,
}

/// What a forward came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Which forward.
    pub which: Which,
    /// Whom it asked.
    pub asked: Vec<u32>,
    /// Who succeeded, with completion and reward.
    pub succeeded: Vec<(u32, String, Option<f32>)>,
    /// Position of the best among those who succeeded.
    pub best: Option<usize>,
}

impl Settled {
    /// The best completion.
    pub fn completion(&self) -> Option<&str> {
        self.succeeded
            .get(self.best?)
            .map(|(_, completion, _)| completion.as_str())
    }

    /// Who gave the best completion.
    pub fn best_uid(&self) -> Option<u32> {
        self.succeeded.get(self.best?).map(|(uid, _, _)| *uid)
    }
}

/// Whether a step goes on after an event, which decides what a restarted validator makes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The step is over with this event.
    Always,
    /// The step is over unless there is a best completion to go on with.
    WithoutBest,
    /// More events of the step follow.
    Never,
}

impl Neuron {
    /// Asks the network once: plan, fan-out, settlement.
    pub async fn forward(&mut self, ask: Ask, which: Which, ends: Ends) -> anyhow::Result<Settled> {
        let plan = self.plan(ask, which);
        let answered = plan.ask(&self.dendrite).await;
        self.settle(plan, answered, ends).await
    }

    /// Asks several things at once and settles them in their order: the forwards of one step.
    pub async fn forward_together(&mut self, asks: Vec<Ask>, step: u64) -> anyhow::Result<Vec<Settled>> {
        let count = asks.len();
        let plans: Vec<Plan> = (0u32..)
            .zip(asks)
            .map(|(step_sub, ask)| {
                self.plan(
                    ask,
                    Which {
                        purpose: Purpose::Query,
                        step,
                        step_sub,
                    },
                )
            })
            .collect();
        let dendrite = &self.dendrite;
        let answered = futures::future::join_all(plans.iter().map(|plan| plan.ask(dendrite))).await;
        let mut settled = Vec::with_capacity(count);
        for (position, (plan, answered)) in plans.into_iter().zip(answered).enumerate() {
            let ends = if position + 1 == count {
                Ends::Always
            } else {
                Ends::Never
            };
            settled.push(self.settle(plan, answered, ends).await?);
        }
        Ok(settled)
    }

    /// The first forward of the next step by hand.
    pub fn by_hand(&mut self) -> Which {
        self.by_hand += 1;
        Which {
            purpose: Purpose::ByHand,
            step: self.by_hand,
            step_sub: 0,
        }
    }

    fn plan(&mut self, ask: Ask, which: Which) -> Plan {
        let Which {
            purpose,
            step,
            step_sub,
        } = which;
        let call = if purpose == Purpose::ByHand {
            CallNumber::MANUAL
        } else {
            CallNumber::QUERY
        };
        let forward = CallId {
            caller: self.dendrite.hotkey(),
            step,
            half: step_sub,
            uid: 0,
            call,
        };
        let text = ask.conversation.unravelled();
        let scores = self.gating.scores(&Question { text: &text, forward });
        let asks = purpose == Purpose::ByHand || self.behaviour.asks(step);
        let serving: Vec<u32> = if asks {
            self.metagraph.serving(self.launch.num_nodes).collect()
        } else {
            Vec::new()
        };
        let draw = self.seed.about_call("chosen uids", &forward);
        let uids = choose(&serving, &scores, ask.topk, ask.choice, draw);
        let timeout = Duration::try_from_secs_f64(ask.timeout * self.launch.time_scale).unwrap_or_default();
        let fan_out = FanOut {
            forward,
            messages: ask.conversation.encoded(),
            uids,
            timeout,
        };
        Plan {
            ask,
            which,
            text,
            scores,
            truncated: self.gating.take_truncated(),
            fan_out,
            started: Instant::now(),
            started_at: SystemTime::now(),
        }
    }

    async fn settle(&mut self, plan: Plan, answered: Answered, ends: Ends) -> anyhow::Result<Settled> {
        let Answered { replies, call_time } = answered;
        let mut judged = self.judge(&plan, &replies);
        if let Judgement::Reward {
            train_network: true, ..
        } = plan.ask.judgement
        {
            judged.told = self.dendrite.backward(judged.backwards(&plan, &replies)).await;
        }
        let last_of_step = match ends {
            Ends::Always => true,
            Ends::WithoutBest => judged.best.is_none(),
            Ends::Never => false,
        };
        let learned = self.learn(&plan, &replies, &judged, last_of_step);
        let event = self.event(&plan, &replies, &judged, call_time);
        self.reporter.report(record::Kind::Event(event), learned).await?;
        let mut settled = Settled {
            which: plan.which,
            asked: plan.fan_out.uids,
            succeeded: Vec::with_capacity(judged.successes.len()),
            best: judged.best_success(),
        };
        for (position, reply) in replies.into_iter().enumerate() {
            if judged.successes.contains(&position) {
                settled
                    .succeeded
                    .push((reply.uid, reply.completion, judged.rewards[position]));
            }
        }
        Ok(settled)
    }

    /// Whose completions count, what they are worth, and which is the best.
    fn judge(&mut self, plan: &Plan, replies: &[Reply]) -> Judged {
        let positions = |counts: fn(&Reply) -> bool| -> Vec<usize> {
            (0..replies.len())
                .filter(|position| counts(&replies[*position]))
                .collect()
        };
        let said_anything = |reply: &Reply| !reply.completion.is_empty();
        match plan.ask.judgement {
            Judgement::TrustScores => Judged::by_score(positions(said_anything), replies.len()),
            Judgement::TrustRewards => {
                let successes = positions(said_anything);
                let rewards = self.rewards(plan, replies, &successes);
                Judged {
                    truncated: self.reward.take_truncated(),
                    ..Judged::by_reward(successes, &rewards, replies.len())
                }
            }
            Judgement::Reward {
                train_gating_model, ..
            } => {
                let successes = positions(|reply| reply.outcome == Outcome::Success);
                let rewards = self.rewards(plan, replies, &successes);
                let judged = Judged {
                    truncated: self.reward.take_truncated(),
                    ..Judged::by_reward(successes, &rewards, replies.len())
                };
                let gating_loss = train_gating_model.then(|| self.train(plan, replies, &judged));
                let gating_loss = gating_loss.flatten();
                Judged {
                    gating_loss,
                    looks: gating_loss.map_or_else(Vec::new, |_| self.look(plan.which.step)),
                    ..judged
                }
            }
        }
    }

    /// One training step of the gating model; its loss, where there was anything to learn from.
    fn train(&mut self, plan: &Plan, replies: &[Reply], judged: &Judged) -> Option<f32> {
        let (positions, rewards): (Vec<usize>, Vec<f32>) = judged.rewarded().unzip();
        let uids: Vec<u32> = positions.iter().map(|position| replies[*position].uid).collect();
        self.gating.backward(&Lesson {
            question: Question {
                text: &plan.text,
                forward: plan.fan_out.forward,
            },
            uids: &uids,
            scores: &plan.scores_of(replies, &positions),
            rewards: &rewards,
        })
    }

    /// What the gating model's parameters are, in the steps in which that is told.
    fn look(&mut self, step: u64) -> Vec<Look> {
        let every = self.launch.neuron.watch_every;
        let is_told = every > 0 && step.is_multiple_of(every);
        let trained = self.gating.trained().filter(|_| is_told);
        trained.map(|trained| trained.look()).unwrap_or_default()
    }

    /// Rewards of the replies at `positions`, in their order.
    fn rewards(&mut self, plan: &Plan, replies: &[Reply], positions: &[usize]) -> Vec<f32> {
        if self.launch.neuron.no_reward_model {
            return plan.scores_of(replies, positions);
        }
        let prompt = plan.ask.conversation.flattened();
        let candidate = |position: &usize| Candidate {
            call: CallId {
                uid: replies[*position].uid,
                ..plan.fan_out.forward
            },
            prompt: &prompt,
            completion: replies[*position].completion.trim(),
        };
        let candidates: Vec<Candidate<'_>> = positions.iter().map(candidate).collect();
        self.reward.rewards(&candidates)
    }

    /// Moves the averages and tells the gating model. What a query's event taught is to be remembered.
    fn learn(
        &mut self,
        plan: &Plan,
        replies: &[Reply],
        judged: &Judged,
        last_of_step: bool,
    ) -> Option<Learned> {
        let mut learned = Learned {
            step: plan.which.step,
            step_sub: plan.which.step_sub,
            last_of_step,
            synced_block: self.synced_block,
            epoch_block: self.epoch_block,
            ..Learned::default()
        };
        if matches!(plan.ask.judgement, Judgement::Reward { .. }) {
            for (position, reward) in judged.rewarded() {
                let reply = &replies[position];
                learned.uids.push(reply.uid);
                learned.rewards.push(reward);
                learned.lengths.push(reply.completion.chars().count() as u32);
            }
            learned.trained_on = judged.gating_loss.map(|_| plan.text.clone());
        }
        let of_query = plan.which.purpose == Purpose::Query;
        // v4 notices changed hotkeys between two events of its history, which holds successes only.
        if of_query && !learned.uids.is_empty() {
            learned.resets = std::mem::take(&mut self.resets).into_iter().collect();
        }
        if of_query && self.waiting != self.remembered {
            self.remembered.clone_from(&self.waiting);
            learned.waiting = Some(self.waiting.clone());
        }
        self.take_in(&learned);
        of_query.then_some(learned)
    }

    /// Gives the gating model the parameters of its newest checkpoint that has seen no more than so many steps; returns how
    /// many it has seen.
    pub(crate) fn restore(&mut self, steps: u64) -> anyhow::Result<u64> {
        let Some((seen, path)) = self.checkpoints.newest(steps)? else {
            return Ok(0);
        };
        checkpoint::restore(&mut *self.gating, &path)?;
        tracing::info!(steps = seen, path = %path.display(), "goes on from a checkpoint");
        Ok(seen)
    }

    /// Writes a checkpoint of the gating model after so many steps.
    pub(crate) fn write_checkpoint(&mut self, steps: u64) -> anyhow::Result<()> {
        self.checkpoints.write(steps, &mut *self.gating)
    }

    /// What an event teaches, when it happens and when it is remembered after a new start.
    pub(crate) fn take_in(&mut self, learned: &Learned) {
        if !learned.uids.is_empty() {
            self.history
                .record(&learned.uids, &learned.rewards, &learned.resets);
        }
        let both = learned.uids.iter().zip(&learned.lengths);
        let seen: Vec<Seen> = both
            .map(|(uid, length)| Seen {
                uid: *uid,
                length: *length,
            })
            .collect();
        self.gating.observe(&seen);
    }

    /// The training step that an event brought, made again after a new start.
    pub(crate) fn train_again(&mut self, learned: &Learned) {
        let Some(text) = &learned.trained_on else {
            return;
        };
        let forward = CallId {
            caller: self.dendrite.hotkey(),
            step: learned.step,
            half: learned.step_sub,
            uid: 0,
            call: CallNumber::QUERY,
        };
        let loss = self.gating.backward(&Lesson {
            question: Question { text, forward },
            uids: &learned.uids,
            // Models that learn score the question again.
            scores: &[],
            rewards: &learned.rewards,
        });
        tracing::debug!(step = learned.step, ?loss, "trained again");
    }

    fn event(&self, plan: &Plan, replies: &[Reply], judged: &Judged, call_time: Duration) -> ForwardEvent {
        let share = (RECORDED_COMPLETIONS / replies.len().max(1)).min(RECORDED_COMPLETION);
        let calls = replies
            .iter()
            .zip(&judged.rewards)
            .map(|(reply, reward)| AxonCall {
                uid: reply.uid,
                outcome: reply.outcome.into(),
                grpc_code: reply.grpc_code.into(),
                return_code: reply.return_code,
                return_message: reply.return_message.chars().take(RECORDED_MESSAGE).collect(),
                latency: reply.latency.as_secs_f32(),
                size: reply.completion.len() as u64,
                completion: first_bytes(&reply.completion, share).to_owned(),
                reward: *reward,
                timing_dependent: reply.timing_dependent,
                drawn_delay: reply.drawn_delay.map(|delay| delay.as_secs_f32()),
                backward_code: judged.told.get(&reply.uid).map(|code| *code as i32),
            });
        let parameters = judged.looks.iter().map(|look| ParameterState {
            name: look.name.clone(),
            gradient_norm: look.gradient_norm,
            minimum: look.minimum,
            maximum: look.maximum,
            histogram: look.histogram.clone(),
        });
        ForwardEvent {
            validator: self.name.clone(),
            purpose: plan.which.purpose.into(),
            step: plan.which.step,
            step_sub: plan.which.step_sub,
            block: self.block,
            metagraph_version: self.metagraph.version,
            method: plan.ask.method.to_owned(),
            is_question: plan.ask.is_question,
            message: first_bytes(plan.ask.conversation.asked(), RECORDED_QUESTION).to_owned(),
            scores: plan.scores.clone(),
            calls: calls.collect(),
            best: judged.best.map(|position| position as u32),
            gating_loss: judged.gating_loss,
            truncated_texts: plan.truncated + judged.truncated,
            unjudged: judged.unjudged(),
            parameters: parameters.collect(),
            started_at: plan
                .started_at
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
            call_time: call_time.as_secs_f64(),
            trace_id: self.dendrite.trace(&plan.fan_out.forward).to_vec(),
        }
    }

    /// Fetches the metagraph as it was at `block`, now when none is named, and who nominates this validator.
    pub(crate) async fn resync(&mut self, block: Option<u64>) -> anyhow::Result<()> {
        let metagraph = self.subtensor.metagraph(block, Detail::Lite).await?;
        self.resets.extend(metagraph.changed_hotkeys(&self.metagraph));
        let axons = metagraph.neurons.iter().map(|neuron| neuron.axon);
        self.dendrite.resync(axons);
        self.synced_block = metagraph.block;
        self.metagraph = metagraph;
        self.nominators = self.subtensor.nominators(&self.key.public()).await?;
        tracing::info!(
            block = self.synced_block,
            version = self.metagraph.version,
            serving = self.metagraph.serving(self.launch.num_nodes).count(),
            nominators = self.nominators.len(),
            "resynced the metagraph"
        );
        Ok(())
    }

    /// The weights that its behaviour makes of what was learned, under the chain's limits.
    ///
    /// # Errors
    /// [`Unweighable`], when what was learned is no numbers.
    pub fn compute_weights(&self) -> Result<Processed, Unweighable> {
        let known = Known {
            averages: self.history.averages(self.metagraph.neurons.len()),
            metagraph: &self.metagraph,
            seed: self.seed.numbered_child("weights", self.epoch_block),
        };
        let limits = Limits::from(&self.metagraph.hyperparameters);
        weights::process(&self.behaviour.weigh(known), &limits)
    }

    /// A record of weights that cannot be set, for they are no numbers: none for anybody.
    pub(crate) fn unset_weights_record(&self, step: u64) -> WeightsSet {
        let uids: Vec<_> = (0..self.metagraph.neurons.len() as u32).collect();
        let weights = vec![0.0; uids.len()];
        WeightsSet {
            refusal: Some(DispatchError::WeightsNotFinite.into()),
            ..self.weights_record(step, Processed { uids, weights })
        }
    }

    /// A record of weights that are about to be set.
    pub(crate) fn weights_record(&self, step: u64, weights: Processed) -> WeightsSet {
        WeightsSet {
            validator: self.name.clone(),
            step,
            block: self.block,
            uids: weights.uids,
            weights: weights.weights,
            refusal: None,
        }
    }
}

/// What came back, and how long it took until the last reply.
struct Answered {
    replies: Vec<Reply>,
    call_time: Duration,
}

impl Plan {
    async fn ask(&self, dendrite: &DendritePool) -> Answered {
        let replies = dendrite.forward(&self.fan_out).await;
        Answered {
            replies,
            call_time: self.started.elapsed(),
        }
    }

    /// The gating model's scores of those who replied at `positions`.
    fn scores_of(&self, replies: &[Reply], positions: &[usize]) -> Vec<f32> {
        positions
            .iter()
            .map(|position| self.score(replies[*position].uid))
            .collect()
    }

    fn score(&self, uid: u32) -> f32 {
        self.scores.get(uid as usize).copied().unwrap_or_default()
    }
}

/// Replies, judged: positions are those of the replies.
struct Judged {
    successes: Vec<usize>,
    best: Option<usize>,
    rewards: Vec<Option<f32>>,
    gating_loss: Option<f32>,
    /// Texts of which the reward model saw only the end.
    truncated: u32,
    /// The gating model's parameters after its step, where they are told.
    looks: Vec<Look>,
    /// How the calls ended that told axons their rewards, by uid.
    told: HashMap<u32, Code>,
}

impl Judged {
    /// Replies stand in the order of their scores, so the first success is the best.
    fn by_score(successes: Vec<usize>, replies: usize) -> Self {
        Self {
            best: successes.first().copied(),
            successes,
            rewards: vec![None; replies],
            gating_loss: None,
            truncated: 0,
            looks: Vec::new(),
            told: HashMap::new(),
        }
    }

    /// `found` are the rewards of the successes. A reward that is no number is never the best while there is one.
    fn by_reward(successes: Vec<usize>, found: &[f32], replies: usize) -> Self {
        let mut rewards = vec![None; replies];
        let mut best: Option<(usize, f32)> = None;
        for (position, reward) in successes.iter().zip(found) {
            rewards[*position] = Some(*reward);
            if best.is_none_or(|(_, highest)| *reward > highest || highest.is_nan()) {
                best = Some((*position, *reward));
            }
        }
        Self {
            best: best.map(|(position, _)| position),
            successes,
            rewards,
            gating_loss: None,
            truncated: 0,
            looks: Vec::new(),
            told: HashMap::new(),
        }
    }

    /// Positions that have a reward to learn from: one that is no number, or infinite, teaches nothing.
    fn rewarded(&self) -> impl Iterator<Item = (usize, f32)> {
        let rewards = (0..).zip(&self.rewards);
        rewards.filter_map(|(position, reward)| Some((position, reward.filter(|reward| reward.is_finite())?)))
    }

    /// Rewards that teach nothing.
    fn unjudged(&self) -> u32 {
        let rewards = self.rewards.iter().flatten();
        rewards.filter(|reward| !reward.is_finite()).count() as u32
    }

    /// What the successful axons are told.
    fn backwards(&self, plan: &Plan, replies: &[Reply]) -> Vec<Backward> {
        let backward = |(position, reward): (usize, f32)| {
            let reply = &replies[position];
            let call = plan.fan_out.forward.call.reward();
            Backward {
                call: CallId {
                    uid: reply.uid,
                    call,
                    ..plan.fan_out.forward
                },
                messages: plan.fan_out.messages.clone(),
                completion: reply.completion.clone(),
                reward,
                timeout: plan.fan_out.timeout,
            }
        };
        self.rewarded().map(backward).collect()
    }

    /// Position of the best among the successes.
    fn best_success(&self) -> Option<usize> {
        let best = self.best?;
        self.successes.iter().position(|position| *position == best)
    }
}

/// Those of `serving` who are asked: at most `topk`, best scores first (of equal scores the lower uid), or a sample. Who
/// scores minus infinity is masked out, and not asked.
fn choose(serving: &[u32], scores: &[f32], topk: Option<i64>, choice: Choice, draw: Draw) -> Vec<u32> {
    let is_masked = |uid: &u32| scores.get(*uid as usize) == Some(&f32::NEG_INFINITY);
    let mut serving = serving.to_vec();
    serving.retain(|uid| !is_masked(uid));
    let most = topk
        .and_then(|topk| usize::try_from(topk).ok())
        .map_or(serving.len(), |topk| topk.min(serving.len()));
    match choice {
        Choice::BestScores => {
            let score = |uid: &u32| scores.get(*uid as usize).copied().unwrap_or(f32::NEG_INFINITY);
            let mut best_first = serving;
            best_first.sort_by(|a, b| score(b).total_cmp(&score(a)));
            best_first.truncate(most);
            best_first
        }
        Choice::Sample => {
            let chosen = index::sample(&mut draw.generator(), serving.len(), most);
            chosen
                .into_iter()
                .filter_map(|index| serving.get(index).copied())
                .collect()
        }
    }
}

/// As much of the text's beginning as fits into so many bytes.
fn first_bytes(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(step: u64) -> Draw {
        let call = CallId {
            caller: [0; 32],
            step,
            half: 0,
            uid: 0,
            call: CallNumber::QUERY,
        };
        Seed::root(1).about_call("chosen uids", &call)
    }

    #[test]
    fn topk_is_clamped_to_those_who_serve() {
        let scores = [0.1, 0.9, 0.5, 0.9];
        let best = |topk| choose(&[0, 1, 2, 3], &scores, topk, Choice::BestScores, draw(0));
        assert_eq!(best(Some(2)), [1, 3]);
        assert_eq!(best(Some(3)), [1, 3, 2]);
        assert_eq!(best(Some(99)), [1, 3, 2, 0]);
        assert_eq!(best(Some(-1)), best(None));
        assert_eq!(choose(&[], &scores, Some(2), Choice::BestScores, draw(0)), [0; 0]);
        assert_eq!(choose(&[], &scores, None, Choice::Sample, draw(0)), [0; 0]);
    }

    #[test]
    fn what_is_no_number_is_recorded_and_teaches_nothing() {
        let judged = Judged::by_reward(vec![0, 2, 3], &[f32::NAN, 0.5, f32::INFINITY], 4);
        assert!(judged.rewards[0].is_some_and(f32::is_nan));
        assert_eq!(judged.rewards[1], None);
        assert_eq!(judged.rewarded().collect::<Vec<_>>(), [(2, 0.5)]);
        assert_eq!(judged.unjudged(), 2);
    }

    #[test]
    fn who_is_masked_out_is_never_asked() {
        let scores = [0.5, f32::NEG_INFINITY, 0.1];
        for choice in [Choice::BestScores, Choice::Sample] {
            let mut asked = choose(&[0, 1, 2], &scores, None, choice, draw(0));
            asked.sort_unstable();
            assert_eq!(asked, [0, 2]);
        }
    }

    #[test]
    fn samples_are_of_those_who_serve_and_reach_everybody() {
        let mut met = BTreeSet::new();
        for step in 0..200 {
            let mut chosen = choose(&[2, 5, 7, 11], &[], Some(2), Choice::Sample, draw(step));
            assert_eq!(chosen.len(), 2);
            chosen.dedup();
            assert_eq!(chosen.len(), 2);
            met.extend(chosen);
        }
        assert_eq!(met.into_iter().collect::<Vec<_>>(), [2, 5, 7, 11]);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(first_bytes("aé", 2), "a");
        assert_eq!(first_bytes("aé", 3), "aé");
        assert_eq!(first_bytes("aé", 9), "aé");
    }
}
