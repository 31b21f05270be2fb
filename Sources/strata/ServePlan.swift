import Logging
import StrataLSMTree
import StrataRESP

/// What `strata serve` was asked to do, checked.
struct ServePlan {
  /// When a write is answered.
  enum Durability {
    case everyWrite, batched, none
  }

  var options = ServerOptions()
  var directory: String
  var portFile: String?
  var engine: StoreLayout
  var durability: Durability
  var batchCount: Int
  var batchMilliseconds: Int
  var segmentBytes: Int?
  var memoryLimit: Int
  var memtableBytes: Int
  /// How an ordered store merges its tables; `nil` as it was created, or leveled where it is new.
  var style: CompactionStyle?
  var logLevel: Logger.Level
  /// The group the server is a member of, if any.
  var replication: ReplicationOptions?

  init(_ settings: Settings) throws(SettingError) {
    directory = settings.text("dir") ?? "data"
    portFile = settings.text("port-file")
    engine = try settings.choice("engine", StoreLayout.allCases.map { ($0.rawValue, $0) }) ?? .lsm
    durability = try settings.choice("durability", [("every-write", .everyWrite), ("batched", .batched), ("none", .none)]) ?? .everyWrite
    batchCount = try settings.integer("batch-count", in: 1...1_000_000_000) ?? 100
    batchMilliseconds = try settings.milliseconds("batch-interval", bare: 1, in: 1...3_600_000) ?? 10
    segmentBytes = try settings.bytes("segment-bytes", in: 1 << 20...1 << 38)
    memoryLimit = try settings.bytes("memory-limit", in: 4 << 20...1 << 46) ?? 1 << 30
    memtableBytes = try settings.bytes("memtable-bytes", in: 64 << 10...1 << 33) ?? min(64 << 20, memoryLimit / 8)
    guard memtableBytes <= memoryLimit / 8 else {
      throw SettingError(description: "memtable-bytes: eight of them, \(memtableBytes * 8) bytes, must fit into the memory-limit of \(memoryLimit)")
    }
    style = try settings.choice("compaction-style", [("leveled", .leveled), ("size-tiered", .sizeTiered)])
    guard style == nil || engine == .lsm else { throw SettingError(description: "compaction-style: bitcask has no tables; it goes with lsm") }
    logLevel = try settings.choice("log-level", Logger.Level.allCases.map { ($0.rawValue, $0) }) ?? .info
    try listen(settings)
    try limit(settings)
    replication = try Self.replication(settings, directory: directory)
    guard replication == nil || style == nil else {
      throw SettingError(description: "compaction-style: a replicated server's store is leveled")
    }
    guard replication == nil || engine == .lsm else { throw SettingError(description: "engine: a replicated server keeps its store in lsm") }
    options.directory = directory
    options.appendFsync = ["always", "everysec", "no"][durability == .everyWrite ? 0 : durability == .batched ? 1 : 2]
  }

  private mutating func listen(_ settings: Settings) throws(SettingError) {
    if let host = settings.text("host") { options.host = host }
    if let port = try settings.integer("port", in: 0...65_535) { options.port = port }
    if let threads = try settings.integer("threads", in: 1...256) { options.threads = threads }
    if let threads = try settings.integer("disk-threads", in: 1...256) { options.diskThreads = threads }
    options.password = settings.text("password").flatMap { $0.isEmpty ? nil : $0 }
    options.allowsInsecure = try settings.flag("insecure")
    switch (settings.text("tls-cert"), settings.text("tls-key")) {
    case (let certificate?, let key?):
      options.tls = TLSOptions(certificateFile: certificate, keyFile: key, clientAuthorityFile: settings.text("tls-client-ca"))
    case (nil, nil): break
    default: throw SettingError(description: "tls-cert and tls-key belong together: give both or none")
    }
  }

  private mutating func limit(_ settings: Settings) throws(SettingError) {
    if let value = try settings.integer("max-clients", in: 1...1_000_000) { options.maxClients = value }
    if let value = try settings.milliseconds("idle-timeout", bare: 1000, in: 0...1_000_000_000) { options.idleTimeoutSeconds = (value + 999) / 1000 }
    if let value = try settings.bytes("cache", in: 0...1 << 40) { options.cacheBytes = value }
    if let value = try settings.bytes("max-bulk", in: 1 << 10...512 << 20) { options.maxBulkBytes = value }
    if let value = try settings.integer("max-arguments", in: 16...16 << 20) { options.maxArguments = value }
    if let value = try settings.bytes("max-query", in: 1 << 20...2 << 30) { options.maxQueryBytes = value }
    if let value = try settings.bytes("max-output", in: 1 << 20...2 << 30) { options.maxOutputBytes = value }
    if let value = try settings.integer("slowlog-slower-than", in: -1...Int(Int32.max)) { options.slowLogMicroseconds = value }
    if let value = try settings.integer("slowlog-entries", in: 0...100_000) { options.slowLogEntries = value }
    if let value = try settings.integer("latency-threshold", in: 0...Int(Int32.max)) { options.latencyThresholdMilliseconds = value }
    if let value = try settings.milliseconds("drain", bare: 1000, in: 0...3_600_000) { options.drainSeconds = (value + 999) / 1000 }
  }

  /// The durability as the banner says it.
  var durabilityText: String {
    switch durability {
    case .everyWrite: "every-write"
    case .batched: "batched (\(batchCount) writes or \(batchMilliseconds) ms)"
    case .none: "none"
    }
  }
}
