/// Words that promise work instead of doing it, and constructs that need a reason beside them.
enum WordingCheck {
  /// In pieces, so that this file does not hold what it forbids.
  static let banned = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "for" + " now", "simpli" + "fied", "place" + "holder", "HA" + "CK"]

  /// Banned words in code and comments of a file of any language. Capitals count for the words written in capitals.
  static func bannedWords(_ path: String, _ lines: [String]) -> [Finding] {
    lines.indices.flatMap { line in
      banned.filter { isPresent($0, in: lines[line]) }.map { Finding(path, line: line + 1, "says \"\($0)\"; do it or file an issue") }
    }
  }

  private static func isPresent(_ word: String, in line: String) -> Bool {
    let isCapital = word == word.uppercased()
    return (isCapital ? line : line.lowercased()).ranges(of: word).contains { range in
      let text = isCapital ? line : line.lowercased()
      let before = range.lowerBound > text.startIndex ? text[text.index(before: range.lowerBound)] : " "
      let after = range.upperBound < text.endIndex ? text[range.upperBound] : " "
      return !before.isLetter && !after.isLetter && !after.isNumber && after != "_" && before != "_"
    }
  }

  static let reasoned = ["@unchecked Sendable", "nonisolated(unsafe)", "try!", "as!", "fatalError("]

  /// Constructs the compiler cannot check, without a comment on their line or right above their statement that says why they hold.
  ///
  /// A doc comment counts only where it speaks of the matter: it holds one of the words safe, lock, guard, thread, sendable, because, never.
  static func missingReasons(_ file: SourceFile) -> [Finding] {
    file.code.indices.flatMap { line in
      reasoned.filter { isUsed($0, in: file.code[line]) && !hasReason(file, line) }.map {
        Finding(file.path, line: line + 1, "\($0) without a comment beside it that says why it holds")
      }
    }
  }

  private static func isUsed(_ construct: String, in code: String) -> Bool {
    code.ranges(of: construct).contains { range in
      guard let first = construct.first, first.isLetter, range.lowerBound > code.startIndex else { return true }
      let before = code[code.index(before: range.lowerBound)]
      return !before.isLetter && !before.isNumber && before != "_" && before != "."
    }
  }

  private static let reasonWords = ["safe", "lock", "guard", "thread", "sendable", "because", "never"]

  private static func hasReason(_ file: SourceFile, _ line: Int) -> Bool {
    let places = [line] + Array(file.leadingBlock(above: line))
    return places.contains { place in
      let comment = file.comments[place]
      if comment.isEmpty { return false }
      if !comment.hasPrefix("///") { return true }
      let text = comment.lowercased()
      return reasonWords.contains { text.contains($0) }
    }
  }
}
