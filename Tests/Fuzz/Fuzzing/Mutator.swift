import StrataNodes

/// Changes valid bytes: flips, cuts, splices of two inputs, numbers blown up, words put where they do not belong.
struct Mutator {
  var random: Random
  let corpus: [[UInt8]]
  let tokens: [[UInt8]]
  /// No input grows beyond this by mutation.
  static let growthLimit = 1 << 16

  /// One of the corpus, or the beginning of one and the end of another.
  mutating func start() -> [UInt8] {
    let first = corpus[random.below(corpus.count)]
    guard random.chance(1, in: 16) else { return first }
    let second = corpus[random.below(corpus.count)]
    return Array(first.prefix(random.below(first.count + 1)) + second.suffix(random.below(second.count + 1)))
  }

  /// One to eight changes, few mostly; one input in 64 stays as it is.
  mutating func mutate(_ bytes: inout [UInt8]) {
    if random.chance(1, in: 64) { return }
    let count = 1 + min(random.below(8), random.below(8))
    for _ in 0..<count {
      if random.chance(2, in: 3) { overwrite(&bytes) } else { resize(&bytes) }
    }
  }

  /// A change that leaves every other byte where it was.
  private mutating func overwrite(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return bytes.append(UInt8(random.below(256))) }
    let place = random.below(bytes.count)
    switch random.below(8) {
    case 0, 1: bytes[place] ^= 1 << UInt8(random.below(8))
    case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF, 0xFE, 0x20, 0x22][random.below(8)]
    case 3: bytes[place] = UInt8(random.below(256))
    case 4: bytes[place] &+= random.chance(1, in: 2) ? UInt8(1 + random.below(4)) : UInt8(256 - 1 - random.below(4))
    case 5: put(number(bytes.count), at: place, in: &bytes)
    case 6: put(varint(), at: place, in: &bytes)
    default:
      if let token = token() { return put(token, at: place, in: &bytes) }
      let other = corpus[random.below(corpus.count)]
      let from = random.below(other.count + 1)
      put(Array(other[from..<min(other.count, from + 1 + random.below(32))]), at: place, in: &bytes)
    }
  }

  /// A change of the length.
  private mutating func resize(_ bytes: inout [UInt8]) {
    let place = random.below(bytes.count + 1)
    let run = min(bytes.count - place, 1 + random.below(random.chance(1, in: 4) ? 256 : 8))
    switch random.below(7) {
    case 0: bytes.removeLast(bytes.count - place)
    case 1: bytes.removeSubrange(place..<place + run)
    case 2: insert(random.bytes(1 + random.below(16)), at: place, into: &bytes)
    case 3:
      // The same again and again: nesting, and counts beyond limits.
      let piece = Array(bytes[place..<place + run])
      for _ in 0..<(1 << random.below(random.chance(1, in: 32) ? 13 : 4)) { insert(piece, at: place, into: &bytes) }
    case 4:
      let other = corpus[random.below(corpus.count)]
      bytes.replaceSubrange(place..., with: other.suffix(random.below(other.count + 1)))
    case 5: insert(random.chance(1, in: 2) ? varint() : number(bytes.count), at: place, into: &bytes)
    default:
      if let token = token() { return insert(token, at: place, into: &bytes) }
      bytes += random.bytes(1 + random.below(8))
    }
  }

  private mutating func token() -> [UInt8]? { tokens.isEmpty ? nil : tokens[random.below(tokens.count)] }

  /// A fixed-width number that lengths, counts and offsets are tried with.
  private mutating func number(_ count: Int) -> [UInt8] {
    let choices: [UInt64] = [
      0, 1, UInt64(count), UInt64(count) &+ 1, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, .max, 1 << 63, (1 << 63) - 1,
      1 << UInt64(random.below(64)), UInt64(random.below(count + 64)),
    ]
    let value = choices[random.below(choices.count)]
    let bytes = (0..<[2, 4, 8][random.below(3)]).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    return random.chance(3, in: 4) ? bytes : bytes.reversed()
  }

  /// A number of seven bits a byte: any size, or one that does not end.
  private mutating func varint() -> [UInt8] {
    if random.chance(1, in: 8) { return [UInt8](repeating: 0xFF, count: 1 + random.below(12)) }
    var value = random.next() >> UInt64(random.below(64))
    var bytes: [UInt8] = []
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    return bytes + [UInt8(value)]
  }

  private func put(_ piece: [UInt8], at place: Int, in bytes: inout [UInt8]) {
    let end = min(bytes.count, place + piece.count)
    bytes.replaceSubrange(place..<end, with: piece.prefix(end - place))
  }

  private func insert(_ piece: [UInt8], at place: Int, into bytes: inout [UInt8]) {
    guard bytes.count + piece.count <= max(Self.growthLimit, bytes.count) else { return }
    bytes.insert(contentsOf: piece, at: place)
  }
}
