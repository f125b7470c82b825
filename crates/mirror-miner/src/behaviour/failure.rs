//! Answers for calls that fail deliberately.

use mirror_spec::Failure;
use tonic::Code;

use super::Answer;

pub(super) fn answer(how: Failure) -> Answer {
    match how {
        Failure::Nothing => Answer::Nothing,
        Failure::Hang => Answer::Silence,
        Failure::Crash => Answer::Crash,
        Failure::Cancelled => Answer::Refusal(Code::Cancelled),
        Failure::Unknown => Answer::Refusal(Code::Unknown),
        Failure::InvalidArgument => Answer::Refusal(Code::InvalidArgument),
        Failure::DeadlineExceeded => Answer::Refusal(Code::DeadlineExceeded),
        Failure::NotFound => Answer::Refusal(Code::NotFound),
        Failure::PermissionDenied => Answer::Refusal(Code::PermissionDenied),
        Failure::ResourceExhausted => Answer::Refusal(Code::ResourceExhausted),
        Failure::FailedPrecondition => Answer::Refusal(Code::FailedPrecondition),
        Failure::Aborted => Answer::Refusal(Code::Aborted),
        Failure::OutOfRange => Answer::Refusal(Code::OutOfRange),
        Failure::Unimplemented => Answer::Refusal(Code::Unimplemented),
        Failure::Internal => Answer::Refusal(Code::Internal),
        Failure::Unavailable => Answer::Refusal(Code::Unavailable),
        Failure::DataLoss => Answer::Refusal(Code::DataLoss),
        Failure::Unauthenticated => Answer::Refusal(Code::Unauthenticated),
    }
}
