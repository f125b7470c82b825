//! The axon: Bittensor's text-prompting service, which answers calls with behaviours.
//!
//! Messages, return codes and gRPC statuses are those of the v4 protocol. A call must be signed, and the hotkey that
//! its body states must be the one that signed.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mirror_auth::{Sender, Verifier, VerifierState};
use mirror_identity::Hotkey;
use mirror_net::{metadata, server};
use mirror_proto::bittensor::text_prompting_server::{TextPrompting, TextPromptingServer};
use mirror_proto::bittensor::{
    BackwardTextPromptingRequest, BackwardTextPromptingResponse, ForwardTextPromptingRequest,
    ForwardTextPromptingResponse, MultiForwardTextPromptingRequest, MultiForwardTextPromptingResponse,
    ReturnCode,
};
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::AxonSettings;
use mirror_telemetry::{Instrument, Span, span};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, async_trait};

use crate::admission::Admission;
use crate::authenticated::Authenticated;
use crate::behaviour::{Answer, Behaviours, Call, Message, Reward};
use crate::network::Network;
use crate::refusals::{Cause, Refusals};
use crate::wire::{Replaced, Wire};

/// Maximum number of messages in a conversation.
const MAX_MESSAGES: usize = 1_024;

/// Maximum timeout of a call.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// The message of a call that was not answered within its timeout.
const TIMED_OUT: &str = "the timeout of the call passed before an answer was ready";

const OTHER_HOTKEY: &str = "the hotkey in the body of the call is not the one that signed it";

/// One axon of the subnet.
pub struct Axon {
    uid: u32,
    hotkey: Hotkey,
    behaviours: Arc<Behaviours>,
    admission: Admission,
    shared: Arc<VerifierState>,
    refusals: Arc<Refusals>,
}

/// The fields of a reply in the protocol.
struct Reply {
    completion: String,
    code: ReturnCode,
    message: Cow<'static, str>,
    /// Raw bytes that replace the reply.
    wire: Option<Wire>,
}

impl Reply {
    fn new(completion: String, code: ReturnCode, message: &'static str) -> Self {
        Self {
            completion,
            code,
            message: message.into(),
            wire: None,
        }
    }

    /// Creates the reply to a call that is not answered.
    fn refusal(code: ReturnCode, message: String) -> Self {
        Self {
            completion: String::new(),
            code,
            message: message.into(),
            wire: None,
        }
    }
}

/// Records the return code of a call in its span. Every code other than success is an error, with this message.
fn record_answer(served: &Span, code: ReturnCode, message: &str) {
    served.record("mirror.code", code.as_str_name());
    if code != ReturnCode::Success {
        served.fail(message);
    }
}

/// Wraps a message in a response, with the mark that raw bytes replace it.
fn response<T>(message: T, wire: Option<Wire>) -> Response<T> {
    let mut response = Response::new(message);
    if let Some(wire) = wire {
        response.extensions_mut().insert(wire);
    }
    response
}

impl Axon {
    /// Creates the axon of a uid. The axons of a process share `network` and `shared`.
    pub fn new(
        uid: u32,
        hotkey: Hotkey,
        behaviours: Arc<Behaviours>,
        settings: &AxonSettings,
        network: Arc<Network>,
        shared: Arc<VerifierState>,
    ) -> Self {
        Self {
            uid,
            hotkey,
            behaviours,
            admission: Admission::new(settings, network, shared.clone()),
            shared,
            refusals: Arc::new(Refusals::new(uid)),
        }
    }

    /// Returns the service of the axon, which checks the signature of a call before it reads the body.
    pub fn into_service(self) -> Authenticated<Replaced<TextPromptingServer<Self>>> {
        let verifier = Verifier::new(self.hotkey, self.shared.clone());
        let refusals = self.refusals.clone();
        let server = TextPromptingServer::new(self).max_decoding_message_size(server::MESSAGE_LIMIT);
        Authenticated {
            service: Replaced(server),
            verifier,
            refusals,
        }
    }

    async fn reply(
        &self,
        metadata: &MetadataMap,
        caller: Hotkey,
        messages: &[String],
        timeout: f32,
    ) -> Result<Reply, Status> {
        let timeout = timeout_of(timeout);
        let call = self.call(metadata, caller, messages, timeout)?;
        let behaviours = self.behaviours.current();
        let served = Span::current();
        let answer = async {
            let checking = served.stage("axon.check");
            let checked = self.admission.check(caller).await;
            drop(checking);
            if let Err(refused) = checked {
                self.refusals.note(Cause::Blacklist, Some(caller), &refused);
                return Err(Reply::refusal(ReturnCode::Blacklisted, refused.to_string()));
            }
            let queueing = served.stage("axon.queue");
            let worker = self.admission.worker(&call).await;
            drop(queueing);
            let _worker = worker.map_err(|full| {
                self.refusals.note(Cause::Queue, Some(caller), &full);
                Reply::refusal(ReturnCode::Backoff, full.to_string())
            })?;
            Ok(behaviours
                .answer(&call)
                .instrument(span("axon.behaviour").start())
                .await)
        };
        let mut answer = pin!(answer);
        // Most answers are ready immediately and need no timer.
        let answered = match futures::poll!(&mut answer) {
            Poll::Ready(answer) => Ok(answer),
            Poll::Pending => tokio::time::timeout(timeout, answer).await,
        };
        let Ok(answer) = answered else {
            return Ok(Reply::new(String::new(), ReturnCode::Timeout, TIMED_OUT));
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(reply) => return Ok(reply),
        };
        match answer {
            Answer::Completion(completion) => Ok(Reply::new(completion, ReturnCode::Success, "Success")),
            Answer::Nothing => Ok(Reply::new(String::new(), ReturnCode::EmptyResponse, "no answer")),
            Answer::Coded(completion, code) => Ok(Reply::new(completion, code, code.as_str_name())),
            Answer::Refusal(code) => Err(Status::new(code, "refused")),
            Answer::Wire(wire) => Ok(Reply {
                wire: Some(wire),
                ..Reply::new(String::new(), ReturnCode::Success, "Success")
            }),
            Answer::Silence => {
                tokio::time::sleep(MAX_TIMEOUT).await;
                Err(Status::unavailable("no answer within the maximum timeout"))
            }
            Answer::Crash => {
                tracing::warn!(uid = self.uid, "aborting the process, as the behaviour requires");
                std::process::abort()
            }
        }
    }

    fn call(
        &self,
        metadata: &MetadataMap,
        caller: Hotkey,
        messages: &[String],
        timeout: Duration,
    ) -> Result<Call, Status> {
        if messages.len() > MAX_MESSAGES {
            return Err(Status::invalid_argument(format!(
                "{} messages in one call, at most {MAX_MESSAGES} are accepted",
                messages.len()
            )));
        }
        let id = self.call_id(metadata, caller, messages)?;
        let messages = messages
            .iter()
            .enumerate()
            .map(|(index, text)| message(index, text))
            .collect::<Result<_, _>>()?;
        Ok(Call {
            id,
            caller,
            messages,
            timeout,
        })
    }

    /// Returns the span of the call in progress, with the uid of the axon.
    fn served(&self) -> Span {
        let served = Span::current();
        served.record("mirror.uid", self.uid);
        served
    }

    /// Returns the hotkey that signed a call, which must be the one that its body states.
    async fn sender(&self, extensions: &Extensions, stated: &str) -> Result<Hotkey, Status> {
        self.admission.protect_neurons().await;
        let sender: &Sender = extensions
            .get()
            .ok_or_else(|| Status::internal("the signature of the call was not checked"))?;
        if *sender.address != *stated {
            self.refusals
                .note(Cause::Signature, Some(sender.hotkey), &OTHER_HOTKEY);
            return Err(Status::unauthenticated(OTHER_HOTKEY));
        }
        Ok(sender.hotkey)
    }

    /// Returns the identity of a call: that of its metadata, or one that is derived from its messages.
    fn call_id(&self, metadata: &MetadataMap, caller: Hotkey, messages: &[String]) -> Result<CallId, Status> {
        match metadata::call_numbers(metadata) {
            Some(numbers) => CallId::from_numbers(caller.bytes(), self.uid, numbers).map_err(|error| {
                Status::invalid_argument(format!("metadata {}: {error}", CallId::METADATA_KEY))
            }),
            None => Ok(self.unnumbered(messages)),
        }
    }

    /// Derives an identity for a call that has none from its messages, so that the same question gets the same answer.
    fn unnumbered(&self, messages: &[String]) -> CallId {
        let said = messages
            .iter()
            .fold(Seed::root(0), |said, message| said.child(message));
        CallId {
            caller: said.bytes(),
            step: 0,
            forward_index: 0,
            uid: self.uid,
            call: CallNumber::MANUAL,
        }
    }
}

/// Returns the timeout that a call states in seconds, at most [`MAX_TIMEOUT`].
fn timeout_of(seconds: f32) -> Duration {
    Duration::try_from_secs_f32(seconds)
        .unwrap_or_default()
        .min(MAX_TIMEOUT)
}

/// v4's axon fails with UNKNOWN on invalid JSON, and so does this one.
fn message(index: usize, text: &str) -> Result<Message, Status> {
    serde_json::from_str(text).map_err(|error| {
        Status::unknown(format!(
            "message {index} is not a JSON object with role and content: {error}"
        ))
    })
}

#[async_trait]
impl TextPrompting for Axon {
    async fn forward(
        &self,
        request: Request<ForwardTextPromptingRequest>,
    ) -> Result<Response<ForwardTextPromptingResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let served = self.served();
        let caller = self.sender(&extensions, &request.hotkey).await?;
        let reply = self
            .reply(&metadata, caller, &request.messages, request.timeout)
            .await?;
        let _answering = served.stage("axon.answer");
        record_answer(&served, reply.code, &reply.message);
        let wire = reply.wire;
        let message = ForwardTextPromptingResponse {
            return_message: reply.message.into_owned(),
            return_code: reply.code.into(),
            response: reply.completion,
            ..Default::default()
        };
        Ok(response(message, wire))
    }

    async fn multi_forward(
        &self,
        request: Request<MultiForwardTextPromptingRequest>,
    ) -> Result<Response<MultiForwardTextPromptingResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let served = self.served();
        let caller = self.sender(&extensions, &request.hotkey).await?;
        let reply = self
            .reply(&metadata, caller, &request.messages, request.timeout)
            .await?;
        let _answering = served.stage("axon.answer");
        record_answer(&served, reply.code, &reply.message);
        let wire = reply.wire;
        let message = MultiForwardTextPromptingResponse {
            multi_completions: vec![reply.completion],
            return_message: reply.message.into_owned(),
            return_code: reply.code.into(),
            ..Default::default()
        };
        Ok(response(message, wire))
    }

    async fn backward(
        &self,
        request: Request<BackwardTextPromptingRequest>,
    ) -> Result<Response<BackwardTextPromptingResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let served = self.served();
        let caller = self.sender(&extensions, &request.hotkey).await?;
        let id = self.call_id(&metadata, caller, &request.messages)?;
        let checked = tokio::time::timeout(timeout_of(request.timeout), self.admission.check(caller)).await;
        let refused = match checked {
            Ok(Ok(())) => None,
            Ok(Err(refused)) => {
                self.refusals.note(Cause::Blacklist, Some(caller), &refused);
                Some((ReturnCode::Blacklisted, refused.to_string()))
            }
            Err(_) => Some((ReturnCode::Timeout, TIMED_OUT.to_owned())),
        };
        if let Some((code, message)) = refused {
            record_answer(&served, code, &message);
            return Ok(Response::new(BackwardTextPromptingResponse {
                return_message: message,
                return_code: code.into(),
                ..Default::default()
            }));
        }
        record_answer(&served, ReturnCode::Success, "");
        tracing::debug!(uid = self.uid, %caller, rewards = request.rewards.len(), "rewarded");
        if let [amount] = request.rewards.as_slice()
            && amount.is_finite()
        {
            let call = CallId {
                call: id.call.forward(),
                ..id
            };
            self.behaviours.current().rewarded(&Reward {
                call,
                amount: *amount,
            });
        }
        Ok(Response::new(BackwardTextPromptingResponse {
            return_message: "Success".to_owned(),
            return_code: ReturnCode::Success.into(),
            ..Default::default()
        }))
    }
}
