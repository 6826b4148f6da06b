//! Hostile servers: whatever Redis or a service answers, `c13` ends in its bound, with a status that is documented, in little
//! memory, and prints nothing that moves a terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::processes::{ENDS, Process, Scene, now, pause, peak_memory, within};
use super::{alone, assert_none_wrong};

/// Most of the time they wait for each other.
const WORKERS: usize = 12;

/// More than this is not needed to refuse an answer, in kB.
const MEMORY: u64 = 100_000;

/// The longest string that Redis gives, in kB: a client holds as much of it as comes before its time is over.
const LARGEST: u64 = 512 << 10;

/// What a server does when it is asked.
#[derive(Clone)]
enum Answer {
    /// This, to everything.
    All(Vec<u8>),
    /// This to what the client came for, and `+OK` to what it says first: `HELLO`, `CLIENT`, `SELECT`, `AUTH`.
    Later(Vec<u8>),
    /// This, and no more.
    Last(Vec<u8>),
    /// This again and again, for ever.
    Endless(Vec<u8>),
    /// This, byte by byte.
    Drip(Vec<u8>),
    Close,
    Never,
}

use Answer::{All, Close, Drip, Endless, Last, Later, Never};

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// An answer within many others.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = b"*1\r\n".repeat(depth);
    bytes.extend(b":1\r\n");
    bytes
}

fn redis_answers() -> Vec<(&'static str, Answer)> {
    let esc = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{8}\u{0}";
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let holder = format!("*4\r\n{0}{0}{0}{0}", bulk(esc));
    vec![
        ("garbage", All(text("\u{1}\u{2}garbage\r\n"))),
        ("bytes that are no text", All(vec![0xff; 64])),
        ("zeros", All(vec![0; 4096])),
        ("an empty line", All(text("\r\n"))),
        (
            "HTTP",
            All(text("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")),
        ),
        ("SSH", Last(text("SSH-2.0-OpenSSH_9.2\r\n"))),
        ("TLS", Last(vec![0x15, 3, 3, 0, 2, 2, 40])),
        ("half a status", Last(text("+O"))),
        ("half a bulk string", Last(text("$100\r\nabc"))),
        ("half an array", Last(text("*3\r\n:1\r\n"))),
        ("half a status, and closed", Later(text("+O"))),
        ("a huge bulk string", All(text("$536870912\r\nx"))),
        ("a bulk string past all sizes", All(text("$9223372036854775807\r\nx"))),
        (
            "a bulk string of overflow",
            All(text("$99999999999999999999999999\r\n")),
        ),
        ("a negative length", All(text("$-5\r\n"))),
        ("a huge array", All(text("*1073741824\r\n"))),
        ("an array of overflow", All(text("*99999999999999999999999\r\n"))),
        ("a negative array", All(text("*-7\r\n"))),
        ("an array in an array, 100,000 deep", All(nested(100_000))),
        ("the same, later", Later(nested(100_000))),
        ("a huge map", All(text("%1073741824\r\n"))),
        ("an endless line", Endless(vec![b'+'; 1024])),
        (
            "an endless bulk string",
            Endless(text("$536870912\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
        ),
        ("endless answers", Endless(text("+OK\r\n"))),
        ("endless pushes", Endless(text(">2\r\n+message\r\n+x\r\n"))),
        ("closed at once", Close),
        ("no answer", Never),
        (
            "an answer byte by byte",
            Drip(text("$200\r\n").into_iter().chain([b'a'; 200]).collect()),
        ),
        (
            "an error byte by byte",
            Drip(text("-ERR slow and slow and slow and slow and slow and slow\r\n")),
        ),
        ("OK to everything", All(text("+OK\r\n"))),
        ("a number to everything", Later(text(":1\r\n"))),
        ("a number past all sizes", Later(text(":99999999999999999999999\r\n"))),
        ("a negative number", Later(text(":-9223372036854775808\r\n"))),
        ("nothing to everything", Later(text("$-1\r\n"))),
        ("an empty array", Later(text("*0\r\n"))),
        ("an array of the wrong types", Later(text("*3\r\n+x\r\n*0\r\n$-1\r\n"))),
        (
            "numbers past all sizes",
            Later(text(
                "*4\r\n:9223372036854775807\r\n:9223372036854775807\r\n:-1\r\n:0\r\n",
            )),
        ),
        ("a double", Later(text(",nan\r\n"))),
        ("a holder of escape sequences", Later(bulk(esc).into_bytes())),
        ("holders of escape sequences", Later(holder.into_bytes())),
        (
            "a status of escape sequences",
            Later(format!("+{esc}\r\n").into_bytes()),
        ),
        (
            "an error of escape sequences",
            Later(format!("-ERR {esc}\r\n").into_bytes()),
        ),
        (
            "an error of escape sequences, first",
            All(format!("-{esc} {esc}\r\n").into_bytes()),
        ),
        (
            "a long error",
            Later(format!("-ERR {}\r\n", "x".repeat(1 << 20)).into_bytes()),
        ),
        ("NOAUTH", All(text("-NOAUTH Authentication required.\r\n"))),
        (
            "WRONGPASS",
            All(text(
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            )),
        ),
        (
            "NOPERM",
            Later(text(
                "-NOPERM this user has no permissions to run the 'set' command\r\n",
            )),
        ),
        (
            "WRONGTYPE",
            Later(text(
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            )),
        ),
        (
            "MISCONF",
            Later(text(
                "-MISCONF Redis is configured to save RDB snapshots, but it can't\r\n",
            )),
        ),
        (
            "READONLY",
            Later(text("-READONLY You can't write against a read only replica.\r\n")),
        ),
        (
            "OOM",
            Later(text("-OOM command not allowed when used memory > 'maxmemory'.\r\n")),
        ),
        (
            "LOADING",
            All(text("-LOADING Redis is loading the dataset in memory\r\n")),
        ),
        ("BUSY", Later(text("-BUSY Redis is busy running a script.\r\n"))),
        ("CLUSTERDOWN", Later(text("-CLUSTERDOWN The cluster is down\r\n"))),
        ("MOVED in a loop", Later(text("-MOVED 1 127.0.0.1:{PORT}\r\n"))),
        ("ASK in a loop", Later(text("-ASK 1 127.0.0.1:{PORT}\r\n"))),
        ("MOVED to nowhere", Later(text("-MOVED 99999999 :::::\r\n"))),
        (
            "NOSCRIPT in a loop",
            Later(text("-NOSCRIPT No matching script. Please use EVAL.\r\n")),
        ),
        (
            "TRYAGAIN",
            Later(text("-TRYAGAIN Multiple keys request during rehashing of slot\r\n")),
        ),
        ("an error without words", Later(text("-\r\n"))),
    ]
}

fn http_answers() -> Vec<(&'static str, Answer, &'static [i32])> {
    let well: &[i32] = &[0];
    let unwell: &[i32] = &[1];
    let either: &[i32] = &[0, 1];
    vec![
        ("garbage", Last(vec![0xff; 64]), unwell),
        ("zeros", Last(vec![0; 4096]), unwell),
        ("an empty line", Last(text("\r\n")), unwell),
        ("half a status", Last(text("HTTP/1.1 20")), unwell),
        ("closed at once", Close, unwell),
        ("no answer", Never, unwell),
        ("an endless status", Endless(text("HTTP/1.1 ")), unwell),
        ("an endless line", Endless(vec![b'a'; 1024]), unwell),
        ("endless heads", Endless(text("HTTP/1.1 200 OK\r\n")), either),
        ("endless headers", Endless(text("X: y\r\n")), unwell),
        (
            "endless early answers",
            Endless(text("HTTP/1.1 103 Early Hints\r\n\r\n")),
            unwell,
        ),
        (
            "byte by byte",
            Drip(text("HTTP/1.1 200 OK and a long, long, long reason\r\n\r\n")),
            either,
        ),
        (
            "an early answer alone",
            Last(text("HTTP/1.1 103 Early Hints\r\n\r\n")),
            unwell,
        ),
        (
            "an early answer and a good one",
            Last(text(
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            )),
            well,
        ),
        (
            "an early answer and a bad one",
            Last(text("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\n\r\n")),
            unwell,
        ),
        ("four digits", Last(text("HTTP/1.1 2000 OK\r\n\r\n")), unwell),
        ("two digits", Last(text("HTTP/1.1 20 OK\r\n\r\n")), unwell),
        ("a sign", Last(text("HTTP/1.1 +200 OK\r\n\r\n")), unwell),
        (
            "a status of overflow",
            Last(text("HTTP/1.1 99999999999999999999 OK\r\n\r\n")),
            unwell,
        ),
        (
            "a reason of escape sequences",
            Last(text("HTTP/1.1 503 \u{1b}[2J\u{1b}]0;owned\u{7}\r\n\r\n")),
            unwell,
        ),
        (
            "a version of escape sequences",
            Last(text("HTTP/\u{1b}[2J 200 OK\r\n\r\n")),
            unwell,
        ),
        ("another protocol", Last(text("SSH-2.0-OpenSSH_9.2\r\n")), unwell),
        ("Redis", Last(text("-ERR unknown command 'GET'\r\n")), unwell),
        (
            "a redirection in a loop",
            Last(text("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")),
            well,
        ),
    ]
}

/// A server of one answer, which ends with the test.
struct Hostile<'a> {
    listener: TcpListener,
    over: &'a AtomicBool,
}

impl Hostile<'_> {
    fn port(&self) -> u16 {
        self.listener.local_addr().expect("it has an address").port()
    }

    fn serve(&self, answer: &Answer) {
        std::thread::scope(|threads| {
            loop {
                let Ok((stream, _)) = self.listener.accept() else {
                    return;
                };
                // Relaxed: the connection that wakes this orders it.
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                // Each may hang as long as its client lives.
                threads.spawn(|| drop(self.answer(stream, answer)));
            }
        });
    }

    fn answer(&self, mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        stream.set_write_timeout(Some(Duration::from_millis(200)))?;
        let mut asked = BufReader::new(stream.try_clone()?);
        let port = self.port().to_string();
        let fill = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => text.replace("{PORT}", &port).into_bytes(),
            Err(_) => bytes.to_vec(),
        };
        match answer {
            Close => Ok(()),
            Never => self.until_it_goes(&mut stream),
            All(bytes) => {
                while self.command(&mut asked)?.is_some() {
                    stream.write_all(&fill(bytes))?;
                }
                Ok(())
            }
            Later(bytes) => {
                while let Some(command) = self.command(&mut asked)? {
                    let first = ["HELLO", "CLIENT", "SELECT", "AUTH", "CONFIG", "PING"].contains(&command.as_str());
                    stream.write_all(&if first { text("+OK\r\n") } else { fill(bytes) })?;
                }
                Ok(())
            }
            Last(bytes) => {
                stream.write_all(bytes)?;
                self.until_it_goes(&mut stream)
            }
            Drip(bytes) => {
                for byte in bytes {
                    if self.is_over() {
                        break;
                    }
                    stream.write_all(&[*byte])?;
                    pause(Duration::from_millis(50));
                }
                self.until_it_goes(&mut stream)
            }
            Endless(bytes) => {
                let many = bytes.repeat(1 + 16_384 / bytes.len());
                while !self.is_over() {
                    match stream.write(&many) {
                        Err(error) if !is_slow(&error) => return Err(error),
                        // At 1.6 MB/s: the client keeps an answer until it is whole, so that memory goes by the line's speed.
                        _ => pause(Duration::from_millis(10)),
                    }
                }
                Ok(())
            }
        }
    }

    fn is_over(&self) -> bool {
        // Relaxed: it is asked again soon.
        self.over.load(Ordering::Relaxed)
    }

    /// Reads, and says nothing.
    fn until_it_goes(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        while !self.is_over() {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(error) if !is_slow(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The name of the next command, in capitals; what is no array is a command as well.
    fn command(&self, asked: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
        let Some(head) = self.line(asked)? else { return Ok(None) };
        let count: usize = head.strip_prefix('*').and_then(|count| count.parse().ok()).unwrap_or(0);
        let mut name = String::new();
        for index in 0..count {
            let Some(length) = self.line(asked)? else {
                return Ok(None);
            };
            let length: usize = length
                .strip_prefix('$')
                .and_then(|length| length.parse().ok())
                .unwrap_or(0);
            let mut bytes = vec![0; length + 2];
            asked.read_exact(&mut bytes)?;
            if index == 0 {
                name = String::from_utf8_lossy(&bytes[..length]).to_ascii_uppercase();
            }
        }
        Ok(Some(name))
    }

    fn line(&self, asked: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        loop {
            match asked.read_line(&mut line) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(line.trim_end().to_owned())),
                Err(error) if is_slow(&error) && !self.is_over() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_slow(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// Runs something against a server of this answer.
fn against<T>(answer: &Answer, run: impl FnOnce(u16) -> T) -> T {
    let over = AtomicBool::new(false);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let server = Hostile { listener, over: &over };
    let port = server.port();
    std::thread::scope(|threads| {
        threads.spawn(|| server.serve(answer));
        let result = run(port);
        // Relaxed: the connection that follows orders it.
        over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", port)));
        result
    })
}

/// Runs `c13` and says what is wrong with how it ends.
fn judge(arguments: &[&str], statuses: &[i32], limit: Duration, memory: u64) -> Option<String> {
    let scene = Scene::new("hostile");
    let begin = now();
    let mut process: Process = scene.start(arguments);
    let mut peak = 0;
    let mut status = None;
    let ended = within(ENDS, || {
        peak = peak.max(peak_memory(process.id()));
        status = process.ended();
        status.is_some()
    });
    let took = begin.elapsed();
    let said = process.output() + &process.errors();
    let mut faults = Vec::new();
    if !ended {
        faults.push("does not end".to_owned());
    } else if took > limit {
        faults.push(format!("ends after {took:?}, not {limit:?}"));
    }
    if !status.is_some_and(|status| statuses.contains(&status)) {
        faults.push(format!("status {status:?}, not one of {statuses:?}"));
    }
    if peak > memory {
        faults.push(format!("{peak} kB of memory"));
    }
    if said.chars().any(|c| c.is_control() && c != '\n') {
        faults.push("control characters are printed".to_owned());
    }
    if said.contains("panicked") {
        faults.push("a panic".to_owned());
    }
    if said.len() > 10_000 {
        faults.push(format!("{} bytes are printed", said.len()));
    }
    if status == Some(125) && said.trim().is_empty() {
        faults.push("no word of why".to_owned());
    }
    let said: String = said.chars().take(200).collect();
    (!faults.is_empty()).then(|| format!("{}: {said:?}", faults.join("; ")))
}

/// Judges all rows, several at a time.
fn judge_all<T: Send + Sync>(rows: &[T], judge: impl Fn(&T) -> Vec<String> + Sync) {
    let queue = Mutex::new(rows.iter());
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..WORKERS {
            threads.spawn(|| {
                loop {
                    let next = queue.lock().expect("nobody panics with it").next();
                    let Some(row) = next else { return };
                    let found = judge(row);
                    faults.lock().expect("nobody panics with it").extend(found);
                }
            });
        }
    });
    let mut faults = faults.into_inner().expect("nobody panics with it");
    faults.sort();
    assert_none_wrong(&faults);
}

#[test]
fn no_answer_of_a_redis_breaks_or_holds_up_the_program() {
    let _turn = alone();
    let answers = redis_answers();
    assert!(answers.len() >= 48);
    let statuses = [0, 75, 76, 125];
    // What waits a second, and what has ten for an answer; endless answers keep the machine busy as well.
    let (waits, asks) = (Duration::from_secs(4), Duration::from_secs(20));
    let runs: [(&str, &[&str], Duration); 4] = [
        ("lock", &["run", "--lock", "k", "--ttl", "2s", "--wait", "1s"], waits),
        (
            "limit",
            &["run", "--limit", "1/h", "--limit-key", "m", "--wait", "1s"],
            waits,
        ),
        ("breaker", &["run", "--breaker", "b"], asks),
        ("lock status", &["lock", "status", "k"], asks),
    ];
    judge_all(&answers, |(name, answer)| {
        let mut faults = Vec::new();
        let announced = if name.starts_with("an endless bulk") {
            LARGEST
        } else {
            0
        };
        let memory = MEMORY + announced;
        for (what, words, limit) in runs {
            let fault = against(answer, |port| {
                let url = format!("redis://127.0.0.1:{port}");
                let mut arguments = words.to_vec();
                arguments.extend(["--redis", &url]);
                if words[0] == "run" {
                    arguments.extend(["--", "true"]);
                }
                judge(&arguments, &statuses, limit, memory)
            });
            faults.extend(fault.map(|fault| format!("{name}, {what}: {fault}")));
        }
        faults
    });
}

#[test]
fn no_answer_of_a_service_breaks_or_holds_up_a_health_probe() {
    let _turn = alone();
    judge_all(&http_answers(), |(name, answer, statuses)| {
        let fault = against(answer, |port| {
            let url = format!("http://127.0.0.1:{port}/ready");
            judge(
                &["health", &url, "--timeout", "1s"],
                statuses,
                Duration::from_secs(3),
                MEMORY,
            )
        });
        fault.map(|fault| format!("{name}: {fault}")).into_iter().collect()
    });
}
