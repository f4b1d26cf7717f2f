//! Servers for the tests: the real echo, and one that answers by script.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::report::plan;
use super::signature;
use crate::echo::{self, Listeners, Model};
use crate::report::Report;
use crate::run;

/// An echo server on free ports; ends when it is dropped.
pub(super) struct Echo {
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(super) fn start(inputs: &[&str], outputs: &[&str]) -> Echo {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Echo::start_at((any, any), inputs, outputs)
    }

    /// At these addresses for gRPC and HTTP.
    pub(super) fn start_at(
        at: (SocketAddr, SocketAddr),
        inputs: &[&str],
        outputs: &[&str],
    ) -> Echo {
        let listeners = Listeners::bind(at.0, at.1).unwrap();
        let (grpc, http) = listeners.addresses().unwrap();
        let model = Arc::new(Model::new(signature(inputs, outputs)).unwrap());
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let served = echo::serve(listeners, model, async { drop(stopped.await) });
            runtime.block_on(served).unwrap();
        });
        Echo { grpc, http, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn run(&self, protocol: &str, line: &str) -> anyhow::Result<Report> {
        let address = if protocol == "grpc" { self.grpc } else { self.http };
        run::run(&plan(&format!("--url {address} --protocol {protocol} {line}")))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Accepts one connection after the other and hands each to the next part of `script`. The port is
/// closed before the last part begins. Returns the address.
pub(super) fn scripted(script: Vec<fn(TcpStream)>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (last, others) = script.split_last().unwrap();
        for part in others {
            part(listener.accept().unwrap().0);
        }
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        last(stream);
    });
    (address, thread)
}

/// Reads one small HTTP request, in whatever pieces it comes. `None`: the client has closed.
pub(super) fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap() == 0 {
            return None;
        }
        request.push(byte[0]);
    }
    let head = String::from_utf8(request.clone()).unwrap().to_lowercase();
    let length = head.lines().find_map(|it| it.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |it| it.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    request.extend(body);
    Some(request)
}

pub(super) fn write_answer(stream: &mut TcpStream, extra_header: &str, body: &str) {
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{extra_header}\r\n{body}");
    stream.write_all(answer.as_bytes()).unwrap();
}
