//! A Redis of a test's own, which can be stopped, paused and asked, and ends with the test.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use super::processes::{Process, Scene, signal, within};

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

pub(crate) struct Server {
    process: Process,
    port: u16,
    _scene: Scene,
}

impl Server {
    pub(crate) fn start() -> Self {
        let (scene, port) = (Scene::new("redis"), free_port());
        let (port_text, folder) = (port.to_string(), scene.file(""));
        let arguments = [
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            &folder,
        ];
        let process = scene.launch(scene.command("redis-server", &arguments));
        let server = Self {
            process,
            port,
            _scene: scene,
        };
        let answers = within(Duration::from_secs(20), || {
            server.ask("PING").is_some_and(|line| line == "+PONG")
        });
        assert!(answers, "redis-server does not answer (Debian: redis-server)");
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The first line of its answer.
    pub(crate) fn ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    }

    /// It accepts connections, as the kernel does for it, and answers nothing.
    pub(crate) fn stop(&self) {
        signal(self.process.id(), Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        signal(self.process.id(), Signal::CONT);
    }

    /// Every command that comes within this time is answered at its end.
    pub(crate) fn hold_answers(&self, time: Duration) {
        let held = self.ask(&format!("CLIENT PAUSE {} ALL", time.as_millis()));
        assert_eq!(held.as_deref(), Some("+OK"));
    }

    /// The keys are still there, but every answer that is held is given.
    pub(crate) fn forget(&self) {
        assert_eq!(self.ask("FLUSHALL").as_deref(), Some("+OK"));
    }
}
