import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRESP

/// What a stream of bytes parses to.
struct Parsed: Equatable {
  var commands: [[[UInt8]]] = []
  var error: ProtocolError?
}

/// Feeds `bytes` in the given pieces the way a connection does: what is not consumed stays in front of what comes.
func parse(_ pieces: [ArraySlice<UInt8>], limits: RequestLimits = RequestLimits(), authenticated: Bool = true) -> Parsed {
  var parser = RequestParser(limits: limits)
  var parsed = Parsed()
  var pending: [UInt8] = []
  for piece in pieces {
    pending += piece
    while !pending.isEmpty {
      let result = pending.withUnsafeBytes { bytes -> ParseResult in
        let result = parser.parse(bytes, authenticated: authenticated)
        switch result {
        case .command:
          if let base = bytes.baseAddress { parsed.commands.append(words(Invocation(base: base, parser.arguments))) }
        case .inline:
          parser.inlineBytes.withUnsafeBytes { inline in
            if let base = inline.baseAddress ?? bytes.baseAddress { parsed.commands.append(words(Invocation(base: base, parser.arguments))) }
          }
        default: break
        }
        return result
      }
      if case .needMore = result { break }
      if case .failed(let error) = result {
        parsed.error = error
        return parsed
      }
      pending.removeFirst(parser.consumed)
      parser.next()
    }
  }
  return parsed
}

private func words(_ call: Invocation) -> [[UInt8]] { (0..<call.count).map { call.bytes($0) } }

func parse(_ text: String, limits: RequestLimits = RequestLimits(), authenticated: Bool = true) -> Parsed {
  parse([Array(text.utf8)[...]], limits: limits, authenticated: authenticated)
}

@Suite struct ParserTests {
  static let stream =
    "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nx\r\ny\n\r\nPING inline\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n\r\n*0\r\n*-1\r\n"
    + "SET k \"a b\\x41\\n\" 'it\\'s'\n*2\r\n$4\r\nECHO\r\n$12\r\n0123456789ab\r\n"

  static let commands: [[String]] = [
    ["PING"], ["SET", "a", "x\r\ny\n"], ["PING", "inline"], ["GET", ""], ["SET", "k", "a bA\n", "it's"], ["ECHO", "0123456789ab"],
  ]

  @Test func commandsComeOutInOrder() {
    #expect(parse(Self.stream).commands == Self.commands.map { $0.map { Array($0.utf8) } })
  }

  @Test func everySplitPointGivesTheSameCommands() {
    let bytes = Array(Self.stream.utf8)
    let whole = parse([bytes[...]])
    for first in 0...bytes.count {
      #expect(parse([bytes[..<first], bytes[first...]]) == whole, "split at \(first)")
    }
    #expect(parse(bytes.indices.map { bytes[$0...$0] }) == whole, "byte by byte")
  }

  @Test func everyPairOfSplitPointsGivesTheSameCommands() {
    let bytes = Array(Self.stream.utf8.prefix(90))
    let whole = parse([bytes[...]])
    for first in 0...bytes.count {
      for second in first...bytes.count {
        #expect(parse([bytes[..<first], bytes[first..<second], bytes[second...]]) == whole, "split at \(first) and \(second)")
      }
    }
  }

  /// Random bytes made of the protocol's own pieces: whatever comes, the parser answers the same for every way of cutting, and ends.
  @Test func garbageIsRefusedOrReadTheSameWhateverTheCuts() {
    let seed = UInt64.random(in: .min ... .max)
    var random = Random(seed: seed)
    let pieces = [
      "*", "$", "\r\n", "\n", "1", "3", "-1", "0", "GET", "\"", "'", "\\", " ", "a", "\u{0}", "99999999999", "*2\r\n", "$1\r\nx\r\n",
      "*1\r\n$4\r\nPING\r\n",
    ]
    for round in 0..<3000 {
      let text = (0..<random.within(1...14)).map { _ in pieces[random.below(pieces.count)] }.joined()
      let bytes = Array(text.utf8)
      let whole = parse([bytes[...]])
      let cut = random.within(0...bytes.count)
      #expect(parse([bytes[..<cut], bytes[cut...]]) == whole, "seed \(seed), round \(round), \(text.debugDescription) cut at \(cut)")
    }
  }

  @Test func limitsAreCheckedBeforeAnythingArrives() {
    var limits = RequestLimits()
    limits.bulkBytes = 100
    limits.arguments = 3
    #expect(parse("*3\r\n$100\r\n", limits: limits).error == nil)
    #expect(parse("*1\r\n$101\r\n", limits: limits).error == .invalidBulkLength)
    #expect(parse("*4\r\n", limits: limits).error == .invalidMultibulkLength)
    #expect(parse("*10\r\n", authenticated: false).error == nil)
    #expect(parse("*11\r\n", authenticated: false).error == .unauthenticatedMultibulkLength)
    #expect(parse("*1\r\n$16384\r\n", authenticated: false).error == nil)
    #expect(parse("*1\r\n$16385\r\n", authenticated: false).error == .unauthenticatedBulkLength)
  }

  @Test func malformedRequestsNameWhatIsWrong() {
    let cases: [(String, ProtocolError)] = [
      ("*x\r\n", .invalidMultibulkLength), ("*1\r\n+OK\r\n", .expectedDollar(UInt8(ascii: "+"))), ("*1\r\n$-1\r\n", .invalidBulkLength),
      ("*1\r\n$01\r\n", .invalidBulkLength), ("*99999999999999999999\r\n", .invalidMultibulkLength), ("a \"b\r\n", .unbalancedQuotes),
      ("a 'b\r\n", .unbalancedQuotes), ("a \"b\"c\r\n", .unbalancedQuotes),
      (String(repeating: "a", count: 65_537), .tooBigInline), ("*" + String(repeating: "1", count: 65_537), .tooBigCountString),
      ("*1\r\n$" + String(repeating: "1", count: 65_537), .tooBigBulkCountString),
    ]
    for (text, error) in cases { #expect(parse(text).error == error, "\(text.prefix(40).debugDescription)") }
  }

  /// A value that arrives in many small pieces costs each byte once: the parser does not look again before all of it is there.
  @Test func aLongValueIsNotParsedAgainForEveryPiece() {
    var parser = RequestParser()
    let head = Array("*2\r\n$3\r\nGET\r\n$1000000\r\n".utf8)
    let result = head.withUnsafeBytes { parser.parse($0, authenticated: true) }
    #expect(result == .needMore)
    #expect(parser.needed == head.count + 1_000_002)
  }

  @Test func decimalsAreReadAsRedisReadsThem() {
    func read(_ text: String) -> Int64? { Array(text.utf8).withUnsafeBytes { Decimal.parse($0) } }
    #expect(read("0") == 0)
    #expect(read("-9223372036854775808") == .min)
    #expect(read("9223372036854775807") == .max)
    for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "99999999999999999999999", "1x"] {
      #expect(read(text) == nil, "\(text)")
    }
    for value: Int64 in [.min, -1, 0, 9, 10, 99, 100, .max] {
      withUnsafeTemporaryAllocation(byteCount: 24, alignment: 1) { scratch in
        let start = Decimal.write(value, scratch)
        #expect(String(decoding: scratch[start...], as: UTF8.self) == String(value))
      }
    }
  }

  @Test func everyCommandIsFoundInAnyCaseAndNothingElseIs() {
    let table = CommandTable.shared
    for (index, spec) in table.specs.enumerated() {
      #expect(Array(spec.name.utf8).withUnsafeBytes { table.find($0) } == index)
      #expect(Array(spec.name.uppercased().utf8).withUnsafeBytes { table.find($0) } == index)
      #expect(Array((spec.name + "x").utf8).withUnsafeBytes { table.find($0) } == nil)
    }
    #expect(Array("averyveryverylongname".utf8).withUnsafeBytes { table.find($0) } == nil)
    #expect([UInt8]().withUnsafeBytes { table.find($0) } == nil)
  }

  @Test func globs() {
    func matches(_ pattern: String, _ text: String) -> Bool { Glob.matches(Array(pattern.utf8), Array(text.utf8)[...]) }
    for (pattern, text) in [
      ("*", ""), ("*", "abc"), ("a?c", "abc"), ("a*c", "abbbc"), ("[a-c]x", "bx"), ("[^a]x", "bx"), ("\\*", "*"), ("*a*b", "xaxab"), ("[\\]]", "]"),
    ] {
      #expect(matches(pattern, text), "\(pattern) \(text)")
    }
    for (pattern, text) in [("", "a"), ("a", ""), ("a?c", "ac"), ("[a-c]x", "dx"), ("[^a]x", "ax"), ("\\*", "a"), ("a*b", "abc")] {
      #expect(!matches(pattern, text), "\(pattern) \(text)")
    }
    // No exponential time: this ends.
    #expect(!matches(String(repeating: "a*", count: 50) + "b", String(repeating: "a", count: 300)))
  }
}
