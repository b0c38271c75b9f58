//! Every fault of the proxy, as a client and a server of plain TCP see it, and once with RabbitMQ.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use simulator::{
    Journal, Proxy,
    proxy::Direction::{Both, ToClient, ToServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::setup::SOON;

/// Long enough for bytes to show up which should not; a slow machine only makes such a test weaker.
const A_WHILE: Duration = Duration::from_millis(200);

/// What a server hears.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// A server that sends everything back, with a proxy in front.
struct Line {
    proxy: Proxy,
    journal: Journal,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Line {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let target = listener.local_addr().expect("bound").to_string();
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream, hears.clone()));
            }
        });
        let journal = Journal::in_memory();
        Self { proxy: Proxy::start(&target, &journal).await.expect("a free port"), journal, heard }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.proxy.addr()).await
    }

    /// A connection over which bytes have passed both ways.
    async fn connected(&mut self) -> TcpStream {
        let mut client = self.connect().await.expect("a connection");
        assert_eq!(exchange(&mut client, b"hello").await, b"hello");
        assert_eq!(self.hear().await, Heard::Bytes(b"hello".to_vec()));
        client
    }

    async fn hear(&mut self) -> Heard {
        timeout(SOON, self.heard.recv()).await.expect("in time").expect("the server runs")
    }

    /// What the journal says was done.
    fn done(&self) -> Vec<String> {
        let marks = self.journal.marks().into_iter().filter(|mark| mark.name == "proxy");
        marks.map(|mark| mark.fields["did"].as_str().expect("a name").to_owned()).collect()
    }
}

async fn echo(mut stream: TcpStream, hears: mpsc::UnboundedSender<Heard>) {
    let mut buffer = vec![0; 64 * 1024];
    let end = loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break Heard::End,
            Ok(read) => {
                hears.send(Heard::Bytes(buffer[..read].to_vec())).ok();
                if stream.write_all(&buffer[..read]).await.is_err() {
                    break Heard::Reset;
                }
            }
            Err(_) => break Heard::Reset,
        }
    };
    hears.send(end).ok();
}

/// Sends, and reads as much.
async fn exchange(client: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    client.write_all(bytes).await.expect("sent");
    receive(client, bytes.len()).await
}

async fn receive(client: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut received = vec![0; length];
    timeout(SOON, client.read_exact(&mut received)).await.expect("in time").expect("received");
    received
}

/// How a connection ends of which nothing more is expected.
async fn ending(client: &mut TcpStream) -> Result<usize, ErrorKind> {
    timeout(SOON, client.read(&mut [0; 64])).await.expect("in time").map_err(|error| error.kind())
}

async fn assert_silent(client: &mut TcpStream) {
    timeout(A_WHILE, client.read(&mut [0; 64])).await.expect_err("nothing comes, not even an end");
}

#[tokio::test]
async fn bytes_pass_unchanged_and_so_does_the_end_of_one_way() {
    let line = Line::start().await;
    let sent: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.to_be_bytes().into_iter().skip(2)).collect();
    let (mut from, mut to) = line.connect().await.expect("a connection").into_split();
    let sending = async {
        to.write_all(&sent).await.expect("sent");
        to.shutdown().await.expect("ended");
    };
    let mut received = Vec::new();
    let receiving = timeout(Duration::from_secs(60), from.read_to_end(&mut received));
    let ((), received_all) = tokio::join!(sending, receiving);
    received_all.expect("in time").expect("the end comes back");
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

#[tokio::test]
async fn a_url_keeps_everything_but_host_and_port() {
    let line = Line::start().await;
    let addr = line.proxy.addr();
    for (original, expected) in [
        ("amqp://user:p%40ss@broker:5672/%2f?heartbeat=5", format!("amqp://user:p%40ss@{addr}/%2f?heartbeat=5")),
        ("mongodb://a:1,b:2/?directConnection=true", format!("mongodb://{addr}/?directConnection=true")),
        ("http://127.0.0.1:80", format!("http://{addr}")),
        ("http://[::1]:80/a@b?c=d://e", format!("http://{addr}/a@b?c=d://e")),
        ("broker:5672", addr.to_string()),
    ] {
        assert_eq!(line.proxy.url(original), expected, "{original}");
    }
}

#[tokio::test]
async fn a_cut_resets_both_sides_and_new_connections_work() {
    let mut line = Line::start().await;
    let mut clients = [line.connected().await, line.connected().await];
    line.proxy.cut();
    for client in &mut clients {
        assert_eq!(ending(client).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(line.hear().await, Heard::Reset);
    }
    line.connected().await;
    assert_eq!(line.done(), ["cut"]);
    assert_eq!(line.journal.marks()[0].fields["connections"], 2);
}

#[tokio::test]
async fn a_server_that_is_down_refuses_and_has_its_port_again_when_it_is_up() {
    let mut line = Line::start().await;
    for _ in 0..3 {
        let mut client = line.connected().await;
        line.proxy.refuse();
        assert_eq!(ending(&mut client).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(line.hear().await, Heard::Reset);
        let refused = line.connect().await.expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        line.proxy.accept();
        line.connected().await;
        assert_eq!(line.hear().await, Heard::End);
    }
    assert_eq!(line.done(), ["refuse", "accept"].repeat(3));
}

#[tokio::test]
async fn a_port_is_kept_while_connections_are_refused() {
    let line = Line::start().await;
    line.proxy.refuse();
    let taken = TcpListener::bind(line.proxy.addr()).await.expect_err("it belongs to the proxy");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn what_is_stalled_flows_on_and_nothing_is_lost() {
    for (direction, is_heard) in [(ToClient, true), (ToServer, false), (Both, false)] {
        let mut line = Line::start().await;
        let mut before = line.connected().await;
        line.proxy.stall(direction);
        let mut after = line.connect().await.expect("connections are still taken");
        for client in [&mut before, &mut after] {
            for word in [b"one ", b"two "] {
                client.write_all(word).await.expect("sent");
                if is_heard {
                    assert_eq!(line.hear().await, Heard::Bytes(word.to_vec()));
                }
            }
            assert_silent(client).await;
        }
        if !is_heard {
            assert!(line.heard.is_empty(), "nothing gets to the server");
        }
        line.proxy.resume();
        assert_eq!(receive(&mut before, 8).await, b"one two ");
        assert_eq!(receive(&mut after, 8).await, b"one two ");
        assert_eq!(line.done(), ["stall", "resume"]);
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_held_back_by_a_stall() {
    let mut line = Line::start().await;
    let client = line.connected().await;
    line.proxy.stall(ToServer);
    drop(client);
    assert!(timeout(A_WHILE, line.heard.recv()).await.is_err(), "the server does not hear of it");
    line.proxy.resume();
    assert_eq!(line.hear().await, Heard::End);
}

#[tokio::test]
async fn a_stalled_connection_can_be_cut() {
    let mut line = Line::start().await;
    let mut client = line.connected().await;
    line.proxy.stall(Both);
    client.write_all(b"lost").await.expect("sent");
    line.proxy.cut();
    assert_eq!(ending(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(line.hear().await, Heard::Reset);
}

#[tokio::test]
async fn a_vanished_server_is_silent_for_ever_and_only_new_connections_work() {
    let mut line = Line::start().await;
    let (mut client, mut leaving) = (line.connected().await, line.connected().await);
    line.proxy.half_open();
    assert_eq!((line.hear().await, line.hear().await), (Heard::Reset, Heard::Reset));
    leaving.shutdown().await.expect("said goodbye");
    assert_silent(&mut leaving).await;
    line.proxy.resume();
    line.proxy.cut();
    for _ in 0..3 {
        client.write_all(&[0; 100_000]).await.expect("it is swallowed");
        assert_silent(&mut client).await;
    }
    line.connected().await;
    assert_eq!(line.done(), ["half_open", "resume", "cut"]);
    assert_eq!(line.journal.marks()[0].fields["connections"], 2);
    assert_eq!(line.journal.marks()[2].fields["connections"], 0);
    drop(line.proxy);
    assert_eq!(ending(&mut client).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_cut_in_the_middle_lets_so_many_bytes_through() {
    let mut line = Line::start().await;
    let (mut client, mut other) = (line.connected().await, line.connected().await);
    line.proxy.cut_after(10);
    assert_eq!(exchange(&mut client, b"six by").await, b"six by");
    client.write_all(b"and six").await.expect("sent");
    let mut rest = Vec::new();
    timeout(SOON, client.read_to_end(&mut rest)).await.expect("in time").expect("an end");
    assert_eq!(rest, b"and ");
    assert_eq!(ending(&mut other).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(line.done(), ["cut_after", "cut"]);
    let mut again = line.connect().await.expect("a connection");
    assert_eq!(exchange(&mut again, b"more than ten bytes").await, b"more than ten bytes");
    line.proxy.cut_after(3);
    line.proxy.resume();
    assert_eq!(exchange(&mut again, b"disarmed").await, b"disarmed");
}

#[tokio::test]
async fn a_delay_counts_each_way_until_it_is_lifted() {
    let mut line = Line::start().await;
    let mut client = line.connected().await;
    let delay = Duration::from_millis(150);
    line.proxy.delay(delay);
    let began = std::time::Instant::now();
    assert_eq!(exchange(&mut client, b"slow").await, b"slow");
    assert!(began.elapsed() >= 2 * delay);
    line.proxy.delay(Duration::from_secs(3_600));
    line.proxy.resume();
    assert_eq!(exchange(&mut client, b"at once").await, b"at once");
    assert_eq!(line.journal.marks()[0].fields["millis"], 150);
}

#[tokio::test]
async fn a_delay_does_not_add_up_over_what_is_sent_one_after_the_other() {
    let line = Line::start().await;
    let delay = Duration::from_millis(500);
    line.proxy.delay(delay);
    let (mut from, mut to) = line.connect().await.expect("a connection").into_split();
    let began = std::time::Instant::now();
    // If each piece of it were held back by itself, this would take minutes.
    let (sending, mut received) = (vec![7; 4_000_000], vec![0; 4_000_000]);
    let both = async { tokio::try_join!(to.write_all(&sending), from.read_exact(&mut received)) };
    timeout(Duration::from_secs(60), both).await.expect("in time").expect("received");
    assert!(received == sending && began.elapsed() >= 2 * delay);
}

#[tokio::test]
async fn dropping_the_proxy_cuts_everything() {
    let mut line = Line::start().await;
    let mut client = line.connected().await;
    let addr = line.proxy.addr();
    drop(line.proxy);
    assert_eq!(ending(&mut client).await, Err(ErrorKind::ConnectionReset));
    let refused = TcpStream::connect(addr).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_target_that_is_away_shows_as_a_reset_and_one_that_is_no_target_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let target = taken.local_addr().expect("bound").to_string();
    drop(taken);
    let journal = Journal::in_memory();
    let proxy = Proxy::start(&target, &journal).await.expect("it may come later");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("the proxy is there");
    assert_eq!(ending(&mut client).await, Err(ErrorKind::ConnectionReset));
    Proxy::start("no port", &journal).await.expect_err("no host and port");
}

#[tokio::test]
async fn rabbitmq_lives_stalls_dies_and_comes_back_behind_it() {
    shared::install_tls_provider();
    let url = shared::testing::server("RABBITMQ_URL");
    let authority = url.parse::<AMQPUri>().expect("a URL").authority;
    let target = format!("{}:{}", authority.host, authority.port);
    let proxy = Proxy::start(&target, &Journal::in_memory()).await.expect("a free port");
    let url = proxy.url(&url);
    let connect =
        || async { timeout(SOON, Connection::connect(&url, ConnectionProperties::default())).await.expect("in time") };
    let connection = connect().await.expect("RabbitMQ is there");
    proxy.stall(ToClient);
    {
        let mut opening = std::pin::pin!(connection.create_channel());
        timeout(A_WHILE, &mut opening).await.expect_err("the answer is held back");
        proxy.resume();
        timeout(SOON, opening).await.expect("in time").expect("the answer came after all");
    }
    proxy.refuse();
    timeout(SOON, connection.create_channel()).await.expect("in time").expect_err("the connection is gone");
    connect().await.expect_err("refused");
    proxy.accept();
    let connection = connect().await.expect("RabbitMQ is back");
    timeout(SOON, connection.create_channel()).await.expect("in time").expect("a channel");
}
