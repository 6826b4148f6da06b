//! A server that does with each request what a script says.

use super::Event;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

/// What the server does with the next request. The last step is for all further ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// No server listens.
    Refuse,
    /// It answers with this status and these headers, and five bytes.
    Answer(&'static str),
    /// It sends these bytes and closes the connection.
    Send(&'static str),
    /// It sends these bytes, and keeps the connection.
    Hang(&'static str),
}

/// A request, as the server has seen it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The first line and the headers, in lower case.
    head: String,
    pub(super) body: usize,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The socket, as long as no server listens.
    socket: Option<TcpSocket>,
    script: Vec<Step>,
    asked: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    events: UnboundedSender<Event>,
}

impl Server {
    pub(super) fn new(script: &[Step], events: UnboundedSender<Event>) -> Self {
        let socket = TcpSocket::new_v4().expect("there is a socket");
        let any = "127.0.0.1:0".parse().expect("it is an address");
        socket.bind(any).expect("there is a free port");
        let mut server = Self {
            address: socket.local_addr().expect("it is bound"),
            socket: Some(socket),
            script: script.to_vec(),
            asked: 0,
            seen: Arc::default(),
            events,
        };
        server.listen_if_scripted();
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics under it").clone()
    }

    /// Another attempt follows: if the one before found no server, the next may.
    pub(super) fn attempt_follows(&mut self) {
        self.asked += 1;
        self.listen_if_scripted();
    }

    fn listen_if_scripted(&mut self) {
        let left = &self.script[self.asked.min(self.script.len() - 1)..];
        if left[0] == Step::Refuse {
            return;
        }
        if let Some(socket) = self.socket.take() {
            let listener = socket.listen(128).expect("a bound socket can listen");
            tokio::spawn(serve(listener, left.to_vec(), self.seen.clone(), self.events.clone()));
        }
    }
}

async fn serve(listener: TcpListener, steps: Vec<Step>, seen: Arc<Mutex<Vec<Seen>>>, events: UnboundedSender<Event>) {
    for asked in 0.. {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let step = steps.get(asked).or(steps.last()).copied().expect("a script has a step");
        tokio::spawn(answer(stream, step, seen.clone(), events.clone()));
    }
}

async fn answer(mut stream: TcpStream, step: Step, seen: Arc<Mutex<Vec<Seen>>>, events: UnboundedSender<Event>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let mut request = Seen {
        head: String::from_utf8_lossy(&head).to_lowercase(),
        body: 0,
    };
    request.body = body(&mut stream, &request).await;
    seen.lock().expect("no test panics under it").push(request);
    let text = match step {
        Step::Refuse => return,
        Step::Answer(head) => format!(
            "HTTP/1.1 {head}\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Length: 5\nConnection: close\n\nprice"
        ),
        Step::Send(text) | Step::Hang(text) => text.to_owned(),
    };
    // A client that has gone away is no concern of the server's.
    let _ = stream.write_all(text.replace('\n', "\r\n").as_bytes()).await;
    if let Step::Hang(_) = step {
        let _ = events.send(Event::ServerHangs);
        // Until the client closes the connection.
        let _ = stream.read_u8().await;
        let _ = events.send(Event::ClientGone);
    }
}

/// Reads the body of a request; its length.
async fn body(stream: &mut TcpStream, request: &Seen) -> usize {
    if let Some(length) = request.header("content-length") {
        let length = length.parse().expect("it is a number");
        let mut body = vec![0; length];
        let read = stream.read_exact(&mut body).await;
        return read.map_or(0, |_| length);
    }
    if request.header("transfer-encoding").is_none() {
        return 0;
    }
    let mut body = Vec::new();
    while !body.ends_with(b"0\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        body.push(byte);
    }
    body.len()
}
