import Logging
import NIOPosix
import StrataHost
import StrataNodes
import StrataTransport

/// How a member reaches the others.
struct MemberConnections: Sendable {
  var transport: any Transport
  /// Where the member runs; on a thread of its own where `nil`.
  var executor: (any HostExecutor)?
  /// A member listens at this address from now on.
  var setPeer: @Sendable (NodeID, String) -> Void
  /// Waits until every connection is closed.
  var close: @Sendable () -> Void

  /// Over TCP. `allowsInsecure` permits an address that other machines reach without certificates. The member runs on the
  /// thread of these connections: one of `loops`, or one of its own where there are none.
  /// - Throws: `.refused` where the address cannot be listened on or the certificates cannot be used.
  static func overTCP(
    _ options: ReplicationOptions, _ files: StoreFiles, on loops: MultiThreadedEventLoopGroup?, allowsInsecure: Bool, logger: Logger
  ) throws(EngineError) -> MemberConnections {
    let own = options.peerAddress ?? options.founders[options.node] ?? ""
    guard let address = PeerAddress(own) else { throw EngineError(.refused, "'\(own)' is not an address to listen on for other members") }
    var settings = TransportOptions(node: options.node, cluster: options.cluster)
    settings.host = address.host
    settings.port = address.port
    settings.attachments = files
    settings.allowsInsecure = allowsInsecure
    settings.tls = options.tls.map {
      TransportTLS(certificateFile: $0.certificateFile, keyFile: $0.keyFile, authorityFile: $0.clientAuthorityFile ?? "")
    }
    for (id, founder) in options.founders where id != options.node { settings.peers[id] = PeerAddress(founder) }
    let transport: TCPTransport
    do { transport = try TCPTransport.start(settings, on: loops, logger: logger) } catch { throw EngineError(.refused, "\(error)") }
    return MemberConnections(
      transport: transport, executor: transport.executor,
      setPeer: { id, text in if let address = PeerAddress(text) { transport.setPeer(id, address) } },
      close: { transport.close() })
  }
}

extension PeerAddress {
  /// From `host:port`; an address of IP version 6 in brackets.
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { return nil }
    self.init(host: String(host), port: port)
  }
}
