/// Every command the server has, in the order of the table.
enum CommandID: UInt8, CaseIterable {
  case get, set, setnx, setex, psetex, getset, getdel, getex, mget, mset, msetnx, strlen, append, getrange, substr, setrange
  case incr, incrby, incrbyfloat, decr, decrby
  case bfReserve, bfAdd, bfMadd, bfInsert, bfExists, bfMexists, bfInfo, bfCard
  case cfReserve, cfAdd, cfAddnx, cfInsert, cfInsertnx, cfExists, cfMexists, cfDel, cfCount, cfInfo
  case del, unlink, exists, touch, type, expire, pexpire, expireat, pexpireat, ttl, pttl, expiretime, pexpiretime, persist
  case rename, renamenx, copy, keys, scan, randomkey, dbsize, flushdb, flushall
  case ping, echo, hello, auth, select, quit, reset, client, command, info, config, save, bgsave, lastsave, bgrewriteaof, wait, time, monitor
  case slowlog, latency, shutdown, role, raft

  /// Whether it is one of BF.* or CF.*.
  var isOnFilter: Bool { (CommandID.bfReserve.rawValue...CommandID.cfInfo.rawValue).contains(rawValue) }
}

/// What the server knows about a command, as `COMMAND INFO` and `COMMAND DOCS` tell it.
struct CommandSpec: Sendable {
  struct Flags: OptionSet, Sendable {
    let rawValue: UInt16
    static let write = Flags(rawValue: 1)
    static let readonly = Flags(rawValue: 2)
    static let denyOOM = Flags(rawValue: 4)
    static let fast = Flags(rawValue: 8)
    static let admin = Flags(rawValue: 16)
    static let noAuth = Flags(rawValue: 32)
    static let loading = Flags(rawValue: 64)
    static let stale = Flags(rawValue: 128)
    static let noScript = Flags(rawValue: 256)
    /// Runs on a disk thread always, because its work grows with the number of keys or waits for the disk.
    static let slow = Flags(rawValue: 512)
    static let blocking = Flags(rawValue: 1024)
  }

  var id: CommandID
  var name: String
  /// Exact number of arguments, the name included; negative for "at least".
  var arity: Int
  var flags: Flags
  var keys: (first: Int, last: Int, step: Int)
  var group: String
  var since: String
  var summary: String
  var complexity: String
  var subcommands: [String] = []

  var flagNames: [String] {
    let names: [(Flags, String)] = [
      (.write, "write"), (.readonly, "readonly"), (.denyOOM, "denyoom"), (.admin, "admin"), (.noScript, "noscript"), (.loading, "loading"),
      (.stale, "stale"), (.fast, "fast"), (.noAuth, "no_auth"), (.blocking, "blocking"),
    ]
    return names.filter { flags.contains($0.0) }.map(\.1)
  }
}

/// Finds a command by name in one probe or two: names are at most sixteen bytes, so upper-cased and packed into two words they are
/// compared as numbers.
final class CommandTable: Sendable {
  static let shared = CommandTable()

  let specs: [CommandSpec]
  // What every command needs, beside the long descriptions.
  let rules: [Rule]
  private let slots: [Slot]

  struct Rule: Sendable {
    var id: CommandID
    var arity: Int16
    var flags: CommandSpec.Flags

    @inline(__always)
    func accepts(_ count: Int) -> Bool { arity >= 0 ? count == Int(arity) : count >= -Int(arity) }
  }

  private struct Slot: Sendable {
    var low: UInt64 = 0
    var high: UInt64 = 0
    var spec: Int16 = -1
  }

  private static let mask = 255

  init() {
    specs = CommandTable.definitions
    rules = specs.map { Rule(id: $0.id, arity: Int16($0.arity), flags: $0.flags) }
    precondition(specs.count == CommandID.allCases.count, "a command has no definition")
    var slots = [Slot](repeating: Slot(), count: Self.mask + 1)
    for (index, spec) in specs.enumerated() {
      precondition(Int(spec.id.rawValue) == index, "the table is not in the order of the identifiers: \(spec.name)")
      var name = spec.name
      guard let (low, high) = name.withUTF8({ Self.pack(UnsafeRawBufferPointer($0)) }) else { preconditionFailure("name too long") }
      var slot = Self.home(low, high)
      while slots[slot].spec >= 0 { slot = (slot + 1) & Self.mask }
      slots[slot] = Slot(low: low, high: high, spec: Int16(index))
    }
    self.slots = slots
  }

  subscript(id: CommandID) -> CommandSpec { specs[Int(id.rawValue)] }

  /// The index of the command called `name` in any case.
  @inline(__always)
  func find(_ name: UnsafeRawBufferPointer) -> Int? {
    guard let (low, high) = Self.pack(name) else { return nil }
    return slots.withUnsafeBufferPointer { slots in
      var slot = Self.home(low, high)
      while slots[slot].spec >= 0 {
        if slots[slot].low == low, slots[slot].high == high { return Int(slots[slot].spec) }
        slot = (slot + 1) & Self.mask
      }
      return nil
    }
  }

  @inline(__always)
  private static func home(_ low: UInt64, _ high: UInt64) -> Int {
    Int(truncatingIfNeeded: ((low ^ (high &* 0x9E37_79B9_7F4A_7C15)) &* 0xD6E8_FEB8_6659_FD93) >> 56) & mask
  }

  @inline(__always)
  private static func pack(_ name: UnsafeRawBufferPointer) -> (UInt64, UInt64)? {
    guard name.count <= 16, name.count > 0 else { return nil }
    var low: UInt64 = 0
    var high: UInt64 = 0
    for index in 0..<min(8, name.count) { low |= UInt64(name[index].upperCased) << UInt64(index * 8) }
    if name.count > 8 {
      for index in 8..<name.count { high |= UInt64(name[index].upperCased) << UInt64((index - 8) * 8) }
    }
    return (low, high)
  }
}
