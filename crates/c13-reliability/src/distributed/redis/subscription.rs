//! One connection for all messages: a channel lasts as long as its listeners, and a listener that may have missed a message
//! is woken.

use super::connection::Redis;
use crate::sync::primitive::Mutex;
use crate::time::Clock;
use futures_util::StreamExt as _;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Msg, RedisError, RedisResult};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};

/// The channels that have listeners, over one connection that a task keeps.
///
/// The connection lasts while there are listeners. It is asked for a sign of life every second, because a broken one sends
/// nothing; when it is made anew, every listener is woken once for what it may have missed.
#[derive(Clone)]
pub(crate) struct Subscriptions {
    hub: Arc<Hub>,
}

struct Hub {
    redis: Redis,
    clock: Clock,
    channels: Mutex<Channels>,
}

#[derive(Default)]
struct Channels {
    listened: HashMap<String, Channel>,
    /// Reports channels that come and go to the task; `None` while there is no task.
    changes: Option<mpsc::UnboundedSender<Change>>,
}

struct Channel {
    wakes: broadcast::Sender<Arc<str>>,
    listeners: usize,
}

enum Change {
    Listen(String, oneshot::Sender<RedisResult<()>>),
    Leave(String),
}

/// Messages that a listener may be behind before it is woken for all of them at once.
const BACKLOG: usize = 16;
/// The longest name of an owner.
const LONGEST_OWNER: usize = 64;
/// How often the connection is asked for a sign of life, and how long that may take.
const PING: Duration = Duration::from_secs(1);
/// How long a failed connection is left alone.
const RECONNECT: Duration = Duration::from_millis(100);

impl Subscriptions {
    pub(crate) fn new(redis: Redis) -> Self {
        Self {
            hub: Arc::new(Hub {
                redis,
                clock: Clock::system(),
                channels: Mutex::default(),
            }),
        }
    }

    /// Listens to `channel`. When this returns, the server has confirmed it: no message after it is missed.
    pub(crate) async fn listen(&self, channel: &str) -> RedisResult<(broadcast::Receiver<Arc<str>>, Listening)> {
        let (confirm, confirmed) = oneshot::channel();
        let (receiver, listening) = {
            let mut channels = self.hub.channels.lock();
            let entry = channels.listened.entry(channel.to_owned()).or_insert_with(|| Channel {
                wakes: broadcast::Sender::new(BACKLOG),
                listeners: 0,
            });
            entry.listeners += 1;
            let receiver = entry.wakes.subscribe();
            // Subscribing again to a channel is confirmed like the first time, so each listener has a word of its own.
            let change = Change::Listen(channel.to_owned(), confirm);
            let unsent = match &channels.changes {
                Some(changes) => changes.send(change).err().map(|unsent| unsent.0),
                None => Some(change),
            };
            if let Some(change) = unsent {
                let (changes, receiver) = mpsc::unbounded_channel();
                // The receiver is right here.
                drop(changes.send(change));
                channels.changes = Some(changes);
                tokio::spawn(attend(Arc::downgrade(&self.hub), self.hub.redis.clone(), receiver));
            }
            let listening = Listening {
                hub: self.hub.clone(),
                channel: channel.to_owned(),
            };
            (receiver, listening)
        };
        let confirmed = confirmed.await;
        confirmed.unwrap_or_else(|_| Err(gone()))?;
        Ok((receiver, listening))
    }

    /// How many channels are listened to.
    pub(crate) fn channels(&self) -> usize {
        self.hub.channels.lock().listened.len()
    }
}

/// Keeps one listener's channel; when it is dropped, the channel ends unless it has other listeners.
pub(crate) struct Listening {
    hub: Arc<Hub>,
    channel: String,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut channels = self.hub.channels.lock();
        let Some(entry) = channels.listened.get_mut(&self.channel) else {
            return;
        };
        entry.listeners -= 1;
        if entry.listeners == 0 {
            channels.listened.remove(&self.channel);
            if let Some(changes) = &channels.changes {
                // An error means that there is no task, and so no subscription.
                drop(changes.send(Change::Leave(std::mem::take(&mut self.channel))));
            }
        }
    }
}

fn gone() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::NotConnected, "the connection for messages is gone").into()
}

impl Hub {
    fn pass_on(&self, message: &Msg) {
        let channels = self.channels.lock();
        if let Some(channel) = channels.listened.get(message.get_channel_name()) {
            // Any client can publish: what is no owner's name wakes all listeners.
            let turn = message.get_payload::<String>().unwrap_or_default();
            let turn = if turn.len() <= LONGEST_OWNER {
                turn
            } else {
                String::new()
            };
            // An error means that there is no listener any more.
            drop(channel.wakes.send(turn.into()));
        }
    }

    fn wake_all(&self) {
        for channel in self.channels.lock().listened.values() {
            drop(channel.wakes.send("".into()));
        }
    }

    fn listened(&self) -> Vec<String> {
        self.channels.lock().listened.keys().cloned().collect()
    }

    /// Ends the task unless there are listeners; decided under the lock under which listeners are added.
    fn may_end(&self) -> bool {
        let mut channels = self.channels.lock();
        if channels.listened.is_empty() {
            channels.changes = None;
        }
        channels.listened.is_empty()
    }
}

/// The task: keeps the connection while there are listeners.
async fn attend(hub: Weak<Hub>, redis: Redis, mut changes: mpsc::UnboundedReceiver<Change>) {
    loop {
        let connected = redis.messages().await;
        let Some(alive) = hub.upgrade() else { return };
        let clock = alive.clock.clone();
        if let Ok(connection) = connected
            && serve(&alive, connection, &mut changes).await == Ended::NobodyListens
            && alive.may_end()
        {
            return;
        }
        // Listeners that wait for a confirmation are told that there is none, and look by themselves meanwhile.
        while let Ok(change) = changes.try_recv() {
            if let Change::Listen(_, confirm) = change {
                drop(confirm.send(Err(gone())));
            }
        }
        if alive.may_end() {
            return;
        }
        drop(alive);
        clock.sleep(RECONNECT).await;
    }
}

#[derive(PartialEq)]
enum Ended {
    Broken,
    NobodyListens,
}

async fn serve(hub: &Hub, connection: PubSub, changes: &mut mpsc::UnboundedReceiver<Change>) -> Ended {
    let (mut sink, mut messages): (PubSubSink, PubSubStream) = connection.split();
    let listened = hub.listened();
    if !listened.is_empty() && !in_time(hub, sink.subscribe(&listened)).await {
        return Ended::Broken;
    }
    hub.wake_all();
    let mut next_ping = hub.clock.now() + PING;
    loop {
        let ping = hub.clock.sleep_until(next_ping);
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => hub.pass_on(&message),
                None => return Ended::Broken,
            },
            change = changes.recv() => match change {
                Some(Change::Listen(channel, confirm)) => {
                    let limit = PING;
                    let result = match hub.clock.timeout(limit, sink.subscribe(&channel)).await {
                        Ok(result) => result,
                        Err(_) => Err(gone()),
                    };
                    let broken = result.is_err();
                    // An error means that the listener has gone.
                    drop(confirm.send(result));
                    if broken {
                        return Ended::Broken;
                    }
                }
                Some(Change::Leave(channel)) => {
                    let still = hub.channels.lock().listened.contains_key(&channel);
                    if !still && !in_time(hub, sink.unsubscribe(&channel)).await {
                        return Ended::Broken;
                    }
                }
                None => return Ended::NobodyListens,
            },
            () = ping => {
                if hub.channels.lock().listened.is_empty() {
                    return Ended::NobodyListens;
                }
                if !in_time(hub, sink.ping::<redis::Value>()).await {
                    return Ended::Broken;
                }
                next_ping = hub.clock.now() + PING;
            }
        }
    }
}

/// Whether a request succeeded within the time of a sign of life. Messages wait in their stream meanwhile.
async fn in_time<T>(hub: &Hub, request: impl Future<Output = RedisResult<T>>) -> bool {
    matches!(hub.clock.timeout(PING, request).await, Ok(Ok(_)))
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions")
            .field("channels", &self.channels())
            .finish()
    }
}
