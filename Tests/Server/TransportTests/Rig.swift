import Logging
import StrataBytes
import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import StrataTransport
import Synchronization

import struct SystemPackage.FilePath

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Takes what arrives for a group.
final class Collector: FrameReceiver {
  struct Arrival: Hashable {
    var from: NodeID
    var bytes: [UInt8]
    var attachments: StagedAttachments?
  }

  private let arrivals = Monitor<[Arrival]>([])

  func receive(_ payload: RawSpan, from: NodeID, attachments: StagedAttachments?) {
    let arrival = Arrival(from: from, bytes: payload.withUnsafeBytes { Array($0) }, attachments: attachments)
    arrivals.withLock { $0.append(arrival) }
    arrivals.broadcast()
  }

  /// Waits until `condition` holds of what has arrived.
  func wait(_ condition: @escaping ([Arrival]) -> Bool) -> [Arrival] { arrivals.wait(until: { condition($0) ? $0 : nil }) ?? [] }

  var all: [Arrival] { arrivals.withLock { $0 } }
}

/// Keeps what is logged.
final class LogLines: Sendable {
  private let lines = Mutex<[String]>([])

  var all: [String] { lines.withLock { $0 } }

  func logger(_ label: String) -> Logger {
    var logger = Logger(label: label) { _ in Handler(lines: self) }
    logger.logLevel = .debug
    return logger
  }

  private struct Handler: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let reason = event.metadata?["reason"].map { " \($0)" } ?? ""
      lines.lines.withLock { $0.append("\(event.level) \(event.message)\(reason)") }
    }
  }
}

/// A directory that goes away with the object.
final class Folder: Sendable {
  let path: FilePath

  init() {
    var template = Array("/tmp/strata-transport-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "no directory for temporary files")
    path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  deinit { try? Self.remove(path) }

  private static func remove(_ path: FilePath) throws(DiskError) {
    let files = POSIXFileSystem()
    guard try files.status(path)?.isDirectory == true else { return try files.remove(path) }
    for name in try files.list(path) { try remove(path.appending(name)) }
    try files.removeDirectory(path)
  }
}

/// Files of a member and the place for those of others.
final class Store: AttachmentStore {
  let folder = Folder()
  let fileSystem: any FileSystem = POSIXFileSystem()
  let stagingDirectory: FilePath
  let sets: FilePath

  init() throws {
    stagingDirectory = folder.path.appending("staging")
    sets = folder.path.appending("sets")
    try fileSystem.makeDirectory(stagingDirectory)
    try fileSystem.makeDirectory(sets)
  }

  func open(_ id: String, _ name: String, of group: GroupID) throws(DiskError) -> any File {
    try fileSystem.open(sets.appending(id).appending(name), .read)
  }

  /// Writes a set of files and says what it is.
  func add(_ id: String, _ files: [(name: String, bytes: [UInt8])]) throws -> AttachmentSet {
    try fileSystem.makeDirectory(sets.appending(id))
    for file in files {
      let made = try fileSystem.open(sets.appending(id).appending(file.name), .createNew)
      try made.write(file.bytes, at: 0)
      try made.close()
    }
    return AttachmentSet(id: id, files: files.map { .init(name: $0.name, bytes: UInt64($0.bytes.count), crc32c: crc32c($0.bytes.span.bytes)) })
  }
}

/// A member with a collector for group 1.
struct Member {
  let transport: TCPTransport
  let collector = Collector()
  let log = LogLines()

  init(_ node: NodeID, cluster: UInt64 = 1, port: Int = 0, _ change: (inout TransportOptions) throws -> Void = { _ in }) throws {
    var options = TransportOptions(node: node, cluster: cluster)
    options.port = port
    options.redial = .milliseconds(5)...(.milliseconds(50))
    options.chunkTimeout = .milliseconds(500)
    try change(&options)
    transport = try TCPTransport.start(options, logger: log.logger("n\(node.rawValue)"))
    try transport.register(collector, for: 1)
  }

  func knows(_ other: Member) { transport.setPeer(other.transport.node, PeerAddress(host: "127.0.0.1", port: other.transport.port)) }

  func send(_ bytes: [UInt8], to peer: NodeID, group: GroupID = 1, attachments: AttachmentSet? = nil) {
    transport.send([Frame(group: group, from: transport.node, to: peer, payload: bytes, attachments: attachments)], to: peer)
  }

  func wait(_ condition: (TransportStatistics) -> Bool) { while !condition(transport.statistics) { sched_yield() } }
}

/// Two members that know each other.
func pair(_ change: (NodeID, inout TransportOptions) throws -> Void = { _, _ in }) throws -> (a: Member, b: Member) {
  let a = try Member(1) { try change(1, &$0) }
  let b = try Member(2) { try change(2, &$0) }
  a.knows(b)
  b.knows(a)
  return (a, b)
}
