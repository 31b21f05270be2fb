import StrataNodes
import StrataRequirements
import Testing

@testable import StrataHost

struct WakeUpHeapTests {
  @Test func entriesComeOutInOrderWhateverIsCleared() {
    for seed in 0..<UInt64(50 * testDepth) {
      var random = Random(seed: seed)
      var heap = WakeUpHeap<Int>()
      var model: [(at: UInt64, order: Int)] = []
      for step in 0..<300 {
        switch random.below(5) {
        case 0...2:
          let at = UInt64(random.below(20))
          heap.insert(step, at: at)
          model.append((at, step))
        case 3:
          let least = model.indices.min { (model[$0].at, model[$0].order) < (model[$1].at, model[$1].order) }
          let entry = heap.removeFirst()
          #expect(entry?.element == least.map { model[$0].order } && entry?.at == least.map { model[$0].at }, "seed \(seed)")
          if let least { model.remove(at: least) }
        default:
          guard random.chance(1, in: 10) else { continue }
          let keeps = random.below(3)
          heap.keep { $0 % 3 != keeps }
          model.removeAll { $0.order % 3 == keeps }
        }
        #expect(heap.count == model.count, "seed \(seed)")
      }
    }
  }
}
