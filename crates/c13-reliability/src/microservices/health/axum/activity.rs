//! The activity of a connection, and until when the server waits for its client. A pure state.

use super::settings::ServeSettings;
use crate::time::Tick;
use std::time::Duration;

/// How long a connection without a complete request may still send one after the server has stopped accepting, because
/// a request that was sent in time may still be on its way.
pub(super) const LAST_REQUEST: Duration = Duration::from_secs(1);

/// In the drain a client may take this much longer than `read_within` for each byte that it transfers: 500 bytes a
/// second, which is below any real line and above a client that only keeps the connection open.
const TIME_PER_BYTE: Duration = Duration::from_millis(2);

/// What happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// So many bytes arrived. The first ones show whether they are the start of HTTP/2.
    Received { bytes: usize, http2: bool },
    /// The client took so many bytes of a response.
    Sent { bytes: usize },
    /// The client takes no more bytes of the response.
    SendBlocked,
    /// The head of a request is complete.
    RequestBegan,
    /// The response was sent or abandoned.
    RequestEnded,
    /// A handler waits for more of the request's body. Whether its length is known.
    BodyAwaited { sized: bool },
    /// The handler does not wait for the body any more.
    BodyArrived { sized: bool },
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For a request.
    Idle,
    /// For the head of the first request, or for the rest of a head.
    Head,
    /// For the server's own work.
    Server,
    /// For the client to go on with what is in flight.
    Client,
}

/// What to do with a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionAction {
    /// The client has time until then, if nothing happens.
    WaitUntil(Tick),
    /// The server is at work.
    Wait,
    /// It has been without a request for too long.
    Retire,
    /// The client's time is over.
    Cut,
}

/// The activity of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    requests: u32,
    bodies_awaited: u32,
    sized_bodies_awaited: u32,
    send_blocked: bool,
    head_begun: bool,
    heard: bool,
    http2: bool,
    /// Since when it waits.
    since: Tick,
    finishing: Option<Finishing>,
}

/// What a connection did since the server stopped accepting.
#[derive(Clone, Copy, Debug)]
struct Finishing {
    at: Tick,
    /// How long it waited for its client, up to `since`.
    waited: Duration,
    moved: usize,
}

impl Activity {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            requests: 0,
            bodies_awaited: 0,
            sized_bodies_awaited: 0,
            send_blocked: false,
            head_begun: false,
            heard: false,
            http2: false,
            since: now,
            finishing: None,
        }
    }

    /// The server has stopped accepting.
    pub(super) fn finish(&mut self, now: Tick) {
        self.finishing.get_or_insert(Finishing {
            at: now,
            waited: Duration::ZERO,
            moved: 0,
        });
    }

    /// Whether it can be asked to end after what it has in flight. One without a request is given
    /// [`LAST_REQUEST`] first; HTTP/2 says which request was the last.
    pub(super) fn ends_when_asked(&self) -> bool {
        self.requests > 0 || self.http2
    }

    pub(super) fn record(&mut self, event: Event, now: Tick) {
        let before = self.phase();
        match event {
            Event::Received { bytes, http2 } => {
                if !self.heard {
                    (self.heard, self.http2, self.since) = (true, http2, now);
                }
                // Frames that keep an HTTP/2 connection alive are no request.
                self.head_begun = self.requests == 0 && (!self.http2 || self.head_begun);
                self.moved(bytes);
            }
            Event::Sent { bytes } => {
                self.send_blocked = false;
                self.moved(bytes);
            }
            Event::SendBlocked => self.send_blocked = true,
            Event::RequestBegan => {
                self.requests += 1;
                (self.heard, self.head_begun) = (true, false);
            }
            Event::RequestEnded => self.requests = self.requests.saturating_sub(1),
            Event::BodyAwaited { sized } => {
                self.bodies_awaited += 1;
                self.sized_bodies_awaited += u32::from(sized);
            }
            Event::BodyArrived { sized } => {
                self.bodies_awaited = self.bodies_awaited.saturating_sub(1);
                self.sized_bodies_awaited = self.sized_bodies_awaited.saturating_sub(u32::from(sized));
            }
        }
        if before != self.phase() {
            if let Some(finishing) = &mut self.finishing
                && before == Phase::Client
            {
                finishing.waited += now - self.since.max(finishing.at);
            }
            self.since = now;
        }
    }

    fn moved(&mut self, bytes: usize) {
        if let Some(finishing) = &mut self.finishing {
            finishing.moved = finishing.moved.saturating_add(bytes);
        }
    }

    fn phase(&self) -> Phase {
        if self.send_blocked || self.requests > 0 && self.bodies_awaited >= self.requests {
            Phase::Client
        } else if self.requests > 0 {
            Phase::Server
        } else if self.head_begun || !self.heard {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    /// What to do with the connection now.
    #[must_use]
    pub(super) fn action(&self, settings: &ServeSettings, now: Tick) -> ConnectionAction {
        let phase = self.phase();
        let end = match (phase, self.finishing) {
            (Phase::Server, _) => return ConnectionAction::Wait,
            (Phase::Idle, None) => self.since + settings.keep_idle,
            (Phase::Idle, Some(finishing)) => self.since.max(finishing.at) + LAST_REQUEST,
            (Phase::Head, None) => self.since + settings.read_within,
            (Phase::Head, Some(finishing)) => {
                (self.since.max(finishing.at) + LAST_REQUEST).min(self.since + settings.read_within)
            }
            // A stream of unknown length may pause for any time.
            (Phase::Client, None) if !self.send_blocked && self.sized_bodies_awaited == 0 => {
                return ConnectionAction::Wait;
            }
            (Phase::Client, None) => self.since + settings.keep_idle,
            (Phase::Client, Some(finishing)) => {
                let moved = u32::try_from(finishing.moved).unwrap_or(u32::MAX);
                let allowed = settings.read_within.saturating_add(TIME_PER_BYTE.saturating_mul(moved));
                // A pause this long is too long, even if the client was fast before.
                let left = allowed.saturating_sub(finishing.waited).min(settings.read_within);
                self.since.max(finishing.at) + left
            }
        };
        match phase {
            _ if now < end => ConnectionAction::WaitUntil(end),
            Phase::Idle => ConnectionAction::Retire,
            _ => ConnectionAction::Cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Event::*;
    use super::*;

    const SETTINGS: ServeSettings = ServeSettings::new()
        .read_within(Duration::from_secs(10))
        .keep_idle(Duration::from_secs(75));

    fn at(seconds: u64) -> Tick {
        Tick::ZERO + Duration::from_secs(seconds)
    }

    fn received(bytes: usize) -> Event {
        Received { bytes, http2: false }
    }

    /// A connection to which these events happened at these seconds, and when the server stopped accepting.
    fn after(events: &[(u64, Event)], stopped: Option<u64>) -> Activity {
        let mut activity = Activity::new(at(0));
        let mut stopped = stopped;
        for (second, event) in events {
            if let Some(stop) = stopped.take_if(|stop| *stop <= *second) {
                activity.finish(at(stop));
            }
            activity.record(*event, at(*second));
        }
        if let Some(stop) = stopped {
            activity.finish(at(stop));
        }
        activity
    }

    #[test]
    fn a_client_has_its_time_by_what_the_connection_waits_for() {
        let sized = BodyAwaited { sized: true };
        let arrived = BodyArrived { sized: true };
        let chunked = BodyAwaited { sized: false };
        let http2 = Received { bytes: 24, http2: true };
        // What happened, when the server stopped accepting, and until which second the client has time.
        type Case<'a> = (&'a [(u64, Event)], Option<u64>, Option<u64>);
        let cases: &[Case<'_>] = &[
            (&[], None, Some(10)),
            (&[], Some(4), Some(5)),
            (&[], Some(9), Some(10)),
            (&[(3, received(1))], None, Some(13)),
            // The limit is for the whole head, in however many pieces it arrives.
            (&[(3, received(1)), (9, received(1))], None, Some(13)),
            (&[(3, received(1))], Some(4), Some(5)),
            (&[(3, received(1))], Some(2), Some(4)),
            (&[(3, received(1)), (3, RequestBegan)], None, None),
            (&[(3, received(1)), (3, RequestBegan)], Some(4), None),
            (
                &[(3, received(1)), (3, RequestBegan), (5, RequestEnded)],
                None,
                Some(80),
            ),
            (
                &[(3, received(1)), (3, RequestBegan), (5, RequestEnded)],
                Some(4),
                Some(6),
            ),
            (&[(3, received(9)), (3, RequestBegan), (4, sized)], None, Some(79)),
            (&[(3, RequestBegan), (4, chunked)], None, None),
            (&[(3, RequestBegan), (4, sized)], Some(5), Some(15)),
            (&[(3, RequestBegan), (4, chunked)], Some(5), Some(15)),
            (&[(3, RequestBegan), (4, sized), (6, arrived)], Some(5), None),
            // 4 of the 10 seconds were waited, and a byte is worth 2 ms.
            (
                &[(3, RequestBegan), (5, sized), (9, arrived), (10, sized)],
                Some(5),
                Some(16),
            ),
            (
                &[
                    (3, RequestBegan),
                    (5, sized),
                    (9, received(1_000)),
                    (9, arrived),
                    (10, sized),
                ],
                Some(5),
                Some(18),
            ),
            (
                &[
                    (3, RequestBegan),
                    (5, sized),
                    (9, received(1 << 30)),
                    (9, arrived),
                    (10, sized),
                ],
                Some(5),
                Some(20),
            ),
            (&[(3, RequestBegan), (4, SendBlocked)], None, Some(79)),
            (&[(3, RequestBegan), (4, SendBlocked)], Some(5), Some(15)),
            (
                &[(3, RequestBegan), (4, SendBlocked), (6, Sent { bytes: 1 })],
                Some(5),
                None,
            ),
            // One of two requests waits for the server.
            (
                &[(1, http2), (3, RequestBegan), (3, RequestBegan), (4, sized)],
                Some(5),
                None,
            ),
            (&[(1, http2), (9, received(17))], None, Some(76)),
        ];
        for (events, stopped, end) in cases {
            let activity = after(events, *stopped);
            let seen = activity.action(&SETTINGS, at(11).min(at(end.unwrap_or(0) - u64::from(end.is_some()))));
            let wanted = end.map_or(ConnectionAction::Wait, |end| ConnectionAction::WaitUntil(at(end)));
            assert_eq!(seen, wanted, "{events:?}, stopped at {stopped:?}");
            if let Some(end) = end {
                let over = activity.action(&SETTINGS, at(*end));
                assert!(
                    matches!(over, ConnectionAction::Retire | ConnectionAction::Cut),
                    "{events:?}: {over:?}"
                );
            }
        }
    }

    #[test]
    fn a_connection_without_a_request_is_retired_and_one_with_half_of_it_is_cut() {
        let kept = after(&[(0, received(1)), (0, RequestBegan), (0, RequestEnded)], None);
        assert_eq!(kept.action(&SETTINGS, at(75)), ConnectionAction::Retire);
        let half = after(&[(0, received(1))], None);
        assert_eq!(half.action(&SETTINGS, at(10)), ConnectionAction::Cut);
    }
}
