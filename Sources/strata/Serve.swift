import ArgumentParser
import Logging
import NIOCore
import StrataDisk
import StrataRESP
import SystemPackage

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// `strata serve`
struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve a store to Redis clients.",
    discussion: """
      Every option can also be given in the environment (--max-clients as STRATA_MAX_CLIENTS) or in one file of lines 'max-clients = 500' \
      (--config FILE or STRATA_CONFIG). Flags win over the environment, which wins over the file.
      Sizes: 512mib, 64kib. Times: 10ms, 5s.
      """)

  @Option(help: "Directory of the store; created when missing. Default: ./data") var dir: String?
  @Option(help: "Address to listen on. Default: 127.0.0.1") var host: String?
  @Option(help: "Port to listen on; 0 lets the system choose. Default: 6379") var port: String?
  @Option(help: "File that receives the port once connections are accepted.") var portFile: String?
  @Option(help: "Storage engine: lsm (ordered) or bitcask (all keys in memory). Default: lsm") var engine: String?
  @Option(help: "When a write is answered: every-write, batched or none. Default: every-write") var durability: String?
  @Option(help: "With batched: writes that may be lost in a power failure. Default: 100") var batchCount: String?
  @Option(help: "With batched: time in which they are synced. Default: 10ms") var batchInterval: String?
  @Option(help: "Threads that serve connections. Default: 1") var threads: String?
  @Option(help: "Threads that wait for the disk. Default: 4") var diskThreads: String?
  @Option(help: "Most connections. Default: 10000") var maxClients: String?
  @Option(help: "Password of the default user. Better given in the environment or the file.") var password: String?
  @Option(help: "PEM file with the certificate chain; switches TLS on.") var tlsCert: String?
  @Option(help: "PEM file with the private key.") var tlsKey: String?
  @Option(help: "PEM file with authorities; clients then need a certificate of theirs.") var tlsClientCa: String?
  @Flag(help: "Allow an address that other machines reach without a password.") var insecure = false
  @Option(help: "Close connections idle for so long; 0 never. Default: 0") var idleTimeout: String?
  @Option(help: "Bytes of small records kept in memory; 0: none. Default: 64mib") var cache: String?
  @Option(help: "Longest value or argument. Default: 512mib") var maxBulk: String?
  @Option(help: "Most arguments of a command. Default: 1048576") var maxArguments: String?
  @Option(help: "Most bytes of requests held per client. Default: 1gib") var maxQuery: String?
  @Option(help: "Most bytes of unread replies per client. Default: 256mib") var maxOutput: String?
  @Option(help: "Slow log threshold in microseconds; -1: off. Default: 10000") var slowlogSlowerThan: String?
  @Option(help: "Entries of the slow log. Default: 128") var slowlogEntries: String?
  @Option(help: "Threshold of LATENCY in milliseconds; 0: off. Default: 0") var latencyThreshold: String?
  @Option(help: "How long a shutdown waits for clients. Default: 5s") var drain: String?
  @Option(help: "Size at which a segment of the log is sealed. Default: 64mib, with bitcask 256mib") var segmentBytes: String?
  @Option(help: "With lsm: memory for memtables, block cache and table metadata together. Default: 1gib") var memoryLimit: String?
  @Option(help: "With lsm: size at which a memtable is flushed. Default: 64mib") var memtableBytes: String?
  @Option(help: "With lsm: how tables are merged, leveled or size-tiered; a store keeps what it was created with. Default: leveled")
  var compactionStyle: String?
  @Option(help: "trace, debug, info, notice, warning, error or critical. Default: info") var logLevel: String?
  @Option(help: "Configuration file.") var config: String?
  @OptionGroup(title: "A replicated server") var cluster: ClusterOptions

  private func settings() throws(SettingError) -> Settings {
    let environment = Self.environment()
    let flags: [String: String?] = [
      "dir": dir, "host": host, "port": port, "port-file": portFile, "engine": engine, "durability": durability, "batch-count": batchCount,
      "batch-interval": batchInterval, "threads": threads, "disk-threads": diskThreads, "max-clients": maxClients, "password": password,
      "tls-cert": tlsCert, "tls-key": tlsKey, "tls-client-ca": tlsClientCa, "insecure": insecure ? "yes" : nil, "idle-timeout": idleTimeout,
      "cache": cache, "max-bulk": maxBulk, "max-arguments": maxArguments, "max-query": maxQuery, "max-output": maxOutput,
      "slowlog-slower-than": slowlogSlowerThan, "slowlog-entries": slowlogEntries, "latency-threshold": latencyThreshold, "drain": drain,
      "segment-bytes": segmentBytes, "memory-limit": memoryLimit, "memtable-bytes": memtableBytes,
      "compaction-style": compactionStyle, "log-level": logLevel,
    ]
    return try Settings(
      file: config ?? environment["STRATA_CONFIG"], environment: environment, flags: flags.merging(cluster.flags) { first, _ in first })
  }

  private static func environment() -> [String: String] {
    var result: [String: String] = [:]
    var entry = environ
    while let line = entry.pointee {
      let text = String(cString: line)
      if text.hasPrefix("STRATA_"), let equals = text.firstIndex(of: "=") {
        result[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      entry += 1
    }
    return result
  }

  func run() {
    let plan: ServePlan
    do { plan = try ServePlan(try settings()) } catch { Outcome.exit(Outcome.usage, error.description) }
    Signals.block()
    let logger = Logger(label: "strata") { _ in LineLogHandler(logLevel: plan.logLevel) }
    let store = OpenedStore()
    let server: RESPServer
    do throws(EngineError) {
      try StoreLayout.check(FilePath(plan.directory), isMember: plan.replication != nil)
    } catch { Outcome.exit(Outcome.refused, error.description) }
    do {
      if let replication = plan.replication {
        server = try RESPServer.start(options: plan.options, logger: logger, replication: replication)
      } else {
        server = try RESPServer.start(options: plan.options, logger: logger) { () throws(EngineError) in try store.open(plan, logger) }
      }
    } catch {
      if case .engine(let failure) = error, failure.kind == .damaged { Outcome.exit(Outcome.damage, error.description) }
      Outcome.exit(Outcome.refused, error.description)
    }
    let stop = server.shutdownRequested.eventLoop.makePromise(of: Void.self)
    server.shutdownRequested.cascade(to: stop)
    Signals.onStop { stop.succeed() }
    Self.announce(plan, server, plan.replication.map(Self.describe) ?? store.summary)
    if let file = plan.portFile { Self.write(server.port, to: file) }
    try? stop.futureResult.wait()
    logger.info("stopping: no new connections, answering what was received")
    do { try server.stop() } catch { Outcome.exit(Outcome.refused, "stopped, but not everything could be made durable: \(error)") }
    logger.info("stopped")
  }

  private static func announce(_ plan: ServePlan, _ server: RESPServer, _ recovery: String) {
    let durability = plan.replication == nil ? plan.durabilityText : "a majority's disks"
    let scheme = plan.options.tls == nil ? "" : " (TLS)"
    print(
      """
      strata \(RESPServer.version)
        listening on \(plan.options.host):\(server.port)\(scheme)
        engine \(plan.engine.rawValue), durability \(durability), directory \(plan.directory)
        \(recovery)
      """)
    StandardOutput.flush()
  }

  /// The member's place in its group, for the banner.
  private static func describe(_ replication: ReplicationOptions) -> String {
    let founders = replication.founders.sorted { $0.key < $1.key }.map { "\($0.key.rawValue)=\($0.value)" }.joined(separator: " ")
    return "member \(replication.node.rawValue) of cluster \(replication.cluster), founded by \(founders)"
  }

  private static func write(_ port: Int, to file: String) {
    do { try POSIXFileSystem().atomicReplace(FilePath(file), with: Array("\(port)\n".utf8)) } catch {
      StandardError.write("strata: the port file could not be written: \(error)\n")
    }
  }
}
