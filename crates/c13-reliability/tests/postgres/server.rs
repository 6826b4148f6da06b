//! A Postgres of a test's own, which can be killed and started again, and ends with the test.

use c13_reliability::time::Clock;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The folder with the programs of Postgres.
fn programs() -> PathBuf {
    std::env::var_os("C13_TEST_POSTGRES_BIN").map(PathBuf::from).expect(
        "C13_TEST_POSTGRES_BIN is not set: it is the folder with the programs `postgres` and `initdb`; ./test sets it",
    )
}

/// A server of the test's own.
pub(crate) struct Server {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    child: Child,
}

impl Server {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("c13-postgres-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if is_root() {
            // Postgres refuses to run as root.
            assert!(
                Command::new("chown")
                    .arg("nobody")
                    .arg(&folder)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let made = as_nobody(&programs().join("initdb"))
            .args(["--username=app", "--auth=trust", "--no-sync", "-D"])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let child = Self::start(&folder, port);
        Self { folder, port, child }
    }

    fn start(folder: &Path, port: u16) -> Child {
        as_nobody(&programs().join("postgres"))
            .arg("-D")
            .arg(folder.join("data"))
            .args([
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
            ])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Sends a signal to the server and all its processes, that of each connection included.
    pub(crate) fn signal(&self, signal: &str) {
        let parent = self.child.id().to_string();
        let _ = Command::new("pkill")
            .args([&format!("-{signal}"), "-P", &parent])
            .status();
        assert!(
            Command::new("kill")
                .args([&format!("-{signal}"), &parent])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.child.wait().unwrap();
        let _ = fs::remove_file(self.folder.join("data/postmaster.pid"));
    }

    pub(crate) fn restart(&mut self) {
        self.child = Self::start(&self.folder, self.port);
    }

    pub(crate) fn pool(&self) -> PgPool {
        let options = PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("app")
            .password("s3cret")
            .database("postgres");
        PgPoolOptions::new().max_connections(3).connect_lazy_with(options)
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&self) {
        let clock = Clock::system();
        for _ in 0..200 {
            if self.pool().acquire().await.is_ok() {
                return;
            }
            clock.sleep(Duration::from_millis(50)).await;
        }
        panic!("Postgres did not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("pkill")
            .args(["-KILL", "-P", &self.child.id().to_string()])
            .status();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
        .arg(program)
        .env("LC_ALL", "C");
    command
}
