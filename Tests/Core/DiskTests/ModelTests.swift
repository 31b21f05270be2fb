import StrataDisk
import StrataNodes
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataSimulation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The plainest file system there is: names to boxes of bytes. What every other one must agree with.
private struct Oracle {
  final class Body {
    var bytes: [UInt8] = []
  }

  var names: [String: Body] = [:]
  var handles: [Body] = []

  mutating func write(_ bytes: [UInt8], at offset: Int, to body: Body) {
    guard !bytes.isEmpty else { return }
    if body.bytes.count < offset + bytes.count {
      body.bytes += Array(repeating: 0, count: offset + bytes.count - body.bytes.count)
    }
    body.bytes.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }

  func resize(_ body: Body, to size: Int) {
    if size < body.bytes.count {
      body.bytes.removeSubrange(size...)
    } else {
      body.bytes += Array(repeating: 0, count: size - body.bytes.count)
    }
  }
}

/// Random calls on a file system and on the oracle; after every call both say the same.
@Suite struct ModelTests {
  static var depth: Int { getenv("STRATA_DEPTH").flatMap { Int(String(cString: $0)) } ?? 1 }

  @Test func theSimulatedDiskKeepsTheModel() throws {
    for seed in 0..<UInt64(40 * Self.depth) {
      let profile = [DiskProfile.strictPOSIX, .ext4Ordered, .xfs, .btrfs, .none][Int(seed % 5)]
      try run(on: SimulatedFileSystem(profile: profile), in: "/", seed: seed, steps: 250)
    }
  }

  @Test(arguments: DiskUnderTest.real) func theOperatingSystemKeepsTheModel(real: DiskUnderTest) throws {
    for seed in 0..<UInt64(4 * Self.depth) {
      let scratch = try real.makeScratch()
      defer { scratch.removeTree() }
      try run(on: POSIXFileSystem(), in: scratch.path, seed: seed, steps: 250)
    }
  }

  /// After a loss in which everything survives, and after a sync of everything and a loss in which nothing else does, files read the same.
  @Test func losslessLossesLoseNothing() throws {
    for seed in 0..<UInt64(20 * Self.depth) {
      let disk = SimulatedFileSystem()
      try run(on: disk, in: "/", seed: seed, steps: 120)
      let before = disk.contents
      #expect(disk.fork().crash(.everythingKept).contents == before, "seed \(seed)")
      for content in before { try disk.open(content.path, .readWrite).sync(.full) }
      try disk.syncDirectory("/")
      #expect(disk.crash(.nothingKept).contents == before, "seed \(seed)")
    }
  }

  private func run(on disk: any FileSystem, in root: FilePath, seed: UInt64, steps: Int) throws {
    var random = Random(seed: seed)
    var oracle = Oracle()
    var handles: [(file: any File, body: Oracle.Body)] = []
    for step in 0..<steps {
      let name = ["a", "b", "c", "d"][random.below(4)]
      let path = root.appending(name)
      let context = "seed \(seed), step \(step)"
      switch random.below(10) {
      case 0, 1:
        let body = oracle.names[name] ?? Oracle.Body()
        handles.append((try disk.open(path, .create), body))
        oracle.names[name] = body
        if handles.count > 6 { try handles.remove(at: random.below(handles.count)).file.close() }
      case 2:
        if oracle.names[name] == nil {
          #expect(throws: DiskError.notFound(path), "\(context)") { try disk.remove(path) }
        } else {
          try disk.remove(path)
          oracle.names[name] = nil
        }
      case 3: try rename(path, name, on: disk, root, &oracle, &random, context)
      default: try change(&handles, &oracle, &random, context)
      }
      try compare(disk, root, oracle, handles, &random, context)
    }
    for handle in handles { try handle.file.close() }
  }

  private func rename(
    _ path: FilePath, _ name: String, on disk: any FileSystem, _ root: FilePath, _ oracle: inout Oracle, _ random: inout Random,
    _ context: String
  ) throws {
    let target = ["a", "b", "c", "d"][random.below(4)]
    let other = root.appending(target)
    guard let body = oracle.names[name] else {
      #expect(throws: DiskError.notFound(path), "\(context)") { try disk.rename(path, to: other, replacing: true) }
      return
    }
    if random.chance(1, in: 3) {
      if oracle.names[target] != nil {
        #expect(throws: DiskError.exists(other), "\(context)") { try disk.link(path, to: other) }
      } else {
        try disk.link(path, to: other)
        oracle.names[target] = body
      }
      return
    }
    try disk.rename(path, to: other, replacing: true)
    // Renaming between two names of one file does nothing.
    if oracle.names[target] !== body {
      oracle.names[name] = nil
      oracle.names[target] = body
    }
  }

  private func change(
    _ handles: inout [(file: any File, body: Oracle.Body)], _ oracle: inout Oracle, _ random: inout Random, _ context: String
  ) throws {
    guard !handles.isEmpty else { return }
    let (file, body) = handles[random.below(handles.count)]
    switch random.below(7) {
    case 0, 1:
      let bytes = random.bytes(random.below(3000))
      let offset = random.below(9000)
      try file.write(bytes, at: UInt64(offset))
      oracle.write(bytes, at: offset, to: body)
    case 2:
      let pieces = (0..<random.below(6)).map { _ in random.bytes(random.below(900)) }
      let offset = random.below(9000)
      try file.writeVectored(pieces, at: UInt64(offset))
      oracle.write(Array(pieces.joined()), at: offset, to: body)
    case 3:
      let size = random.below(10_000)
      try file.truncate(to: UInt64(size))
      oracle.resize(body, to: size)
    case 4:
      let end = random.below(12_000)
      try file.allocate(UInt64(end / 2)..<UInt64(end))
      if end / 2 < end, end > body.bytes.count { oracle.resize(body, to: end) }
    case 5: try file.sync(random.chance(1, in: 2) ? .data : .full)
    default:
      let bytes = random.bytes(random.below(50))
      #expect(try file.append(bytes.span.bytes) == UInt64(body.bytes.count), "\(context)")
      oracle.write(bytes, at: body.bytes.count, to: body)
    }
  }

  private func compare(
    _ disk: any FileSystem, _ root: FilePath, _ oracle: Oracle, _ handles: [(file: any File, body: Oracle.Body)], _ random: inout Random,
    _ context: String
  ) throws {
    let names = try disk.list(root)
    #expect(names == oracle.names.keys.sorted(), "\(context)")
    for (file, body) in handles {
      let size = try file.size()
      let offset = random.below(10_000)
      let part = try file.read(at: UInt64(offset), count: 700)
      let expected = offset < body.bytes.count ? Array(body.bytes[offset..<min(body.bytes.count, offset + 700)]) : []
      if size != UInt64(body.bytes.count) || part != expected { Issue.record("\(context): \(file.path) at \(offset)") }
    }
    let name = ["a", "b", "c", "d"][random.below(4)]
    let status = try disk.status(root.appending(name))
    #expect(status?.size == oracle.names[name].map { UInt64($0.bytes.count) }, "\(context)")
  }
}
