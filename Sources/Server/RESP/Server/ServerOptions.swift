import NIOCore
import NIOSSL

/// How a server listens, whom it lets in, and what it bounds. Every bound has a stated behaviour when it is met.
public struct ServerOptions: Sendable {
  /// Address to bind. Anything but a loopback address needs a password, or ``allowsInsecure``.
  public var host = "127.0.0.1"
  /// Port; 0 lets the system choose.
  public var port = 6379
  /// Threads that serve connections.
  public var threads = 1
  /// Threads that run what has to wait for the disk.
  public var diskThreads = 4
  /// Password of the default user; `nil` admits everybody.
  public var password: String?
  /// Certificate chain and private key (PEM files); both or none.
  public var tls: TLSOptions?
  /// Permits an address that other machines reach without a password.
  public var allowsInsecure = false
  /// Connections beyond this are told so and closed.
  public var maxClients = 10_000
  /// Connections that send nothing for so long are closed; 0 never.
  public var idleTimeoutSeconds = 0
  /// Longest value and longest argument; a longer one is refused before memory is taken for it.
  public var maxBulkBytes = 512 << 20
  /// Most arguments of a command.
  public var maxArguments = 1_048_576
  /// Most bytes of one command, and of commands waiting to be run, per client; beyond it the client is closed.
  public var maxQueryBytes = 1 << 30
  /// Most bytes of replies a client may leave unread; beyond it the client is closed. At least one largest value always fits.
  public var maxOutputBytes = 256 << 20
  /// Bytes of small records kept in memory so that reading them again costs no system call; 0 keeps none. The oldest go first.
  public var cacheBytes = 64 << 20
  /// Commands slower than this are kept in the slow log; negative: none.
  public var slowLogMicroseconds = 10_000
  /// Entries of the slow log.
  public var slowLogEntries = 128
  /// Events slower than this are kept for LATENCY; 0: none.
  public var latencyThresholdMilliseconds = 0
  /// How long a shutdown waits for clients to take their replies.
  public var drainSeconds = 5
  /// Shown by CONFIG GET and INFO; the durability the engine was opened with, in Redis' words (`always`, `everysec`, `no`).
  public var appendFsync = "always"
  /// Shown by CONFIG GET: the store's directory.
  public var directory = ""
  /// Unix milliseconds. Replaced in tests.
  public var clock: @Sendable () -> UInt64 = { Clocks.unixMilliseconds() }
  /// Whether expired keys are removed in the background. Off in tests that drive it themselves.
  public var activeExpiry = true

  /// The defaults.
  public init() {}

  var requestLimits: RequestLimits {
    var limits = RequestLimits()
    limits.bulkBytes = maxBulkBytes
    limits.arguments = maxArguments
    return limits
  }

  /// The output bound in effect.
  var outputLimit: Int { max(maxOutputBytes, maxBulkBytes + 1024) }
}

/// Where the server's certificate lies and whether clients need one.
public struct TLSOptions: Sendable {
  /// PEM file with the certificate chain.
  public var certificateFile: String
  /// PEM file with the private key.
  public var keyFile: String
  /// PEM file with the authorities whose client certificates are required; `nil` asks for none.
  public var clientAuthorityFile: String?

  /// Memberwise.
  public init(certificateFile: String, keyFile: String, clientAuthorityFile: String? = nil) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.clientAuthorityFile = clientAuthorityFile
  }

  func makeContext() throws -> NIOSSLContext {
    let chain = try NIOSSLCertificate.fromPEMFile(certificateFile).map { NIOSSLCertificateSource.certificate($0) }
    let key = try NIOSSLPrivateKey(file: keyFile, format: .pem)
    var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
    configuration.minimumTLSVersion = .tlsv12
    if let clientAuthorityFile {
      configuration.trustRoots = .file(clientAuthorityFile)
      configuration.certificateVerification = .noHostnameVerification
    }
    return try NIOSSLContext(configuration: configuration)
  }
}

/// Why a server did not start.
public enum ServerError: Error, Sendable, CustomStringConvertible {
  /// The address is taken by another process.
  case addressInUse(String)
  /// The address cannot be bound.
  case cannotBind(String, reason: String)
  /// The address is reachable from other machines and nothing protects it.
  case insecure(String)
  /// The certificate or key cannot be used.
  case tls(String)
  /// The engine failed while the server started.
  case engine(EngineError)

  /// One sentence with the cure.
  public var description: String {
    switch self {
    case .addressInUse(let address): "\(address) is in use by another process; choose another --port"
    case .cannotBind(let address, let reason): "cannot listen on \(address): \(reason)"
    case .insecure(let host):
      "refusing to listen on \(host), which other machines can reach, without a password; give --password, or --insecure if that is meant"
    case .tls(let reason): "the TLS certificate or key cannot be used: \(reason)"
    case .engine(let error): error.description
    }
  }
}
