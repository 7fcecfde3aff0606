//! tokio: a server with many clients on a multi-threaded runtime.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{alone, is_ours};

const CLIENTS: usize = 100;
const MESSAGES: usize = 100;

/// What the server makes of a line.
fn answer(line: &str) -> String {
    let reversed: String = line.chars().rev().collect();
    format!("{} {reversed}\n", line.len())
}

/// Answers each line until the client closes its side, and tells `log` about it.
async fn serve(stream: TcpStream, log: mpsc::Sender<Box<str>>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await.expect("readable") {
        writer.write_all(answer(&line).as_bytes()).await.expect("writable");
        // To a task that another thread may run, where it is freed.
        log.send(line.into()).await.expect("the log is read to its end");
    }
}

/// Sends lines and checks each answer.
async fn ask(address: std::net::SocketAddr, client: usize) {
    let (reader, mut writer) = TcpStream::connect(address).await.expect("the server listens").into_split();
    let mut reader = BufReader::new(reader);
    for message in 0..MESSAGES {
        let line = format!("client {client} message {message} {}", "=".repeat(message));
        writer.write_all(format!("{line}\n").as_bytes()).await.expect("writable");
        let mut answered = String::new();
        reader.read_line(&mut answered).await.expect("readable");
        assert_eq!(answered, answer(&line));
        assert!(is_ours(answered.as_str()) && is_ours(line.as_str()));
    }
    writer.shutdown().await.expect("it can be closed");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.expect("readable");
    assert!(rest.is_empty());
}

#[cfg_attr(miri, ignore = "it has no sockets")]
#[test]
fn a_server_answers_each_line_of_a_hundred_clients() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_io().build();
    runtime.expect("a runtime can be had").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let (log, mut logged) = mpsc::channel(16);

        let server = tokio::spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..CLIENTS {
                let (stream, _) = listener.accept().await.expect("clients connect");
                connections.push(tokio::spawn(serve(stream, log.clone())));
            }
            for connection in connections {
                connection.await.expect("no panic");
            }
        });
        let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(ask(address, client))).collect();

        let mut seen = vec![0; CLIENTS];
        while let Some(line) = logged.recv().await {
            assert!(is_ours(&*line));
            let mut words = line.split(' ').skip(1).step_by(2).map(|word| word.parse::<usize>());
            let (Some(Ok(client)), Some(Ok(message))) = (words.next(), words.next()) else {
                panic!("{line:?}")
            };
            // Lines of one client come in order.
            assert_eq!(message, std::mem::replace(&mut seen[client], message + 1));
        }
        for client in clients {
            client.await.expect("no panic");
        }
        server.await.expect("no panic");
        assert_eq!(seen, [MESSAGES; CLIENTS]);
    });
}
