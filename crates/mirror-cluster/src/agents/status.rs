//! The exit status of a node, on the wire.

use mirror_proto::mirror::v1::{ExitStatus, exit_status};

use crate::Status;

impl From<Status> for ExitStatus {
    fn from(status: Status) -> Self {
        let status = match status {
            Status::Code(code) => exit_status::Status::Code(code),
            Status::Signal(signal) => exit_status::Status::Signal(signal),
            Status::MemoryLimit(bytes) => exit_status::Status::MemoryLimit(bytes),
            Status::Unknown => exit_status::Status::Unknown(true),
        };
        Self { status: Some(status) }
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        match status.status {
            Some(exit_status::Status::Code(code)) => Self::Code(code),
            Some(exit_status::Status::Signal(signal)) => Self::Signal(signal),
            Some(exit_status::Status::MemoryLimit(bytes)) => Self::MemoryLimit(bytes),
            Some(exit_status::Status::Unknown(_)) | None => Self::Unknown,
        }
    }
}
