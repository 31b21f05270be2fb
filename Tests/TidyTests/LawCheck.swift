/// Laws of the architecture that a reader of sources can hold everybody to.
enum LawCheck {
  /// Law 2: only Disk calls the operating system for files. The tool, the server's configuration and C shims are looked at by people.
  static func filesBehindTheDoor(_ file: SourceFile) -> [Finding] {
    guard let block = Layout.Block(path: file.path), block.name != "Disk", block.floor != "Server", block.floor != "strata" else { return [] }
    let calls: Set<Substring> = [
      "fsync", "fdatasync", "sync_file_range", "pread", "pwrite", "preadv", "pwritev", "ftruncate", "posix_fallocate", "fallocate", "opendir",
      "unlink", "unlinkat", "renameat", "renameat2", "mkdir", "rmdir", "fopen", "openat", "flock",
    ]
    return calledNames(file).filter { calls.contains($0.name) }.map {
      Finding(file.path, line: $0.line + 1, "calls \($0.name); only Disk asks the operating system for files")
    }
  }

  /// Floors and folders whose targets are protocols: values without I/O, clock or global randomness (law 1).
  static let protocolFloors: Set<String> = ["Clocks", "Membership", "Partitioning", "Replication", "Consensus"]
  static let protocolTargets: Set<String> = ["Nodes", "TwoPhaseCommit"]

  /// Law 1: a protocol reads no clock, draws no global random number and iterates nothing whose order differs per process.
  static func hiddenInputs(_ file: SourceFile) -> [Finding] {
    guard let block = Layout.Block(path: file.path), protocolFloors.contains(block.floor) || protocolTargets.contains(block.name) else { return [] }
    let names: Set<Substring> = [
      "SystemRandomNumberGenerator", "ContinuousClock", "SuspendingClock", "clock_gettime", "gettimeofday", "hashValue", "arc4random", "getrandom",
      "DispatchTime", "Task",
    ]
    return file.code.indices.flatMap { line in
      let used = Set(file.code[line].words).intersection(names).sorted().map { "uses \($0)" }
      let isRandom = file.code[line].contains(".random(in:") && !file.code[line].contains("using:")
      return (used + (isRandom ? ["draws a random number without `using:`"] : [])).map {
        Finding(file.path, line: line + 1, "\($0); a protocol takes time and randomness as input")
      }
    }
  }

  /// A test that sleeps is slow where it passes and wrong where the machine is busy.
  static func sleeps(_ file: SourceFile) -> [Finding] {
    let calls: Set<Substring> = ["sleep", "usleep", "nanosleep"]
    return file.code.indices.flatMap { line in
      let code = file.code[line]
      return calls.sorted().filter { code.contains("\($0)(") && code.words.contains($0) && !code.words.contains("func") }.map {
        Finding(file.path, line: line + 1, "calls \($0); a test waits for an event or drives time itself")
      }
    }
  }

  /// Names followed by `(` that are not declared here and not members.
  private static func calledNames(_ file: SourceFile) -> [(name: Substring, line: Int)] {
    file.code.indices.flatMap { line -> [(name: Substring, line: Int)] in
      let code = file.code[line]
      return code.indices.filter { code[$0] == "(" }.compactMap { open in
        let before = code[..<open]
        let name = before.reversed().prefix { $0.isLetter || $0.isNumber || $0 == "_" }.count
        let start = before.index(before.endIndex, offsetBy: -name)
        let head = String(before[..<start]).trimmed
        guard name > 0, !head.hasSuffix("func"), !head.hasSuffix(".") || head.hasSuffix("Glibc.") || head.hasSuffix("Darwin.") else { return nil }
        return (before[start...], line)
      }
    }
  }
}
