import StrataDisk
import StrataNodes

/// One change a workload makes to a storage engine: the new value of a key, or its removal.
public struct EngineChange: Hashable, Sendable {
  /// The key, by number.
  public let key: Int
  /// The value, by number; nothing removes the key. No number is used twice in a run.
  public let value: Int?

  /// A change of `key`.
  public init(key: Int, value: Int?) {
    self.key = key
    self.value = value
  }

  /// The key's bytes: `k` and four digits, so that numbers and bytes have the same order.
  public var keyBytes: [UInt8] { Self.bytes(ofKey: key) }

  /// The bytes of a key.
  public static func bytes(ofKey key: Int) -> [UInt8] {
    let digits = String(key)
    return Array(("k" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits).utf8)
  }

  /// The bytes of a value: its number, a colon, and a filling whose length, mostly small, follows from the number.
  public static func bytes(ofValue value: Int) -> [UInt8] {
    let size = value % 17 == 0 ? value * 31 % 3000 : value * 7 % 90
    return Array("\(value):".utf8) + [UInt8](repeating: UInt8(truncatingIfNeeded: value), count: size)
  }

  /// The number of a value's bytes; throws if they are not wholly those of a value.
  public static func value(of bytes: [UInt8]) throws -> Int {
    let digits = bytes.prefix { $0 != UInt8(ascii: ":") }
    guard let number = Int(String(decoding: digits, as: UTF8.self)), Self.bytes(ofValue: number) == bytes else {
      throw EngineFault("a value that nobody wrote: \(bytes.prefix(24))")
    }
    return number
  }

  /// The number of a key's bytes.
  public static func key(of bytes: [UInt8]) throws -> Int {
    guard bytes.first == UInt8(ascii: "k"), let number = Int(String(decoding: bytes.dropFirst(), as: UTF8.self)) else {
      throw EngineFault("a key that nobody wrote: \(bytes.prefix(24))")
    }
    return number
  }
}

/// What an engine under test does wrong, found by its adapter.
public struct EngineFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public let description: String

  /// A fault with this text.
  public init(_ description: String) { self.description = description }
}

/// A storage engine as the simulator drives it: one caller, a simulated disk, background work in steps.
public protocol StorageEngine: SendableMetatype {
  /// The name of its scenario: `engine.lsm`.
  static var name: String { get }
  /// What is shown, in one line.
  static var summary: String { get }

  /// Opens the engine on a disk as it was found, with sizes so small that little data reaches deep paths.
  init(opening disk: any FileSystem, random: inout Random) throws

  /// Makes changes, all or none. If `isSynced` they are durable on return.
  func write(_ batch: [EngineChange], isSynced: Bool) throws
  /// Makes everything written durable.
  func sync() throws
  /// The value of a key.
  func read(_ key: Int) throws -> Int?
  /// Every key and its value.
  func contents() throws -> [Int: Int]
  /// Takes a step of some background job, or begins one. Between two steps anything may happen.
  mutating func step(_ random: inout Random) throws
  /// Looks for damage and for contradictions among the engine's own figures.
  func verify() throws
  /// Closes the engine in good order.
  func close() throws
}

extension AnyScenario {
  /// What may happen to an engine: it is killed, loses power, or a sync fails.
  private static var engineLimits: ScenarioLimits {
    var limits = ScenarioLimits(
      nodes: 1...1, clients: 1...1, requestsPerClient: 40...400, horizon: 10_000_000_000, livenessBudget: 0,
      faults: [.crash, .powerLoss, .failedSync, .knobs], faultsPerThousandSeconds: 1500)
    limits.damageable = { _ in 0 }
    limits.quorum = { _ in 1 }
    return limits
  }

  /// The scenario in which `engine` is driven on a simulated disk: nothing acknowledged is lost, nothing removed comes back, batches are whole.
  ///
  /// - Parameters:
  ///   - name: the scenario's name, the engine's by default.
  ///   - prepare: called with the disk before each start: a disk that lies shows what would happen if the engine forgot something.
  public init<E: StorageEngine>(
    engine: E.Type, name: String = E.name, summary: String = E.summary, prepare: @escaping @Sendable (SimulatedFileSystem) -> Void = { _ in }
  ) {
    self.init(name: name, summary: summary, limits: Self.engineLimits) { plan, trace in
      EngineRun<E>(plan, trace: trace, name: name, prepare: prepare).report()
    }
    crashes = { options in try enumerateCrashes(of: E.self, options) }
  }
}
