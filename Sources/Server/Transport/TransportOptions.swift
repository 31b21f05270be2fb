import NIOCore
import NIOSSL
import StrataHost
import StrataNodes

/// Where a peer listens.
public struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
  /// A name or an address.
  public var host: String
  /// The port.
  public var port: Int

  /// An address.
  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// `host:port`.
  public var description: String { "\(host):\(port)" }
}

/// How a member of a cluster listens, whom it talks to, and what it bounds.
public struct TransportOptions: Sendable {
  /// The member.
  public var node: NodeID
  /// The cluster; who says another is refused.
  public var cluster: UInt64
  /// Address to listen on. One that other machines reach needs ``tls``, or ``allowsInsecure``.
  public var host = "127.0.0.1"
  /// Port to listen on; 0 lets the system choose.
  public var port = 0
  /// Where the others listen. ``TCPTransport/setPeer(_:_:)`` adds more later.
  public var peers: [NodeID: PeerAddress] = [:]
  /// Certificates; without them neither end is authenticated and nothing is encrypted.
  public var tls: TransportTLS?
  /// Permits an address that other machines reach without certificates.
  public var allowsInsecure = false
  /// Threads that serve connections.
  public var threads = 1
  /// Frames that wait for one peer; beyond it the oldest are dropped.
  public var maxQueuedFrames = 65_536
  /// Bytes of frames that wait for one peer; beyond it the oldest are dropped, but one frame always fits.
  public var maxQueuedBytes = 128 << 20
  /// The longest frame that is sent or received; a longer one is dropped, and ends the connection it comes from.
  public var maxFrameBytes = 64 << 20
  /// The first and the longest pause before a peer is dialled again; it doubles in between, and half of it is drawn at random.
  public var redial: ClosedRange<Duration> = .milliseconds(50)...(.seconds(1))
  /// How long a connection may take to come about, its handshake included.
  public var connectTimeout: Duration = .seconds(3)
  /// How long what was sent may stay unacknowledged before the connection is given up (Linux).
  public var deadPeerTimeout: Duration = .seconds(3)
  /// Where the files lie that messages name; without it such messages are dropped.
  public var attachments: (any AttachmentStore)?
  /// Bytes of a chunk of a file, at most 1 MiB.
  public var chunkBytes = 256 << 10
  /// Chunks of one set that are on their way at once.
  public var chunkWindow = 4
  /// At most so many bytes of files are fetched per second; `nil` for no limit.
  public var maxFetchedBytesPerSecond: Int?
  /// Bytes of one set of files; a message that names more is dropped.
  public var maxAttachmentBytes: UInt64 = 1 << 40
  /// Sets that are fetched at once; messages that name more are dropped.
  public var maxTransfers = 8
  /// How long a chunk may be away before it is asked for again.
  public var chunkTimeout: Duration = .seconds(2)

  /// The defaults for a member.
  public init(node: NodeID, cluster: UInt64) {
    self.node = node
    self.cluster = cluster
  }
}

/// Where the certificates lie with which members know each other: all are issued by one authority.
public struct TransportTLS: Sendable {
  /// PEM file with this member's certificate chain.
  public var certificateFile: String
  /// PEM file with its private key.
  public var keyFile: String
  /// PEM file with the authority's certificate; who has none from it is refused.
  public var authorityFile: String

  /// Files.
  public init(certificateFile: String, keyFile: String, authorityFile: String) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.authorityFile = authorityFile
  }

  private func parts() throws -> ([NIOSSLCertificateSource], NIOSSLPrivateKeySource) {
    let chain = try NIOSSLCertificate.fromPEMFile(certificateFile).map { NIOSSLCertificateSource.certificate($0) }
    return (chain, .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem)))
  }

  func serverContext() throws -> NIOSSLContext {
    let (chain, key) = try parts()
    var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: key)
    configuration.minimumTLSVersion = .tlsv13
    configuration.trustRoots = .file(authorityFile)
    configuration.certificateVerification = .noHostnameVerification
    return try NIOSSLContext(configuration: configuration)
  }

  func clientContext() throws -> NIOSSLContext {
    let (chain, key) = try parts()
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.certificateChain = chain
    configuration.privateKey = key
    configuration.minimumTLSVersion = .tlsv13
    configuration.trustRoots = .file(authorityFile)
    // Members are known by the authority that issued their certificates, not by the address they happen to have.
    configuration.certificateVerification = .noHostnameVerification
    return try NIOSSLContext(configuration: configuration)
  }
}

/// Why a transport did not start.
public enum TCPTransportError: Error, Sendable, CustomStringConvertible {
  /// The address cannot be listened on.
  case cannotListen(PeerAddress, reason: String)
  /// Other machines reach the address and nothing protects it.
  case insecure(String)
  /// A certificate or key cannot be used.
  case tls(String)
  /// The options make no sense.
  case badOptions(String)
  /// The directory for files on their way cannot be used.
  case staging(String)

  /// What happened and what to do.
  public var description: String {
    switch self {
    case .cannotListen(let address, let reason): "cannot listen on \(address): \(reason)"
    case .insecure(let host): "refusing to listen on \(host), which other machines can reach, without certificates; give some, or allow it"
    case .tls(let reason): "the certificates cannot be used: \(reason)"
    case .badOptions(let reason): "the transport cannot start: \(reason)"
    case .staging(let reason): "the directory for files on their way cannot be used: \(reason)"
    }
  }
}
