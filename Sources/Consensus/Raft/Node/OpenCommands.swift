import StrataNodes

/// The commands a member has numbered and not yet seen applied, by their numbers, which follow each other.
struct OpenCommands: Sendable {
  struct Command: Sendable {
    var client: SessionID
    var bytes: [UInt8]
    /// The tick in which it was last proposed.
    var asked: UInt64
  }

  /// From the number ``oldest`` on; nothing where a command is done.
  private var slots: [Command?] = []
  /// How many slots at the front are done.
  private var done = 0
  /// The number of `slots[0]`.
  private var base: UInt64 = 1
  /// How many are open.
  private(set) var count = 0

  /// The least number that may be open; all before it are done.
  var oldest: UInt64 { base + UInt64(done) }

  /// The number the next command gets.
  var next: UInt64 { base + UInt64(slots.count) }

  mutating func append(_ command: Command) {
    slots.append(command)
    count += 1
  }

  /// The command of a number is done. Amortised O(1).
  mutating func remove(_ number: UInt64) -> Command? {
    guard number >= oldest, number < next, let command = slots[Int(number - base)] else { return nil }
    slots[Int(number - base)] = nil
    count -= 1
    while done < slots.count, slots[done] == nil { done += 1 }
    if done > 64, done * 2 >= slots.count {
      slots.removeSubrange(..<done)
      base += UInt64(done)
      done = 0
    }
    return command
  }

  /// None is open any more; numbering begins again.
  mutating func removeAll() { self = OpenCommands() }

  /// Visits, oldest first, the commands that were last asked for in or before a tick, and notes that they are asked for in `now`.
  mutating func repeatAsked(upTo tick: UInt64, now: UInt64, _ body: (UInt64, [UInt8]) -> Void) {
    for place in done..<slots.count {
      guard let command = slots[place], command.asked <= tick else { continue }
      slots[place]?.asked = now
      body(base + UInt64(place), command.bytes)
    }
  }
}
