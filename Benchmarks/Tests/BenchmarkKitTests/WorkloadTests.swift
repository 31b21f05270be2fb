import Testing

@testable import BenchmarkKit

/// The numbers Peers/workload_test.cc holds the peers to.
@Suite struct WorkloadTests {
  @Test func keysEqualThePeers() {
    #expect(String(decoding: Workload.key(0, seed: 1), as: UTF8.self) == "5e41ab087439611e")
    #expect(String(decoding: Workload.key(123_456_789, seed: 42), as: UTF8.self) == "c3961703aa13525b")
  }

  @Test func randomNumbersEqualThePeers() {
    var random = WorkloadRandom(seed: 7)
    #expect(random.next() == 1_507_201_545_562_260_538)
    #expect(random.next() == 4_764_137_222_614_882_372)
    #expect(random.below(1000) == 354)
  }

  @Test func distributionsEqualThePeers() {
    let zipf = Zipf(count: 1000)
    var random = WorkloadRandom(seed: 11)
    #expect((0..<5).map { _ in zipf.next(&random) } == [978, 807, 590, 421, 838])
    let shuffle = Shuffle(count: 1000, seed: 3)
    #expect((0..<5).map { shuffle.at($0) } == [300, 943, 809, 623, 847])
    #expect(Set((0..<1000).map { shuffle.at($0) }) == Set(0..<1000))
    #expect(Array(Values(seed: 5, size: 4).of(9)) == [0x4c, 0xfa, 0x06, 0x40])
  }
}
