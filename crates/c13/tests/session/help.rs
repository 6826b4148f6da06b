//! Every example of every `--help` is run.

use crate::scene::{ENDS, Scene, program};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn help(command: &[String]) -> String {
    let mut asked = Command::new(program());
    asked.args(command).arg("--help").env("COLUMNS", "200");
    let output = asked.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).expect("help is text")
}

/// Every command with what its `--help` says, those of other commands included.
fn helps() -> Vec<(Vec<String>, String)> {
    let mut found = vec![(Vec::new(), help(&[]))];
    let mut next = 0;
    while let Some((command, text)) = found.get(next).cloned() {
        for name in section(&text, "Commands:")
            .iter()
            .filter_map(|line| line.split_whitespace().next())
        {
            if name != "help" {
                let command = [command.as_slice(), &[name.to_owned()]].concat();
                let text = help(&command);
                found.push((command, text));
            }
        }
        next += 1;
    }
    found
}

/// The lines under a heading that stand two columns in; those that go on with another one stand further in.
fn section(text: &str, heading: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty());
    let lines = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    lines.map(str::to_owned).collect()
}

/// The command of an example, without the words beside it.
fn command(example: &str) -> String {
    example.split("  ").next().unwrap_or(example).to_owned()
}

/// What takes minutes: the program's own tests read these two, and the documents' tests run the first.
const LONG: [&str; 3] = ["c13 drill", "c13 soak", "c13 soak --for 60s --json"];

/// A folder in which examples find what they name: scripts, files, a service that is well.
fn prepared() -> (Scene, u16) {
    let scene = Scene::new("help");
    let script = |name: &str, text: &str| {
        let path = scene.folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the folder can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    for name in [
        "backup.sh",
        "import.sh",
        "send.sh",
        "poll.sh",
        "pay.sh",
        "run-the-tests",
    ] {
        script(name, "exit 0");
    }
    // Where jq is not installed, that a program's answer is read to its end must do.
    script("jq", "exec cat > /dev/null");
    let starter = scene.run(&["config", "init", "-"]).output();
    for name in ["service.toml", "base.toml"] {
        fs::write(scene.folder.join(name), &starter).expect("the folder can be written");
    }
    let site = "[policy.payments]\ntimeout.total = \"9s\"\n";
    fs::write(scene.folder.join("site.toml"), site).expect("the folder can be written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut stream, mut head) = (stream, [0; 1024]);
            drop(std::io::Read::read(&mut stream, &mut head));
            drop(std::io::Write::write_all(
                &mut stream,
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            ));
        }
    });
    (scene, port)
}

/// Makes the scenario that an example writes a matter of a second.
fn shorten(scene: &Scene) {
    let path = scene.folder.join("my.toml");
    let text = fs::read_to_string(&path).expect("the example before has written it");
    let text = text.replace("rps = 500", "rps = 5");
    fs::write(&path, text).expect("the folder can be written");
}

#[test]
fn every_example_of_every_help_runs() {
    let (scene, port) = prepared();
    let redis = std::env::var("C13_TEST_REDIS").expect("C13_TEST_REDIS names no Redis: run ./test unit");
    let program = std::path::PathBuf::from(program());
    let folder = program.parent().expect("it is in a folder").display();
    let mut ran = 0;
    for (name, text) in helps() {
        for example in section(&text, "Examples:") {
            let mut line = command(&example);
            if LONG.contains(&line.as_str()) {
                continue;
            }
            if let Some(words) = line.strip_prefix("HEALTHCHECK CMD ") {
                let words: Vec<String> = serde_json::from_str(words).expect("Docker takes a JSON array");
                line = words.join(" ");
            }
            line = line.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
            line = line.replace("redis://redis.example", &redis);
            let mut shell = Command::new("sh");
            let path = format!("{folder}:{}:/usr/bin:/bin", scene.folder.display());
            shell
                .args(["-c", &line])
                .current_dir(&scene.folder)
                .env("PATH", path)
                .env_remove("REDIS_URL");
            shell.env("C13_STATE_DIR", scene.folder.join("state"));
            let mut process = scene.launch(shell);
            let status = process.ends_within(4 * ENDS);
            // A drill may miss an objective; everything else succeeds.
            let fine = matches!(status, Some(0)) || line.starts_with("c13 drill") && status == Some(3);
            assert!(fine, "{name:?}: `{line}` ends with {status:?}: {}", process.errors());
            if line.contains("--print-scenario >") {
                shorten(&scene);
            }
            ran += 1;
        }
    }
    assert!(ran >= 15, "{ran}");
}
