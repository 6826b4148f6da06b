//! A circuit that is tried by a run whose wrapper is killed: the next may try soon.

use std::time::Duration;

use rustix::process::Signal;

use super::alone;
use super::load::policy;
use super::processes::{ENDS, Scene, is_alive, now, pause, signal, within};
use super::redis_server::Server;

/// Kills the wrapper of a probe, and waits until somebody else may try.
fn probe_is_given_up(options: &[&str], limit: Duration) {
    let scene = Scene::new("probe");
    let policy = policy(&scene);
    let run = |words: &[&str]| {
        let mut all = vec![
            "run",
            "--policy",
            &policy,
            "--breaker",
            "b",
            "--timeout",
            "3s",
            "--kill-after",
            "1s",
        ];
        all.extend(options);
        all.push("--");
        all.extend(words);
        scene.start(&all)
    };
    let status = |words: &[&str]| run(words).ends_within(ENDS);
    assert_eq!([status(&["false"]), status(&["false"])], [Some(1); 2]);
    let script = format!("echo $$ > {}; exec sleep 60", scene.file("probe"));
    let mut probe = None;
    assert!(within(ENDS, || {
        let mut started = run(&["sh", "-c", &script]);
        // Refused until the circuit may be tried.
        let runs = within(ENDS, || scene.has("probe") || started.ended().is_some()) && scene.has("probe");
        if runs {
            probe = Some(started);
        }
        runs
    }));
    let command = scene
        .wait_for("probe")
        .and_then(|text| text.parse().ok())
        .expect("it wrote its number");
    assert_eq!(status(&["true"]), Some(75), "one probe at a time");
    signal(probe.expect("it runs").id(), Signal::KILL);
    assert!(within(ENDS, || !is_alive(command)));
    let begin = now();
    let mut last = None;
    let tried = within(limit, || {
        last = status(&["true"]);
        pause(Duration::from_millis(20));
        last == Some(0)
    });
    assert!(
        tried,
        "{options:?}: after {:?} nobody may try: {last:?}",
        begin.elapsed()
    );
}

#[test]
fn a_probe_whose_wrapper_is_killed_does_not_block_the_circuit() {
    let _turn = alone();
    probe_is_given_up(&[], Duration::from_secs(5));
    let server = Server::start();
    // Its lease ends with the time that the run had.
    probe_is_given_up(&["--redis", &server.url()], Duration::from_secs(15));
}
