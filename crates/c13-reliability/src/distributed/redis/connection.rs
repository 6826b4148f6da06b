//! A connection that is made when it is needed, and made anew when it is broken or does not answer.

use super::error::not_connected;
use super::eviction::{self, NO_EVICTION};
use super::settings::RedisSettings;
use super::stream::Stream;
use crate::distributed::lock::BackendError;
use crate::sync::primitive::{self, AtomicU64, Ordering};
use crate::time::{Clock, Tick};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline, RedisConnectionInfo,
    RedisError, RedisResult, ServerErrorKind, Value,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

/// A Redis: one server, the master that Sentinels name, or a cluster. Clones share one connection.
///
/// A server may send 4 MiB between two requests; one that sends more is taken for broken, so that it cannot fill the memory.
/// In a cluster, in answers of Sentinels and over TLS that is not bounded but by `response_timeout`: connect only to servers
/// that you trust that far.
///
/// It connects when it is first used, and again when the connection breaks, when requests go unanswered, or when the
/// server says that it is no longer a master. It never repeats a request by itself.
///
/// Each new connection asks the server once for its eviction policy: see [`evicts`](Self::evicts).
#[derive(Clone)]
pub struct Redis {
    shared: Arc<SharedConnection>,
}

struct SharedConnection {
    target: Target,
    settings: RedisSettings,
    clock: Clock,
    link: Arc<Mutex<Link>>,
    /// Requests in a row without a reply.
    unanswered: AtomicU64,
    /// The eviction policy that the server reported last.
    eviction: primitive::Mutex<Option<Arc<str>>>,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// Counts the connections, so that a request that finds one broken does not close its successor.
    number: u64,
}

#[derive(Clone)]
enum Target {
    Server(Box<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
    },
    Cluster(Vec<ConnectionInfo>),
    /// A connection that the caller supplied. It cannot be made anew.
    Given(MultiplexedConnection),
}

#[derive(Clone)]
enum Connection {
    /// The task lives as long as there is a handle to the connection; a connection that was supplied has none.
    One(MultiplexedConnection, Option<Arc<Driver>>),
    Cluster(ClusterConnection),
}

/// The task that reads and writes for a connection. It ends with the last handle, also if the server is silent.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that was given up sooner than this says nothing about the connection.
const TOO_SOON: Duration = Duration::from_millis(20);

impl Redis {
    /// The server at `url`, such as `redis://127.0.0.1:6379`, with default settings.
    ///
    /// # Errors
    ///
    /// The URL makes no sense. Nothing is connected yet.
    pub fn open(url: &str) -> RedisResult<Self> {
        Self::open_with(url, RedisSettings::DEFAULT)
    }

    /// The server at `url`, with these settings.
    ///
    /// # Errors
    ///
    /// The URL or a setting makes no sense. Nothing is connected yet.
    pub fn open_with(url: &str, settings: RedisSettings) -> RedisResult<Self> {
        Self::to(Target::Server(Box::new(info(url, &settings)?)), settings)
    }

    /// The master of the group `master`, as the first of the Sentinels at `urls` that answers names it. They are asked again
    /// for each new connection.
    ///
    /// # Errors
    ///
    /// A URL or a setting makes no sense. Nothing is connected yet.
    pub fn sentinel(urls: &[&str], master: &str, settings: RedisSettings) -> RedisResult<Self> {
        let target = Target::Sentinel {
            sentinels: infos(urls, &settings)?,
            master: master.to_owned(),
        };
        Self::to(target, settings)
    }

    /// The cluster that the nodes at `urls` belong to.
    ///
    /// # Errors
    ///
    /// A URL or a setting makes no sense. Nothing is connected yet.
    pub fn cluster(urls: &[&str], settings: RedisSettings) -> RedisResult<Self> {
        Self::to(Target::Cluster(infos(urls, &settings)?), settings)
    }

    /// A connection that the caller has made. It is used as it is, and not made anew when it breaks.
    #[must_use]
    pub fn of_connection(connection: MultiplexedConnection) -> Self {
        Self::assemble(Target::Given(connection), RedisSettings::DEFAULT)
    }

    fn to(target: Target, settings: RedisSettings) -> RedisResult<Self> {
        settings
            .validate()
            .map_err(|error| RedisError::from((ErrorKind::InvalidClientConfig, "settings", error.to_string())))?;
        Ok(Self::assemble(target, settings))
    }

    fn assemble(target: Target, settings: RedisSettings) -> Self {
        Self {
            shared: Arc::new(SharedConnection {
                target,
                settings,
                clock: Clock::system(),
                link: Arc::default(),
                unanswered: AtomicU64::new(0),
                eviction: primitive::Mutex::default(),
            }),
        }
    }

    /// The same Redis by a connection of its own.
    #[must_use]
    pub fn another_connection(&self) -> Self {
        Self::assemble(self.shared.target.clone(), self.shared.settings)
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &RedisSettings {
        &self.shared.settings
    }

    /// The policy by which this server evicts keys when its memory is full, such as `allkeys-lru`: locks and limits are
    /// not safe there. `None` where the policy is `noeviction`, and where it is not known: before the first connection,
    /// or because the server does not report it.
    ///
    /// Each new connection asks; a policy that evicts is an event of the target `c13::redis` too.
    #[must_use]
    pub fn evicts(&self) -> Option<Arc<str>> {
        let policy = self.shared.eviction.lock().clone();
        policy.filter(|policy| **policy != *NO_EVICTION)
    }

    /// Asks the server for its eviction policy now.
    pub(crate) async fn eviction_policy(&self) -> RedisResult<Option<String>> {
        Ok(eviction::policy(&self.request(redis::cmd("INFO").arg("memory")).await?))
    }

    /// The backend error for an error of this Redis, in words that begin with the address.
    #[must_use]
    pub fn failure(&self, error: RedisError) -> BackendError {
        let mut failure = BackendError::from(error);
        failure.message.insert_str(0, &format!("redis {}: ", self.addresses()));
        failure
    }

    /// Addresses only: a URL may hold a password.
    fn addresses(&self) -> String {
        let addresses: Vec<String> = match &self.shared.target {
            Target::Server(info) => vec![info.addr().to_string()],
            Target::Sentinel { sentinels: nodes, .. } | Target::Cluster(nodes) => {
                nodes.iter().map(|info| info.addr().to_string()).collect()
            }
            Target::Given(_) => vec!["(a connection that was given)".to_owned()],
        };
        addresses.join(", ")
    }

    /// Sends one command and gives its reply.
    ///
    /// # Errors
    ///
    /// The server's error, or the connection's: then the command may have been carried out all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping it does not take back a command that was sent.
    pub async fn request(&self, command: &Cmd) -> RedisResult<Value> {
        let (number, connection) = self.connection().await?;
        let mut asked = self.asked(number);
        let result = connection.request(command).await;
        asked.answered(result.as_ref().err());
        result
    }

    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let (number, connection) = self.connection().await?;
        let mut asked = self.asked(number);
        let result = match connection {
            Connection::One(mut connection, _driver) => pipeline.query_async(&mut connection).await,
            Connection::Cluster(mut connection) => pipeline.query_async(&mut connection).await,
        };
        asked.answered(result.as_ref().err());
        result
    }

    fn asked(&self, number: u64) -> Asked<'_> {
        Asked {
            redis: self,
            number,
            sent: self.shared.clock.now(),
            done: false,
        }
    }

    async fn connection(&self) -> RedisResult<(u64, Connection)> {
        let mut link = self.shared.link.clone().lock_owned().await;
        if let Some(connection) = &link.connection {
            return Ok((link.number, connection.clone()));
        }
        let shared = self.shared.clone();
        // In a task of its own: a request that stops waiting must not end it, or requests whose limit is shorter than the
        // handshake would never get a connection.
        let connecting = tokio::spawn(async move {
            let connection = shared.connect().await.map_err(not_connected)?;
            // Relaxed: a count of what follows; nothing is published by it.
            shared.unanswered.store(0, Ordering::Relaxed);
            link.connection = Some(connection.clone());
            link.number += 1;
            Ok((link.number, connection))
        });
        let connected = connecting.await;
        connected.unwrap_or_else(|_| Err(unreachable("the runtime is shutting down")))
    }

    /// Gives up connection `number`, unless it was given up before.
    fn give_up(&self, number: u64) {
        // The holder of this lock is already making a new connection.
        if let Ok(mut link) = self.shared.link.try_lock()
            && link.number == number
        {
            link.connection = None;
        }
    }

    /// A connection of its own for messages. In a cluster every node passes on every message.
    pub(super) async fn messages(&self) -> RedisResult<PubSub> {
        let limit = self.shared.settings.connect_timeout;
        let connecting = async {
            match &self.shared.target {
                Target::Server(info) => messages_of(&Client::open((**info).clone())?).await,
                Target::Sentinel { .. } => messages_of(&self.shared.master().await?).await,
                Target::Cluster(nodes) => {
                    let mut result = Err(unreachable("no node"));
                    for node in nodes {
                        result = messages_of(&Client::open(node.clone())?).await;
                        if result.is_ok() {
                            break;
                        }
                    }
                    result
                }
                Target::Given(_) => Err(unreachable("a connection that was given cannot be asked for messages")),
            }
        };
        match self.shared.clock.timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(unreachable("no connection for messages in time")),
        }
    }

    /// Whether there can be a connection for messages.
    pub(crate) fn has_messages(&self) -> bool {
        !matches!(self.shared.target, Target::Given(_))
    }
}

impl Connection {
    async fn request(self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(mut connection, _driver) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }
}

impl SharedConnection {
    async fn connect(&self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout))
            .set_response_timeout(Some(self.settings.response_timeout));
        let connecting = async {
            let connection = match &self.target {
                Target::Server(info) => self.to_server(&Client::open((**info).clone())?, &config).await?,
                Target::Sentinel { .. } => self.to_server(&self.master().await?, &config).await?,
                Target::Cluster(nodes) => {
                    let client = ClusterClientBuilder::new(nodes.clone())
                        .tcp_settings(tcp(&self.settings))
                        .connection_timeout(self.settings.connect_timeout)
                        .response_timeout(self.settings.response_timeout)
                        // Only what follows a redirection is sent again: what may have been carried out is ours to judge.
                        .retries(CLUSTER_REDIRECTIONS)
                        .build()?;
                    Connection::Cluster(client.get_async_connection().await?)
                }
                Target::Given(connection) => Connection::One(connection.clone(), None),
            };
            self.look_at_eviction(&connection).await?;
            Ok(connection)
        };
        // Each step has its limit; the handshakes together have this one.
        match self.clock.timeout(self.settings.connect_timeout * 3, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(unreachable("no connection in time")),
        }
    }

    /// Asks the server of a new connection for its eviction policy, which it need not report.
    ///
    /// # Errors
    ///
    /// The connection cannot be used: it does not answer, or the server refuses this client.
    async fn look_at_eviction(&self, connection: &Connection) -> RedisResult<()> {
        let mut command = redis::cmd("INFO");
        command.arg("memory");
        let policy = match connection.clone().request(&command).await {
            Ok(answer) => eviction::policy(&answer),
            Err(error) if is_turned_away(&error) => return Err(error),
            Err(_) => None,
        };
        let policy: Option<Arc<str>> = policy.map(Into::into);
        let before = std::mem::replace(&mut *self.eviction.lock(), policy.clone());
        if let Some(policy) = policy
            && *policy != *NO_EVICTION
            && before.as_ref() != Some(&policy)
        {
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "c13::redis", policy = &*policy, "the server evicts keys when its memory is full: locks and limits can be lost");
        }
        Ok(())
    }

    /// The present master.
    async fn master(&self) -> RedisResult<Client> {
        let Target::Sentinel { sentinels, master } = &self.target else {
            return Err(unreachable("no sentinels"));
        };
        // Made anew each time, because it never forgets an answer.
        let mut group = Sentinel::build(sentinels.clone())?;
        let first = &sentinels[0];
        let node = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(first.redis_settings().clone())
            .set_tcp_settings(tcp(&self.settings));
        group.async_master_for(master, Some(&node)).await
    }
}

impl SharedConnection {
    async fn to_server(&self, client: &Client, config: &AsyncConnectionConfig) -> RedisResult<Connection> {
        match self.dial(client, config).await {
            Err(error) if error.kind() == ErrorKind::AuthenticationFailed => {
                Err(self.why_turned_away(client, config).await.err().unwrap_or(error))
            }
            connected => connected,
        }
    }

    async fn dial(&self, client: &Client, config: &AsyncConnectionConfig) -> RedisResult<Connection> {
        let info = client.get_connection_info();
        let dialing = async {
            let Some(stream) = Stream::connect(info).await? else {
                let connection = client.get_multiplexed_async_connection_with_config(config).await?;
                return Ok(Connection::One(connection, None));
            };
            let settings = info.redis_settings();
            let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream, config.clone()).await?;
            let driver = Driver(tokio::spawn(driver).abort_handle());
            Ok(Connection::One(connection, Some(Arc::new(driver))))
        };
        match self.clock.timeout(self.settings.connect_timeout, dialing).await {
            Ok(dialled) => dialled,
            Err(_) => Err(unreachable("no connection in time")),
        }
    }

    /// What the server says to the credentials of `client`. The client library keeps that to itself, and takes a server that
    /// has too many clients for one that does not know the password.
    async fn why_turned_away(&self, client: &Client, config: &AsyncConnectionConfig) -> RedisResult<Value> {
        let info = client.get_connection_info();
        let mut auth = redis::cmd("AUTH");
        let credentials = info.redis_settings();
        auth.arg(credentials.username()).arg(credentials.password());
        let stranger = info.clone().set_redis_settings(RedisConnectionInfo::default());
        self.dial(&Client::open(stranger)?, config).await?.request(&auth).await
    }
}

async fn messages_of(client: &Client) -> RedisResult<PubSub> {
    let info = client.get_connection_info();
    match Stream::connect(info).await? {
        Some(stream) => PubSub::new(info.redis_settings(), stream).await,
        None => client.get_async_pubsub().await,
    }
}

/// Whether a server that said this serves no request of this connection. Anything else that it says to `INFO` is about
/// `INFO`: not allowed, not known, renamed.
fn is_turned_away(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(_) => error
            .detail()
            .is_some_and(|text| text.contains("max number of clients")),
        ErrorKind::Extension => matches!(error.code(), Some("NOAUTH" | "DENIED")),
        _ => true,
    }
}

/// How often a cluster's redirections are followed for one request.
const CLUSTER_REDIRECTIONS: u32 = 3;

fn unreachable(what: &'static str) -> RedisError {
    std::io::Error::new(std::io::ErrorKind::NotConnected, what).into()
}

fn tcp(settings: &RedisSettings) -> TcpSettings {
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    return tcp.set_user_timeout(settings.user_timeout);
    #[cfg(not(target_os = "linux"))]
    return tcp;
}

fn info(url: &str, settings: &RedisSettings) -> RedisResult<ConnectionInfo> {
    Ok(url.into_connection_info()?.set_tcp_settings(tcp(settings)))
}

fn infos(urls: &[&str], settings: &RedisSettings) -> RedisResult<Vec<ConnectionInfo>> {
    if urls.is_empty() {
        return Err((ErrorKind::InvalidClientConfig, "no address").into());
    }
    urls.iter().map(|url| info(url, settings)).collect()
}

/// Watches one request: dropped without an answer, it counts against the connection.
struct Asked<'a> {
    redis: &'a Redis,
    number: u64,
    sent: Tick,
    done: bool,
}

impl Asked<'_> {
    fn answered(&mut self, error: Option<&RedisError>) {
        self.done = true;
        match error {
            Some(error) if error.is_timeout() => self.unanswered(),
            Some(error) if is_fatal(error) => self.redis.give_up(self.number),
            // Relaxed: a count; a thread that reads it late gives the connection up one request later.
            _ => self.redis.shared.unanswered.store(0, Ordering::Relaxed),
        }
    }

    fn unanswered(&self) {
        let shared = &self.redis.shared;
        // Relaxed: as above.
        let before = shared.unanswered.fetch_add(1, Ordering::Relaxed);
        if before + 1 >= u64::from(shared.settings.unanswered) {
            self.redis.give_up(self.number);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.done && self.redis.shared.clock.now() - self.sent >= TOO_SOON {
            self.unanswered();
        }
    }
}

/// Whether the connection cannot be used any more: it is broken, or its server is no longer a master.
fn is_fatal(error: &RedisError) -> bool {
    let demoted = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    );
    error.is_unrecoverable_error() || error.is_connection_dropped() || demoted
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("at", &self.addresses())
            .finish_non_exhaustive()
    }
}
