//! The certificate with which commands control a running network.

use std::fs;
use std::path::Path;

use mirror_net::tls::Identity;
use mirror_runs::Layout;
use mirror_spec::launch::Credentials;

/// Reads the certificate of the operator of the run in a folder that has not ended.
pub(crate) fn operator(run: &Path) -> Identity {
    let folder = Layout::new(run).certificates();
    let read = |name: &str| {
        fs::read_to_string(folder.join(name)).expect("the file exists while the run is in progress")
    };
    let credentials = Credentials {
        authority: read("authority.pem"),
        certificate: read("operator.pem"),
        key: read("operator.key"),
    };
    Identity::new(&credentials).expect("the certificate is valid")
}
