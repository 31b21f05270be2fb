import Logging
import Synchronization

@testable import StrataRESP

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A reply as it came over the wire.
indirect enum Reply: Equatable, CustomStringConvertible {
  case simple(String)
  case error(String)
  case integer(Int64)
  case bulk([UInt8])
  case null
  case array([Reply])
  case map([Reply])
  case boolean(Bool)

  static func bulk(_ text: String) -> Reply { .bulk(Array(text.utf8)) }
  static let ok = Reply.simple("OK")

  var description: String {
    switch self {
    case .simple(let text): "+\(text)"
    case .error(let text): "-\(text)"
    case .integer(let value): ":\(value)"
    case .bulk(let bytes): "\(String(decoding: bytes.prefix(200), as: UTF8.self).debugDescription)"
    case .null: "null"
    case .array(let items): "\(items)"
    case .map(let items): "map\(items)"
    case .boolean(let value): "\(value)"
    }
  }
}

/// A client on a blocking socket. A reply that does not come within the receive timeout shows as `closed`.
final class Client {
  struct Closed: Error {}

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var position = 0

  init(port: Int, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var timeout = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    if var size = receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port).bigEndian)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard result == 0 else { throw Closed() }
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { throw Closed() }
      sent += count
    }
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// Tells the server that nothing more will be sent.
  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  static func encode(_ words: [String]) -> [UInt8] {
    var bytes = Array("*\(words.count)\r\n".utf8)
    for word in words { bytes += Array("$\(word.utf8.count)\r\n\(word)\r\n".utf8) }
    return bytes
  }

  func call(_ words: String...) throws -> Reply {
    try send(Self.encode(words))
    return try reply()
  }

  /// Whether nothing is there to be read right now. Tells nothing about what is on its way.
  var isSilent: Bool {
    guard position == buffer.count else { return false }
    var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&poller, 1, 0) == 0
  }

  /// Whether the server has closed and everything it sent is read.
  var isClosed: Bool {
    do {
      try fill()
      return false
    } catch { return true }
  }

  private func fill() throws {
    if position == buffer.count {
      buffer.removeAll(keepingCapacity: true)
      position = 0
    }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &chunk, chunk.count, 0)
    guard count > 0 else { throw Closed() }
    buffer += chunk[..<count]
  }

  private func line() throws -> String {
    var end = position
    while true {
      while end < buffer.count, buffer[end] != 0x0A { end += 1 }
      if end < buffer.count { break }
      let seen = end - position
      try fill()
      end = position + seen
    }
    defer { position = end + 1 }
    return String(decoding: buffer[position..<(end - 1)], as: UTF8.self)
  }

  private func exactly(_ count: Int) throws -> [UInt8] {
    while buffer.count - position < count { try fill() }
    defer { position += count }
    return Array(buffer[position..<(position + count)])
  }

  func reply() throws -> Reply {
    let line = try line()
    let rest = line.dropFirst()
    switch line.first {
    case "+": return .simple(String(rest))
    case "-": return .error(String(rest))
    case ":": return .integer(Int64(rest) ?? 0)
    case "_": return .null
    case "#": return .boolean(rest == "t")
    case "$", "=":
      guard let count = Int(rest), count >= 0 else { return .null }
      let bytes = try exactly(count)
      _ = try exactly(2)
      return .bulk(bytes)
    case "*", "~", ">":
      guard let count = Int(rest), count >= 0 else { return .null }
      return .array(try (0..<count).map { _ in try reply() })
    case "%": return .map(try (0..<(2 * (Int(rest) ?? 0))).map { _ in try reply() })
    default: throw Closed()
    }
  }
}

/// A server on a free port with an engine in memory and a clock the test moves.
final class TestServer {
  let server: RESPServer
  let engine: MemoryEngine
  let time: Time

  final class Time: Sendable {
    let milliseconds = Atomic<UInt64>(1_700_000_000_000)
    func advance(_ amount: UInt64) { milliseconds.add(amount, ordering: .sequentiallyConsistent) }
  }

  init(_ engine: MemoryEngine = MemoryEngine(), _ change: (inout ServerOptions) -> Void = { _ in }) throws {
    let time = Time()
    var options = ServerOptions()
    options.port = 0
    options.threads = 2
    options.activeExpiry = false
    options.clock = { time.milliseconds.load(ordering: .sequentiallyConsistent) }
    change(&options)
    self.time = time
    self.engine = engine
    server = try RESPServer.start(options: options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { () throws(EngineError) in
      engine
    }
  }

  func connect(receiveBuffer: Int32? = nil) throws -> Client { try Client(port: server.port, receiveBuffer: receiveBuffer) }
}
