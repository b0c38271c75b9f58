//! Authorities of the tests' own, and servers that speak TLS in front of real ones.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

/// An authority that nobody knows but who has its file.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    directory: tempfile::TempDir,
}

/// A certificate of an authority, with its key, in files.
pub(crate) struct Issued {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("written");
        let certificate = certificate.der().clone();
        Self { issuer: Issuer::new(params, key), certificate, directory }
    }

    /// Its certificate, as an operator has it.
    pub(crate) fn file(&self) -> String {
        self.directory.path().join("ca.pem").to_str().expect("UTF-8").to_owned()
    }

    /// A certificate for a name or an address.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let file = |kind: &str, text: String| {
            let path = self.directory.path().join(format!("{name}-{kind}.pem"));
            std::fs::write(&path, text).expect("written");
            path
        };
        Issued { chain: file("chain", certificate.pem()), key: file("key", key.serialize_pem()) }
    }
}

impl Issued {
    pub(crate) fn paths(&self) -> [String; 2] {
        [&self.chain, &self.key].map(|path| path.to_str().expect("UTF-8").to_owned())
    }
}

/// A server that speaks TLS and hands on what it hears to one that does not.
pub(crate) struct TlsServer {
    pub(crate) port: u16,
    handshakes: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl TlsServer {
    /// In front of the server at that address, with a certificate for `name`. With `clients`, it lets in only whom that
    /// authority vouches for.
    pub(crate) async fn start(behind: &str, authority: &Authority, name: &str, clients: Option<&Authority>) -> Self {
        let issued = authority.issue(name);
        let chain = CertificateDer::from_pem_file(&issued.chain).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&issued.key).expect("a key");
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("ring has them");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certificate.clone()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let mut config = builder.with_single_cert(vec![chain], key).expect("they fit");
        // Like many a provider it would rather speak HTTP/2. A client that let it would not be understood behind.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let handshakes = Arc::new(AtomicUsize::new(0));
        let serving = serve(listener, TlsAcceptor::from(Arc::new(config)), behind.to_owned(), Arc::clone(&handshakes));
        Self { port, handshakes, accepting: tokio::spawn(serving).abort_handle() }
    }

    /// How often somebody believed it and was let in.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: String, handshakes: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, behind, handshakes) = (acceptor.clone(), behind.clone(), Arc::clone(&handshakes));
        connections.spawn(async move {
            let Ok(mut near) = acceptor.accept(stream).await else { return };
            handshakes.fetch_add(1, Ordering::Relaxed);
            let mut far = TcpStream::connect(behind).await.expect("the server behind is there");
            drop(copy_bidirectional(&mut near, &mut far).await);
        });
    }
}

/// The host and port in a URL such as `amqp://user:password@host:port/…`.
pub(crate) fn address(url: &str) -> String {
    let rest = url.split_once("://").expect("a scheme").1;
    let authority = rest.split(['/', '?']).next().expect("an authority");
    authority.rsplit('@').next().expect("an address").to_owned()
}
