import NIOCore

/// Why a command stopped. Nothing was changed when one is thrown.
enum CommandError: Error {
  /// The answer is not in memory: the command runs again on a disk thread.
  case notCached
  /// The engine does not take the write without waiting: the command runs again on a disk thread, after there is room.
  case noRoom
  /// An error reply, with its code.
  case failed(String)
  /// The engine's refusal or failure.
  case engine(EngineError)

  static var syntax: CommandError { .failed("ERR syntax error") }
  static var notInteger: CommandError { .failed("ERR value is not an integer or out of range") }
  static var overflow: CommandError { .failed("ERR increment or decrement would overflow") }
  static var noSuchKey: CommandError { .failed("ERR no such key") }
  static var tooLong: CommandError { .failed("ERR string exceeds maximum allowed size (proto-max-bulk-len)") }

  static var wrongType: CommandError { .failed("WRONGTYPE Operation against a key holding the wrong kind of value") }

  static func wrongArity(_ name: String) -> CommandError { .failed("ERR wrong number of arguments for '\(name)' command") }
  static func invalidExpire(_ name: String) -> CommandError { .failed("ERR invalid expire time in '\(name)' command") }

  init(_ error: EngineError) { self = error.kind == .noRoom ? .noRoom : .engine(error) }

  var text: String {
    switch self {
    case .noRoom: "MISCONF the store takes no writes"
    case .notCached: "ERR the value could not be brought into memory"
    case .failed(let text): text
    case .engine(let error): error.replyText
    }
  }
}

/// What commands on keys work with: the keyspace, the selected database, and the reply under construction.
///
/// One per connection. It runs commands on the event loop, where `mayWait` is false and a read that would touch the disk throws
/// `.notCached`, or, with arguments copied, on a disk thread. Commands first read, then write, then reply, so that a throw leaves no trace.
struct CommandContext {
  let keyspace: Keyspace
  let engine: any KeyValueEngine
  let keys = KeyScratch()
  var reply: ReplyWriter
  var database = 0
  /// Unix milliseconds, read once per batch of commands.
  var now: UInt64 = 0
  /// Whether reads may wait for the disk.
  var mayWait = false
  /// Longest value a command may build.
  var maxValueBytes = 512 << 20
  var hits = 0
  var misses = 0
  /// Where the current reply starts.
  private var start = 0

  static let maxKeyBytes = 65_534

  init(keyspace: Keyspace, reply: ReplyWriter) {
    self.keyspace = keyspace
    engine = keyspace.engine
    self.reply = reply
  }

  /// Runs one key command. On a throw the reply is rewound and nothing has changed.
  @inline(__always)
  mutating func run(_ id: CommandID, _ call: Invocation) throws(CommandError) {
    start = reply.count
    do { try dispatch(id, call) } catch {
      reply.rewind(to: start)
      throw error
    }
  }

  private mutating func dispatch(_ id: CommandID, _ call: Invocation) throws(CommandError) {
    switch id {
    case .get: try get(call)
    case .set: try set(call)
    case .setnx: try setIfAbsent(call)
    case .setex: try setExpiring(call, milliseconds: false)
    case .psetex: try setExpiring(call, milliseconds: true)
    case .getset: try getAndSet(call)
    case .getdel: try getAndDelete(call)
    case .getex: try getAndExpire(call)
    case .mget: try getMany(call)
    case .mset: try setMany(call)
    case .msetnx: try setManyIfAbsent(call)
    case .strlen: try length(call)
    case .append: try append(call)
    case .getrange, .substr: try getRange(call)
    case .setrange: try setRange(call)
    case .incr: try add(call, 1)
    case .decr: try add(call, -1)
    case .incrby: try add(call, try integer(call, 2))
    case .decrby: try subtract(call)
    case .incrbyfloat: try addDecimal(call)
    case .del, .unlink: try delete(call)
    case .exists, .touch: try exists(call)
    case .type: try type(call)
    case .expire: try expire(call, .seconds, absolute: false)
    case .pexpire: try expire(call, .milliseconds, absolute: false)
    case .expireat: try expire(call, .seconds, absolute: true)
    case .pexpireat: try expire(call, .milliseconds, absolute: true)
    case .ttl: try remaining(call, .seconds, absolute: false)
    case .pttl: try remaining(call, .milliseconds, absolute: false)
    case .expiretime: try remaining(call, .seconds, absolute: true)
    case .pexpiretime: try remaining(call, .milliseconds, absolute: true)
    case .persist: try persist(call)
    case .rename: try rename(call, replacing: true)
    case .renamenx: try rename(call, replacing: false)
    case .copy: try copy(call)
    case .keys: try listKeys(call)
    case .scan: try scan(call)
    case .randomkey: try randomKey()
    case .dbsize: try databaseSize()
    case .flushdb: try flush(call, database)
    case .flushall: try flush(call, nil)
    default: try dispatchFilter(id, call)
    }
  }

  // MARK: reads

  /// A record found alive.
  struct Found {
    var type: RecordType
    var expiry: UInt64
    var sequence: UInt64
  }

  /// Whether a record with this stamp has not expired.
  @inline(__always)
  func alive(_ stamp: UInt64) -> Bool { Self.alive(stamp, at: now) }

  /// See ``alive(_:)``.
  @inline(__always)
  static func alive(_ stamp: UInt64, at now: UInt64) -> Bool {
    let expiry = RecordStamp(stamp).expiry
    return expiry == 0 || expiry > now
  }

  /// The stored form of an argument, valid until the next call.
  @inline(__always)
  func key(_ argument: UnsafeRawBufferPointer) throws(CommandError) -> UnsafeRawBufferPointer {
    guard argument.count <= Self.maxKeyBytes else { throw .failed("ERR key is longer than \(Self.maxKeyBytes) bytes") }
    return keys.compose(database, argument)
  }

  func secondKey(_ argument: UnsafeRawBufferPointer, in database: Int) throws(CommandError) -> UnsafeRawBufferPointer {
    guard argument.count <= Self.maxKeyBytes else { throw .failed("ERR key is longer than \(Self.maxKeyBytes) bytes") }
    return keys.composeSecond(database, argument)
  }

  /// Holds the current reply back until `sequence` is acknowledged.
  @inline(__always)
  mutating func require(_ sequence: UInt64) { reply.require(sequence, from: start) }

  /// Whether a live record is there; the reply waits for whatever made it so.
  mutating func peek(_ key: UnsafeRawBufferPointer) throws(CommandError) -> Found? {
    let outcome: ReadOutcome
    do { outcome = try keyspace.peek(key, onlyIfCached: !mayWait) } catch { throw .engine(error) }
    return try found(outcome)
  }

  /// A copy of a live string.
  /// - Throws: `.wrongType` for a value of another kind.
  mutating func value(_ key: UnsafeRawBufferPointer) throws(CommandError) -> (bytes: [UInt8], found: Found)? {
    guard let record = try record(key) else { return nil }
    guard record.found.type == .string else { throw .wrongType }
    return record
  }

  /// A copy of what is stored for a live value of any kind.
  mutating func record(_ key: UnsafeRawBufferPointer) throws(CommandError) -> (bytes: [UInt8], found: Found)? {
    var bytes: [UInt8] = []
    let outcome: ReadOutcome
    do {
      outcome = try keyspace.read(key, onlyIfCached: !mayWait) { value, _ in bytes = [UInt8](value) }
    } catch { throw .engine(error) }
    guard let found = try found(outcome) else { return nil }
    return (bytes, found)
  }

  private mutating func found(_ outcome: ReadOutcome) throws(CommandError) -> Found? {
    switch outcome {
    case .notCached: throw .notCached
    case .absent(let sequence):
      require(sequence)
      return nil
    case .found(let bits, let sequence):
      require(sequence)
      let stamp = RecordStamp(bits)
      return alive(bits) ? Found(type: stamp.type, expiry: stamp.expiry, sequence: sequence) : nil
    }
  }

  /// Replies with the string of `key`, or null; `isLenient` where null stands for a value of another kind too, which is an error otherwise.
  @inline(__always)
  mutating func replyValue(_ key: UnsafeRawBufferPointer, isLenient: Bool = false) throws(CommandError) {
    let outcome: ReadOutcome
    let keyspace = keyspace
    var shown = false
    var isOther = false
    do {
      outcome = try keyspace.read(key, onlyIfCached: !mayWait) { value, stamp in
        guard Self.alive(stamp, at: now) else { return }
        guard RecordStamp(stamp).isString else {
          isOther = true
          return
        }
        reply.bulk(value)
        shown = true
      }
    } catch { throw .engine(error) }
    switch outcome {
    case .notCached: throw .notCached
    case .absent(let sequence), .found(_, let sequence): require(sequence)
    }
    if isOther, !isLenient { throw .wrongType }
    if shown {
      hits += 1
    } else {
      misses += 1
      reply.null()
    }
  }

  // MARK: writes; the keyspace's lock is held

  mutating func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, expiry: UInt64) throws(CommandError) {
    do { require(try keyspace.put(key, value, expiry: expiry)) } catch { throw CommandError(error) }
  }

  mutating func put(_ key: UnsafeRawBufferPointer, _ value: [UInt8], expiry: UInt64) throws(CommandError) {
    do { require(try value.span.bytes.withUnsafeBytes { (bytes) throws(EngineError) in try keyspace.put(key, bytes, expiry: expiry) }) } catch {
      throw CommandError(error)
    }
  }

  mutating func remove(_ key: UnsafeRawBufferPointer) throws(CommandError) {
    do { require(try keyspace.delete(key)) } catch { throw CommandError(error) }
  }

  mutating func submit(_ mutations: [Mutation]) throws(CommandError) {
    guard !mutations.isEmpty else { return }
    do { require(try keyspace.submit(mutations)) } catch { throw CommandError(error) }
  }

  // MARK: arguments

  func integer(_ call: Invocation, _ index: Int) throws(CommandError) -> Int64 {
    guard let value = Decimal.parse(call[index]) else { throw .notInteger }
    return value
  }

  /// The number of a database.
  func databaseIndex(_ call: Invocation, _ index: Int) throws(CommandError) -> Int {
    guard let number = Int32(exactly: try integer(call, index)) else {
      throw .failed("ERR value is out of range, value must between \(Int32.min) and \(Int32.max)")
    }
    guard number >= 0, number < Keyspace.databases else { throw .failed("ERR DB index is out of range") }
    return Int(number)
  }

  /// The unit in which a client counts time.
  enum TimeUnit {
    case seconds, milliseconds
  }

  /// An absolute expiry in Unix milliseconds from a client's number, refused where it is not positive or does not fit.
  func expiry(_ call: Invocation, _ index: Int, _ unit: TimeUnit, absolute: Bool, command: String) throws(CommandError) -> UInt64 {
    let amount = try integer(call, index)
    guard amount > 0, let expiry = expiry(amount, unit, absolute: absolute), expiry > 0 else { throw .invalidExpire(command) }
    return UInt64(expiry)
  }

  /// `nil` where the time does not fit into 64 bits of milliseconds.
  func expiry(_ amount: Int64, _ unit: TimeUnit, absolute: Bool) -> Int64? {
    let (milliseconds, overflow) = amount.multipliedReportingOverflow(by: unit == .seconds ? 1000 : 1)
    guard !overflow else { return nil }
    guard !absolute else { return milliseconds }
    let (sum, carry) = milliseconds.addingReportingOverflow(Int64(clamping: now))
    return carry ? nil : sum
  }
}
