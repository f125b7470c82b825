//! The validator's service: the experiment's query, and manual calls of forward, train and inference.
//!
//! A manual call waits for the step in progress. It updates the moving averages and the models like any other call, so
//! a run with manual calls cannot be reproduced from its random seed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mirror_proto::mirror::v1::Purpose;
use mirror_proto::mirror::v1::neuron_server::Neuron as NeuronService;
use mirror_proto::mirror::v1::{
    self as wire, ForwardReply, ForwardRequest, InferenceReply, InferenceRequest, QueryProgress,
    QueryRequest, TrainRequest,
};
use mirror_spec::{InferenceArgs, Query};
use mirror_telemetry::Instrument;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use crate::conversation::{Conversation, Message};
use crate::learned::LearningRecord;
use crate::neuron::ask::{self, Ask, Choice, Judgement};
use crate::neuron::{ForwardId, ForwardOutcome, Neuron, StepEnd};
use crate::query::{self, Progress};

/// Interval between progress messages.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);

/// Maximum number of steps of one manual call.
const MAX_MANUAL_STEPS: u32 = 1_000_000;

/// Maximum number of messages in a conversation.
const MAX_MESSAGES: usize = 1_024;

/// Maximum number of axons of a manual forward.
const MAX_TOPK: i32 = 65_536;

/// Maximum timeout of a request in seconds.
const MAX_TIMEOUT: f32 = 3_600.0;

/// A neuron and its query, served over gRPC.
#[derive(Clone)]
pub struct Service {
    neuron: Arc<Mutex<Neuron>>,
    query: Arc<Mutex<QueryState>>,
    /// Ends the streams, because a server waits for them when it shuts down.
    shutdown: CancellationToken,
}

/// The query of the launch config, with the records to resume it from. It is taken when the query starts.
pub struct PreparedQuery {
    /// The query.
    pub query: Query,
    /// The compiled questions.
    pub questions: Option<PathBuf>,
    /// Learning records of earlier starts of this validator.
    pub learned: Vec<LearningRecord>,
}

impl Service {
    /// Creates the service of a neuron with an optional query. Work in progress is abandoned when `shutdown` is
    /// cancelled.
    pub fn new(neuron: Neuron, query: Option<PreparedQuery>, shutdown: CancellationToken) -> Self {
        Self {
            neuron: Arc::new(Mutex::new(neuron)),
            query: Arc::new(Mutex::new(query.map_or(QueryState::None, QueryState::Prepared))),
            shutdown,
        }
    }
}

enum QueryState {
    /// There is no query.
    None,
    Prepared(PreparedQuery),
    Running(Running),
}

/// A query that runs or has ended. It is kept so that a client that lost its stream can call again.
#[derive(Clone)]
struct Running {
    progress: watch::Receiver<Progress>,
    ended: watch::Receiver<Option<Result<(), String>>>,
}

impl Service {
    /// Returns the running query, and starts it on the first call.
    async fn running(&self) -> Result<Running, Status> {
        let mut state = self.query.lock().await;
        match std::mem::replace(&mut *state, QueryState::None) {
            QueryState::None => Err(Status::failed_precondition("this validator has no query to run")),
            QueryState::Prepared(prepared) => {
                let running = self.start(prepared);
                *state = QueryState::Running(running.clone());
                Ok(running)
            }
            QueryState::Running(running) => {
                *state = QueryState::Running(running.clone());
                Ok(running)
            }
        }
    }

    fn start(&self, prepared: PreparedQuery) -> Running {
        let (sender, progress) = watch::channel(Progress::default());
        let (ending, ended) = watch::channel(None);
        let (neuron, shutdown) = (self.neuron.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            let PreparedQuery {
                query,
                questions,
                learned,
            } = prepared;
            let working = query::run(&neuron, &query, questions.as_deref(), &learned, &sender);
            if let Some(outcome) = shutdown.run_until_cancelled(Box::pin(working)).await {
                ending.send_replace(Some(outcome.map_err(|error| format!("{error:#}"))));
            }
        });
        Running { progress, ended }
    }
}

#[async_trait]
impl NeuronService for Service {
    type QueryStream = ReceiverStream<Result<QueryProgress, Status>>;
    type TrainStream = ReceiverStream<Result<ForwardReply, Status>>;

    async fn query(&self, _request: Request<QueryRequest>) -> Result<Response<Self::QueryStream>, Status> {
        let mut running = self.running().await?;
        let shutdown = self.shutdown.clone();
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PROGRESS_PAUSE);
            loop {
                let ended = running.ended.borrow_and_update().clone();
                let progress = *running.progress.borrow_and_update();
                let last = ended.is_some();
                let message = match ended {
                    None => Ok(wire_progress(progress)),
                    Some(Ok(())) => Ok(QueryProgress {
                        finished: true,
                        ..wire_progress(progress)
                    }),
                    Some(Err(reason)) => Err(Status::internal(reason)),
                };
                // The query continues even if the client has closed its stream.
                if sender.send(message).await.is_err() || last {
                    return;
                }
                tokio::select! {
                    _ = running.ended.changed() => {}
                    _ = ticks.tick() => {}
                    () = shutdown.cancelled() => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    #[tracing::instrument(name = "neuron.forward", level = "debug", skip_all)]
    async fn forward(&self, request: Request<ForwardRequest>) -> Result<Response<ForwardReply>, Status> {
        let request = request.into_inner();
        let conversation = conversation(request.messages)?;
        let mut neuron = self.neuron.lock().await;
        let ask = Ask {
            conversation,
            is_question: false,
            topk: topk(request.topk)?,
            choice: Choice::from_random_sample(request.random_sample_uids),
            judgement: Judgement::Reward {
                train_gating_model: request.train_gating_model,
                train_network: request.train_network,
            },
            timeout: timeout(request.timeout)?.unwrap_or(neuron.launch().neuron.training_timeout),
            method: "forward",
        };
        forward_manually(&mut neuron, ask)
            .await
            .map(|settled| Response::new(reply(settled)))
    }

    #[tracing::instrument(name = "neuron.train", level = "debug", skip_all)]
    async fn train(&self, request: Request<TrainRequest>) -> Result<Response<Self::TrainStream>, Status> {
        let steps = request.into_inner().max_iter;
        if steps > MAX_MANUAL_STEPS {
            return Err(Status::invalid_argument(format!(
                "max_iter is {steps}, expected at most {MAX_MANUAL_STEPS}"
            )));
        }
        let (sender, receiver) = mpsc::channel(16);
        let neuron = self.neuron.clone();
        let training = async move {
            for _ in 0..steps {
                for settled in train_step(&neuron).await {
                    let failed = settled.is_err();
                    if sender.send(settled.map(reply)).await.is_err() || failed {
                        return;
                    }
                }
            }
        };
        tokio::spawn(self.shutdown.clone().run_until_cancelled_owned(training));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    #[tracing::instrument(name = "neuron.inference", level = "debug", skip_all)]
    async fn inference(
        &self,
        request: Request<InferenceRequest>,
    ) -> Result<Response<InferenceReply>, Status> {
        let request = request.into_inner();
        let conversation = conversation(request.messages)?;
        let args = InferenceArgs {
            timeout: timeout(request.timeout)?,
            use_reward_model: request.use_reward_model,
        };
        let mut neuron = self.neuron.lock().await;
        let ask = Ask::inference(neuron.launch(), &args, conversation);
        let settled = forward_manually(&mut neuron, ask).await?;
        Ok(Response::new(InferenceReply {
            completion: settled.completion().unwrap_or_default().to_owned(),
            uid: settled.best_uid(),
            problem: problem(&settled),
        }))
    }
}

/// Makes one manual training step: the question, and the answer if there is a question.
async fn train_step(neuron: &Mutex<Neuron>) -> Vec<Result<ForwardOutcome, Status>> {
    let mut neuron = neuron.lock().await;
    let args = ask::train_args(neuron.launch());
    let id = match next_manual_forward(&mut neuron).await {
        Ok(id) => id,
        Err(status) => return vec![Err(status)],
    };
    // The question and the answer are forwards of one step, so they have one span.
    let span = neuron.step_span(Purpose::Manual, id.step);
    let forwards = async {
        let ask = Ask::for_question(neuron.launch(), &args);
        let question = neuron.forward(ask, id, StepEnd::Always).await;
        let asked = question
            .as_ref()
            .ok()
            .and_then(|question| Some(Ask::for_answer(neuron.launch(), &args, question.completion()?)));
        let mut settled = vec![question.map_err(failed)];
        if let Some(ask) = asked {
            let id = ForwardId {
                forward_index: 1,
                ..id
            };
            let answer = neuron.forward(ask, id, StepEnd::Always).await;
            settled.push(answer.map_err(failed));
        }
        settled
    };
    forwards.instrument(span).await
}

async fn forward_manually(neuron: &mut Neuron, ask: Ask) -> Result<ForwardOutcome, Status> {
    let id = next_manual_forward(neuron).await?;
    let span = neuron.step_span(Purpose::Manual, id.step);
    let forward = neuron.forward(ask, id, StepEnd::Always).instrument(span);
    forward.await.map_err(failed)
}

/// Returns the identity of the next manual forward, after the neuron has read the metagraph.
async fn next_manual_forward(neuron: &mut Neuron) -> Result<ForwardId, Status> {
    if neuron.chain().metagraph().neurons.is_empty() {
        neuron.resync(None).await.map_err(failed)?;
    }
    Ok(neuron.next_manual_forward())
}

#[allow(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn failed(error: anyhow::Error) -> Status {
    Status::internal(format!("{error:#}"))
}

fn reply(settled: ForwardOutcome) -> ForwardReply {
    let mut reply = ForwardReply {
        completion: settled.completion().unwrap_or_default().to_owned(),
        problem: problem(&settled),
        step: settled.id.step,
        forward_index: settled.id.forward_index,
        asked_uids: settled.asked,
        ..ForwardReply::default()
    };
    for (uid, completion, reward) in settled.succeeded {
        reply.successful_uids.push(uid);
        reply.rewards.push(reward.unwrap_or_default());
        reply.completions.push(completion);
    }
    reply
}

fn problem(settled: &ForwardOutcome) -> String {
    match (settled.asked.is_empty(), settled.best) {
        (true, _) => "no axon is serving".to_owned(),
        (false, None) => format!(
            "none of the {} axons that were called gave a completion",
            settled.asked.len()
        ),
        (false, Some(_)) => String::new(),
    }
}

fn conversation(messages: Vec<wire::Message>) -> Result<Conversation, Status> {
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        return Err(Status::invalid_argument(format!(
            "{} messages: expected between 1 and {MAX_MESSAGES}",
            messages.len()
        )));
    }
    let messages = messages
        .into_iter()
        .map(|wire::Message { role, content }| Message { role, content });
    Ok(Conversation::new(messages.collect()))
}

/// Checks a number of axons, by the rule for `topk` in the experiment file.
fn topk(count: Option<i32>) -> Result<Option<i64>, Status> {
    match count {
        Some(count) if count != -1 && !(1..=MAX_TOPK).contains(&count) => {
            Err(Status::invalid_argument(format!(
                "topk is {count}: expected -1 for all axons that serve, or a number from 1 to {MAX_TOPK}"
            )))
        }
        count => Ok(count.map(i64::from)),
    }
}

fn timeout(seconds: Option<f32>) -> Result<Option<f64>, Status> {
    match seconds {
        Some(seconds) if !(seconds > 0.0 && seconds <= MAX_TIMEOUT) => Err(Status::invalid_argument(
            format!("timeout is {seconds}: expected seconds above 0, up to {MAX_TIMEOUT}"),
        )),
        seconds => Ok(seconds.map(f64::from)),
    }
}

fn wire_progress(progress: Progress) -> QueryProgress {
    QueryProgress {
        steps_done: progress.steps_done,
        steps_total: progress.steps_total,
        failed_forwards: progress.failed_forwards,
        finished: false,
    }
}
