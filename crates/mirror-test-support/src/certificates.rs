//! Certificates of one authority, which all tests of a process share.

use std::sync::LazyLock;

use mirror_certificates::Authority;
use mirror_net::tls::Identity;
use mirror_spec::launch::Credentials;

/// The authority of this process.
static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::new().expect("the system has random numbers"));

/// Returns a new certificate for the program called `name`.
///
/// # Panics
///
/// Panics if the name cannot be in a certificate.
pub fn credentials(name: &str) -> Credentials {
    AUTHORITY.issue(name).expect("the name can be in a certificate")
}

/// Returns the identity of the program called `name`.
///
/// # Panics
///
/// Panics if the name cannot be in a certificate.
pub fn identity(name: &str) -> Identity {
    Identity::new(&credentials(name)).expect("the certificate is valid")
}
