//! The API server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::store::is_selected;
use super::{Failure, NAMESPACE, Shared, exec, kubelet};

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Accepts connections. While the server is not reachable, it closes them.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        if !*shared.is_reachable.borrow() {
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move {
            let mut reachable = shared.is_reachable.subscribe();
            let service = service_fn(|request| answer(shared.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::select! {
                _ = pin!(connection) => {}
                _ = reachable.wait_for(|is_reachable| !is_reachable) => {}
            }
        });
    }
}

/// A request in the terms of the API.
struct Call {
    resource: String,
    name: Option<String>,
    subresource: Option<String>,
    query: HashMap<String, Vec<String>>,
}

/// Reads the path `/api/v1/namespaces/lab/pods/x/log` or `/apis/apps/v1/namespaces/lab/statefulsets/x`.
fn call_of(request: &Request<Incoming>) -> Result<Call, Box<Response<Body>>> {
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let rest = match path.first() {
        Some(&"api") => path.get(2..),
        _ => path.get(3..),
    };
    let Some(["namespaces", namespace, resource, rest @ ..]) = rest else {
        return Err(Box::new(failure(
            StatusCode::NOT_FOUND,
            "the server could not find the requested resource",
        )));
    };
    if *namespace != NAMESPACE {
        let message = format!("namespaces \"{namespace}\" not found");
        return Err(Box::new(failure(StatusCode::NOT_FOUND, &message)));
    }
    let mut query: HashMap<String, Vec<String>> = HashMap::new();
    for (key, value) in form(request.uri().query().unwrap_or_default()) {
        query.entry(key).or_default().push(value);
    }
    Ok(Call {
        resource: (*resource).to_owned(),
        name: rest.first().map(|name| (*name).to_owned()),
        subresource: rest.get(1).map(|name| (*name).to_owned()),
        query,
    })
}

/// Decodes the pairs of a query.
fn form(query: &str) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                    let digits = String::from_utf8_lossy(&digits).into_owned();
                    u8::from_str_radix(&digits, 16).unwrap_or(b'?')
                }
                other => other,
            });
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    pairs.into_iter()
}

impl Call {
    fn is_set(&self, key: &str) -> bool {
        self.query
            .get(key)
            .is_some_and(|values| values.iter().any(|value| value == "true"))
    }

    fn first(&self, key: &str) -> &str {
        let values = self.query.get(key);
        values
            .and_then(|values| values.first())
            .map_or("", String::as_str)
    }

    /// Returns the verb and the resource, as roles name them.
    fn action(&self, method: &Method) -> (String, String) {
        let verb = match (method, &self.name) {
            (&Method::GET, _) if self.is_set("watch") => "watch",
            (&Method::GET, Some(_)) => "get",
            (&Method::GET, None) => "list",
            (&Method::PATCH, _) => "patch",
            (&Method::POST, _) => "create",
            (&Method::DELETE, _) => "delete",
            _ => "unknown",
        };
        let resource = match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.clone(),
        };
        (verb.to_owned(), resource)
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let call = match call_of(&request) {
        Ok(call) => call,
        Err(response) => return Ok(*response),
    };
    let user = request.headers().get("authorization");
    let user = user.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let user = user.trim_start_matches("Bearer ").to_owned();
    let (verb, resource) = call.action(request.method());
    let refused = shared.failures().iter().any(|failure| {
        matches!(failure, Failure::Forbidden(of_verb, of_resource) if *of_verb == verb && *of_resource == resource)
    });
    if refused {
        let message =
            format!("{resource} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\"");
        return Ok(failure(StatusCode::FORBIDDEN, &message));
    }
    let note = |verb: &str| {
        let mut requests = shared.requests.lock().expect("no thread has panicked");
        requests.insert((user.clone(), verb.to_owned(), resource.clone()));
    };
    note(&verb);
    // An apply of an object that does not exist needs the verb `create` too.
    if verb == "patch"
        && let Some(name) = &call.name
        && shared.store().get(&call.resource, name).is_none()
    {
        note("create");
    }
    Ok(match (&*verb, call.subresource.as_deref()) {
        ("get", Some("log")) => log(&shared, &call),
        ("get", Some("exec")) => {
            let pod = call.name.clone().unwrap_or_default();
            exec::answer(&shared, request, &pod, &call.query)
        }
        ("get", None) => {
            let name = call.name.clone().unwrap_or_default();
            let found = shared.store().get(&call.resource, &name).cloned();
            found.map_or_else(|| missing(&call.resource, &name), |object| ok(&object))
        }
        ("list", _) => {
            let store = shared.store();
            let selector = call.first("labelSelector");
            let items: Vec<Value> = store
                .list(&call.resource)
                .into_iter()
                .filter(|object| is_selected(object, selector))
                .collect();
            ok(&json!({
                "apiVersion": "v1",
                "kind": "List",
                "metadata": { "resourceVersion": store.version().to_string() },
                "items": items,
            }))
        }
        ("watch", _) => watch(&shared, &call),
        ("patch", None) => {
            let body = request.into_body().collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            match serde_json::from_slice::<Value>(&body) {
                Ok(object) => ok(&shared.change(|store| store.apply(object))),
                Err(error) => failure(StatusCode::BAD_REQUEST, &error.to_string()),
            }
        }
        ("delete", None) => {
            let name = call.name.clone().unwrap_or_default();
            let deleted = shared.change(|store| store.delete(&call.resource, &name));
            deleted.map_or_else(|| missing(&call.resource, &name), |object| ok(&object))
        }
        _ => failure(StatusCode::METHOD_NOT_ALLOWED, "this fake has no such method"),
    })
}

fn full(bytes: impl Into<Bytes>) -> Body {
    UnsyncBoxBody::new(Full::new(bytes.into()))
}

fn ok(object: &Value) -> Response<Body> {
    let mut response = Response::new(full(object.to_string()));
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().expect("a value"));
    response
}

pub(super) fn failure(code: StatusCode, message: &str) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
        "code": code.as_u16(),
    });
    let mut response = ok(&status);
    *response.status_mut() = code;
    response
}

fn missing(resource: &str, name: &str) -> Response<Body> {
    failure(StatusCode::NOT_FOUND, &format!("{resource} \"{name}\" not found"))
}

/// Answers with chunks until the receiver ends.
pub(super) fn streamed(chunks: mpsc::Receiver<Bytes>) -> Response<Body> {
    let frames = ReceiverStream::new(chunks).map(|chunk| Ok(Frame::data(chunk)));
    Response::new(UnsyncBoxBody::new(StreamBody::new(frames)))
}

fn watch(shared: &Arc<Shared>, call: &Call) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(16);
    let (resource, selector) = (call.resource.clone(), call.first("labelSelector").to_owned());
    let mut version: u64 = call.first("resourceVersion").parse().unwrap_or(0);
    let seconds = call.first("timeoutSeconds").parse().unwrap_or(290);
    let shared = shared.clone();
    tokio::spawn(async move {
        let mut changes = shared.changes.subscribe();
        let sending = async {
            loop {
                changes.borrow_and_update();
                let (events, last) = shared.store().events_after(&resource, version);
                version = last;
                for event in events
                    .iter()
                    .filter(|event| is_selected(&event["object"], &selector))
                {
                    if sender.send(format!("{event}\n").into()).await.is_err() {
                        return;
                    }
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(seconds), sending).await;
    });
    streamed(receiver)
}

fn log(shared: &Arc<Shared>, call: &Call) -> Response<Body> {
    let name = call.name.clone().unwrap_or_default();
    if shared.store().get("pods", &name).is_none() {
        return missing("pods", &name);
    }
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(kubelet::follow_log(shared.clone(), name, sender));
    streamed(receiver)
}
