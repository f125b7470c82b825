//! The dendrite pool: one channel to each axon. All chosen axons are called concurrently with one deadline.
//!
//! Replies are untrusted input: their size is limited before they are read, their encoding is checked, and the deadline
//! limits their duration.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use http::uri::PathAndQuery;
use mirror_auth::{Lane, Signer};
use mirror_identity::Hotkey;
use mirror_links::{Fate, Links, Plan, Transport};
use mirror_net::{alarm, channel, metadata, metrics};
use mirror_proto::bittensor::{
    BackwardTextPromptingRequest, BackwardTextPromptingResponse, ForwardTextPromptingRequest,
    ForwardTextPromptingResponse, ReturnCode,
};
use mirror_proto::codec::{BadMessage, CheckedReply, Encoded, only_message};
use mirror_proto::mirror::v1::{Outcome, Purpose};
use mirror_proto::protocol::{BITTENSOR_VERSION, REPLY_LIMIT, SERVES_NO_AXON, TOO_SHORT_COMPLETION};
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_telemetry::spans::{self, Kind};
use mirror_telemetry::{Instrument, Span, TraceContext, span};
use prost::Message;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Extensions, Request, Status};
use tower::ServiceExt;
use tower::util::MapResponse;

/// Capacity for the metadata entries of a call, including those that tonic adds.
const ENTRIES: usize = 8;

/// The gRPC methods of an axon.
const FORWARD: &str = "/TextPrompting/Forward";
const BACKWARD: &str = "/TextPrompting/Backward";

/// Returns a method without the slash at the start of its path.
const fn method_of(path: &'static str) -> &'static str {
    path.split_at(1).1
}

/// Returns the name of the span of a call.
fn span_name(path: &str) -> &'static str {
    if path == BACKWARD {
        "dendrite.backward"
    } else {
        "dendrite.forward"
    }
}

/// Reasons for which a request is sent again.
const DUPLICATE: &str = "duplicate";
const RESEND: &str = "resend";

/// Channels to the axons of a metagraph.
pub struct DendritePool {
    signer: Arc<Signer>,
    seed: Seed,
    /// Number of earlier starts of the caller. A step that is repeated after a restart has other spans.
    incarnation: u32,
    links: Arc<Links>,
    /// The uid of the caller.
    uid: u32,
    axons: Vec<Option<Axon>>,
}

#[derive(Clone)]
struct Axon {
    served: ServedAxon,
    /// The hotkey and the IP address as texts, for spans.
    hotkey: Arc<str>,
    host: Arc<str>,
    client: Grpc<CheckedChannel>,
}

/// The axon that a neuron serves, according to the metagraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedAxon {
    /// The hotkey of the neuron.
    pub hotkey: Hotkey,
    /// The address of the axon.
    pub address: SocketAddr,
}

/// A channel whose replies are checked as they arrive.
type CheckedChannel = MapResponse<Transport, fn(http::Response<Body>) -> http::Response<CheckedReply<Body>>>;

/// A fan-out: the same messages to several uids.
#[derive(Debug, Clone)]
pub struct FanOut {
    /// Identity of the forward, that is of its calls without the uid.
    pub forward: CallId,
    /// The messages in the encoding of the protocol.
    pub messages: Vec<String>,
    /// The uids to call.
    pub uids: Vec<u32>,
    /// Timeout of all calls.
    pub timeout: Duration,
}

/// The reply of one axon, or the reason why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The uid of the axon.
    pub uid: u32,
    /// Outcome of the call.
    pub outcome: Outcome,
    /// gRPC status code.
    pub grpc_code: Code,
    /// Return code of the axon as it sent it, or, if it sent none, that of the failure.
    pub return_code: i32,
    /// Message of the axon or the transport.
    pub return_message: String,
    /// Time from the start of the fan-out to the outcome.
    pub latency: Duration,
    /// The completion, empty if there is none.
    pub completion: String,
    /// Whether the call timed out in real time, which another run may not repeat.
    pub timing_dependent: bool,
    /// Drawn delay of the link. `None` if the link has none.
    pub drawn_delay: Option<Duration>,
    /// The effects of faults on the call, each as the name of a rule and of an effect: `slow/drop`.
    pub faults: Vec<Arc<str>>,
    /// Whether a rule that began by the clock affected the call.
    by_clock: bool,
    /// Whether the call times out by a fault or by its drawn delay.
    is_drawn: bool,
}

/// The request to one axon.
struct AxonRequest {
    signer: Arc<Signer>,
    call: CallId,
    fate: Fate,
    /// Whether the request is sent twice.
    duplicated: bool,
    context: TraceContext,
    /// The messages, encoded.
    body: Bytes,
    /// Timeout, less the drawn delay.
    timeout: Duration,
}

/// A reward for one axon.
#[derive(Debug, Clone)]
pub struct Backward {
    /// Identity of the rewarded call.
    pub call: CallId,
    /// Messages of the call.
    pub messages: Vec<String>,
    /// Completion of the axon.
    pub completion: String,
    /// Reward of the completion.
    pub reward: f32,
    /// Timeout of the call.
    pub timeout: Duration,
}

/// The outcome of a call that sent a reward.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewarded {
    /// Status code of the call. With `Ok`, the axon accepted its reward.
    pub code: Code,
    /// The effects of faults on the call.
    pub faults: Vec<Arc<str>>,
}

impl DendritePool {
    /// Creates a pool without axons. `uid` is that of the signer's neuron, `incarnation` the number of its earlier
    /// starts.
    pub fn new(signer: Signer, uid: u32, seed: Seed, incarnation: u32, links: Arc<Links>) -> Self {
        Self {
            uid,
            signer: Arc::new(signer),
            seed,
            incarnation,
            links,
            axons: Vec::new(),
        }
    }

    /// Updates all axons, by uid. `None` for a neuron without an axon. Replaces the channels of axons that moved or
    /// changed their neuron, and closes those of axons that stopped serving.
    pub fn resync(&mut self, axons: impl ExactSizeIterator<Item = Option<ServedAxon>>) {
        self.axons.resize(axons.len(), None);
        for (known, served) in self.axons.iter_mut().zip(axons) {
            if known.as_ref().map(|axon| axon.served) != served {
                *known = served.map(Axon::new);
            }
        }
    }

    /// Calls all uids concurrently with one deadline. Returns the replies in the order of `uids`.
    ///
    /// A call whose request is lost by a fault, or whose drawn delay reaches the timeout, is recorded as a timeout
    /// without being made.
    pub async fn forward(&self, fan_out: &FanOut) -> Vec<Reply> {
        let started = Instant::now();
        let deadline = tokio::time::Instant::from_std(started + fan_out.timeout);
        let trace = self.trace(&fan_out.forward);
        let body = self.body(fan_out);
        let mut replies: Vec<Reply> = Vec::with_capacity(fan_out.uids.len());
        let mut spans = Vec::with_capacity(fan_out.uids.len());
        let mut calls = JoinSet::new();
        let mut too_late = false;
        for (position, uid) in fan_out.uids.iter().enumerate() {
            let call = CallId {
                uid: *uid,
                ..fan_out.forward
            };
            let plan = self.links.plan(self.uid, &call);
            let (drawn_delay, fate) = (plan.delay, plan.fate);
            let reaches_deadline = drawn_delay.is_some_and(|delay| delay >= fan_out.timeout);
            let mut asked = AxonRequest {
                signer: self.signer.clone(),
                context: self.context(&trace, &call),
                fate,
                duplicated: plan.duplicated,
                call,
                body: body.clone(),
                timeout: fan_out.timeout.saturating_sub(drawn_delay.unwrap_or_default()),
            };
            let axon = self.axon(*uid).cloned();
            let rules = rules(&plan);
            let span = asked.span(FORWARD, axon.as_ref());
            asked.context.is_recorded = span.is_recorded();
            replies.push(Reply::none_in_time(*uid, fan_out.timeout, plan));
            too_late |= reaches_deadline || is_lost(fate);
            if reaches_deadline || fate == Fate::Drop {
                // The span of the link shows the fault that the call does not survive.
                drop(link_span(&span, *uid, drawn_delay, rules.as_deref()));
                spans.push(span);
                continue;
            }
            let starts = drawn_delay.map(|delay| tokio::time::Instant::from_std(started + delay));
            let link = (starts.is_some() || rules.is_some())
                .then(|| link_span(&span, *uid, drawn_delay, rules.as_deref()));
            let answer = async move {
                if let Some(starts) = starts {
                    alarm::sleep_until(starts).await;
                }
                drop(link);
                let answer = match axon {
                    Some(axon) => asked
                        .ask(axon, FORWARD)
                        .await
                        .map_err(|status| End::new(status, deadline)),
                    None => Err(End::Unserved),
                };
                let answer = if is_lost(fate) { Err(End::Lost) } else { answer };
                (position, answer)
            };
            // Each call is a separate task, so that progress in one does not wake the others.
            calls.spawn(answer.instrument(span.clone()));
            spans.push(span);
        }
        let no_answer = format!("no answer within {:?}", fan_out.timeout);
        let clock = tokio::time::sleep_until(deadline);
        tokio::pin!(clock);
        while too_late || !calls.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = calls.join_next(), if !calls.is_empty() => match ended {
                    Ok((_, Err(End::Lost))) => {}
                    Ok((position, ended)) => {
                        replies[position].end(ended, started.elapsed(), &no_answer);
                        replies[position].end_span(&std::mem::replace(&mut spans[position], Span::none()));
                        replies[position].timing_dependent |=
                            self.links.is_untimed() && replies[position].outcome == Outcome::Unreachable;
                    }
                    // No task is cancelled before the deadline, so the error is a panic.
                    Err(panicked) => resume_unwind(panicked.into_panic()),
                },
                () = &mut clock => break,
            }
        }
        // The calls that are left end here, and so do their spans.
        calls.shutdown().await;
        for reply in replies
            .iter_mut()
            .filter(|reply| reply.outcome == Outcome::Timeout)
        {
            reply.return_message.clone_from(&no_answer);
        }
        for (reply, span) in replies.iter().zip(spans) {
            reply.end_span(&span);
            metrics::forward_call(
                method_of(FORWARD),
                reply.grpc_code,
                reply.outcome.name(),
                reply.latency,
            );
        }
        replies
    }

    /// Encodes the request of a fan-out, once for all axons.
    fn body(&self, fan_out: &FanOut) -> Bytes {
        let body = ForwardTextPromptingRequest {
            version: BITTENSOR_VERSION,
            hotkey: self.signer.address().to_owned(),
            messages: fan_out.messages.clone(),
            timeout: fan_out.timeout.as_secs_f32(),
        };
        body.encode_to_vec().into()
    }

    /// Returns the trace id of a call: 16 bytes, the same for all calls of a step, forward and backward.
    pub fn trace(&self, call: &CallId) -> [u8; 16] {
        let step = CallId {
            forward_index: 0,
            uid: 0,
            call: call.call.forward(),
            ..*call
        };
        first_bytes(&self.seed.about_call("trace", &step).bytes())
    }

    /// Returns the trace id of a step.
    pub fn trace_of(&self, purpose: Purpose, step: u64) -> [u8; 16] {
        let call = if purpose == Purpose::Manual {
            CallNumber::MANUAL
        } else {
            CallNumber::QUERY
        };
        self.trace(&CallId {
            caller: self.hotkey(),
            step,
            forward_index: 0,
            uid: 0,
            call,
        })
    }

    /// Sends rewards to axons concurrently. Returns the outcome of each call by uid.
    pub async fn backward(&self, backwards: Vec<Backward>) -> HashMap<u32, Rewarded> {
        let sent = backwards.into_iter().map(|backward| async move {
            let uid = backward.call.uid;
            let plan = self.links.plan(self.uid, &backward.call);
            let faults = plan.faults.clone();
            let outcome = self.reward(backward, plan).await;
            if let Err(status) = &outcome {
                tracing::warn!(uid, %status, "the axon did not accept its reward");
            }
            let code = outcome.map_or_else(|status| status.code(), |()| Code::Ok);
            (uid, Rewarded { code, faults })
        });
        let ended: FuturesUnordered<_> = sent.collect();
        ended.collect().await
    }

    async fn reward(&self, backward: Backward, plan: Plan) -> Result<(), Status> {
        let Backward {
            call,
            messages,
            completion,
            reward,
            timeout,
        } = backward;
        let axon = self
            .axon(call.uid)
            .ok_or_else(|| Status::unavailable(SERVES_NO_AXON))?;
        let body = BackwardTextPromptingRequest {
            version: BITTENSOR_VERSION,
            hotkey: self.signer.address().to_owned(),
            rewards: vec![reward],
            messages,
            response: completion,
            timeout: timeout.as_secs_f32(),
        };
        let mut asked = AxonRequest {
            signer: self.signer.clone(),
            context: self.context(&self.trace(&call), &call),
            fate: plan.fate,
            duplicated: plan.duplicated,
            call,
            body: body.encode_to_vec().into(),
            timeout,
        };
        let span = asked.span(BACKWARD, Some(axon));
        asked.context.is_recorded = span.is_recorded();
        let rules = rules(&plan);
        let link = (plan.delay.is_some() || rules.is_some())
            .then(|| link_span(&span, call.uid, plan.delay, rules.as_deref()));
        let started = Instant::now();
        let telling = async {
            if let Some(delay) = plan.delay {
                alarm::sleep(delay).await;
            }
            drop(link);
            asked
                .ask::<BackwardTextPromptingResponse>(axon.clone(), BACKWARD)
                .await
        };
        let outcome = match tokio::time::timeout(timeout, telling.instrument(span.clone())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if !channel::has_timed_out(&status) => Err(status),
            Ok(Err(_)) | Err(_) => Err(Status::deadline_exceeded("no reply before the deadline")),
        };
        let code = outcome.as_ref().map_or_else(Status::code, |()| Code::Ok);
        metrics::reward_call(method_of(BACKWARD), code, started.elapsed());
        span.record("rpc.response.status_code", metrics::code_name(code));
        if let Err(status) = &outcome {
            span.fail(status.message());
        }
        outcome
    }

    fn axon(&self, uid: u32) -> Option<&Axon> {
        self.axons.get(uid as usize)?.as_ref()
    }

    fn context(&self, trace: &[u8; 16], call: &CallId) -> TraceContext {
        let of_call = self.seed.about_call("span", call);
        let span = match self.incarnation {
            0 => first_bytes(&of_call.bytes()),
            incarnation => spans::derived(
                u128::from_be_bytes(*trace),
                u64::from_be_bytes(first_bytes(&of_call.bytes())),
                "incarnation",
                incarnation.into(),
            )
            .to_be_bytes(),
        };
        TraceContext::new(*trace, span)
    }

    /// Returns the caller's hotkey.
    pub fn hotkey(&self) -> [u8; 32] {
        self.signer.hotkey().bytes()
    }
}

impl AxonRequest {
    /// Makes the call, and repeats it once if its connection was broken. Whether the exit of an axon's process is
    /// noticed before or during a call is a race, which must not affect the outcome.
    async fn ask<T>(&self, mut axon: Axon, method: &'static str) -> Result<T, Status>
    where
        T: Message + Default + 'static,
    {
        if self.duplicated {
            let lane = self.signer.lane(axon.served.hotkey);
            let (context, span) = self.repeated(method, DUPLICATE);
            let (mut axon, request) = (axon.clone(), self.request(&lane, &context));
            // The first reply counts, so that of the second request is discarded.
            let repeated = async move {
                let ended = axon.call::<T>(method, request).await.map(drop);
                drop(lane);
                ended
            };
            tokio::spawn(tokio::time::timeout(self.timeout, repeated.instrument(span)));
        }
        let lane = self.signer.lane(axon.served.hotkey);
        let request = self.request(&lane, &self.context);
        match axon.call(method, request).await {
            Err(status) if is_broken(&status) => {
                let (context, span) = self.repeated(method, RESEND);
                let again = self.request(&lane, &context);
                Box::pin(axon.call(method, again).instrument(span)).await
            }
            answered => answered,
        }
    }

    /// Creates the span of the call.
    fn span(&self, method: &'static str, axon: Option<&Axon>) -> Span {
        let span = span(span_name(method))
            .id(u64::from_be_bytes(self.context.span.to_bytes()))
            .kind(Kind::Client)
            .with("mirror.uid", self.call.uid);
        let Some(axon) = axon else {
            return span.start();
        };
        span.with("mirror.hotkey", &*axon.hotkey)
            .with("server.address", &*axon.host)
            .with("server.port", axon.served.address.port())
            .start()
    }

    /// Returns the context and the span of a further request of the same call, of which there is one for each `reason`.
    fn repeated(&self, method: &'static str, reason: &'static str) -> (TraceContext, Span) {
        let (trace, parent) = (
            u128::from_be_bytes(self.context.trace.to_bytes()),
            u64::from_be_bytes(self.context.span.to_bytes()),
        );
        let id = spans::derived(trace, parent, reason, 0);
        let span = span(span_name(method))
            .id(id)
            .kind(Kind::Client)
            .with("mirror.uid", self.call.uid)
            .with("mirror.repeated", reason)
            .start();
        let context = TraceContext {
            is_recorded: span.is_recorded(),
            ..TraceContext::new(trace.to_be_bytes(), id.to_be_bytes())
        };
        (context, span)
    }

    /// Returns the request. Each one has a nonce and a signature of its own, so that the axon accepts a repeated one.
    fn request(&self, lane: &Lane, context: &TraceContext) -> Request<Bytes> {
        let mut entries = MetadataMap::with_capacity(ENTRIES);
        lane.sign(&mut entries);
        metadata::write(&mut entries, &self.call, context);
        let mut request = Request::from_parts(entries, Extensions::default(), self.body.clone());
        request.set_timeout(self.timeout);
        if self.fate != Fate::Pass {
            request.extensions_mut().insert(self.fate);
        }
        request
    }
}

/// Creates the span of the link that a call crosses, which ends when the request leaves.
fn link_span(call: &Span, uid: u32, delay: Option<Duration>, rules: Option<&str>) -> Span {
    let link = span("link")
        .under(call)
        .with("mirror.uid", uid)
        .with("mirror.delay_s", delay.map(|delay| delay.as_secs_f64()))
        .with("mirror.rules", rules)
        .start();
    call.record("mirror.rules", rules);
    link
}

/// Returns the effects of faults on a call, as in the table of responses.
fn rules(plan: &Plan) -> Option<String> {
    (!plan.faults.is_empty()).then(|| plan.faults.join(", "))
}

impl Axon {
    fn new(served: ServedAxon) -> Self {
        let transport = Transport::lazy(served.address);
        Self {
            served,
            hotkey: served.hotkey.to_string().into(),
            host: served.address.ip().to_string().into(),
            client: Grpc::new(transport.map_response(|reply| CheckedReply::of(reply, REPLY_LIMIT))),
        }
    }

    async fn call<T>(&mut self, method: &'static str, request: Request<Bytes>) -> Result<T, Status>
    where
        T: Message + Default + 'static,
    {
        let ready = self.client.ready().await;
        ready.map_err(|error| Status::from_error(error.into()))?;
        let method = PathAndQuery::from_static(method);
        let response = self
            .client
            .server_streaming(request, method, Encoded::default())
            .await?;
        only_message(response.into_inner()).await
    }
}

impl Reply {
    /// Ends the span of the call with its outcome.
    fn end_span(&self, span: &Span) {
        if !span.is_recorded() {
            return;
        }
        span.record("mirror.code", self.outcome.name());
        span.record("rpc.response.status_code", metrics::code_name(self.grpc_code));
        if self.outcome != Outcome::Success {
            span.fail(&self.return_message);
        }
    }

    /// Creates the reply for a call that times out. It is `timing_dependent` unless a fault or the drawn delay alone
    /// causes the timeout.
    fn none_in_time(uid: u32, timeout: Duration, plan: Plan) -> Self {
        let Plan {
            delay: drawn_delay,
            fate,
            faults,
            by_clock,
            ..
        } = plan;
        let is_drawn =
            is_lost(fate) || fate == Fate::Stall || drawn_delay.is_some_and(|delay| delay >= timeout);
        Self {
            uid,
            outcome: Outcome::Timeout,
            grpc_code: Code::DeadlineExceeded,
            return_code: ReturnCode::Timeout.into(),
            return_message: String::new(),
            latency: timeout,
            completion: String::new(),
            timing_dependent: by_clock || !is_drawn,
            drawn_delay,
            faults,
            by_clock,
            is_drawn,
        }
    }

    /// Sets the result of a call that ended before the deadline. `no_answer` is the message of a timeout.
    fn end(&mut self, ended: Result<ForwardTextPromptingResponse, End>, latency: Duration, no_answer: &str) {
        self.latency = latency;
        self.timing_dependent = self.by_clock || matches!(ended, Err(End::Timeout)) && !self.is_drawn;
        match ended {
            Ok(response) => {
                self.outcome = match response.response.chars().take(TOO_SHORT_COMPLETION + 1).count() {
                    0 => Outcome::Empty,
                    1..=TOO_SHORT_COMPLETION => Outcome::TooShort,
                    _ => Outcome::Success,
                };
                self.grpc_code = Code::Ok;
                self.return_code = response.return_code;
                self.return_message = response.return_message;
                self.completion = response.response;
            }
            Err(End::Timeout | End::Lost) => no_answer.clone_into(&mut self.return_message),
            Err(End::Unserved) => {
                self.outcome = Outcome::Unreachable;
                self.grpc_code = Code::Unavailable;
                self.return_code = ReturnCode::BadEndpoint.into();
                SERVES_NO_AXON.clone_into(&mut self.return_message);
            }
            Err(End::Failed(status)) => {
                self.outcome = outcome(&status);
                self.grpc_code = status.code();
                self.return_code = return_code(self.outcome, status.code()).into();
                status.message().clone_into(&mut self.return_message);
            }
        }
    }
}

/// The reason why a call has no response.
enum End {
    Timeout,
    /// A fault lost the reply, so the call ends at its deadline.
    Lost,
    Unserved,
    Failed(Status),
}

impl End {
    fn new(status: Status, deadline: tokio::time::Instant) -> Self {
        if is_timeout(&status, deadline) {
            Self::Timeout
        } else {
            Self::Failed(status)
        }
    }
}

/// Returns whether a call ends only at its deadline because its request or its reply is lost.
fn is_lost(fate: Fate) -> bool {
    matches!(fate, Fate::Drop | Fate::DropReply)
}

/// Time before the deadline from which a timeout status of an axon is a timeout. The C core of gRPC counts in whole
/// milliseconds, so the clock of an axon in Python can end a call a little early.
const EARLY_CLOCK: Duration = Duration::from_millis(5);

/// Returns whether a call timed out. A timeout status that the axon sent counts only at the deadline. Before that, it
/// is a refusal.
fn is_timeout(status: &Status, deadline: tokio::time::Instant) -> bool {
    let says_so =
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) && !channel::is_own(status);
    channel::has_timed_out(status) || (says_so && tokio::time::Instant::now() + EARLY_CLOCK >= deadline)
}

/// Returns the outcome of a failed call that did not time out.
fn outcome(status: &Status) -> Outcome {
    match BadMessage::of(status) {
        Some(BadMessage::Oversized { .. }) => Outcome::Oversized,
        Some(_) => Outcome::Malformed,
        None if is_broken(status) => Outcome::Unreachable,
        None => Outcome::Refused,
    }
}

/// Returns the return code of a call that failed without a reply.
fn return_code(outcome: Outcome, code: Code) -> ReturnCode {
    match (outcome, code) {
        (Outcome::Oversized, _) => ReturnCode::InvalidResponse,
        (Outcome::Malformed, _) => ReturnCode::ResponseDeserializationException,
        (Outcome::Unreachable, _) | (_, Code::Unavailable) => ReturnCode::Unavailable,
        (_, Code::Unauthenticated | Code::PermissionDenied) => ReturnCode::Unauthenticated,
        (_, Code::Unimplemented) => ReturnCode::NotImplemented,
        (_, Code::ResourceExhausted) => ReturnCode::Backoff,
        (_, Code::DeadlineExceeded | Code::Cancelled) => ReturnCode::Timeout,
        (_, Code::InvalidArgument | Code::OutOfRange) => ReturnCode::InvalidRequest,
        _ => ReturnCode::UnknownException,
    }
}

/// Returns whether the transport reports a missing or broken connection.
fn is_broken(status: &Status) -> bool {
    let is_transports = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
    );
    is_transports && channel::is_own(status) && !channel::has_timed_out(status)
}

fn first_bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut first = [0; N];
    for (first, byte) in first.iter_mut().zip(bytes) {
        *first = *byte;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axon_ends_a_call_at_the_deadline_and_not_before() {
        let now = tokio::time::Instant::now();
        for status in [Status::deadline_exceeded(""), Status::cancelled("")] {
            // grpcio ends a call up to a millisecond early.
            assert!(is_timeout(&status, now + Duration::from_millis(1)), "{status:?}");
            assert!(!is_timeout(&status, now + Duration::from_mins(1)), "{status:?}");
        }
        assert!(!is_timeout(&Status::internal(""), now), "another status");
    }
}
