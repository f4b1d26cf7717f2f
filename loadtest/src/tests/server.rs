//! Servers for the tests: the real echo, and one that answers by script.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use tokio::net::TcpSocket;

use super::report::plan;
use super::signature;
use crate::echo::{Background, Model};
use crate::report::Report;
use crate::run;
use crate::signature::Signature;

/// An echo server on free ports; ends when it is dropped.
pub(super) struct Echo {
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    _server: Background,
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
        Echo::of(at, vec![signature(inputs, outputs)])
    }

    /// Of several models.
    pub(super) fn of(at: (SocketAddr, SocketAddr), signatures: Vec<Signature>) -> Echo {
        let models = signatures.into_iter().map(|it| Model::new(it).unwrap()).collect();
        let server = Background::start_at(at, models).unwrap();
        Echo { grpc: server.grpc, http: server.http, _server: server }
    }

    pub(super) fn run(&self, protocol: &str, line: &str) -> anyhow::Result<Report> {
        let address = if protocol == "grpc" { self.grpc } else { self.http };
        run::run(&plan(&format!("--url {address} --protocol {protocol} {line}")))
    }
}

/// A port that is held while nobody listens there: no other test, and no other process, answers in its place.
pub(super) struct Nobody {
    pub(super) address: SocketAddr,
    _socket: TcpSocket,
}

impl Nobody {
    /// `None` where another was quicker.
    pub(super) fn at(port: u16) -> Option<Nobody> {
        let socket = TcpSocket::new_v4().unwrap();
        // So that a server can come back while it is held.
        socket.set_reuseaddr(true).unwrap();
        match socket.bind((Ipv4Addr::LOCALHOST, port).into()) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => return None,
            bound => bound.unwrap(),
        }
        Some(Nobody { address: socket.local_addr().unwrap(), _socket: socket })
    }
}

/// Accepts one connection after the other and hands each to the next part of `script`. The port is
/// closed before the last part begins, and held until the thread is joined. Returns the address.
pub(super) fn scripted(script: Vec<fn(TcpStream)>) -> (SocketAddr, JoinHandle<Option<Nobody>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (last, others) = script.split_last().unwrap();
        for part in others {
            part(listener.accept().unwrap().0);
        }
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        let nobody = Nobody::at(address.port());
        last(stream);
        nobody
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
