import Foundation
import Testing

/// A script in the form of cockroachdb/datadriven: a command with arguments, lines of input, `----`, and the output that must follow.
struct DataDriven {
  struct Argument {
    let key: String
    let values: [String]
  }

  struct Command {
    let line: Int
    let name: String
    let arguments: [Argument]
    let input: [String]
    let expected: [String]

    subscript(_ key: String) -> [String]? { arguments.first { $0.key == key }?.values }
  }

  let commands: [Command]

  init(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var commands: [Command] = []
    var place = 0
    while place < lines.count {
      let line = lines[place].trimmingCharacters(in: .whitespaces)
      guard !line.isEmpty, !line.hasPrefix("#") else {
        place += 1
        continue
      }
      let start = place
      place += 1
      var input: [String] = []
      while place < lines.count, lines[place] != "----" {
        input.append(lines[place])
        place += 1
      }
      place += 1
      var expected: [String] = []
      while place < lines.count, !lines[place].isEmpty {
        expected.append(lines[place])
        place += 1
      }
      let words = Self.words(line)
      commands.append(
        Command(line: start + 1, name: words[0], arguments: words.dropFirst().map(Self.argument), input: input, expected: expected))
    }
    self.commands = commands
  }

  /// Splits at blanks outside parentheses.
  private static func words(_ line: String) -> [String] {
    var words: [String] = []
    var word = ""
    var depth = 0
    for character in line {
      if character == "(" { depth += 1 }
      if character == ")" { depth -= 1 }
      if character == " ", depth == 0 {
        if !word.isEmpty { words.append(word) }
        word = ""
      } else {
        word.append(character)
      }
    }
    return word.isEmpty ? words : words + [word]
  }

  private static func argument(_ word: String) -> Argument {
    guard let equals = word.firstIndex(of: "=") else { return Argument(key: word, values: []) }
    var value = String(word[word.index(after: equals)...])
    if value.hasPrefix("("), value.hasSuffix(")") { value = String(value.dropFirst().dropLast()) }
    let values = value.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
    return Argument(key: String(word[..<equals]), values: values)
  }
}

/// The public test vectors of etcd's Raft (Apache License 2.0), which `Scripts/setup.sh test` unpacks from Debian's golang-etcd-server-dev.
enum RaftVectors {
  static let package = "usr/share/gocode/src/go.etcd.io/etcd/raft"

  /// Where they are. A machine without them fails the tests that need them; it does not skip them.
  static func directory() throws -> String {
    let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../../..").standardized.path
    let places = [ProcessInfo.processInfo.environment["STRATA_RAFT_VECTORS"], "\(repository)/.build-vectors/\(package)", "/\(package)"]
    for place in places.compactMap({ $0 }) where FileManager.default.fileExists(atPath: "\(place)/testdata/campaign.txt") { return place }
    throw VectorsMissing()
  }

  static func script(_ path: String) throws -> DataDriven {
    DataDriven(try String(contentsOfFile: "\(try directory())/\(path)", encoding: .utf8))
  }
}

struct VectorsMissing: Error, CustomStringConvertible {
  let description = "etcd's Raft test vectors are not there: run Scripts/setup.sh test"
}
