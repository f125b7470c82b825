//! A coordinator that is controlled by a test.

use std::net::SocketAddr;

use mirror_net::server::{Callers, Services};
use mirror_proto::mirror::v1::coordinator_server::{Coordinator, CoordinatorServer};
use mirror_proto::mirror::v1::{Directive, NodeReport, Record, Sequenced, directive, node_report, record};
use mirror_proto::protocol::COORDINATOR;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::{certificates, loopback};

/// A report stream that a node has opened. Dropping it breaks the stream.
pub struct Session {
    reports: Streaming<NodeReport>,
    directives: mpsc::Sender<Result<Directive, Status>>,
}

struct Sessions(mpsc::UnboundedSender<Session>);

#[async_trait]
impl Coordinator for Sessions {
    type ReportStream = ReceiverStream<Result<Directive, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (directives, sent) = mpsc::channel(16);
        let session = Session {
            reports: request.into_inner(),
            directives,
        };
        self.0
            .send(session)
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

/// Starts a coordinator. Returns its address and a channel of the streams that nodes open.
pub async fn sessions() -> (SocketAddr, mpsc::UnboundedReceiver<Session>) {
    let (opened, sessions) = mpsc::unbounded_channel();
    let address = loopback::serve(
        Services::new(Some(certificates::identity(COORDINATOR)))
            .only(Callers::Certified, CoordinatorServer::new(Sessions(opened))),
    )
    .await;
    (address, sessions)
}

/// Starts a coordinator that acknowledges each record. Returns its address and a channel of the records.
pub async fn records() -> (SocketAddr, mpsc::UnboundedReceiver<record::Kind>) {
    let (address, mut opened) = sessions().await;
    let (sender, records) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(mut session) = opened.recv().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(report) = session.next().await {
                    let node_report::Report::Record(Sequenced { sequence, record }) = report else {
                        continue;
                    };
                    let record = Record::decode(record).expect("the bytes are a valid record");
                    // The test may have dropped the receiver.
                    let _ = sender.send(record.kind.expect("a record has a kind"));
                    if !session.acknowledged(sequence).await {
                        break;
                    }
                }
            });
        }
    });
    (address, records)
}

impl Session {
    /// Returns the next report, or `None` if the node has disconnected.
    ///
    /// # Panics
    ///
    /// Panics if the report is empty.
    pub async fn next(&mut self) -> Option<node_report::Report> {
        let report = self.reports.message().await.ok()??;
        Some(report.report.expect("a report has content"))
    }

    /// Returns the next report, which must be a record.
    ///
    /// # Panics
    ///
    /// Panics if it is not a record.
    pub async fn record(&mut self) -> Sequenced {
        match self.next().await {
            Some(node_report::Report::Record(record)) => record,
            other => panic!("expected a record, got {other:?}"),
        }
    }

    /// Acknowledges all records up to this sequence number.
    ///
    /// # Panics
    ///
    /// Panics if the node has disconnected.
    pub async fn acknowledge(&self, sequence: u64) {
        assert!(self.acknowledged(sequence).await, "the node is connected");
    }

    /// Acknowledges all records up to this sequence number. Returns whether the node is still connected.
    async fn acknowledged(&self, sequence: u64) -> bool {
        let directive = Some(directive::Directive::Acknowledged(sequence));
        self.directives.send(Ok(Directive { directive })).await.is_ok()
    }
}
