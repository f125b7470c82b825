//! The certificate authority of a network, and the certificates that it issues to the programs of the network.
//!
//! A certificate has one name, such as `validator-0.mirror`, and serves both sides of a connection. All keys are ECDSA
//! keys on the curve P-256.

use std::fmt;

use mirror_spec::launch::Credentials;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};

/// Time for which a certificate is valid.
pub const LIFETIME: Duration = Duration::days(3_650);

/// Time before its creation from which a certificate is valid, because the clocks of machines differ.
const EARLIER: Duration = Duration::days(1);

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate that could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate: {0}")]
pub struct CertificateError(#[from] rcgen::Error);

impl Authority {
    /// Creates an authority with a new key, which exists only in memory.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no random numbers.
    pub fn new() -> Result<Self, CertificateError> {
        let key = key()?;
        let mut params = CertificateParams::default();
        // A verifier finds the authority by its name, so the name contains a part of the public key.
        let number: String = key
            .public_key_raw()
            .iter()
            .rev()
            .take(8)
            .fold(String::new(), |number, byte| format!("{number}{byte:02x}"));
        params.distinguished_name = named(&format!("Mirror Neuron authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - EARLIER, now + LIFETIME);
        let certificate: Certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads an authority from its certificate and its key in the PEM format.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is malformed.
    pub fn from_pem(certificate: String, key: &str) -> Result<Self, CertificateError> {
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(key)?)?;
        Ok(Self { issuer, certificate })
    }

    /// Returns the certificate of the authority in the PEM format.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns the key of the authority in the PEM format.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate with a new key to the program called `name`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name cannot be in a certificate.
    pub fn issue(&self, name: &str) -> Result<Credentials, CertificateError> {
        let now = OffsetDateTime::now_utc();
        self.issue_for(name, now - EARLIER, now + LIFETIME)
    }

    /// Issues a certificate that is valid from `not_before` to `not_after`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name cannot be in a certificate.
    pub fn issue_for(
        &self,
        name: &str,
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
    ) -> Result<Credentials, CertificateError> {
        let key = key()?;
        let mut params = CertificateParams::new([format!("{name}.mirror")])?;
        params.distinguished_name = named(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (not_before, not_after);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Credentials {
            authority: self.certificate.clone(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn key() -> Result<KeyPair, CertificateError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
