//! Mutual TLS between the programs of a network.
//!
//! Every program has an [`Identity`]: a certificate with its name, the key of the certificate, and the authority that
//! signed it. Both sides of a connection show a certificate of the same authority. A client states the name of the
//! server that it calls, and a server learns the name of the client, which [`Services`](crate::server::Services)
//! checks.
//!
//! The version is TLS 1.3. Sessions are not resumed, so each connection shows a certificate.

use std::fmt;
use std::io;
use std::sync::Arc;

use mirror_spec::launch::Credentials;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::EndEntityCert;

/// Domain of the names in certificates. The certificate of `validator-0` has the name `validator-0.mirror`.
pub const DOMAIN: &str = ".mirror";

/// The application protocol of all connections: HTTP/2.
const PROTOCOL: &[u8] = b"h2";

/// The certificate of a program, with its key and its authority. Clones share them.
#[derive(Clone)]
pub struct Identity {
    name: Arc<str>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// The reason why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A part is not in the PEM format.
    #[error("the {part} is not in the PEM format: {reason}")]
    Pem {
        /// The part: the authority, the certificate or the key.
        part: &'static str,
        /// The problem of the format.
        reason: pem::Error,
    },
    /// The certificate has no name of a node.
    #[error("the certificate has no name that ends with `{DOMAIN}`")]
    Name,
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
    /// The authority cannot be used.
    #[error("the authority cannot be used: {0}")]
    Authority(#[from] VerifierBuilderError),
}

impl Identity {
    /// Reads the identity of a program.
    ///
    /// # Errors
    ///
    /// Returns an error if a part is malformed, the parts do not belong together, or the certificate has no name.
    pub fn new(credentials: &Credentials) -> Result<Self, IdentityError> {
        let malformed = |part| move |reason| IdentityError::Pem { part, reason };
        let authority = CertificateDer::from_pem_slice(credentials.authority.as_bytes())
            .map_err(malformed("authority"))?;
        let certificate = CertificateDer::from_pem_slice(credentials.certificate.as_bytes())
            .map_err(malformed("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes()).map_err(malformed("key"))?;
        let name = name_in(&certificate).ok_or(IdentityError::Name)?.into();
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        let roots = Arc::new(roots);
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.clone()], key.clone_key())?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            name,
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }

    /// Returns the name in the certificate, without the domain.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what a client with this identity needs for a connection to the server called `server`.
    pub fn connecting_to(&self, server: &str) -> Connecting {
        Connecting {
            config: self.client.clone(),
            server: server.into(),
        }
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The identity of a client, and the name that the certificate of its server must have.
#[derive(Clone)]
pub struct Connecting {
    config: Arc<ClientConfig>,
    server: Arc<str>,
}

impl Connecting {
    /// Makes the TLS handshake on a connection.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let server = ServerName::try_from(format!("{}{DOMAIN}", self.server));
        let server = server.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.config.clone())
            .connect(server, stream)
            .await
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// The name in the certificate of a caller, without the domain. Requests of a service that admits only some callers
/// have it as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerName(pub(crate) Arc<str>);

impl PeerName {
    /// Returns the name in the certificate of the caller of a request.
    ///
    /// # Errors
    ///
    /// Returns a status with the code `UNAUTHENTICATED` if the service is open to callers without a certificate.
    #[allow(clippy::result_large_err, reason = "the error of a gRPC call is a status")]
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, tonic::Status> {
        let name = request.extensions().get::<Self>().cloned();
        name.ok_or_else(|| tonic::Status::unauthenticated(WITHOUT_CERTIFICATE))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The message for a caller that has not shown a certificate.
pub(crate) const WITHOUT_CERTIFICATE: &str =
    "this service requires TLS with a certificate of the network: the call came without one";

/// Returns the name in a certificate, without the domain.
pub(crate) fn name_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate.valid_dns_names();
    names
        .find_map(|name| name.strip_suffix(DOMAIN))
        .map(str::to_owned)
}
