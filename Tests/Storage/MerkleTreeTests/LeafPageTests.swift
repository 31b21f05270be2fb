import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataMerkleTree

@Suite struct LeafPageTests {
  /// Keys that make prefixes equal: of zeros, of few bytes, with eight bytes or more in common.
  private func key(_ random: inout Random) -> [UInt8] {
    let common: [UInt8] = [[], [0], [7, 7, 7, 7, 7, 7, 7], [7, 7, 7, 7, 7, 7, 7, 7], [7, 7, 7, 7, 7, 7, 7, 7, 0]][random.below(5)]
    return common + random.bytes(random.below(4)).map { $0 & 1 }
  }

  private func expect(_ page: LeafPage, _ model: [(key: [UInt8], hash: Digest)]) {
    #expect(page.count == model.count)
    #expect((0..<page.count).map(page.key) == model.map(\.key) && (0..<page.count).map(page.hash) == model.map(\.hash))
  }

  /// Whatever is done to a page, it holds what a sorted array holds, and a copy what it held.
  @Test(.requirement("MerkleTree.keep.6", "MerkleTree.never.9"), arguments: 0..<UInt64(20 * testDepth))
  func aPageIsASortedArray(seed: UInt64) {
    var random = Random(seed: seed)
    var page = LeafPage()
    var model: [(key: [UInt8], hash: Digest)] = []
    for _ in 0..<400 {
      let copy = (page, model)
      let key = key(&random)
      let hash = Digest(random.bytes(32)) ?? .zero
      let (index, isFound) = key.withUnsafeBytes { page.lowerBound($0) }
      #expect(index == model.filter { $0.key.lexicographicallyPrecedes(key) }.count && isFound == model.contains { $0.key == key })
      switch random.below(12) {
      case 0..<3 where isFound:
        #expect(page.remove(at: index) == model.remove(at: index).hash)
      case 3..<11 where isFound:
        #expect(page.replaceHash(index, hash) == model[index].hash)
        model[index].hash = hash
      case 11 where model.count > 1:
        // In two and together again.
        let place = random.within(1...model.count - 1)
        let upper = page.split(at: place)
        expect(page, Array(model[..<place]))
        expect(upper, Array(model[place...]))
        page.append(contentsOf: upper)
      default:
        guard !isFound else { break }
        key.withUnsafeBytes { page.insert($0, hash, at: index) }
        model.insert((key, hash), at: index)
      }
      expect(page, model)
      expect(copy.0, copy.1)
    }
  }
}
