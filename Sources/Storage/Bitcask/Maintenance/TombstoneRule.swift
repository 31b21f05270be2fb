import StrataDisk
import StrataFilters

/// Decides whether a tombstone may go: only if no segment that stays may hold an older record of its key.
///
/// A segment that stays may if its first sequence is lower, unless its key filter says the key is not there. Without a readable filter, any
/// key may be.
final class TombstoneRule {
  private struct Other {
    var segment: Segment
    var firstSequence: UInt64
    var isLoaded = false
    var filter: BinaryFuseFilter<UInt8>?
  }

  private var others: [Other]
  private let loading: IndexLoading

  /// - Parameter staying: every segment that is not read, or is read and stays all the same.
  init(staying: [Segment], loading: IndexLoading) {
    self.loading = loading
    others = staying.map { Other(segment: $0, firstSequence: $0.currentFacts.firstSequence) }
  }

  func mayDrop(_ sequence: UInt64, _ hash: KeyHash) throws(BitcaskError) -> Bool {
    for number in others.indices where others[number].firstSequence < sequence {
      // An active segment's first sequence is above every sealed one's last, so it is never asked.
      if !others[number].isLoaded {
        others[number].isLoaded = true
        let reader = others[number].segment.isDamaged ? nil : try loading.openHint(others[number].segment)
        if let reader { others[number].filter = try disk { () throws(DiskError) in try reader.filter() } }
      }
      guard let filter = others[number].filter, !filter.contains(hash: hash.value) else { return false }
    }
    return true
  }
}
