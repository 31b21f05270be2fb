import Foundation

/// A subject beside its peers under one load, with the goals it is held to.
public struct Comparison: Sendable {
  /// What is compared, such as `64 writers, 128 B, every write synced`.
  public let title: String
  /// What an operation is: `records`, `gets`, `bytes`.
  public let unit: String
  /// What the load was, in the order it is printed.
  public let parameters: [(name: String, value: String)]
  /// The first is the subject.
  public let contenders: [Contender]
  /// What the subject is held to.
  public let goals: [Goal]

  /// A comparison of `subject` with `peers`.
  public init(
    _ title: String, unit: String, parameters: [(name: String, value: String)] = [], subject: Contender, peers: [Contender], goals: [Goal]
  ) {
    self.title = title
    self.unit = unit
    self.parameters = parameters
    contenders = [subject] + peers
    self.goals = goals
  }
}

/// One target and how to judge it.
public struct Goal: Sendable {
  /// The target in words, such as `throughput / rawsync >= 0.95`.
  public let text: String
  let value: @Sendable (Outcome) -> Double?
  let limit: Double
  let isLeast: Bool

  /// The subject's median throughput is at least `limit` times that of the peer.
  public static func ratio(to peer: String, atLeast limit: Double) -> Goal {
    Goal(text: "throughput / \(peer) >= \(limit)", value: { $0.ratio(to: peer) { $0.throughput } }, limit: limit, isLeast: true)
  }

  /// The subject's median throughput is at least `limit` operations per second.
  public static func throughput(atLeast limit: Double) -> Goal {
    Goal(text: "throughput >= \(Text.figure(limit))/s", value: { $0.subject?.median { $0.throughput } }, limit: limit, isLeast: true)
  }

  /// The subject's p50 is at most `limit` times that of the peer.
  public static func p50(ofPeer peer: String, atMost limit: Double) -> Goal {
    Goal(text: "p50 / \(peer) <= \(limit)", value: { $0.ratio(to: peer) { $0.latency?.p50 } }, limit: limit, isLeast: false)
  }

  /// The subject's p99 is at most `limit` times that of the peer.
  public static func p99(ofPeer peer: String, atMost limit: Double) -> Goal {
    Goal(text: "p99 / \(peer) <= \(limit)", value: { $0.ratio(to: peer) { $0.latency?.p99 } }, limit: limit, isLeast: false)
  }

  /// The subject's p99.9 is at most `limit` times that of the peer.
  public static func p999(ofPeer peer: String, atMost limit: Double) -> Goal {
    Goal(text: "p99.9 / \(peer) <= \(limit)", value: { $0.ratio(to: peer) { $0.latency?.p999 } }, limit: limit, isLeast: false)
  }

  /// A figure both name themselves is at most `limit` times that of the peer.
  public static func extra(_ name: String, ofPeer peer: String, atMost limit: Double) -> Goal {
    Goal(text: "\(name) / \(peer) <= \(limit)", value: { $0.ratio(to: peer) { $0.extras[name] } }, limit: limit, isLeast: false)
  }

  /// The subject's whole run takes at most this many seconds.
  public static func seconds(atMost limit: Double) -> Goal {
    Goal(text: "seconds <= \(limit)", value: { $0.subject?.median { $0.seconds } }, limit: limit, isLeast: false)
  }

  /// A figure the subject names itself is at most `limit`.
  public static func extra(_ name: String, atMost limit: Double) -> Goal {
    Goal(text: "\(name) <= \(Text.figure(limit))", value: { $0.subject?.median { $0.extras[name] } }, limit: limit, isLeast: false)
  }

  /// A figure the subject names itself is at least `limit`.
  public static func extra(_ name: String, atLeast limit: Double) -> Goal {
    Goal(text: "\(name) >= \(Text.figure(limit))", value: { $0.subject?.median { $0.extras[name] } }, limit: limit, isLeast: true)
  }

  /// Whether the outcome meets it, and the value judged; `nil` where a figure is missing.
  func judge(_ outcome: Outcome) -> (value: Double, isMet: Bool)? {
    guard let value = value(outcome), value.isFinite else { return nil }
    return (value, isLeast ? value >= limit : value <= limit)
  }
}

/// What all rounds of a comparison gave.
public struct Outcome: Sendable {
  /// The measurements of one contender, round by round.
  public struct Entry: Sendable {
    /// The contender's name.
    public let name: String
    /// One per round.
    public let measurements: [Figures]

    /// The median of a figure over the rounds that have it.
    public func median(_ figure: (Figures) -> Double?) -> Double? {
      let values = measurements.compactMap(figure).sorted()
      guard !values.isEmpty else { return nil }
      let middle = values.count / 2
      return values.count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2
    }
  }

  /// What was compared.
  public let comparison: Comparison
  /// The subject first.
  public let entries: [Entry]

  var subject: Entry? { entries.first }

  /// The subject's median of a figure over that of a peer.
  func ratio(to peer: String, _ figure: (Figures) -> Double?) -> Double? {
    guard let mine = subject?.median(figure), let other = entries.first(where: { $0.name == peer })?.median(figure), other > 0 else { return nil }
    return mine / other
  }
}

extension Comparison {
  /// Measures all contenders, one after another in each round, a different one first each time.
  func run(rounds: Int, in directory: URL, progress: (String) -> Void) async throws -> Outcome {
    var measurements = [[Figures]](repeating: [], count: contenders.count)
    let base = directory.appendingPathComponent(slug)
    defer { try? FileManager.default.removeItem(at: base) }
    for round in 0..<rounds {
      for turn in contenders.indices {
        let index = (turn + round) % contenders.count
        let contender = contenders[index]
        let own = base.appendingPathComponent("\(index)")
        if !contender.keepsData { try? FileManager.default.removeItem(at: own) }
        try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
        let measurement = try await contender.measure(Round(number: round, directory: own))
        measurements[index].append(measurement)
        progress("round \(round + 1)/\(rounds) \(contender.name): \(Text.figure(measurement.throughput)) \(unit)/s")
      }
    }
    return Outcome(comparison: self, entries: zip(contenders, measurements).map { Outcome.Entry(name: $0.name, measurements: $1) })
  }

  private var slug: String { String(title.map { $0.isLetter || $0.isNumber ? $0 : "-" }) }
}
