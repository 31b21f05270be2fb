#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A client for verbs that talk to a running server: one command at a time, on the calling thread.
final class RESPClient {
  /// Why a server could not be asked.
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// What a server answered.
  enum Reply: Equatable {
    case text(String)
    case error(String)
    case integer(Int)
    case null
    case list([Reply])
  }

  private let socket: Int32
  private let server: String
  private var buffer: [UInt8] = []
  private static let maxReplyBytes = 64 << 20

  /// Connects to `host:port`; gives up after `seconds`.
  init(_ server: String, seconds: Int = 5) throws(Failure) {
    self.server = server
    guard let colon = server.lastIndex(of: ":"), colon != server.startIndex else {
      throw Failure(description: "'\(server)' is not host:port")
    }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(String(server[..<colon]), String(server[server.index(after: colon)...]), &hints, &found) == 0, let first = found else {
      throw Failure(description: "\(server): no such address")
    }
    defer { freeaddrinfo(found) }
    let socket = Glibc.socket(first.pointee.ai_family, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    guard socket >= 0, connect(socket, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0 else {
      let reason = String(cString: strerror(errno))
      if socket >= 0 { close(socket) }
      throw Failure(description: "\(server): cannot connect: \(reason)")
    }
    self.socket = socket
  }

  deinit { close(socket) }

  /// Asks and waits for the answer.
  func call(_ arguments: [String]) throws(Failure) -> Reply {
    var request = Array("*\(arguments.count)\r\n".utf8)
    for argument in arguments { request += Array("$\(argument.utf8.count)\r\n".utf8) + Array(argument.utf8) + [0x0D, 0x0A] }
    var sent = 0
    while sent < request.count {
      let count = request.withUnsafeBytes { send(socket, $0.baseAddress! + sent, request.count - sent, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { throw Failure(description: "\(server): the connection broke: \(String(cString: strerror(errno)))") }
      sent += count
    }
    return try reply()
  }

  private func fill() throws(Failure) {
    guard buffer.count <= Self.maxReplyBytes else { throw Failure(description: "\(server): the answer is too long") }
    let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 16) { target, count in
      count = max(0, recv(socket, target.baseAddress, target.count, 0))
    }
    guard !chunk.isEmpty else { throw Failure(description: "\(server): no answer") }
    buffer += chunk
  }

  private func line() throws(Failure) -> String {
    while true {
      if let end = buffer.firstIndex(of: 0x0A), end > 0 {
        defer { buffer.removeSubrange(...end) }
        return String(decoding: buffer[..<(end - 1)], as: UTF8.self)
      }
      try fill()
    }
  }

  private func reply() throws(Failure) -> Reply {
    let line = try line()
    let rest = String(line.dropFirst())
    switch line.first {
    case "+": return .text(rest)
    case "-": return .error(rest)
    case ":": return .integer(Int(rest) ?? 0)
    case "$":
      guard let count = Int(rest), count >= 0, count <= Self.maxReplyBytes else { return .null }
      while buffer.count < count + 2 { try fill() }
      defer { buffer.removeSubrange(..<(count + 2)) }
      return .text(String(decoding: buffer[..<count], as: UTF8.self))
    case "*":
      guard let count = Int(rest), (0...1024).contains(count) else { return .null }
      var list: [Reply] = []
      for _ in 0..<count { list.append(try reply()) }
      return .list(list)
    default: throw Failure(description: "\(server): this is no answer of a Redis server: \(line.prefix(40))")
    }
  }
}
