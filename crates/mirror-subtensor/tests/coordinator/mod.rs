//! A coordinator that acknowledges whatever it is told.

use std::net::SocketAddr;
use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use mirror_net::server::{self, Limits};
use mirror_proto::mirror::v1::coordinator_server::{Coordinator, CoordinatorServer};
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{Directive, NodeReport, Record, directive, node_report};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// A coordinator that passes on what it is told, and acknowledges it.
struct Told(mpsc::UnboundedSender<Kind>);

#[async_trait]
impl Coordinator for Told {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<Directive, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let told = self.0.clone();
        let reports = request.into_inner();
        let acknowledged = stream::unfold(reports, |mut reports| async {
            Some((reports.message().await.ok()??, reports))
        });
        let acknowledged = acknowledged.filter_map(move |report| {
            let acknowledged = match report.report {
                Some(node_report::Report::Record(sequenced)) => {
                    let record = Record::decode(sequenced.record).expect("a record is one");
                    // The test may have heard enough.
                    let _ = told.send(record.kind.expect("a record says something"));
                    Some(sequenced.sequence)
                }
                _ => None,
            };
            std::future::ready(acknowledged.map(|sequence| {
                Ok(Directive {
                    directive: Some(directive::Directive::Acknowledged(sequence)),
                })
            }))
        });
        Ok(Response::new(Box::pin(acknowledged)))
    }
}

/// Where a coordinator listens, and what it is told, as it is told.
pub(crate) async fn coordinator() -> (SocketAddr, mpsc::UnboundedReceiver<Kind>) {
    let (sender, told) = mpsc::unbounded_channel();
    let (listener, address) = listen().await;
    let routes = Routes::new(CoordinatorServer::new(Told(sender)));
    tokio::spawn(server::serve(
        listener,
        routes,
        Limits::default(),
        std::future::pending(),
    ));
    (address, told)
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}
