//! What `docs/fencing.md` shows, run against a Postgres.

use super::fencing::prepared;
use c13_reliability::distributed::lock::{Lock, LockConfig, LockGuard, MemoryBackend};
use c13_reliability::distributed::{Fence, FenceError, PostgresFence};
use sqlx::Row;
use std::sync::Arc;
use std::time::Duration;

const GUIDE: &str = include_str!("../../../../docs/fencing.md");

// The guide shows this function as it stands here.
async fn deposit(pool: &sqlx::PgPool, guard: &LockGuard, amount: i64) -> Result<(), FenceError> {
    let account = PostgresFence::new("account 7", guard.fence());
    account.claim(pool).await?; // before reading
    let balance = sqlx::query_scalar("SELECT balance FROM account WHERE id = 7");
    let balance: i64 = balance.fetch_one(pool).await?;

    let mut transaction = pool.begin().await?;
    account.hold(&mut transaction).await?; // before writing
    let update = sqlx::query("UPDATE account SET balance = $1 WHERE id = 7").bind(balance + amount);
    update.execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// The guide's block in this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = GUIDE
        .split_once(&format!("```{language}\n"))
        .expect("the guide has such a block");
    rest.split_once("```").expect("blocks end").0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_function_is_this_one_and_a_later_holder_stops_an_earlier_one() {
    assert!(
        include_str!("guide.rs").contains(block("rust").trim()),
        "docs/fencing.md shows another function than the one that is tested"
    );
    let (_server, pool) = prepared("guide").await;
    let backend = Arc::new(MemoryBackend::new());
    let lock = |lease| Lock::new(backend.clone(), "account 7", LockConfig::new(lease));
    let earlier = lock(Duration::from_secs(60));
    let guard = earlier.try_acquire().await.unwrap();
    deposit(&pool, &guard, 5).await.unwrap();
    deposit(&pool, &guard, 2).await.unwrap();
    let later = PostgresFence::new("account 7", Fence::from_number(guard.fence().number() + 1));
    later.claim(&pool).await.unwrap();
    assert!(matches!(
        deposit(&pool, &guard, 100).await,
        Err(FenceError::Stale { .. })
    ));
    let balance: i64 = sqlx::query_scalar("SELECT balance FROM account WHERE id = 7")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(balance, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_statements_let_a_later_holder_stop_an_earlier_one() {
    let (_server, pool) = prepared("guide-sql").await;
    sqlx::query("DROP TABLE c13_fence").execute(&pool).await.unwrap();
    let statements: Vec<_> = block("sql").trim().split_inclusive(';').collect();
    let [create, claim, write] = statements[..] else {
        panic!("the guide has three statements: {statements:?}");
    };
    sqlx::query(create).execute(&pool).await.unwrap();
    let claim = async |fence: i64| {
        let row = sqlx::query(claim)
            .bind("account 7")
            .bind(fence)
            .fetch_optional(&pool)
            .await;
        row.unwrap().map(|row| row.get::<i64, _>("token"))
    };
    let write = async |balance: i64, fence: i64| {
        let update = sqlx::query(write).bind(balance).bind(7).bind("account 7").bind(fence);
        update.execute(&pool).await.unwrap().rows_affected()
    };
    assert_eq!(write(1, 1).await, 0, "nobody writes without a claim");
    assert_eq!(claim(1).await, Some(1));
    assert_eq!(write(1, 1).await, 1);
    assert_eq!(claim(2).await, Some(2));
    assert_eq!(
        (write(100, 1).await, claim(1).await),
        (0, None),
        "the earlier one stops"
    );
    assert_eq!(write(2, 2).await, 1);
}
