import StrataNodes
import StrataRequirements
import Testing

@testable import Fuzzing

/// What `make fuzz` does for long, for a moment: the same inputs in every run.
@Suite struct FuzzTests {
  @Test(arguments: FuzzTargets.all.map(\.name))
  func everyDecoderTakesWhateverComes(_ name: String) throws {
    let target = try #require(FuzzTargets.named(name))
    let count = (target.weight >= 10 ? 400 : 80) * testDepth
    let accepted = target.run(seed: 1, 0..<count)
    // A fuzzer whose inputs are all refused, or all accepted, looks at nothing.
    #expect(accepted > 0 && accepted < count, "\(accepted) of \(count) accepted")
  }

  @Test func inputsAreFunctionsOfTheirNumbers() throws {
    let target = try #require(FuzzTargets.named("hashing.plan"))
    let inputs = (0..<500).map { target.input(seed: 3, index: $0) }
    #expect((0..<500).map { target.input(seed: 3, index: $0) } == inputs)
    #expect(Set(inputs).count > 400, "most inputs differ")
    #expect((0..<500).map { target.input(seed: 4, index: $0) } != inputs)
  }

  /// Each of these is met within a thousand inputs where the decoder has it: cut ends, longer ones, numbers blown up, checksums that hold.
  @Test func theMutationsReachWhatDecodersBreakOn() {
    let valid = Array("head".utf8) + [4, 0, 0, 0] + Array("body".utf8) + [0, 0, 0, 0]
    var sealed = valid
    Sealing.end(&sealed)
    let target = FuzzTarget("test", weight: 1, corpus: [sealed], mend: { Sealing.end(&$0) }) { _ in true }
    let inputs = (0..<1000).map { target.input(seed: 5, index: $0) }
    let length = { (bytes: [UInt8]) in bytes.count >= 8 ? Sealing.load(UInt32.self, at: 4, in: bytes) : 4 }
    let holds = { (bytes: [UInt8]) in
      var again = bytes
      Sealing.end(&again)
      return again == bytes
    }
    #expect(inputs.contains { $0.isEmpty } || inputs.contains { $0.count < 4 })
    #expect(inputs.contains { $0.count > 1000 })
    #expect(inputs.contains { length($0) > 1 << 30 && holds($0) }, "an absurd length behind a right checksum")
    #expect(inputs.contains { length($0) == 5 }, "a length off by one")
    #expect(inputs.count { holds($0) } > 300 && inputs.count { !holds($0) } > 200)
    #expect(inputs.contains(sealed))
  }
}
