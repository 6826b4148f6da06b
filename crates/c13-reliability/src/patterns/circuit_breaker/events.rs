//! Delivers the events of a circuit to the log, to listeners and to streams. Never under the breaker's lock.

use super::opening::Opening;
use super::snapshot::{CircuitEvent, CircuitState};
#[cfg(feature = "tracing")]
use crate::gate::Cause;
use crate::sync::primitive::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How many events wait for a slow listener; of more, the oldest are dropped.
const BACKLOG: usize = 1024;
/// How many events wait in a stream; of more, the oldest are dropped.
const STREAM_BACKLOG: usize = 256;
/// The target of the log events; part of the interface.
#[cfg(feature = "tracing")]
const TARGET: &str = "c13::circuit_breaker";

pub(super) type Listener = Arc<dyn Fn(&CircuitEvent) + Send + Sync>;

/// The events of one breaker that are to be delivered.
///
/// The thread that causes an event adds it here while it holds the breaker's lock, so that the order is right, and delivers it
/// after it has released the lock. One thread delivers at a time: other threads leave their events to it, and so does a
/// listener that causes more events.
pub(super) struct Outbox {
    /// The name of the breaker, if it has one of its own.
    name: Option<Box<str>>,
    /// Allocated with the first event, listener or stream: most circuits never see one.
    post: Mutex<Option<Box<Post>>>,
}

/// The name of a breaker without one of its own.
const NO_NAME: &str = "circuit_breaker";

#[derive(Default)]
struct Post {
    waiting: VecDeque<CircuitEvent>,
    delivering: bool,
    listeners: Vec<Listener>,
    streams: Vec<Arc<Mailbox>>,
    /// Why the circuit is open, or was until its probes began.
    opening: Option<Arc<Opening>>,
}

impl Post {
    /// Takes note of why the circuit is open.
    fn note(&mut self, event: &CircuitEvent) {
        if let CircuitEvent::Transition(change) = event
            && change.to != CircuitState::HalfOpen
        {
            self.opening = change.opening.map(Arc::new);
        }
    }
}

impl Outbox {
    pub(super) fn new(name: Option<&str>) -> Self {
        Self {
            name: name.map(Box::from),
            post: Mutex::new(None),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NO_NAME)
    }

    pub(super) fn listen(&self, listener: Listener) {
        self.post.lock().get_or_insert_default().listeners.push(listener);
    }

    pub(super) fn subscribe(&self) -> CircuitEvents {
        let mailbox = Arc::new(Mailbox::default());
        let mut post = self.post.lock();
        let post = post.get_or_insert_default();
        // Streams that have been dropped are removed.
        post.streams.retain(|stream| Arc::strong_count(stream) > 1);
        post.streams.push(mailbox.clone());
        CircuitEvents { mailbox, missed: 0 }
    }

    /// Adds events; called under the breaker's lock.
    pub(super) fn put(&self, news: Vec<CircuitEvent>) {
        let mut post = self.post.lock();
        let post = post.get_or_insert_default();
        news.iter().for_each(|event| post.note(event));
        post.waiting.extend(news);
        let surplus = post.waiting.len().saturating_sub(BACKLOG);
        post.waiting.drain(..surplus);
    }

    /// Why the circuit is open; `None` if it is not.
    pub(super) fn opening(&self) -> Option<Arc<Opening>> {
        self.post.lock().as_ref()?.opening.clone()
    }

    /// Delivers the waiting events, unless another thread is delivering already.
    pub(super) fn deliver(&self) {
        loop {
            let (event, listeners, streams) = {
                let mut post = self.post.lock();
                let post = post.get_or_insert_default();
                if post.delivering {
                    return;
                }
                let Some(event) = post.waiting.pop_front() else {
                    // Events are rare: what held them is not kept until the next.
                    post.waiting = VecDeque::new();
                    return;
                };
                post.delivering = true;
                (event, post.listeners.clone(), post.streams.clone())
            };
            self.send(event, &listeners, &streams);
            self.post.lock().get_or_insert_default().delivering = false;
        }
    }

    /// A panic in one listener does not affect the others.
    fn send(&self, event: CircuitEvent, listeners: &[Listener], streams: &[Arc<Mailbox>]) {
        #[cfg(feature = "tracing")]
        isolated(|| log(self.name(), &event));
        for listener in listeners {
            isolated(|| listener(&event));
        }
        for stream in streams {
            isolated(|| stream.put(event));
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let post = self.post.lock().take();
        for stream in post.map(|post| post.streams).unwrap_or_default() {
            isolated(|| stream.close());
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Runs user code; a panic in it ends here.
fn isolated(told: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(told)).is_err() {
        #[cfg(feature = "tracing")]
        tracing::error!(target: TARGET, "a listener of a circuit breaker panicked");
    }
}

#[cfg(feature = "tracing")]
fn log(name: &str, event: &CircuitEvent) {
    use crate::time::Rounded;
    match event {
        CircuitEvent::Transition(change) => {
            let (from, to, reason) = (change.from.name(), change.to.name(), change.reason.name());
            if let Some(opening) = change.opening {
                tracing::warn!(
                    target: TARGET,
                    breaker = name,
                    from,
                    to,
                    reason,
                    bad_calls = (opening.bad_calls > 0).then_some(opening.bad_calls),
                    calls = opening.calls,
                    window = opening.window.map(display),
                    last = (opening.last != Cause::Unknown).then_some(display(opening.last)),
                    open_for = opening.open_for.map(|time| display(Rounded(time))),
                    "the circuit opened"
                );
            } else {
                tracing::info!(target: TARGET, breaker = name, from, to, reason, "the circuit changed its state");
            }
        }
        CircuitEvent::Stage { number, share, .. } => {
            tracing::info!(
                target: TARGET,
                breaker = name,
                stage = *number,
                share,
                "the circuit lets more calls run"
            );
        }
        CircuitEvent::WouldOpen { reason, .. } => {
            tracing::warn!(
                target: TARGET,
                breaker = name,
                reason = reason.name(),
                "the circuit would open if it were not only watching"
            );
        }
    }
}

/// The events that a stream holds.
#[derive(Default)]
struct Mailbox(Mutex<Mail>);

#[derive(Default)]
struct Mail {
    events: VecDeque<CircuitEvent>,
    missed: u64,
    reader: Option<Waker>,
    closed: bool,
}

impl Mailbox {
    fn put(&self, event: CircuitEvent) {
        self.change(|mail| {
            if mail.events.len() == STREAM_BACKLOG {
                mail.events.pop_front();
                mail.missed += 1;
            }
            mail.events.push_back(event);
        });
    }

    fn close(&self) {
        self.change(|mail| mail.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Mail)) {
        let reader = {
            let mut mail = self.0.lock();
            change(&mut mail);
            mail.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The events of a breaker from the moment it was subscribed to, in order; made by
/// [`CircuitBreaker::events`](super::CircuitBreaker::events).
///
/// It keeps the last 256 events for a slow reader; [`missed`](Self::missed) says how many it has dropped. It
/// ends with the breaker, and does not keep it alive. For a `Stream` trait: `poll_fn(move |cx| events.poll_next(cx))`.
pub struct CircuitEvents {
    mailbox: Arc<Mailbox>,
    missed: u64,
}

impl CircuitEvents {
    /// The next event; `None` once the breaker is gone and all its events are read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<CircuitEvent> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next event; if there is none, the task is woken when there is.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<CircuitEvent>> {
        let waker = cx.waker().clone();
        let mut mail = self.mailbox.0.lock();
        self.missed = mail.missed;
        if let Some(event) = mail.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if mail.closed {
            return Poll::Ready(None);
        }
        let old = mail.reader.replace(waker);
        drop(mail);
        // Dropped outside the lock, because a waker is user code.
        drop(old);
        Poll::Pending
    }

    /// How many events it has dropped because nobody read them in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl fmt::Debug for CircuitEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitEvents")
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
