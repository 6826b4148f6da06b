//! Policies by name, read from files and read again while the service runs.

mod keyed;
#[cfg(feature = "axum")]
mod limits;
mod log;
mod metrics;
mod probes;
#[cfg(all(test, unix, not(c13_loom)))]
mod tests;
mod watch;

#[cfg(feature = "axum")]
use super::RequestLimit;
use super::document::{Diagnostics, Source};
use super::file::{Change, PolicyFiles, PolicySet};
#[cfg(feature = "axum")]
use super::limit::LimitSharing;
use super::{Policy, PolicyConfig};
use crate::snapshot::{self, Observed, Registry};
use crate::sync::Random;
use crate::time::{Clock, Env};
use keyed::KeyedSet;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The policies of a service by name. Clones share them.
///
/// A [`Policy`] that was taken out follows its file: [`reload`](Self::reload) swaps its settings under it, and its
/// breaker, bucket, queue and counts stay. A file that is wrong changes nothing: the last good settings stay, and the
/// next reading is a new chance.
///
/// ```
/// use c13_reliability::policy::PolicyRegistry;
/// use c13_reliability::policy::file::PolicyFiles;
/// use std::time::Duration;
///
/// # let file = std::env::temp_dir().join(format!("c13-registry-doc-{}.toml", std::process::id()));
/// std::fs::write(&file, "[policy.payments]\nextends = \"critical\"\n")?;
/// let registry = PolicyRegistry::open(PolicyFiles::new().environment(), [&file])?;
/// let payments = registry.policy("payments").expect("the file names it");
///
/// std::fs::write(&file, "[policy.payments]\nextends = \"critical\"\ntimeout.attempt = \"2s\"\n")?;
/// let changes = registry.reload()?;
/// assert_eq!(changes[0].to_string(), "policy.payments.timeout.attempt: \"7s\" → \"2s\"");
/// assert_eq!(payments.config().attempt_timeout, Some(Duration::from_secs(2)));
/// # std::fs::remove_file(&file)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PolicyRegistry {
    shared: Arc<SharedRegistry>,
}

struct SharedRegistry {
    layers: PolicyFiles,
    paths: Vec<PathBuf>,
    clock: Clock,
    random: Random,
    /// Held while files are read and taken over, which may take as long as their disk does; nothing else waits for it.
    reading: Mutex<()>,
    state: Mutex<RegistryState>,
}

/// The most that a file may hold, in bytes.
const LARGEST: u64 = 1 << 20;

#[derive(Default)]
struct RegistryState {
    set: PolicySet,
    policies: BTreeMap<String, Policy>,
    /// Policies that no file names any more, as long as a handle to them or to a part of them exists.
    gone: BTreeMap<String, Policy>,
    /// Sets of policies by key, by the name of the set.
    keyed: BTreeMap<String, KeyedSet>,
    /// Limits that were asked for.
    #[cfg(feature = "axum")]
    limits: BTreeMap<String, RequestLimit>,
    /// By what shared limits are shared.
    #[cfg(feature = "axum")]
    sharing: Option<LimitSharing>,
    /// What was read last, good or bad, or why nothing could be read.
    seen: Option<Result<Vec<String>, String>>,
    /// What was taken over last.
    applied: Vec<String>,
    status: ReloadStatus,
    /// Where policies report, those that a reload adds as well.
    reports: Vec<Registry>,
    /// The policies that were made by the last reload.
    made: Vec<String>,
}

/// How often files were read anew, and what was wrong with them last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadStatus {
    /// Contents that were taken over, the first not counted.
    pub applied: u64,
    /// Contents that were wrong, and files that could not be read.
    pub rejected: u64,
    /// What is wrong with the files as they are now; `None` if nothing is.
    pub error: Option<String>,
}

impl PolicyRegistry {
    /// Reads the policies from `layers` and, over the files among these, from the files at `paths`, each over those
    /// before it. On the system clock.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no regular file or larger than 1 MiB, or everything that is wrong in any layer.
    pub fn open<P: AsRef<Path>>(layers: PolicyFiles, paths: impl IntoIterator<Item = P>) -> Result<Self, ReloadError> {
        Self::open_with(layers, paths, Env::default())
    }

    /// The same by the clock of `env`. Jitter is drawn from its random numbers.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with<P: AsRef<Path>>(
        layers: PolicyFiles,
        paths: impl IntoIterator<Item = P>,
        env: impl Into<Env>,
    ) -> Result<Self, ReloadError> {
        let Env { clock, random, .. } = env.into();
        let shared = SharedRegistry {
            layers,
            paths: paths.into_iter().map(|path| path.as_ref().to_owned()).collect(),
            clock,
            random,
            reading: Mutex::default(),
            state: Mutex::default(),
        };
        shared.reload()?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A policy by its name. Taken out once and kept, it follows its file.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Policy> {
        self.shared.state().policies.get(name).cloned()
    }

    /// The names of all policies.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.shared.state().policies.keys().cloned().collect()
    }

    /// The settings that apply, and where each comes from.
    #[must_use]
    pub fn settings(&self) -> PolicySet {
        self.shared.state().set.clone()
    }

    /// How often files were read anew, and what is wrong with them.
    #[must_use]
    pub fn status(&self) -> ReloadStatus {
        self.shared.state().status.clone()
    }

    /// Registers every policy in `registry` by its name, those that a reload adds as well, every [set](Self::keyed) and
    /// [limit](Self::limit) that is asked for, and the counts of reloads as `policies`. One whose name another part has there is
    /// left out, and the log says so.
    ///
    /// ```
    /// use c13_reliability::policy::PolicyRegistry;
    /// use c13_reliability::policy::file::PolicyFiles;
    /// use c13_reliability::snapshot::Registry;
    ///
    /// # let file = std::env::temp_dir().join(format!("c13-report-doc-{}.toml", std::process::id()));
    /// std::fs::write(&file, "[policy.payments]\nextends = \"critical\"\n")?;
    /// let policies = PolicyRegistry::open(PolicyFiles::new(), [&file])?;
    /// let metrics = Registry::new();
    /// policies.report_to(&metrics);
    /// let names: Vec<_> = metrics.snapshots().into_iter().map(|part| part.name).collect();
    /// assert_eq!(names, ["payments", "policies"]);
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn report_to(&self, registry: &Registry) {
        let registries = std::slice::from_ref(registry);
        report(registries, "policies", self);
        let mut state = self.shared.state();
        state.reports.push(registry.clone());
        let sets = state.sets();
        #[cfg(feature = "axum")]
        let limits = state.limits.clone();
        drop(state);
        self.shared.report(registries, &self.names());
        sets.iter().for_each(|(name, set)| report(registries, name, set));
        #[cfg(feature = "axum")]
        limits.iter().for_each(|(name, limit)| report(registries, name, limit));
    }

    /// Reads the files again and takes over what has changed, leaf by leaf; logs the changes and returns them. A policy that
    /// no file names any more is not available here any more; a handle to it keeps its last settings, and follows the files
    /// again as soon as they name it again. Files whose content is the same as at the last reading are not parsed.
    ///
    /// Call it on SIGHUP. It reads files, and so blocks for a moment.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or everything that is wrong; nothing has changed then.
    pub fn reload(&self) -> Result<Vec<Change>, ReloadError> {
        self.shared.reload()
    }

    /// Watches the files, and [reloads](Self::reload) those that have changed, for as long as the registry lives. The
    /// future is to be spawned on whatever runtime there is.
    ///
    /// The files are read once per `every`, for which a second is fit, and never more than once a millisecond. No events
    /// of the system are used: they can run out, and do not cover network file systems.
    /// Contents are compared, not times, and paths are resolved anew each time: so it does not matter whether an editor
    /// writes in place, renames over, or deletes and creates, or whether a link in the path is swapped. A content is used
    /// once two consecutive reads, 50 ms apart or `every` where that is less, have found the same, so that a half-written
    /// file is not used. A change before the watch began, since the files were last read, is found as well.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the watch; nothing is lost.
    pub fn watch(&self, every: Duration) -> impl Future<Output = ()> + Send + use<> {
        watch::watch(Arc::downgrade(&self.shared), every)
    }

    /// Probes each dependency whose circuit is open by the health check that `circuit_breaker.health_check` names, and makes the
    /// circuit half-open as soon as the check finds the dependency well, whatever `open_for` is: with the default interval calls
    /// run again well within a second. It follows reloads, and ends with the registry. The future is to be spawned.
    ///
    /// `check` runs the check of a name; [`is_healthy`](crate::microservices::health::HealthCheckService::is_healthy) does. A
    /// name that it does not know finds nothing well.
    ///
    /// ```
    /// # async fn f(registry: c13_reliability::policy::PolicyRegistry) {
    /// use c13_reliability::microservices::health::HealthCheckService;
    /// use std::sync::Arc;
    ///
    /// let health = Arc::new(HealthCheckService::new("1.4.0".to_owned()));
    /// let check = move |name| {
    ///     let health = health.clone();
    ///     async move { health.is_healthy(name).await }
    /// };
    /// tokio::spawn(registry.probe_health(check));
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the checks that run, and changes nothing else.
    pub fn probe_health<P, F>(&self, check: P) -> impl Future<Output = ()> + Send + use<P, F>
    where
        P: Fn(&'static str) -> F + Clone + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        probes::run(Arc::downgrade(&self.shared), check)
    }

    /// [Reloads](Self::reload) at each SIGHUP, for as long as the registry lives. The future is to be spawned on a tokio
    /// runtime; from its first poll on the signal does not end the process any more.
    ///
    /// # Errors
    ///
    /// If the signal cannot be listened to.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the listening; nothing is lost.
    #[cfg(all(unix, feature = "tokio"))]
    pub fn reload_on_hangup(&self) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let shared = Arc::downgrade(&self.shared);
        async move {
            let mut hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
            while hangups.recv().await.is_some() {
                let Some(shared) = shared.upgrade() else { break };
                shared.hangup();
            }
            Ok(())
        }
    }
}

/// The registry reports how often files were read anew, and whether they are wrong now.
impl Observed for PolicyRegistry {
    fn source(&self) -> snapshot::Source {
        snapshot::Source::of(&self.shared, |shared| shared.state().status.readings())
    }
}

/// Registers a part by its name.
fn report(registries: &[Registry], name: &str, part: &impl Observed) {
    for registry in registries {
        if let Err(taken) = registry.register(name, part) {
            log::not_reported(&taken);
        }
    }
}

impl SharedRegistry {
    /// Registers these policies. Without the lock, because it asks the parts that are there.
    fn report(&self, registries: &[Registry], names: &[String]) {
        let policies: Vec<_> = {
            let state = self.state();
            let named = names
                .iter()
                .filter_map(|name| Some((name.clone(), state.policies.get(name)?.clone())));
            named.collect()
        };
        policies
            .iter()
            .for_each(|(name, policy)| report(registries, name, policy));
    }

    fn state(&self) -> MutexGuard<'_, RegistryState> {
        // Nothing is half done when a thread panics here: the state is put together before it is stored.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts of all files.
    fn contents(&self) -> Result<Vec<String>, ReloadError> {
        self.paths.iter().map(|path| text(path)).collect()
    }

    /// Whether this is what was read last.
    fn has_seen(&self, contents: &Result<Vec<String>, String>) -> bool {
        self.state().seen.as_ref() == Some(contents)
    }

    fn reload(&self) -> Result<Vec<Change>, ReloadError> {
        // What it guards is nothing.
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = self.contents();
        let seen = match &contents {
            Ok(texts) => Ok(texts.clone()),
            Err(error) => Err(error.to_string()),
        };
        let state = self.state();
        if state.seen.as_ref() == Some(&seen) {
            let is_wrong = state.status.error.is_some();
            drop(state);
            return match is_wrong {
                false => Ok(Vec::new()),
                // Still wrong, and reported before.
                true => contents.and_then(|texts| self.read(&texts)).map(|_| Vec::new()),
            };
        }
        let is_back = seen.as_ref().is_ok_and(|texts| *texts == state.applied) && state.status.error.is_some();
        drop(state);
        // Without the lock, so that no caller waits for a policy while texts are read, which may take a second.
        let read = match contents {
            Ok(texts) if !is_back => self.read(&texts).map(|set| (set, texts)).map(Some),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        };
        let mut state = self.state();
        let first = state.seen.replace(seen).is_none();
        if is_back {
            // As if nothing had been wrong in between.
            state.status.error = None;
            drop(state);
            log::applied(&[], &[], &[], true);
            return Ok(Vec::new());
        }
        let names = |state: &RegistryState| state.policies.keys().cloned().collect::<Vec<_>>();
        let before = names(&state);
        let result = read.and_then(|read| {
            let Some((set, texts)) = read else {
                return Ok(Vec::new());
            };
            let changes = self.apply(&mut state, set)?;
            state.applied = texts;
            Ok(changes)
        });
        if first {
            return result;
        }
        // A listener to the log may ask for a policy.
        match &result {
            Ok(changes) => {
                state.status.applied += 1;
                let was_wrong = state.status.error.take().is_some();
                let after = names(&state);
                let made = std::mem::take(&mut state.made);
                let registries = state.reports.clone();
                drop(state);
                self.report(&registries, &made);
                log::applied(&before, &after, changes, was_wrong);
            }
            Err(error) => {
                state.status.rejected += 1;
                state.status.error = Some(error.to_string());
                drop(state);
                log::rejected(error);
            }
        }
        result
    }

    /// Reads the files again on request, and reports the result even if nothing has changed.
    #[cfg(all(unix, feature = "tokio"))]
    fn hangup(&self) {
        let counts = || {
            let status = self.state().status.clone();
            (status.applied, status.rejected)
        };
        let before = counts();
        let result = self.reload();
        if counts() == before {
            match &result {
                Ok(_) => log::nothing_new(),
                Err(error) => log::rejected(error),
            }
        }
    }

    fn read(&self, texts: &[String]) -> Result<PolicySet, ReloadError> {
        let files = self
            .paths
            .iter()
            .zip(texts)
            .fold(self.layers.clone(), |files, (path, text)| {
                files.file(Source::new(path.display().to_string(), text))
            });
        files.read().map_err(ReloadError::Settings)
    }

    /// Takes over settings that are right, as they have been read.
    fn apply(&self, state: &mut RegistryState, set: PolicySet) -> Result<Vec<Change>, ReloadError> {
        state.gone.retain(|_, policy| policy.is_shared());
        let (mut policies, mut made) = (BTreeMap::new(), Vec::new());
        for (name, named) in set.iter() {
            let known = state.policies.get(name).cloned();
            let policy = match known.or_else(|| state.gone.get(name).cloned()) {
                Some(policy) => policy,
                None => {
                    made.push(name.to_owned());
                    self.policy(name, named.config())?
                }
            };
            policies.insert(name.to_owned(), policy);
        }
        for (name, named) in set.iter() {
            let policy = &policies[name];
            if policy.config() != named.config() {
                policy
                    .reconfigure(named.config())
                    .map_err(|error| refused(name, &error))?;
            }
        }
        state
            .reconfigure_sets(|template| Some(set.policy(template)?.config()))
            .map_err(|error| ReloadError::Policy(error.to_string()))?;
        #[cfg(feature = "axum")]
        state.reconfigure_limits(&set)?;
        let changes = state.set.changes(&set);
        let before = std::mem::replace(&mut state.policies, policies);
        state.gone.extend(before);
        state.gone.retain(|name, _| !state.policies.contains_key(name));
        state.set = set;
        state.made = made;
        Ok(changes)
    }

    fn policy(&self, name: &str, config: PolicyConfig) -> Result<Policy, ReloadError> {
        let random = Random::stream(self.random.next_u64(), name);
        let env = Env::new(self.clock.clone()).random(random).name(name);
        Policy::with_config(config, env).map_err(|error| refused(name, &error))
    }
}

fn refused(name: &str, error: &crate::ConfigError) -> ReloadError {
    ReloadError::Policy(format!("policy.{name}: {error}"))
}

fn text(path: &Path) -> Result<String, ReloadError> {
    let bytes = bytes(path).map_err(|error| ReloadError::File(path.to_owned(), error))?;
    let source = Source::from_bytes(path.display().to_string(), bytes);
    let source = source.map_err(|error| ReloadError::Settings((*error).into()))?;
    Ok(source.text().to_owned())
}

/// The content of a file. Only regular files are read: a pipe without a writer would block for ever.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let refused = |rule: &str| io::Error::new(io::ErrorKind::InvalidInput, rule);
    if !path.metadata()?.is_file() {
        return Err(refused("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if read as u64 > LARGEST {
        return Err(refused("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

impl fmt::Debug for PolicyRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyRegistry")
            .field("policies", &self.names())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Why policies could not be read. The last good settings stay.
///
/// `Debug` prints what `Display` prints, so that a `main` that ends with this error shows the lines that are wrong.
#[non_exhaustive]
pub enum ReloadError {
    /// A file cannot be read.
    File(PathBuf, io::Error),
    /// The settings are wrong: everything that is wrong with them.
    Settings(Diagnostics),
    /// A policy refuses its settings.
    Policy(String),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Settings(errors) => errors.fmt(f),
            Self::Policy(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Debug for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ReloadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // It is shown already.
            Self::File(_, error) => error.source(),
            Self::Settings(_) | Self::Policy(_) => None,
        }
    }
}
