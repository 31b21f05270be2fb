import Fuzzing
import StrataRequirements
import Testing

@testable import StrataRESP

/// The fuzzer's mutations of whole request streams, beside the random pieces of ``ParserTests``.
@Suite struct ParserFuzzTests {
  private static let limits = {
    var limits = RequestLimits()
    limits.bulkBytes = 1 << 16
    limits.arguments = 1 << 10
    limits.lineBytes = 1 << 10
    return limits
  }()

  private static let target = FuzzTarget(
    "resp.request", weight: 10,
    corpus: [ParserTests.stream, "SET a 1\r\n", "*2\r\n$3\r\nGET\r\n$100\r\n" + String(repeating: "k", count: 100) + "\r\n"].map {
      Array($0.utf8)
    },
    tokens: ["*", "$", "\r\n", "*-1\r\n", "$-1\r\n", "$0\r\n\r\n", "*1048577\r\n", "$536870913\r\n", "99999999999999999999", "\"\\x", "'"]
  ) { bytes in
    let whole = parse([bytes[...]], limits: limits)
    let cut = bytes.count / 2
    // However a stream is cut, it says the same; what it says is not longer than it.
    let pieces = parse([bytes[..<cut], bytes[cut...]], limits: limits)
    precondition(pieces == whole, "the same bytes in two pieces say another thing")
    precondition(whole.commands.allSatisfy { $0.reduce(0) { $0 + $1.count } <= bytes.count }, "arguments longer than the request")
    let stranger = parse([bytes[...]], limits: limits, authenticated: false)
    precondition(stranger.commands.count <= whole.commands.count, "who is not authenticated is answered more")
    return whole.error == nil
  }

  @Test func everyStreamIsParsedOrRefused() {
    let count = 3000 * testDepth
    let accepted = Self.target.run(seed: 1, 0..<count)
    #expect(accepted > 0 && accepted < count, "\(accepted) of \(count) accepted")
  }
}
