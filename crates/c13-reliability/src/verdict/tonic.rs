//! What gRPC statuses of the tonic crate mean.

use super::{Meaning, Retryable, Verdict};
use tonic::Status;

/// The trailer with which a server says when to try again, or not to.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

impl Retryable for Status {
    /// By its code, see [`of_grpc_code`](Meaning::of_grpc_code), and by the server's push-back, if there is one.
    fn meaning(&self) -> Meaning {
        let trailer = self.metadata().get(PUSHBACK);
        let pushback = trailer.map(|value| value.to_str().map_or(Verdict::Final, Verdict::pushback));
        Meaning::of_grpc_code(self.code().into(), pushback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Outcome;
    use std::time::Duration;

    #[test]
    fn a_status_is_judged_by_its_code_and_the_servers_push_back() {
        assert_eq!(Status::unavailable("restarting").verdict(), Verdict::Retry);
        assert_eq!(Status::resource_exhausted("quota").verdict(), Verdict::Retry);
        assert_eq!(Status::deadline_exceeded("late").verdict(), Verdict::Final);
        assert_eq!(Status::invalid_argument("no").verdict(), Verdict::Final);
        let pushed_back = |trailer: &str| {
            let mut status = Status::unavailable("restarting");
            let trailer = trailer.parse().expect("it is ASCII");
            status.metadata_mut().insert(PUSHBACK, trailer);
            status.verdict()
        };
        assert_eq!(pushed_back("1500"), Verdict::RetryAfter(Duration::from_millis(1_500)));
        assert_eq!(pushed_back("-1"), Verdict::Final, "the server wants no more of it");
        assert_eq!(Status::unavailable("restarting").outcome(), Outcome::FAILURE);
        assert_eq!(Status::not_found("no").outcome(), Outcome::Success);
    }
}
