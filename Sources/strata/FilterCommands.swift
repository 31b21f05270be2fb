import ArgumentParser
import StrataDisk
import StrataFilters
import SystemPackage

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// `strata filter`
struct FilterCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "filter", abstract: "Make filters of keys, ask them, look into them.", subcommands: [Build.self, Query.self, Info.self])

  /// Ends the process as a filter's error asks for.
  static func fail(_ file: String, _ error: FilterError) -> Never {
    switch error {
    case .corrupt, .damagedWhileBuilding: Outcome.exit(Outcome.damage, "\(file): \(error)")
    case .invalidParameters: Outcome.exit(Outcome.usage, "\(error)")
    case .tooLarge, .incompatible, .notPresent, .full, .unsupported: Outcome.exit(Outcome.refused, "\(file): \(error)")
    }
  }

  static func read(_ file: String) -> [UInt8] {
    do { return try POSIXFileSystem().readAll(FilePath(file), limit: 1 << 40) } catch { Outcome.exit(Outcome.refused, "\(error)") }
  }

  /// Calls `body` with the hash of every line of standard input: any bytes but the newline that ends it; an empty line is the empty key.
  static func forEachHash(seed: UInt64, _ body: (UInt64) -> Void) {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var line: [UInt8] = []
    while true {
      let count = buffer.withUnsafeMutableBytes { standardInput($0) }
      if count < 0 { Outcome.exit(Outcome.refused, "standard input cannot be read: \(Errno(rawValue: errno))") }
      if count == 0 { break }
      for byte in buffer[..<count] {
        guard byte == 0x0A else {
          line.append(byte)
          continue
        }
        body(FilterHash.hash64(line.span.bytes, seed: seed))
        line.removeAll(keepingCapacity: true)
      }
    }
    if !line.isEmpty { body(FilterHash.hash64(line.span.bytes, seed: seed)) }
  }

  private static func standardInput(_ target: UnsafeMutableRawBufferPointer) -> Int {
    while true {
      let count = Glibc.read(0, target.baseAddress, target.count)
      if count >= 0 || errno != EINTR { return count }
    }
  }

  /// `strata filter build`
  struct Build: ParsableCommand {
    enum PolicyName: String, ExpressibleByArgument, CaseIterable {
      case none
      case blockedBloom = "blocked-bloom"
      case binaryFuse8 = "binary-fuse8"
      case binaryFuse16 = "binary-fuse16"
    }

    static let configuration = CommandConfiguration(
      abstract: "Write the filter of the keys on standard input, one per line, to standard output.")
    @Option(help: "The kind of filter.") var policy: PolicyName = .blockedBloom
    @Option(help: "Bits per key of a blocked Bloom filter, 1 to 100.") var bitsPerKey = 10.0
    @Option(help: "The seed keys are hashed with.") var seed: UInt64 = 0

    func run() {
      let chosen: FilterPolicy =
        switch policy {
        case .none: .none
        case .blockedBloom: .blockedBloom(bitsPerKey: bitsPerKey)
        case .binaryFuse8: .binaryFuse8
        case .binaryFuse16: .binaryFuse16
        }
      do throws(FilterError) {
        var builder = try FilterBuilder(policy: chosen, seed: seed)
        FilterCommands.forEachHash(seed: seed) { builder.add(hash: $0) }
        Self.write(try builder.finish())
      } catch { FilterCommands.fail("standard input", error) }
    }

    private static func write(_ bytes: [UInt8]) {
      var sent = 0
      while sent < bytes.count {
        let count = bytes.withUnsafeBytes { Glibc.write(1, $0.baseAddress.map { $0 + sent }, $0.count - sent) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { Outcome.exit(Outcome.refused, "standard output cannot be written: \(Errno(rawValue: errno))") }
        sent += count
      }
    }
  }

  /// `strata filter query`
  struct Query: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print 0 (surely absent) or 1 (perhaps present) for each key on standard input, one per line.")
    @Argument(help: "The filter's file.") var file: String

    func run() {
      let bytes = FilterCommands.read(file)
      do throws(FilterError) {
        let view = try FilterView(validating: bytes.span.bytes)
        FilterCommands.forEachHash(seed: view.seed) { print(view.mayContain(hash: $0) ? "1" : "0") }
      } catch { FilterCommands.fail(file, error) }
    }
  }

  /// `strata filter info`
  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Check a filter and print what it is: 0 sound, 1 unknown to this build, 2 damaged.")
    @Argument(help: "The filter's file.") var file: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
      let bytes = FilterCommands.read(file)
      do throws(FilterError) {
        let info = try FilterInfo(validating: bytes.span.bytes)
        if json {
          var object = JSONText()
          object.add("kind", "\(info.kind)")
          object.add("seed", info.seed)
          object.add("keys", info.keyCount)
          object.add("payload_bytes", info.payloadBytes)
          object.add("bits_per_key", info.bitsPerKey ?? 0)
          object.add("expected_false_positive_rate", info.expectedFalsePositiveRate)
          return print(object.line)
        }
        let bits = info.bitsPerKey.map { ", \(($0 * 100).rounded() / 100) bits per key" } ?? ""
        print("\(info.kind), \(info.keyCount) keys, seed \(info.seed), \(info.payloadBytes) bytes of payload\(bits)")
        print("absent keys answered with \"perhaps\": \(info.expectedFalsePositiveRate)")
      } catch { FilterCommands.fail(file, error) }
    }
  }
}
