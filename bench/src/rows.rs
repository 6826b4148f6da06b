//! The rows of the specification's table of numbers: which cases of ours and of the peers they compare, and what we
//! promised.

/// What a case of ours may cost at most.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Nanoseconds a call with one thread and with two.
    Nanos(f64, Option<f64>),
    /// Times what a peer of the same run costs, with one thread.
    Times(f64, &'static str),
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) ours: &'static [(&'static str, Target)],
    pub(crate) peers: &'static [&'static str],
}

use Target::{Nanos, Times};

pub(crate) const ROWS: &[Row] = &[
    Row {
        title: "breaker closed, consecutive failures, admit and record",
        ours: &[
            ("breaker/consecutive failures, permit", Nanos(3.0, Some(4.0))),
            ("breaker/consecutive failures, call", Nanos(8.0, Some(8.0))),
        ],
        peers: &[
            "breaker/failsafe, consecutive failures",
            "breaker/recloser, sync",
            "breaker/seatbelt",
            "breaker/tower-resilience, consecutive failures",
        ],
    },
    Row {
        title: "breaker closed, failure rate over a rolling time window",
        ours: &[
            ("breaker/failure rate over 10 s, permit", Nanos(10.0, Some(13.0))),
            ("breaker/failure rate over 10 s, call", Nanos(12.0, Some(14.0))),
        ],
        peers: &[
            "breaker/failsafe, success rate",
            "breaker/seatbelt",
            "breaker/tower-resilience, failure rate over 10 ms",
        ],
    },
    Row {
        title: "breaker open, refusal",
        ours: &[("breaker/open, refusal", Nanos(11.0, Some(11.0)))],
        peers: &[
            "breaker/seatbelt, open",
            "breaker/failsafe, open",
            "breaker/recloser, open",
            "breaker/tower-resilience, open",
        ],
    },
    Row {
        title: "token bucket, allowed",
        ours: &[
            (
                "limiter/token bucket, allowed",
                Times(1.05, "limiter/governor, allowed"),
            ),
            ("limiter/sharded token bucket, allowed", Nanos(3.0, Some(4.0))),
        ],
        peers: &[
            "limiter/governor, allowed",
            "limiter/leaky-bucket, allowed",
            "limiter/ratelimit, allowed",
            "limiter/tower-resilience, token bucket",
        ],
    },
    Row {
        title: "token bucket, refused",
        ours: &[(
            "limiter/token bucket, refused",
            Times(1.05, "limiter/governor, refused"),
        )],
        peers: &[
            "limiter/governor, refused",
            "limiter/leaky-bucket, refused",
            "limiter/ratelimit, refused",
        ],
    },
    Row {
        title: "keyed limiter, 1,000 keys",
        ours: &[("limiter/keyed, 1,000 keys", Nanos(20.0, None))],
        peers: &["limiter/governor keyed, 1,000 keys"],
    },
    Row {
        title: "keyed limiter, 1,000,000 keys",
        ours: &[("limiter/keyed, 1,000,000 keys", Nanos(250.0, None))],
        peers: &["limiter/governor keyed, 1,000,000 keys"],
    },
    Row {
        title: "exact sliding window",
        ours: &[("limiter/exact sliding window, allowed", Nanos(15.0, None))],
        peers: &["limiter/tower-resilience, exact sliding window"],
    },
    Row {
        title: "retry around a call that succeeds",
        ours: &[
            ("retry/without a budget", Nanos(2.0, None)),
            ("retry/with a budget", Nanos(2.0, None)),
        ],
        peers: &[
            "retry/tokio-retry",
            "retry/backon",
            "retry/seatbelt",
            "retry/tower-resilience",
        ],
    },
    Row {
        title: "policy of five: timeout, retry, breaker, limiter, bulkhead",
        ours: &[
            ("policy/five", Nanos(35.0, Some(80.0))),
            ("policy/five, sharded limiter", Nanos(40.0, Some(45.0))),
        ],
        peers: &[
            "policy/tokio, backon, recloser and governor by hand",
            "policy/seatbelt, retry, breaker and timeout only",
            "policy/tower-resilience, five",
        ],
    },
    Row {
        title: "cache hit",
        ours: &[("cache/RecommendationCache", Times(1.15, "cache/quick_cache"))],
        peers: &["cache/quick_cache", "cache/dashmap", "cache/moka"],
    },
];

/// Further rows, which have no peer in the specification.
pub(crate) const FURTHER: &[Row] = &[
    Row {
        title: "one of 1,000 policies in turn",
        ours: &[(
            "growth/one of 1,000 policies of five in turn",
            Times(2.5, "growth/policy of five"),
        )],
        peers: &[],
    },
    Row {
        title: "timeout around a call that is ready at once",
        ours: &[("timeout/ready at once", Nanos(8.0, None))],
        peers: &[],
    },
    Row {
        title: "bulkhead, in and out",
        ours: &[
            ("bulkhead/permit", Nanos(8.0, Some(10.0))),
            ("bulkhead/call", Nanos(8.0, None)),
        ],
        peers: &[],
    },
];

/// The memory of an instance of ours, and of the peers'.
pub(crate) struct Memory {
    pub(crate) title: &'static str,
    pub(crate) ours: &'static str,
    /// Bytes and pieces of the heap.
    pub(crate) most: (usize, usize),
    pub(crate) peers: &'static [&'static str],
}

pub(crate) const MEMORY: &[Memory] = &[
    Memory {
        title: "circuit breaker",
        ours: "breaker/consecutive failures, permit",
        most: (1_024, 2),
        peers: &[
            "breaker/recloser, sync",
            "breaker/failsafe, consecutive failures",
            "breaker/seatbelt",
            "breaker/tower-resilience, consecutive failures",
        ],
    },
    Memory {
        title: "token bucket",
        ours: "limiter/token bucket, allowed",
        most: (1_024, 2),
        peers: &[
            "limiter/governor, allowed",
            "limiter/leaky-bucket, allowed",
            "limiter/ratelimit, allowed",
            "limiter/tower-resilience, token bucket",
        ],
    },
    Memory {
        title: "bulkhead",
        ours: "bulkhead/permit",
        most: (2_048, 2),
        peers: &[],
    },
    Memory {
        title: "retry with its budget",
        ours: "retry/with a budget",
        most: (1_024, 3),
        peers: &["retry/seatbelt", "retry/tower-resilience"],
    },
    Memory {
        title: "policy: timeout, retry, breaker, limiter; the critical profile",
        ours: "policy/critical profile",
        most: (4_096, 8),
        peers: &[],
    },
    Memory {
        title: "policy of five: timeout, retry, breaker, limiter, bulkhead",
        ours: "policy/five",
        most: (4_096, 8),
        peers: &[
            "policy/tokio, backon, recloser and governor by hand",
            "policy/seatbelt, retry, breaker and timeout only",
            "policy/tower-resilience, five",
        ],
    },
];

/// A figure in the table that another bench printed, in microseconds unless its title says otherwise.
pub(crate) struct Whole {
    pub(crate) bench: &'static str,
    /// How its line begins, and what stands before the figure.
    pub(crate) line: &'static str,
    /// Which of the numbers on that line, from 0.
    pub(crate) place: usize,
    pub(crate) title: &'static str,
    pub(crate) most: Most,
}

/// What such a figure may be at most.
pub(crate) enum Most {
    Number(f64),
    /// What the line that begins so shows at the same place.
    Line(&'static str),
}

/// The specification's rows that take longer than a call.
pub(crate) const WHOLE: &[Whole] = &[
    tick(
        "thread, sharpest",
        0,
        "2 ms tick with privileges, P50",
        Most::Number(0.1),
    ),
    tick(
        "thread, sharpest",
        1,
        "2 ms tick with privileges, P99",
        Most::Number(60.0),
    ),
    tick(
        "thread, sharpest",
        0,
        "2 ms tick with privileges beside cyclictest, P50",
        Most::Line("cyclictest, FIFO 80"),
    ),
    tick(
        "thread, sharpest",
        1,
        "2 ms tick with privileges beside cyclictest, P99",
        Most::Line("cyclictest, FIFO 80"),
    ),
    tick(
        "thread, spin 60 µs",
        0,
        "2 ms tick without privileges, P50",
        Most::Number(30.0),
    ),
    tick(
        "thread, spin 60 µs",
        1,
        "2 ms tick without privileges, P99",
        Most::Number(130.0),
    ),
    tick(
        "thread, sharpest",
        4,
        "2 ms tick with privileges, % of a processor",
        Most::Number(3.5),
    ),
    tick(
        "thread, spin 60 µs",
        4,
        "2 ms tick without privileges, % of a processor",
        Most::Number(3.5),
    ),
    Whole {
        bench: "distributed",
        line: "hand-off of a contended lock: P50 ",
        place: 0,
        title: "hand-off of a contended Redis lock, P50",
        most: Most::Number(2_000.0),
    },
];

const fn tick(line: &'static str, place: usize, title: &'static str, most: Most) -> Whole {
    Whole {
        bench: "scheduler",
        line,
        place,
        title,
        most,
    }
}
