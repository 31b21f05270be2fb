import StrataBytes
import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import StrataWriteAheadLog
import SystemPackage

@testable import StrataRaft

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Adds numbers to a list; a question is answered by the whole list.
struct ListMachine: RaftStateMachine {
  var numbers: [UInt8] = []

  mutating func apply(_ command: [UInt8]) -> [UInt8] {
    numbers += command
    return [UInt8(truncatingIfNeeded: numbers.count)]
  }

  func query(_ question: [UInt8]) -> [UInt8] { numbers }
  func snapshot() -> [UInt8]? { numbers }

  mutating func restore(_ bytes: [UInt8]) -> Bool {
    numbers = bytes
    return true
  }
}

/// Real members, each on a host of its own with real files, connected in the process.
final class HostedGroup {
  typealias Member = RaftNode<ListMachine>

  struct Running {
    var host: Host
    var disk: RaftDisk
    var log: RaftGroupLog<ListMachine>
    var node: HostedNode<Member>
  }

  let directory: FilePath
  let network = InProcessNetwork()
  let ids: [NodeID] = [1, 2, 3]
  var knobs = RaftKnobs()
  var options = WALOptions()
  /// Who has led, as each member that was started has known it.
  private(set) var watches: [NodeID: LeaderWatch] = [:]
  private(set) var members: [NodeID: Running] = [:]

  init() throws {
    var template = Array("/tmp/strata-raft-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    directory = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    knobs.tick = .milliseconds(5)
    options.segmentBytes = 1 << 16
    options.zeroAheadBytes = 0
  }

  func path(_ id: NodeID) -> FilePath { directory.appending("n\(id.rawValue)") }

  func start(_ id: NodeID, toleratesDamage: Bool = false) throws {
    // The lock of a member that was let go is given up when the last write under way has ended.
    var opened: RaftDisk?
    while opened == nil {
      do throws(RaftStorageError) {
        opened = try RaftDisk(path(id), cluster: 9, options: options, toleratesDamage: toleratesDamage)
      } catch .log(.alreadyOpen) { sched_yield() }
    }
    guard let disk = opened else { return }
    let host = Host(name: "member \(id)")
    let log = disk.log(of: 1, running: ListMachine.self)
    let watch = LeaderWatch()
    watches[id] = watch
    let node = try host.run(
      Member.self, as: id, in: 1, peers: ids, knobs: knobs, log: log, codec: RaftMessageCodec(), over: network.transport(of: id),
      observer: { watch.look(at: $0) })
    members[id] = Running(host: host, disk: disk, log: log, node: node)
  }

  func startAll() throws { for id in ids { try start(id) } }

  /// In order: everything durable, the directory free.
  func stop(_ id: NodeID) throws {
    guard let member = members.removeValue(forKey: id) else { return }
    member.host.stop()
    try member.disk.close()
  }

  /// As a crash of the process does it: nothing is closed.
  func kill(_ id: NodeID) { members.removeValue(forKey: id)?.host.stop() }

  func end() throws {
    for id in members.keys { try stop(id) }
    try removeAll(directory)
  }

  private func removeAll(_ path: FilePath) throws {
    let files = POSIXFileSystem()
    for name in try files.list(path) {
      let child = path.appending(name)
      if try files.status(child)?.isDirectory == true { try removeAll(child) } else { try files.remove(child) }
    }
    try files.removeDirectory(path)
  }

  func node(_ id: NodeID) -> HostedNode<Member>? { members[id]?.node }

  func status(_ id: NodeID) throws -> RaftStatus? { try node(id)?.inspect { $0.core.status } }

  /// Asks a member until it says yes; every try is a request of its own.
  func query(_ id: NodeID) throws -> [UInt8] {
    while true {
      if case .success(.answer(let bytes)) = ask(id, .query([])) { return bytes }
    }
  }

  func ask(_ id: NodeID, _ request: Member.Request, deadline: Duration = .seconds(20)) -> Result<Member.Response, HostError>? {
    guard let node = node(id) else { return nil }
    let answer = Monitor<Result<Member.Response, HostError>?>(nil)
    node.request(request, deadline: deadline) { result in
      answer.withLock { $0 = result }
      answer.broadcast()
    }
    return answer.wait(until: { $0 })
  }

  /// The leader, once there is one that the others follow.
  func leader() throws -> NodeID {
    while true {
      for id in members.keys.sorted() where try status(id)?.role == .leader { return id }
      sched_yield()
    }
  }

  func wait(_ condition: () throws -> Bool) throws { while try !condition() { sched_yield() } }
}
