/// An operation on a versioned object: every write makes a version, every read sees one, and versions of one object are ordered.
public enum VersionedOp: Hashable, Sendable {
  /// Reads an object.
  case read(key: Int)
  /// Writes an object.
  case write(key: Int)

  /// The object.
  public var key: Int {
    switch self {
    case .read(let key), .write(let key): key
    }
  }
}

/// Judges what each client may expect of its own session and of those it has heard from (Terry et al., Session Guarantees, 1994).
public enum SessionGuarantees {
  /// A promise to a session.
  public enum Guarantee: String, Hashable, Sendable, CaseIterable {
    /// A read sees what the session wrote before, or later versions.
    case readYourWrites = "read-your-writes"
    /// A read sees what the session read before, or later versions.
    case monotonicReads = "monotonic-reads"
    /// A session's writes take effect in their order, for everybody.
    case monotonicWrites = "monotonic-writes"
    /// A session's write takes effect after what the session had read, for everybody.
    case writesFollowReads = "writes-follow-reads"
  }

  /// Judges a history whose results are the versions seen and made, 0 before the first write. A process is a session; operations without a
  /// result are left out. O(n · (sessions + log n)) time, O(n + writes · sessions) memory.
  public static func check(
    _ history: History<VersionedOp, UInt64>, promising guarantees: Set<Guarantee> = Set(Guarantee.allCases)
  ) -> Verdict {
    var check = SessionCheck(history, guarantees)
    return check.verdict()
  }
}

private struct SessionCheck {
  /// One thing a session did, with the greatest versions of that object up to then.
  private struct Mark {
    let position: Int
    let operation: Int
    var version: UInt64
  }

  /// What one session did, by object: each time it wrote or read a greater version than before.
  private struct Session {
    var position = 0
    var writes: [Int: [Mark]] = [:]
    var reads: [Int: [Mark]] = [:]
    /// How far into each session this one has heard of, itself included.
    var heard: [Int] = []
  }

  private struct Version: Hashable {
    let key: Int
    let number: UInt64
  }

  /// Where a version comes from: the session, how much it had done, and what it had heard of others.
  private struct Origin {
    let session: Int
    let position: Int
    let operation: Int
    let heard: [Int]
  }

  private let history: History<VersionedOp, UInt64>
  private let guarantees: Set<SessionGuarantees.Guarantee>
  private var sessions: [Session] = []
  private var names: [Int: Int] = [:]
  private var origins: [Version: Origin] = [:]

  init(_ history: History<VersionedOp, UInt64>, _ guarantees: Set<SessionGuarantees.Guarantee>) {
    self.history = history
    self.guarantees = guarantees
    for operation in history.operations where operation.result != nil {
      if names[operation.process] == nil {
        names[operation.process] = sessions.count
        sessions.append(Session())
      }
    }
    for index in sessions.indices { sessions[index].heard = Array(repeating: 0, count: sessions.count) }
  }

  mutating func verdict() -> Verdict {
    let successes = history.operations.indices.filter { history.operations[$0].result != nil }
    guard !successes.isEmpty else { return .unknown(reason: "no operation succeeded, so nothing was shown") }
    // A version is made by its write's invocation at the earliest, seen by a read's return at the latest: in the order of returns, with
    // writes first where they are seen before they return, every origin is known when it is needed.
    originate(successes)
    for index in successes.sorted(by: { (history.operations[$0].returned ?? 0) < (history.operations[$1].returned ?? 0) }) {
      if let violation = judge(index) { return .invalid(violation) }
    }
    return .valid(CheckStatistics(operations: successes.count, parts: sessions.count))
  }

  /// What each write's session had done and heard before it: filled in order of invocation for the positions.
  private mutating func originate(_ successes: [Int]) {
    var positions = Array(repeating: 0, count: sessions.count)
    for index in successes {
      let operation = history.operations[index]
      let session = names[operation.process] ?? 0
      positions[session] += 1
      guard case .write(let key) = operation.op, let version = operation.result else { continue }
      origins[Version(key: key, number: version)] = Origin(session: session, position: positions[session], operation: index, heard: [])
    }
  }

  private mutating func judge(_ index: Int) -> Violation? {
    let operation = history.operations[index]
    guard let version = operation.result, let session = names[operation.process] else { return nil }
    sessions[session].position += 1
    let position = sessions[session].position
    let key = operation.op.key
    switch operation.op {
    case .read:
      if let violation = judgeRead(index, session, key, version) { return violation }
      note(\.reads, session, key, Mark(position: position, operation: index, version: version))
      if let origin = origins[Version(key: key, number: version)] { hear(session, origin) }
    case .write:
      if let violation = judgeWrite(index, session, key, version) { return violation }
      note(\.writes, session, key, Mark(position: position, operation: index, version: version))
      let place = Version(key: key, number: version)
      origins[place] = Origin(session: session, position: position, operation: index, heard: sessions[session].heard)
    }
    return nil
  }

  private mutating func note(_ path: WritableKeyPath<Session, [Int: [Mark]]>, _ session: Int, _ key: Int, _ mark: Mark) {
    if let last = sessions[session][keyPath: path][key]?.last, last.version >= mark.version { return }
    sessions[session][keyPath: path][key, default: []].append(mark)
  }

  private mutating func hear(_ session: Int, _ origin: Origin) {
    sessions[session].heard[origin.session] = max(sessions[session].heard[origin.session], origin.position)
    for (other, position) in origin.heard.enumerated() { sessions[session].heard[other] = max(sessions[session].heard[other], position) }
  }

  /// The greatest version of an object in a session's marks up to a position.
  private func last(_ marks: [Mark]?, _ position: Int) -> Mark? {
    guard let marks else { return nil }
    var low = 0
    var high = marks.count
    while low < high {
      let middle = (low + high) / 2
      if marks[middle].position <= position { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? marks[low - 1] : nil
  }

  private func judgeRead(_ index: Int, _ session: Int, _ key: Int, _ version: UInt64) -> Violation? {
    if guarantees.contains(.readYourWrites), let own = sessions[session].writes[key]?.last, own.version > version {
      return violation(
        .readYourWrites, [own.operation, index], "The session wrote version \(own.version) of object \(key) and then read \(version).")
    }
    if guarantees.contains(.monotonicReads), let own = sessions[session].reads[key]?.last, own.version > version {
      return violation(.monotonicReads, [own.operation, index], "The session read version \(own.version) of object \(key) and then \(version).")
    }
    for other in sessions.indices where other != session && sessions[session].heard[other] > 0 {
      let heard = sessions[session].heard[other]
      if guarantees.contains(.monotonicWrites), let earlier = last(sessions[other].writes[key], heard - 1), earlier.version > version {
        return violation(
          .monotonicWrites, [earlier.operation] + link(session, other, earlier) + [index],
          "A session wrote version \(earlier.version) of object \(key) and later something that this session had seen, which then read "
            + "version \(version) of object \(key): the second write was visible without the first.")
      }
      if guarantees.contains(.writesFollowReads), let earlier = last(sessions[other].reads[key], heard), earlier.version > version {
        return violation(
          .writesFollowReads, [earlier.operation] + link(session, other, earlier) + [index],
          "A session read version \(earlier.version) of object \(key) and then wrote something that this session had seen, which then read "
            + "version \(version) of object \(key): the write was visible without what it followed.")
      }
    }
    return nil
  }

  /// A write of the other session after the mark that this session has read, if it did so directly.
  private func link(_ session: Int, _ other: Int, _ mark: Mark) -> [Int] {
    for marks in sessions[session].reads.sorted(by: { $0.key < $1.key }).map(\.value) {
      for seen in marks {
        let read = history.operations[seen.operation]
        guard let origin = origins[Version(key: read.op.key, number: seen.version)], origin.session == other else { continue }
        if origin.position > mark.position { return [origin.operation, seen.operation] }
      }
    }
    return []
  }

  private func judgeWrite(_ index: Int, _ session: Int, _ key: Int, _ version: UInt64) -> Violation? {
    if guarantees.contains(.monotonicWrites), let own = sessions[session].writes[key]?.last, own.version >= version {
      return violation(
        .monotonicWrites, [own.operation, index], "The session wrote version \(own.version) of object \(key) and then version \(version).")
    }
    if guarantees.contains(.writesFollowReads), let own = sessions[session].reads[key]?.last, own.version >= version {
      return violation(
        .writesFollowReads, [own.operation, index], "The session read version \(own.version) of object \(key) and then wrote version \(version).")
    }
    return nil
  }

  private func violation(_ guarantee: SessionGuarantees.Guarantee, _ operations: [Int], _ explanation: String) -> Violation {
    Violation.timeline(guarantee.rawValue, explanation, history, operations) { "\($0.op) → \($0.result.map { "version \($0)" } ?? "?")" }
  }
}
