//! Interleavings of runs with a watchdog that looks at them.

use super::watchdog::Running;
use crate::time::Tick;
use loom::sync::Arc;
use loom::thread;

#[test]
fn the_watchdog_sees_a_task_only_with_the_start_of_its_own_run_and_each_run_as_another() {
    loom::model(|| {
        let starts = [0x1_0000, 0x2_0000, 0x3_0000].map(Tick::from_nanos);
        let running = Arc::new(Running::new());
        let shared = running.clone();
        let runs = thread::spawn(move || {
            for (run, start) in starts.into_iter().enumerate() {
                // The last run is of the first task again.
                shared.begin(run % 2, start);
                shared.end();
            }
        });
        let looks = [running.read(), running.read(), running.read()];
        runs.join().unwrap();
        assert!(running.read().is_none(), "after the last run nothing runs");
        let mut last = None;
        for (word, task, since) in looks.into_iter().flatten() {
            let run = starts.iter().position(|start| *start == since);
            assert_eq!(run.map(|run| run % 2), Some(task));
            if let Some((last_word, last_since)) = last {
                assert!(since >= last_since, "time does not go back");
                assert_eq!(word == last_word, since == last_since);
            }
            last = Some((word, since));
        }
    });
}
