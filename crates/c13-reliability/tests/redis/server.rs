//! Redis processes of a test's own, on free ports, for what must not be done to the one that all tests share.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The address of the server that all tests share, which the test command starts.
pub(crate) fn shared_url() -> String {
    std::env::var("C13_TEST_REDIS")
        .expect("C13_TEST_REDIS names no Redis: run ./test unit, or set it to redis://HOST:PORT")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A redis-server (or one of its kin) that ends with the test.
pub(crate) struct Server {
    process: Child,
    folder: std::path::PathBuf,
    pub(crate) port: u16,
}

impl Server {
    /// A server without persistence.
    pub(crate) fn start() -> Self {
        Self::start_with(free_port(), &[])
    }

    pub(crate) fn start_with(port: u16, arguments: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("c13-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let process = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--enable-debug-command", "yes", "--dir"])
            .arg(&folder)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is not installed (Debian: redis-server)");
        let server = Self { process, folder, port };
        server.wait_until_it_answers();
        server
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.ask(&["PING"]) == "PONG" {
                return;
            }
            pause(Duration::from_millis(10));
        }
        panic!("the server on port {} does not answer", self.port);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What `redis-cli` answers, for what has to come from outside.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        ask(self.port, command)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Takes away the folder that it saves to.
    pub(crate) fn remove_folder(&self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Ends it at once, without a chance to say anything.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts again on the same port, having forgotten everything.
    pub(crate) fn restart(&mut self) {
        self.kill();
        *self = Self::start_with(self.port, &[]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

pub(crate) fn ask(port: u16, command: &[&str]) -> String {
    // On its own it waits for ever for a server that stands still.
    let output = Command::new("timeout")
        .args(["20", "redis-cli", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(command)
        .output()
        .expect("coreutils has `timeout`");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits in real time, for another process to get on.
#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
