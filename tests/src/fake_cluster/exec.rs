//! Programs that are executed in containers, over a WebSocket.

use std::collections::HashMap;
use std::process::Stdio;

use futures::{SinkExt, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::server::{Body, failure};
use super::{Shared, kubelet};

/// The protocol of the streams.
const PROTOCOL: &str = "v5.channel.k8s.io";

/// The channel of standard output.
const STDOUT: u8 = 1;

/// The channel of standard error.
const STDERR: u8 = 2;

/// The channel of the status.
const STATUS: u8 = 3;

/// Begins a WebSocket, and executes the command of the query in the container of a pod.
pub(super) fn answer(
    shared: &Shared,
    mut request: Request<Incoming>,
    pod: &str,
    query: &HashMap<String, Vec<String>>,
) -> Response<Body> {
    let words = query.get("command").cloned().unwrap_or_default();
    let Some(command) = kubelet::command_in(shared, pod, &words) else {
        return failure(
            StatusCode::NOT_FOUND,
            &format!("the container of the pod {pod} does not run"),
        );
    };
    let Some(key) = request.headers().get("sec-websocket-key").cloned() else {
        return failure(StatusCode::BAD_REQUEST, "this is no WebSocket");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        run(socket, command.into()).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
        .header("sec-websocket-protocol", PROTOCOL)
        .body(UnsyncBoxBody::new(Empty::new().map_err(|never| match never {})))
        .expect("the headers are valid")
}

async fn run(
    socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
    mut command: tokio::process::Command,
) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program exists");
    let (mut sink, mut source) = socket.split();
    // Answers pings, and ends with the connection.
    let receiving = tokio::spawn(async move { while let Some(Ok(_)) = source.next().await {} });
    let mut out = child.stdout.take().expect("it is a pipe");
    let mut buffer = vec![0; 32 << 10];
    loop {
        let count = out.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        let frame = [&[STDOUT], &buffer[..count]].concat();
        if sink.send(Message::binary(frame)).await.is_err() {
            return;
        }
    }
    let mut errors = Vec::new();
    let mut stderr = child.stderr.take().expect("it is a pipe");
    let _ = stderr.read_to_end(&mut errors).await;
    if !errors.is_empty() {
        let _ = sink
            .send(Message::binary([&[STDERR], &errors[..]].concat()))
            .await;
    }
    let ended = child.wait().await.expect("it has ended");
    let status = if ended.success() {
        json!({ "metadata": {}, "status": "Success" })
    } else {
        json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: {ended}"),
            "reason": "NonZeroExitCode",
        })
    };
    let frame = [&[STATUS], status.to_string().as_bytes()].concat();
    let _ = sink.send(Message::binary(frame)).await;
    let _ = sink.close().await;
    receiving.abort();
}
