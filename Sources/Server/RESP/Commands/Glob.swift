/// Glob patterns as Redis matches them: `*`, `?`, `[a-c]`, `[^x]`, `\` before a literal byte. Works on bytes.
///
/// One star is remembered at a time, so the time is bounded by pattern length times string length whatever the pattern.
enum Glob {
  static func matches(_ pattern: [UInt8], _ string: ArraySlice<UInt8>) -> Bool {
    var p = 0
    var s = string.startIndex
    var star = -1
    var resume = 0
    while s < string.endIndex {
      if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
        star = p
        resume = s
        p += 1
        continue
      }
      if p < pattern.count, let next = one(pattern, p, string[s]) {
        p = next
        s += 1
        continue
      }
      guard star >= 0 else { return false }
      resume += 1
      s = resume
      p = star + 1
    }
    while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
    return p == pattern.count
  }

  /// Where the pattern goes on if its element at `p` matches `byte`.
  private static func one(_ pattern: [UInt8], _ p: Int, _ byte: UInt8) -> Int? {
    switch pattern[p] {
    case UInt8(ascii: "?"): return p + 1
    case UInt8(ascii: "["): return set(pattern, p + 1, byte)
    case UInt8(ascii: "\\") where p + 1 < pattern.count: return pattern[p + 1] == byte ? p + 2 : nil
    case let literal: return literal == byte ? p + 1 : nil
    }
  }

  private static func set(_ pattern: [UInt8], _ start: Int, _ byte: UInt8) -> Int? {
    var p = start
    let negated = p < pattern.count && pattern[p] == UInt8(ascii: "^")
    if negated { p += 1 }
    var matched = false
    while p < pattern.count, pattern[p] != UInt8(ascii: "]") {
      if pattern[p] == UInt8(ascii: "\\"), p + 1 < pattern.count {
        p += 1
        if pattern[p] == byte { matched = true }
      } else if p + 2 < pattern.count, pattern[p + 1] == UInt8(ascii: "-") {
        let low = min(pattern[p], pattern[p + 2])
        let high = max(pattern[p], pattern[p + 2])
        if byte >= low, byte <= high { matched = true }
        p += 2
      } else if pattern[p] == byte {
        matched = true
      }
      p += 1
    }
    // An unclosed set ends with the pattern.
    return matched != negated ? min(p + 1, pattern.count) : nil
  }
}
