//! An HTTP server that says whatever a test wants it to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request: its first line without the version, its headers in lower case, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    head: String,
    pub(crate) body: String,
}

impl Asked {
    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> String {
        let found = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    }
}

/// What is sent back, and what then.
pub(crate) enum Reply {
    /// This, and the connection is closed.
    Bytes(Vec<u8>),
    /// This, and nothing more for ever.
    Silence(Vec<u8>),
    /// This, and then a byte now and then, for ever.
    Drip(Vec<u8>),
    /// This, and zeros without end.
    Endless(Vec<u8>),
}

/// Status and headers (`Name: value`, with `;` between them), and a body whose length is told.
pub(crate) fn reply(head: &str, body: impl AsRef<[u8]>) -> Reply {
    let length = format!("Content-Length: {}", body.as_ref().len());
    let head =
        if head.contains(';') { format!("{head}; {length}") } else { format!("{head};{length}") };
    raw(&head, body)
}

/// Likewise, as it is.
pub(crate) fn raw(head: &str, body: impl AsRef<[u8]>) -> Reply {
    let lines: Vec<&str> = head.split(';').map(str::trim).collect();
    let head = format!("HTTP/1.1 {}\r\n\r\n", lines.join("\r\n"));
    Reply::Bytes([head.as_bytes(), body.as_ref()].concat())
}

/// A server on a port of its own. It ends with this.
pub(crate) struct Liar {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Liar {
    /// Answers each request by what `answer` makes of it.
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (asked.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), log.clone()));
            }
        });
        Liar { address, asked, task }
    }

    /// The first lines of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests().into_iter().map(|it| it.line).collect()
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<impl Fn(&Asked) -> Reply>,
    log: Arc<Mutex<Vec<Asked>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (line, headers) = head.split_once("\r\n").expect("a request");
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let names = headers.lines().filter_map(|it| it.split_once(": "));
    let headers: Vec<String> =
        names.map(|(name, value)| format!("{}: {value}", name.to_lowercase())).collect();
    let mut asked = Asked { line, head: headers.join("\n"), body: String::new() };
    let mut body = vec![0; asked.header("content-length").parse().unwrap_or_default()];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    asked.body = String::from_utf8_lossy(&body).into_owned();
    log.lock().expect("not poisoned").push(asked.clone());
    // The client may have heard enough.
    let _ = match answer(&asked) {
        Reply::Bytes(bytes) => stream.write_all(&bytes).await,
        Reply::Silence(bytes) => {
            let _ = stream.write_all(&bytes).await;
            stream.read_u8().await.map(drop)
        }
        Reply::Drip(bytes) => {
            let mut sent = stream.write_all(&bytes).await;
            while sent.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                sent = stream.write_all(b" ").await;
            }
            sent
        }
        Reply::Endless(bytes) => {
            let mut sent = stream.write_all(&bytes).await;
            while sent.is_ok() {
                sent = stream.write_all(&[0; 65536]).await;
            }
            sent
        }
    };
}
