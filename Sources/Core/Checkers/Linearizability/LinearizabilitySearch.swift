import StrataJobs

/// The search of Wing and Gong (1993) with Lowe's memory of configurations (2017) over one part of a history.
///
/// The ends of operations form a doubly linked list in the order of the history. An operation may come next if no return stands before its
/// invocation in the list; choosing it takes both its ends out. A return at the head means that the last choice was wrong. An operation that
/// never returned has no return in the list, and need not be chosen.
///
/// Beyond Porcupine, an observation that is possible is taken at once and never reconsidered: since it changes no state, whatever order goes on
/// from here with it later also goes on with it now. What never returned and would change nothing here is not taken here.
///
/// All arrays are owned here, and every index into them comes from the list this type built.
struct LinearizabilitySearch: ~Copyable {
  /// When one operation was open; one that never returned has no end.
  struct Interval {
    let invoked: Int
    let returned: Int?
    /// Whether it never changes a state.
    let observes: Bool
  }

  enum Answer: Equatable {
    case linearizable, contradiction
    case outOfBudget(String)
    /// Somebody else's answer made this one needless.
    case stopped
  }

  /// An order of operations that is right as far as it goes, by their numbers in the part.
  typealias Order = [Int32]

  private struct Choice {
    let entry: Int32
    let state: Int32
    let isGreedy: Bool
  }

  private let count: Int
  private let next: UnsafeMutablePointer<Int32>
  private let previous: UnsafeMutablePointer<Int32>
  /// Of the call of operation `o`, `o`; of its return, `~o`. Entry 0 is the head.
  private let operationOf: UnsafeMutablePointer<Int32>
  private let returnOf: UnsafeMutablePointer<Int32>
  private let bitOf: UnsafeMutablePointer<Int32>
  private let observes: [Bool]
  private let done: UnsafeMutablePointer<UInt64>
  private let certainWords: Int
  private let certainCount: Int
  private let wordCount: Int
  private var visited: ConfigurationSet
  private var memory = StepMemory()
  private var path: [Choice] = []
  private var state: Int32 = 0
  private var hash: UInt64 = 0
  private var certain: Int
  private var firstOpen = 0
  private var lastUsed = 0

  /// How many times an operation was tried.
  private(set) var steps = 0
  /// Of each operation, the longest order found that has it in; kept only by a search that was asked to.
  private(set) var longest: [Order?] = []
  private var longestBytes = 0

  /// - Parameter intervals: in the order of their invocations.
  init(_ intervals: [Interval]) {
    count = intervals.count
    observes = intervals.map(\.observes)
    certainCount = intervals.count { $0.returned != nil }
    certain = certainCount
    certainWords = (certainCount + 63) / 64
    let pendingWords = (count - certainCount + 63) / 64
    wordCount = certainWords + pendingWords
    let entries = 1 + count + certainCount
    next = .allocate(capacity: entries)
    previous = .allocate(capacity: entries)
    operationOf = .allocate(capacity: entries)
    returnOf = .allocate(capacity: max(1, count))
    bitOf = .allocate(capacity: max(1, count))
    done = .allocate(capacity: max(1, wordCount))
    done.initialize(repeating: 0, count: max(1, wordCount))
    visited = ConfigurationSet(certainWords: certainWords, pendingWords: pendingWords)
    var ends: [(place: Int, operation: Int32)] = []
    ends.reserveCapacity(entries)
    var certainBit: Int32 = 0
    var pendingBit = Int32(certainWords * 64)
    for (index, interval) in intervals.enumerated() {
      ends.append((interval.invoked, Int32(index)))
      if let returned = interval.returned {
        ends.append((returned, ~Int32(index)))
        bitOf[index] = certainBit
        certainBit += 1
      } else {
        bitOf[index] = pendingBit
        pendingBit += 1
      }
      returnOf[index] = 0
    }
    // At one place the invocation comes first: intervals include their ends.
    ends.sort { $0.place != $1.place ? $0.place < $1.place : $0.operation > $1.operation }
    operationOf[0] = 0
    for (index, end) in ends.enumerated() {
      operationOf[index + 1] = end.operation
      if end.operation < 0 { returnOf[Int(~end.operation)] = Int32(index + 1) }
    }
    for entry in 0..<entries {
      next[entry] = entry + 1 < entries ? Int32(entry + 1) : 0
      previous[entry] = entry > 0 ? Int32(entry - 1) : 0
    }
  }

  deinit {
    next.deallocate()
    previous.deallocate()
    operationOf.deallocate()
    returnOf.deallocate()
    bitOf.deallocate()
    done.deallocate()
  }

  /// The operations chosen so far, in order.
  var order: Order { path.map { operationOf[Int($0.entry)] } }

  @inline(__always)
  private func takeOut(_ entry: Int32) {
    next[Int(previous[Int(entry)])] = next[Int(entry)]
    previous[Int(next[Int(entry)])] = previous[Int(entry)]
  }

  @inline(__always)
  private func putBack(_ entry: Int32) {
    next[Int(previous[Int(entry)])] = entry
    previous[Int(next[Int(entry)])] = entry
  }

  /// A word for each operation: the hash of a set of operations is the exclusive or of its members' words.
  @inline(__always)
  private static func mark(_ index: Int32) -> UInt64 {
    var x = UInt64(UInt32(bitPattern: index)) &+ 0x9E37_79B9_7F4A_7C15
    x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
    return x ^ (x >> 31)
  }

  @inline(__always)
  private mutating func take(_ entry: Int32, _ operation: Int, isGreedy: Bool, to after: Int32) {
    path.append(Choice(entry: entry, state: state, isGreedy: isGreedy))
    let bit = Int(bitOf[operation])
    // Not `|=`, here and below: the compiler's thread sanitizer makes invalid code of it on a pointer in a type that cannot be copied.
    done[bit >> 6] = done[bit >> 6] | 1 << UInt64(bit & 63)
    hash ^= Self.mark(Int32(operation))
    state = after
    takeOut(entry)
    if returnOf[operation] != 0 {
      takeOut(returnOf[operation])
      certain -= 1
      lastUsed = max(lastUsed, bit >> 6)
    }
  }

  /// Takes back the last choice and returns its entry and whether it was one to reconsider.
  @inline(__always)
  private mutating func takeBack() -> Choice? {
    guard let choice = path.popLast() else { return nil }
    let operation = Int(operationOf[Int(choice.entry)])
    let bit = Int(bitOf[operation])
    done[bit >> 6] = done[bit >> 6] & ~(1 << UInt64(bit & 63))
    firstOpen = min(firstOpen, bit >> 6)
    hash ^= Self.mark(Int32(operation))
    state = choice.state
    if returnOf[operation] != 0 {
      putBack(returnOf[operation])
      certain += 1
    }
    putBack(choice.entry)
    return choice
  }

  @inline(__always)
  private mutating func step(_ operation: Int, _ ask: (Int32, Int) -> Int32) -> Int32 {
    steps &+= 1
    let key = UInt64(UInt32(bitPattern: state)) << 32 | UInt64(UInt32(truncatingIfNeeded: operation))
    let known = memory.find(key)
    if known != .min { return known }
    let after = ask(state, operation)
    memory.insert(key, after)
    return after
  }

  /// Takes every observation that is possible now.
  @inline(__always)
  private mutating func takeObservations(_ ask: (Int32, Int) -> Int32) {
    var entry = next[0]
    while entry != 0 {
      let operation = operationOf[Int(entry)]
      if operation < 0 { return }
      let following = next[Int(entry)]
      if observes[Int(operation)], returnOf[Int(operation)] != 0, step(Int(operation), ask) == state {
        // Where its return came right behind it, the list goes on behind that.
        let skip = following == returnOf[Int(operation)] ? next[Int(following)] : following
        take(entry, Int(operation), isGreedy: true, to: state)
        entry = skip
      } else {
        entry = following
      }
    }
  }

  /// Searches for an order of all operations that returned.
  ///
  /// - Parameters:
  ///   - ask: the number of the state that an operation leads to from a state, -1 where it is impossible; state 0 is the first.
  ///   - goesOn: asked now and then; an answer other than nothing ends the search.
  mutating func run(memoryLimit: Int, keepsOrders: Bool, goesOn: (Int) -> Answer?, ask: (Int32, Int) -> Int32) -> Answer {
    if keepsOrders { longest = Array(repeating: nil, count: count) }
    takeObservations(ask)
    var entry = next[0]
    var nextLook = 0
    while certain > 0 {
      if steps >= nextLook {
        nextLook = steps &+ 2048
        if let answer = goesOn(steps) { return answer }
      }
      let operation = operationOf[Int(entry)]
      // Entry 0 ends the list; operations that returned would have stopped the walk before, so it is reached only when none is left.
      if entry != 0, operation >= 0 {
        let after = step(Int(operation), ask)
        if after >= 0, after != state || returnOf[Int(operation)] != 0 {
          take(entry, Int(operation), isGreedy: false, to: after)
          takeObservations(ask)
          if visited.bytesAfterGrowth &+ memory.bytes > memoryLimit { return .outOfBudget("memory") }
          while firstOpen < certainWords, done[firstOpen] == .max { firstOpen += 1 }
          let key = hash ^ (UInt64(UInt32(bitPattern: state)) &+ 1) &* 0x9E37_79B9_7F4A_7C15
          if visited.insert(done, state: state, hash: key ^ key >> 29, firstOpen: firstOpen, lastUsed: lastUsed) {
            entry = next[0]
          } else {
            entry = undo(keepsOrders: false)
          }
          continue
        }
        entry = next[Int(entry)]
        continue
      }
      if keepsOrders { keepOrder() }
      entry = undo(keepsOrders: keepsOrders)
      if entry < 0 { return .contradiction }
    }
    if keepsOrders { keepOrder() }
    return .linearizable
  }

  /// Takes back up to the last choice that may be another, and returns the entry to try after it; -1 if there is none.
  private mutating func undo(keepsOrders: Bool) -> Int32 {
    while let choice = takeBack() { if !choice.isGreedy { return next[Int(choice.entry)] } }
    return -1
  }

  /// Keeps the present order for each of its operations that was in no longer one, while there is room.
  private mutating func keepOrder() {
    var order: Order?
    for choice in path {
      let operation = Int(operationOf[Int(choice.entry)])
      if (longest[operation]?.count ?? 0) >= path.count { continue }
      if order == nil {
        guard longestBytes + path.count * 4 <= Linearizability.partialLinearizationBytes else { return }
        longestBytes += path.count * 4
        order = self.order
      }
      longest[operation] = order
    }
  }
}
