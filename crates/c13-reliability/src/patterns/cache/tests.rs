//! The pure part: how fresh an entry is, and which settings make no sense.

use super::config::CacheConfig;
use super::state::{Freshness, Keep, Stamps, idle_limit};
use crate::time::Tick;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn at(second: u32) -> Tick {
    Tick::ZERO + second * SECOND
}

fn full() -> CacheConfig {
    CacheConfig::new()
        .ttl(60 * SECOND)
        .refresh_after(45 * SECOND)
        .stale_while_revalidate(30 * SECOND)
        .stale_if_error(600 * SECOND)
        .negative_ttl(5 * SECOND)
        .jitter(0.2)
}

#[test]
fn an_entry_goes_through_its_ages_at_their_exact_ends() {
    let config = full();
    let stamps = Stamps::new(&config, Keep::AsSet, false, at(100), 0.0).unwrap();
    let ages = [
        (100, Freshness::Fresh),
        (145, Freshness::Reload { stale: false }),
        (160, Freshness::Reload { stale: true }),
        (190, Freshness::Fallback),
        (760, Freshness::Expired),
    ];
    for pair in ages.windows(2) {
        assert_eq!(stamps.judge(&config, false, at(pair[0].0)), pair[0].1);
        assert_eq!(
            stamps.judge(&config, false, at(pair[1].0) - Duration::from_nanos(1)),
            pair[0].1
        );
        assert_eq!(stamps.judge(&config, false, at(pair[1].0)), pair[1].1);
    }
}

#[test]
fn after_a_failed_load_an_entry_is_served_without_another_try_for_a_while() {
    let config = full().pause_after_error(10 * SECOND);
    let stamps = Stamps::new(&config, Keep::AsSet, false, at(0), 0.0).unwrap();
    let judge = |failed: u32, now: u32| stamps.paused(&config, at(failed)).judge(&config, false, at(now));
    assert_eq!(judge(50, 59), Freshness::Fresh);
    assert_eq!(judge(50, 60), Freshness::Reload { stale: true });
    assert_eq!(judge(80, 89), Freshness::Paused);
    assert_eq!(judge(100, 109), Freshness::Paused);
    assert_eq!(judge(100, 110), Freshness::Fallback);
    assert_eq!(judge(655, 660), Freshness::Expired);
}

#[test]
fn the_word_that_there_is_nothing_has_its_own_time_and_is_never_served_stale() {
    let config = full();
    let stamps = Stamps::new(&config, Keep::AsSet, true, at(0), 0.0).unwrap();
    assert_eq!(stamps.judge(&config, true, at(4)), Freshness::Fresh);
    assert_eq!(stamps.judge(&config, true, at(5)), Freshness::Expired);
    let forgetful = CacheConfig::new();
    assert_eq!(Stamps::new(&forgetful, Keep::AsSet, true, at(0), 0.0), None);
}

#[test]
fn jitter_only_shortens_and_spares_times_that_were_asked_for() {
    let config = full();
    let ends = |keep, random| {
        let stamps = Stamps::new(&config, keep, false, at(0), random).unwrap();
        let first = |freshness| (0..100).find(|s| stamps.judge(&config, false, at(*s)) == freshness);
        (
            first(Freshness::Reload { stale: false }),
            first(Freshness::Reload { stale: true }),
        )
    };
    assert_eq!(ends(Keep::AsSet, 0.0), (Some(45), Some(60)));
    assert_eq!(ends(Keep::AsSet, 1.0), (Some(36), Some(48)));
    assert_eq!(ends(Keep::For(7 * SECOND), 1.0), (None, Some(7)));
    assert_eq!(Stamps::new(&config, Keep::Not, false, at(0), 0.0), None);
    let idle = |random| idle_limit(&config.idle(10 * SECOND), random);
    assert_eq!((idle(0.0), idle(1.0)), (Some(10 * SECOND), Some(8 * SECOND)));
    assert_eq!(idle_limit(&config, 1.0), None);
}

#[test]
fn a_setting_that_makes_no_sense_is_named() {
    let check = |config: CacheConfig| config.validate().map_err(|error| error.setting);
    let base = CacheConfig::new();
    assert_eq!(check(base), Ok(()));
    assert_eq!(check(full()), Ok(()));
    assert_eq!(check(base.capacity(0)), Err("capacity"));
    assert_eq!(check(base.jitter(1.01)), Err("jitter"));
    assert_eq!(check(base.jitter(f64::NAN)), Err("jitter"));
    assert_eq!(check(base.ttl(Duration::ZERO)), Err("ttl"));
    assert_eq!(check(base.idle(Duration::ZERO)), Err("idle"));
    assert_eq!(check(base.negative_ttl(Duration::ZERO)), Err("negative_ttl"));
    assert_eq!(check(base.load_lease(Duration::ZERO)), Err("load_lease"));
    assert_eq!(check(base.load_lease(Duration::MAX)), Ok(()));
    assert_eq!(check(base.refresh_after(SECOND)), Err("refresh_after"));
    assert_eq!(
        check(base.stale_while_revalidate(SECOND)),
        Err("stale_while_revalidate")
    );
    assert_eq!(check(base.stale_if_error(SECOND)), Err("stale_if_error"));
    assert_eq!(check(base.ttl(SECOND).refresh_after(SECOND)), Err("refresh_after"));
}
