import StrataDisk
import StrataNodes
import StrataSimulation

/// Engines that each have one line wrong: what the simulator must catch.
enum Defects {
  static var all: [AnyScenario] {
    syncs + [
      early(LogEngine.self), early(BitcaskEngine.self), early(LSMEngine.self), halves(LogEngine.self), halves(BitcaskEngine.self),
      halves(LSMEngine.self), keepsDeleted(BitcaskEngine.self), keepsDeleted(LSMEngine.self),
    ]
  }

  /// One kind of sync left out. The disk says that it has synced and has not, which is what an engine sees that does not ask.
  private static var syncs: [AnyScenario] {
    [
      muted(LogEngine.self, "segment-sync", "a segment is not synced", .sync) { $0.contains("/store/") },
      muted(LogEngine.self, "directory-sync", "a segment's name is not synced", .syncDirectory) { $0 == "/store" },
      muted(BitcaskEngine.self, "data-sync", "a data file is not synced", .sync) { $0.hasSuffix(".data") },
      muted(BitcaskEngine.self, "manifest-sync", "the manifest is not synced", .sync) { $0.contains("MANIFEST") },
      muted(BitcaskEngine.self, "directory-sync", "names are not synced", .syncDirectory) { $0 == "/store" },
      muted(LSMEngine.self, "log-sync", "the log is not synced", .sync) { $0.contains("/log/") },
      muted(LSMEngine.self, "log-directory-sync", "the names of the log's segments are not synced", .syncDirectory) { $0.hasSuffix("/log") },
      muted(LSMEngine.self, "table-sync", "tables are not synced", .sync) { $0.contains(".sst") },
      muted(LSMEngine.self, "manifest-sync", "the manifest is not synced", .sync) { $0.contains("MANIFEST") },
      muted(LSMEngine.self, "directory-sync", "the names of tables and manifests are not synced", .syncDirectory) { $0 == "/store" },
    ]
  }

  private static func muted<E: StorageEngine>(
    _ engine: E.Type, _ site: String, _ summary: String, _ operation: DiskOperation, where matches: @escaping @Sendable (String) -> Bool
  ) -> AnyScenario {
    AnyScenario(engine: engine, name: "\(E.name).no-\(site)", summary: "broken: \(summary)") { disk in
      disk.inject(DiskFault(.lostSync, at: .matching { $0.operation == operation && matches($0.path.string) }, times: .max))
    }
  }

  private static func early<E: StorageEngine>(_ engine: E.Type) -> AnyScenario {
    AnyScenario(
      engine: AcknowledgesEarlyEngine<E>.self, name: "\(E.name).early-acknowledgement", summary: "broken: a write is acknowledged before its sync")
  }

  private static func halves<E: StorageEngine>(_ engine: E.Type) -> AnyScenario {
    AnyScenario(engine: HalvesBatches<E>.self, name: "\(E.name).half-batch", summary: "broken: a batch is written in two parts")
  }

  private static func keepsDeleted<E: StorageEngine>(_ engine: E.Type) -> AnyScenario {
    AnyScenario(engine: ForgetsRemovals<E>.self, name: "\(E.name).forgotten-removal", summary: "broken: every fortieth removal is forgotten")
  }
}

/// An engine around another that does one thing wrong.
private protocol Wrapper: StorageEngine {
  associatedtype Inner: StorageEngine
  var inner: Inner { get set }
}

extension Wrapper {
  static var name: String { Inner.name }
  static var summary: String { Inner.summary }
  func sync() throws { try inner.sync() }
  func read(_ key: Int) throws -> Int? { try inner.read(key) }
  func contents() throws -> [Int: Int] { try inner.contents() }
  mutating func step(_ random: inout Random) throws { try inner.step(&random) }
  func verify() throws { try inner.verify() }
  func close() throws { try inner.close() }
}

private struct AcknowledgesEarlyEngine<Inner: StorageEngine>: Wrapper {
  var inner: Inner
  init(opening disk: any FileSystem, random: inout Random) throws { inner = try Inner(opening: disk, random: &random) }
  func write(_ batch: [EngineChange], isSynced: Bool) throws { try inner.write(batch, isSynced: false) }
}

private struct HalvesBatches<Inner: StorageEngine>: Wrapper {
  var inner: Inner
  init(opening disk: any FileSystem, random: inout Random) throws { inner = try Inner(opening: disk, random: &random) }
  func write(_ batch: [EngineChange], isSynced: Bool) throws {
    let half = batch.count / 2
    if half > 0 { try inner.write(Array(batch[..<half]), isSynced: isSynced) }
    try inner.write(Array(batch[half...]), isSynced: isSynced)
  }
}

private struct ForgetsRemovals<Inner: StorageEngine>: Wrapper {
  var inner: Inner
  init(opening disk: any FileSystem, random: inout Random) throws { inner = try Inner(opening: disk, random: &random) }
  func write(_ batch: [EngineChange], isSynced: Bool) throws {
    let kept = batch.filter { $0.value != nil || $0.key % 40 != 7 }
    if !kept.isEmpty { try inner.write(kept, isSynced: isSynced) }
  }
}
