//! Holders of a lock that stand still at the worst moment, and a Postgres that compares their fences.

use super::Server;
use c13_reliability::distributed::lock::{Lock, LockConfig, RedisBackend};
use c13_reliability::distributed::{Fence, FenceError, PostgresFence, Redis};
use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_millis(40);
const STOPS: u64 = 200;
const WORKER: &str = "C13_TEST_FENCING_WORKER";

pub(super) async fn prepared(name: &str) -> (Server, PgPool) {
    let server = Server::new(name);
    server.ready().await;
    let pool = server.pool();
    for statement in [
        PostgresFence::SCHEMA,
        "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, fence bigint NOT NULL)",
        "INSERT INTO account VALUES (7, 0, 0)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    (server, pool)
}

async fn balance(pool: &PgPool) -> i64 {
    let read = sqlx::query_scalar("SELECT balance FROM account WHERE id = 7");
    read.fetch_one(pool).await.unwrap()
}

async fn write(pool: &PgPool, account: &PostgresFence, balance: i64) -> Result<(), FenceError> {
    let mut transaction = pool.begin().await?;
    account.hold(&mut transaction).await?;
    sqlx::query("UPDATE account SET balance = $1 WHERE id = 7")
        .bind(balance)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

/// Without a claim: the fence is looked at by the write alone. Says whether it passed.
async fn write_unclaimed(pool: &PgPool, fence: Fence, balance: i64) -> bool {
    let update = sqlx::query("UPDATE account SET balance = $1, fence = $2 WHERE id = 7 AND fence <= $2");
    let done = update.bind(balance).bind(fence.as_i64()).execute(pool).await.unwrap();
    done.rows_affected() == 1
}

// H30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_before_reading_is_what_keeps_an_update_from_being_lost() {
    let (_server, pool) = prepared("claim").await;
    let (earlier, later) = (Fence::from_number(1), Fence::from_number(2));

    // Without: the earlier holder reads, stands still, and writes between the later one's reading and writing.
    let seen = balance(&pool).await;
    let seen_later = balance(&pool).await;
    assert!(write_unclaimed(&pool, earlier, seen + 1).await);
    assert!(write_unclaimed(&pool, later, seen_later + 10).await);
    assert_eq!(
        balance(&pool).await,
        10,
        "two writes were accepted, and one of them is lost"
    );

    // With: the same interleaving, and the late write is refused.
    sqlx::query("UPDATE account SET balance = 0")
        .execute(&pool)
        .await
        .unwrap();
    let (one, other) = (
        PostgresFence::new("account 7", earlier),
        PostgresFence::new("account 7", later),
    );
    one.claim(&pool).await.unwrap();
    let seen = balance(&pool).await;
    other.claim(&pool).await.unwrap();
    let seen_later = balance(&pool).await;
    let late = write(&pool, &one, seen + 1).await;
    assert!(
        matches!(late, Err(FenceError::Stale { fence }) if fence == earlier),
        "{late:?}"
    );
    write(&pool, &other, seen_later + 10).await.unwrap();
    assert_eq!(balance(&pool).await, 10);
    assert!(
        matches!(one.claim(&pool).await, Err(FenceError::Stale { .. })),
        "and it cannot come back"
    );
    other.claim(&pool).await.expect("asking twice is asking once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_waits_for_the_write_that_has_begun() {
    let (_server, pool) = prepared("wait").await;
    let one = PostgresFence::new("account 7", Fence::from_number(1));
    let other = PostgresFence::new("account 7", Fence::from_number(2));
    one.claim(&pool).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    one.hold(&mut transaction).await.unwrap();
    let claiming = tokio::spawn({
        let pool = pool.clone();
        async move {
            other.claim(&pool).await.unwrap();
            balance(&pool).await
        }
    });
    let update = sqlx::query("UPDATE account SET balance = 5 WHERE id = 7");
    update.execute(&mut *transaction).await.unwrap();
    // Until it really waits.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    transaction.commit().await.unwrap();
    assert_eq!(claiming.await.unwrap(), 5, "it reads what was written before its claim");
}

/// Another process that increments the account under the lock, until the file `stop` is there.
struct Holder {
    process: Child,
    report: PathBuf,
}

impl Holder {
    fn start(number: usize, folder: &Path, port: u16) -> Self {
        let report = folder.join(format!("holder-{number}"));
        let terms = format!("{port} {}", report.display());
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fencing::holders_that_stand_still_lose_no_update"])
            .env(WORKER, terms)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, report }
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Its counts: accepted, refused by the fence, lost before the write, and losses that it was not told of.
    fn counts(mut self) -> [i64; 4] {
        assert!(self.process.wait().unwrap().success());
        let text = std::fs::read_to_string(&self.report).unwrap();
        let counts: Vec<i64> = text.split_whitespace().map(|count| count.parse().unwrap()).collect();
        counts.try_into().unwrap()
    }
}

/// Works for a moment, and says whether the process stood still meanwhile for longer than a lease. Nothing else runs on
/// this thread, renewals included, so the lock cannot have been kept then.
fn stands_still(clock: &Clock) -> bool {
    let begin = clock.now();
    let (mut last, mut longest) = (begin, Duration::ZERO);
    while last - begin < Duration::from_millis(4) {
        let now = clock.now();
        longest = longest.max(now - last);
        last = now;
    }
    longest >= LEASE
}

async fn hold_again_and_again(terms: &str) {
    let (port, report) = terms.split_once(' ').unwrap();
    let options = PgConnectOptions::new()
        .host("127.0.0.1")
        .port(port.parse().unwrap())
        .username("app")
        .database("postgres");
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let redis = Redis::open(&std::env::var("C13_TEST_REDIS").unwrap()).unwrap();
    let name = format!("c13-test:h3:{port}");
    let config = LockConfig::new(LEASE).fallback_poll(Duration::from_millis(10));
    let lock = Lock::new(Arc::new(RedisBackend::new(redis)), name, config);
    let stop = Path::new(report).with_file_name("stop");
    let clock = Clock::since_boot();
    let [mut accepted, mut refused, mut lost, mut untold] = [0; 4];
    while !stop.exists() {
        let Ok(guard) = lock.acquire(Duration::from_secs(5)).await else {
            continue;
        };
        let account = PostgresFence::new("account 7", guard.fence());
        if account.claim(&pool).await.is_err() {
            refused += 1;
            continue;
        }
        let seen = balance(&pool).await;
        let stood_still = stands_still(&clock);
        if guard.check().is_err() {
            lost += 1;
            continue;
        }
        untold += i64::from(stood_still);
        // Between the check and the write is where only the fence helps.
        match write(&pool, &account, seen + 1).await {
            Ok(()) => accepted += 1,
            Err(FenceError::Stale { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        drop(guard.release().await);
    }
    std::fs::write(report, format!("{accepted} {refused} {lost} {untold}")).unwrap();
}

// H3.
#[test]
fn holders_that_stand_still_lose_no_update() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    match std::env::var(WORKER) {
        Ok(terms) => runtime.block_on(hold_again_and_again(&terms)),
        Err(_) => runtime.block_on(stop_holders()),
    }
}

async fn stop_holders() {
    const SEED: u64 = 3;
    let (server, pool) = prepared("still").await;
    let folder = server.folder.join("holders");
    // Postgres runs as somebody else, who need not see this.
    std::fs::create_dir_all(&folder).unwrap();
    let holders: Vec<Holder> = (0..2).map(|n| Holder::start(n, &folder, server.port)).collect();
    let (random, clock) = (Random::new(SEED), Clock::system());
    for _ in 0..STOPS {
        let holder = &holders[usize::try_from(random.below(2)).unwrap()];
        clock.sleep(Duration::from_micros(random.below(15_000))).await;
        holder.signal("-STOP");
        clock.sleep(LEASE * 3).await;
        holder.signal("-CONT");
    }
    std::fs::write(folder.join("stop"), "").unwrap();
    let counts: Vec<[i64; 4]> = holders.into_iter().map(Holder::counts).collect();
    let sum = |n: usize| counts.iter().map(|counts| counts[n]).sum::<i64>();
    let [accepted, refused, lost, untold] = [sum(0), sum(1), sum(2), sum(3)];
    println!("{STOPS} stops: {accepted} accepted, {refused} refused by the fence, {lost} lost in time");
    assert_eq!(balance(&pool).await, accepted, "seed {SEED}: an update was lost");
    assert_eq!(
        untold, 0,
        "seed {SEED}: the first check after a pause must say that the lock is lost"
    );
    assert!(accepted >= 20 && refused + lost >= 20, "seed {SEED}: {counts:?}");
}
