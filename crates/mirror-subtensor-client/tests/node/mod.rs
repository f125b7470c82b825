//! A mock subtensor that sends the replies that a test has prepared, and the log of a test.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, Once};

use futures::stream::{self, BoxStream, StreamExt};
use mirror_net::server::{self, Limits, Services};
use mirror_proto::mirror::v1::subtensor_barrier_server::{SubtensorBarrier, SubtensorBarrierServer};
use mirror_proto::mirror::v1::subtensor_server::{Subtensor, SubtensorServer};
use mirror_proto::mirror::v1::{
    BlockClosed, CurrentBlock, CurrentBlockRequest, Metagraph, MetagraphRequest, Nominators,
    NominatorsRequest, SignedTransaction, StepReport, SubmitReply, WatchRequest,
};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// A reply to one request.
pub(crate) enum Reply {
    CurrentBlock(Result<u64, Status>),
    Metagraph(Metagraph),
    Nominators(Nominators),
    /// A step stream that sends these after its first report, and stays open unless the last is an error.
    Steps(Vec<Result<BlockClosed, Status>>),
    /// A step stream that ends after its first report.
    StepsThatEnd,
    /// No reply to a request for the current block.
    Never,
}

/// Answers requests with the prepared replies, in order.
#[derive(Clone, Default)]
pub(crate) struct Node(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    requests: u32,
}

/// Reserves a port on which no process listens yet.
pub(crate) fn reserve() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any_port = (Ipv4Addr::LOCALHOST, 0).into();
    socket.bind(any_port).expect("a free port");
    let address = socket.local_addr().expect("the address of the port");
    (socket, address)
}

impl Node {
    pub(crate) fn will_reply(&self, reply: Reply) {
        self.state().replies.push_back(reply);
    }

    /// Returns the number of requests received.
    pub(crate) fn requests(&self) -> u32 {
        self.state().requests
    }

    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("the address of the port");
        self.start(listener);
        address
    }

    pub(crate) fn serve_on(&self, port: TcpSocket) {
        self.start(port.listen(16).expect("the port is free"));
    }

    fn start(&self, listener: TcpListener) {
        let services = Services::default()
            .open(SubtensorServer::new(self.clone()))
            .open(SubtensorBarrierServer::new(self.clone()));
        let never = std::future::pending();
        tokio::spawn(server::serve(listener, services, Limits::default(), never));
    }

    fn next(&self) -> Reply {
        let mut state = self.state();
        state.requests += 1;
        state.replies.pop_front().expect("the test has prepared a reply")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the state")
    }
}

#[async_trait]
impl SubtensorBarrier for Node {
    type StepsStream = BoxStream<'static, Result<BlockClosed, Status>>;

    async fn steps(
        &self,
        request: Request<Streaming<StepReport>>,
    ) -> Result<Response<Self::StepsStream>, Status> {
        let mut reports = request.into_inner();
        let closed = match self.next() {
            Reply::Steps(closed) => stream::iter(closed).chain(stream::pending()).boxed(),
            Reply::StepsThatEnd => stream::empty().boxed(),
            _ => panic!("the next request is not a stream of steps"),
        };
        let after_first_report = async move {
            let first = reports.message().await;
            first
                .expect("the client is connected")
                .expect("it reports a step");
            closed.map(move |closed| {
                let _open_as_long = &reports;
                closed
            })
        };
        Ok(Response::new(stream::once(after_first_report).flatten().boxed()))
    }
}

#[async_trait]
impl Subtensor for Node {
    type WatchMetagraphStream = stream::Empty<Result<Metagraph, Status>>;

    async fn submit(&self, _: Request<SignedTransaction>) -> Result<Response<SubmitReply>, Status> {
        Err(Status::unimplemented("no test submits"))
    }

    async fn get_current_block(
        &self,
        _: Request<CurrentBlockRequest>,
    ) -> Result<Response<CurrentBlock>, Status> {
        match self.next() {
            Reply::CurrentBlock(block) => Ok(Response::new(CurrentBlock { block: block? })),
            Reply::Never => std::future::pending().await,
            _ => panic!("the next request is not for the current block"),
        }
    }

    async fn get_metagraph(&self, request: Request<MetagraphRequest>) -> Result<Response<Metagraph>, Status> {
        let Reply::Metagraph(metagraph) = self.next() else {
            panic!("the next request is not for a metagraph");
        };
        let expected = MetagraphRequest {
            block: Some(3),
            lite: true,
        };
        assert_eq!(request.into_inner(), expected);
        Ok(Response::new(metagraph))
    }

    async fn watch_metagraph(
        &self,
        _: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchMetagraphStream>, Status> {
        Err(Status::unimplemented("no test watches"))
    }

    async fn get_nominators(&self, _: Request<NominatorsRequest>) -> Result<Response<Nominators>, Status> {
        let Reply::Nominators(nominators) = self.next() else {
            panic!("the next request is not for nominators");
        };
        Ok(Response::new(nominators))
    }
}

thread_local! {
    /// Receiver of the log of this thread. Separate subscribers for each thread would not work, because tracing decides
    /// once for all threads whether an event is enabled.
    static LINES: RefCell<Option<mpsc::UnboundedSender<String>>> = const { RefCell::new(None) };
}

/// Lines that are logged on this thread.
pub(crate) struct Log(mpsc::UnboundedReceiver<String>);

/// Sends the log of this thread to the test from now on.
pub(crate) fn log() -> Log {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter("mirror_subtensor_client=trace")
            .with_writer(|| Lines)
            .init();
    });
    let (sender, lines) = mpsc::unbounded_channel();
    LINES.set(Some(sender));
    Log(lines)
}

impl Log {
    pub(crate) async fn next(&mut self) -> String {
        self.0.recv().await.expect("the log is open")
    }

    /// Returns the lines received so far.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// Writer of the subscriber, which writes each event separately.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.with_borrow(|lines| {
            if let Some(lines) = lines {
                // The test may have ended.
                let _ = lines.send(String::from_utf8_lossy(line).into_owned());
            }
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
