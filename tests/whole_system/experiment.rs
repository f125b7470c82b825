//! The experiment that most tests run, with different settings.

/// Eight miners that fail one call in five, of which each forward asks six, and a training of forty steps whose
/// acknowledged events are recorded.
pub(crate) const TRAINING: &str = "\
seed: 7
model:
  id: whole_system
  alpha: 0.9
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fail_rate: 0.2, fitness: 0.5}}
  gating_model: {name: RandomGatingModel, args: {distribution: uniform}}
  reward_model: {name: DummyRewardModel, args: {reward_type: num_words}}
  subtensor: {name: DummySubtensor, args: {epoch_length: 10}}
  metagraph: {name: DummyMetagraph, args: {num_nodes: 8}}
  neuron: {training_topk: 6}
query:
  id: training
  method: {name: train, args: {max_iter: 40}}
network:
  record_acknowledged: true
";

/// Number of axons that a forward of [`TRAINING`] asks.
pub(crate) const ASKED: usize = 6;
