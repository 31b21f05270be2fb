/// Removal of parts of structures whose root is gone.
extension Keyspace {
  /// One turn: looks at up to `pages` pages of registrations and removes what belongs to no key any more. Returns where the next turn goes on;
  /// `.start` after a whole pass. Does nothing while no structure has been seen, or nothing was written since the last pass began. May wait for the
  /// disk.
  ///
  /// Whether a structure lives is judged, under the lock, by its root alone. A number is never given out twice, so what is out of reach stays so. A
  /// crash in between leaves the registration, by which the next pass goes on.
  func reapSome(from position: ScanPosition, pages: Int) throws(EngineError) -> ScanPosition {
    var position = position
    if position == .start { guard beginReaping() else { return .start } }
    for _ in 0..<pages {
      guard engine.hasRoom else { return position }
      // An engine without order shows all keys, and parts whose registration is gone are found one by one.
      let isOrdered = engine.isOrdered
      let page = try engine.scan(from: position, prefix: isOrdered ? StructureKeys.registry : nil, count: 512)
      var sees = false
      do throws(EngineError) {
        for (key, _) in page.keys {
          if let number = StructureKeys.number(key, StructureKeys.registry) {
            sees = true
            try reap(number, registration: key)
          } else if let number = StructureKeys.number(key, StructureKeys.parts) {
            sees = true
            if !isOrdered { try reapPart(key, of: number) }
          }
        }
      } catch {
        noteStructures()
        // The next turn looks at this page again, when there may be room.
        guard error.kind == .noRoom else { throw error }
        return position
      }
      if sees { noteStructures() }
      position = page.next == .end ? .start : page.next
      if position == .start {
        endReaping()
        return .start
      }
    }
    return position
  }

  private func reap(_ number: UInt64, registration: [UInt8]) throws(EngineError) {
    // What is not in memory is brought there before the lock is taken.
    for _ in 0..<4 {
      if try reapCached(number, registration) { return }
      guard let owner = try stored(registration, onlyIfCached: false) else { return }
      _ = try stored(owner, onlyIfCached: false)
    }
  }

  /// False where something needed is not in memory.
  private func reapCached(_ number: UInt64, _ registration: [UInt8]) throws(EngineError) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    var owner: [UInt8] = []
    switch try engine.read(registration.span.bytes, onlyIfCached: true, { value, _ in owner = value.withUnsafeBytes { [UInt8]($0) } }) {
    case .notCached: return false
    case .absent: return true
    case .found: break
    }
    var lives = false
    let root = try engine.read(owner.span.bytes, onlyIfCached: true) { value, stamp in
      lives = !RecordStamp(stamp).isString && value.withUnsafeBytes { StructureKeys.number(ofRoot: $0) } == number
    }
    if root == .notCached { return false }
    if lives { return true }
    if let sequence = try engine.removeAll(startingWith: StructureKeys.prefix(number).span.bytes) { advance(sequence) }
    _ = try registration.span.bytes.withUnsafeBytes { (key) throws(EngineError) in try delete(key) }
    return true
  }

  /// Removes a part if nothing says whose it is.
  private func reapPart(_ key: [UInt8], of number: UInt64) throws(EngineError) {
    lock.lock()
    defer { lock.unlock() }
    guard case .absent = try engine.peek(StructureKeys.registration(number).span.bytes, onlyIfCached: true) else { return }
    _ = try key.span.bytes.withUnsafeBytes { (key) throws(EngineError) in try delete(key) }
  }

  private func stored(_ key: [UInt8], onlyIfCached: Bool) throws(EngineError) -> [UInt8]? {
    var bytes: [UInt8]?
    _ = try engine.read(key.span.bytes, onlyIfCached: onlyIfCached) { value, _ in bytes = value.withUnsafeBytes { [UInt8]($0) } }
    return bytes
  }
}

/// Whether there may be structures, and whether anything was written since they were last looked at.
struct StructureSightings {
  private var arePossible = true
  private var sinceBegin = true
  private var begun: UInt64?

  mutating func note() { (arePossible, sinceBegin) = (true, true) }

  /// Whether a pass is of use; it begins then.
  mutating func beginPass(_ sequence: UInt64) -> Bool {
    guard arePossible, begun != sequence else { return false }
    sinceBegin = false
    begun = sequence
    return true
  }

  mutating func endPass() { arePossible = sinceBegin }
}
